"""``uniphot``: a database tied to an outside reference."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.engine_option import calibration_options, open_calibration_engine
from dvo.cli.main import run
from dvo.cli.name_list import names_in
from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dvo.calib.photometry.reference_points import Reference
    from dvo.calib.photometry.uniphot import FilterTie
    from dvo.tables.photcode import PhotcodeTable

__all__ = ["main", "uniphot"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--reference", "words", multiple=True, required=True, metavar="PHOTCODE|FILE",
    help="REF photcode, FILTER=PHOTCODE (repeatable), or a table of stars.",
)  # fmt: skip
@click.option("--filters", metavar="F,F,…", help="Filters to tie; all of the reference if none.")
@click.option(
    "--columns", metavar="KEY=COLUMN,…",
    help="Columns of a table: ra, dec, FILTER, FILTER_err; by these names if not given.",
)  # fmt: skip
@click.option(
    "--radius", type=float, default=1.0, show_default=True, metavar="ARCSEC",
    help="How far apart a star of a table and its object may be.",
)  # fmt: skip
@click.option("--color", "colour", metavar="C1-C2", help="Fit a colour term, too, such as of g-r.")
@click.option(
    "--color-offset", "offset", type=float, metavar="MAG",
    help="Colour at which the offset holds; the median of the stars if not given.",
)  # fmt: skip
@click.option("--mag", nargs=2, type=float, metavar="BRIGHT FAINT", help="Reference magnitudes.")
@click.option(
    "--most-error", type=click.FloatRange(0, min_open=True), default=0.05, show_default=True,
    metavar="MAG", help="Greatest error of what is compared.",
)  # fmt: skip
@click.option(
    "--least-stars", type=click.IntRange(3), default=10, show_default=True,
    help="Stars that a filter needs; with less it is left alone.",
)  # fmt: skip
@click.option(
    "--region", nargs=4, type=float, metavar="RA0 RA1 DEC0 DEC1",
    help="Compare objects in a box [deg]; the offset is for all images all the same.",
)  # fmt: skip
@calibration_options
def uniphot(
    catdir: Path,
    words: tuple[str, ...],
    *,
    filters: str | None,
    columns: str | None,
    radius: float,
    colour: str | None,
    offset: float | None,
    mag: tuple[float, float] | None,
    most_error: float,
    least_stars: int,
    region: tuple[float, float, float, float] | None,
    report: Path | None,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Tie the magnitudes of CATDIR to a reference: one offset a filter, for all its images.

    The mean magnitudes of stars are compared with measures of a REF photcode that are in the
    database, or with a table (FITS, VOTable, Parquet or CSV) by place. The offset is found
    robustly, with a colour term if one is asked for, and added to the offsets of all images of
    the filter: what they are to each other stays. Measures follow, and mean magnitudes are made
    anew, in one commit: `dvo rollback` takes it back.

    \b
    Examples:
      uniphot sky --reference SDSS.g --reference SDSS.r --dry-run
      uniphot sky --reference g=CAT.V --color g-r --mag 14 18
      uniphot sky --reference stars.fits --columns ra=RAJ2000,dec=DEJ2000,g=gmag,g_err=e_gmag
    """
    from dvo.calib.photometry.uniphot import UniphotOptions  # noqa: PLC0415 - keeps --help quick
    from dvo.calib.photometry.uniphot import uniphot as tie  # noqa: PLC0415
    from dvo.partition.bounds import Box  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    options = UniphotOptions(
        colour, offset, mag or (-math.inf, math.inf), most_error, least_stars,
        Box(*region) if region else None, dry_run, report,
    )  # fmt: skip
    wanted = list(names_in(filters))
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="uniphot") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        reference = _reference(store.view().photcodes, words, wanted, columns, radius)
        done = tie(store, reference, options, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    for each in done.filters:
        _show(each)
    would = "would be moved" if dry_run else "were moved"
    click.echo(f"{catdir}: {counted(done.n_images, 'images')} {would}")


def _show(tie: FilterTie) -> None:
    """Say how a filter was tied."""
    stars = f"{tie.name} to {tie.reference}: {counted(tie.n_stars, 'stars')}"
    if not math.isfinite(tie.offset):
        click.echo(f"{stars}, too few or too much alike; left alone")
        return
    click.echo(f"{stars} ({tie.n_outliers} outliers), offset {1e3 * tie.offset:+.2f} +- "
               f"{1e3 * tie.error:.2f} mmag, scatter {1e3 * tie.scatter:.1f} mmag")  # fmt: skip
    if math.isfinite(tie.colour_term):
        click.echo(f"  colour term {tie.colour_term:+.4f} +- {tie.colour_error:.4f} about "
                   f"{tie.colour_offset:.3f}")  # fmt: skip
    if math.isfinite(tie.cell_rms):
        click.echo(f"  {tie.n_cells} parts of the sky (order {tie.cell_order}) scatter by "
                   f"{1e3 * tie.cell_rms:.2f} mmag, by their stars alone it would be "
                   f"{1e3 * tie.cell_error:.2f}")  # fmt: skip


def _reference(
    codes: PhotcodeTable, words: Sequence[str], filters: list[str], columns: str | None,
    radius: float,
) -> Reference:  # fmt: skip
    """The reference that is meant."""
    from dvo.calib.photometry.reference_points import PhotcodeReference  # noqa: PLC0415

    path = Path(words[0])
    is_word = len(words) > 1 or "=" in words[0] or words[0] in {p.name for p in codes}
    if not is_word and not path.is_file():
        raise click.UsageError(f"{words[0]}: neither a photcode of the database nor a file")
    if is_word:
        if columns:
            raise click.UsageError("--columns are of a table, and the reference is a photcode")
        return PhotcodeReference.of_words(codes, words, filters)
    return _table(path, codes, filters, columns, radius)


def _table(
    path: Path, codes: PhotcodeTable, filters: list[str], columns: str | None, radius: float
) -> Reference:
    """Read the stars of a table."""
    import numpy as np  # noqa: PLC0415 - keeps --help quick

    from dvo.calib.photometry.images import filters_by_name  # noqa: PLC0415
    from dvo.calib.photometry.reference_points import TableReference  # noqa: PLC0415
    from dvo.errors import BadCatalogError  # noqa: PLC0415
    from dvo.tables.table_files import read_chosen  # noqa: PLC0415

    called = {}
    for entry in (columns or "").split(","):
        key, equals, column = entry.strip().partition("=")
        if entry.strip() and not (key and equals and column):
            raise click.UsageError("write --columns as KEY=COLUMN,…, such as ra=RAJ2000,g=gmag")
        called[key] = column
    filters_by_name(codes, filters)  # which are known
    present: list[str] = []

    def choose(names: Sequence[str]) -> list[str]:
        all_filters = [p.name for p in codes.sec]
        present.extend(filters or [f for f in all_filters if called.get(f, f) in names])
        more = [f"{f}_err" for f in present]
        errors = [key for key in more if key in called or key in names]
        wanted = [called.get(key, key) for key in ("ra", "dec", *present, *errors)]
        lost = sorted(set(wanted) - set(names))
        if lost:
            raise BadCatalogError(
                f"{path}: no column {', '.join(lost)}; it has {', '.join(names)}; say --columns"
            )
        return wanted

    raw = read_chosen(path, choose)
    for name, values in raw.columns.items():
        if values.dtype.kind not in "iuf" or values.ndim != 1:
            raise BadCatalogError(f"{path}: column {name} holds no numbers")
    if not present:
        known = ", ".join(p.name for p in codes.sec)
        raise BadCatalogError(
            f"{path}: no column is called as an average filter ({known}); say --columns"
        )
    found = {key: raw.columns[called.get(key, key)].astype(np.float64)
             for key in ("ra", "dec", *present)}  # fmt: skip
    unknown = np.full(raw.n_rows, np.nan)
    mags = {}
    for name in present:
        error = raw.columns.get(called.get(f"{name}_err", f"{name}_err"), unknown)
        mags[filters_by_name(codes, [name])[0]] = (found[name], error.astype(np.float64))
    return TableReference(found["ra"], found["dec"], mags, dict.fromkeys(mags, path.name), radius)


def main() -> None:
    """Run the command ``uniphot``."""
    run(uniphot)
