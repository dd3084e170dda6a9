"""Zero points: how fast they are solved for and written, and how near they come to the limit."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import databases
import numpy as np
from calibration_survey import COLUMN_MAP, PHOTCODE, Survey, make_survey, write_survey
from figures import Figure
from numpy.typing import NDArray
from scipy import linalg, sparse
from stage import Stage
from timing import median, run_process, timed

from dvo.calib.kernels import eliminate_stars
from dvo.calib.photometry.relphot import RelphotOptions, RelphotReport, relphot
from dvo.ingest.addstar import addstar
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.report import AddstarOptions
from dvo.ingest.sources import exposure_sources
from dvo.partition.compact import resort
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store, create_store
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["measure"]

Array = NDArray[Any]

_SCALE = {"tiny": 0.02, "small": 0.1, "medium": 1.0}
_LEVEL = 3
_SEED = 20120411
_FROZEN = 0.34
_LOOPS = 20


@dataclass(frozen=True, slots=True)
class _Found:
    """Zero points that came out, in the order of exposures."""

    offset: Array
    error: Array
    report: RelphotReport


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Seconds of the solve from files on disk, and of writing it and making means anew; errors
        against the Cramer-Rao limit, with nothing known and with a third of the images
        known; the same with outliers and variable stars, and against the original's
        alternating loop; the rate of the kernel that eliminates stars.
    """
    figures = [_kernel()]
    for size in stage.sizes:
        figures += _of_size(stage, size)
    return figures


def _of_size(stage: Stage, size: str) -> list[Figure]:
    survey = make_survey(_SCALE[size], _SEED)
    clean = _database(stage, f"calibration-{size}", survey)
    _solve(_database(stage, "calibration-warm", make_survey(0.005, _SEED)))
    dry = _run(clean, RelphotOptions(("g",), dry_run=True))
    process = stage.scratch / "process.catdir"
    shutil.copytree(clean, process)
    peak = run_process(databases.program("relphot"), process, "--filters", "g", "--json")
    shutil.rmtree(process)
    free = _solve(clean)
    limit = _Limit.of(survey, np.zeros(len(survey.zero_point), np.bool_))
    turns = _solve(clean, loops=_LOOPS)
    dirty_survey = make_survey(_SCALE[size], _SEED, is_dirty=True)
    dirty = _solve(_database(stage, f"calibration-{size}-dirty", dirty_survey))
    frozen = np.random.default_rng(_SEED).random(len(survey.zero_point)) < _FROZEN
    _freeze(clean, survey, frozen)
    tied = _solve(clean)
    tied_limit = _Limit.of(survey, frozen)
    rms = {name: _off(found, survey).std() for name, found in
           (("free", free), ("turns", turns), ("dirty", dirty))}  # fmt: skip
    off = (tied.offset - survey.zero_point)[~frozen]
    rms["tied"] = float(np.sqrt((off**2).mean()))
    pulls = {"free": float((_off(free, survey) / free.error).std()),
             "tied": float((off / tied.error[~frozen]).std())}  # fmt: skip
    apply = free.report.seconds - dry.seconds
    n = dry.n_measures / 1e6
    details = {"rms_mmag": {k: 1e3 * float(v) for k, v in rms.items()},
               "limit_mmag": {"free": 1e3 * limit.rms, "tied": 1e3 * tied_limit.rms},
               "scatter": {"free": limit.scatter, "tied": tied_limit.scatter},
               "pulls": pulls, "peak_bytes": peak.peak_bytes, "rounds": dry.rounds}  # fmt: skip

    def figure(key: str, what: str, value: float, unit: str, ours: str, peer: str = "",
               note: str = "") -> Figure:  # fmt: skip
        return Figure(key, what, size, float(value), unit, ours, peer, note, details)

    def of_limit(key: str, what: str, name: str, off: Array, limit: _Limit) -> Figure:
        ratio = rms[name] / limit.rms
        return figure(
            key,
            what,
            limit.ratio(off),
            "x Cramer-Rao",
            f"{1e3 * rms[name]:.3f} mmag rms",
            f"{1e3 * limit.rms:.3f} mmag rms",
            f"in all directions alike; of the rms alone {ratio:.3f}, which scatters by "
            f"{limit.scatter:.3f} from one survey to the next",
        )

    return [
        figure("relphot_solve", "zero points solved for, from disk", dry.seconds, "s",
               f"{n:.1f} M measures, {dry.rounds} rounds"),
        figure("relphot_apply", "zero points written, means made anew", apply, "s",
               f"{n / apply:.1f} M measures/s, peak {peak.peak_bytes / 1e9:.1f} GB"),
        of_limit("relphot_limit", "error of zero points, nothing known", "free",
                 _off(free, survey), limit),
        of_limit("relphot_limit_tied", "error of zero points, a third known", "tied", off,
                 tied_limit),
        figure("relphot_pulls", "scatter of pulls, off from 1", abs(pulls["tied"] - 1.0), "",
               f"{pulls['tied']:.3f}; nothing known {pulls['free']:.3f}",
               note=f"where nothing is known a few directions across the whole survey make most of "
               f"the error: pulls scatter by {limit.scatter:.3f} from one survey to the next"),
        figure("relphot_dirty", "error with 2 % outliers and 3 % variables",
               rms["dirty"] / rms["free"], "x clean", f"{1e3 * rms['dirty']:.3f} mmag"),
        figure("relphot_classic", f"error of the original's loop, {_LOOPS} times",
               rms["turns"] / rms["free"], "x ours", f"{1e3 * rms['free']:.3f} mmag",
               f"{1e3 * rms['turns']:.2f} mmag"),
    ]  # fmt: skip


