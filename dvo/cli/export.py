"""``dvo export``: tables for other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.output import progress_line
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.exchange.report import ExportReport, Progress

__all__ = ["export"]

_SKY_TABLES = (
    "object", "average", "measure", "secfilt", "galphot", "lensing", "lensobj", "starpar", "missing"
)  # fmt: skip
_TABLES = (*_SKY_TABLES, "image", "photcode")
_CACHE_BYTES = 64 * 2**20


@click.group(cls=CommandGroup)
def export() -> None:
    """Write tables of a database for other tools.

    Units, UCDs and descriptions of columns go along. The table object is Average with the
    magnitudes of its filters as columns: g_mag, g_mag_err, … What is written appears when
    it is whole: an export that was cut short leaves a hidden .part, which may be deleted.

    \b
    Example:
      dvo export hats sky sky_hats
      dvo export fits sky stars.fits --columns ra,dec,g_mag,g_mag_err
    """


def _options(*, tables: tuple[str, ...], default: str) -> Callable[[Any], Any]:
    """Options that all forms have."""

    def add(command: Any) -> Any:
        for option in (
            click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
            click.option("--overwrite", is_flag=True, help="Replace an earlier export."),
            snapshot_option,
            click.option(
                "--region",
                nargs=4,
                type=float,
                metavar="RA0 RA1 DEC0 DEC1",
                help="Only rows in this box [deg]; RA0 above RA1 means across RA 0.",
            ),
            click.option(
                "--columns",
                help="Columns and magnitude words, split by commas; 'all' for all columns. "
                "Without it those that hold anything.",
            ),
            click.option(
                "--table", type=click.Choice(tables), default=default, show_default=True,
                help="Which table.",
            ),
            click.argument("target", metavar="OUT", type=click.Path(path_type=Path)),
            click.argument("catdir", type=click.Path(path_type=Path)),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


@export.command()
@_options(tables=_SKY_TABLES, default="object")
@click.option(
    "--max-rows",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Rows of a file; pixels with more are cut in four.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="ARCSEC",
    help="Width of the margin cache; 0 for none.",
)
def hats(*, max_rows: int, margin: float, **asked: Any) -> None:
    """Write a HATS collection, which opens in LSDB: Parquet files by HEALPix pixel.

    OUT is a folder with the catalog, its margin cache and collection.properties. Measures
    become a catalog of sources, the others one of objects.

    \b
    Examples:
      dvo export hats sky sky_hats
      dvo export hats sky sources --table measure --columns ra,dec,mjd,mag:rel,mag:err
    """
    from dvo.exchange.hats.export import HatsOptions, export_hats  # noqa: PLC0415
    from dvo.exchange.selection import select  # noqa: PLC0415

    options = HatsOptions(max_rows, margin)

    def write(store: Any, view: Any, area: Any, tell: Progress) -> ExportReport:
        extract = select(store, view, asked["table"], _columns(asked), area, with_position=True)
        return export_hats(
            extract, asked["target"], options, overwrite=asked["overwrite"], progress=tell
        )

    _export(asked, write)


@export.command()
@_options(tables=_TABLES, default="object")
def parquet(**asked: Any) -> None:
    """Write one Parquet file, with a description of its columns as VOParquet has it.

    \b
    Example:
      dvo export parquet sky objects.parquet
    """
    _run_file("parquet", asked)


@export.command()
@_options(tables=_TABLES, default="object")
@click.option(
    "--catdir", "as_catdir", is_flag=True, help="Write a folder in the layout of the original DVO."
)
def fits(*, as_catdir: bool, **asked: Any) -> None:
    """Write a plain FITS table, or the whole database as the original DVO lays it out.

    With --catdir OUT is a folder with SkyTable.fits, Photcodes.dat, Images.dat and a .cpt,
    .cps and .cpm file a region, and files of satellite tables where there are rows:
    uncompressed tables of the format PS1_V6.

    \b
    Examples:
      dvo export fits sky measures.fits --table measure --region 56 57 24 25
      dvo export fits sky old_sky --catdir
    """
    if not as_catdir:
        _run_file("fits", asked)
        return
    if asked["columns"] is not None or _is_given("table"):
        raise click.UsageError("--catdir writes all tables and columns; leave those options out")
    from dvo.exchange.original.export import export_catdir  # noqa: PLC0415

    def write(store: Any, view: Any, area: Any, tell: Progress) -> ExportReport:
        target, overwrite = asked["target"], asked["overwrite"]
        return export_catdir(store, view, target, area, overwrite=overwrite, progress=tell)

    _export(asked, write)


@export.command()
@_options(tables=_TABLES, default="object")
def votable(**asked: Any) -> None:
    """Write a VOTable (BINARY2).

    \b
    Example:
      dvo export votable sky field.vot --region 56.5 57 24 24.5
    """
    _run_file("votable", asked)


@export.command()
@_options(tables=_TABLES, default="object")
def csv(**asked: Any) -> None:
    """Write comma-separated values under a line of names.

    An OUT that ends in .ecsv begins with types, units and descriptions, as astropy and
    TOPCAT read them; plain CSV has no room for these.

    \b
    Examples:
      dvo export csv sky field.csv --region 56.5 57 24 24.5
      dvo export csv sky images.ecsv --table image
    """
    _run_file("ecsv" if asked["target"].suffix.lower() == ".ecsv" else "csv", asked)


def _run_file(kind: str, asked: dict[str, Any]) -> None:
    from dvo.exchange.selection import select  # noqa: PLC0415
    from dvo.exchange.table_file import export_file  # noqa: PLC0415

    def write(store: Any, view: Any, area: Any, tell: Progress) -> ExportReport:
        extract = select(store, view, asked["table"], _columns(asked), area)
        target, overwrite = asked["target"], asked["overwrite"]
        return export_file(extract, kind, target, overwrite=overwrite, progress=tell)

    _export(asked, write)


def _columns(asked: dict[str, Any]) -> list[str] | None:
    if asked["columns"] is None:
        return None
    return [c.strip() for c in asked["columns"].split(",") if c.strip()]


def _export(asked: dict[str, Any], write: Callable[..., ExportReport]) -> None:
    """Open the database, have it written, say what was written."""
    from dvo.partition.bounds import Box  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    show = progress_line()
    area = Box(*asked["region"]) if asked["region"] else None

    def tell(report: ExportReport) -> None:
        show(f"{report.rows} rows, {report.seconds:.0f} s")

    # Every tile is read once or twice and not again.
    with Store(asked["catdir"], cache_bytes=_CACHE_BYTES) as store:
        report = write(store, store.view(asked["snapshot"]), area, tell)
    show("")
    if asked["as_json"]:
        click.echo(json.dumps(report.as_dict()))
        return
    more = "".join(f", {counted(n, name.replace('_', ' '))}" for name, n in report.more.items())
    click.echo(
        f"wrote {report.path}: {counted(report.rows, 'rows')}{more}, {report.bytes / 1e6:.1f} MB, "
        f"{report.seconds:.1f} s"
    )


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE
