"""Cubic polynomials in two coordinates, one a row: the chips and focal planes of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry import kernels
from dvo.errors import ShapeError

__all__ = ["MAX_ORDER", "N_TERMS", "POWERS", "Polynomials", "substitution"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
"""Powers of u and of v of the terms of an axis."""

N_TERMS = len(POWERS)
MAX_ORDER = 3

_DEGREE = np.array([i + j for i, j in POWERS])


@dataclass(frozen=True, eq=False)
class Polynomials:
    """Polynomials from one plane to another, one a row.

    With u = (x - x0) sx and v = (y - y0) sy, axis a has the value
    ``sum_k terms[a, k] u^i v^j``, (i, j) = `POWERS` [k].

    Parameters
    ----------
    reference : ndarray of float64, shape (n, 4)
        x0, y0, sx, sy of each row (CRPIX and CDELT); NaN where a row has no solution.
    terms : ndarray of float64, shape (n, 2, 10)
        Terms of both axes.
    order : ndarray of int64, shape (n,)
        Order up to which a row may have terms, 0 to 3; 0 and 1 are linear.
    """

    reference: F64
    terms: F64
    order: I64

    def __post_init__(self) -> None:
        n = len(self.order)
        if self.reference.shape != (n, 4) or self.terms.shape != (n, 2, N_TERMS):
            raise ShapeError(
                f"{n} polynomials have references of shape {self.reference.shape} and terms of "
                f"shape {self.terms.shape}; they must be ({n}, 4) and ({n}, 2, {N_TERMS})"
            )

    def __len__(self) -> int:
        return len(self.order)

    @classmethod
    def identity(cls, n: int) -> Self:
        """Polynomials that change nothing.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        Polynomials
            They.
        """
        terms = np.zeros((n, 2, N_TERMS))
        terms[:, 0, 1] = terms[:, 1, 2] = 1.0
        return cls(np.tile([0.0, 0.0, 1.0, 1.0], (n, 1)), terms, np.zeros(n, np.int64))

    def at(self, row: I64, x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
        """Values at places.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            Row of the polynomial of each place; below 0 for none.
        x, y : array_like of float64, shape (n,)
            Places.

        Returns
        -------
        first, second : ndarray of float64, shape (n,)
            Both axes; NaN where the row is below 0, or an input is NaN.
        """
        row, x, y = self._places(row, x, y)
        first, second = np.empty(len(row)), np.empty(len(row))
        kernels.polynomial(self.reference, self.terms, row, x, y, first, second)
        return first, second

    def slopes(self, row: I64, x: ArrayLike, y: ArrayLike) -> F64:
        """Derivatives by the coordinates.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            As in `at`.
        x, y : array_like of float64, shape (n,)
            Places.

        Returns
        -------
        ndarray of float64, shape (n, 2, 2)
            [i, a, b]: derivative of axis a by coordinate b.
        """
        row, x, y = self._places(row, x, y)
        found = np.empty((len(row), 2, 2))
        kernels.polynomial_slopes(self.reference, self.terms, row, x, y, found)
        return found

    def basis(self, row: I64, x: ArrayLike, y: ArrayLike) -> F64:
        """Derivatives of an axis by its terms: the powers of u and v.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            As in `at`.
        x, y : array_like of float64, shape (n,)
            Places.

        Returns
        -------
        ndarray of float64, shape (n, 10)
            In the order of `POWERS`.
        """
        row, x, y = self._places(row, x, y)
        found = np.empty((len(row), N_TERMS))
        kernels.polynomial_basis(self.reference, row, x, y, found)
        return found

    def inverse(self, row: I64, first: ArrayLike, second: ArrayLike) -> tuple[F64, F64]:
        """Places of values, by Newton's method.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            As in `at`.
        first, second : array_like of float64, shape (n,)
            Values of both axes.

        Returns
        -------
        x, y : ndarray of float64, shape (n,)
            Places; NaN where the polynomial cannot be inverted.
        """
        row, first, second = self._places(row, first, second)
        x, y = np.empty(len(row)), np.empty(len(row))
        kernels.polynomial_inverse(self.reference, self.terms, row, first, second, x, y)
        return x, y

    def about(self, reference: F64) -> Self:
        """Write the same polynomials about other references; exact but for rounding.

        Parameters
        ----------
        reference : ndarray of float64, shape (n, 4)
            x0, y0, sx, sy that each row is to have.

        Returns
        -------
        Polynomials
            Of equal values.
        """
        old, new = self.reference, reference
        scale = old[:, 2:] / new[:, 2:]
        shift = (new[:, :2] - old[:, :2]) * old[:, 2:]
        terms = np.einsum("nak,nkl->nal", self.terms, substitution(shift, scale))
        return type(self)(np.array(new), terms, self.order)

    def through_zero(self) -> Self:
        """Move the references to where both axes are zero, so that no constant is left.

        Returns
        -------
        Polynomials
            Of equal values; NaN where a row has no zero.
        """
        rows = np.arange(len(self))
        zero = np.zeros(len(self))
        is_there = (self.terms[:, :, 0] == 0.0).all(axis=1)
        x, y = self.inverse(rows, zero, zero)
        reference = self.reference.copy()
        reference[~is_there, 0], reference[~is_there, 1] = x[~is_there], y[~is_there]
        moved = self.about(reference)
        moved.terms[:, :, 0] = np.where(np.isnan(moved.terms[:, :, 0]), np.nan, 0.0)
        return moved

    def cut(self, order: ArrayLike) -> Self:
        """Leave out terms above an order.

        Parameters
        ----------
        order : array_like of int64, shape (n,) or ()
            The order of each row.

        Returns
        -------
        Polynomials
            Without these terms.
        """
        orders = np.broadcast_to(np.asarray(order, np.int64), self.order.shape).copy()
        is_kept = np.maximum(orders, 1)[:, None] >= _DEGREE
        return type(self)(self.reference, np.where(is_kept[:, None, :], self.terms, 0.0), orders)

    def take(self, rows: Array) -> Self:
        """Choose rows.

        Parameters
        ----------
        rows : ndarray
            Numbers of rows, or a mask.

        Returns
        -------
        Polynomials
            They.
        """
        return type(self)(self.reference[rows], self.terms[rows], self.order[rows])

    def _places(self, row: I64, x: ArrayLike, y: ArrayLike) -> tuple[I64, F64, F64]:
        rows = np.ascontiguousarray(row, np.int64)
        a, b = (np.ascontiguousarray(v, np.float64) for v in (x, y))
        if not (rows.shape == a.shape == b.shape) or rows.ndim != 1:
            raise ShapeError(
                f"rows and places differ in shape: {rows.shape}, {a.shape}, {b.shape}; give "
                "arrays of one length"
            )
        if len(rows) and int(rows.max()) >= len(self):
            raise ShapeError(f"row {int(rows.max())} of {len(self)} polynomials; give one below")
        return rows, a, b


def substitution(shift: F64, scale: F64) -> F64:
    """Matrices that put u = shift + scale s into polynomials.

    Parameters
    ----------
    shift, scale : ndarray of float64, shape (n, 2)
        Of both coordinates.

    Returns
    -------
    ndarray of float64, shape (n, 10, 10)
        Terms in u (as rows) times a matrix are terms in s.
    """
    found = np.zeros((len(shift), N_TERMS, N_TERMS))
    place = {power: k for k, power in enumerate(POWERS)}
    for k, (i, j) in enumerate(POWERS):
        for p in range(i + 1):
            for q in range(j + 1):
                found[:, k, place[p, q]] = (
                    _binomial(shift[:, 0], scale[:, 0], i, p)
                    * _binomial(shift[:, 1], scale[:, 1], j, q)
                )  # fmt: skip
    return found


def _binomial(shift: F64, scale: F64, i: int, p: int) -> F64:
    """Coefficient of s^p in (shift + scale s)^i."""
    found: F64 = math.comb(i, p) * shift ** (i - p) * scale**p
    return found
