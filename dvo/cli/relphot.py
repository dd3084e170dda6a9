"""``relphot``: zero points of images from the stars that they share."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.engine_option import calibration_options, open_calibration_engine
from dvo.cli.main import run
from dvo.cli.name_list import names_in
from dvo.cli.output import progress_line
from dvo.cli.selection_options import image_options, image_selection_of
from dvo.cli.snapshot_option import SNAPSHOT
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.calib.photometry.levels import Level
    from dvo.calib.photometry.relphot import RelphotReport

__all__ = ["main", "relphot"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--filters", required=True, metavar="F,F,…", help="Average filters to calibrate, such as g,r."
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
    "--star-measures",
    type=click.IntRange(2),
    default=2,
    show_default=True,
    help="Measures in a filter that a star needs.",
)
@click.option(
    "--solve",
    "levels",
    default="images",
    show_default=True,
    metavar="LEVEL,…",
    help="What has a zero point of its own: images, exposures or nights; with several, finer ones "
    "are deviations from coarser ones.",
)
@click.option(
    "--spread",
    type=click.FloatRange(0, min_open=True),
    default=0.02,
    show_default=True,
    metavar="MAG",
    help="How large these deviations are.",
)
@click.option(
    "--flat-cells",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="Cells of a chip's flat field in each direction, found with the zero points, such as 40; "
    "0 takes flat fields as they are.",
)
@click.option("--averages", is_flag=True, help="Solve for nothing; make mean magnitudes anew only.")
@click.option(
    "--since",
    type=SNAPSHOT,
    metavar="N|TAG|TIME",
    help="With --averages: only catalogs that have changed since then.",
)
@click.option(
    "--solver",
    type=click.Choice(["joint", "alternate"]),
    default="joint",
    show_default=True,
    help="All together, or stars and images in turn as in the original.",
)
@click.option(
    "--scheme",
    type=click.Choice(["levels", "classic"]),
    default="levels",
    show_default=True,
    help="Levels as --solve says, or with --solver alternate as in the original: nights, exposures "
    "of poor nights, images of poor exposures.",
)
@click.option(
    "--loops",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Loops of --solver alternate.",
)
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=50,
    show_default=True,
    help="Most rounds of weighing and solving.",
)
@image_options
@calibration_options
def relphot(
    catdir: Path,
    *,
    filters: str,
    most_error: float,
    star_measures: int,
    levels: str,
    spread: float,
    flat_cells: int,
    averages: bool,
    since: int | str | datetime | None,
    solver: str,
    scheme: str,
    loops: int,
    rounds: int,
    report: Path | None,
    dry_run: bool,
    engine: str,
    workers: int | None,
    as_json: bool,
    **area: Any,
) -> None:
    """Solve for the zero points of the images of CATDIR, all together, from common stars.

    Each image gets an offset from the nominal zero point of its photcode, with an honest
    error. Images of ubercal keep theirs; the mean offset of images that stars do not connect
    with one of these stays what it was (0 if it was unknown). Outliers and variable stars
    get little weight. Offsets go to images and measures, and mean magnitudes are made anew,
    in one commit: `dvo rollback` takes it back.

    With --region, --cone or --time only images whose centre and time these hold are solved for;
    zero points of the others are taken as known.

    \b
    Examples:
      relphot sky --filters g,r
      relphot sky --filters g --dry-run --json
      relphot sky --filters g --dry-run --report zero_points
      relphot sky --filters g --solve nights,images
      relphot sky --filters g --flat-cells 40
      relphot sky --filters g,r --averages --since 12
    """
    names = names_in(filters)
    if averages:
        if report is not None:
            raise click.UsageError("--report goes with a solve, not with --averages")
        _average(catdir, names, since, engine, workers, dry_run=dry_run, as_json=as_json)
        return
    if since is not None:
        raise click.UsageError("--since goes with --averages: zero points need all measures")
    if scheme == "classic" and solver != "alternate":
        raise click.UsageError("--scheme classic goes with --solver alternate")
    from dvo.calib.joint import JointOptions  # noqa: PLC0415 - keeps --help quick
    from dvo.calib.photometry.measures import StarLimits  # noqa: PLC0415
    from dvo.calib.photometry.relphot import RelphotOptions  # noqa: PLC0415
    from dvo.calib.photometry.relphot import relphot as calibrate  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    options = RelphotOptions(
        names,
        levels_of(levels),
        spread,
        image_selection_of(area),
        loops if solver == "alternate" else 0,
        scheme == "classic",
        flat_cells,
        StarLimits(most_error=most_error, least_measures=star_measures),
        JointOptions(most_rounds=rounds),
        dry_run=dry_run,
        report=report,
    )
    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="relphot") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        done = calibrate(store, options, engine=opened, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    _print(catdir, done, dry_run=dry_run)


def levels_of(text: str) -> tuple[Level, ...]:
    """Read the value of --solve.

    Parameters
    ----------
    text : str
        Names of levels with commas between them.

    Returns
    -------
    tuple of Level
        The levels.

    Raises
    ------
    click.UsageError
        If one is not known, or there is none.
    """
    from dvo.calib.photometry.levels import Level  # noqa: PLC0415 - keeps --help quick

    found = names_in(text)
    for name in found:
        if name not in list(Level):
            raise click.UsageError(f"--solve {text}: there is no level {name}; there are "
                                   f"{', '.join(Level)}")  # fmt: skip
    if not found:
        raise click.UsageError("--solve names no level; see also --averages")
    return tuple(Level(name) for name in found)


def _average(
    catdir: Path, filters: tuple[str, ...], since: int | str | datetime | None, engine: str,
    workers: int | None, *, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from dvo.calib.photometry.reaverage import reaverage  # noqa: PLC0415 - keeps --help quick
    from dvo.partition.store import Store  # noqa: PLC0415

    show = progress_line()
    with (
        Store(catdir, writable=not dry_run, command="relphot") as store,
        open_calibration_engine(engine, store, workers) as opened,
    ):
        report = reaverage(store, filters, since=since, dry_run=dry_run, engine=opened,
                           progress=show)  # fmt: skip
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
        return
    regions = counted(report.n_regions, "catalogs")
    click.echo(f"{catdir}: means of {regions} would be made anew" if dry_run else
               f"{catdir}: {report.n_means} mean magnitudes of {regions} made anew")  # fmt: skip


def _print(catdir: Path, done: RelphotReport, *, dry_run: bool) -> None:
    would = "would get zero points" if dry_run else "have new zero points"
    click.echo(f"{catdir}: {counted(done.n_images, 'images')} {would}, from "
               f"{done.n_measures} measures of {counted(done.n_stars, 'stars')}")  # fmt: skip
    click.echo(
        f"{done.rounds} rounds{'' if done.is_converged else ', NOT converged'}; reduced "
        f"chi-square {done.chi2_dof:.3f}; median error {1e3 * done.median_error:.2f} mmag"
    )
    if done.n_flats:
        turns = counted(done.flat_turns, "turns")
        click.echo(f"{counted(done.n_flats, 'flat fields')}: {done.n_flat_cells} cells have moved "
                   f"by {1e3 * done.flat_change:.2f} mmag in {turns}"
                   f"{'' if done.is_flat_converged else ', NOT converged'}")  # fmt: skip
    for n, words in (
        (done.n_frozen, "images keep the zero point that they have"),
        (done.n_unsolved, "images share no star with another, and stay as they are"),
        (done.n_few, "images have few stars (PHOTOM_FEW)"),
        (done.n_poor, "images have a poor zero point (PHOTOM_POOR)"),
    ):
        if n:
            click.echo(f"note: {n} {words}")
    if done.floating > 1:
        n_sets = done.floating
        click.echo(f"note: {n_sets} sets of images share no star with each other; the mean offset "
                   "of each stays")  # fmt: skip


def main() -> None:
    """Run the command ``relphot``."""
    run(relphot)
