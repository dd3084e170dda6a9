"""The original's way: stars, then images, then stars again, a fixed number of times.

Each kind of parameter is set in turn to what the residuals of its own measures say, while all
others are held. It approaches the joint solution, slowly where few stars tie far parts of
the sky together, and its steps become small long before its error does. It is kept as a
check on the joint solve, and for results like the original's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointResult, Round
from dvo.calib.normal import NormalEquations, StarBatch, Weighing, equations_of, residuals_of
from dvo.calib.solution import solve

__all__ = ["solve_alternately"]

F64 = NDArray[np.float64]


def solve_alternately(
    parameters: Parameters,
    batches: Callable[[], Iterable[StarBatch]],
    *,
    loops: int = 8,
    is_robust: bool = True,
    most_chi2: float = np.inf,
    plain_loops: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> JointResult:
    """Set blocks of parameters in turn, a number of loops.

    Parameters
    ----------
    parameters : Parameters
        What to solve for; values are changed in place.
    batches : callable
        Gives the measures of all stars, anew in each pass; a star is in one batch.
    loops : int
        How many loops; the original's default is 8, and it was used with 20.
    is_robust : bool
        Whether weights fall with the residual, after the plain loops.
    most_chi2 : float
        Reduced chi-square above which a star does not count.
    plain_loops : int
        Loops before that, with weights by errors alone, as in the original.
    progress : callable, optional
        Called after each loop with its number, from 1, and how many there will be.

    Returns
    -------
    JointResult
        The parameters where the loops left them, never said to have converged. Errors are
        the formal ones of the original, as if magnitudes of stars and all other parameters
        were known: they are too small.
    """
    rounds: list[Round] = []
    for loop in range(loops):
        weighing = Weighing(is_robust and loop >= plain_loops, most_chi2)
        moved, of_sigma = 0.0, 0.0
        _rationalize(parameters)
        for block, where in parameters.places():
            step, weight, seen = _step(parameters, block, where, batches, weighing)
            parameters.values[where] += step
            moved = max(moved, float(np.abs(step).max(initial=0.0)))
            of_sigma = max(of_sigma, float((np.abs(step) * np.sqrt(weight)).max(initial=0.0)))
        freedom = max(float(seen[0] - seen[1]), 1.0)
        rounds.append(Round(int(seen[0]), int(seen[1]), float(seen[2]) / freedom, moved, of_sigma))
        if progress is not None:
            progress(loop + 1, loops)
    return _result(parameters, batches, Weighing(is_robust, most_chi2), rounds)


def _rationalize(parameters: Parameters) -> None:
    """Take the median out of what no frozen parameter ties down, as the original does."""
    frozen = parameters.frozen
    for block, where in parameters.places():
        if len(block) and block.is_level and not frozen[where].any():
            parameters.values[where] -= np.median(parameters.values[where])


def _step(
    parameters: Parameters, block: Block, where: slice,
    batches: Callable[[], Iterable[StarBatch]], weighing: Weighing,
) -> tuple[F64, F64, F64]:  # fmt: skip
    """What the residuals about the means of stars say of one block, and with what weight.

    Also measures and stars that count, and the chi-square of these.
    """
    prior = parameters.weight[where]
    weight = prior.copy()
    above = prior * (parameters.expected - parameters.values)[where]
    seen = np.zeros(3)
    for batch in batches():
        residual, used = residuals_of(batch, parameters.values, weighing)
        off = np.nan_to_num(residual)
        star = np.repeat(np.arange(len(batch.edges) - 1), np.diff(batch.edges))
        counts = np.bincount(star[used > 0])
        seen += (counts.sum(), (counts > 0).sum(), (used * off**2).sum())
        for j in range(batch.index.shape[1]):
            of = batch.index[:, j].astype(np.int64) - where.start
            here = np.flatnonzero((of >= 0) & (of < len(block)))
            c, w = batch.coefficient[here, j], used[here]
            weight += np.bincount(of[here], c * c * w, len(block))
            above += np.bincount(of[here], c * w * off[here], len(block))
    free = (weight > 0) & ~parameters.frozen[where]
    step = np.where(free, above / np.where(weight > 0, weight, 1.0), 0.0)
    return step, np.where(free, weight, 0.0), seen


def _result(
    parameters: Parameters, batches: Callable[[], Iterable[StarBatch]], weighing: Weighing,
    rounds: list[Round],
) -> JointResult:  # fmt: skip
    total = NormalEquations.added(
        len(parameters), (equations_of(b, parameters.values, weighing)[0] for b in batches())
    )
    solution = solve(total, parameters)
    weight = total.matrix.diagonal() + parameters.weight
    variance = np.where(solution.is_free, 1.0 / np.where(weight > 0, weight, 1.0), np.nan)
    solution = replace(
        solution,
        step=np.zeros(len(parameters)),
        variance=lambda: variance,
        variance_of=lambda sums: sums.multiply(sums) @ np.nan_to_num(variance),
    )
    return JointResult(parameters, solution, total, rounds, is_converged=False)
