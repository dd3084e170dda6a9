"""``dvo overlaps``: images over a place, a circle, a polygon or another image."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.name_list import names_in
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    from dvo.partition.bounds import Cone
    from dvo.partition.polygon import Polygon

__all__ = ["overlaps"]

_COLUMNS = "image_id,name,photcode_name,mjd,exptime,x,y,distance"


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--at", nargs=2, type=float, metavar="RA DEC", help="Images over a place.")
@click.option(
    "--cone", nargs=3, type=float, metavar="RA DEC ARCSEC", help="Images with a part in a circle."
)
@click.option(
    "--polygon",
    metavar="'RA DEC RA DEC …'",
    help="Images with a part in a polygon: its corners, in order.",
)
@click.option("--image", metavar="IMAGE", help="Images that overlap one, by its name or number.")
@click.option(
    "--columns",
    default=_COLUMNS,
    show_default=True,
    help="Columns, split by commas; 'all' for all.",
)
@snapshot_option
@format_option
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@output_option
def overlaps(
    catdir: Path,
    *,
    columns: str,
    snapshot: int | str | datetime | None,
    form: str | None,
    as_json: bool,
    output: Path | None,
    **asked: Any,
) -> None:
    """List the images of CATDIR that have any part in an area, by their astrometry.

    Positions are ICRS degrees. x and y are the pixels of the place, or of the middle of the area;
    distance is from there to the centre of the image [arcsec]. Images without astrometry count as
    the circle that holds their measures. No measure is read.

    \b
    Examples:
      dvo overlaps sky --at 56.75 24.12
      dvo overlaps sky --polygon '56 24 57 24 57 25 56 25' -f csv
      dvo overlaps sky --image o5512g0017o.XY33
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    area = _area(asked)
    out = Output.choose("json" if as_json else form, output)
    names = None if columns == "all" else list(names_in(columns))
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.overlaps(area, names)
    if found.num_rows == 0:
        click.echo("no image is there", err=True)
    out.write(found)


def _area(asked: dict[str, Any]) -> Cone | Polygon | str:
    from dvo.partition.bounds import Cone  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.partition.polygon import Polygon  # noqa: PLC0415

    given = [name for name, value in asked.items() if value is not None]
    if len(given) != 1:
        raise click.UsageError("say where by one of --at, --cone, --polygon and --image")
    if asked["at"]:
        ra, dec = asked["at"]
        return Cone(ra, dec, 0.0)
    if asked["cone"]:
        ra, dec, arcsec = asked["cone"]
        return Cone(ra, dec, arcsec / 3600.0)
    if asked["polygon"] is None:
        return str(asked["image"])
    try:
        numbers = [float(word) for word in asked["polygon"].replace(",", " ").split()]
    except ValueError as error:
        raise click.UsageError(f"--polygon: {error}") from error
    if len(numbers) % 2:
        raise click.UsageError(f"--polygon: {len(numbers)} numbers are no pairs of RA and DEC")
    return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
