"""Which rows of a source are to come, where not all are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.mjd import mjd_of
from dvo.partition.bounds import Area
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE

__all__ = ["Selection"]


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
    images : tuple of int or None
        Numbers of the images that measures are of.
    flags : int
        Measures with any of these bits in phot_flags; 0 for any measures.
    """

    area: Area | None = None
    mjd: tuple[float, float] = (-math.inf, math.inf)
    photcodes: tuple[int, ...] | None = None
    mag: tuple[float, float] = (-math.inf, math.inf)
    mag_filter: int = -1
    images: tuple[int, ...] | None = None
    flags: int = 0

    def measures(
        self, average: ColumnTable, secfilt: ColumnTable, measure: ColumnTable, n_secfilt: int
    ) -> NDArray[np.bool_]:
        """Tell which measures of some regions are wanted.

        Parameters
        ----------
        average, secfilt, measure : ColumnTable
            Tables of the regions; ave_ref of a measure is a row of `average`.
        n_secfilt : int
            Average filters of the source.

        Returns
        -------
        ndarray of bool
            One for each measure.
        """
        wanted = np.ones(len(measure), np.bool_)
        if self.area is not None:
            wanted &= self.area.holds(average["ra"], average["dec"])[measure["ave_ref"]]
        if self.mag_filter >= 0:
            mags = secfilt["mag"][self.mag_filter :: n_secfilt]
            wanted &= ((mags >= self.mag[0]) & (mags <= self.mag[1]))[measure["ave_ref"]]
        if self.photcodes is not None:
            is_wanted = np.zeros(65536, np.bool_)
            is_wanted[list(self.photcodes)] = True
            wanted &= is_wanted[measure["photcode"]]
        if self.mjd != (-math.inf, math.inf):
            is_null = MEASURE["time"].is_null(measure["time"])
            mjd = np.where(is_null, np.nan, mjd_of(measure["time"], measure["time_msec"]))
            wanted &= (mjd >= self.mjd[0]) & (mjd <= self.mjd[1])
        if self.images is not None:
            wanted &= np.isin(measure["image_id"], np.array(self.images, np.int64))
        if self.flags:
            wanted &= (measure["phot_flags"] & np.uint32(self.flags)) != 0
        return wanted
