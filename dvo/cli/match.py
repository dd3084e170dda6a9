"""``dvo match``: the rows of a table, or of another database, find objects."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.name_list import names_in
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

__all__ = ["match"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.option(
    "--radius",
    type=float,
    default=1.0,
    show_default=True,
    metavar="ARCSEC",
    help="How far apart a pair may be, at most 3600.",
)
@click.option(
    "--mode",
    type=click.Choice(["nearest", "all", "mutual"]),
    default="nearest",
    show_default=True,
    help="What a row finds: its nearest object; all objects within the radius; the nearest "
    "object, if that has no nearer row in turn.",
)
@click.option(
    "--join",
    type=click.Choice(["inner", "left"]),
    default="inner",
    show_default=True,
    help="Rows of OTHER that come out: those that find something, or all.",
)
@click.option(
    "--columns", help="Columns and magnitude words of the objects, split by commas; 'all' for all."
)
@click.option("--other-columns", help="Columns of OTHER, split by commas.")
@click.option("--ra", "ra_name", metavar="COLUMN", help="Column of right ascension in a file.")
@click.option("--dec", "dec_name", metavar="COLUMN", help="Column of declination in a file.")
@click.option("--hdu", help="HDU of a FITS file, by number or name; its first table if not given.")
@click.option(
    "--epoch",
    type=float,
    metavar="YEAR",
    help="Move objects with known proper motions to this year, such as 2016.0; OTHER is of it, "
    "or moved too if it is a database.",
)
@snapshot_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print counts as JSON; the rows go to -o, if given."
)
@format_option
@output_option
def match(
    catdir: Path,
    other: Path,
    *,
    radius: float,
    mode: str,
    join: str,
    columns: str | None,
    other_columns: str | None,
    ra_name: str | None,
    dec_name: str | None,
    hdu: str | None,
    epoch: float | None,
    snapshot: int | str | datetime | None,
    as_json: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Cross-match: find for the rows of OTHER the objects that they are.

    OTHER is a table of positions in degrees (FITS, VOTable, Parquet or CSV) or another
    CATDIR, whose objects ask. The result has the columns of OTHER, those of the objects
    (without --columns their ids and positions), and separation_arcsec, in the order of OTHER.
    Columns of OTHER that the objects have too end in _other.

    \b
    Examples:
      dvo match sky gaia.fits --radius 0.5 --columns ext_id,ra,dec,g,r -o pairs.parquet
      dvo match sky stars.csv --ra RAJ2000 --dec DEJ2000 --join left
      dvo match sky other_sky --mode mutual --json
    """  # fmt: skip
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.proper_motion import epoch_to_mjd  # noqa: PLC0415
    from dvo.tables.average import AVERAGE  # noqa: PLC0415

    out = Output.choose(form, output)
    started = time.perf_counter()
    asked: dict[str, Any] = {"mode": mode, "join": join}
    asked["other_columns"] = _names(other_columns)
    asked["epoch_mjd"] = None if epoch is None else epoch_to_mjd(epoch)
    with dvo.open(catdir, snapshot=snapshot) as db:
        asked["columns"] = AVERAGE.names if columns == "all" else _names(columns)
        if other.is_dir():
            if ra_name or dec_name or hdu:
                raise click.UsageError(f"{other} is a database: no --ra, --dec or --hdu")
            with dvo.open(other) as second:
                found = db.match(second, radius, **asked)
                n_other = second.snapshot.counts["objects"]
        else:
            position = (ra_name, dec_name)
            table = _read(other, hdu, asked["other_columns"], position)
            found = db.match(table, radius, position=position, **asked)
            n_other = table.num_rows
    n_pairs = found.num_rows - found["separation_arcsec"].null_count
    if as_json:
        seconds = round(time.perf_counter() - started, 3)
        report = {"n_other": n_other, "n_rows": found.num_rows, "n_pairs": n_pairs,
                  "seconds": seconds}  # fmt: skip
        click.echo(json.dumps(report))
    elif n_pairs == 0:
        click.echo(
            f"no object within {radius:g} arcsec of any of {counted(n_other, 'rows')}", err=True
        )
    if output is not None or not as_json:
        out.write(found)


def _names(text: str | None) -> list[str] | None:
    """Words of a list split by commas; None for all."""
    return None if text is None else list(names_in(text))


def _read(
    path: Path,
    hdu: str | None,
    columns: Sequence[str] | None,
    position: tuple[str | None, str | None],
) -> pa.Table:
    """Read a table file: the columns asked for, and those of its positions."""
    from dvo.database.given_table import as_given, table_of  # noqa: PLC0415
    from dvo.errors import QueryError, UnknownColumnError  # noqa: PLC0415
    from dvo.tables.table_files import read_chosen  # noqa: PLC0415

    def choose(present: Sequence[str]) -> Sequence[str]:
        if columns is None:
            return present
        wanted = [*columns, *(name for name in position if name)]
        strange = [name for name in wanted if name not in present]
        if strange:
            raise UnknownColumnError(
                f"{path}: has no column {strange[0]!r}; it has {', '.join(present)}"
            )
        places = [name for name in present if name.lower() in ("ra", "dec")]
        return list(dict.fromkeys([*wanted, *places]))

    raw = read_chosen(path, choose, hdu=int(hdu) if hdu and hdu.isdecimal() else hdu)
    table = table_of(raw.columns, raw.units)
    try:
        as_given(table, position)
    except QueryError as err:
        raise QueryError(f"{path}: {err} (options --ra and --dec)") from None
    return table
