"""Measures that are stored, as the running means of their objects take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.position_error import (
    DEFAULT_POS_ERR_ARCSEC,
    motion_error2,
    position_error,
    unknown_error,
)
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import MeasureFlag
from dvo.tables.magnitudes import ZERO_POINT, nominal_zero_point
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of

__all__ = ["STORED_MAGS", "averaged_filters", "mean_magnitudes", "measured_times", "weights"]

Array = NDArray[Any]

_CODES = 65536

STORED_MAGS = {
    "psf": ("mag", "mag_err", "m_cal"),
    "ap": ("m_aper", "m_aper_err", "mcal_aper"),
    "kron": ("m_kron", "m_kron_err", "mcal_aper"),
}
"""Columns of Measure for each kind of magnitude: value, error, offset of its image."""


def weights(measure: ColumnTable, codes: PhotcodeTable, times: Array | None = None) -> Array:
    """Find the position errors with which measures enter mean positions.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.
    codes : PhotcodeTable
        The photcodes, with their error models.
    times : ndarray of float64, or None
        When each is compared with its object [s since 1970]: the errors of the motions that
        catalogs give count with the time since then. None: when it was measured.

    Returns
    -------
    ndarray of float32
        Errors [arcsec], never NaN or zero; infinite where the position does not count
        (SKIP_ASTROM): the other bands of a catalog entry repeat the position of its first.
    """
    sys2, scale, mag_scale = np.zeros(_CODES), np.ones(_CODES), np.zeros(_CODES)
    unknown = np.full(_CODES, DEFAULT_POS_ERR_ARCSEC)
    for photcode in codes:
        sys2[photcode.code] = photcode.astrom_err_sys**2
        scale[photcode.code] = photcode.astrom_err_scale or 1.0
        mag_scale[photcode.code] = photcode.astrom_err_mag_scale
        unknown[photcode.code] = unknown_error(photcode)
    code = measure["photcode"]
    model = (sys2[code], scale[code], mag_scale[code])
    errors = (measure["ra_err"], measure["dec_err"], measure["mag_err"])
    more2 = None
    if times is not None and "u_ra_err" in measure and "u_dec_err" in measure:
        seconds = times - measured_times(measure)
        more2 = motion_error2(measure["u_ra_err"], measure["u_dec_err"], seconds)
    error = position_error(len(measure), *errors, model, unknown_arcsec=unknown[code], more2=more2)
    if "db_flags" in measure:
        error[(measure["db_flags"] & np.uint32(MeasureFlag.SKIP_ASTROM)) != 0] = np.inf
    return error


def measured_times(measure: ColumnTable) -> Array:
    """Times of measures [s since 1970].

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.

    Returns
    -------
    ndarray of float64
        Seconds with their fraction.
    """
    return np.asarray(measure["time"] + measure["time_msec"] / 1000.0)


def averaged_filters(measure: ColumnTable, codes: PhotcodeTable) -> Array:
    """Find the filter whose means each measure belongs to.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ndarray of int64
        Filter k of SecFilt; -1 for what is not averaged: only chip measures (DEP) are.
    """
    k = codes.sec_index_of_code.astype(np.int64).copy()
    for photcode in codes:
        is_chip = source_of(photcode.name) is PhotSource.CHIP
        if photcode.kind is not PhotClass.DEP or not is_chip:
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
    zero, slope = np.full(_CODES, np.nan), np.zeros(_CODES)
    for photcode in codes:
        zero[photcode.code] = nominal_zero_point(photcode, 1.0)
        if photcode.kind is not PhotClass.REF:
            slope[photcode.code] = photcode.airmass_slope
    code = measure["photcode"]
    over = np.nan_to_num(measure["airmass"].astype(np.float64) - 1.0)
    mag, err, offset = (measure[name] for name in STORED_MAGS[kind])
    # In the steps and precisions in which they were averaged: the same to the bit.
    shift = zero[code] - slope[code] * over - ZERO_POINT - np.nan_to_num(offset)
    relative = mag + shift.astype(np.float32)
    return np.asarray(relative - np.nan_to_num(measure["m_flat"]), np.float32), err
