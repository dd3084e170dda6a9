"""Times and places of measurements as association takes them.

They are made of what the tables keep, to the bit, so that running means can be made anew
from stored measures and come out the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.mjd import MJD_1970
from dvo.proper_motion import move_to_epoch

__all__ = ["matched_positions", "split_time", "stored_motion", "stored_times"]

Array = NDArray[Any]

_YEAR_S = 31557600.0


def split_time(mjd: ArrayLike) -> tuple[Array, Array]:
    """Split times into whole seconds since 1970 and thousandths, as the tables keep them.

    Parameters
    ----------
    mjd : array_like of float64
        Times, MJD UTC [d].

    Returns
    -------
    seconds : ndarray of int64
        Whole seconds, rounded down.
    thousandths : ndarray of uint16
        The rest, 0 to 999 [ms].
    """
    total = np.rint((np.asarray(mjd, np.float64) - MJD_1970) * 86_400_000.0).astype(np.int64)
    return total // 1000, (total % 1000).astype(np.uint16)


def stored_times(mjd: ArrayLike) -> NDArray[np.float64]:
    """Times as they come back from the tables.

    Parameters
    ----------
    mjd : array_like of float64
        Times, MJD UTC [d].

    Returns
    -------
    ndarray of float64
        Seconds since 1970, to a thousandth.
    """
    seconds, thousandths = split_time(mjd)
    return np.asarray(seconds + thousandths / 1000.0)


def stored_motion(mas_yr: Array) -> NDArray[np.float32]:
    """Proper motions or parallaxes of a survey in the unit of the tables.

    Parameters
    ----------
    mas_yr : ndarray of float32
        As surveys give them [mas/yr or mas].

    Returns
    -------
    ndarray of float32
        The same [arcsec/yr or arcsec].
    """
    return np.asarray(mas_yr / np.float32(1000.0))


def matched_positions(
    ra: Array, dec: Array, u_ra: Array, u_dec: Array, times: Array, match_times: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of a survey, brought to the time of matching by its own proper motions.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions as measured, ICRS [deg].
    u_ra, u_dec : ndarray of float32, shape (n,)
        Proper motions, in ra times cos(dec), as stored [arcsec/yr]; NaN where unknown.
    times, match_times : ndarray of float64, shape (n,) or ()
        Times of the measurements and of matching, as stored [s since 1970].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].
    """
    east, north = (np.asarray(u, np.float64) * 1000.0 for u in (u_ra, u_dec))
    return move_to_epoch(ra, dec, east, north, times / _YEAR_S, match_times / _YEAR_S)
