"""``addstar``: add catalogs to a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.engine_option import engine_option, open_writing_engine, workers_option
from dvo.cli.ingest_lines import report_lines
from dvo.cli.main import run_program
from dvo.cli.output import progress_line
from dvo.ingest.surveys.names import SURVEY_NAMES

if TYPE_CHECKING:
    from dvo.ingest.report import AddstarReport
    from dvo.ingest.sources import Source
    from dvo.ingest.surveys.forms import Survey
    from dvo.partition.store import Store

__all__ = ["addstar", "main"]

_MAX_RADIUS = 3600.0  # arcsec; that of AddstarOptions


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--images",
    "lists",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Exposure list (csv: file,name,photcode,mjd,exptime,airmass) of tables; needs --map.",
)
@click.option("--map", "column_map", help="Columns of plain tables: ra=RAJ2000,dec=DEJ2000,mag=M,…")
@click.option(
    "--ref", "ref", help="FILES are reference catalogs of this REF photcode; needs --map."
)
@click.option(
    "--epoch",
    type=float,
    help="Julian epoch of the positions of --ref, or of those of --survey that have none [yr].",
)
@click.option(
    "--name", help="What the catalog of --ref or --survey is known by; else the name of its file."
)
@click.option(
    "--survey",
    type=click.Choice(SURVEY_NAMES),
    help="FILES are of this survey, as it is published; none for those that a package brings.",
)
@click.option("--bands", metavar="B,…", help="Bands of --survey to take, such as J,K; else all.")
@click.option("--system", help="First word of the photcodes of --survey, instead of its own.")
@click.option(
    "--match-epoch",
    type=float,
    help="Bring rows of surveys with proper motions to this epoch for matching [yr].",
)
@click.option("--photcode", help="Photcode of all images, instead of that of the headers.")
@click.option(
    "--radius", type=float, default=1.0, show_default=True, metavar="ARCSEC", help="Match radius."
)
@click.option(
    "--all-matches", is_flag=True, help="Let an object take several detections of an image."
)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace images that are in with other content. Only the file counts: the same file with "
    "other options of selection is skipped; to change these, delete the image first "
    "(dvo delete images).",
)
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out files that cannot be read and images of bad astrometry, and list them at the "
    "end, instead of stopping.",
)
@click.option("--min-snr", type=float, default=0.0, help="Least signal to noise of a detection.")
@click.option("--exclude-flags", default="0", help="phot_flags bits that exclude a detection, 0x….")
@click.option(
    "--area", nargs=4, type=float, metavar="X0 X1 Y0 Y1", help="Good area of a chip [pixel]."
)
@click.option("--max-cerror", type=float, help="Greatest astrometric error of an image [arcsec].")
@click.option(
    "--satellites/--no-satellites",
    default=True,
    show_default=True,
    help="Fill GalPhot and Lensing from the extensions .xfit, .xgal, .xrad and the LENS_ columns "
    "of psphot catalogs. An image added without them gets them with --replace.",
)
@click.option("--accept-astrom", is_flag=True, help="Take images whose astrometry failed.")
@click.option(
    "--batch-rows",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Detections after which is committed.",
)
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def addstar(
    catdir: Path,
    files: tuple[Path, ...],
    *,
    lists: tuple[Path, ...],
    column_map: str | None,
    ref: str | None,
    epoch: float | None,
    name: str | None,
    survey: str | None,
    bands: str | None,
    system: str | None,
    match_epoch: float | None,
    photcode: str | None,
    radius: float,
    all_matches: bool,
    replace: bool,
    skip_bad: bool,
    min_snr: float,
    exclude_flags: str,
    area: tuple[float, float, float, float] | None,
    max_cerror: float | None,
    satellites: bool,
    accept_astrom: bool,
    batch_rows: int,
    engine: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Add catalogs to the database CATDIR: detections find their objects.

    FILES are psphot catalogs (.smf, .cmf) or FITS-LDAC. Plain tables (FITS, Parquet,
    VOTable, CSV) come by an exposure list (--images) or as reference catalogs (--ref).
    Images are taken in the order given. A run that was stopped goes on when it is run
    again: images that are in are skipped. Batches are committed as they are done.
    A reference catalog is known by its photcode and its name (--name). Surveys (--survey)
    bring their photcodes with them; an entry gives a measure in every band it was measured in.
    With --engine hosts the partition hosts associate and write: each the images of a part of the
    sky that has nothing to do with the others. Files are read, and replaced images (--replace)
    done, in this process; a batch is one commit in any case.

    \b
    Examples:
      addstar sky night1/*.smf
      addstar sky --images exposures.csv --map ra=ra,dec=dec,mag=mag,mag_err=magerr
      addstar sky psc.csv --ref 2MASS.J --name 2MASS --epoch 2000 --map ra=ra,dec=dec,mag=j_m
      addstar sky --survey hipparcos --match-epoch 2016
      addstar sky GaiaSource_*.csv.gz --survey gaia
      addstar sky psc_aaa.gz --survey 2mass --bands J,K
      addstar sky night1/*.smf --engine hosts
    """
    from dvo.ingest.addstar import addstar as add  # noqa: PLC0415 - keeps --help quick
    from dvo.ingest.options import make_options  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if not 0 < radius < _MAX_RADIUS:
        raise click.BadParameter(
            f"{radius:g} arcsec; it must be above 0 and below 3600", param_hint="--radius"
        )
    options = make_options(
        radius_arcsec=radius,
        one_to_one=not all_matches,
        replace=replace,
        skip_bad=skip_bad,
        batch_rows=batch_rows,
        match_epoch=match_epoch,
        min_snr=min_snr,
        exclude_flags=exclude_flags,
        area=area,
        max_cerror_arcsec=max_cerror,
        accept_bad_astrometry=accept_astrom,
    )
    if name is not None and ref is None and survey is None:
        raise click.UsageError("--name is for a reference catalog (--ref, --survey)")
    if survey is None and (bands is not None or system is not None):
        raise click.UsageError("--bands and --system are for a survey (--survey)")
    known = None if survey is None else _survey(survey, bands, system)
    sources = _sources(files, lists, column_map, ref, epoch, name, known, photcode, satellites)
    has_images = ref is None and survey is None
    show = progress_line()

    def tell(report: AddstarReport) -> None:
        what = f"{report.n_images} images, " if has_images else ""
        show(
            f"{what}{report.n_detections} {'detections' if has_images else 'rows'}, "
            f"{report.n_new} new objects, {report.seconds:.0f} s"
        )

    context = click.get_current_context()
    # The inputs of a commit are in its record image by image; here the options that were given.
    given = {
        name: str(value)
        for name, value in context.params.items()
        if name not in ("catdir", "files", "lists", "as_json")
        and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    with (
        Store(catdir, writable=True, command="addstar") as store,
        open_writing_engine(engine, store, workers) as opened,
    ):
        if known is not None:
            _add_photcodes(store, *known)
        report = add(
            store, sources, options, params={"options": given}, engine=opened, progress=tell
        )
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    n_added = report.n_images if has_images else len(sources) - report.n_skipped
    for line in report_lines(report, n_added, has_images=has_images):
        click.echo(line)


def _survey(name: str, bands: str | None, system: str | None) -> tuple[Survey, list[str] | None]:
    """A survey, and the bands of it that are wanted."""
    from dvo.ingest.surveys.registry import find_survey  # noqa: PLC0415

    wanted = None if bands is None else [b.strip() for b in bands.split(",") if b.strip()]
    return find_survey(name, system), wanted


def _add_photcodes(store: Store, survey: Survey, bands: list[str] | None) -> None:
    from dvo.ingest.photcodes import add_survey_photcodes  # noqa: PLC0415

    added = add_survey_photcodes(store, survey, bands)
    if added:
        click.echo(f"photcodes added: {', '.join(added)}", err=True)


def _sources(
    files: Sequence[Path],
    lists: Sequence[Path],
    column_map: str | None,
    ref: str | None,
    epoch: float | None,
    name: str | None,
    survey: tuple[Survey, list[str] | None] | None,
    photcode: str | None,
    satellites: bool,
) -> list[Source]:
    from dvo.ingest import sources  # noqa: PLC0415
    from dvo.ingest.column_map import parse_column_map  # noqa: PLC0415

    if sum([bool(lists), ref is not None, survey is not None]) > 1:
        raise click.UsageError("--images, --ref and --survey exclude each other")
    if survey is not None:
        which, bands = survey
        return sources.survey_sources(which, files, bands=bands, epoch=epoch, name=name)
    if lists or ref is not None:
        if column_map is None:
            raise click.UsageError("plain tables need --map, such as --map ra=RA,dec=DEC,mag=MAG")
        mapping = parse_column_map(column_map)
        if lists:
            if files:
                raise click.UsageError("with --images the files stand in the list; give no FILES")
            return sources.exposure_sources(lists, mapping)
        if epoch is None:
            raise click.UsageError("--ref needs --epoch, the Julian year of the positions")
        if not files:
            raise click.UsageError("--ref needs FILES, the tables of the catalog")
        return sources.reference_sources(files, mapping, photcode=ref or "", epoch=epoch, name=name)
    if not files:
        raise click.UsageError("nothing to add: give FILES, --images, --ref or --survey")
    return sources.catalog_sources(files, photcode=photcode, satellites=satellites)


def main() -> None:
    """Entry point of ``addstar``."""
    run_program(addstar)
