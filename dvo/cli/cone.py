"""``dvo cone``: rows within a circle."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.negative_numbers import NumbersCommand
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option

__all__ = ["cone"]

_DEFAULT_COLUMNS = {
    "average": "distance,ra,dec,ra_err,dec_err,nmeasure,cat_id,obj_id,ext_id,flags",
    "measure": "distance,ra,dec,mjd,photcode_name,mag,mag_err,image_id,det_id,cat_id,obj_id",
    "image": (
        "distance,image_id,name,photcode_name,mjd,exptime,secz,ra_center,dec_center,radius,nstar"
    ),
    "galphot": (
        "distance,ra,dec,photcode_name,model_type,mag,mag_err,major_axis,minor_axis,theta,index,"
        "flags,image_id,det_id,cat_id,obj_id"
    ),
    "lensing": (
        "distance,ra,dec,flux_ap_r5,flux_err_ap_r5,e1_psf,e2_psf,image_id,det_id,cat_id,obj_id"
    ),
    "lensobj": (
        "distance,ra,dec,photcode_name,nmeas,flux_ap_r5,flux_err_ap_r5,flux_std_ap_r5,cat_id,obj_id"
    ),
    "starpar": "distance,ra,dec,e_bv,distance_mod,m_r_abs,f_e_h,cat_id,obj_id",
    "missing": "distance,ra,dec,mjd,photcode_name,mag,mag_limit,image_id,x_ccd,y_ccd,cat_id,obj_id",
}


@click.command(cls=NumbersCommand)
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.argument("radius_arcsec", type=float)
@click.option(
    "--table",
    type=click.Choice(list(_DEFAULT_COLUMNS)),
    default="average",
    show_default=True,
    help="Which table.",
)
@click.option(
    "--columns", help="Columns and magnitude words, split by commas; 'all' for all columns."
)
@click.option(
    "--sort",
    type=click.Choice(["distance", "stored"]),
    default="distance",
    show_default=True,
    help="The nearest first, or the order in which rows are stored (quicker if there are many).",
)
@snapshot_option
@format_option
@output_option
def cone(
    catdir: Path,
    ra: float,
    dec: float,
    radius_arcsec: float,
    *,
    table: str,
    columns: str | None,
    sort: str,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """List what lies within RADIUS_ARCSEC of RA DEC (ICRS degrees), the nearest first.

    Columns are those of the table, and magnitude words such as g, g:err, g:kron:nphot (on
    objects) or mag:rel, mag:inst, g:rel:err (on measures). Further ones are distance from
    RA DEC [arcsec] and, of measures and images, mjd and photcode_name. Rows of the satellite
    tables (galphot, lensing, lensobj, starpar, missing) are where their objects are.

    \b
    Example:
      dvo cone sky 56.75 24.12 60 --columns distance,ra,dec,g,g:err
      dvo cone sky 56.75 24.12 5 --table measure -f csv -o star.csv
      dvo cone sky 56.75 24.12 60 --table galphot
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    out = Output.choose(form, output)
    wanted = (columns or _DEFAULT_COLUMNS[table]).split(",")
    names = None if wanted == ["all"] else [w.strip() for w in wanted if w.strip()]
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.cone(ra, dec, radius_arcsec, table=table, columns=names, sort=sort)
    if found.num_rows == 0:
        rows = {"average": "object", "measure": "measure", "image": "image"}.get(
            table, f"row of {table}"
        )
        click.echo(f"no {rows} within {radius_arcsec:g} arcsec of {ra} {dec}", err=True)
    out.write(found)
