"""The solves of ubercal: exposures one by one, seasons of flat fields, then photometric nights.

Clouds are found before anything is said of nights: each exposure has a zero point of its own
at first. What is photometric then has a zero point and a slope a night (Padmanabhan et al. 2008;
Schlafly et al. 2012), and nights and exposures that do not fit are left out, until all do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvo.calib.joint import JointOptions, JointResult, solve_jointly
from dvo.calib.kernels import MASK_SHARE
from dvo.calib.normal import StarBatch, Weighing, residuals_of
from dvo.calib.photometry.nights import (
    NightLimits,
    NightRule,
    PeriodScatter,
    exposure_residuals,
)
from dvo.calib.photometry.periods import Verdict
from dvo.calib.photometry.seasons import LEAST_CHANGE, find_changes
from dvo.calib.photometry.terms import PhotModel
from dvo.calib.photometry.ubercal_survey import Seasons, Survey

__all__ = ["UbercalResult", "solve_ubercal"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_MOST_TURNS = 15
_SURE = 5.0


@dataclass(frozen=True, eq=False)
class UbercalResult:
    """What ubercal found.

    Parameters
    ----------
    joint : JointResult
        The last solve.
    model : PhotModel
        Its model.
    seasons : Seasons
        Seasons of flat fields.
    is_used : ndarray of bool, shape (n_images,)
        Images that are photometric, and had measures.
    is_photometric : ndarray of bool, shape (n_periods,)
        Periods that are.
    seen : PeriodScatter
        Scatter of the measures of each period.
    n_fit : ndarray of int64, shape (n_images,)
        Measures of each image that counted.
    n_turns : int
        Solves until no night was left out any more.
    """

    joint: JointResult
    model: PhotModel
    seasons: Seasons
    is_used: Bool
    is_photometric: Bool
    seen: PeriodScatter
    n_fit: I64
    n_turns: int


def solve_ubercal(
    survey: Survey,
    stars: Callable[[], Iterable[StarBatch]],
    *,
    limits: NightLimits,
    solve: JointOptions,
    seasons: Seasons | None,
    say: Callable[[str], None],
) -> UbercalResult:
    """Find photometric nights, their zero points and slopes, and the flat fields.

    Parameters
    ----------
    survey : Survey
        The images and periods.
    stars : callable
        Gives the measures, read by the survey's reading model, anew each time.
    limits : NightLimits
        What a photometric night must be.
    solve : JointOptions
        How solves go.
    seasons : Seasons or None
        Seasons of flat fields; None to find them.
    say : callable
        Called with what is being done.

    Returns
    -------
    UbercalResult
        The solution.
    """
    forced = survey.periods.verdict
    wanted = survey.exposure >= 0
    say("exposures are solved for")
    model = survey.exposure_model()
    parameters = model.parameters()
    joint = solve_jointly(parameters, partial(_batches, survey, stars, model, wanted), solve)
    is_photometric = _first_look(survey, joint, limits)
    if seasons is None:
        say("seasons of flat fields are looked for")
        seasons = _find_seasons(survey, stars, model, parameters.values, is_photometric)
    rule = NightRule(limits)
    is_clear = wanted.copy()
    values: F64 | None = None
    turn = 0
    while True:
        turn += 1
        say(f"photometric nights are solved for, turn {turn}")
        is_used = is_clear & (survey.period >= 0)
        is_used[is_used] = is_photometric[survey.period[is_used]]
        model = survey.period_model(is_used, seasons, limits.slope_prior)
        parameters = model.parameters()
        if values is not None:
            parameters.values[:] = values
        batches = partial(_batches, survey, stars, model, is_used)
        joint = solve_jointly(parameters, batches, solve)
        values = parameters.values
        seen, n_fit, cloudy = _scatter(survey, stars, model, values, is_used, limits)
        poor = rule.poor(seen, is_photometric) & (forced != Verdict.YES)
        cloudy &= is_clear & is_used
        cloudy &= forced[np.maximum(survey.period, 0)] != Verdict.YES
        if turn >= _MOST_TURNS or not (poor.any() or cloudy.any()):
            is_used &= n_fit > 0
            return UbercalResult(joint, model, seasons, is_used, is_photometric, seen, n_fit, turn)
        is_photometric &= ~poor
        is_clear &= ~cloudy


def _batches(
    survey: Survey, stars: Callable[[], Iterable[StarBatch]], model: PhotModel, is_used: Bool
) -> Iterable[StarBatch]:
    return survey.batches(stars(), model, is_used)


def _first_look(survey: Survey, joint: JointResult, limits: NightLimits) -> Bool:
    """Find periods that may be photometric, by zero points of exposures alone."""
    forced = survey.periods.verdict
    n = survey.n_exposures
    first = survey.first_images()
    period, airmass = survey.period[first], survey.airmass[first]
    offset = np.where(joint.solution.is_free[:n], joint.parameters.of("exposure"), np.nan)
    error = joint.least_error[:n]
    residual = exposure_residuals(offset, error, joint.solution.component[:n],
                                  period, airmass, limits.slope_prior)  # fmt: skip
    known = np.flatnonzero((period >= 0) & np.isfinite(residual))
    of, m = period[known], len(survey.periods)
    counts = np.bincount(of, minlength=m)
    excess = residual[known] ** 2 - error[known] ** 2
    # Zero point and slope take away two degrees of freedom.
    cloud = np.sqrt(np.maximum(np.bincount(of, excess, m), 0.0) / np.maximum(counts - 2, 1))
    enough = counts >= limits.least_exposures
    most = limits.cloud
    if enough.any():
        most = float(np.clip(2.0 * np.median(cloud[enough]), limits.cloud, limits.most_scatter))
    good = enough & (cloud <= most)
    return np.where(forced == Verdict.AUTO, good, forced == Verdict.YES)


def _find_seasons(
    survey: Survey,
    stars: Callable[[], Iterable[StarBatch]],
    model: PhotModel,
    values: F64,
    is_photometric: Bool,
) -> Seasons:
    """Change points of the residuals of nights, by filter, over photcodes and cells."""
    starts: dict[int, list[int]] = {k: [] for k in np.unique(
        survey.filter_index[survey.exposure >= 0]).tolist()}  # fmt: skip
    if survey.cells is None:
        return Seasons(starts)
    n_cells = survey.cells.n_x * survey.cells.n_y
    flat, keys = survey.flat_keys(survey.filter_index)
    m, width = len(survey.periods), len(keys) * n_cells
    weight, product = np.zeros(m * width), np.zeros(m * width)
    wanted = survey.exposure >= 0
    for raw, batch in _both(survey, stars, model, wanted):
        image, cell = survey.places(raw)
        residual, used = residuals_of(batch, values, Weighing(is_robust=True))
        some = (used > 0) & (flat[image] >= 0) & (cell >= 0) & (survey.period[image] >= 0)
        at = survey.period[image[some]].astype(np.int64) * width
        at += flat[image[some]].astype(np.int64) * n_cells + cell[some]
        weight += np.bincount(at, used[some], m * width)
        product += np.bincount(at, used[some] * residual[some], m * width)
    mean = (product / np.where(weight > 0, weight, 1.0)).reshape(m, width)
    of_filter = np.repeat(keys[:, 0], n_cells)
    for k in starts:
        nights = np.flatnonzero((survey.periods.filter_index == k) & is_photometric)
        table = np.ix_(nights, np.flatnonzero(of_filter == k))
        changes = find_changes(weight.reshape(m, width)[table], mean[table],
                               least_change=LEAST_CHANGE)  # fmt: skip
        starts[k] = [int(survey.periods.stop[nights[i - 1]] + survey.periods.start[nights[i]]) // 2
                     for i in changes]  # fmt: skip
    return Seasons(starts)


def _both(
    survey: Survey, stars: Callable[[], Iterable[StarBatch]], model: PhotModel, is_used: Bool
) -> Iterable[tuple[StarBatch, StarBatch]]:
    """Batches as they were read, and with the terms of a model."""
    for raw in stars():
        yield raw, next(survey.batches([raw], model, is_used))


def _scatter(
    survey: Survey,
    stars: Callable[[], Iterable[StarBatch]],
    model: PhotModel,
    values: F64,
    is_used: Bool,
    limits: NightLimits,
) -> tuple[PeriodScatter, I64, Bool]:
    """Scatter of periods, measures of images, and images of exposures that do not fit."""
    m, n_images, n = len(survey.periods), len(survey.exposure), survey.n_exposures
    sums = np.zeros((3, m))  # measures not masked, their squares, and those over variance
    of_exposure = np.zeros((2, n))  # weights, and weighted residuals
    n_fit = np.zeros(n_images, np.int64)
    for raw, batch in _both(survey, stars, model, is_used):
        image, _ = survey.places(raw)
        residual, used = residuals_of(batch, values, Weighing(is_robust=True))
        n_fit += np.bincount(image[used > 0], minlength=n_images)
        kept = np.flatnonzero(used > MASK_SHARE * batch.sigma**-2.0)
        period, off = survey.period[image[kept]], residual[kept]
        for row, what in enumerate((None, off**2, (off / batch.sigma[kept]) ** 2)):
            sums[row] += np.bincount(period, what, m)
        exposure = survey.exposure[image[kept]]
        of_exposure[0] += np.bincount(exposure, used[kept], n)
        of_exposure[1] += np.bincount(exposure, used[kept] * off, n)
    count = np.where(sums[0] > 0, sums[0], np.nan)
    has = of_exposure[0] > 0
    mean = of_exposure[1] / np.where(has, of_exposure[0], 1.0)
    error = np.where(has, of_exposure[0], np.inf) ** -0.5
    period = survey.period[survey.first_images()]
    some = np.flatnonzero(has & (period >= 0))
    n_exposures = np.bincount(period[some], minlength=m)
    excess = np.bincount(period[some], mean[some] ** 2 - error[some] ** 2, m)
    seen = PeriodScatter(
        n_exposures,
        np.nan_to_num(count).astype(np.int64),
        sums[2] / count,
        np.sqrt(sums[1] / count),
        np.sqrt(np.maximum(excess, 0.0) / np.maximum(n_exposures - 2, 1)),
    )
    cloudy = np.abs(mean) > np.maximum(limits.cloud, _SURE * error)
    return seen, n_fit, (survey.exposure >= 0) & cloudy[survey.exposure]
