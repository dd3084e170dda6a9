"""Measures of stacks and warps as calibrated fluxes, and which are of primary skycells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.images import PhotImages
from dvo.tables.averages import averaged_filters, nominal_shift
from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitudes import AB_OF_JANSKY, ZERO_POINT
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

        With the zero point ``zp = C - K (airmass - 1) - Mcal - Mflat`` a flux of f counts a second
        is ``f 10**(-0.4 (zp - 8.9))`` Jy (relphot of the IPP, setMrelFinal.c).

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
        unit = 10.0 ** (-0.4 * (shift + ZERO_POINT - AB_OF_JANSKY))
        flux, error = (table[n].astype(np.float64) * unit for n in (name, f"{name}_err"))
        of_mag = 10.0 ** (-0.4 * (table[mag_name].astype(np.float64) + shift - AB_OF_JANSKY))
        mag_error = table[error_name].astype(np.float64)
        mag_error = np.where(mag_error > 0, mag_error, table["mag_err"])
        is_known = np.isfinite(flux)
        error = np.where(is_known, error, of_mag * mag_error * np.log(10.0) / 2.5)
        return np.where(is_known, flux, of_mag), error

    def is_primary(self, images: PhotImages) -> Bool:
        """Tell which measures are of the primary skycell of their place.

        Parameters
        ----------
        images : PhotImages
            The images.

        Returns
        -------
        ndarray of bool, shape (n,)
            Several of an object may be.
        """
        cells = images.skycells
        primary = cells.of_places(self.table["ra"], self.table["dec"])
        return np.asarray(cells.of_image[self.image] == primary)
