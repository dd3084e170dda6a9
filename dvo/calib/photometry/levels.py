"""Levels at which zero points are solved for: nights, exposures, images, or several of these.

With one level all images of a night, or of an exposure, have one zero point. With more the
coarsest is free, and each finer one is a deviation from it, with a prior: in clear nights it is
small, and a night of clouds shows as one of large deviations. What the original switches image
by image (night good, exposure good) is the width of a prior here.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.blocks import Block
from dvo.calib.joint import JointResult
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.periods import Periods
from dvo.calib.photometry.terms import (
    PhotModel,
    Term,
    exposures_of_images,
    image_term,
    over_airmass,
)

__all__ = [
    "Level",
    "LevelModel",
    "SolvedImages",
    "known_term",
    "numbers_of",
    "slope_term",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

SLOPE_PRIOR = 0.04
"""Scatter of airmass slopes of nights about the nominal one, as in the original [mag/airmass]."""


class Level(enum.StrEnum):
    """What has a zero point of its own."""

    NIGHT = "nights"
    EXPOSURE = "exposures"
    IMAGE = "images"


@dataclass(frozen=True, eq=False)
class SolvedImages:
    """What a solve says of each image.

    Parameters
    ----------
    offset, error : ndarray of float64, shape (n_images,)
        Zero point offset and its error [mag]; NaN for images not solved for.
    is_solved : ndarray of bool, shape (n_images,)
        Which have been solved for.
    n_fit : ndarray of int64, shape (n_images,)
        Measures of each that count.
    shares : sparse array, shape (n_images, n_images)
        Not 0 where two images share a star, on one side of the diagonal.
    """

    offset: F64
    error: F64
    is_solved: Bool
    n_fit: I64
    shares: sparse.csr_array


@dataclass(frozen=True, eq=False)
class LevelModel:
    """A photometric model of zero points at some levels.

    Parameters
    ----------
    images : PhotImages
        The images.
    levels : sequence of Level
        Its levels, the coarsest first.
    model : PhotModel
        The model. Blocks ``images`` and ``known`` have a parameter a row of Image: zero points
        of images (0 and frozen if that is no level), and those that are known (if these are
        not among the first).
    """

    images: PhotImages
    levels: Sequence[Level]
    model: PhotModel

    @classmethod
    def of(cls, images: PhotImages, levels: Sequence[Level], spread: float) -> LevelModel:
        """Make the model.

        Parameters
        ----------
        images : PhotImages
            The images; zero points of frozen ones are taken as they are.
        levels : sequence of Level
            Which levels; at least one.
        spread : float
            Standard deviation of what lies below the coarsest level [mag].

        Returns
        -------
        LevelModel
            The model.
        """
        order = [level for level in Level if level in levels]
        before = images.table["mcal_psf"].astype(np.float64)
        n = len(images)
        if order == [Level.IMAGE]:
            start = np.where(images.is_frozen, np.nan_to_num(before), 0.0)
            block = Block("images", start, frozen=~images.is_free, is_level=True, level=before)
            return cls(images, order, PhotModel([image_term(block)]))
        rows, everything = np.arange(n, dtype=np.int32), np.ones(n, np.bool_)
        terms = [known_term(images)]
        for level in order:
            of_image = numbers_of(images, level)
            m = n if level is Level.IMAGE else int(of_image.max(initial=-1)) + 1
            if level is order[0]:
                block = Block(level.value, np.zeros(m), is_level=True,
                              level=_means(of_image, before, m))  # fmt: skip
            else:
                block = Block(level.value, np.zeros(m), prior=np.full(m, spread))
            terms.append(Term(block, of_image))
            if level is Level.NIGHT:
                terms.append(slope_term(images, of_image, m))
        if Level.IMAGE not in order:  # of no effect, but tells which images share stars
            terms.append(Term(Block("images", np.zeros(n), frozen=everything),
                              np.where(images.is_free, rows, np.int32(-1))))  # fmt: skip
        return cls(images, order, PhotModel(terms))

    def _matrix(self, names: Sequence[str], wanted: Bool) -> sparse.csr_array:
        """Coefficients of the terms of some blocks, shape (n_images, n_parameters)."""
        index, coefficient = self.model.columns(np.arange(len(self.images), dtype=np.int32))
        is_named = [term.block.name in names for term in self.model.terms]
        row, column = np.nonzero((index >= 0) & wanted[:, None] & np.array(is_named))
        n = sum(len(term.block) for term in self.model.terms)
        entries = (coefficient[row, column], (row, index[row, column]))
        return sparse.csr_array(entries, shape=(len(index), n))

    def read_off(self, result: JointResult) -> SolvedImages:
        """Read off a solve what it says of the images.

        Parameters
        ----------
        result : JointResult
            The solve of this model.

        Returns
        -------
        SolvedImages
            That of each.
        """
        parameters, is_free = result.parameters, result.solution.is_free
        names = [term.block.name for term in self.model.terms]
        sums = self._matrix(names, self.images.is_free)
        is_solved = sums.astype(np.bool_) @ (parameters.is_level & is_free)
        # What the measures do not tell is as uncertain as its prior.
        untold = ~is_free & ~parameters.frozen & (parameters.weight > 0)
        prior = np.where(untold, 1.0 / np.where(untold, parameters.weight, 1.0), 0.0)
        if self.levels == [Level.IMAGE]:
            variance = result.error**2
        else:
            variance = result.variance_of(sums) + sums.multiply(sums) @ prior
        own = self._matrix(["known", "images"], self.images.is_wanted)
        matrix = own @ result.equations.matrix @ own.T
        return SolvedImages(
            np.where(is_solved, sums @ parameters.values, np.nan),
            np.where(is_solved, np.sqrt(variance), np.nan),
            is_solved,
            own @ result.n_measures,
            sparse.csr_array(matrix),
        )


def known_term(images: PhotImages) -> Term:
    """Make the term of images whose zero points are known.

    Parameters
    ----------
    images : PhotImages
        The images.

    Returns
    -------
    Term
        A frozen parameter a row of Image.
    """
    n = len(images)
    before = np.nan_to_num(images.table["mcal_psf"].astype(np.float64))
    block = Block("known", before, frozen=np.ones(n, np.bool_), is_level=True)
    return Term(block, np.where(images.is_frozen, np.arange(n, dtype=np.int32), np.int32(-1)))


def slope_term(images: PhotImages, night: I32, n: int) -> Term:
    """Make the term of airmass slopes of nights.

    Parameters
    ----------
    images : PhotImages
        The images.
    night : ndarray of int32, shape (n_images,)
        Night of each; -1 for none.
    n : int
        Number of nights.

    Returns
    -------
    Term
        Slopes beyond the nominal ones [mag/airmass].
    """
    block = Block("slopes", np.zeros(n), prior=np.full(n, SLOPE_PRIOR))
    return Term(block, night, over_airmass(images.table))


def numbers_of(images: PhotImages, level: Level) -> I32:
    """Number the nights or exposures of images.

    Parameters
    ----------
    images : PhotImages
        The images.
    level : Level
        What is numbered.

    Returns
    -------
    ndarray of int32, shape (n_images,)
        Night or exposure of each, or its row; -1 for those not solved for.
    """
    free = images.is_free
    if level is Level.IMAGE:
        return np.where(free, np.arange(len(images), dtype=np.int32), np.int32(-1))
    if level is Level.EXPOSURE:
        return exposures_of_images(images.table, free)
    out = np.full(len(images), -1, np.int32)
    time = images.table["time"][free].astype(np.int64)
    of_filter = images.filter_index[free].astype(np.int64)
    out[free] = Periods.find(of_filter, time).of(of_filter, time)
    return out


def _means(of_image: I32, values: F64, n: int) -> F64:
    """Means of what is known of the images of each; NaN where nothing is."""
    known = (of_image >= 0) & np.isfinite(values)
    counts = np.bincount(of_image[known], minlength=n)
    total = np.bincount(of_image[known], values[known], n)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