def _database(stage: Stage, name: str, survey: Survey) -> Path:
    """A compacted database of a survey."""
    catdir = stage.scratch / f"{name}.catdir"
    if catdir.exists():
        return catdir
    listing = write_survey(survey, stage.folder / "inputs" / name)
    codes = PhotcodeTable().add("g", PhotClass.SEC)
    codes = codes.add(PHOTCODE, PhotClass.DEP, filter_name="g", zero_point=25.0)
    create_store(catdir, level=_LEVEL, photcodes=codes)
    with Store(catdir, writable=True) as store:
        sources = exposure_sources([listing], parse_column_map(COLUMN_MAP))
        addstar(store, sources, AddstarOptions(radius_arcsec=1.0))
        resort(store)
    return catdir


def _run(catdir: Path, options: RelphotOptions) -> RelphotReport:
    with Store(catdir, writable=not options.dry_run) as store:
        return relphot(store, options)


def _numbers(table: ColumnTable) -> Array:
    """Exposures of the rows of Image, by their names."""
    return np.array([int(name[-5:]) for name in table["name"]])


def _solve(catdir: Path, loops: int = 0) -> _Found:
    report = _run(catdir, RelphotOptions(("g",), loops=loops))
    with Store(catdir) as store:
        table = store.view().read(IMAGE, ALL_SKY, ["name", "mcal_psf", "dmcal"])
    order = np.argsort(_numbers(table))
    offset, error = (table[name][order].astype(np.float64) for name in ("mcal_psf", "dmcal"))
    return _Found(offset, error, report)


def _off(found: _Found, survey: Survey) -> Array:
    """Errors about their mean, which nothing tells."""
    off = found.offset - survey.zero_point
    return np.asarray(off - off.mean())


def _freeze(catdir: Path, survey: Survey, frozen: Array) -> None:
    """Give some images their true zero points, as ubercal would."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        table = view.read(IMAGE, ALL_SKY, ["name", "flags", "mcal_psf"])
        number = _numbers(table)
        is_known = frozen[number]
        flags = table["flags"] | np.where(is_known, np.uint32(ImageFlag.PHOTOM_UBERCAL), 0)
        offset = np.where(is_known, survey.zero_point[number], table["mcal_psf"])
        columns = {"flags": flags.astype(np.uint32), "mcal_psf": offset.astype(np.float32)}
        with store.begin("bench", {}, view) as change:
            change.overlay_rows(ColumnTable(IMAGE, columns), [ALL_SKY],
                                np.array([0, len(table)]), is_known)  # fmt: skip
            change.commit()


@dataclass(frozen=True, slots=True, eq=False)
class _Limit:
    """The Cramer-Rao limit of zero points that are not known.

    ``rms`` is that of their rms error [mag], ``scatter`` the relative standard deviation of
    the rms error of one survey, and ``matrix`` the inverse of the least covariance.
    """

    rms: float
    scatter: float
    matrix: Array

    @classmethod
    def of(cls, survey: Survey, frozen: Array) -> _Limit:
        """Work it out from every measure written out, the means of stars eliminated."""
        n, n_stars = len(survey.zero_point), len(survey.ra)
        weight = survey.sigma**-2.0
        cross = sparse.csr_array((weight, (survey.exposure, survey.star)), shape=(n, n_stars))
        total = np.maximum(np.bincount(survey.star, weight, n_stars), 1e-300)
        matrix = np.diag(np.bincount(survey.exposure, weight, n))
        matrix -= (cross @ sparse.diags_array(1.0 / total) @ cross.T).toarray()
        matrix = matrix[~frozen][:, ~frozen]
        inverse = linalg.inv(matrix if frozen.any() else matrix + matrix.trace() / n**2)
        if not frozen.any():  # the mean of all is held: a constant on the matrix, off again
            inverse -= 1.0 / matrix.trace()
        trace = inverse.trace()
        scatter = np.sqrt((inverse**2).sum() / 2.0) / trace
        return cls(float(np.sqrt(trace / len(inverse))), float(scatter), matrix)

    def ratio(self, off: Array) -> float:
        """Errors by their limit in all directions alike, 1 at the limit."""
        return float(np.sqrt(off @ (self.matrix @ off) / (len(off) - 1)))


def _kernel() -> Figure:
    """Measures a second and core that the kernel takes, in memory."""
    survey = make_survey(0.1, _SEED)
    order = np.argsort(survey.star, kind="stable")
    n_stars, n = len(survey.ra), len(survey.zero_point)
    edges = np.searchsorted(survey.star[order], np.arange(n_stars + 1)).astype(np.int64)
    index = survey.exposure[order][:, None]
    y, weight = survey.mag[order], survey.sigma[order] ** -2.0
    factor, matrix, right = np.ones(index.shape), np.zeros((n, n)), np.zeros(n)

    def step() -> None:
        eliminate_stars(edges, y, weight, index, factor, matrix, right)

    step()
    seconds = [timed(step) for _ in range(5)]
    rate = len(index) / median(seconds) / 1e6
    return Figure("calib_kernel", "stars eliminated, one core", "", rate, "M measures/s",
                  f"{rate:.0f} M measures/s")  # fmt: skip
