"""The error that a measured position counts with, from its own and from its photcode's model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.tables.photcode import PhotClass, Photcode

__all__ = ["DEFAULT_POS_ERR_ARCSEC", "motion_error2", "position_error", "unknown_error"]

Array = NDArray[Any]

DEFAULT_POS_ERR_ARCSEC = 0.1
"""Position error of a detection that comes without one."""

# Space astrometry is good to a hundredth of a mas; less is a mistake, and would rule for ever.
_LEAST_ERR_ARCSEC = 1e-5
_YEAR_S = 31557600.0
# An error beyond this says that the error is not known.
_MOST_ERR_ARCSEC = 60.0


def position_error(
    n: int,
    ra_err: Array | None,
    dec_err: Array | None,
    mag_err: Array | None,
    model: tuple[Array, Array, Array],
    *,
    unknown_arcsec: Array | float = DEFAULT_POS_ERR_ARCSEC,
    more2: Array | None = None,
) -> NDArray[np.float32]:
    """Make one error for the weight of each position.

    Parameters
    ----------
    n : int
        Number of positions.
    ra_err, dec_err : ndarray of float, shape (n,), or None
        Errors as given, ra times cos(dec) [arcsec]; if one is unknown the other stands for
        both, if both are NaN, not above 0 or beyond 60, `unknown_arcsec`.
    mag_err : ndarray of float, shape (n,), or None
        Errors of the magnitudes [mag]; NaN counts as 0.
    model : tuple of ndarray, each of shape (n,) or (1,)
        Of the photcode of each, or of all: systematic error squared [arcsec^2], scale of
        the squared measured error, scale of the squared magnitude error.
    unknown_arcsec : float or ndarray of shape (n,) or (1,)
        Measured error where none is known [arcsec]; see `unknown_errors`.
    more2 : ndarray of float, shape (n,), or None
        What else to add to the square [arcsec^2]: the error of a proper motion over time.

    Returns
    -------
    ndarray of float32, shape (n,)
        ``sqrt(sys^2 + scale * measured^2 + mag_scale * mag_err^2 + more2)``, at least
        0.01 mas [arcsec]; the model of the original's photcodes.
    """
    sys2, scale, mag_scale = model
    own = np.zeros(n) + np.square(unknown_arcsec)
    if ra_err is not None or dec_err is not None:
        one = np.asarray(ra_err if ra_err is not None else dec_err, np.float64)
        two = np.asarray(dec_err if dec_err is not None else ra_err, np.float64)
        given = (np.square(np.where(np.isnan(one), two, one)) +
                 np.square(np.where(np.isnan(two), one, two))) / 2  # fmt: skip
        known = (given > 0) & (given < _MOST_ERR_ARCSEC**2)
        own[known] = given[known]
    own = own * scale + sys2
    if mag_err is not None and mag_scale.any():
        # Where it does not count an error without end does no harm either.
        counts = np.where(mag_scale > 0, np.nan_to_num(mag_err), 0.0)
        own += mag_scale * np.square(counts)
    if more2 is not None:
        own += more2
    return np.asarray(np.maximum(np.sqrt(own), _LEAST_ERR_ARCSEC), np.float32)


def unknown_error(photcode: Photcode) -> float:
    """Measured error of a position that comes without one.

    Parameters
    ----------
    photcode : Photcode
        Its photcode.

    Returns
    -------
    float
        `DEFAULT_POS_ERR_ARCSEC`; 0 for an outside catalog whose photcode has a systematic
        error, since that is how its errors are known [arcsec].
    """
    is_told = photcode.kind is PhotClass.REF and photcode.astrom_err_sys > 0
    return 0.0 if is_told else DEFAULT_POS_ERR_ARCSEC


def motion_error2(u_ra_err: ArrayLike, u_dec_err: ArrayLike, seconds: ArrayLike) -> Array:
    """Square of what the errors of proper motions make of positions in some time.

    Parameters
    ----------
    u_ra_err, u_dec_err : array_like, shape (n,)
        Errors of the motions, as stored [arcsec/yr]; NaN where unknown.
    seconds : array_like, shape (n,) or ()
        Time between measurement and use [s].

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean of both axes [arcsec^2]; 0 where an error is unknown.
    """
    years = np.asarray(seconds, np.float64) / _YEAR_S
    squares = np.square(np.asarray(u_ra_err, np.float64))
    squares = (squares + np.square(np.asarray(u_dec_err, np.float64))) / 2
    return np.asarray(np.nan_to_num(squares * np.square(years), posinf=0.0))
