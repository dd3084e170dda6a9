"""``dvo rollback``: back to an older state."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.snapshot_option import SNAPSHOT
from dvo.counted import counted

__all__ = ["rollback"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("snapshot", type=SNAPSHOT)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rollback(catdir: Path, snapshot: int | str | datetime, *, as_json: bool) -> None:
    """Make the state of SNAPSHOT the newest one of CATDIR.

    This is a commit like any other: what came after SNAPSHOT stays in the log and can be
    rolled back to as well. SNAPSHOT is a number or a tag (see: dvo log), or a time, UTC.

    \b
    Examples:
      dvo rollback sky 12
      dvo rollback sky before-relphot
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick

    from dvo.partition.history import rollback as roll_back  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    with Store(catdir, writable=True, command="dvo rollback") as store:
        before = store.view().snapshot
        now = roll_back(store, snapshot)
    facts = {"snapshot": now.id, "changed": now.id != before.id, **now.counts}
    if as_json:
        click.echo(json.dumps(facts))
    elif now.id == before.id:
        click.echo(f"{catdir}: has the state of snapshot {snapshot} already")
    else:
        counts = ", ".join(counted(n, name) for name, n in now.counts.items())
        click.echo(f"{catdir}: snapshot {now.id} is as snapshot {snapshot} was ({counts})")
