"""Compiled loops over the rows of a batch: grouping, counting, extents."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel
from dvo.kernels.sky_cells import wrap_ra

__all__ = [
    "circle",
    "count_rows",
    "distinct_pairs",
    "group_rows",
]

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U4 = NDArray[np.uint32]

_DEG = math.pi / 180.0


@kernel
def group_rows(group: I8, n_groups: int) -> tuple[I8, I8]:
    """Order rows by group, keeping their order inside each (a counting sort).

    Parameters
    ----------
    group : ndarray of int64, shape (n,)
        Group of each row, in [0, n_groups).
    n_groups : int
        Number of groups.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        Rows, group after group.
    edges : ndarray of int64, shape (n_groups + 1,)
        Where each group begins in `order`.
    """
    edges = np.zeros(n_groups + 1, np.int64)
    for i in range(len(group)):
        edges[group[i] + 1] += 1
    for g in range(n_groups):
        edges[g + 1] += edges[g]
    place = edges[:-1].copy()
    order = np.empty(len(group), np.int64)
    for i in range(len(group)):
        g = group[i]
        order[place[g]] = i
        place[g] += 1
    return order, edges


@kernel
def count_rows(row: I8 | I4, count: U4) -> None:
    """Count how often each row is named.

    Parameters
    ----------
    row : ndarray of int64 or int32, shape (n,)
        Rows; negative: none.
    count : ndarray of uint32, shape (m,)
        Counts; changed in place.
    """
    for i in range(len(row)):
        if row[i] >= 0:
            count[row[i]] += 1


@kernel
def circle(ra: F8, dec: F8) -> tuple[float, float, float]:
    """Circle that holds all positions: about their mean direction, out to the farthest.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg]; at least one.

    Returns
    -------
    ra, dec, radius : float
        Centre and radius [deg].
    """
    n = len(ra)
    x = y = z = 0.0
    xyz = np.empty((n, 3))
    for i in range(n):
        a, d = ra[i] * _DEG, dec[i] * _DEG
        c = math.cos(d)
        xyz[i, 0] = c * math.cos(a)
        xyz[i, 1] = c * math.sin(a)
        xyz[i, 2] = math.sin(d)
        x += xyz[i, 0]
        y += xyz[i, 1]
        z += xyz[i, 2]
    norm = math.sqrt(x * x + y * y + z * z)
    far2 = 0.0
    for i in range(n):
        u = xyz[i, 0] - x / norm
        v = xyz[i, 1] - y / norm
        w = xyz[i, 2] - z / norm
        far2 = max(far2, u * u + v * v + w * w)
    centre_ra = wrap_ra(math.atan2(y, x) / _DEG)
    centre_dec = math.atan2(z, math.sqrt(x * x + y * y)) / _DEG
    return centre_ra, centre_dec, 2.0 * math.asin(min(1.0, 0.5 * math.sqrt(far2))) / _DEG


@kernel
def distinct_pairs(group: I4, column: I8, n_columns: int) -> tuple[I8, I8]:
    """List the different columns that are named in each group of rows.

    Parameters
    ----------
    group : ndarray of int32, shape (n,)
        Group of each row; the rows of a group lie together.
    column : ndarray of int64, shape (n,)
        Column that each row names; negative: none.
    n_columns : int
        Number of columns.

    Returns
    -------
    i : ndarray of int64
        Which group, counted from 0 in the order of the rows, ascending.
    k : ndarray of int64
        The columns of each group, ascending.
    """
    named_by = np.full(n_columns, -1, np.int64)
    i = np.empty(len(group), np.int64)
    k = np.empty(len(group), np.int64)
    n = 0
    count = 0
    first = 0
    while first < len(group):
        stop = first
        while stop < len(group) and group[stop] == group[first]:
            if column[stop] >= 0:
                named_by[column[stop]] = count
            stop += 1
        for c in range(n_columns):
            if named_by[c] == count:
                i[n] = count
                k[n] = c
                n += 1
        count += 1
        first = stop
    return i[:n], k[:n]
