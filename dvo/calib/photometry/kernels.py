"""Compiled loops of mean magnitudes: robust means of the best measures of each object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.calib.kernels import CAUCHY, MASK_SHARE
from dvo.jit import kernel

__all__ = ["MASKED", "N_MEANS", "UNUSED", "USED", "average_groups"]

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
U8 = NDArray[np.uint8]

N_MEANS = 10
"""Mean, its error, scatter, reduced chi-square, least, greatest, percentiles 10 20 80 90."""

UNUSED, USED, MASKED = 0, 1, 2

_MOST_ROUNDS = 10
_CLOSE = 1e-6


@kernel
def average_groups(
    edges: I64,
    rows: I64,
    mag: F64,
    error: F64,
    boost: F64,
    rank: U8,
    means: F64,
    n_used: U32,
    best: U8,
    state: U8,
) -> None:
    """Average the best magnitudes of each group.

    Of the measures with a magnitude those of the lowest rank count. Their mean is made by
    Cauchy weights, in ten rounds at most; those with less than 0.3 of the median of these
    weights are masked, and the error of the mean, the scatter, chi-square and extremes are
    those of the others.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_groups + 1,)
        Where each group begins in `rows`, and where the last one ends.
    rows : ndarray of int64, shape (n,)
        Measures, those of a group together.
    mag, error : ndarray of float64, shape (n_measures,)
        Magnitudes and their errors [mag]; NaN does not count.
    boost : ndarray of float64, shape (n_measures,)
        Factor of the weight of each in the mean.
    rank : ndarray of uint8, shape (n_measures,)
        Rank of each, 0 the best.
    means : ndarray of float64, shape (n_groups, 10)
        Receives what `N_MEANS` counts [mag]; NaN without measures.
    n_used : ndarray of uint32, shape (n_groups,)
        Receives the measures used and not masked.
    best : ndarray of uint8, shape (n_groups,)
        Receives the rank that was averaged; 255 without measures.
    state : ndarray of uint8, shape (n_measures,)
        Receives whether each was used or masked.
    """
    most = 0
    for g in range(edges.size - 1):
        most = max(most, edges[g + 1] - edges[g])
    at = np.empty(most, np.int64)
    share = np.empty(most)
    for g in range(edges.size - 1):
        for k in range(N_MEANS):
            means[g, k] = np.nan
        n_used[g] = 0
        best[g] = 255
        for j in range(edges[g], edges[g + 1]):
            i = rows[j]
            state[i] = UNUSED
            if np.isfinite(mag[i]) and error[i] > 0.0 and rank[i] < best[g]:
                best[g] = rank[i]
        if best[g] == 255:
            continue
        n = 0
        total, mean = 0.0, 0.0
        for j in range(edges[g], edges[g + 1]):
            i = rows[j]
            if np.isfinite(mag[i]) and error[i] > 0.0 and rank[i] == best[g]:
                at[n] = i
                n += 1
                w = boost[i] / error[i] ** 2
                total += w
                mean += w * mag[i]
        mean /= total
        for _ in range(_MOST_ROUNDS):
            total, above = 0.0, 0.0
            for k in range(n):
                i = at[k]
                u = 1.0 / (1.0 + ((mag[i] - mean) / (CAUCHY * error[i])) ** 2)
                w = u * boost[i] / error[i] ** 2
                total += w
                above += w * mag[i]
            step = above / total - mean
            mean += step
            if abs(step) < _CLOSE:
                break
        for k in range(n):
            i = at[k]
            share[k] = 1.0 / (1.0 + ((mag[i] - mean) / (CAUCHY * error[i])) ** 2)
        limit = MASK_SHARE * np.median(share[:n])
        kept = 0
        weight, squares, chi2 = 0.0, 0.0, 0.0
        for k in range(n):
            i = at[k]
            if share[k] < limit:
                state[i] = MASKED
                continue
            state[i] = USED
            off = mag[i] - mean
            weight += 1.0 / error[i] ** 2
            squares += off**2
            chi2 += (off / error[i]) ** 2
            share[kept] = mag[i]
            kept += 1
        found = np.sort(share[:kept])
        means[g, 0] = mean
        means[g, 1] = 1.0 / np.sqrt(weight)
        if kept > 1:
            means[g, 2] = np.sqrt(squares / (kept - 1))
            means[g, 3] = chi2 / (kept - 1)
        means[g, 4], means[g, 5] = found[0], found[kept - 1]
        for k in range(4):
            place = (0.1, 0.2, 0.8, 0.9)[k] * (kept - 1)
            low = int(place)
            high = min(low + 1, kept - 1)
            means[g, 6 + k] = found[low] + (place - low) * (found[high] - found[low])
        n_used[g] = kept
