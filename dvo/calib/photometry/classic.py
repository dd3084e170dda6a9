"""The scheme of the original: each image belongs to one level, its night, its exposure, or itself.

Loops 1 to 6 solve for nights; then images of poor nights get zero points of their exposures, six
loops later those of poor exposures their own, and after loop 18 stars of great chi-square are left
out (relphot of the IPP, SetZeroPointModes.c). A level is poor by the rule of `NightRule`; what is
poor stays so. Parameters are set in turn, see `solve_alternately`.

It differs from the original in that the rule is applied between these stages, not in each loop, and
in that images are not left out, but flagged at the end. It is there to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvo.calib.alternate import solve_alternately
from dvo.calib.blocks import Block
from dvo.calib.joint import JointOptions, JointResult, Round
from dvo.calib.kernels import MASK_SHARE
from dvo.calib.normal import StarBatch, Weighing, residuals_of
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.levels import Level, LevelModel, known_term, numbers_of, slope_term
from dvo.calib.photometry.nights import NightLimits, NightRule, PeriodScatter, mean_of
from dvo.calib.photometry.terms import PhotModel, Term, image_term

__all__ = ["reading_model", "solve_classic"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

_STAGE_LOOPS = 6
_LEVELS = (Level.NIGHT, Level.EXPOSURE, Level.IMAGE)


def reading_model(images: PhotImages) -> PhotModel:
    """Make the model by which measures are read: their image alone.

    Parameters
    ----------
    images : PhotImages
        The images.

    Returns
    -------
    PhotModel
        Parameter i is row i of Image.
    """
    return PhotModel([image_term(Block("images", np.zeros(len(images))))])


def solve_classic(
    images: PhotImages,
    stars: Callable[[], Iterable[StarBatch]],
    *,
    loops: int,
    options: JointOptions,
    say: Callable[[str], None],
) -> tuple[JointResult, LevelModel, I32]:
    """Solve by the scheme of the original.

    Parameters
    ----------
    images : PhotImages
        The images.
    stars : callable
        Gives the measures, read by `reading_model`, anew each time.
    loops : int
        How many loops in all; with less than 13 no image gets a zero point of its own.
    options : JointOptions
        Whether weights are robust, and the chi-square of stars that are left out at last.
    say : callable
        Called with what has been done.

    Returns
    -------
    result : JointResult
        The parameters where the loops left them.
    model : LevelModel
        What they are.
    owner : ndarray of int32, shape (n_images,)
        Level of each image: 0 its night, 1 its exposure, 2 itself.
    """
    owner = np.zeros(len(images), np.int32)
    offset = np.zeros(len(images))
    done = 0
    rounds: list[Round] = []
    while True:
        # One stage a level, and a last one in which stars are left out, too.
        stage = done // _STAGE_LOOPS
        is_last = stage == len(_LEVELS) or done + _STAGE_LOOPS >= loops
        n = loops - done if stage == len(_LEVELS) else min(_STAGE_LOOPS, loops - done)
        model = _model(images, owner, offset)
        batches = partial(_batches, stars, model)
        is_cut = stage == len(_LEVELS)
        result = solve_alternately(
            model.parameters(), batches, loops=n, is_robust=options.is_robust,
            most_chi2=options.star_chi2 if is_cut else np.inf, plain_loops=0 if is_cut else 3,
        )  # fmt: skip
        rounds += result.rounds
        done += n
        say(f"loop {done} of {loops} done")
        found = LevelModel(images, _LEVELS, model)
        if is_last:
            return replace(result, rounds=rounds), found, owner
        offset = np.nan_to_num(found.read_off(result).offset)
        if stage + 1 < len(_LEVELS):
            level = numbers_of(images, _LEVELS[stage])
            poor = _poor(images, level, owner == stage, batches, result.parameters.values)
            owner = np.where(poor, np.int32(stage + 1), owner)


def _model(images: PhotImages, owner: I32, offset: F64) -> PhotModel:
    """Terms of which each image has one that is a level, beginning where the last stage ended."""
    before = images.table["mcal_psf"].astype(np.float64)
    terms = [known_term(images)]
    for k, level in enumerate(_LEVELS):
        number = numbers_of(images, level)
        number = np.where(owner == k, number, np.int32(-1))
        some = np.flatnonzero(number >= 0)
        m = int(number.max(initial=-1)) + 1
        known = some[np.isfinite(before[some])]
        old = np.full(m, np.nan)
        old[number[known]] = mean_of(number[known], before[known], m)[number[known]]
        start = mean_of(number[some], offset[some], m)
        terms.append(Term(Block(f"own {level.value}", start, is_level=True, level=old), number))
        if level is Level.NIGHT:
            terms.append(slope_term(images, number, m))
    rows = np.where(images.is_free, np.arange(len(images), dtype=np.int32), np.int32(-1))
    everything = np.ones(len(images), np.bool_)
    terms.append(Term(Block("images", np.zeros(len(images)), frozen=everything), rows))
    return PhotModel(terms)


def _batches(stars: Callable[[], Iterable[StarBatch]], model: PhotModel) -> Iterator[StarBatch]:
    for batch in stars():
        image = batch.index[:, 0]
        index, coefficient = model.columns_of_cells(image, np.full(len(image), -1, np.int32))
        yield replace(batch, index=index, coefficient=coefficient)


def _poor(
    images: PhotImages, level: I32, is_own: Bool, batches: Callable[[], Iterable[StarBatch]],
    values: F64,
) -> Bool:  # fmt: skip
    """Images whose night, or exposure, does not fit."""
    limits = NightLimits()
    n, m = len(images), int(level.max(initial=-1)) + 1
    sums = np.zeros((3, m))  # measures not masked, their squares, and those over variance
    of_exposure = numbers_of(images, Level.EXPOSURE)
    for batch in batches():
        residual, used = residuals_of(batch, values, Weighing(is_robust=True))
        image = batch.index[:, -1] - np.int32(len(values) - n)
        seen = (image >= 0) & (used > MASK_SHARE * batch.sigma**-2.0)
        seen[seen] = level[image[seen]] >= 0
        rows = np.flatnonzero(seen)
        for row, what in enumerate((None, residual[rows] ** 2,
                                    (residual[rows] / batch.sigma[rows]) ** 2)):  # fmt: skip
            sums[row] += np.bincount(level[image[rows]], what, m)
    count = np.where(sums[0] > 0, sums[0], np.nan)
    some = np.flatnonzero((level >= 0) & (of_exposure >= 0))
    pairs = np.unique(np.column_stack([level[some], of_exposure[some]]), axis=0)
    is_night = len(np.unique(of_exposure[some])) > len(np.unique(level[some]))
    if not is_night:  # only a night needs several exposures, and many measures
        limits = replace(limits, least_exposures=1, least_measures=1)
    seen_of = PeriodScatter(
        np.bincount(pairs[:, 0], minlength=m), np.nan_to_num(sums[0]).astype(np.int64),
        sums[2] / count, np.sqrt(sums[1] / count), np.zeros(m),
    )  # fmt: skip
    used_level = np.zeros(m, np.bool_)
    used_level[level[is_own & (level >= 0)]] = True
    poor = NightRule(limits).poor(seen_of, used_level)
    return (level >= 0) & is_own & poor[np.maximum(level, 0)] if m else np.zeros(n, np.bool_)
