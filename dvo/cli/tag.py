"""``dvo tag``: call snapshots by names."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.snapshot_option import SNAPSHOT
from dvo.counted import counted

__all__ = ["tag"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.argument("snapshot", required=False, type=SNAPSHOT)
@click.option("--delete", "gone", metavar="NAME", help="Take this tag away.")
@click.option("--force", is_flag=True, help="Move the tag if it is at another snapshot.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a tag.")
def tag(
    catdir: Path,
    name: str | None,
    snapshot: int | str | datetime | None,
    *,
    gone: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Call SNAPSHOT of CATDIR (the newest state if not given) by NAME; list tags without one.

    A tag stands wherever a snapshot is asked for, and dvo vacuum keeps its snapshot. It
    begins with a letter; letters, digits and . _ + - may follow.

    \b
    Examples:
      dvo tag sky dr1
      dvo tag sky before-relphot 12
      dvo tag sky
      dvo tag sky --delete before-relphot
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.history import drop_tag, put_tag  # noqa: PLC0415
    from dvo.partition.manifest import TagRow  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if gone is not None and name is not None:
        raise click.UsageError("--delete NAME takes a tag away; give no other name")
    if force and name is None:
        raise click.UsageError("--force moves a tag; give its name")
    with Store(catdir, writable=bool(gone or name), command="dvo tag") as store:
        if gone is not None:
            found = [drop_tag(store, gone)]
        elif name is not None:
            found = [put_tag(store, name, snapshot, move=force)]
        else:
            found = store.manifest.tags()
        rows = {row.id: row for row in store.manifest.log()}

    def line(row: TagRow) -> str:
        of = rows[row.snapshot]
        counts = " ".join(counted(of.counts[k], k) for k in ("images", "objects", "measures"))
        return f"{row.name}  snapshot {row.snapshot} of {of.time[:19]}  {counts}"

    for row in found:
        if as_json:
            time = rows[row.snapshot].time
            click.echo(json.dumps(asdict(row) | {"time": time, "deleted": gone is not None}))
        else:
            click.echo(f"{'deleted: ' if gone is not None else ''}{line(row)}")
    if not found and not as_json:
        click.echo(f"{catdir}: no tags; make one with: dvo tag {catdir} NAME", err=True)
