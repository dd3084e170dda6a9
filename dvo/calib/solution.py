"""Solve normal equations: priors, frozen parameters, gauge, connected pieces, and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.linalg import splu

from dvo.calib.blocks import Parameters
from dvo.calib.gauge import Gauge, connected_levels
from dvo.calib.normal import NormalEquations
from dvo.calib.selected_inverse import SelectedInverse

__all__ = ["Solution", "solve"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

_ROUNDING = 1e-12
"""Share of what its measures might say that is nothing but rounding."""

_DENSE = 6000
"""Free parameters up to which errors come from a dense inverse; beyond it from a selected one."""

_AT_ONCE = 64


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
        Set of level parameters that stars connect; -1 for others and those not solved for.
    n_floating : int
        Sets in which neither a prior nor a frozen parameter tells the level: their mean is
        made that of the block's `level`.
    n_null : int
        Directions that the measures do not tell: these sets, and flat fields whose mean could
        as well be in zero points; that is made 0.
    variance : callable
        Gives the variance of each parameter, shape (n_parameters,), NaN for those not
        solved for; under the gauge, with all correlations; before the scale of errors.
    variance_of : callable
        Gives the same for sums of parameters, from their coefficients, a sparse array of shape
        (n, n_parameters); parameters not solved for count as known.
    """

    step: F64
    is_free: Bool
    component: I32
    n_floating: int
    n_null: int
    variance: Callable[[], F64]
    variance_of: Callable[[sparse.csr_array], F64]

    @property
    def n_components(self) -> int:
        """Sets of level parameters that stars connect."""
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
    is_told = _told(equations, parameters)
    is_free = ~frozen & is_told
    free = np.flatnonzero(is_free)
    lower = equations.matrix[free][:, free]
    matrix = (lower + sparse.tril(lower, -1).T + sparse.diags_array(prior[free])).tocsc()
    right = equations.right + prior * (parameters.expected - parameters.values)
    component = connected_levels(equations.matrix, parameters, is_free)
    gauge = Gauge.of(equations.matrix, parameters, free, component)
    matrix = gauge.held(matrix)
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True},
                  diag_pivot_thresh=0.0)  # fmt: skip
    step = np.zeros(len(parameters))
    step[free] = gauge.levelled(factor.solve(gauge.cut(right[free])), parameters.values[free])

    @cache
    def selected() -> SelectedInverse:
        return SelectedInverse.of(matrix, factor.perm_c)

    def variance() -> F64:
        out = np.full(len(parameters), np.nan)
        diagonal = _dense_diagonal(matrix) if len(free) <= _DENSE else selected().diagonal
        out[free] = gauge.variance(diagonal, factor.solve)
        return out

    def variance_of(sums: sparse.csr_array) -> F64:
        some = sums[:, free].tocsr()
        if some.shape[0] <= _DENSE:
            return _variance_of(some, lambda c: gauge.covariance(c, factor.solve))
        forms = selected().quadratic(gauge.cut_columns(some))
        out = gauge.variance_of(some, forms, factor.solve)
        rest = np.flatnonzero(np.isnan(forms))
        out[rest] = _variance_of(some[rest], lambda c: gauge.covariance(c, factor.solve))
        return out

    return Solution(step, is_free, component, gauge.n_floating, len(gauge), variance, variance_of)


def _told(equations: NormalEquations, parameters: Parameters) -> NDArray[np.bool_]:
    """Parameters of which stars say more than rounding leaves, shape (n_parameters,).

    So are levels that take up the constant of a flat field: with one night only nothing tells
    its zero point, but the flat field is told against it.
    """
    counts, diagonal = equations.counts, equations.matrix.diagonal()
    most = np.divide(diagonal, counts, out=np.zeros(len(counts)), where=counts > 0)
    told = diagonal > _ROUNDING * counts * most.max(initial=0.0)
    told |= parameters.is_level & (parameters.takes_up >= 0) & (counts > 0)
    return np.asarray(told)


def _variance_of(sums: sparse.csr_array, covariance: Callable[[F64], F64]) -> F64:
    """Diagonal of ``S C S^T``, a solve a row."""
    out = np.zeros(sums.shape[0])
    for first in range(0, len(out), _AT_ONCE):
        some = sums[first : first + _AT_ONCE]
        out[first : first + _AT_ONCE] = some.multiply(covariance(some.toarray().T).T).sum(axis=1)
    return out


def _dense_diagonal(matrix: sparse.csc_array) -> F64:
    factor = cho_factor(matrix.toarray(), lower=True, overwrite_a=True, check_finite=False)
    whole = cho_solve(factor, np.eye(matrix.shape[0]), overwrite_b=True, check_finite=False)
    return np.asarray(whole.diagonal().copy())
