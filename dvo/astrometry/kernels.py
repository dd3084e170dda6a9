"""Compiled parts of the astrometric model: cubic polynomials and residual maps, both ways.

A polynomial of one row has a reference (x0, y0, sx, sy) and ten terms an axis, of the powers
1 u v uu uv vv uuu uuv uvv vvv of u = (x - x0) sx, v = (y - y0) sy. A row number below 0 gives
NaN. Nothing is checked here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = [
    "legendre_basis",
    "map_offsets",
    "map_undo",
    "polynomial",
    "polynomial_basis",
    "polynomial_inverse",
    "polynomial_slopes",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_STEPS = 30
_FINE = 1e-14  # of the size of the argument: no step of Newton's method is worth less
_GOOD = 1e-9  # the step by which a root is taken to be found


@kernel_part
def _value(terms: F64, k: int, a: int, u: float, v: float) -> float:
    quadratic = terms[k, a, 3] * u * u + terms[k, a, 4] * u * v + terms[k, a, 5] * v * v
    cubic = (terms[k, a, 6] * u + terms[k, a, 7] * v) * u * u
    cubic += (terms[k, a, 8] * u + terms[k, a, 9] * v) * v * v
    total: float = terms[k, a, 0] + (terms[k, a, 1] * u + terms[k, a, 2] * v + quadratic + cubic)
    return total


@kernel_part
def _by_u(terms: F64, k: int, a: int, u: float, v: float) -> float:
    linear = 2.0 * terms[k, a, 3] * u + terms[k, a, 4] * v
    cubic = 3.0 * terms[k, a, 6] * u * u + 2.0 * terms[k, a, 7] * u * v + terms[k, a, 8] * v * v
    total: float = terms[k, a, 1] + linear + cubic
    return total


@kernel_part
def _by_v(terms: F64, k: int, a: int, u: float, v: float) -> float:
    linear = terms[k, a, 4] * u + 2.0 * terms[k, a, 5] * v
    cubic = terms[k, a, 7] * u * u + 2.0 * terms[k, a, 8] * u * v + 3.0 * terms[k, a, 9] * v * v
    total: float = terms[k, a, 2] + linear + cubic
    return total


@kernel
def polynomial(
    reference: F64, terms: F64, row: I64, x: F64, y: F64, first: F64, second: F64
) -> None:
    """Fill first and second with the two axes of each row's polynomial at (x, y)."""
    for i in range(x.size):
        k = row[i]
        if k < 0:
            first[i] = second[i] = np.nan
            continue
        u = (x[i] - reference[k, 0]) * reference[k, 2]
        v = (y[i] - reference[k, 1]) * reference[k, 3]
        first[i] = _value(terms, k, 0, u, v)
        second[i] = _value(terms, k, 1, u, v)


@kernel
def polynomial_slopes(reference: F64, terms: F64, row: I64, x: F64, y: F64, slopes: F64) -> None:
    """Fill slopes[i, axis, 0 or 1] with the derivatives by x and by y."""
    for i in range(x.size):
        k = row[i]
        if k < 0:
            slopes[i, 0, 0] = slopes[i, 0, 1] = slopes[i, 1, 0] = slopes[i, 1, 1] = np.nan
            continue
        sx = reference[k, 2]
        sy = reference[k, 3]
        u = (x[i] - reference[k, 0]) * sx
        v = (y[i] - reference[k, 1]) * sy
        slopes[i, 0, 0] = _by_u(terms, k, 0, u, v) * sx
        slopes[i, 0, 1] = _by_v(terms, k, 0, u, v) * sy
        slopes[i, 1, 0] = _by_u(terms, k, 1, u, v) * sx
        slopes[i, 1, 1] = _by_v(terms, k, 1, u, v) * sy


@kernel
def polynomial_inverse(
    reference: F64, terms: F64, row: I64, first: F64, second: F64, x: F64, y: F64
) -> None:
    """Fill x and y with where the polynomials have the values; NaN where none is found.

    By Newton's method from the root of the linear terms.
    """
    for i in range(first.size):
        x[i] = y[i] = np.nan
        k = row[i]
        if k < 0 or reference[k, 2] == 0.0 or reference[k, 3] == 0.0:
            continue
        a = terms[k, 0, 1]
        b = terms[k, 0, 2]
        d = terms[k, 1, 1]
        e = terms[k, 1, 2]
        off1 = first[i] - terms[k, 0, 0]
        off2 = second[i] - terms[k, 1, 0]
        det = a * e - b * d
        u = (e * off1 - b * off2) / det
        v = (a * off2 - d * off1) / det
        size = max(1.0, abs(u), abs(v))
        step = np.inf
        for _ in range(_STEPS):
            off1 = first[i] - _value(terms, k, 0, u, v)
            off2 = second[i] - _value(terms, k, 1, u, v)
            a = _by_u(terms, k, 0, u, v)
            b = _by_v(terms, k, 0, u, v)
            d = _by_u(terms, k, 1, u, v)
            e = _by_v(terms, k, 1, u, v)
            det = a * e - b * d
            du = (e * off1 - b * off2) / det
            dv = (a * off2 - d * off1) / det
            u += du
            v += dv
            step = max(abs(du), abs(dv))
            if not step > _FINE * size:
                break
        # A NaN in du or dv may be lost by max, but not in u or v.
        if step <= _GOOD * size and math.isfinite(u) and math.isfinite(v):
            x[i] = u / reference[k, 2] + reference[k, 0]
            y[i] = v / reference[k, 3] + reference[k, 1]


