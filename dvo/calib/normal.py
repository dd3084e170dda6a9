"""Normal equations of a calibration: what all stars say of the parameters, added up.

Each batch of stars touches few of the parameters; its own small matrix is made dense, and
goes into the sparse one of all. Stars never lie in two batches, so the sum is exact, however
the sky is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.kernels import eliminate_stars, subtract_terms, weigh_measures

__all__ = ["NormalEquations", "StarBatch", "Weighing", "equations_of", "residuals_of"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StarBatch:
    """Measures of some stars, and the terms that each of them has.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    y : ndarray of float64, shape (n,)
        Magnitudes [mag].
    sigma : ndarray of float64, shape (n,)
        Their errors [mag]; a measure with one that is infinite does not count.
    index : ndarray of int32, shape (n, k)
        Parameter of each term; -1 for none.
    coefficient : ndarray of float64, shape (n, k)
        Its coefficient.
    """

    edges: I64
    y: F64
    sigma: F64
    index: I32
    coefficient: F64


@dataclass(frozen=True)
class Weighing:
    """How measures are weighed.

    Parameters
    ----------
    is_robust : bool
        Whether weights fall with the residual, as Cauchy's.
    most_chi2 : float
        Reduced chi-square above which a star does not count.
    """

    is_robust: bool = False
    most_chi2: float = np.inf


@dataclass(eq=False)
class NormalEquations:
    """Normal equations of parameters about their values now.

    Parameters
    ----------
    matrix : sparse array, shape (n_parameters, n_parameters)
        Lower triangle, with the diagonal [1/mag**2].
    right : ndarray of float64, shape (n_parameters,)
        Right-hand side [1/mag].
    counts : ndarray of int64, shape (n_parameters,)
        Measures with a term in each.
    sums : ndarray of float64, shape (7,)
        Measures, stars, and more, see `weigh_measures`.
    """

    matrix: sparse.csr_array
    right: F64
    counts: I64
    sums: F64

    @classmethod
    def empty(cls, n_parameters: int) -> Self:
        """Equations that say nothing."""
        matrix = sparse.csr_array((n_parameters, n_parameters), dtype=np.float64)
        return cls(matrix, np.zeros(n_parameters), np.zeros(n_parameters, np.int64), np.zeros(7))

    @classmethod
    def added(cls, n_parameters: int, each: Iterable[NormalEquations]) -> Self:
        """Add up the equations of batches, in their order.

        Parameters
        ----------
        n_parameters : int
            Number of parameters.
        each : iterable of NormalEquations
            Those of the batches.

        Returns
        -------
        NormalEquations
            Those of all.
        """
        total = cls.empty(n_parameters)
        parts: list[sparse.csr_array] = []
        for one in each:
            parts.append(one.matrix)
            total.right += one.right
            total.counts += one.counts
            total.sums += one.sums
            # Neighbours share most of their parameters: added now and then, they stay few.
            if len(parts) == 64:
                parts = [_sum(parts)]
        if parts:
            total.matrix = _sum(parts)
        return total

    @property
    def n_measures(self) -> int:
        """Measures that count."""
        return int(self.sums[0])

    @property
    def n_stars(self) -> int:
        """Stars that count."""
        return int(self.sums[1])

    def chi2_dof(self, n_free: int) -> float:
        """Reduced chi-square of the measures not masked.

        Parameters
        ----------
        n_free : int
            Parameters that are solved for.

        Returns
        -------
        float
            Chi-square by degrees of freedom, of the values before the step.
        """
        return float(self.sums[3] / max(self.sums[2] - self.sums[1] - n_free, 1.0))

    def error_scale(self, n_free: int) -> float:
        """Variance of a parameter in units of the diagonal of the inverse matrix.

        Parameters
        ----------
        n_free : int
            Parameters that are solved for.

        Returns
        -------
        float
            1 for Gaussian noise of the stated errors, whatever the weights: ``mean(psi**2)
            mean(w) / mean(psi')**2`` (Huber 1981, section 7.6), with the degrees of freedom
            that the fit has used up.
        """
        n, n_stars, _, _, psi, slope, share = self.sums
        if n == 0 or slope <= 0:
            return np.nan
        freedom = max(n - n_stars - n_free, 1.0)
        return float(psi / freedom * (share / n) / (slope / n) ** 2)


def equations_of(
    batch: StarBatch, values: F64, weighing: Weighing
) -> tuple[NormalEquations, F64, F64]:
    """Make the normal equations of a batch of stars.

    Parameters
    ----------
    batch : StarBatch
        The stars.
    values : ndarray of float64, shape (n_parameters,)
        The parameters now.
    weighing : Weighing
        How measures are weighed.

    Returns
    -------
    equations : NormalEquations
        Of the step from these values.
    mean, chi2 : ndarray of float64, shape (n_stars,)
        Mean of each star [mag] and its reduced chi-square.
    """
    y, used, mean, chi2, sums = _weighed(batch, values, weighing)
    counts = np.bincount(batch.index[used > 0].ravel() + 1, minlength=len(values) + 1)[1:]
    numbers = np.flatnonzero(counts)
    local = np.full(len(values) + 1, -1, np.int32)  # the last place is for terms of number -1
    local[numbers] = np.arange(len(numbers))
    dense, right = np.zeros((len(numbers),) * 2), np.zeros(len(numbers))
    eliminate_stars(batch.edges, y, used, local[batch.index], batch.coefficient, dense, right)
    row, column = np.nonzero(dense)
    size = (len(values),) * 2
    matrix = sparse.csr_array((dense[row, column], (numbers[row], numbers[column])), shape=size)
    whole = np.zeros(len(values))
    whole[numbers] = right
    return NormalEquations(matrix, whole, counts, sums), mean, chi2


def residuals_of(batch: StarBatch, values: F64, weighing: Weighing) -> tuple[F64, F64]:
    """Find how far measures lie from the means of their stars.

    Parameters
    ----------
    batch : StarBatch
        The stars.
    values : ndarray of float64, shape (n_parameters,)
        The parameters.
    weighing : Weighing
        How measures are weighed.

    Returns
    -------
    residual : ndarray of float64, shape (n,)
        Magnitude less terms and star [mag]; NaN where the star has no mean.
    weight : ndarray of float64, shape (n,)
        Weight of each [1/mag**2]; 0 for those that do not count.
    """
    y, used, mean, _, _ = _weighed(batch, values, weighing)
    return y - np.repeat(mean, np.diff(batch.edges)), used


def _weighed(batch: StarBatch, values: F64, weighing: Weighing) -> tuple[F64, F64, F64, F64, F64]:
    """Magnitudes less terms, weights, means and chi-squares of stars, and their sums."""
    n_stars = len(batch.edges) - 1
    y = np.empty(len(batch.y))
    subtract_terms(batch.y, batch.index, batch.coefficient, values, y)
    weight = np.where(np.isfinite(y), batch.sigma**-2.0, 0.0)
    y = np.where(np.isfinite(y), y, 0.0)
    used, mean, chi2, sums = np.empty(len(y)), np.empty(n_stars), np.empty(n_stars), np.zeros(7)
    weigh_measures(batch.edges, y, weight, weighing.is_robust, weighing.most_chi2,
                   used, mean, chi2, sums)  # fmt: skip
    return y, used, mean, chi2, sums


def _sum(parts: list[sparse.csr_array]) -> sparse.csr_array:
    each = [part.tocoo() for part in parts]
    row, column = (np.concatenate([p.coords[k] for p in each]) for k in (0, 1))
    data = np.concatenate([p.data for p in each])
    return sparse.csr_array((data, (row, column)), shape=parts[0].shape)
