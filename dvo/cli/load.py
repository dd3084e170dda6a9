"""``dvo load``: rows of satellite tables from tables of other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.ingest.satellites.load import LoadReport
    from dvo.tables.schema import TableSchema

__all__ = ["load"]

_path = click.Path(path_type=Path)


@click.group(cls=CommandGroup)
def load() -> None:
    """Load stellar parameters, galaxy models or lensing terms of known objects, from tables.

    FILES are FITS, Parquet, VOTable or CSV, with columns called as in the table (docs:
    reference/tables.md), or named by --map. A row is of the object that it names by cat_id
    and obj_id, else by ext_id, else by image_id and det_id of one of its measures, else by
    ra and dec: then the nearest within --radius, each object once. Rows without an object
    are counted and left out. All is one commit; what is there already is left alone.

    \b
    Example:
      dvo load starpar sky stars.fits --map e_bv=EBV,distance_mod=DM
    """


def _options(command: Any) -> Any:
    """Options that all tables have."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing."),
        click.option("--hdu", help="HDU of FITS files, by number or name [their first table]."),
        click.option(
            "--epoch", type=float,
            help="Julian epoch of the positions [yr]; else the median time of the images.",
        ),
        click.option(
            "--radius", type=float, default=1.0, show_default=True, metavar="ARCSEC",
            help="Match radius for rows that give a position.",
        ),
        click.option("--map", "column_map", default="", help="Columns: e_bv=EBV,ra=RAJ2000:rad,…"),
        click.argument("files", metavar="FILE…", nargs=-1, required=True, type=_path),
        click.argument("catdir", type=_path),
    ):  # fmt: skip
        command = option(command)
    return command


@load.command()
@_options
def starpar(catdir: Path, files: tuple[Path, ...], **asked: Any) -> None:
    """Load StarPar: distance, reddening and kind of stars; one row an object.

    A row takes the place of an older one of its object. Files of Green et al. (a table with
    l, b, conv, lnZ, DM, EBV, Mr, FeH and an image of percentiles) are understood as they are.

    \b
    Examples:
      dvo load starpar sky green_n0000.fits --radius 1 --epoch 2012
      dvo load starpar sky stars.csv --map ra=RA,dec=DE,e_bv=ebv,distance_mod=mu
    """
    from dvo.tables.starpar import STARPAR  # noqa: PLC0415 - keeps --help quick

    _run(catdir, files, STARPAR, asked)


@load.command()
@click.option("--photcode", help="Photcode of rows that name no image.")
@_options
def galphot(catdir: Path, files: tuple[Path, ...], **asked: Any) -> None:
    """Load GalPhot: galaxy models; one row an object, image, detection, photcode and model.

    A row takes the place of an older one that agrees in all of these. model_type is DEV, EXP or
    SER, or its number. (The extensions of psphot catalogs are taken in by addstar.)

    \b
    Example:
      dvo load galphot sky galaxies.parquet --photcode GPC1.r.SkyChip
    """
    from dvo.tables.galphot import GALPHOT  # noqa: PLC0415 - keeps --help quick

    _run(catdir, files, GALPHOT, asked)


@load.command()
@_options
def lensing(catdir: Path, files: tuple[Path, ...], **asked: Any) -> None:
    """Load Lensing: lensing terms and aperture fluxes; one row an image and detection.

    A row that is there with other values is an error: it belongs to its image. The means
    in LensObj are made anew.

    \b
    Example:
      dvo load lensing sky shapes.fits --map image_id=IMAGE,det_id=DET
    """
    from dvo.tables.lensing import LENSING  # noqa: PLC0415 - keeps --help quick

    _run(catdir, files, LENSING, asked)


def _run(catdir: Path, files: tuple[Path, ...], schema: TableSchema, asked: dict[str, Any]) -> None:
    from dvo.ingest.as_matched import stored_times  # noqa: PLC0415 - keeps --help quick
    from dvo.ingest.satellites.load import LoadOptions, load_rows  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.proper_motion import epoch_to_mjd  # noqa: PLC0415

    hdu, epoch = asked["hdu"], asked["epoch"]
    options = LoadOptions(
        column_map=asked["column_map"],
        radius_arcsec=asked["radius"],
        time_s=None if epoch is None else float(stored_times(epoch_to_mjd(epoch))),
        photcode=asked.get("photcode"),
        hdu=int(hdu) if hdu is not None and hdu.isdigit() else hdu,
        dry_run=asked["dry_run"],
    )
    params = {"files": [path.name for path in files], "options": {
        name: str(value) for name, value in asked.items()
        if value not in (None, "", False) and name != "as_json"
    }}  # fmt: skip
    show = progress_line()
    with Store(catdir, writable=True, command="dvo load") as store:
        report = load_rows(store, schema, files, options, params=params, progress=show)
    show("")
    if asked["as_json"]:
        click.echo(json.dumps(report.as_dict()))
        return
    for line in _lines(report, dry_run=options.dry_run):
        click.echo(line)


def _lines(report: LoadReport, *, dry_run: bool) -> Iterator[str]:
    """Say what was done, in words."""
    would = "would be " if dry_run else ""
    yield (
        f"{report.table}: {counted(report.n_added, 'rows')} {would}added, "
        f"{report.n_replaced} {would}replaced, "
        f"{report.n_unchanged} there already; {report.n_unmatched} of {report.n_rows} without an "
        f"object (by {report.found_by}); {report.seconds:.1f} s"
    )
    for name in report.unmatched:
        yield f"no object: {name}"
    if report.n_unmatched > len(report.unmatched):
        yield f"no object: {report.n_unmatched - len(report.unmatched)} more"
    for reason, n in report.n_dropped.items():
        yield f"left out: {n} ({reason})"
