"""Entries of the inverse of a sparse matrix where its factor has entries: errors, exactly.

Estimates from random vectors do not do: errors of zero points that are tied to each other by stars
alone have correlations over all of the sky, and what these add to the noise of the estimate is
greater than the errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.kernels import count_factor, factorise, invert_selected, quadratic_forms

__all__ = ["SelectedInverse"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SelectedInverse:
    """Some entries of the inverse of a symmetric matrix, in the order of elimination.

    Parameters
    ----------
    place : ndarray of int64, shape (n,)
        Place of each row of the matrix in that order.
    begins, row : ndarray of int64
        Where each column begins, shape (n + 1,), and the rows of its entries below the diagonal.
    inverse : ndarray of float64, shape (begins[-1],)
        These entries.
    ordered_diagonal : ndarray of float64, shape (n,)
        The diagonal.
    """

    place: I64
    begins: I64
    row: I64
    inverse: F64
    ordered_diagonal: F64

    @classmethod
    def of(cls, matrix: sparse.csc_array, order: NDArray[np.integer]) -> SelectedInverse:
        """Invert a matrix.

        Parameters
        ----------
        matrix : sparse array, shape (n, n)
            Symmetric and positive definite.
        order : ndarray of int, shape (n,)
            Place of each row in the order of elimination, such as ``perm_c`` of SuperLU, which
            keeps the factor sparse.

        Returns
        -------
        SelectedInverse
            Its entries where the matrix, or its factor, has some.
        """
        n = matrix.shape[0]
        place = order.astype(np.int64)
        entries = matrix.tocoo()
        row, column = (place[c] for c in entries.coords)
        upper = sparse.csc_array(
            (entries.data[row <= column], (row[row <= column], column[row <= column])), shape=(n, n)
        )
        starts, rows = upper.indptr.astype(np.int64), upper.indices.astype(np.int64)
        parent, counts = np.empty(n, np.int64), np.empty(n, np.int64)
        count_factor(starts, rows, parent, counts)
        begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        below, factor = np.empty(begins[-1], np.int64), np.empty(begins[-1])
        pivot, diagonal, inverse = np.empty(n), np.empty(n), np.empty(begins[-1])
        factorise(starts, rows, upper.data.astype(np.float64), parent, begins, below, factor, pivot)
        invert_selected(begins, below, factor, pivot, inverse, diagonal)
        return cls(place, begins, below, inverse, diagonal)

    @property
    def diagonal(self) -> F64:
        """Diagonal of the inverse, shape (n,)."""
        return self.ordered_diagonal[self.place]

    def quadratic(self, sums: sparse.csr_array) -> F64:
        """Take ``s C s^T`` of the rows of a sparse array, C being the inverse.

        Parameters
        ----------
        sums : sparse array, shape (m, n)
            The rows.

        Returns
        -------
        ndarray of float64, shape (m,)
            NaN where entries would be needed that are not among those known: columns that no
            entry of the matrix, or of its factor, joins.
        """
        out = np.empty(sums.shape[0])
        quadratic_forms(sums.indptr.astype(np.int64), self.place[sums.indices],
                        sums.data.astype(np.float64), self.begins, self.row, self.inverse,
                        self.ordered_diagonal, out)  # fmt: skip
        return out
