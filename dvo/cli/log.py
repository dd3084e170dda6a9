"""``dvo log``: what was done to a database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

__all__ = ["log"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@snapshot_option
@click.option("-n", "last", type=click.IntRange(1), help="Only so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a snapshot.")
def log(
    catdir: Path, *, snapshot: int | str | datetime | None, last: int | None, as_json: bool
) -> None:
    """List the snapshots of CATDIR, the oldest first: each is the state after a commit.

    Those marked - have been vacuumed away; tags stand in brackets at the end. With --snapshot
    the list ends with that one.

    \b
    Example:
      dvo log sky -n 10
      dvo log sky --snapshot dr1
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.manifest import Manifest  # noqa: PLC0415

    manifest = Manifest(catdir)
    try:
        rows = manifest.log()
        if snapshot is not None:
            found = manifest.snapshot(snapshot).id
            rows = [row for row in rows if row.id <= found]
        tags: dict[int, list[str]] = {}
        for tag in manifest.tags():
            tags.setdefault(tag.snapshot, []).append(tag.name)
    finally:
        manifest.close()
    for row in rows[-(last or 0) :]:
        if as_json:
            click.echo(json.dumps(asdict(row) | {"tags": tags.get(row.id, [])}))
            continue
        counts = " ".join(counted(row.counts[k], k) for k in ("images", "objects", "measures"))
        mark = " " if row.kept else "-"
        what = " ".join([row.command, *_shown(row.params)])
        named = "".join(f" [{name}]" for name in tags.get(row.id, []))
        click.echo(f"{row.id:6d}{mark} {row.time[:19]}  {counts}  {what}{named}")


def _shown(params: dict[str, Any]) -> list[str]:
    """Parameters in a few words; lists of inputs by their length (all of it is in --json)."""
    words = []
    for key, value in params.items():
        if isinstance(value, dict):
            words += _shown(value)
        elif isinstance(value, list) and value and isinstance(value[0], list):
            words.append(f"{key}=<{len(value)}>")
        elif isinstance(value, list):
            words.append(f"{key}={','.join(map(str, value))}" if len(value) < 6 else f"{key}=…")
        else:
            words.append(f"{key}={value}")
    return words
