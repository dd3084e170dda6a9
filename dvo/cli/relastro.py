"""``relastro``: places, proper motions and parallaxes of objects from all their measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.engine_option import engine_option, open_calibration_engine, workers_option
from dvo.cli.main import run
from dvo.cli.output import progress_line
from dvo.cli.selection_options import area_of, area_options
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.calib.astrometry.relastro import RelastroReport

__all__ = ["main", "relastro"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--images",
    is_flag=True,
    help="Solve for the astrometry of images first, all together with their stars.",
)
@click.option("--pm", is_flag=True, help="Fit proper motions where the measures allow it.")
@click.option(
    "--pmpar", is_flag=True, help="Fit proper motions and parallaxes where the measures allow it."
)
@click.option(
    "--pm-measures",
    type=click.IntRange(3),
    default=5,
    show_default=True,
    help="Measures that a proper motion needs.",
)
@click.option(
    "--pm-years",
    type=click.FloatRange(0, min_open=True),
    default=0.25,
    show_default=True,
    metavar="YR",
    help="Years between the first and the last that it needs.",
)
@click.option(
    "--par-measures",
    type=click.IntRange(4),
    default=7,
    show_default=True,
    help="Measures that a parallax needs.",
)
@click.option(
    "--par-factors",
    type=click.FloatRange(0, min_open=True),
    default=0.2,
    show_default=True,
    help="Range of parallax factors that it needs.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(20),
    metavar="N",
    help="Take errors from N samples of the measures where these are greater than formal ones.",
)
@area_options
@click.option("--dry-run", is_flag=True, help="Report what would be done; change nothing.")
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def relastro(
    catdir: Path,
    *,
    images: bool,
    pm: bool,
    pmpar: bool,
    pm_measures: int,
    pm_years: float,
    par_measures: int,
    par_factors: float,
    bootstrap: int | None,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
    **area: Any,
) -> None:
    """Fit places, proper motions and parallaxes of the objects of CATDIR to all their measures.

    Without --pm or --pmpar places alone are fitted, and motions that catalogs gave are taken into
    account. A parallax that cannot be fitted gives way to a motion, a motion to a mean place.
    Outliers get little weight, or none. Objects get place, motion, parallax, errors and flags
    in one commit: `dvo rollback` takes it back.

    With --images the astrometry of chip images is solved for before that, from the stars that
    they share and those of reference catalogs: a cubic of each chip of the camera, an affine
    change of each exposure, a small cubic of each image. What stars that were kept from the solve
    speak against is not taken (ASTROM_FAIL). Measures move with their images.

    With --region or --cone only catalogs that touch the area are worked on, whole.

    \b
    Examples:
      relastro sky --pm
      relastro sky --pmpar --bootstrap 100
      relastro sky --images --pm
      relastro sky --pm --cone 210.7 33.2 1800 --dry-run --json
    """  # fmt: skip
    from dvo.calib.astrometry.images import SolveOptions  # noqa: PLC0415 - quick help
    from dvo.calib.astrometry.motions import MotionLimits, MotionModel  # noqa: PLC0415 - quick help
    from dvo.calib.astrometry.objects import ObjectOptions  # noqa: PLC0415
    from dvo.calib.astrometry.relastro import RelastroOptions  # noqa: PLC0415
    from dvo.calib.astrometry.relastro import relastro as calibrate  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    highest = MotionModel.PARALLAX if pmpar else MotionModel.MOTION if pm else MotionModel.MEAN
    limits = MotionLimits(motion_measures=pm_measures, parallax_measures=par_measures,
                          motion_years=pm_years, parallax_years=pm_years,
                          factor_range=par_factors)  # fmt: skip
    solve = SolveOptions() if images else None
    options = RelastroOptions(ObjectOptions(highest, limits, bootstrap or 0), solve,
                              area_of(area), dry_run)  # fmt: skip
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="relastro") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        done = calibrate(store, options, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    _print(catdir, done, images=images, dry_run=dry_run)


def _print(catdir: Path, done: RelastroReport, *, images: bool, dry_run: bool) -> None:
    if images:
        click.echo(f"{catdir}: {counted(done.n_images, 'images')} "
                   f"{'would get' if dry_run else 'have'} new astrometry, median change "
                   f"{done.median_shift_mas:.1f} mas, after {done.rounds} rounds"
                   f"{'' if done.is_converged else ', NOT converged'}")  # fmt: skip
    would = "would be fitted" if dry_run else "fitted"
    click.echo(f"{catdir}: {counted(done.n_objects, 'objects')} {would} to {done.n_measures} "
               f"measures; {done.n_pm} have a proper motion, {done.n_par} a parallax")  # fmt: skip
    if done.n_measures:
        click.echo(f"residuals {done.rms_mas:.2f} mas rms in one direction")
    for n, words in (
        (done.n_masked, "measures were masked as outliers"),
        (done.n_none, "objects have no measure that counts, and stay as they are"),
        (done.n_few, "images have too few stars to be solved for (ASTROM_FEW)"),
        (
            done.n_refused,
            "images keep the astrometry that they had: stars speak against a new one (ASTROM_FAIL)",
        ),
        (done.n_bad_pm, "motions or parallaxes were beyond all limits, and were not kept"),
    ):
        if n:
            click.echo(f"note: {n} {words}")


def main() -> None:
    """Run the command ``relastro``."""
    run(relastro)
