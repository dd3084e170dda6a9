"""The best galaxy model of a grid of trials: axes, flux, errors, and how the fit went.

Forced photometry of galaxies (psphotFullForce) keeps the angle and the profile of a model
and tries many pairs of axes, fractions of those of the stack; for each pair it gives the
flux, its error and chi squared. What is kept of it is the minimum of the paraboloid through
chi squared, as the original's loadgalphot finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.tables.galphot import GalPhotFlag

__all__ = ["BestTrials", "ShapeGrid", "best_trials"]

F64 = NDArray[np.float64]

_N_TERMS = 6  # of a paraboloid
_REACH_STEPS = 2.0  # so far outside the grid the minimum may lie
# Below this share of a grid's own stiffness the trials do not determine the paraboloid.
_LEAST_EIGENVALUE = 1e-9


@dataclass(frozen=True, slots=True)
class ShapeGrid:
    """Trials of galaxy models that have grids of one size.

    Parameters
    ----------
    major_min, major_step, minor_min, minor_step : ndarray of float64, shape (n,)
        Least fraction of each axis, and the step between trials.
    chisq : ndarray of float64, shape (n, n_major, n_minor)
        Chi squared over the number of pixels; NaN for a trial that failed.
    flux, flux_err : ndarray of float64, shape (n, n_major, n_minor)
        Flux and its error.
    n_pix : ndarray of float64, shape (n,)
        Number of pixels.
    """

    major_min: F64
    major_step: F64
    minor_min: F64
    minor_step: F64
    chisq: F64
    flux: F64
    flux_err: F64
    n_pix: F64


@dataclass(frozen=True, slots=True)
class BestTrials:
    """What the grids say of their models; NaN all along where no trial succeeded.

    Parameters
    ----------
    major, minor, major_err, minor_err : ndarray of float64, shape (n,)
        Best fraction of each axis and its error: where chi squared is 1 above its minimum,
        or one step of the grid where that is not known.
    flux, flux_err, chisq : ndarray of float64, shape (n,)
        Flux there, its error, and the least chi squared over the number of pixels.
    flags : ndarray of uint32, shape (n,)
        How the fit went (GalPhotFlag).
    """

    major: F64
    minor: F64
    major_err: F64
    minor_err: F64
    flux: F64
    flux_err: F64
    chisq: F64
    flags: NDArray[np.uint32]


def best_trials(grid: ShapeGrid) -> BestTrials:
    """Find the best model of each grid.

    Parameters
    ----------
    grid : ShapeGrid
        The trials.

    Returns
    -------
    BestTrials
        One row a grid. Where fewer than 6 trials succeeded, where they do not determine a
        minimum, or where that lies more than two steps outside the grid, the best trial is
        taken and flagged.

    Notes
    -----
    The original clips trials at 5 sigma; among the 25 of a usual grid none can lie so far
    out, so that is left away.
    """
    # Any bits can stand in a file; what cannot be computed with is NaN in the end, or flagged.
    with np.errstate(all="ignore"):
        return _best_trials(grid)


def _best_trials(grid: ShapeGrid) -> BestTrials:
    n, n_major, n_minor = grid.chisq.shape
    total = (grid.chisq * grid.n_pix[:, None, None]).reshape(n, n_major * n_minor)
    good = np.isfinite(total)
    n_good = good.sum(axis=1)
    least = np.where(good, total, np.inf)
    best = least.argmin(axis=1) if total.shape[1] else np.zeros(n, np.int64)
    at_major, at_minor = np.divmod(best, max(n_minor, 1))
    flags = np.where(n_good < _N_TERMS, GalPhotFlag.TOO_FEW_POINTS, 0).astype(np.uint32)
    # Steps of the grid from its corner: all grids of one size share their design.
    step_major, step_minor = np.divmod(np.arange(n_major * n_minor), max(n_minor, 1))
    steps = (step_major.astype(np.float64), step_minor.astype(np.float64))
    u, v, err_u, err_v, solved = _minima(total, good & (n_good >= _N_TERMS)[:, None], steps)
    flags[(n_good >= _N_TERMS) & ~solved] |= np.uint32(GalPhotFlag.FIT_FAILED)
    inside = (u > -_REACH_STEPS) & (u < n_major - 1 + _REACH_STEPS)
    inside &= (v > -_REACH_STEPS) & (v < n_minor - 1 + _REACH_STEPS)
    flags[solved & ~inside] |= np.uint32(GalPhotFlag.OUT_OF_RANGE)
    fits = solved & inside
    has_errors = fits & np.isfinite(err_u) & np.isfinite(err_v)
    flags[fits & ~has_errors] |= np.uint32(GalPhotFlag.BAD_ERROR)
    u, v = np.where(fits, u, at_major), np.where(fits, v, at_minor)
    rows = np.arange(n)
    values = []
    for trials in (grid.flux, grid.flux_err):
        picked = trials[rows, at_major, at_minor] if trials.size else np.full(n, np.nan)
        values.append(np.where(has_errors, _between(trials, u, v), picked))
    lost = n_good == 0
    flux, flux_err = (np.where(lost, np.nan, v) for v in values)
    chisq = least.min(axis=1, initial=np.inf) / np.where(grid.n_pix > 0, grid.n_pix, np.nan)
    return BestTrials(
        major=np.where(lost, np.nan, grid.major_min + u * grid.major_step),
        minor=np.where(lost, np.nan, grid.minor_min + v * grid.minor_step),
        major_err=np.where(lost, np.nan, np.where(has_errors, err_u, 1.0) * grid.major_step),
        minor_err=np.where(lost, np.nan, np.where(has_errors, err_v, 1.0) * grid.minor_step),
        flux=flux,
        flux_err=flux_err,
        chisq=np.where(lost, np.nan, chisq),
        flags=flags,
    )


def _minima(
    total: F64, good: NDArray[np.bool_], steps: tuple[F64, F64]
) -> tuple[F64, F64, F64, F64, NDArray[np.bool_]]:
    """Least-squares paraboloids: place of the extremum, errors (NaN: no minimum), success."""
    centre = [s.mean() if s.size else 0.0 for s in steps]
    half = [max((np.ptp(s) if s.size else 0.0) / 2.0, 1.0) for s in steps]
    # Coordinates from -1 to 1 keep the normal equations well behaved.
    p, q = ((s - c) / h for s, c, h in zip(steps, centre, half, strict=True))
    design = np.stack([np.ones_like(p), p, q, p * p, p * q, q * q], axis=1)
    # Only differences of chi squared count: numbers near zero lose fewer digits.
    lowest = np.where(good, total, np.inf).min(axis=1, initial=np.inf)
    lowest[~np.isfinite(lowest)] = 0.0
    right = np.where(good, total - lowest[:, None], 0.0) @ design
    terms, stiff = np.empty((len(total), _N_TERMS)), np.empty(len(total), np.bool_)
    # Grids of which no trial failed, nearly all, have one matrix.
    whole = good.all(axis=1)
    for rows, weight in ((whole, good[whole][:1]), (~whole, good[~whole])):
        if len(weight):
            terms[rows], stiff[rows] = _solve(weight.astype(np.float64), design, right[rows])
    _, b_p, b_q, c_pp, c_pq, c_qq = terms.T
    det = 4.0 * c_pp * c_qq - c_pq**2
    at_p = (b_q * c_pq - 2.0 * c_qq * b_p) / det
    at_q = (b_p * c_pq - 2.0 * c_pp * b_q) / det
    err_p = np.where(c_pp > 0, 1.0 / np.sqrt(np.abs(c_pp)), np.nan)
    err_q = np.where(c_qq > 0, 1.0 / np.sqrt(np.abs(c_qq)), np.nan)
    solved = stiff & np.isfinite(at_p) & np.isfinite(at_q)
    return (
        centre[0] + at_p * half[0],
        centre[1] + at_q * half[1],
        err_p * half[0],
        err_q * half[1],
        solved,
    )


def _solve(weight: F64, design: F64, right: F64) -> tuple[F64, NDArray[np.bool_]]:
    """Solve normal equations, one matrix a row of weights or for all; tells which can be."""
    normal = np.einsum("nt,ti,tj->nij", weight, design, design)
    stiff = np.linalg.eigvalsh(normal)[:, 0] > _LEAST_EIGENVALUE * max(len(design), 1)
    normal[~stiff] = np.eye(_N_TERMS)
    if len(normal) == 1:
        return np.linalg.solve(normal[0], right.T).T, stiff
    return np.linalg.solve(normal, right[:, :, None])[:, :, 0], stiff


def _between(trials: F64, u: F64, v: F64) -> F64:
    """Values between trials, bilinear; outside the grid its last cell is continued."""
    n, n_major, n_minor = trials.shape
    if n_major < 2 or n_minor < 2:
        return np.full(n, np.nan)
    i = np.clip(np.floor(u), 0, n_major - 2).astype(np.int64)
    j = np.clip(np.floor(v), 0, n_minor - 2).astype(np.int64)
    f, g, rows = u - i, v - j, np.arange(n)
    low = trials[rows, i, j] * (1 - f) + trials[rows, i + 1, j] * f
    high = trials[rows, i, j + 1] * (1 - f) + trials[rows, i + 1, j + 1] * f
    return np.asarray(low * (1 - g) + high * g)
