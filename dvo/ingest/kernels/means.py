"""Running mean magnitudes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["accumulate_magnitudes"]

F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
U4 = NDArray[np.uint32]


@kernel
def accumulate_magnitudes(
    row: I8,
    mag: F4,
    err: F4,
    floor: float,
    default: float,
    mean: F4,
    mean_err: F4,
    chi: F4,
    stdev: F4,
    least: F4,
    most: F4,
    n_used: U4,
) -> None:
    """Add magnitudes to running weighted means, in order.

    Keeps only what SecFilt stores, like the mean positions, so that it does not matter
    where a batch ends. The sum of squares follows West (1979), Comm. ACM 22, 532.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Row of the mean that each magnitude belongs to; negative: none.
    mag, err : ndarray of float32, shape (n,)
        Magnitudes and errors [mag]; a NaN magnitude is passed over.
    floor : float
        Least error [mag].
    default : float
        Error where it is NaN, not above 0 or beyond 1000 [mag].
    mean, mean_err, chi, stdev, least, most : ndarray of float32, shape (m,)
        Weighted mean, its error, reduced chi-square, scatter, extremes; changed in place.
        Without rows, chi, least and most are left out.
    n_used : ndarray of uint32, shape (m,)
        Magnitudes in each mean; changed in place.
    """
    has_all = len(chi) > 0
    for i in range(len(row)):
        r = row[i]
        m = float(mag[i])
        if r < 0 or m != m or math.isinf(m):
            continue
        e = float(err[i])
        if not 0.0 < e < 1e3:
            e = default
        weight = 1.0 / (max(e, floor) * max(e, floor))
        n = n_used[r]
        if n == 0:
            mean[r] = m
            mean_err[r] = math.sqrt(1.0 / weight)
            n_used[r] = 1
            if has_all:
                least[r] = m
                most[r] = m
            continue
        old = float(mean_err[r])
        before = 1.0 / (old * old)
        total = before + weight
        delta = m - float(mean[r])
        # From the scatter, which is stored for every kind of magnitude.
        squares = float(stdev[r]) * float(stdev[r]) * before * (n - 1) / n if n > 1 else 0.0
        squares += weight * before / total * delta * delta
        mean[r] = float(mean[r]) + delta * weight / total
        mean_err[r] = math.sqrt(1.0 / total)
        n_used[r] = n + 1
        stdev[r] = math.sqrt(squares / total * (n + 1) / n)
        if has_all:
            chi[r] = squares / n
            least[r] = min(float(least[r]), m)
            most[r] = max(float(most[r]), m)
