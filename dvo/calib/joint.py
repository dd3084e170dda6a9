"""The joint solve: rounds of weighing and solving until the parameters stand still.

Each round streams the measures once. The first weighs them by their errors alone, those after
it robustly; a star whose chi-square is far from that of the others is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.blocks import Parameters
from dvo.calib.normal import NormalEquations, StarBatch, Weighing, equations_of
from dvo.calib.solution import Solution, solve

__all__ = ["JointOptions", "JointResult", "Round", "solve_jointly"]

F64 = NDArray[np.float64]


_NO_STEP = 1e-12
"""What is no step even where the measures fit exactly, and errors are 0 [mag]."""


@dataclass(frozen=True)
class JointOptions:
    """How a joint solve goes.

    Parameters
    ----------
    most_rounds : int
        Rounds after which it ends, converged or not.
    still : float
        It has converged when no parameter moves by more than this, in units of its error.
    is_robust : bool
        Whether weights fall with the residual from the second round on.
    star_chi2 : float
        Least reduced chi-square from which a star may be left out; with it, a star is left
        out when its own exceeds twice the median of all.
    """

    most_rounds: int = 50
    still: float = 0.01
    is_robust: bool = True
    star_chi2: float = 10.0


@dataclass(frozen=True)
class Round:
    """What one round did.

    Parameters
    ----------
    n_measures, n_stars : int
        Measures and stars that counted.
    chi2_dof : float
        Chi-square of the measures not masked, by their degrees of freedom.
    step : float
        Largest step of a parameter [its unit].
    step_sigma : float
        The same in units of its error.
    """

    n_measures: int
    n_stars: int
    chi2_dof: float
    step: float
    step_sigma: float


@dataclass(eq=False)
class JointResult:
    """A joint solve that has ended.

    Parameters
    ----------
    parameters : Parameters
        With their values found.
    solution : Solution
        The last one.
    equations : NormalEquations
        Those of the last round.
    rounds : list of Round
        What was done.
    is_converged : bool
        Whether the parameters stood still at the end.
    """

    parameters: Parameters
    solution: Solution
    equations: NormalEquations
    rounds: list[Round] = field(default_factory=list)
    is_converged: bool = False

    @cached_property
    def error(self) -> F64:
        """Error of each, with all correlations; 0 if frozen, NaN if no star tells it."""
        out: F64 = np.sqrt(self.solution.variance() * self._scale)
        out[self.parameters.frozen] = 0.0
        return out

    @property
    def least_error(self) -> F64:
        """Error of each if all others were known; infinite if no star tells it."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.sqrt(self._scale / self.equations.matrix.diagonal()))

    @property
    def _scale(self) -> float:
        return self.equations.error_scale(int(self.solution.is_free.sum()))

    @property
    def n_measures(self) -> NDArray[np.int64]:
        """Measures with a term in each parameter, shape (n_parameters,)."""
        return self.equations.counts

    def variance_of(self, sums: sparse.csr_array) -> F64:
        """Give variances of sums of parameters, with all correlations.

        Parameters
        ----------
        sums : sparse array, shape (n, n_parameters)
            Coefficients of each; parameters not solved for count as known.

        Returns
        -------
        ndarray of float64, shape (n,)
            Their variances.
        """
        n_free = int(self.solution.is_free.sum())
        return self.solution.variance_of(sums) * self.equations.error_scale(n_free)


def solve_jointly(
    parameters: Parameters,
    batches: Callable[[], Iterable[StarBatch]],
    options: JointOptions = JointOptions(),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> JointResult:
    """Solve for all parameters together, the magnitudes of all stars eliminated.

    Parameters
    ----------
    parameters : Parameters
        What to solve for; values are changed in place.
    batches : callable
        Gives the measures of all stars, anew in each round; a star is in one batch.
    options : JointOptions
        How.
    progress : callable, optional
        Called after each round with its number, from 1, and the most there will be.

    Returns
    -------
    JointResult
        The parameters, their errors, and what was done.
    """
    rounds: list[Round] = []
    weighing = Weighing()
    while True:
        chi2: list[F64] = []

        def each(
            weighing: Weighing = weighing, chi2: list[F64] = chi2
        ) -> Iterable[NormalEquations]:
            for batch in batches():
                equations, _, of_stars = equations_of(batch, parameters.values, weighing)
                chi2.append(of_stars.astype(np.float32))
                yield equations

        total = NormalEquations.added(len(parameters), each())
        solution = solve(total, parameters)
        parameters.values += solution.step
        n_free = int(solution.is_free.sum())
        scale = total.error_scale(n_free)
        # A bound on the error from below: the error without correlations.
        least = np.sqrt(scale / np.maximum(total.matrix.diagonal(), 1e-300))
        moved = np.abs(solution.step[solution.is_free])
        of_error = moved / np.maximum(least[solution.is_free], _NO_STEP)
        rounds.append(Round(total.n_measures, total.n_stars,
                            total.chi2_dof(n_free), float(moved.max(initial=0.0)),
                            float(of_error.max(initial=0.0))))  # fmt: skip
        if progress is not None:
            progress(len(rounds), options.most_rounds)
        # Residuals are those before the step: of a round that still steps they are too large.
        is_still = rounds[-1].step_sigma < options.still
        is_last = is_still and (weighing.is_robust or not options.is_robust)
        if is_last or len(rounds) >= options.most_rounds or n_free == 0:
            return JointResult(parameters, solution, total, rounds, is_still)
        if options.is_robust:
            weighing = Weighing(is_robust=True, most_chi2=_chi2_limit(chi2, options))


def _chi2_limit(chi2: list[F64], options: JointOptions) -> float:
    """Reduced chi-square above which stars are left out in the next round."""
    found = np.concatenate([np.empty(0, np.float32), *chi2])
    found = found[np.isfinite(found)]
    return max(options.star_chi2, 2.0 * float(np.median(found))) if len(found) else np.inf
