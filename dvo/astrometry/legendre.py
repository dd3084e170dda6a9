"""Polynomials of chips in Legendre form: orthogonal over the chip, so that fits are stable.

On a chip of nx by ny pixels the coordinates are s = (2 x - nx - 1) / nx and
t = (2 y - ny - 1) / ny: -1 and 1 on its edges, where pixel 1 begins at 0.5. The basis are the
products P_i(s) P_j(t) in the order of `POWERS`, with i + j <= 3. It spans the same polynomials as
the powers that are stored, so both ways of writing are exact but for rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry import kernels
from dvo.astrometry.polynomials import N_TERMS, POWERS, Polynomials
from dvo.errors import ShapeError

__all__ = ["chip_coordinates", "from_legendre", "legendre_basis", "to_legendre"]

F64 = NDArray[np.float64]

# P_0 to P_3 by their powers.
_ONE_AXIS = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (-0.5, 0.0, 1.5, 0.0),
             (0.0, -1.5, 0.0, 2.5))  # fmt: skip
# Row k: what basis function k has of each product of powers.
_AS_POWERS = np.array(
    [[_ONE_AXIS[i][p] * _ONE_AXIS[j][q] for p, q in POWERS] for i, j in POWERS]
)  # fmt: skip
_OF_POWERS = np.linalg.inv(_AS_POWERS)


def chip_coordinates(x: ArrayLike, y: ArrayLike, nx: ArrayLike, ny: ArrayLike) -> tuple[F64, F64]:
    """Coordinates on a chip that go from -1 to 1.

    Parameters
    ----------
    x, y : array_like of float64, shape (n,)
        Pixels.
    nx, ny : array_like, shape (n,) or ()
        Size of the chip [pix].

    Returns
    -------
    s, t : ndarray of float64, shape (n,)
        They; NaN where a pixel is NaN.
    """
    found = []
    for place, size in ((x, nx), (y, ny)):
        width = np.asarray(size, np.float64)
        found.append((2.0 * np.asarray(place, np.float64) - width - 1.0) / width)
    return found[0], found[1]


def legendre_basis(s: ArrayLike, t: ArrayLike) -> F64:
    """Products of Legendre polynomials.

    Parameters
    ----------
    s, t : array_like of float64, shape (n,)
        Coordinates on the chip, see `chip_coordinates`.

    Returns
    -------
    ndarray of float64, shape (n, 10)
        P_i(s) P_j(t) in the order of `POWERS`; the first 1, 3 and 6 are those up to order 0, 1
        and 2.

    Raises
    ------
    ShapeError
        If s and t differ in shape.
    """
    a, b = (np.ascontiguousarray(v, np.float64) for v in (s, t))
    if a.shape != b.shape or a.ndim != 1:
        raise ShapeError(f"coordinates have shapes {a.shape} and {b.shape}; give two of one length")
    found = np.empty((len(a), N_TERMS))
    kernels.legendre_basis(a, b, found)
    return found


def to_legendre(chips: Polynomials, nx: ArrayLike, ny: ArrayLike) -> F64:
    """Write polynomials of chips in Legendre form.

    Parameters
    ----------
    chips : Polynomials
        The polynomials.
    nx, ny : array_like, shape (n,) or ()
        Sizes of the chips [pix].

    Returns
    -------
    ndarray of float64, shape (n, 2, 10)
        Coefficients of the basis for both axes, constants included.
    """
    on_chip = chips.about(_reference(len(chips), nx, ny))
    return on_chip.terms @ _OF_POWERS


def from_legendre(
    coefficients: F64, nx: ArrayLike, ny: ArrayLike, reference: F64, order: ArrayLike = 3
) -> Polynomials:
    """Write polynomials in Legendre form as they are stored.

    Parameters
    ----------
    coefficients : ndarray of float64, shape (n, 2, 10)
        Coefficients of the basis for both axes.
    nx, ny : array_like, shape (n,) or ()
        Sizes of the chips [pix].
    reference : ndarray of float64, shape (n, 4)
        CRPIX and CDELT to write them about.
    order : array_like of int64, shape (n,) or ()
        Their orders; coefficients above are left out.

    Returns
    -------
    Polynomials
        Of equal values; constants are in the terms (CRVAL of a chip).
    """
    n = len(coefficients)
    orders = np.broadcast_to(np.asarray(order, np.int64), (n,)).copy()
    is_kept = np.array([i + j for i, j in POWERS]) <= np.maximum(orders, 1)[:, None]
    terms = np.where(is_kept[:, None, :], coefficients, 0.0) @ _AS_POWERS
    return Polynomials(_reference(n, nx, ny), terms, orders).about(reference)


def _reference(n: int, nx: ArrayLike, ny: ArrayLike) -> F64:
    found = np.empty((n, 4))
    for axis, size in enumerate((nx, ny)):
        width = np.asarray(size, np.float64)
        found[:, axis] = 0.5 * (width + 1.0)
        found[:, 2 + axis] = 2.0 / width
    return found
