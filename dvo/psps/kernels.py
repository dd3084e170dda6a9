"""Loops of the public tables: trixels, random numbers and names of objects."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = ["htm_ids", "random_numbers", "write_digits"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
U8 = NDArray[np.uint8]


@kernel_part
def _side(corners: F64, a: int, b: int, x: float, y: float, z: float) -> float:
    """On which side of the great circle through two corners a direction lies; left is positive."""
    return float(
        x * (corners[a, 1] * corners[b, 2] - corners[a, 2] * corners[b, 1])
        + y * (corners[a, 2] * corners[b, 0] - corners[a, 0] * corners[b, 2])
        + z * (corners[a, 0] * corners[b, 1] - corners[a, 1] * corners[b, 0])
    )


@kernel_part
def _middle(corners: F64, a: int, b: int, out: int) -> None:
    """Put the middle of two corners, on the sphere, behind them."""
    mx, my, mz = (
        corners[a, 0] + corners[b, 0],
        corners[a, 1] + corners[b, 1],
        corners[a, 2] + corners[b, 2],
    )
    norm = math.sqrt(mx * mx + my * my + mz * mz)
    corners[out, 0], corners[out, 1], corners[out, 2] = mx / norm, my / norm, mz / norm


@kernel_part
def _take(corners: F64, to: int, source: int) -> None:
    for axis in range(3):
        corners[to, axis] = corners[source, axis]


@kernel
def htm_ids(directions: F64, roots: F64, depth: int, out: I64) -> None:
    """Trixel of each direction (Szalay et al. 2007, arXiv:cs/0701164).

    A trixel is cut into four by the middles of its sides; a child has two more bits than its
    parent: 0 to 2 for the one at corner 0 to 2, 3 for the one in the middle.

    Parameters
    ----------
    directions : ndarray of float64, shape (n, 3)
        Unit vectors, ICRS.
    roots : ndarray of float64, shape (8, 3, 3)
        Corners of the eight trixels of depth 0, numbered 8 to 15, anticlockwise from outside.
    depth : int
        How often they are cut.
    out : ndarray of int64, shape (n,)
        Filled; -1 where a direction is not finite.
    """
    corners = np.empty((6, 3))  # of the trixel, and the middles of its sides
    for i in range(len(directions)):
        x, y, z = directions[i, 0], directions[i, 1], directions[i, 2]
        if not math.isfinite(x + y + z):
            out[i] = -1
            continue
        root = _root(x, y, z)
        corners[:3] = roots[root]
        found = np.int64(8 + root)
        for _ in range(depth):
            _middle(corners, 1, 2, 3)
            _middle(corners, 0, 2, 4)
            _middle(corners, 0, 1, 5)
            if _side(corners, 5, 4, x, y, z) > 0.0:  # beyond the line that cuts corner 0 off
                child = 0
                _take(corners, 1, 5)
                _take(corners, 2, 4)
            elif _side(corners, 3, 5, x, y, z) > 0.0:
                child = 1
                _take(corners, 0, 1)
                _take(corners, 1, 3)
                _take(corners, 2, 5)
            elif _side(corners, 4, 3, x, y, z) > 0.0:
                child = 2
                _take(corners, 0, 2)
                _take(corners, 1, 4)
                _take(corners, 2, 3)
            else:
                child = 3
                _take(corners, 0, 3)
                _take(corners, 1, 4)
                _take(corners, 2, 5)
            found = 4 * found + child
        out[i] = found


@kernel_part
def _root(x: float, y: float, z: float) -> int:
    """Octant of a direction, in the order S0 to S3, N0 to N3."""
    if z < 0.0:
        if y >= 0.0:
            return 0 if x >= 0.0 else 1
        return 3 if x >= 0.0 else 2
    if y >= 0.0:
        return 7 if x >= 0.0 else 6
    return 4 if x >= 0.0 else 5


@kernel
def random_numbers(ids: U64, out: F64) -> None:
    """Turn each number into one of [0, 1) that looks random (Steele et al. 2014: SplitMix64).

    Parameters
    ----------
    ids : ndarray of uint64, shape (n,)
        Numbers.
    out : ndarray of float64, shape (n,)
        Filled; the same for the same number, always.
    """
    for i in range(len(ids)):
        z = ids[i] + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        out[i] = np.float64(z >> np.uint64(11)) * 2.0**-53


@kernel
def write_digits(values: I64, chars: U8, start: int, n_digits: int) -> None:
    """Write whole numbers into lines of text, with leading zeros.

    Parameters
    ----------
    values : ndarray of int64, shape (n,)
        Numbers, not negative, of at most `n_digits` digits.
    chars : ndarray of uint8, shape (n, width)
        Lines; changed.
    start, n_digits : int
        Where in each line the digits begin, and how many there are.
    """
    for i in range(len(values)):
        left = values[i]
        for place in range(start + n_digits - 1, start - 1, -1):
            chars[i, place] = 48 + left % 10
            left //= 10
