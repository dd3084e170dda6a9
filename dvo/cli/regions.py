"""The command ``dvo regions``: what the sky partition looks like."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    from dvo.partition.sky_table import SkyTable

__all__ = ["regions"]

_COUNTS = ("level", "n_objects", "n_measures")
_FIELDS = ("index", "name", "ra_min", "ra_max", "dec_min", "dec_max", "parent")


@click.command()
@click.option("--level", type=click.IntRange(0, 5), default=3, show_default=True, help="Level.")
@click.option("--name", help="Only the region of this name, at its own level.")
@click.option(
    "--at", nargs=2, type=float, metavar="RA DEC", help="Only the region that holds a position."
)
@click.option(
    "--of",
    "catdir",
    type=click.Path(path_type=Path),
    metavar="CATDIR",
    help="Catalogs of this database instead, whatever their level, and how much is in each.",
)
@snapshot_option
@click.option("--pure-gsc", is_flag=True, help="The 9537 GSC regions, without the pole rule.")
@click.option("--count", is_flag=True, help="Print only how many there are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def regions(
    *,
    level: int,
    name: str | None,
    at: tuple[float, float] | None,
    catdir: Path | None,
    snapshot: int | str | datetime | None,
    pure_gsc: bool,
    count: bool,
    as_json: bool,
) -> None:
    """List or count the regions of the sky partition.

    Levels: 0 full sky, 1 declination bands, 2 large regions, 3 GSC regions, 4 and 5 their
    4x4 and 5x5 subdivisions. Angles are ICRS degrees.

    \b
    Examples:
      dvo regions --level 4 --count
      dvo regions --level 4 --at 31.3 46.8
      dvo regions --name n8230/pole.4 --json
      dvo regions --of sky --at 56.75 24.1
    """
    fields: tuple[str, ...] = _FIELDS
    if catdir is not None:
        if pure_gsc:
            raise click.UsageError("--of and --pure-gsc exclude each other")
        rows, fields = _catalog_rows(catdir, snapshot, name, at), (*_FIELDS, *_COUNTS)
    elif snapshot is not None:
        raise click.UsageError("--snapshot is about a database; give that, too: --of CATDIR")
    elif pure_gsc:
        if name is not None or at is not None:
            raise click.UsageError("--pure-gsc lists all regions; leave out --name and --at")
        rows = _pure_rows()
    else:
        rows = _rows(level, name, at)
    if count:
        click.echo(str(len(rows)))
        return
    if not as_json:
        click.echo("# " + " ".join(fields))
    for row in rows:
        click.echo(json.dumps(row) if as_json else " ".join(str(v) for v in row.values()))


def _rows(
    level: int, name: str | None, at: tuple[float, float] | None
) -> list[dict[str, int | float | str]]:
    """Rows of the standard SkyTable."""
    from dvo.errors import PartitionError  # noqa: PLC0415 - commands load late
    from dvo.partition.sky_table import SkyTable  # noqa: PLC0415 - commands load late

    sky = SkyTable.standard()
    if name is not None:
        indices = [sky.by_name(name).index]
    elif at is not None:
        indices = sky.locate([at[0]], [at[1]], level).tolist()
        if indices[0] < 0:
            raise PartitionError(f"({at[0]}, {at[1]}) is no position; dec must be in [-90, 90]")
    else:
        indices = list(sky.at_level(level))
    return _described(sky, indices)


def _catalog_rows(
    catdir: Path,
    snapshot: int | str | datetime | None,
    name: str | None,
    at: tuple[float, float] | None,
) -> list[dict[str, int | float | str]]:
    """Regions of a database that have rows: all, those in a region, or that at a place."""
    import numpy as np  # noqa: PLC0415 - commands load late

    from dvo.partition.store import Store  # noqa: PLC0415 - commands load late

    with Store(catdir, cache_bytes=0) as store:
        view = store.view(snapshot)
        found = view.regions()
        if name is not None:
            inside = view.partition.overlapping([view.sky.by_name(name).index])
            found = sorted(set(found) & set(inside.tolist()))
        if at is not None:
            found = sorted(set(found) & set(view.partition.locate([at[0]], [at[1]]).tolist()))
        counts = view.catalogs(found)
        levels = view.sky.depths(np.array(found, np.int64)).tolist()
        return [
            row | dict(zip(_COUNTS, (level, counts[r].n_average, counts[r].n_measure), strict=True))
            for row, level, r in zip(_described(view.sky, found), levels, found, strict=True)
        ]


def _described(sky: SkyTable, indices: list[int]) -> list[dict[str, int | float | str]]:
    """What the SkyTable says of some regions."""
    columns = (
        indices,
        sky.names(indices),
        *sky.bounds(indices).T.tolist(),
        sky.parents(indices).tolist(),
    )
    return [dict(zip(_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]


def _pure_rows() -> list[dict[str, int | float | str]]:
    """Rows of the pure GSC layout; the parent is the number of the large region."""
    from dvo.partition.gsc import gsc_regions  # noqa: PLC0415 - commands load late

    pure = gsc_regions()
    keys = ("number", "name", "ra_min", "ra_max", "dec_min", "dec_max", "large")
    columns = [pure[key] if key == "name" else pure[key].tolist() for key in keys]  # type: ignore[union-attr]
    return [dict(zip(_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]
