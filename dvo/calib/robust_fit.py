"""Robust linear fits with errors that hold: an intrinsic scatter, and groups with errors in common.

Outliers get little weight (Cauchy's, as everywhere in calibration), and none where less than 0.3
of it would be left: many to one side would move the fit by more than its error. What measures
scatter beyond their stated errors is found, and counted as an error of all of them. Where measures
of a group, such as those of a part of the sky, err together, the error of the fit is that of so
many groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.kernels import CAUCHY, MASK_SHARE

__all__ = ["RobustFit", "fit_robustly"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MEDIAN_CHI2 = 0.454936
"""Median of chi-square with one degree of freedom."""

_LEAST_GROUPS = 8
_MOST_ROUNDS, _ROUNDS_OF_MASKS = 100, 20
_STILL = 1e-4  # of an error
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class RobustFit:
    """What a fit says.

    Parameters
    ----------
    values : ndarray of float64, shape (k,)
        Coefficients; NaN if the points do not tell them.
    covariance : ndarray of float64, shape (k, k)
        Their covariance.
    error : ndarray of float64, shape (k,)
        Their errors: from the covariance, or from the scatter of groups where that is greater.
    residual : ndarray of float64, shape (n,)
        Points less the fit.
    n_kept : int
        Points that keep 0.3 of their weight or more; others do not count.
    scatter : float
        Root mean square residual of these.
    intrinsic : float
        Scatter beyond the stated errors.
    """

    values: F64
    covariance: F64
    error: F64
    residual: F64
    n_kept: int
    scatter: float
    intrinsic: float


def fit_robustly(design: F64, y: F64, sigma: F64, group: I64 | None = None) -> RobustFit:
    """Fit ``y = design @ values`` by Cauchy weights.

    Parameters
    ----------
    design : ndarray of float64, shape (n, k)
        Terms.
    y, sigma : ndarray of float64, shape (n,)
        Points and their stated errors; finite, and positive.
    group : ndarray of int64, shape (n,), optional
        Group of each point, from 0; points of a group may err together.

    Returns
    -------
    RobustFit
        With NaN where there are no more points than terms, or terms cannot be told apart.
    """
    n, k = design.shape
    scale = np.sqrt((design**2).mean(axis=0)) if n else np.ones(k)
    scale[scale == 0] = 1.0
    terms = design / scale
    if n <= k or np.linalg.matrix_rank(terms) < k:
        return _nothing(y, k)
    values = _least_absolute(terms, y, sigma)
    kept = np.ones(n, np.bool_)
    for number in range(_MOST_ROUNDS):
        residual = y - terms @ values
        total = np.hypot(sigma, _intrinsic(residual[kept], sigma[kept], k))
        share = 1.0 / (1.0 + (residual / (CAUCHY * total)) ** 2)
        if number < _ROUNDS_OF_MASKS:  # points at the limit would come and go for ever
            kept = share >= MASK_SHARE
        weight = np.where(kept, share, 0.0) / total**2
        normal = terms.T @ (weight[:, None] * terms)
        if kept.sum() <= k or np.linalg.matrix_rank(normal) < k:
            return _nothing(y, k)
        step = np.linalg.solve(normal, terms.T @ (weight * residual))
        values += step
        if (np.abs(step) < _STILL / np.sqrt(normal.diagonal())).all():
            break
    residual = y - terms @ values
    intrinsic = _intrinsic(residual[kept], sigma[kept], k)
    total = np.hypot(sigma, intrinsic)
    covariance, error = _errors(terms, residual / total, total, kept, group)
    scatter = float(np.sqrt((residual[kept] ** 2).mean()))
    return RobustFit(values / scale, covariance / np.outer(scale, scale), error / scale,
                     residual, int(kept.sum()), scatter, intrinsic)  # fmt: skip


def _nothing(y: F64, k: int) -> RobustFit:
    """What is said where points do not tell the coefficients."""
    none = np.full(k, np.nan)
    return RobustFit(none, np.full((k, k), np.nan), none, y, 0, np.nan, np.nan)


def _least_absolute(terms: F64, y: F64, sigma: F64) -> F64:
    """Where to begin: the least sum of absolute residuals, which outliers do not move far."""
    values = np.linalg.lstsq(terms / sigma[:, None], y / sigma, rcond=None)[0]
    for _ in range(30):
        residual = np.abs(y - terms @ values) / sigma
        weight = 1.0 / (sigma**2 * np.maximum(residual, _TINY * max(1.0, residual.max())))
        values = np.linalg.solve(terms.T @ (weight[:, None] * terms), terms.T @ (weight * y))
    return np.asarray(values)


def _intrinsic(residual: F64, sigma: F64, k: int) -> float:
    """Scatter beyond the stated errors, by which the median chi-square is what it should be."""
    squares = residual**2 * (len(residual) / max(1, len(residual) - k))
    low, high = 0.0, float(np.sqrt(np.median(squares) / _MEDIAN_CHI2))
    if np.median(squares / sigma**2) <= _MEDIAN_CHI2:
        return 0.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        if np.median(squares / (sigma**2 + middle**2)) > _MEDIAN_CHI2:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _errors(
    terms: F64, u: F64, total: F64, kept: NDArray[np.bool_], group: I64 | None
) -> tuple[F64, F64]:
    """Covariance of an M-estimator (Huber 1981, 7.6), and errors with those of groups."""
    n, k = terms.shape
    share = 1.0 / (1.0 + (u / CAUCHY) ** 2)
    psi, slope = u * share * kept, share**2 * (1.0 - (u / CAUCHY) ** 2) * kept
    mean = max(float(slope.mean()), _TINY)
    correction = 1.0 + k / n * float(slope.var()) / mean**2
    scaled = terms / total[:, None]
    inverse = np.linalg.inv(scaled.T @ scaled)
    covariance = inverse * (correction**2 * float((psi**2).sum()) / (n - k) / mean**2)
    variance = covariance.diagonal().copy()
    n_groups = 0 if group is None else int(group.max()) + 1
    if group is not None and n_groups >= _LEAST_GROUPS:
        # What the fit would be without each group (the jackknife): right for unequal groups, too.
        pulls, hessians = np.zeros((n_groups, k)), np.zeros((n_groups, k, k))
        np.add.at(pulls, group, psi[:, None] * scaled)
        np.add.at(hessians, group, slope[:, None, None] * scaled[:, :, None] * scaled[:, None, :])
        without = np.linalg.pinv(hessians.sum(axis=0) - hessians, hermitian=True)
        moved = (without @ pulls[:, :, None])[:, :, 0]
        of_groups = (moved**2).sum(axis=0) * (n_groups - 1) / n_groups
        variance = np.maximum(variance, of_groups)
    return covariance, np.sqrt(variance)
