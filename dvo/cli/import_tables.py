"""``dvo import``: tables of other tools become reference catalogs or images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.ingest_lines import report_lines
from dvo.cli.output import progress_line

if TYPE_CHECKING:
    from dvo.exchange.described_table import DescribedTable
    from dvo.ingest.report import AddstarReport
    from dvo.ingest.sources import Source
    from dvo.ingest.surveys.forms import Survey

__all__ = ["import_tables"]

_path = click.Path(path_type=Path)


@click.group(cls=CommandGroup, name="import")
def import_tables() -> None:
    """Add tables of other tools, as addstar adds catalogs.

    Tables that `dvo export` wrote are understood by the names and units of their columns;
    for others say which column is which (--map). Rows become measures of a reference
    catalog: one in each band g_mag, r_mag, … that has a value, with photcodes SYSTEM.g,
    SYSTEM.r, …, which are added if they are not there. What is in already is skipped.

    \b
    Example:
      dvo import hats sky ps1_hats --system PS1
      dvo import fits sky stars.fits --system 2MASS.J --epoch 2000 --map ra=RA,dec=DEC,mag=J
    """


def _options(command: Any) -> Any:
    """Options that all kinds have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option(
            "--batch-rows", type=click.IntRange(1), default=1_000_000, show_default=True,
            help="Rows after which is committed.",
        ),
        click.option("--match-epoch", type=float, help="Match at this epoch, by motions [yr]."),
        click.option(
            "--radius", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
            metavar="ARCSEC", help="Match radius.",
        ),
        click.option("--name", help="What the catalog is known by [its file or folder]."),
        click.option(
            "--epoch", type=float,
            help="Julian epoch of the positions [yr]; else that of each row (mean_epoch).",
        ),
        click.option("--map", "column_map", help="Columns: ra=RAJ2000,dec=DEJ2000,mag=M,…"),
        click.option("--bands", help="Bands to take, split by commas [all]."),
    ):  # fmt: skip
        command = option(command)
    return command


_system = click.option(
    "--system", required=True, help="Photometric system: photcodes are SYSTEM.band, or SYSTEM."
)


@import_tables.command()
@click.argument("catdir", type=_path)
@click.argument("folder", metavar="HATS", type=_path)
@_system
@_options
def hats(catdir: Path, folder: Path, *, system: str, **asked: Any) -> None:
    """Add a HATS catalog, or the catalog of a collection, as a reference catalog.

    Each of its files is a catalog of its own, so that an import that was cut short goes on,
    and memory is that of one file. An object is matched once a file.

    \b
    Example:
      dvo import hats sky ps1_hats --system PS1 --bands g,r
    """
    _run(catdir, [folder], "hats", system, asked)


def _file_options(command: Any) -> Any:
    for option in (
        click.option("--airmass", type=float, default=float("nan"), help="Airmass of the image."),
        click.option("--exptime", type=float, default=0.0, help="Exposure time of the image [s]."),
        click.option(
            "--mjd", type=float,
            help="FILE is one image that began at this MJD (UTC) [d]; --photcode is its photcode.",
        ),
        click.option("--photcode", help="Photcode of the image (with --mjd)."),
        click.option("--system", help="Photometric system, for catalogs; see `dvo import hats`."),
        click.argument("files", metavar="FILE…", nargs=-1, required=True, type=_path),
        click.argument("catdir", type=_path),
    ):  # fmt: skip
        command = option(command)
    return command


@import_tables.command()
@_file_options
@_options
def parquet(catdir: Path, files: tuple[Path, ...], **asked: Any) -> None:
    """Add Parquet files as reference catalogs, or one as an image (--mjd).

    \b
    Examples:
      dvo import parquet sky objects.parquet --system PS1
      dvo import parquet sky chip.parquet --photcode MYCAM.r --mjd 58849.25 --exptime 30
    """
    _run_files(catdir, files, "parquet", asked)


@import_tables.command()
@_file_options
@_options
def fits(catdir: Path, files: tuple[Path, ...], **asked: Any) -> None:
    """Add FITS tables as reference catalogs, or one as an image (--mjd).

    \b
    Examples:
      dvo import fits sky objects.fits --system PS1
      dvo import fits sky chip.fits --photcode MYCAM.r --mjd 58849.25 --exptime 30
    """
    _run_files(catdir, files, "fits", asked)


