"""Runs a simulated survey: draws its truth, makes the exposures, writes everything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import StorageError
from dvo.ingest.photcode_text import write_photcodes
from ipp_pipeline.sim.camera import get_camera
from ipp_pipeline.sim.exposure import World, simulate_exposure
from ipp_pipeline.sim.instrument import make_instrument
from ipp_pipeline.sim.photcodes import survey_photcodes
from ipp_pipeline.sim.plan import SurveyPlan, make_schedule
from ipp_pipeline.sim.satellites import SATELLITE_TABLES, measure_satellites
from ipp_pipeline.sim.shapes import draw_shapes
from ipp_pipeline.sim.size import check_room, estimate_size
from ipp_pipeline.sim.sky import make_stars
from ipp_pipeline.sim.smf_writer import write_smf
from ipp_pipeline.sim.truth import TruthWriter, detection_table, write_plan, write_tables

__all__ = ["SurveyFiles", "make_world", "simulate"]

_PLAN = "truth/plan.json"  # by which a survey is known

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SurveyFiles:
    """What a simulated survey wrote.

    Parameters
    ----------
    folder : Path
        Folder of the survey.
    exposures : tuple of Path
        The smf files in order of time.
    photcodes : Path
        Photcode table in text form.
    truth : dict of Path
        Truth tables (Parquet) by name: stars, exposures, chips, nights, flats, detections;
        with satellite tables galaxies and lensing.
    n_exposures, n_stars, n_detections, n_junk : int
        Exposures, true stars of the field, detections, and false ones among them.
    """

    folder: Path
    exposures: tuple[Path, ...]
    photcodes: Path
    truth: dict[str, Path]
    n_exposures: int
    n_stars: int
    n_detections: int
    n_junk: int


def make_world(plan: SurveyPlan, gaia: dict[str, NDArray[np.generic]] | None = None) -> World:
    """Draw all that is true of a survey.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    gaia : dict of ndarray, optional
        Real bright stars, as `ipp_pipeline.sim.sky.make_stars` takes them.

    Returns
    -------
    World
        Stars, camera and exposures, each from random numbers of its own.
    """
    camera = get_camera(plan.camera)
    sky_seed = plan.seed if plan.sky_seed is None else plan.sky_seed
    seeds = (sky_seed, plan.seed, plan.seed)
    generators = [np.random.default_rng([seed, 0, part]) for part, seed in enumerate(seeds)]
    stars = make_stars(plan, camera, generators[0], gaia)
    return World(
        plan=plan,
        camera=camera,
        stars=stars,
        instrument=make_instrument(plan, camera, generators[1]),
        schedule=make_schedule(plan, camera, generators[2]),
        shapes=draw_shapes(len(stars), np.random.default_rng([sky_seed, 0, 3]))
        if plan.satellites
        else None,
    )


def simulate(
    plan: SurveyPlan,
    out_dir: Path | str,
    *,
    gaia: dict[str, NDArray[np.generic]] | None = None,
    threads: int = 2,
    overwrite: bool = False,
) -> SurveyFiles:
    """Simulate a survey and write its files.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    out_dir : Path or str
        Folder to write to; made if need be. It gets ``smf/``, ``truth/`` and
        ``photcodes.txt``.
    gaia : dict of ndarray, optional
        Real bright stars, as `ipp_pipeline.sim.gaia.read_gaia_catalog` gives them.
    threads : int, default 2
        Exposures made at a time. The files do not depend on it.
    overwrite : bool
        Whether a survey that is in the folder goes; else the folder must be empty.

    Returns
    -------
    SurveyFiles
        What was written.

    Raises
    ------
    StorageError
        If something is in the folder, or it cannot be written to.
    ConfigError
        If there is no room for the survey.
    """
    folder = Path(out_dir)
    smf, truth = folder / "smf", folder / "truth"
    _check_folder(folder, overwrite=overwrite)
    check_room(estimate_size(plan, with_real_stars=gaia is not None), folder)
    world = make_world(plan, gaia)
    _clear(folder)
    write_photcodes(survey_photcodes(world.camera), folder / "photcodes.txt")
    write_plan(world, truth)
    tally = _Tally.empty(world)
    paths = []
    names = ("detections", *(SATELLITE_TABLES if plan.satellites else ()))
    with ExitStack() as stack:
        writers = [stack.enter_context(TruthWriter(truth, name)) for name in names]
        pool = stack.enter_context(ThreadPoolExecutor(max(threads, 1)))
        jobs = [pool.submit(_one, world, number, smf) for number in range(plan.n_exposures)]
        for number, job in enumerate(jobs):
            path, tables, result = job.result()
            paths.append(path)
            for writer, table in zip(writers, tables, strict=True):
                writer.append(table)
            tally.add(number, tables[0], result)
            # A finished job keeps its result, and memory would grow with the survey.
            jobs[number] = None  # type: ignore[call-overload]
    files = write_tables(
        world,
        truth,
        n_detections=tally.n_detections,
        n_on_chip=tally.n_on_chip,
        n_detected=tally.n_detected,
        max_snr=tally.max_snr,
        solutions=(tally.boresight, tally.crval),
    )
    n_detections = int(tally.n_detections.sum())
    return SurveyFiles(
        folder=folder,
        exposures=tuple(paths),
        photcodes=folder / "photcodes.txt",
        truth=files | {writer.path.stem: writer.path for writer in writers},
        n_exposures=plan.n_exposures,
        n_stars=len(world.stars),
        n_detections=n_detections,
        n_junk=n_detections - int(tally.n_detected.sum()),
    )


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    try:
        is_empty = not folder.exists() or next(folder.iterdir(), None) is None
    except OSError as error:
        raise StorageError(f"{folder}: no folder to write to ({error.strerror})") from error
    if is_empty:
        return
    if not (folder / _PLAN).exists():
        raise StorageError(f"{folder}: there is something in it, and no survey; give a new folder")
    if not overwrite:
        raise StorageError(
            f"{folder}: there is a survey in it; give a new folder, or --overwrite to replace it"
        )


def _clear(folder: Path) -> None:
    """Make the folders of a survey; files of an older one go, and nothing else."""
    try:
        for sub in ("smf", "truth"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        for pattern in ("smf/*.smf", "truth/*.parquet"):
            for path in folder.glob(pattern):
                path.unlink()
    except OSError as error:
        raise StorageError(f"{error.filename}: cannot be written ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class _Result:
    """What the tables need of an exposure, beside its detections."""

    on_chip: I64
    on_chip_snr: F64
    boresight: tuple[float, float]
    crval: F64


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts gathered over the exposures."""

    n_detections: I64
    n_on_chip: I64
    n_detected: I64
    max_snr: F64
    boresight: F64
    crval: F64

    @staticmethod
    def empty(world: World) -> _Tally:
        n, n_chips, n_stars = world.plan.n_exposures, len(world.camera.places), len(world.stars)
        return _Tally(
            n_detections=np.zeros((n, n_chips), np.int64),
            n_on_chip=np.zeros(n_stars, np.int64),
            n_detected=np.zeros(n_stars, np.int64),
            max_snr=np.zeros(n_stars),
            boresight=np.zeros((n, 2)),
            crval=np.zeros((n, n_chips, 2)),
        )

    def add(self, number: int, table: pa.Table, result: _Result) -> None:
        chip, star = (np.asarray(table[name]) for name in ("chip", "star_id"))
        n_chips = self.n_detections.shape[1]
        self.n_detections[number] = np.bincount(chip, minlength=n_chips)
        # A star falls on one chip of an exposure, so no index comes twice.
        self.n_on_chip[result.on_chip] += 1
        self.n_detected[star[star >= 0]] += 1
        self.max_snr[result.on_chip] = np.maximum(self.max_snr[result.on_chip], result.on_chip_snr)
        self.boresight[number] = result.boresight
        self.crval[number] = result.crval


def _one(world: World, number: int, folder: Path) -> tuple[Path, list[pa.Table], _Result]:
    """Write an exposure; gives its rows of the truth tables."""
    exposure = simulate_exposure(world, number)
    more = measure_satellites(world, exposure) if world.shapes is not None else None
    result = _Result(
        on_chip=exposure.on_chip,
        on_chip_snr=exposure.on_chip_snr,
        boresight=exposure.boresight,
        crval=exposure.chip_solution.shift,
    )
    truth = [more.truth[name] for name in SATELLITE_TABLES] if more is not None else []
    path = write_smf(world, exposure, folder, more)
    return path, [detection_table(exposure), *truth], result
