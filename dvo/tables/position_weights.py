"""Measures that are stored, as the running means of their objects take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import MeasureFlag
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.position_error import (
    DEFAULT_POS_ERR_ARCSEC,
    motion_error2,
    position_error,
    unknown_error,
)

__all__ = ["measured_times", "weights"]

Array = NDArray[Any]

_CODES = 65536


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
