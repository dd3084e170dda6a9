"""``setphot``: zero points and flat fields from tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.engine_option import calibration_options, open_calibration_engine
from dvo.cli.main import run
from dvo.cli.name_list import names_in
from dvo.cli.output import progress_line
from dvo.cli.selection_options import image_options, image_selection_of
from dvo.counted import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dvo.calib.photometry.given_columns import GivenColumns

__all__ = ["main", "setphot"]

_path = click.Path(path_type=Path)


@click.command()
@click.argument("catdir", type=_path)
@click.argument("table", type=_path, required=False)
@click.option("--flats", type=_path, metavar="TABLE", help="Flat fields to set: a row a cell.")
@click.option("--filters", metavar="F,F,…", help="Only images of these average filters.")
@image_options
@click.option("--ubercal", is_flag=True, help="Mark the images as of ubercal: relphot leaves them.")
@click.option(
    "--at-airmass", is_flag=True,
    help="Zero points are those at the airmass of each image, not reduced to airmass 1.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse a table with rows that mean no image.")
@calibration_options
def setphot(
    catdir: Path,
    table: Path | None,
    *,
    flats: Path | None,
    filters: str | None,
    ubercal: bool,
    at_airmass: bool,
    strict: bool,
    report: Path | None,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Give images of CATDIR the zero points of TABLE (CSV, FITS, VOTable or Parquet).

    A row means an image by image_id, by name (of an image, or of an exposure with all its
    chips), or by mjd and photcode; a photcode may be an average filter. It has mcal_psf, the
    offset from the nominal zero point that is subtracted from magnitudes, or zero_point; and
    may have dmcal (error), mcal_aper or zero_point_aper, and ubercal (0 or 1). Flat fields have
    photcode, x, y (cell, from 0), dx, dy (its size in pixels), offset, mjd_start, mjd_stop.
    Measures get what their images got, and mean magnitudes are made anew, in one commit:
    `dvo rollback` takes it back.

    \b
    Examples:
      setphot sky zero_points.csv --dry-run
      setphot sky night.fits --ubercal --strict
      setphot sky --flats flats.parquet
    """
    from dvo.calib.photometry.given_flats import FLAT_COLUMNS  # noqa: PLC0415 - keeps --help quick
    from dvo.calib.photometry.given_points import POINT_COLUMNS  # noqa: PLC0415
    from dvo.calib.photometry.setphot import SetphotOptions  # noqa: PLC0415
    from dvo.calib.photometry.setphot import setphot as give  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if table is None and flats is None:
        raise click.UsageError("give a TABLE of zero points, or --flats TABLE, or both")
    options = SetphotOptions(
        names_in(filters),
        image_selection_of(chosen),
        at_airmass=at_airmass,
        is_ubercal=ubercal,
        is_strict=strict,
        dry_run=dry_run,
        report=report,
    )
    points = None if table is None else _read(table, POINT_COLUMNS)
    cells = None if flats is None else _read(flats, FLAT_COLUMNS)
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="setphot") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        done = give(store, points, cells, options, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    would = "would get" if dry_run else "got"
    if table is not None:
        change = done.median_change
        by = f"; median change {1e3 * change:+.2f} mmag" if math.isfinite(change) else ""
        click.echo(f"{catdir}: {counted(done.n_images, 'images')} {would} the zero points of "
                   f"{counted(done.n_rows, 'rows')}{by}")  # fmt: skip
    if flats is not None:
        click.echo(f"{catdir}: {counted(done.n_flats, 'flat fields')} "
                   f"{'would be' if dry_run else 'were'} set")  # fmt: skip
    for n, words in (
        (done.n_ubercal, "of them marked as of ubercal"),
        (done.n_left_out, "images left out by the options"),
        (done.n_skipped, "images are not to be calibrated (PHOTOM_NOCAL, PHOTOM_SKIP), and stay"),
    ):
        if n:
            click.echo(f"note: {n} {words}")
    if done.n_unmatched:
        first = ", ".join(map(str, done.unmatched))
        more = ", …" if done.n_unmatched > len(done.unmatched) else ""
        click.echo(f"note: no image is meant by {counted(done.n_unmatched, 'rows')}: {first}{more}")


def _read(path: Path, spellings: Mapping[str, Sequence[str]]) -> GivenColumns:
    """Read the columns of a table file that are known."""
    from dvo.calib.photometry.given_columns import GivenColumns  # noqa: PLC0415
    from dvo.tables.table_files import read_chosen  # noqa: PLC0415

    raw = read_chosen(path, GivenColumns.choose(spellings))
    return GivenColumns(str(path), raw.columns)


def main() -> None:
    """Run the command ``setphot``."""
    run(setphot)
