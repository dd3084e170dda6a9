"""Compiled loops over table rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["sky_keys"]

F8 = NDArray[np.float64]
_STEPS = 65535.0


@kernel
def sky_keys(ra: F8, dec: F8, centre_ra: float, centre_dec: float) -> NDArray[np.uint32]:
    """Place of each position on a Z-curve about a centre: near positions have near keys.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg], finite.
    centre_ra, centre_dec : float
        Middle of the area [deg].

    Returns
    -------
    ndarray of uint32, shape (n,)
        Keys to sort by.

    Notes
    -----
    The curve runs over offsets east and north scaled to the extent of the positions
    (sinusoidal projection), so it works at the poles, where only its locality suffers.
    """
    n = len(ra)
    x = np.empty(n)
    y = np.empty(n)
    reach = 1e-9
    for i in range(n):
        off = (ra[i] - centre_ra + 540.0) % 360.0 - 180.0
        x[i] = off * math.cos(dec[i] * math.pi / 180.0)
        y[i] = dec[i] - centre_dec
        reach = max(reach, abs(x[i]), abs(y[i]))
    out = np.empty(n, np.uint32)
    for i in range(n):
        a = np.uint32((x[i] / reach + 1.0) * 0.5 * _STEPS)
        b = np.uint32((y[i] / reach + 1.0) * 0.5 * _STEPS)
        key = np.uint32(0)
        for bit in range(16):
            one = np.uint32(1)
            key |= ((a >> np.uint32(bit)) & one) << np.uint32(2 * bit)
            key |= ((b >> np.uint32(bit)) & one) << np.uint32(2 * bit + 1)
        out[i] = key
    return out
