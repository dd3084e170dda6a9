"""``dvo init``: make an empty database."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["init"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--level",
    type=click.IntRange(0, 5),
    default=4,
    show_default=True,
    help="Level of the sky partition: 4 for a survey, 3 or 2 for small databases.",
)
@click.option(
    "--filters",
    default="g,r,i,z,y",
    show_default=True,
    help="Average filters (SEC photcodes), in the order of SecFilt.",
)
@click.option(
    "--split-at",
    type=click.IntRange(0),
    default=4_000_000,
    show_default=True,
    help="Measures above which a catalog is split when it is compacted; 0 for never.",
)
def init(catdir: Path, *, level: int, filters: str, split_at: int) -> None:
    """Make an empty database in the folder CATDIR.

    \b
    Example:
      dvo init sky --level 4 --filters g,r,i,z,y
    """
    from dvo.partition.store import create_store  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.tables.photcode import PhotClass, PhotcodeTable  # noqa: PLC0415

    table = PhotcodeTable()
    for name in filter(None, (f.strip() for f in filters.split(","))):
        table = table.add(name, PhotClass.SEC)
    create_store(catdir, level=level, photcodes=table, split_at=split_at)
    click.echo(f"{catdir}: empty database, level {level}, filters {filters}")
