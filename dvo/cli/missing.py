"""``dvo missing``: known objects that images should have seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.reshape.missing import MissingReport

__all__ = ["missing"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--photcode", help="Only images of this photcode.")
@click.option("--mjd", nargs=2, type=float, metavar="FIRST LAST", help="Only of this time [d].")
@click.option(
    "--min-measures",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Measures in the filter that an object has at least.",
)
@click.option(
    "--border",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="PIXELS",
    help="How far inside the image an object has to be.",
)
@click.option(
    "--limit",
    type=float,
    metavar="MAG",
    help="Objects brighter than this, in place of the detection limit of each image.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def missing(
    catdir: Path,
    names: tuple[str, ...],
    *,
    photcode: str | None,
    mjd: tuple[float, float] | None,
    min_measures: int,
    border: float,
    limit: float | None,
    as_json: bool,
) -> None:
    """Find objects of CATDIR that images should have seen and have no measure of.

    They come into the table Missing, image by image: objects inside the image at its time,
    with a mean magnitude in its filter brighter than its detection limit. NAMES are names of
    images or of whole exposures, with * and ?; without any all images are looked at. An image
    that has been looked at is passed over.

    \b
    Examples:
      dvo missing sky
      dvo missing sky 'o5512g*' --min-measures 3 --limit 20.5
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.missing import MissingOptions, find_missing  # noqa: PLC0415
    from dvo.reshape.sources import ImageChoice  # noqa: PLC0415

    options = MissingOptions(ImageChoice(names, photcode, mjd), min_measures, border, limit)
    show = progress_line()

    def tell(report: MissingReport) -> None:
        show(f"{report.n_images} images, {report.n_rows} rows")

    with Store(catdir, writable=True, command="dvo missing") as store:
        report = find_missing(store, options, progress=tell)
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    click.echo(
        f"{counted(report.n_images, 'images')} looked at, "
        f"{counted(report.n_rows, 'rows')} of Missing"
    )
    for reason, n in report.left_out.items():
        click.echo(f"left out: {counted(n, 'images')} {reason}")
