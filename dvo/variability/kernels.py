"""Compiled loops of variability: indices of each object, by filter and of all filters together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = ["ALL_INDICES", "FILTER_INDICES", "index_objects"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

FILTER_INDICES = ("n", "mean", "chi2", "stetson_j", "inv_eta", "amplitude", "amplitude_90",
                  "amplitude_80")  # fmt: skip
"""What `index_objects` says of an object in a filter, in this order."""

ALL_INDICES = ("n", "chi2", "stetson_j", "inv_eta")
"""What it says of an object in all filters."""

_MOST_ROUNDS = 20
_CLOSE = 1e-7
_SINGLE_WEIGHT = 0.5


@kernel
def index_objects(
    edges: I64,
    band: I64,
    mag: F64,
    error: F64,
    rank: U8,
    time: F64,
    window: float,
    least: int,
    by_filter: F64,
    of_all: F64,
) -> None:
    """Make the indices of variability of objects.

    Of the measures of an object in a filter those of the lowest rank count, if they are enough.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin, and where the last ones end.
    band : ndarray of int64, shape (n,)
        Filter of each measure; those of an object are in order of time.
    mag, error : ndarray of float64, shape (n,)
        Magnitudes and their errors [mag]; NaN does not count, nor an error of 0 or less.
    rank : ndarray of uint8, shape (n,)
        Rank of each, 0 the best.
    time : ndarray of float64, shape (n,)
        When each was made, in any unit.
    window : float
        Measures no further apart are pairs [unit of `time`].
    least : int
        Measures that a filter needs, 2 or more.
    by_filter : ndarray of float64, shape (n_objects, n_filters, 8)
        Receives `FILTER_INDICES`; NaN, and 0 measures, of a filter that has too few.
    of_all : ndarray of float64, shape (n_objects, 4)
        Receives `ALL_INDICES`, of the filters that have enough.
    """
    n_filters = by_filter.shape[1]
    most = 1
    for j in range(edges.size - 1):
        most = max(most, edges[j + 1] - edges[j])
    value, size, place = np.empty(most), np.empty(most), np.empty(most, np.int64)
    delta, use = np.empty(most), np.empty(most, np.bool_)
    for j in range(edges.size - 1):
        first, last = edges[j], edges[j + 1]
        n_all, chi2_all, squares_all, steps_all, freedom = 0, 0.0, 0.0, 0.0, 0
        use[: last - first] = False
        for f in range(n_filters):
            by_filter[j, f, 0] = 0.0
            by_filter[j, f, 1:] = np.nan
            best = 255
            for i in range(first, last):
                if band[i] == f and np.isfinite(mag[i]) and error[i] > 0.0:
                    best = min(best, rank[i])
            n = 0
            for i in range(first, last):
                if band[i] == f and np.isfinite(mag[i]) and error[i] > 0.0 and rank[i] == best:
                    value[n], size[n], place[n] = mag[i], error[i], i - first
                    n += 1
            if n < least:
                continue
            weight, mean, plain = 0.0, 0.0, 0.0
            for i in range(n):
                weight += size[i] ** -2.0
                mean += value[i] * size[i] ** -2.0
                plain += value[i]
            mean /= weight
            plain /= n
            chi2, squares, steps = 0.0, 0.0, 0.0
            for i in range(n):
                chi2 += ((value[i] - mean) / size[i]) ** 2
                squares += (value[i] - plain) ** 2
                if i > 0:
                    steps += (value[i] - value[i - 1]) ** 2
            centre = _stetson_mean(value[:n], size[:n], mean)
            grow = np.sqrt(n / (n - 1.0))
            for i in range(n):
                delta[place[i]] = grow * (value[i] - centre) / size[i]
                use[place[i]] = True
            by_filter[j, f, 0] = n
            by_filter[j, f, 1] = mean
            by_filter[j, f, 2] = chi2 / (n - 1)
            by_filter[j, f, 3] = _stetson_j(delta, use, band, time, first, last, f, window)
            if steps > 0.0:
                by_filter[j, f, 4] = squares / steps
            ordered = np.sort(value[:n])
            by_filter[j, f, 5] = ordered[n - 1] - ordered[0]
            by_filter[j, f, 6] = _at(ordered, 0.95) - _at(ordered, 0.05)
            by_filter[j, f, 7] = _at(ordered, 0.9) - _at(ordered, 0.1)
            n_all += n
            freedom += n - 1
            chi2_all += chi2
            squares_all += squares
            steps_all += steps
        of_all[j, 0] = n_all
        of_all[j, 1:] = np.nan
        if n_all > 0:
            of_all[j, 1] = chi2_all / freedom
            of_all[j, 2] = _stetson_j(delta, use, band, time, first, last, -1, window)
            if steps_all > 0.0:
                of_all[j, 3] = squares_all / steps_all


@kernel
def _stetson_mean(value: F64, size: F64, start: float) -> float:
    """Mean with the weights of Stetson (1996), section 2: outliers count for less."""
    n = value.size
    grow = np.sqrt(n / (n - 1.0))
    mean = start
    for _ in range(_MOST_ROUNDS):
        total, above = 0.0, 0.0
        for i in range(n):
            off = grow * (value[i] - mean) / size[i]
            w = size[i] ** -2.0 / (1.0 + (0.5 * off) ** 2)
            total += w
            above += w * value[i]
        step = above / total - mean
        mean += step
        if abs(step) < _CLOSE:
            break
    return mean


@kernel
def _stetson_j(
    delta: F64,
    use: NDArray[np.bool_],
    band: I64,
    time: F64,
    first: int,
    last: int,
    only: int,
    window: float,
) -> float:
    """J of the measures of an object, of one filter or, if `only` is -1, of all."""
    above, total = 0.0, 0.0
    i = first
    while i < last:
        if not use[i - first] or (only >= 0 and band[i] != only):
            i += 1
            continue
        end, n = i, 0
        while end < last and time[end] - time[i] <= window:
            if use[end - first] and (only < 0 or band[end] == only):
                n += 1
            end += 1
        if n == 1:
            p = delta[i - first] ** 2 - 1.0
            above += _SINGLE_WEIGHT * np.sign(p) * np.sqrt(abs(p))
            total += _SINGLE_WEIGHT
        else:
            # All pairs of what was taken together; n measures have n - 1 pairs that are free.
            for a in range(i, end):
                if not use[a - first] or (only >= 0 and band[a] != only):
                    continue
                for b in range(a + 1, end):
                    if use[b - first] and (only < 0 or band[b] == only):
                        p = delta[a - first] * delta[b - first]
                        above += 2.0 / n * np.sign(p) * np.sqrt(abs(p))
            total += n - 1.0
        i = end
    return above / total


@kernel_part
def _at(ordered: F64, share: float) -> float:
    """Percentile of numbers in order, between neighbours in proportion."""
    place = share * (ordered.size - 1)
    low = int(place)
    high = min(low + 1, ordered.size - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))
