"""Compiled loops over table rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["rows_by_object", "sky_keys"]

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

_STEPS = 65535.0
_FEW = 64
"""Measures of an object up to which moving each to its place is the fastest way to sort."""


@kernel
def sky_keys(ra: F8, dec: F8, edges: I8) -> NDArray[np.uint32]:
    """Place of each position on a Z-curve about the middle of its region.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg], finite, those of a region together.
    edges : ndarray of int64, shape (n_regions + 1,)
        Where the positions of each region begin, and where the last ones end.

    Returns
    -------
    ndarray of uint32, shape (n,)
        Keys to sort by within a region: near positions have near keys.

    Notes
    -----
    The curve runs over offsets east and north scaled to the extent of the positions
    (sinusoidal projection), so it works at the poles, where only its locality suffers,
    and for regions that RA 0 runs through.
    """
    n = len(ra)
    x = np.empty(n)
    out = np.empty(n, np.uint32)
    for k in range(len(edges) - 1):
        first, last = edges[k], edges[k + 1]
        west, east, south, north = 0.0, 0.0, 90.0, -90.0
        for i in range(first, last):
            x[i] = (ra[i] - ra[first] + 540.0) % 360.0 - 180.0
            west, east = min(west, x[i]), max(east, x[i])
            south, north = min(south, dec[i]), max(north, dec[i])
        middle, centre = 0.5 * (west + east), 0.5 * (south + north)
        reach = 1e-9
        for i in range(first, last):
            x[i] = (x[i] - middle) * math.cos(dec[i] * math.pi / 180.0)
            reach = max(reach, abs(x[i]), abs(dec[i] - centre))
        for i in range(first, last):
            a = np.uint32((x[i] / reach + 1.0) * 0.5 * _STEPS)
            b = np.uint32(((dec[i] - centre) / reach + 1.0) * 0.5 * _STEPS)
            key = np.uint32(0)
            for bit in range(16):
                one = np.uint32(1)
                key |= ((a >> np.uint32(bit)) & one) << np.uint32(2 * bit)
                key |= ((b >> np.uint32(bit)) & one) << np.uint32(2 * bit + 1)
            out[i] = key
    return out


@kernel
def rows_by_object(objects: I8, time: I8, edges: I8) -> I8:
    """Order of measures by their objects, those of an object by time.

    Parameters
    ----------
    objects : ndarray of int64, shape (n,)
        Object of each measure.
    time : ndarray of int64, shape (n,)
        When each was made, in any unit.
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin in the result, and where the last ones end.

    Returns
    -------
    ndarray of int64, shape (n,)
        Rows, in that order; equal ones as they were.
    """
    place = edges[:-1].copy()
    rows = np.empty(len(objects), np.int64)
    for i in range(len(objects)):
        k = place[objects[i]]
        place[objects[i]] += 1
        rows[k] = i
    for j in range(len(edges) - 1):
        first, last = edges[j], edges[j + 1]
        if last - first > _FEW:
            some = rows[first:last].copy()
            rows[first:last] = some[np.argsort(time[some], kind="mergesort")]
            continue
        for k in range(first + 1, last):
            row = rows[k]
            at = k
            while at > first and time[rows[at - 1]] > time[row]:
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = row
    return rows
