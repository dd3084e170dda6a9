"""``dvo extract``: a part of a database, as a database of its own."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.output import progress_line
from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    from dvo.merge.merge import MergeReport
    from dvo.merge.selection import Selection
    from dvo.partition.bounds import Area
    from dvo.partition.view import View

__all__ = ["extract"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--region", nargs=4, type=float, metavar="RA0 RA1 DEC0 DEC1", help="Objects in a box [deg]."
)
@click.option("--cone", nargs=3, type=float, metavar="RA DEC ARCSEC", help="Objects in a circle.")
@click.option("--mjd", nargs=2, type=float, metavar="FIRST LAST", help="Measures of a time [d].")
@click.option("--photcode", "photcodes", multiple=True, help="Measures of a photcode; repeatable.")
@click.option(
    "--mag",
    nargs=3,
    type=(str, float, float),
    metavar="FILTER BRIGHT FAINT",
    help="Objects with a mean magnitude between two.",
)
@click.option("--level", type=click.IntRange(0, 5), help="Level of OUT; else that of CATDIR.")
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def extract(
    catdir: Path,
    target: Path,
    *,
    region: tuple[float, float, float, float] | None,
    cone: tuple[float, float, float] | None,
    mjd: tuple[float, float] | None,
    photcodes: tuple[str, ...],
    mag: tuple[str, float, float] | None,
    level: int | None,
    snapshot: int | str | datetime | None,
    as_json: bool,
) -> None:
    """Make the database OUT of a part of CATDIR.

    All conditions have to hold. Objects keep all that is known of them; where only some of
    their measures come, their means are made of these. Without any condition OUT is a copy,
    at another level if asked.

    \b
    Examples:
      dvo extract sky pleiades --cone 56.75 24.1 7200
      dvo extract sky bright --mag g 10 16
      dvo extract sky copy --level 3
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.extract import extract as make  # noqa: PLC0415

    if region and cone:
        raise click.UsageError("--region and --cone exclude each other")
    show = progress_line()

    def tell(report: MergeReport) -> None:
        show(f"{report.n_regions_done} of {report.n_regions} regions, {report.n_measures} measures")

    with Store(catdir) as source:
        selection = _selection(source.view(snapshot), region, cone, mjd, photcodes, mag)
        report = make(source, target, selection, level=level, snapshot=snapshot, progress=tell)
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        click.echo(
            f"{target}: {report.n_images} images, {report.n_new} objects, "
            f"{report.n_measures} measures; {report.seconds:.1f} s"
        )


def _selection(
    view: View,
    region: tuple[float, float, float, float] | None,
    cone: tuple[float, float, float] | None,
    mjd: tuple[float, float] | None,
    photcodes: tuple[str, ...],
    mag: tuple[str, float, float] | None,
) -> Selection:
    from dvo.merge.selection import Selection  # noqa: PLC0415
    from dvo.partition.bounds import Box, Cone  # noqa: PLC0415
    from dvo.tables.photcode import PhotClass  # noqa: PLC0415

    area: Area | None = Box(*region) if region else None
    if cone:
        area = Cone(cone[0], cone[1], cone[2] / 3600.0)
    k = -1
    if mag:
        code = view.photcodes.get(mag[0], PhotClass.SEC).code
        k = int(view.photcodes.sec_index_of_code[code])
    return Selection(
        area,
        mjd or (-math.inf, math.inf),
        tuple(view.photcodes.get(name).code for name in photcodes) or None,
        mag[1:] if mag else (-math.inf, math.inf),
        k,
    )
