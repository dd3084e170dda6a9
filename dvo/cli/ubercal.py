"""``ubercal``: zero points of photometric nights, airmass slopes and flat fields."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.engine_option import calibration_options, open_calibration_engine
from dvo.cli.main import run
from dvo.cli.moment import MOMENT, seconds_of, time_option
from dvo.cli.name_list import names_in
from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.calib.photometry.ubercal import UbercalReport

__all__ = ["main", "ubercal"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--filters", required=True, metavar="F,F,…", help="Average filters to calibrate, such as g,r."
)
@click.option(
    "--periods",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Photometric periods, as --write-periods writes them; found if left out.",
)
@click.option(
    "--write-periods",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the periods, with what was found of them, to be edited.",
)
@click.option(
    "--seasons",
    metavar="DATE,DATE,…",
    help="When new flat fields begin, such as 2011-05-01 (or none); found if left out.",
)
@click.option(
    "--flat-cells",
    type=click.IntRange(0, 64),
    default=2,
    show_default=True,
    help="Cells of a chip's flat field in each direction; 0 for no flat fields.",
)
@click.option(
    "--cloud-limit",
    type=click.FloatRange(0, min_open=True),
    default=0.02,
    show_default=True,
    metavar="MAG",
    help="Scatter of exposures in a night that is no cloud.",
)
@click.option(
    "--most-error",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    metavar="MAG",
    help="Greatest error of a magnitude that counts.",
)
@click.option(
    "--region",
    nargs=4,
    type=float,
    metavar="RA0 RA1 DEC0 DEC1",
    help="Solve from the stars in a box [deg].",
)
@time_option("Images")
@calibration_options
def ubercal(
    catdir: Path,
    *,
    filters: str,
    periods: Path | None,
    write_periods: Path | None,
    seasons: str | None,
    flat_cells: int,
    cloud_limit: float,
    most_error: float,
    region: tuple[float, float, float, float] | None,
    times: tuple[float, float] | None,
    report: Path | None,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Calibrate the photometric nights of CATDIR: zero points, airmass slopes, flat fields.

    Nights without clouds are found; each gets one zero point a filter and one airmass slope,
    and each chip a flat field in each season, all solved for at once from the stars that
    exposures share. Images of these nights keep what they get: `relphot` ties the others to
    them. One commit: `dvo rollback` takes it back.

    \b
    Examples:
      ubercal sky --filters g,r --dry-run --write-periods nights.txt
      ubercal sky --filters g,r --periods nights.txt --seasons 2011-05-01,2012-04-01
    """  # fmt: skip
    from dvo.calib.photometry.measures import StarLimits  # noqa: PLC0415 - keeps --help quick
    from dvo.calib.photometry.nights import NightLimits  # noqa: PLC0415
    from dvo.calib.photometry.ubercal import UbercalOptions  # noqa: PLC0415
    from dvo.calib.photometry.ubercal import ubercal as calibrate  # noqa: PLC0415
    from dvo.partition.bounds import Box  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    options = UbercalOptions(
        names_in(filters),
        StarLimits(most_error=most_error),
        nights=NightLimits(cloud=cloud_limit),
        flat_cells=flat_cells,
        periods=periods,
        write_periods=write_periods,
        seasons=_seasons(seasons),
        area=Box(*region) if region else None,
        times=_times(times),
        dry_run=dry_run,
        report=report,
    )
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="ubercal") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        done = calibrate(store, options, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
    else:
        _say(catdir, done, dry_run=dry_run)


def _say(catdir: Path, report: UbercalReport, *, dry_run: bool) -> None:
    would = "would get zero points" if dry_run else "have zero points"
    click.echo(
        f"{catdir}: {counted(report.n_images, 'images')} {would} of {report.n_photometric} "
        f"photometric periods (of {len(report.periods)}), from {report.n_measures} measures of "
        f"{counted(report.n_stars, 'stars')}"
    )
    click.echo(
        f"{report.rounds} rounds{'' if report.is_converged else ', NOT converged'}; reduced "
        f"chi-square {report.chi2_dof:.3f}; median error {1e3 * report.median_error:.2f} mmag; "
        f"{report.n_flats} flat fields in {report.n_seasons} seasons"
    )
    for n, words in (
        (report.n_poor, "images are of nights that are not photometric (NIGHT_POOR)"),
        (report.n_unsolved, "images are of no period, or without common stars, or clouded"),
    ):
        if n:
            click.echo(f"note: {n} {words}; they stay as they are, and `relphot` ties them on")
    if not report.n_photometric:
        click.echo("note: no night is photometric; --cloud-limit, or a file of periods with yes, "
                   "says otherwise")  # fmt: skip
    filters = {period.filter for period in report.periods if period.is_photometric}
    if report.components > len(filters):
        click.echo(f"note: {report.components} sets of periods share no star with each other; "
                   "the mean offset of each stays")  # fmt: skip


def _seasons(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = [] if text.strip() == "none" else names_in(text)
    try:
        return tuple(int(MOMENT.convert(word, None, None)) for word in words)
    except click.BadParameter as err:
        raise click.BadParameter(err.message, param_hint="--seasons") from err


def _times(asked: tuple[float, float] | None) -> tuple[int, int] | None:
    """Whole seconds from the first time until before the other."""
    if asked is None:
        return None
    first, last = (math.ceil(moment) for moment in seconds_of(asked))
    return first, last


def main() -> None:
    """Run the command ``ubercal``."""
    run(ubercal)