def _run_files(catdir: Path, files: tuple[Path, ...], kind: str, asked: dict[str, Any]) -> None:
    system, photcode, mjd = (asked.pop(name) for name in ("system", "photcode", "mjd"))
    image = {"exptime_s": asked.pop("exptime"), "airmass": asked.pop("airmass")}
    if mjd is None:
        if system is None:
            raise click.UsageError(
                "give --system for a catalog, or --mjd and --photcode for an image"
            )
        _run(catdir, list(files), kind, system, asked)
        return
    if photcode is None or system is not None or len(files) > 1:
        raise click.UsageError(
            "--mjd is for one FILE that is an image, with --photcode; several go by an exposure "
            "list: addstar --images"
        )
    _run_image(catdir, files[0], kind, {"photcode": photcode, "mjd": mjd, **image}, asked)


def _run(catdir: Path, paths: list[Path], kind: str, system: str, asked: dict[str, Any]) -> None:
    """Add tables as reference catalogs."""
    from dvo.exchange.described_table import as_survey, describe, sources_of  # noqa: PLC0415
    from dvo.ingest.column_map import parse_column_map  # noqa: PLC0415
    from dvo.ingest.photcodes import add_survey_photcodes  # noqa: PLC0415

    mapping = parse_column_map(asked["column_map"]) if asked["column_map"] else None
    bands = [b.strip() for b in asked["bands"].split(",")] if asked["bands"] else None
    if asked["name"] is not None and len(paths) > 1:
        raise click.UsageError("--name is for one catalog; give one FILE at a time")
    pairs: list[tuple[DescribedTable, Survey]] = []
    for path in paths:
        table = describe(kind, path)
        pairs.append((table, as_survey(table, system, mapping)))
    sources = [
        source
        for table, survey in pairs
        for source in sources_of(
            table, survey, bands=bands, epoch=asked["epoch"], name=asked["name"]
        )
    ]

    def prepare(store: Any) -> None:
        for _, survey in pairs:
            added = add_survey_photcodes(store, survey, bands)
            if added:
                click.echo(f"photcodes added: {', '.join(added)}", err=True)

    _add(catdir, sources, asked, prepare)


def _run_image(
    catdir: Path, path: Path, kind: str, facts: dict[str, Any], asked: dict[str, Any]
) -> None:
    """Add a table as an image."""
    from dvo.exchange.described_table import describe, image_source  # noqa: PLC0415
    from dvo.ingest.column_map import parse_column_map  # noqa: PLC0415

    if asked["bands"] is not None or asked["epoch"] is not None:
        raise click.UsageError("--bands and --epoch are for catalogs; an image has --mjd")
    mapping = parse_column_map(asked["column_map"]) if asked["column_map"] else None
    source = image_source(describe(kind, path), asked["name"] or path.name, mapping, **facts)
    _add(catdir, [source], asked, lambda _: None, has_images=True)


def _add(
    catdir: Path,
    sources: list[Source],
    asked: dict[str, Any],
    prepare: Callable[[Any], None],
    *,
    has_images: bool = False,
) -> None:
    from dvo.ingest.addstar import addstar  # noqa: PLC0415 - keeps --help quick
    from dvo.ingest.options import make_options  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    options = make_options(
        radius_arcsec=asked["radius"], one_to_one=True, replace=False,
        batch_rows=asked["batch_rows"], match_epoch=asked["match_epoch"], min_snr=0.0,
        exclude_flags="0", area=None, max_cerror_arcsec=None, accept_bad_astrometry=False,
    )  # fmt: skip
    show = progress_line()

    def tell(report: AddstarReport) -> None:
        show(f"{report.n_detections} rows, {report.n_new} new objects, {report.seconds:.0f} s")

    context = click.get_current_context()
    given = {
        name: str(value)
        for name, value in context.params.items()
        if name not in ("catdir", "as_json")
        and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    with Store(catdir, writable=True, command="dvo import") as store:
        prepare(store)
        report = addstar(store, sources, options, params={"options": given}, progress=tell)
    show("")
    if asked["as_json"]:
        click.echo(json.dumps(report.as_dict()))
        return
    n_added = report.n_images if has_images else len(sources) - report.n_skipped
    for line in report_lines(report, n_added, has_images=has_images):
        click.echo(line)
