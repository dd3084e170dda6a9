"""``dvo lightcurve``: the measures of one object in order of time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.counted import counted
from dvo.cli.negative_numbers import NumbersCommand
from dvo.cli.output import Output, check_folder, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    import pyarrow as pa

    from dvo.tables.photcode import PhotcodeTable

__all__ = ["lightcurve"]

_PICTURES = (".png", ".pdf", ".svg")


@click.command(cls=NumbersCommand)
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.option(
    "--radius", type=float, default=1.0, show_default=True, help="How far it may be [arcsec]."
)
@click.option("--columns", help="Columns and magnitude words of Measure, split by commas.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw it to this file, too: .png, .pdf or .svg."
)
@snapshot_option
@format_option
@output_option
def lightcurve(
    catdir: Path,
    ra: float,
    dec: float,
    *,
    radius: float,
    columns: str | None,
    plot: Path | None,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """List the measures of the object nearest to RA DEC (ICRS degrees), in order of time.

    Magnitudes are calibrated as far as the database is (level rel). Times are MJD (UTC);
    raw ones are the columns time and time_msec, and numbers of photcodes photcode.

    \b
    Example:
      dvo lightcurve sky 31.0427 46.6879 --plot hatp32.png
      dvo lightcurve sky 31.0427 46.6879 --columns mjd,mag:rel,mag:err -f csv
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.errors import QueryError  # noqa: PLC0415

    out = Output.choose(form, output)
    if plot is not None:
        _check_picture(plot)
    names = [c.strip() for c in columns.split(",")] if columns else None
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.lightcurve(ra, dec, radius, columns=names)
        if found.num_rows == 0:
            raise QueryError(
                f"no object within {radius:g} arcsec of {ra} {dec}; look further with --radius"
            )
        photcodes = db.photcodes
        drawn = found if columns is None or plot is None else db.lightcurve(ra, dec, radius)
    if plot is not None:
        _draw(drawn, plot, photcodes)
    out.write(found, heading=[_object_line(found, ra, dec)])


def _check_picture(path: Path) -> None:
    if path.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--plot {path}: give a file that ends in {', '.join(_PICTURES)}")
    check_folder(path)


def _draw(table: pa.Table, path: Path, photcodes: PhotcodeTable) -> None:
    from dvo.database.plots import draw_lightcurve  # noqa: PLC0415 - slow to import

    draw_lightcurve(table, path, _title(table), photcodes=photcodes)
    click.echo(f"wrote {path}", err=True)


def _title(table: pa.Table) -> str:
    fact = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    place = f"RA {float(fact['obj_ra']):.6f}, Dec {float(fact['obj_dec']):+.6f}"
    return f"object {fact['cat_id']}.{fact['obj_id']} at {place}"


def _object_line(table: pa.Table, ra: float, dec: float) -> str:
    """Say which object it is: the nearest one need not be the one that was meant."""
    fact = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    return (
        f"object {fact['cat_id']}.{fact['obj_id']} (ext_id {fact['ext_id']}) at "
        f"{float(fact['obj_ra']):.8f} {float(fact['obj_dec']):+.8f}, "
        f"{float(fact['distance']):.3f} arcsec from {ra} {dec}; "
        f"{counted(table.num_rows, 'measures')}"
    )
