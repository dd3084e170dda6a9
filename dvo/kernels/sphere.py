"""Compiled spherical geometry: unit vectors, separations, cones.

Angles are ICRS degrees. Nothing is checked here: `dvo.sphere` holds the wrappers that
check. NaN in gives NaN out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["in_cone", "separation", "separation_one", "unit_vectors", "wrap_ra", "wrap_ra_one"]

F64 = NDArray[np.float64]


@kernel
def wrap_ra_one(ra: float) -> float:
    """Right ascension in [0, 360) [deg]; NaN when it is not finite."""
    if 0.0 <= ra < 360.0:
        return ra
    if not math.isfinite(ra):
        return math.nan
    wrapped = ra % 360.0
    # A tiny negative angle rounds up to 360, which is the same meridian as 0.
    if wrapped >= 360.0:
        return 0.0
    return wrapped


@kernel
def wrap_ra(ra: F64, out: F64) -> None:
    """Fill out with right ascensions in [0, 360) [deg]."""
    for i in range(ra.size):
        out[i] = wrap_ra_one(ra[i])


@kernel
def unit_vectors(ra: F64, dec: F64, out: F64) -> None:
    """Fill out, shape (n, 3), with the unit vectors of positions."""
    for i in range(ra.size):
        a = math.radians(ra[i])
        d = math.radians(dec[i])
        cos_dec = math.cos(d)
        out[i, 0] = cos_dec * math.cos(a)
        out[i, 1] = cos_dec * math.sin(a)
        out[i, 2] = math.sin(d)


@kernel
def separation_one(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Separation of two positions [deg], by Vincenty's formula for the sphere."""
    delta = math.radians(ra2 - ra1)
    d1 = math.radians(dec1)
    d2 = math.radians(dec2)
    sin1 = math.sin(d1)
    cos1 = math.cos(d1)
    sin2 = math.sin(d2)
    cos2 = math.cos(d2)
    sin_delta = math.sin(delta)
    # cos1*sin2 - sin1*cos2*cos(delta), written so that near positions lose no digits:
    half = math.sin(0.5 * delta)
    north = math.sin(d2 - d1) + 2.0 * sin1 * cos2 * half * half
    east = cos2 * sin_delta
    along = sin1 * sin2 + cos1 * cos2 * math.cos(delta)
    return math.degrees(math.atan2(math.sqrt(east * east + north * north), along))


@kernel
def separation(ra1: F64, dec1: F64, ra2: F64, dec2: F64, out: F64) -> None:
    """Fill out with the separations of pairs of positions [deg]."""
    for i in range(ra1.size):
        out[i] = separation_one(ra1[i], dec1[i], ra2[i], dec2[i])


@kernel
def _half_sine2(x: float) -> float:
    """sin(x/2)**2 for |x| up to 0.35 [rad], good to 1e-13 of itself; no call of a sine."""
    y = x * x
    return (
        0.25
        * y
        * (1.0 - y * (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 20160.0 - y / 1814400.0))))
    )


@kernel
def in_cone(
    ra: F64, dec: F64, ra0: float, dec0: float, radius: float, out: NDArray[np.bool_]
) -> None:
    """Fill out with whether each position lies within radius [deg] of the centre; NaN: no.

    Small cones away from the poles go by the haversine formula in polynomials, which is
    ten times as fast; what is so near the edge that rounding could decide is left to
    `separation_one`, so the answer is the same.
    """
    highest = abs(dec0) + radius
    if radius > 5.0 or highest > 75.0:
        for i in range(ra.size):
            # The difference in declination is a lower bound, and costs no sine.
            out[i] = (
                abs(dec[i] - dec0) <= radius + 1e-9
                and separation_one(ra0, dec0, ra[i], dec[i]) <= radius
            )
        return
    sin0 = math.sin(math.radians(dec0))
    cos0 = math.cos(math.radians(dec0))
    limit = math.sin(0.5 * math.radians(radius)) ** 2
    margin = 1e-9 * limit + 1e-14 * math.sqrt(limit) + 1e-28
    # No position of the cone is further from its centre in right ascension.
    half = math.asin(math.sin(math.radians(radius)) / cos0) * (1.0 + 1e-9) + 1e-11
    tall = math.radians(radius) + 1e-11
    n_edge = 0
    for i in range(ra.size):
        y = math.radians(dec[i] - dec0)
        x = ra[i] - ra0
        x = math.radians(x - 360.0 * np.floor(x / 360.0 + 0.5))
        y2 = y * y
        rise = _half_sine2(y)
        sine = y * (
            1.0 - y2 * (1.0 / 6.0 - y2 * (1.0 / 120.0 - y2 * (1.0 / 5040.0 - y2 / 362880.0)))
        )
        cos1 = cos0 * (1.0 - 2.0 * rise) - sin0 * sine
        excess = rise + cos0 * cos1 * _half_sine2(x) - limit
        near = (abs(x) <= half) & (abs(y) <= tall)
        out[i] = near & (excess < 0.0)
        n_edge += near & (abs(excess) <= margin)
    if n_edge == 0:
        return
    for i in range(ra.size):
        if abs(dec[i] - dec0) <= radius + 1e-9:
            y = math.radians(dec[i] - dec0)
            x = ra[i] - ra0
            x = math.radians(x - 360.0 * np.floor(x / 360.0 + 0.5))
            cos1 = math.cos(math.radians(dec[i]))
            excess = math.sin(0.5 * y) ** 2 + cos0 * cos1 * math.sin(0.5 * x) ** 2 - limit
            if abs(excess) <= 2.0 * margin:
                out[i] = separation_one(ra0, dec0, ra[i], dec[i]) <= radius
