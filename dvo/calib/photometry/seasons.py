"""Seasons of flat fields: the times at which a flat field changes.

Nights tell the flat field each for itself, from the residuals of their measures by chip and
cell. A sequence of nights is cut where the two sides differ most, if they differ by more than
noise does, and each side is cut again (binary segmentation; Scott & Knott 1974).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_CHANGE", "find_changes"]

F64 = NDArray[np.float64]

LEAST_CHANGE = 0.002
"""Scatter of cells between two seasons below which they are one [mag]."""

_SIGNIFICANT = 8.0
"""How far above what noise gives a change must be, in standard deviations of chi-square."""


def find_changes(weight: F64, mean: F64, *, least_change: float = LEAST_CHANGE) -> list[int]:
    """Find where a sequence of flat fields changes.

    Parameters
    ----------
    weight : ndarray of float64, shape (n_nights, n_cells)
        Weight of each cell in each night [1/mag**2]; 0 where it was not seen.
    mean : ndarray of float64, shape (n_nights, n_cells)
        Its mean residual [mag].
    least_change : float
        Scatter of cells over the change, noise taken off, that it needs [mag].

    Returns
    -------
    list of int
        First nights of new seasons, ascending; empty if there is one season.
    """
    scale = _noise(weight, mean)
    found: list[int] = []
    pending = [(0, len(weight))]
    while pending:
        first, last = pending.pop()
        cut = _best_cut(weight[first:last], mean[first:last], scale, least_change)
        if cut:
            found.append(first + cut)
            pending += [(first, first + cut), (first + cut, last)]
    return sorted(found)


def _noise(weight: F64, mean: F64) -> float:
    """Variance of means in units of that of their weights, from one night to the next."""
    one, two = weight[:-1], weight[1:]
    both = (one > 0) & (two > 0)
    if not both.any():
        return 1.0
    variance = 1.0 / one[both] + 1.0 / two[both]
    # The median, for between some neighbours the flat field changes.
    return max(1.0, float(np.median((mean[1:] - mean[:-1])[both] ** 2 / variance)) / 0.4549)


def _best_cut(weight: F64, mean: F64, scale: float, least_change: float) -> int:
    """Night before which to cut; 0 if there is no change."""
    if len(weight) < 2:
        return 0
    below = np.cumsum(weight, axis=0)[:-1]
    above = weight.sum(axis=0) - below
    product = np.cumsum(weight * mean, axis=0)
    total = product[-1]
    known = (below > 0) & (above > 0)
    left = product[:-1] / np.where(known, below, 1.0)
    right = (total - product[:-1]) / np.where(known, above, 1.0)
    precision = np.where(known, below * above / np.where(known, below + above, 1.0), 0.0)
    squares = np.where(known, (right - left) ** 2, 0.0)
    n = known.sum(axis=1)
    gain = (precision * squares).sum(axis=1) / scale - n
    best = int(np.argmax(gain))
    if n[best] == 0 or gain[best] < _SIGNIFICANT * np.sqrt(2.0 * n[best]):
        return 0
    some = known[best]
    change = (squares[best, some] - scale / precision[best, some]).mean()
    return best + 1 if change > least_change**2 else 0
