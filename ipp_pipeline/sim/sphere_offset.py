"""Positions at a distance and direction from a centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.sphere import unit_vectors, wrap_ra

__all__ = ["offset_positions"]

F64 = NDArray[np.float64]


def offset_positions(ra: float, dec: float, angle_deg: F64, distance_deg: F64) -> tuple[F64, F64]:
    """Positions at given angles and distances from a centre.

    Parameters
    ----------
    ra, dec : float
        Centre, ICRS [deg].
    angle_deg : ndarray of float64, shape (n,)
        Position angle, north through east [deg].
    distance_deg : ndarray of float64, shape (n,)
        Distance along the great circle [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Examples
    --------
    >>> import numpy as np
    >>> ra, dec = offset_positions(10.0, 0.0, np.array([90.0]), np.array([2.0]))
    >>> round(float(ra[0]), 9), round(float(dec[0]), 9)
    (12.0, 0.0)
    """
    up = unit_vectors([ra], [dec])[0]
    a = np.radians(ra)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.cross(up, east)
    turn, far = np.radians(angle_deg)[:, None], np.radians(distance_deg)[:, None]
    x, y, z = (np.cos(far) * up + np.sin(far) * (np.sin(turn) * east + np.cos(turn) * north)).T
    return wrap_ra(np.degrees(np.arctan2(y, x))), np.degrees(np.arctan2(z, np.hypot(x, y)))
