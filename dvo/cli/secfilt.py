"""``dvo secfilt``: average filters of a database."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from dvo.cli.snapshot_option import snapshot_option

__all__ = ["secfilt"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--add", "name", help="Add this average filter.")
@click.option("--after", help="Filter that the new one is to follow; else the last.")
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print the filters as JSON.")
@click.option("--drop", help="Drop this average filter and its means; measures stay.")
def secfilt(
    catdir: Path,
    *,
    name: str | None,
    after: str | None,
    drop: str | None,
    snapshot: int | str | datetime | None,
    as_json: bool,
) -> None:
    """Add or drop an average filter of CATDIR, in one commit.

    Without an option the filters are listed, in the order of the rows of SecFilt.

    \b
    Examples:
      dvo secfilt sky
      dvo secfilt sky --add w --after y
      dvo secfilt sky --drop w
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.filters import add_filter, drop_filter  # noqa: PLC0415

    if name and drop:
        raise click.UsageError("--add and --drop exclude each other: one commit, one change")
    if after and not name:
        raise click.UsageError("--after says where --add puts the new filter")
    if snapshot is not None and (name or drop):
        raise click.UsageError("--snapshot lists the filters of an older state; it cannot change")
    with Store(catdir, writable=bool(name or drop), command="dvo secfilt") as store:
        if name:
            add_filter(store, name, after)
        elif drop:
            drop_filter(store, drop)
        view = store.view(snapshot)
        filters = [p.name for p in view.photcodes.sec]
    if as_json:
        click.echo(json.dumps({"filters": filters, "snapshot": view.snapshot.id}))
    else:
        click.echo(",".join(filters))
