"""The equations of photometry: from a stored magnitude to an instrumental or calibrated one.

The stored magnitude of a DEP measure is ``M = m_inst + 2.5 log10(exptime) + 25``; one of
a REF is as published, at every level. Signs are worked out here, not taken from the
original, whose flux fallbacks have some of them wrong.

Level ``rel`` of a measure has the colour term of its photcode. The provisional means that
addstar keeps do not: a colour is made of such means, so they would come to depend on the
order of the images. Photcodes with colour terms get their final means from a calibration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

__all__ = [
    "AB_OF_JANSKY",
    "ZERO_POINT",
    "calibrated",
    "colour_term",
    "image_offset",
    "instrumental",
    "nominal_zero_point",
    "nominal_zero_points",
]

Array = NDArray[Any]

_CODES = 65536

ZERO_POINT = 25.0
"""ZP0: the zero point that stored DEP magnitudes carry [mag]."""


AB_OF_JANSKY = 8.9
"""AB magnitude of 1 Jy, with the rounding of the original (exactly 8.90)."""


def nominal_zero_point(photcode: Photcode, airmass: float) -> float:
    """Zero point that a photcode has at an airmass.

    Parameters
    ----------
    photcode : Photcode
        Of a detector and filter (DEP).
    airmass : float
        Airmass; NaN counts as 1.

    Returns
    -------
    float
        ``C - K (airmass - 1)`` [mag], K being the extinction in an airmass: the same
        star gives fewer counts through more air. `ZERO_POINT` for a REF, so that its
        magnitudes stay as they are.
    """
    if photcode.kind is PhotClass.REF:
        return ZERO_POINT
    over = 0.0 if np.isnan(airmass) else airmass - 1.0
    return photcode.zero_point - photcode.airmass_slope * over


def nominal_zero_points(codes: PhotcodeTable, code: Array, airmass: Array) -> Array:
    """Zero points that photcodes have at airmasses, see `nominal_zero_point`.

    Parameters
    ----------
    codes : PhotcodeTable
        The photcodes.
    code : ndarray of uint16, shape (n,)
        Their numbers.
    airmass : ndarray, shape (n,)
        Airmasses; NaN counts as 1.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``C - K (airmass - 1)`` [mag], `ZERO_POINT` for REF; NaN if the photcode is not known.
    """
    zero, slope = np.full(_CODES, np.nan), np.zeros(_CODES)
    for photcode in codes:
        zero[photcode.code] = nominal_zero_point(photcode, 1.0)
        if photcode.kind is not PhotClass.REF:
            slope[photcode.code] = photcode.airmass_slope
    over = np.nan_to_num(airmass.astype(np.float64) - 1.0)
    return np.asarray(zero[code] - slope[code] * over)


def image_offset(photcode: Photcode, zero_point: float, airmass: float = 1.0) -> float:
    """Mcal of an image whose zero point has been found.

    Parameters
    ----------
    photcode : Photcode
        Of the image.
    zero_point : float
        Zero point found [mag]; NaN if not known.
    airmass : float
        Airmass that it is stated for: 1 if it has been reduced by the nominal slope, as
        ZPT_OBS of psphot has; then Mcal is ``C - ZPT_OBS``, as in the original.

    Returns
    -------
    float
        What is to be subtracted from nominal magnitudes [mag]; clouds make it positive.
        NaN if the zero point is not known.
    """
    return nominal_zero_point(photcode, airmass) - zero_point


def instrumental(mag: Array, m_time: Array) -> Array:
    """Instrumental magnitude of stored DEP magnitudes.

    Parameters
    ----------
    mag : ndarray
        Stored magnitudes [mag].
    m_time : ndarray
        2.5 log10 of the exposure time [mag].

    Returns
    -------
    ndarray
        ``M - 2.5 log10(exptime) - 25`` [mag].
    """
    return np.asarray(mag - m_time - ZERO_POINT)


def colour_term(photcode: Photcode, colour: Array) -> Array:
    """What the colour of a star adds to magnitudes of a photcode.

    Parameters
    ----------
    photcode : Photcode
        Of the measures.
    colour : ndarray
        Mean magnitude c1 - c2 of each star, by the photcode's `color_codes` [mag].

    Returns
    -------
    ndarray
        ``sum_i X_i (colour - dX)^i``, i from 1 [mag]; 0 where the colour is NaN.
    """
    off = colour - photcode.color_offset
    return np.nan_to_num(sum(x * off**i for i, x in enumerate(photcode.color_terms, start=1)))


def calibrated(mag: Array, zero_point: Array, m_cal: Array, m_flat: Array) -> Array:
    """Relative magnitude without colour term: nominal, less image offset and flat field.

    Parameters
    ----------
    mag : ndarray
        Stored magnitudes [mag].
    zero_point : ndarray
        Nominal zero point at the airmass of each [mag], see `nominal_zero_point`.
    m_cal, m_flat : ndarray
        Image offset and flat-field correction [mag]; NaN counts as 0.

    Returns
    -------
    ndarray
        ``M - 25 + zero_point - Mcal - Mflat`` [mag].
    """
    return np.asarray(mag - ZERO_POINT + zero_point - np.nan_to_num(m_cal) - np.nan_to_num(m_flat))
