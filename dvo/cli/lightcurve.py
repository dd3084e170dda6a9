"""``dvo lightcurve``: the measures of one object in order of time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.output import format_option, output_option, write_result

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["lightcurve"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.option(
    "--radius", type=float, default=1.0, show_default=True, help="How far it may be [arcsec]."
)
@click.option("--columns", help="Columns and magnitude words of Measure, split by commas.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it to this PNG file, too.")
@click.option("--snapshot", type=int, help="State to read (see: dvo log); the newest if not given.")
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
    snapshot: int | None,
    form: str | None,
    output: Path | None,
) -> None:
    """List the measures of the object nearest to RA DEC (ICRS degrees), in order of time.

    Magnitudes are calibrated as far as the database is (level rel).

    \b
    Example:
      dvo lightcurve sky 31.0427 46.6879 --plot hatp32.png
      dvo lightcurve sky 31.0427 46.6879 --columns time,mag:rel,mag:err -f csv
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    names = [c.strip() for c in columns.split(",")] if columns else None
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.lightcurve(ra, dec, radius, columns=names)
        if found.num_rows == 0:
            raise click.ClickException(f"no object within {radius} arcsec of {ra} {dec}")
        if plot is not None:
            drawn = found if columns is None else db.lightcurve(ra, dec, radius)
            _draw(drawn, {p.code: p.name for p in db.photcodes}, plot)
    write_result(found, form, output)


def _draw(table: pa.Table, names: dict[int, str], path: Path) -> None:
    from dvo.database.plots import draw_lightcurve  # noqa: PLC0415

    draw_lightcurve(table, names, path)
