"""What ubercal knows of a survey before it solves: exposures, periods, chips, and its models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dvo.calib.blocks import Block
from dvo.calib.normal import StarBatch
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.nights import mean_of
from dvo.calib.photometry.periods import Periods
from dvo.calib.photometry.terms import (
    ChipCells,
    PhotModel,
    Term,
    exposures_of_images,
    image_term,
    over_airmass,
)

__all__ = ["FLAT_PRIOR", "Seasons", "Survey"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

FLAT_PRIOR = 0.1
"""Scatter of flat-field cells that is expected [mag]; it holds gradients that nothing tells."""


@dataclass(frozen=True, eq=False)
class Seasons:
    """Seasons of flat fields of each filter.

    Parameters
    ----------
    starts : dict of int to list of int
        For each filter the times at which a new season begins, ascending [s since 1970 UTC].
    """

    starts: dict[int, list[int]]

    def of(self, filter_index: I64, time: I64) -> I32:
        """Number seasons through all filters.

        Parameters
        ----------
        filter_index : ndarray of int64, shape (n,)
            Filters.
        time : ndarray of int64, shape (n,)
            Times [s since 1970 UTC].

        Returns
        -------
        ndarray of int32, shape (n,)
            Season of each.
        """
        out = np.zeros(len(time), np.int32)
        first = 0
        for k, starts in sorted(self.starts.items()):
            some = filter_index == k
            out[some] = first + np.searchsorted(starts, time[some], side="right")
            first += len(starts) + 1
        return out

    def table(self, whole: tuple[int, int]) -> list[tuple[int, int, int]]:
        """List all seasons.

        Parameters
        ----------
        whole : tuple of int
            When the first begins and the last ends [s since 1970 UTC].

        Returns
        -------
        list of tuple
            Filter, first second, and first second after it.
        """
        return [
            (k, start, stop)
            for k, starts in sorted(self.starts.items())
            for start, stop in pairwise([whole[0], *starts, whole[1]])
        ]


@dataclass(frozen=True, eq=False)
class Survey:
    """Images of a survey, and what they have in common.

    Parameters
    ----------
    images : PhotImages
        The images.
    periods : Periods
        Periods of their filters.
    filter_index : ndarray of int64, shape (n_images,)
        Average filter of each image; -1 for images not wanted.
    exposure : ndarray of int32, shape (n_images,)
        Exposure of each image; -1 for images not wanted.
    period : ndarray of int32, shape (n_images,)
        Period of each image; -1 for none.
    cells : ChipCells or None
        Cells of flat fields; None for no flat fields.
    """

    images: PhotImages
    periods: Periods
    filter_index: I64
    exposure: I32
    period: I32
    cells: ChipCells | None

    @classmethod
    def of(cls, images: PhotImages, filter_index: I64, periods: Periods, n_cells: int) -> Survey:
        """Look at images.

        Parameters
        ----------
        images : PhotImages
            The images.
        filter_index : ndarray of int64, shape (n_images,)
            Average filter of each image; -1 for images not wanted.
        periods : Periods
            The periods.
        n_cells : int
            Cells of a chip in each direction; 0 for no flat fields.

        Returns
        -------
        Survey
            What they have in common.
        """
        table = images.table
        return cls(
            images,
            periods,
            filter_index,
            exposures_of_images(table, images.is_wanted),
            periods.of(filter_index, table["time"]),
            ChipCells.of_images(table, n_cells) if n_cells else None,
        )

    @property
    def n_exposures(self) -> int:
        """Number of exposures."""
        return int(self.exposure.max(initial=-1)) + 1

    @property
    def airmass(self) -> F64:
        """Airmass of each image, less 1, shape (n_images,)."""
        return over_airmass(self.images.table)

    def first_images(self) -> I64:
        """Find an image of each exposure.

        Returns
        -------
        ndarray of int64, shape (n_exposures,)
            The first row of Image that belongs to it.
        """
        wanted = np.flatnonzero(self.exposure >= 0)
        return np.asarray(wanted[np.unique(self.exposure[wanted], return_index=True)[1]])

    def with_cells(self) -> Bool:
        """Tell which images have a flat field: those of known size, shape (n_images,)."""
        if self.cells is None:
            return np.zeros(len(self.exposure), np.bool_)
        return np.asarray((self.exposure >= 0) & self.cells.is_known)

    def reading_model(self) -> PhotModel:
        """The model by which measures are read: their image and their cell, which models share."""
        terms = [image_term(Block("image", np.zeros(len(self.exposure))))]
        if self.cells is not None:
            n = self.cells.n_x * self.cells.n_y
            of_image = np.where(self.with_cells(), 0, -1).astype(np.int32)
            terms.append(Term(Block("cell", np.zeros(n)), of_image, cells=self.cells))
        return PhotModel(terms)

    def exposure_model(self) -> PhotModel:
        """A zero point an exposure, and a flat field of all times: clouds go where they are."""
        k = self.filter_index[self.first_images()].astype(np.int32)
        block = Block("exposure", np.zeros(self.n_exposures), is_level=True, takes_up=k)
        flats = self._flat_terms(self.filter_index)
        return PhotModel([Term(block, self.exposure), *flats])

    def period_model(self, is_used: Bool, seasons: Seasons, slope_prior: float) -> PhotModel:
        """A zero point and a slope a period, and a flat field a season.

        Parameters
        ----------
        is_used : ndarray of bool, shape (n_images,)
            Images that count as photometric.
        seasons : Seasons
            Seasons of flat fields.
        slope_prior : float
            Scatter of airmass slopes about the nominal one [mag/airmass].

        Returns
        -------
        PhotModel
            Slopes are about the mean airmass of their period: they are nearly independent of
            its zero point then.
        """
        n = len(self.periods)
        of_image = np.where(is_used, self.period, -1).astype(np.int32)
        season = seasons.of(self.periods.filter_index, self.periods.start)
        over = self.airmass - self.mean_airmass(is_used)[np.maximum(self.period, 0)] if n else \
            self.airmass  # fmt: skip
        return PhotModel([
            Term(Block("night", np.zeros(n), is_level=True, takes_up=season), of_image),
            Term(Block("slope", np.zeros(n), prior=np.full(n, slope_prior)), of_image, over),
            *self._flat_terms(self.seasons_of_images(seasons)),
        ])  # fmt: skip

    def mean_airmass(self, is_used: Bool) -> F64:
        """Mean airmass of each period, less 1.

        Parameters
        ----------
        is_used : ndarray of bool, shape (n_images,)
            Images that count as photometric.

        Returns
        -------
        ndarray of float64, shape (n_periods,)
            0 for periods without one.
        """
        some = is_used & (self.period >= 0)
        return mean_of(self.period[some], self.airmass[some], len(self.periods))

    def seasons_of_images(self, seasons: Seasons) -> I64:
        """Find the seasons of images.

        Parameters
        ----------
        seasons : Seasons
            The seasons.

        Returns
        -------
        ndarray of int64, shape (n_images,)
            Season of each: that of its period, if it has one.
        """
        time = self.images.table["time"]
        if len(self.periods):
            start = self.periods.start[np.maximum(self.period, 0)]
            time = np.where(self.period >= 0, start, time)
        return seasons.of(self.filter_index, time).astype(np.int64)

    def flat_keys(self, season: I64) -> tuple[I32, I64]:
        """Number the flat fields: one a season and photcode.

        Parameters
        ----------
        season : ndarray of int64, shape (n_images,)
            Season of each image.

        Returns
        -------
        of_image : ndarray of int32, shape (n_images,)
            Flat field of each image; -1 for none.
        keys : ndarray of int64, shape (n, 2)
            Season and photcode of each flat field.
        """
        some = self.with_cells()
        pairs = np.column_stack([season, self.images.table["photcode"].astype(np.int64)])[some]
        keys, number = np.unique(pairs, axis=0, return_inverse=True)
        out = np.full(len(some), -1, np.int32)
        out[some] = number.ravel()
        return out, keys

    def _flat_terms(self, season: I64) -> list[Term]:
        if self.cells is None:
            return []
        number, keys = self.flat_keys(season)
        n = self.cells.n_x * self.cells.n_y
        size = len(keys) * n
        block = Block("flat", np.zeros(size), prior=np.full(size, FLAT_PRIOR),
                      zero_mean=np.repeat(keys[:, 0], n).astype(np.int32))  # fmt: skip
        return [Term(block, np.where(number >= 0, number * n, -1).astype(np.int32),
                     cells=self.cells)]  # fmt: skip

    def batches(
        self, stars: Iterable[StarBatch], model: PhotModel, is_used: Bool
    ) -> Iterator[StarBatch]:
        """Give the terms of a model to measures that were read by the reading model.

        Parameters
        ----------
        stars : iterable of StarBatch
            As they were read.
        model : PhotModel
            The model.
        is_used : ndarray of bool, shape (n_images,)
            Images whose measures count.

        Yields
        ------
        StarBatch
            The same stars.
        """
        for batch in stars:
            image, cell = self.places(batch)
            sigma = np.where(is_used[image], batch.sigma, np.inf)
            index, coefficient = model.columns_of_cells(image, cell)
            yield replace(batch, sigma=sigma, index=index, coefficient=coefficient)

    def places(self, batch: StarBatch) -> tuple[I32, I32]:
        """Find images and cells of measures that were read by the reading model.

        Parameters
        ----------
        batch : StarBatch
            As it was read.

        Returns
        -------
        tuple of ndarray of int32, shape (n,)
            Rows of Image, and cells; -1 for no cell.
        """
        image = batch.index[:, 0]
        if self.cells is None:
            return image, np.full(len(image), -1, np.int32)
        cell = batch.index[:, 1]
        return image, np.where(cell >= 0, cell - np.int32(len(self.exposure)), np.int32(-1))
