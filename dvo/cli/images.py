"""``dvo images``: the images of a database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.output import Output, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option

__all__ = ["images"]

_COLUMNS = "image_id,name,photcode_name,mjd,exptime,secz,ra_center,dec_center,radius,nstar,mcal_psf"


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--at", nargs=2, type=float, metavar="RA DEC", help="Only images over a position.")
@click.option("--radius", type=float, help="Within so many arcsec of it.")
@click.option("--columns", default=_COLUMNS, help="Columns, split by commas; 'all' for all.")
@snapshot_option
@format_option
@output_option
def images(
    catdir: Path,
    *,
    at: tuple[float, float] | None,
    radius: float | None,
    columns: str,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """List the images of CATDIR, all or those over a position.

    Beside the columns of the table there are mjd and photcode_name and, with --at, distance
    from the position to the centre of the image [arcsec].

    \b
    Example:
      dvo images sky --at 56.75 24.12
      dvo images sky --columns image_id,name,fwhm_x -f csv -o images.csv
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    out = Output.choose(form, output)
    if radius is not None and at is None:
        raise click.UsageError("--radius is about a position; give that, too: --at RA DEC")
    names = None if columns == "all" else [c.strip() for c in columns.split(",")]
    ra, dec = at or (None, None)
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.images(ra, dec, radius or 0.0, columns=names)
    out.write(found)
