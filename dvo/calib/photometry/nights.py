"""Which nights are photometric: what is known of each, and the rule that rejects them.

The rule is that of the original (TGroupOps.c, clean_tgroups): a night needs four exposures and a
hundred measures, and its scatter and chi-square may not exceed a limit that lies between twice
the median of the first look and a fixed bound. Nights that were rejected stay so. Before that
nights are judged by the zero points of their exposures, each solved for on its own, so that
clouds do not get into the stars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointOptions, solve_jointly
from dvo.calib.normal import StarBatch, Weighing, residuals_of

__all__ = ["NightLimits", "NightRule", "PeriodScatter", "exposure_residuals", "mean_of"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_FLOOR = 0.003
"""Scatter of zero points in a clear night, beside their errors [mag]."""


@dataclass(frozen=True)
class NightLimits:
    """What a photometric night must be.

    Parameters
    ----------
    least_exposures, least_measures : int
        Exposures and measures it needs.
    cloud : float
        Scatter of exposures about zero point and slope that is no cloud [mag].
    most_scatter, most_chi2 : float
        Scatter [mag] and reduced chi-square of measures above which a night is rejected,
        unless twice the median of all nights is more.
    slope_prior : float
        Scatter of airmass slopes about the nominal one [mag/airmass].
    """

    least_exposures: int = 4
    least_measures: int = 100
    cloud: float = 0.02
    most_scatter: float = 0.1
    most_chi2: float = 10.0
    slope_prior: float = 0.04


@dataclass(frozen=True, eq=False)
class PeriodScatter:
    """Scatter of the measures of each period about its zero point and slope.

    Parameters
    ----------
    n_exposures, n_measures : ndarray of int64, shape (n,)
        What it has.
    chi2 : ndarray of float64, shape (n,)
        Reduced chi-square; NaN without measures.
    scatter : ndarray of float64, shape (n,)
        Standard deviation [mag].
    cloud : ndarray of float64, shape (n,)
        That of its exposures' mean residuals [mag].
    """

    n_exposures: I64
    n_measures: I64
    chi2: F64
    scatter: F64
    cloud: F64


class NightRule:
    """The rule of the original, with what it saw at first.

    Parameters
    ----------
    limits : NightLimits
        Its bounds.
    """

    def __init__(self, limits: NightLimits) -> None:
        self._limits = limits
        self._first: tuple[float, float] | None = None

    def poor(self, seen: PeriodScatter, is_used: Bool) -> Bool:
        """Find nights to be rejected.

        Parameters
        ----------
        seen : PeriodScatter
            What is known of all.
        is_used : ndarray of bool, shape (n,)
            Nights that count as photometric now.

        Returns
        -------
        ndarray of bool, shape (n,)
            Those of them that do not any longer.
        """
        limits = self._limits
        out = seen.n_exposures < limits.least_exposures
        out |= seen.n_measures < limits.least_measures
        some = is_used & ~out & np.isfinite(seen.chi2)
        if not some.any():
            return out & is_used
        if self._first is None:
            self._first = (2.0 * float(np.median(seen.chi2[some])),
                           2.0 * float(np.median(seen.scatter[some])))  # fmt: skip
        bounds = (limits.most_chi2, limits.most_scatter)
        for values, first, most in zip((seen.chi2, seen.scatter), self._first, bounds,
                                       strict=True):  # fmt: skip
            out |= ~(values <= max(first, min(most, float(np.percentile(values[some], 90)))))
        out |= seen.cloud > limits.cloud
        return out & is_used


def exposure_residuals(
    offset: F64, error: F64, component: I32, period: I32, airmass: F64, slope_prior: float
) -> F64:
    """Find how far zero points of exposures lie from those of their nights.

    Parameters
    ----------
    offset, error : ndarray of float64, shape (n,)
        Zero points and their errors [mag]; NaN if not known.
    component : ndarray of int32, shape (n,)
        Set of exposures that stars connect; each has a level of its own.
    period : ndarray of int32, shape (n,)
        Period of each; -1 for none.
    airmass : ndarray of float64, shape (n,)
        Airmass, less 1.
    slope_prior : float
        Scatter of airmass slopes about the nominal one [mag/airmass].

    Returns
    -------
    ndarray of float64, shape (n,)
        Robustly, about zero point and slope of the period, and the level of the set [mag]; NaN
        without a period.

    Notes
    -----
    This is a joint solve, too: sets take the place of stars, exposures that of measures.
    """
    out = np.full(len(offset), np.nan)
    used = np.flatnonzero((period >= 0) & (component >= 0) & np.isfinite(offset + error))
    if not len(used):
        return out
    order = used[np.argsort(component[used], kind="stable")]
    _, counts = np.unique(component[order], return_counts=True)
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    of, n = period[order], int(period.max()) + 1
    over = airmass[order] - mean_of(of, airmass[order], n)[of]
    index = np.column_stack([of, of + np.int32(n)]).astype(np.int32)
    batch = StarBatch(edges, offset[order], np.hypot(error[order], _FLOOR), index,
                      np.column_stack([np.ones(len(order)), over]))  # fmt: skip
    parameters = Parameters([
        Block("night", np.zeros(n), is_level=True),
        Block("slope", np.zeros(n), prior=np.full(n, slope_prior)),
    ])  # fmt: skip

    def batches() -> Iterable[StarBatch]:
        return [batch]

    solve_jointly(parameters, batches, JointOptions(star_chi2=np.inf))
    out[order], _ = residuals_of(batch, parameters.values, Weighing(is_robust=True))
    # The level of a set is a mean of all its nights: that of each night is taken off again.
    middle = _median_of(of, out[order], n)
    out[order] -= middle[of]
    return out


def mean_of(group: NDArray[np.integer], values: F64, n: int) -> F64:
    """Take the means of groups.

    Parameters
    ----------
    group : ndarray of int, shape (m,)
        Group of each value, from 0.
    values : ndarray of float64, shape (m,)
        The values.
    n : int
        Number of groups.

    Returns
    -------
    ndarray of float64, shape (n,)
        The means; 0 of groups without values.
    """
    counts = np.bincount(group, minlength=n)
    return np.asarray(np.bincount(group, values, n) / np.maximum(counts, 1))


def _median_of(group: NDArray[np.integer], values: F64, n: int) -> F64:
    """Medians of groups, shape (n,); 0 of those without values."""
    order = np.lexsort((values, group))
    counts = np.bincount(group, minlength=n)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    has = counts > 0
    out = np.zeros(n)
    low, high = (first + (counts - 1) // 2)[has], (first + counts // 2)[has]
    out[has] = (values[order][low] + values[order][high]) / 2.0
    return out