@kernel
def polynomial_basis(reference: F64, row: I64, x: F64, y: F64, basis: F64) -> None:
    """Fill basis[i] with the ten powers by which the terms of its row are multiplied."""
    for i in range(x.size):
        k = row[i]
        if k < 0:
            basis[i, :] = np.nan
            continue
        u = (x[i] - reference[k, 0]) * reference[k, 2]
        v = (y[i] - reference[k, 1]) * reference[k, 3]
        basis[i, 0] = 1.0
        basis[i, 1] = u
        basis[i, 2] = v
        basis[i, 3] = u * u
        basis[i, 4] = u * v
        basis[i, 5] = v * v
        basis[i, 6] = u * u * u
        basis[i, 7] = u * u * v
        basis[i, 8] = u * v * v
        basis[i, 9] = v * v * v


@kernel
def legendre_basis(s: F64, t: F64, basis: F64) -> None:
    """Fill basis[i] with the ten products of Legendre polynomials of s and of t."""
    for i in range(s.size):
        a = s[i]
        b = t[i]
        a2 = 0.5 * (3.0 * a * a - 1.0)
        b2 = 0.5 * (3.0 * b * b - 1.0)
        basis[i, 0] = 1.0
        basis[i, 1] = a
        basis[i, 2] = b
        basis[i, 3] = a2
        basis[i, 4] = a * b
        basis[i, 5] = b2
        basis[i, 6] = 0.5 * a * (5.0 * a * a - 3.0)
        basis[i, 7] = a2 * b
        basis[i, 8] = a * b2
        basis[i, 9] = 0.5 * b * (5.0 * b * b - 3.0)


@kernel_part
def _cell(place: float, n: int) -> int:
    """Return the node below a place, so that another is above it."""
    return int(max(0.0, min(n - 2.0, math.floor(place))))


@kernel
def map_offsets(
    values: F64, shape: I64, pitch: F64, row: I64, x: F64, y: F64, dx: F64, dy: F64, slopes: F64
) -> None:
    """Fill dx, dy with each row's map at (x, y), slopes with d(dx, dy)/d(x, y).

    Bilinear between the middles of the cells, and on beyond them; 0 where row is below 0.
    """
    for i in range(x.size):
        k = row[i]
        if k < 0:
            dx[i] = dy[i] = 0.0
            slopes[i, 0, 0] = slopes[i, 0, 1] = slopes[i, 1, 0] = slopes[i, 1, 1] = 0.0
            continue
        nx = shape[k, 0]
        ny = shape[k, 1]
        # A map of one cell in a direction is constant in it.
        px = x[i] * pitch[k, 0] - 0.5 if nx > 1 else 0.0
        py = y[i] * pitch[k, 1] - 0.5 if ny > 1 else 0.0
        if not (math.isfinite(px) and math.isfinite(py)):
            dx[i] = dy[i] = np.nan
            slopes[i, 0, 0] = slopes[i, 0, 1] = slopes[i, 1, 0] = slopes[i, 1, 1] = np.nan
            continue
        cx = _cell(px, nx)
        cy = _cell(py, ny)
        ex = min(cx + 1, nx - 1)
        ey = min(cy + 1, ny - 1)
        fx = px - cx
        fy = py - cy
        for a in range(2):
            v00 = values[k, a, cy, cx]
            v10 = values[k, a, cy, ex]
            v01 = values[k, a, ey, cx]
            v11 = values[k, a, ey, ex]
            low = v00 + (v10 - v00) * fx
            high = v01 + (v11 - v01) * fx
            value = low + (high - low) * fy
            if a == 0:
                dx[i] = value
            else:
                dy[i] = value
            slopes[i, a, 0] = ((v10 - v00) * (1.0 - fy) + (v11 - v01) * fy) * pitch[k, 0]
            slopes[i, a, 1] = (high - low) * pitch[k, 1]


@kernel
def map_undo(
    values: F64, shape: I64, pitch: F64, row: I64, moved_x: F64, moved_y: F64, x: F64, y: F64
) -> None:
    """Fill x, y with where x + dx(x, y), y + dy(x, y) are the moved places; NaN if nowhere."""
    one = np.empty(1, np.int64)
    at = np.empty((4, 1))
    slopes = np.empty((1, 2, 2))
    for i in range(moved_x.size):
        x[i] = moved_x[i]
        y[i] = moved_y[i]
        if row[i] < 0 or not (math.isfinite(x[i]) and math.isfinite(y[i])):
            continue
        one[0] = row[i]
        size = max(1.0, abs(x[i]), abs(y[i]))
        step = np.inf
        for _ in range(_STEPS):
            at[0, 0] = x[i]
            at[1, 0] = y[i]
            map_offsets(values, shape, pitch, one, at[0], at[1], at[2], at[3], slopes)
            off1 = moved_x[i] - x[i] - at[2, 0]
            off2 = moved_y[i] - y[i] - at[3, 0]
            a = 1.0 + slopes[0, 0, 0]
            b = slopes[0, 0, 1]
            d = slopes[0, 1, 0]
            e = 1.0 + slopes[0, 1, 1]
            det = a * e - b * d
            du = (e * off1 - b * off2) / det
            dv = (a * off2 - d * off1) / det
            x[i] += du
            y[i] += dv
            step = max(abs(du), abs(dv))
            if not step > _FINE * size:
                break
        if not (step <= _GOOD * size and math.isfinite(x[i]) and math.isfinite(y[i])):
            x[i] = y[i] = np.nan
