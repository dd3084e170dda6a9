"""Proper motion: positions of stars at another epoch, at the poles as anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ShapeError

__all__ = ["epoch_to_mjd", "mjd_to_epoch", "move_to_epoch"]

F64 = NDArray[np.float64]

_J2000_MJD = 51544.5
_YEAR_DAYS = 365.25
_RAD_PER_MAS = np.pi / (180.0 * 3.6e6)


def epoch_to_mjd(epoch: float) -> float:
    """MJD of a Julian epoch.

    Parameters
    ----------
    epoch : float
        Julian epoch such as 2016.0 [yr].

    Returns
    -------
    float
        MJD [d]; TT and TCB are not told apart (a minute moves no star by 1 uas).

    Examples
    --------
    >>> epoch_to_mjd(2016.0)
    57388.5
    """
    return _J2000_MJD + (epoch - 2000.0) * _YEAR_DAYS


def mjd_to_epoch(mjd: ArrayLike) -> F64:
    """Julian epochs of MJDs.

    Parameters
    ----------
    mjd : array_like of float64
        MJD [d].

    Returns
    -------
    ndarray of float64, same shape
        Julian epochs [yr].

    Examples
    --------
    >>> float(mjd_to_epoch(57388.5))
    2016.0
    """
    return np.asarray(2000.0 + (np.asarray(mjd, np.float64) - _J2000_MJD) / _YEAR_DAYS)


def move_to_epoch(
    ra: ArrayLike,
    dec: ArrayLike,
    pm_ra_cosdec_mas: ArrayLike,
    pm_dec_mas: ArrayLike,
    from_epoch: ArrayLike,
    to_epoch: ArrayLike,
) -> tuple[F64, F64]:
    """Positions at another epoch, by motion in a straight line in space.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions at from_epoch, ICRS [deg].
    pm_ra_cosdec_mas, pm_dec_mas : array_like, shape (n,)
        Proper motion at from_epoch, in ra times cos(dec) and in dec [mas/yr]; a star of
        which one is NaN stays where it is.
    from_epoch, to_epoch : array_like
        Julian epochs [yr], one for all stars or one each.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions at to_epoch, ICRS [deg]; ra in [0, 360). NaN where the position is.

    Raises
    ------
    ShapeError
        If the arrays do not share a shape.

    Notes
    -----
    The Hipparcos Catalogue, volume 1, equation 1.2.17 without its radial velocity and
    parallax: exact on the sphere but for perspective acceleration, which is unknown
    without radial velocities (0.4" in 25 years for Barnard's star, nothing for others).

    Examples
    --------
    >>> ra, dec = move_to_epoch([10.0], [0.0], [3600.0], [0.0], 2000.0, 2010.0)
    >>> round(float(ra[0]), 9)
    10.01
    """
    try:
        alpha, delta, mu_a, mu_d, start, stop = np.broadcast_arrays(
            *(
                np.asarray(a, np.float64)
                for a in (ra, dec, pm_ra_cosdec_mas, pm_dec_mas, from_epoch, to_epoch)
            )
        )
    except ValueError as error:
        raise ShapeError(f"positions, motions and epochs differ in shape: {error}") from error
    years = stop - start
    known = np.isfinite(mu_a) & np.isfinite(mu_d)
    east = np.where(known, mu_a, 0.0) * years * _RAD_PER_MAS
    north = np.where(known, mu_d, 0.0) * years * _RAD_PER_MAS
    sin_a, cos_a = np.sin(np.radians(alpha)), np.cos(np.radians(alpha))
    sin_d, cos_d = np.sin(np.radians(delta)), np.cos(np.radians(delta))
    # Towards the star, then along the unit vectors to its east and north.
    x = cos_d * cos_a - east * sin_a - north * sin_d * cos_a
    y = cos_d * sin_a + east * cos_a - north * sin_d * sin_a
    z = sin_d + north * cos_d
    new_ra = np.mod(np.degrees(np.arctan2(y, x)), 360.0)
    new_ra = np.where(new_ra >= 360.0, 0.0, new_ra)
    new_dec = np.degrees(np.arctan2(z, np.hypot(x, y)))
    # A star that does not move keeps its position to the last bit.
    still = (east == 0.0) & (north == 0.0)
    return np.where(still, alpha, new_ra), np.where(still, delta, new_dec)
