"""The gauge: directions in which parameters can move without any measure noticing.

A constant can go from all zero points into the stars, and from the flat field of a season
into the zero points of its nights. Where neither a prior nor a frozen parameter tells such a
constant, a rule does: means of zero points are what they were, means of flat fields are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from dvo.calib.blocks import Parameters

__all__ = ["Gauge", "connected_levels"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_NULL = 1e-9
"""Curvature of a direction, by that of its parameters one by one, which counts as none."""

_AT_ONCE = 64


def connected_levels(matrix: sparse.csr_array, parameters: Parameters, is_free: Bool) -> I32:
    """Find the sets of level parameters that stars connect.

    Parameters
    ----------
    matrix : sparse array, shape (n_parameters, n_parameters)
        Normal matrix, its lower triangle.
    parameters : Parameters
        All parameters.
    is_free : ndarray of bool, shape (n_parameters,)
        Which are solved for.

    Returns
    -------
    ndarray of int32, shape (n_parameters,)
        Number of the set; -1 for those that are not solved for, or are no level. Sets with a
        frozen parameter count as one, for these have one level.
    """
    used = np.flatnonzero(parameters.is_level & (is_free | parameters.frozen))
    n = len(used)
    graph = matrix[used][:, used].tocoo()
    known = np.flatnonzero(parameters.frozen[used])
    # All frozen parameters are tied to one node more.
    row = np.concatenate([graph.coords[0], known])
    column = np.concatenate([graph.coords[1], np.full(len(known), n)])
    ties = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(n + 1, n + 1))
    _, labels = connected_components(ties, directed=False)
    out = np.full(len(parameters), -1, np.int32)
    some = used[is_free[used]]
    out[some] = np.unique(labels[:n][is_free[used]], return_inverse=True)[1]
    return out


@dataclass(frozen=True, eq=False)
class Gauge:
    """Directions that nothing tells, and what holds them.

    Parameters are counted among the free ones.

    Parameters
    ----------
    directions : sparse array, shape (n_free, n)
        The directions, one a column.
    anchors : sparse array, shape (n, n_free)
        Weights of a mean for each.
    levels : ndarray of float64, shape (n,)
        What that mean is to be.
    pins : ndarray of int64
        Parameters held while the matrix is inverted, where no prior makes it regular.
    n_floating : int
        Directions that are levels of sets of stars; the others are means of `zero_mean`.
    """

    directions: sparse.csc_array
    anchors: sparse.csr_array
    levels: F64
    pins: I64
    n_floating: int

    @classmethod
    def of(
        cls, matrix: sparse.csr_array, parameters: Parameters, free: I64, component: I32
    ) -> Gauge:
        """Find what nothing tells.

        Parameters
        ----------
        matrix : sparse array, shape (n_parameters, n_parameters)
            Normal matrix of the measures, its lower triangle, without priors.
        parameters : Parameters
            All parameters.
        free : ndarray of int64, shape (n_free,)
            Which are solved for, ascending.
        component : ndarray of int32, shape (n_parameters,)
            As of `connected_levels`.

        Returns
        -------
        Gauge
            The directions.
        """
        of, diagonal = component[free], matrix.diagonal()[free]
        has_prior = parameters.weight[free] > 0
        level = parameters.level[free]
        told = set(of[has_prior].tolist()) | _with_frozen(matrix, parameters, free, of)
        modes: list[tuple[I64, F64]] = []
        anchors: list[I64] = []
        levels: list[float] = []
        pins: list[int] = []
        by_set = np.argsort(of, kind="stable")
        edges = np.searchsorted(of[by_set], np.arange(of.max(initial=-1) + 2))
        for label in range(len(edges) - 1):
            if label in told:
                continue
            some = by_set[edges[label] : edges[label + 1]]
            known = some[np.isfinite(level[some])]
            modes.append((some, np.ones(len(some))))
            anchors.append(known if len(known) else some)
            levels.append(float(level[known].mean()) if len(known) else 0.0)
            pins.append(int(some[np.argmax(diagonal[some])]))
        n_floating = len(modes)
        for cells, takers in _movable(matrix, parameters, free):
            if has_prior[takers].any():
                continue
            both = np.concatenate([cells, takers])
            modes.append((both, np.repeat([1.0, -1.0], [len(cells), len(takers)])))
            anchors.append(cells)
            levels.append(0.0)
            if not has_prior[cells].all():
                pins.append(int(cells[np.argmax(diagonal[cells])]))
        means = [(some, np.full(len(some), 1.0 / len(some))) for some in anchors]
        return cls(_columns(modes, len(free)), _columns(means, len(free)).T.tocsr(),
                   np.array(levels), np.array(pins, np.int64), n_floating)  # fmt: skip

    def __len__(self) -> int:
        return len(self.levels)

    def held(self, matrix: sparse.csc_array) -> sparse.csc_array:
        """Hold the pins at 0.

        Parameters
        ----------
        matrix : sparse array, shape (n_free, n_free)
            Normal matrix with priors.

        Returns
        -------
        sparse array, shape (n_free, n_free)
            The same, but the pins stand for themselves.
        """
        if not len(self.pins):
            return matrix
        keep = np.ones(matrix.shape[0])
        keep[self.pins] = 0.0
        # A pin of which stars say nothing at all has 0 there, or less by rounding.
        diagonal = sparse.diags_array(np.maximum(matrix.diagonal(), 1.0) * (1.0 - keep))
        mask = sparse.diags_array(keep)
        return (mask @ matrix @ mask + diagonal).tocsc()

    def cut(self, right: F64) -> F64:
        """Make the right-hand side 0 where pins are.

        Parameters
        ----------
        right : ndarray of float64, shape (n_free, ...)
            Right-hand sides.

        Returns
        -------
        ndarray of float64, shape (n_free, ...)
            A copy.
        """
        out = right.copy()
        out[self.pins] = 0.0
        return out

    def levelled(self, step: F64, values: F64) -> F64:
        """Move a step along the directions until all means are what they are to be.

        Parameters
        ----------
        step : ndarray of float64, shape (n_free,)
            The step with the pins held.
        values : ndarray of float64, shape (n_free,)
            The parameters before it.

        Returns
        -------
        ndarray of float64, shape (n_free,)
            The step.
        """
        if not len(self):
            return step
        off = self.levels - self.anchors @ (values + step)
        return np.asarray(step + self.directions @ (self._inverse() @ off))

    def variance(self, pinned: F64, inverse: Callable[[F64], F64]) -> F64:
        """Variances when the means are held and not the pins.

        Parameters
        ----------
        pinned : ndarray of float64, shape (n_free,)
            Diagonal of the inverse of the matrix that `held` gave.
        inverse : callable
            Multiplies columns, shape (n_free, k), by that inverse.

        Returns
        -------
        ndarray of float64, shape (n_free,)
            Diagonal of ``P C P^T`` with ``P = 1 - Z (A Z)^-1 A``, C the inverse with 0 at the
            pins, Z the directions and A the anchors.
        """
        one = sparse.eye_array(len(pinned), format="csr")
        return self.variance_of(one, self.cut(pinned), inverse)

    def cut_columns(self, sums: sparse.csr_array) -> sparse.csr_array:
        """Leave the pins out of sums of parameters.

        Parameters
        ----------
        sums : sparse array, shape (m, n_free)
            Coefficients.

        Returns
        -------
        sparse array, shape (m, n_free)
            The same without those of pins.
        """
        keep = np.ones(sums.shape[1])
        keep[self.pins] = 0.0
        out = sparse.csr_array(sums @ sparse.diags_array(keep))
        out.eliminate_zeros()
        return out

    def variance_of(
        self, sums: sparse.csr_array, pinned: F64, inverse: Callable[[F64], F64]
    ) -> F64:
        """Variances of sums of parameters when the means are held and not the pins.

        Parameters
        ----------
        sums : sparse array, shape (m, n_free)
            Coefficients of each sum.
        pinned : ndarray of float64, shape (m,)
            ``s C s^T`` of each, with C as in `variance`.
        inverse : callable
            Multiplies columns, shape (n_free, k), by the inverse of the matrix that `held` gave.

        Returns
        -------
        ndarray of float64, shape (m,)
            ``s P C P^T s^T``, as in `variance`.
        """
        out = pinned.copy()
        if not len(self):
            return out
        right = self.anchors.T.tocsc()
        parts = []
        for first in range(0, len(self), _AT_ONCE):
            some = self.cut(inverse(self.cut(right[:, first : first + _AT_ONCE].toarray())))
            parts.append(sparse.csc_array(some))  # of one connected set each: mostly 0
        spread = self._inverse()
        with_means = sparse.hstack(parts, format="csc")
        among = spread @ (self.anchors @ with_means) @ spread.T
        along = sums @ self.directions
        out -= 2.0 * (sums @ (with_means @ spread.T)).multiply(along).sum(axis=1)
        out += (along @ among).multiply(along).sum(axis=1)
        return out

    def covariance(self, columns: F64, inverse: Callable[[F64], F64]) -> F64:
        """Multiply columns by the covariance, when the means are held and not the pins.

        Parameters
        ----------
        columns : ndarray of float64, shape (n_free, k)
            The columns.
        inverse : callable
            Multiplies columns by the inverse of the matrix that `held` gave.

        Returns
        -------
        ndarray of float64, shape (n_free, k)
            ``P C P^T`` times the columns, as in `variance`.
        """
        spread = self._inverse()
        columns = columns - self.anchors.T @ (spread.T @ (self.directions.T @ columns))
        found = self.cut(inverse(self.cut(columns)))
        return np.asarray(found - self.directions @ (spread @ (self.anchors @ found)))

    def _inverse(self) -> sparse.csc_array:
        """``(A Z)^-1``: ``A Z`` is 1 and what flat fields take from means of zero points."""
        return sparse.csc_array(2.0 * sparse.eye_array(len(self)) - self.anchors @ self.directions)


def _columns(entries: list[tuple[I64, F64]], n: int) -> sparse.csc_array:
    rows = np.concatenate([np.empty(0, np.int64), *(r for r, _ in entries)])
    values = np.concatenate([np.empty(0), *(v for _, v in entries)])
    columns = np.repeat(np.arange(len(entries)), [len(r) for r, _ in entries])
    return sparse.csc_array((values, (rows, columns)), shape=(n, len(entries)))


def _with_frozen(matrix: sparse.csr_array, parameters: Parameters, free: I64, of: I32) -> set[int]:
    """Sets in which stars see a frozen level parameter, too."""
    known = np.flatnonzero(parameters.frozen & parameters.is_level)
    below, beside = matrix[:, known].sum(axis=1), matrix[known].sum(axis=0)
    is_tied = (np.ravel(below) != 0) | (np.ravel(beside) != 0)
    return set(of[is_tied[free]].tolist()) | {-1}


def _movable(matrix: sparse.csr_array, parameters: Parameters, free: I64) -> list[tuple[I64, I64]]:
    """Sets of `zero_mean`, each with the levels that take it up, along which nothing is told."""
    zero_mean, takes_up = parameters.zero_mean[free], parameters.takes_up[free]
    takes_up = np.where(parameters.is_level[free], takes_up, -1)
    lower = matrix[free][:, free]
    found = []
    for label in np.unique(zero_mean[zero_mean >= 0]).tolist():
        cells, takers = np.flatnonzero(zero_mean == label), np.flatnonzero(takes_up == label)
        direction = np.zeros(len(free))
        direction[cells], direction[takers] = 1.0, -1.0
        curvature = 2.0 * (direction @ (lower @ direction))
        curvature -= (lower.diagonal() * direction**2).sum()
        if len(takers) and abs(curvature) < _NULL * (lower.diagonal() * direction**2).sum():
            found.append((cells, takers))
    return found
