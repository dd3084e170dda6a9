"""Axes of an ellipse on a chip, in pixels, as they lie on the sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.solution import Solution
from dvo.sphere import unit_vectors

__all__ = ["sky_axes"]

F64 = NDArray[np.float64]


def sky_axes(solution: Solution, x: F64, y: F64, theta_rad: F64) -> tuple[F64, F64, F64]:
    """Bring the axes of ellipses from pixels to the sky.

    Parameters
    ----------
    solution : Solution
        Astrometry of the chip.
    x, y : ndarray of float64, shape (n,)
        Centres [pix].
    theta_rad : ndarray of float64, shape (n,)
        Angle from x to the major axis, towards y [rad].

    Returns
    -------
    major_arcsec, minor_arcsec : ndarray of float64, shape (n,)
        Length of a pixel along the major and the minor axis [arcsec]; that along x and y
        where the angle is NaN, NaN where the place is.
    position_angle : ndarray of float64, shape (n,)
        Position angle of the major axis, from north through east, in [0, 180) [deg]; NaN
        where the angle or the place is.

    Notes
    -----
    One step of a pixel is taken each way, so what the chip, the focal plane and the
    projection do to the pixel is all in it. A mirrored or turned chip needs no care. The
    directions stay right at the poles, where they are those at the centre.
    """
    angle = np.where(np.isfinite(theta_rad), theta_rad, 0.0)
    cos, sin = np.cos(angle), np.sin(angle)
    ra, dec = solution.to_sky(x, y)
    here = unit_vectors(ra, dec)
    along_major = unit_vectors(*solution.to_sky(x + cos, y + sin)) - here
    along_minor = unit_vectors(*solution.to_sky(x - sin, y + cos)) - here
    a, d = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(a), np.cos(a), np.zeros_like(a)], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    turn = np.degrees(
        np.arctan2((along_major * east).sum(axis=-1), (along_major * north).sum(axis=-1))
    )
    position_angle = np.mod(turn, 180.0)
    position_angle[position_angle >= 180.0] = 0.0  # of a tiny negative angle
    position_angle[~np.isfinite(theta_rad)] = np.nan
    to_arcsec = np.degrees(1.0) * 3600.0  # a chord of one pixel is its arc
    major = np.linalg.norm(along_major, axis=-1) * to_arcsec
    minor = np.linalg.norm(along_minor, axis=-1) * to_arcsec
    return major, minor, position_angle
