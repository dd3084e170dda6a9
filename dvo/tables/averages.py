"""What enters the mean magnitudes of objects: which measures, at which level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitudes import ZERO_POINT, nominal_zero_points
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of

__all__ = [
    "LEAST_MAG_ERR",
    "MEAN_COUNTS",
    "MEAN_STEMS",
    "STORED_MAGS",
    "UNKNOWN_MAG_ERR",
    "averaged_filters",
    "mean_magnitudes",
    "nominal_shift",
]

Array = NDArray[Any]

STORED_MAGS = {
    "psf": ("mag", "mag_err", "m_cal"),
    "ap": ("m_aper", "m_aper_err", "mcal_aper"),
    "kron": ("m_kron", "m_kron_err", "mcal_aper"),
}
"""Columns of Measure for each kind of magnitude: value, error, offset of its image."""

MEAN_STEMS = {"psf": "mag", "ap": "mag_ap", "kron": "mag_kron"}
"""Mean chip magnitudes that SecFilt keeps, and the stem of their columns."""

MEAN_COUNTS = {"psf": "nused", "ap": "nused_ap", "kron": "nused_kron"}
"""Columns of SecFilt that count the measures behind them."""

LEAST_MAG_ERR, UNKNOWN_MAG_ERR = 0.001, 0.1
"""Least error of a magnitude in a mean, as in the original, and that of one without [mag]."""


def averaged_filters(
    measure: ColumnTable, codes: PhotcodeTable, source: PhotSource = PhotSource.CHIP
) -> Array:
    """Find the filter whose means each measure belongs to.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.
    codes : PhotcodeTable
        The photcodes.
    source : PhotSource
        Kind of image whose measures are wanted.

    Returns
    -------
    ndarray of int64
        Filter k of SecFilt; -1 for what is not averaged: measures of other kinds of images, and
        of no image (REF).
    """
    k = codes.sec_index_of_code.astype(np.int64).copy()
    for photcode in codes:
        if photcode.kind is not PhotClass.DEP or source_of(photcode.name) is not source:
            k[photcode.code] = -1
    return k[measure["photcode"]]


def mean_magnitudes(measure: ColumnTable, kind: str, codes: PhotcodeTable) -> tuple[Array, Array]:
    """Magnitudes at the level at which they are averaged, with their errors.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.
    kind : str
        Which magnitudes: psf, ap or kron.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    mag, err : ndarray of float32
        Level ``rel`` without colour terms [mag]; NaN where null.
    """
    mag, err, offset = (measure[name] for name in STORED_MAGS[kind])
    # In the steps and precisions in which they were averaged: the same to the bit.
    shift = nominal_shift(measure, codes) - np.nan_to_num(offset)
    relative = mag + shift.astype(np.float32)
    return np.asarray(relative - np.nan_to_num(measure["m_flat"]), np.float32), err


def nominal_shift(measure: ColumnTable, codes: PhotcodeTable) -> Array:
    """What brings stored magnitudes to the nominal zero points of their photcodes.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ndarray of float64
        ``C - K (airmass - 1) - 25`` [mag], 0 for REF; NaN if the photcode is not known.
    """
    zero = nominal_zero_points(codes, measure["photcode"], measure["airmass"])
    return np.asarray(zero - ZERO_POINT)
