"""``dvo coverage``: the part of the sky that a database covers."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.output import progress_line
from dvo.cli.snapshot_option import snapshot_option

if TYPE_CHECKING:
    from dvo.exchange.report import ExportReport

__all__ = ["coverage"]

_CACHE_BYTES = 64 * 2**20


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--of",
    "table",
    type=click.Choice(["measure", "average", "image"]),
    default="measure",
    show_default=True,
    help="Cells with measures, with objects, or that images touch.",
)
@click.option(
    "--order",
    type=click.IntRange(0, 29),
    default=10,
    show_default=True,
    help="Order of the HEALPix cells: 10 is 3.4 arcmin, 12 is 52 arcsec.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File (.fits .json .txt).")
@snapshot_option
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def coverage(
    catdir: Path,
    *,
    table: str,
    order: int,
    output: Path | None,
    snapshot: int | str | datetime | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Find which part of the sky CATDIR covers, and write it as a MOC.

    A MOC is a list of HEALPix cells, which Aladin, TOPCAT, mocpy and others read. That of
    images follows their outlines, that of measures shows where there are any: its order
    should be coarse enough that no cell between stars is empty.

    \b
    Examples:
      dvo coverage sky --order 8
      dvo coverage sky --of image -o footprint.fits
    """
    from dvo.exchange.coverage import (  # noqa: PLC0415
        check_ending,
        cover_images,
        cover_rows,
        save_moc,
    )
    from dvo.exchange.selection import select  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if output is not None:
        check_ending(output)  # before any work is done for it
    show = progress_line()

    def tell(report: ExportReport) -> None:
        show(f"{report.rows} rows, {report.seconds:.0f} s")

    with Store(catdir, cache_bytes=_CACHE_BYTES) as store:
        view = store.view(snapshot)
        if table == "image":
            found = cover_images(view, order)
        else:
            found = cover_rows(select(store, view, table, ["ra", "dec"]), order, progress=tell)
    show("")
    if output is not None:
        save_moc(found, output, overwrite=overwrite)
    facts = found.as_dict()
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(
        f"{facts['area_deg2']:.4g} square degrees ({100 * facts['sky_fraction']:.3g} % of the sky) "
        f"in {facts['cells']} cells of order {order}, from {facts['rows']} rows"
    )
    if output is not None:
        click.echo(f"wrote {output}", err=True)
