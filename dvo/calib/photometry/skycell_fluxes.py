"""Measures of stacks and warps as calibrated fluxes, and the skycells that they are of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dvo.calib.photometry.images import PhotImages
from dvo.sphere import unit_vectors
from dvo.tables.averages import averaged_filters, nominal_shift
from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitudes import ZERO_POINT
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.photsource import PhotSource

__all__ = ["FLUX_COLUMNS", "STEMS", "SkycellMeasures"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

STEMS = {"psf": ("flux_psf", "mag", "mag_err"), "kron": ("flux_kron", "m_kron", "m_kron_err"),
         "ap": ("flux_ap", "m_aper", "m_aper_err")}  # fmt: skip
"""Columns of Measure for each stem of a flux column of SecFilt: flux, magnitude and its error."""

FLUX_COLUMNS = ("ra", "dec", *(name for flux, _, _ in STEMS.values()
                               for name in (flux, f"{flux}_err")))  # fmt: skip
"""What `SkycellMeasures` needs beside the columns of means."""

_AB_ZERO = 8.9
"""AB magnitude of 1 Jy, with the rounding of the original."""

_SAME = np.radians(0.5 / 3600.0)
"""Centres this near are of one skycell [rad]."""


@dataclass(frozen=True, eq=False)
class SkycellMeasures:
    """Measures of one kind of skycell image.

    Parameters
    ----------
    table : ColumnTable
        The measures, with their calibration.
    rows : ndarray of int64, shape (n,)
        Their rows among all measures.
    group : ndarray of int64, shape (n,)
        Their rows in SecFilt.
    image : ndarray of int32, shape (n,)
        Rows of their images.
    """

    table: ColumnTable
    rows: I64
    group: I64
    image: I32

    @classmethod
    def of(
        cls, source: PhotSource, measure: ColumnTable, objects: I64, images: PhotImages,
        codes: PhotcodeTable,
    ) -> SkycellMeasures:  # fmt: skip
        """Find them.

        Parameters
        ----------
        source : PhotSource
            Stacks or warps.
        measure : ColumnTable
            All measures of some objects.
        objects : ndarray of int64, shape (n_measures,)
            Object of each.
        images : PhotImages
            The images.
        codes : PhotcodeTable
            The photcodes.

        Returns
        -------
        SkycellMeasures
            Those of images that are wanted.
        """
        k = averaged_filters(measure, codes, source)
        image = images.rows_of(measure["image_id"])
        rows = np.flatnonzero((k >= 0) & (image >= 0))
        group = objects[rows] * len(codes.sec) + k[rows]
        return cls(measure.take(rows), rows, group, image[rows])

    def __len__(self) -> int:
        return len(self.rows)

    def fluxes(self, stem: str, codes: PhotcodeTable, offset: str) -> tuple[F64, F64]:
        """Give calibrated fluxes.

        With the zero point ``zp = C - K (airmass - 1) - Mcal - Mflat`` a flux of f counts a second is
        ``f 10**(-0.4 (zp - 8.9))`` Jy (relphot of the IPP, setMrelFinal.c).

        Parameters
        ----------
        stem : str
            Of `STEMS`.
        codes : PhotcodeTable
            The photcodes.
        offset : str
            Column with the offset of the image: ``m_cal`` or ``mcal_aper``.

        Returns
        -------
        flux, error : ndarray of float64, shape (n,)
            [Jy]; those of the magnitude where no flux is known, NaN without either.
        """
        table = self.table
        name, mag_name, error_name = STEMS[stem]
        shift = nominal_shift(table, codes) - np.nan_to_num(table[offset].astype(np.float64))
        shift -= np.nan_to_num(table["m_flat"].astype(np.float64))
        unit = 10.0 ** (-0.4 * (shift + ZERO_POINT - _AB_ZERO))
        flux, error = (table[n].astype(np.float64) * unit for n in (name, f"{name}_err"))
        of_mag = 10.0 ** (-0.4 * (table[mag_name].astype(np.float64) + shift - _AB_ZERO))
        mag_error = table[error_name].astype(np.float64)
        mag_error = np.where(mag_error > 0, mag_error, table["mag_err"])
        is_known = np.isfinite(flux)
        error = np.where(is_known, error, of_mag * mag_error * np.log(10.0) / 2.5)
        return np.where(is_known, flux, of_mag), error

    def is_primary(self, images: PhotImages, source_images: Bool) -> Bool:
        """Tell which measures are of the primary skycell: that whose centre is nearest.

        Parameters
        ----------
        images : PhotImages
            The images.
        source_images : ndarray of bool, shape (n_images,)
            Images that count as skycells.

        Returns
        -------
        ndarray of bool, shape (n,)
            Several of an object may be, if their images have one centre.
        """
        out = np.zeros(len(self), np.bool_)
        centres = unit_vectors(images.table["ra_center"], images.table["dec_center"])
        place = unit_vectors(self.table["ra"], self.table["dec"])
        of_filter = images.filter_index
        for k in np.unique(of_filter[self.image]).tolist():
            cells = np.flatnonzero(source_images & (of_filter == k))
            some = np.flatnonzero(of_filter[self.image] == k)
            nearest, _ = cKDTree(centres[cells]).query(place[some])
            own = np.linalg.norm(place[some] - centres[self.image[some]], axis=1)
            out[some] = own <= nearest + _SAME
        return out


def same_skycell(images: PhotImages, one: I32, two: I32) -> Bool:
    """Tell whether pairs of images are of one skycell: have one centre.

    Parameters
    ----------
    images : PhotImages
        The images.
    one, two : ndarray of int32, shape (n,)
        Rows of images.

    Returns
    -------
    ndarray of bool, shape (n,)
        True if their centres lie within half an arc second.
    """
    centres = unit_vectors(images.table["ra_center"], images.table["dec_center"])
    return np.asarray(np.linalg.norm(centres[one] - centres[two], axis=1) <= _SAME)
