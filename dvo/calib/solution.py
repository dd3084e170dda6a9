"""Solve normal equations: priors, frozen parameters, gauge, connected pieces, and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from dvo.calib.blocks import Parameters
from dvo.calib.normal import NormalEquations

__all__ = ["Solution", "solve"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

_DENSE = 6000
"""Free parameters up to which all errors are made exactly, from a dense inverse."""

_PROBES = 512
"""Random vectors that errors of more parameters are estimated from: to 3 % each."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What normal equations say.

    Parameters
    ----------
    step : ndarray of float64, shape (n_parameters,)
        To be added to the parameters; 0 for those that are frozen or have no measure.
    is_free : ndarray of bool, shape (n_parameters,)
        Which have been solved for.
    component : ndarray of int32, shape (n_parameters,)
        Set of parameters that stars connect; -1 for those not solved for.
    n_floating : int
        Sets in which neither a prior nor a frozen parameter tells the level: their mean is
        made that of the block's `level`.
    variance : callable
        Gives the variance of each parameter, shape (n_parameters,), NaN for those not
        solved for; under the gauge, with all correlations; before the scale of errors.
    """

    step: F64
    is_free: Bool
    component: I32
    n_floating: int
    variance: Callable[[], F64]

    @property
    def n_components(self) -> int:
        """Sets of parameters that stars connect."""
        return int(self.component.max(initial=-1)) + 1


def solve(equations: NormalEquations, parameters: Parameters) -> Solution:
    """Solve for the step that brings parameters to the least of chi-square.

    Parameters
    ----------
    equations : NormalEquations
        What the stars say, about the values that the parameters have.
    parameters : Parameters
        Their priors, and which are frozen.

    Returns
    -------
    Solution
        The step, and what is to be known of it.
    """
    prior, frozen = parameters.weight, parameters.frozen
    is_told = equations.matrix.diagonal() > 0
    is_free = ~frozen & is_told
    free = np.flatnonzero(is_free)
    lower = equations.matrix[free][:, free]
    matrix = (lower + sparse.tril(lower, -1).T + sparse.diags_array(prior[free])).tocsc()
    right = equations.right + prior * (parameters.expected - parameters.values)
    component = np.full(len(parameters), -1, np.int32)
    component[free] = _connected(equations, is_free, frozen)
    gauge = _Gauge.of(parameters, free, component, equations)
    matrix = gauge.held(matrix)
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True},
                  diag_pivot_thresh=0.0)  # fmt: skip
    step = np.zeros(len(parameters))
    step[free] = gauge.levelled(factor.solve(gauge.cut(right[free])), parameters.values[free])

    def variance() -> F64:
        out = np.full(len(parameters), np.nan)
        out[free] = gauge.variance(matrix, factor.solve)
        return out

    return Solution(step, is_free, component, len(gauge.pins), variance)


def _connected(equations: NormalEquations, is_free: Bool, frozen: Bool) -> I32:
    """Sets of free parameters that stars connect; those with a frozen one count as one set."""
    n = len(is_free)
    graph = equations.matrix.tocoo()
    row, column = graph.coords
    known = np.flatnonzero(frozen)
    # All frozen parameters are tied to one node: they have one level.
    row = np.concatenate([row, known])
    column = np.concatenate([column, np.full(len(known), n)])
    ties = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(n + 1, n + 1))
    _, labels = connected_components(ties, directed=False)
    return np.asarray(np.unique(labels[:n][is_free], return_inverse=True)[1], np.int32)


@dataclass(frozen=True, eq=False)
class _Gauge:
    """The levels that nothing tells: in each such set one parameter is held, and then the mean.

    ``pins`` are the parameters held, ``members`` the level parameters of each set,
    ``anchors`` those whose mean is held, and ``levels`` what it is; parameters are counted
    among the free ones.
    """

    pins: list[int]
    members: list[NDArray[np.int64]]
    anchors: list[NDArray[np.int64]]
    levels: list[float]

    @classmethod
    def of(
        cls, parameters: Parameters, free: NDArray[np.int64], component: I32,
        equations: NormalEquations,
    ) -> _Gauge:  # fmt: skip
        """Find the sets whose level nothing tells."""
        is_level = parameters.is_level[free]
        of = component[free]
        told = set(of[is_level & (parameters.weight[free] > 0)].tolist())
        told |= _with_frozen(parameters, free, of, equations)
        diagonal = equations.matrix.diagonal()[free]
        level = parameters.level[free]
        gauge = cls([], [], [], [])
        for label in np.unique(of[is_level]).tolist():
            if label not in told:
                some = np.flatnonzero(is_level & (of == label))
                known = some[np.isfinite(level[some])]
                gauge.pins.append(int(some[np.argmax(diagonal[some])]))
                gauge.members.append(some)
                gauge.anchors.append(known if len(known) else some)
                gauge.levels.append(float(level[known].mean()) if len(known) else 0.0)
        return gauge

    def held(self, matrix: sparse.csc_array) -> sparse.csc_array:
        """The matrix with the pins tied to 0 by weights of their own size."""
        if not self.pins:
            return matrix
        keep = np.ones(matrix.shape[0])
        keep[self.pins] = 0.0
        diagonal = sparse.diags_array(matrix.diagonal() * (1.0 - keep))
        mask = sparse.diags_array(keep)
        return (mask @ matrix @ mask + diagonal).tocsc()

    def cut(self, right: F64) -> F64:
        out = right.copy()
        out[self.pins] = 0.0
        return out

    def levelled(self, step: F64, values: F64) -> F64:
        """The step that makes the mean of each set what it is to be."""
        out = step.copy()
        for some, anchors, level in zip(self.members, self.anchors, self.levels, strict=True):
            out[some] += level - (values[anchors] + step[anchors]).mean()
        return out

    def variance(self, matrix: sparse.csc_array, inverse: Callable[[F64], F64]) -> F64:
        """Diagonal of the covariance, when the mean of each set is held and not the pin."""
        n = int(matrix.shape[0])
        if n <= _DENSE:
            factor = cho_factor(matrix.toarray(), lower=True, overwrite_a=True, check_finite=False)
            whole = cho_solve(factor, np.eye(n), overwrite_b=True, check_finite=False)
            out: F64 = whole.diagonal().copy()
        else:
            out = _probed_diagonal(n, inverse)
        out[self.pins] = 0.0
        for pin, some, anchors in zip(self.pins, self.members, self.anchors, strict=True):
            ones = np.zeros(n)
            ones[anchors] = 1.0 / len(anchors)
            ones[pin] = 0.0
            with_mean = inverse(ones)
            with_mean[pin] = 0.0
            out[some] += with_mean @ ones - 2.0 * with_mean[some]
        return out


def _with_frozen(
    parameters: Parameters, free: NDArray[np.int64], of: I32, equations: NormalEquations
) -> set[int]:
    """Sets in which stars see a frozen level parameter, too."""
    known = np.flatnonzero(parameters.frozen & parameters.is_level)
    graph = equations.matrix
    below, beside = graph[:, known].sum(axis=1), graph[known].sum(axis=0)
    is_tied = (np.ravel(below) != 0) | (np.ravel(beside) != 0)
    return set(of[is_tied[free]].tolist())


def _probed_diagonal(n: int, inverse: Callable[[F64], F64]) -> F64:
    """Diagonal of an inverse from random signs (Hutchinson 1990); the same each time."""
    rng = np.random.default_rng(n)
    total = np.zeros(n)
    for _ in range(_PROBES // 64):
        signs: F64 = rng.choice([-1.0, 1.0], (n, 64))
        total += (signs * inverse(signs)).sum(axis=1)
    return total / (_PROBES // 64 * 64)
