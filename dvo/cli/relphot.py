"""``relphot``: zero points of images from the stars that they share."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dvo.cli.counted import counted
from dvo.cli.main import run
from dvo.cli.output import progress_line

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
    "--rounds",
    type=click.IntRange(2),
    default=20,
    show_default=True,
    help="Most rounds of weighing and solving.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write report.json, pictures and a page, index.html, that shows all of it.",
)
@click.option("--dry-run", is_flag=True, help="Solve and report; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def relphot(
    catdir: Path,
    *,
    filters: str,
    most_error: float,
    star_measures: int,
    rounds: int,
    report: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Solve for the zero points of the images of CATDIR, all together, from common stars.

    Each image gets an offset from the nominal zero point of its photcode, with an honest
    error. Images of ubercal keep theirs; the mean offset of images that stars do not connect
    with one of these stays what it was (0 if it was unknown). Outliers and variable stars
    get little weight. Offsets go to images and measures, and mean magnitudes are made anew,
    in one commit: `dvo rollback` takes it back.

    \b
    Examples:
      relphot sky --filters g,r
      relphot sky --filters g --dry-run --json
      relphot sky --filters g --dry-run --report zero_points
    """
    from dvo.calib.joint import JointOptions  # noqa: PLC0415 - keeps --help quick
    from dvo.calib.photometry.measures import StarLimits  # noqa: PLC0415
    from dvo.calib.photometry.relphot import RelphotOptions  # noqa: PLC0415
    from dvo.calib.photometry.relphot import relphot as calibrate  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    options = RelphotOptions(
        tuple(name.strip() for name in filters.split(",") if name.strip()),
        StarLimits(most_error=most_error, least_measures=star_measures),
        JointOptions(most_rounds=rounds),
        dry_run=dry_run,
        report=report,
    )
    show = progress_line()
    with Store(catdir, writable=not dry_run, command="relphot") as store:
        done = calibrate(store, options, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(done.as_dict()))
        return
    would = "would get zero points" if dry_run else "have new zero points"
    click.echo(f"{catdir}: {counted(done.n_images, 'images')} {would}, from "
               f"{done.n_measures} measures of {counted(done.n_stars, 'stars')}")  # fmt: skip
    click.echo(
        f"{done.rounds} rounds{'' if done.is_converged else ', NOT converged'}; reduced "
        f"chi-square {done.chi2_dof:.3f}; median error {1e3 * done.median_error:.2f} mmag"
    )
    for n, words in (
        (done.n_frozen, "images keep the zero point of ubercal"),
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
