"""``setastrom``: astrometric solutions from tables and headers, and effects of cameras."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.engine_option import engine_option, open_calibration_engine, workers_option
from dvo.cli.main import run
from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.calib.astrometry.given_solutions import GivenSolutions
    from dvo.calib.astrometry.setastrom import SetastromReport
    from dvo.tables.column_table import ColumnTable

__all__ = ["main", "setastrom"]

_path = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("table", type=_path, required=False)
@click.option(
    "--header", "headers", nargs=2, type=(str, _path), multiple=True, metavar="IMAGE FILE",
    help="A header, FITS or its lines as text, for an image by name or number; repeatable.",
)  # fmt: skip
@click.option(
    "--limit",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="MAS",
    help="Greatest error of a fit of a header's solution to the terms that an image has.",
)
@click.option(
    "--effects", type=_path, metavar="FILE",
    help="Correct pixels for the systematic effects of a file (JSON).",
)  # fmt: skip
@click.option(
    "--measure", type=click.Path(path_type=Path), metavar="OUT",
    help="Measure the effects of --effects, and write them to a file; change nothing.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse solutions for images that are not there.")
@click.option("--dry-run", is_flag=True, help="Report what would be done; change nothing.")
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def setastrom(
    catdir: Path,
    table: Path | None,
    *,
    headers: tuple[tuple[str, Path], ...],
    limit: float,
    effects: Path | None,
    measure: Path | None,
    strict: bool,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Give images of CATDIR the astrometric solutions of TABLE, or of headers.

    A row of TABLE (CSV, FITS, VOTable or Parquet) means an image, or the focal plane of an
    exposure, by image_id or name. It has crval1, crval2, crpix1, … pc2_2 as in the table Image,
    and npolyterms with polyterms or pca1x2y0 … pca2x0y3; columns that are not there stay as they
    are. A header may be psastro's, TAN, SIP, TPV or another that astropy reads; a chip of a
    mosaic gets a cubic in its focal plane.

    Measures of these images move to where their pixels are now, and objects in their regions are
    fitted anew, in one commit: `dvo rollback` takes it back.

    With --effects pixels of measures are corrected instead: for their brightness (kh), refraction
    by colour (dcr) and the camera (cam), see the documentation. --measure finds these corrections
    from the residuals of the measures.

    \b
    Examples:
      setastrom sky solutions.parquet --dry-run
      setastrom sky --effects chips.json --measure measured.json
      setastrom sky --effects measured.json
      setastrom sky --header o5512g0017o.XY33 chip.head --limit 2
    """
    from dvo.calib.astrometry.new_solutions import IMAGE_COLUMNS  # noqa: PLC0415 - quick --help
    from dvo.calib.astrometry.setastrom import setastrom as give  # noqa: PLC0415
    from dvo.errors import BadCatalogError  # noqa: PLC0415
    from dvo.partition.manifest import ALL_SKY  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.tables.image import IMAGE  # noqa: PLC0415

    if (table is not None) + bool(headers) + (effects is not None) != 1:
        raise click.UsageError("give a TABLE of solutions, or one --header or more, or --effects")
    if effects is not None:
        if dry_run or strict:
            raise click.UsageError("--dry-run and --strict are of solutions; see --measure")
        facts = _effects(catdir, effects, measure, engine, workers)
        click.echo(json.dumps(facts) if as_json else f"{catdir}: {_in_words(facts)}")
        return
    if measure is not None:
        raise click.UsageError("--measure goes with --effects")
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="setastrom") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        images = store.view().read(IMAGE, ALL_SKY, IMAGE_COLUMNS)
        given = _read(table, headers, images, limit)
        if strict and given.unmatched:
            raise BadCatalogError(f"no image is called {given.unmatched[0]} "
                                  f"({len(given.unmatched)} such); --strict was said")  # fmt: skip
        done = give(store, given, dry_run=dry_run, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    _print(catdir, done, dry_run=dry_run)


def _effects(
    catdir: Path, path: Path, target: Path | None, engine: str, workers: int | None
) -> dict[str, Any]:
    """Measure the effects of a file, or correct for them; returns the report."""
    from dvo.calib.astrometry.effect_files import read_effects, write_effects  # noqa: PLC0415
    from dvo.calib.astrometry.effect_fit import fit_effects  # noqa: PLC0415 - takes a while
    from dvo.calib.astrometry.effect_measures import EffectImages  # noqa: PLC0415
    from dvo.calib.astrometry.offsets import write_offsets  # noqa: PLC0415
    from dvo.calib.json_values import with_nulls  # noqa: PLC0415
    from dvo.errors import StorageError  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if target is not None and target.exists():
        raise StorageError(f"{target} exists; give another name")  # before any work is done
    show = progress_line()
    with (
        Store(catdir, writable=target is None, command="setastrom") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        view = store.view()
        given = read_effects(path, view.photcodes, EffectImages.read(view))
        if target is None:
            facts = asdict(write_offsets(store, given, engine=opened, progress=show))
        else:
            found = fit_effects(view, given, progress=show)
            write_effects(target, found.effects, view.photcodes)
            facts = {
                "n_values": len(found.error), "n_significant": found.n_significant,
                "n_measures": found.n_measures,
                "rms_before_mas": found.rms_before_mas, "rms_after_mas": found.rms_after_mas,
            }  # fmt: skip
    show("")
    out: dict[str, Any] = with_nulls(facts)
    return out


def _in_words(facts: dict[str, Any]) -> str:
    if "rms_pix" in facts:
        by = f", by {facts['rms_pix']:.4f} pixels rms" if facts["rms_pix"] is not None else ""
        return f"{counted(facts['n_measures'], 'measures')} corrected{by}"
    before, after = (f"{facts[n] or math.nan:.2f} mas" for n in ("rms_before_mas", "rms_after_mas"))
    beyond = facts["n_significant"]
    return (f"{counted(facts['n_values'], 'shifts')} measured from "
            f"{counted(facts['n_measures'], 'measures')}, {beyond} of them beyond three errors; "
            f"rms {before}, {after} after")  # fmt: skip


def _read(
    table: Path | None, headers: tuple[tuple[str, Path], ...], images: ColumnTable, limit: float
) -> GivenSolutions:
    from dvo.calib.astrometry.given_solutions import (  # noqa: PLC0415 - keeps --help quick
        SOLUTION_COLUMNS,
        read_header,
        solutions_of_headers,
        solutions_of_table,
    )
    from dvo.calib.photometry.given_columns import GivenColumns  # noqa: PLC0415
    from dvo.tables.table_files import read_chosen  # noqa: PLC0415

    if table is not None:
        raw = read_chosen(table, GivenColumns.choose(SOLUTION_COLUMNS))
        return solutions_of_table(GivenColumns(str(table), raw.columns), images)
    read = [(name, read_header(path)) for name, path in headers]
    return solutions_of_headers(read, images, limit_arcsec=limit / 1e3)


def _print(catdir: Path, done: SetastromReport, *, dry_run: bool) -> None:
    would = "would get" if dry_run else "got"
    by = done.median_shift_mas
    shift = f"; median shift {by:.2f} mas" if math.isfinite(by) else ""
    planes = counted(done.n_planes, "focal planes")
    click.echo(f"{catdir}: {counted(done.n_images, 'images')} and {planes} {would} new "
               f"astrometry{shift}")  # fmt: skip
    if done.n_measures:
        click.echo(f"{counted(done.n_measures, 'measures')} moved by {done.rms_shift_mas:.2f} mas "
                   f"rms, at most {done.most_shift_mas:.2f}; "
                   f"{counted(done.n_objects, 'objects')} fitted anew ({done.model})")  # fmt: skip
    if done.n_left:
        click.echo(f"note: {counted(done.n_left, 'measures')} have no pixels, and stay")
    if done.unmatched:
        click.echo(f"note: no image is called {', '.join(done.unmatched[:20])}")


def main() -> None:
    """Run the command ``setastrom``."""
    run(setastrom)
