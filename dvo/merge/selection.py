"""Which rows of a source are to come, where not all are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.merge.source import SourceBatch
from dvo.partition.bounds import Area
from dvo.tables.measure import MEASURE

__all__ = ["Selection"]

_MJD_1970 = 40587.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions that all have to hold.

    Parameters
    ----------
    area : Area or None
        Where the mean position of an object has to lie.
    mjd : (float, float)
        Times of measures, first and last, MJD UTC [d].
    photcodes : tuple of int or None
        Photcodes of measures, by their numbers in the source.
    mag : (float, float)
        Least and greatest mean magnitude of an object in filter `mag_filter` [mag].
    mag_filter : int
        Which average filter of the source; -1 for no limit.
    """

    area: Area | None = None
    mjd: tuple[float, float] = (-math.inf, math.inf)
    photcodes: tuple[int, ...] | None = None
    mag: tuple[float, float] = (-math.inf, math.inf)
    mag_filter: int = -1

    def measures(self, batch: SourceBatch, n_secfilt: int) -> NDArray[np.bool_]:
        """Tell which measures of a batch are wanted.

        Parameters
        ----------
        batch : SourceBatch
            The batch.
        n_secfilt : int
            Average filters of the source.

        Returns
        -------
        ndarray of bool
            One for each measure.
        """
        measure = batch.measure
        wanted = np.ones(len(measure), np.bool_)
        if self.area is not None:
            average = batch.average
            wanted &= self.area.holds(average["ra"], average["dec"])[measure["ave_ref"]]
        if self.mag_filter >= 0:
            mags = batch.secfilt["mag"][self.mag_filter :: n_secfilt]
            wanted &= ((mags >= self.mag[0]) & (mags <= self.mag[1]))[measure["ave_ref"]]
        if self.photcodes is not None:
            is_wanted = np.zeros(65536, np.bool_)
            is_wanted[list(self.photcodes)] = True
            wanted &= is_wanted[measure["photcode"]]
        if self.mjd != (-math.inf, math.inf):
            seconds = measure["time"] + measure["time_msec"] / 1000.0
            mjd = np.where(
                MEASURE["time"].is_null(measure["time"]), np.nan, _MJD_1970 + seconds / 86400.0
            )
            wanted &= (mjd >= self.mjd[0]) & (mjd <= self.mjd[1])
        return wanted
