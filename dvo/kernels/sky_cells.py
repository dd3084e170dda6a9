"""Small sky geometry: cells that cut up the sky, distances, motions, all in degrees."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = [
    "cell_in_zone",
    "cells_near",
    "chord2",
    "half_width",
    "moved",
    "offset",
    "precedes",
    "sine_of",
    "sky_cells",
    "sky_order",
    "slot_of",
    "tangent",
    "wrap_ra",
    "zones_near",
]

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

_DEG = math.pi / 180.0
# Closer to a pole than this, means are taken of unit vectors, not of RA and Dec.
_POLAR_DEC = 89.0
# Beyond this displacement [deg] straight motion in RA and Dec is no longer good to 0.1 mas.
_FAR_MOTION = 1.0 / 3600.0


@kernel
def sky_cells(height: float) -> tuple[I8, I8]:
    """Cut the sky into zones of one height, and each zone into cells no narrower than that.

    Parameters
    ----------
    height : float
        Height of a zone [deg]; at most 180.

    Returns
    -------
    n_cells : ndarray of int64, shape (n_zones,)
        Cells in each zone.
    first : ndarray of int64, shape (n_zones,)
        Number of the first cell of each zone.
    """
    n_zones = max(1, int(180.0 / height))
    step = 180.0 / n_zones
    n_cells = np.empty(n_zones, np.int64)
    first = np.empty(n_zones, np.int64)
    total = 0
    for z in range(n_zones):
        low = -90.0 + z * step
        poleward = max(abs(low), abs(low + step))
        width = math.cos(min(poleward, 90.0) * _DEG)
        n_cells[z] = max(1, int(360.0 * width / step))
        first[z] = total
        total += n_cells[z]
    return n_cells, first


@kernel_part
def slot_of(ra: float, dec: float, n_cells: I8, first: I8, mask: int) -> int:
    """Slot of the cell that holds a position [deg]."""
    n_zones = len(n_cells)
    z = min(max(int((dec + 90.0) * n_zones / 180.0), 0), n_zones - 1)
    n = n_cells[z]
    c = min(max(int(ra * n / 360.0), 0), n - 1)
    return int((first[z] + c) & mask)


@kernel_part
def half_width(radius: float, dec: float, cosd: float) -> float:
    """Half-width in RA of a circle, asin(sin r / cos dec) or more; 180 if it holds a pole [deg]."""
    half = 180.0
    # For small ratios x, asin x < 1.001 x; that is wide enough and much cheaper.
    if radius < 0.05 * cosd:
        half = 1.001 * radius / cosd
    elif abs(dec) + radius < 90.0:
        half = math.asin(min(1.0, math.sin(radius * _DEG) / cosd)) / _DEG * (1.0 + 1e-9) + 1e-9
    return half


@kernel_part
def zones_near(dec: float, radius: float, n_zones: int) -> tuple[int, int]:
    """First and last zone that a circle of a radius [deg] may touch."""
    scale = n_zones / 180.0
    low = max(int((dec - radius + 90.0) * scale - 1e-9), 0)
    return low, min(int((dec + radius + 90.0) * scale + 1e-9), n_zones - 1)


@kernel_part
def cells_near(ra: float, half: float, n: int) -> tuple[int, int]:
    """First and last of the n cells of a zone that lie within half a width [deg] of a place.

    Numbers below 0 and above n - 1 are across right ascension 0; see `cell_in_zone`.
    """
    low = math.floor((ra - half) * (n / 360.0))
    high = math.floor((ra + half) * (n / 360.0))
    if high - low >= n - 1:
        low, high = 0, n - 1
    return low, high


@kernel_part
def cell_in_zone(c: int, n: int) -> int:
    """Number from 0 to n - 1 of a cell that is at most one turn out."""
    if c < 0:
        c += n
    elif c >= n:
        c -= n
    return c


@kernel_part
def sine_of(dec: float, cosd: float) -> float:
    """Sine of a declination [deg] from its cosine; what the root loses near 0 is below 1e-8."""
    return math.copysign(math.sqrt(max(0.0, 1.0 - cosd * cosd)), dec)


@kernel_part
def precedes(
    d2: float, dec: float, ra: float, row: int, d2_b: float, dec_b: float, ra_b: float, row_b: int
) -> bool:
    """Whether one position comes strictly before another in the order of distance.

    Equal distances are ordered by declination, then right ascension, which no partition of
    the sky can change, then row.
    """
    before = row < row_b
    if d2 != d2_b:
        before = d2 < d2_b
    elif dec != dec_b:
        before = dec < dec_b
    elif ra != ra_b:
        before = ra < ra_b
    return before


@kernel
def sky_order(ra: F8, dec: F8, stops: I8, first: int, last: int, out: I8) -> None:
    """Order the detections of each image by their place on the sky.

    Each image is cut into cells of about eight detections, in rows of declination, and
    its detections are counted into them; what an image needs for that fits in the cache.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg], finite, image after image.
    stops : ndarray of int64, shape (n_image,)
        Where the detections of each image end.
    first, last : int
        Images to order: from `first` up to but not including `last`.
    out : ndarray of int64, shape (n,)
        Filled with the detections, image after image, near ones near each other. The
        order depends on nothing but the positions and their order in the image.
    """
    for k in range(first, last):
        start = stops[k - 1] if k > 0 else 0
        if stops[k] > start:
            _order_image(ra, dec, start, stops[k], out)


@kernel
def _order_image(ra: F8, dec: F8, start: int, stop: int, out: I8) -> None:
    low, high = dec[start], dec[start]
    west, east = 0.0, 0.0
    for i in range(start, stop):
        low, high = min(low, dec[i]), max(high, dec[i])
        off = _half_turn(ra[i] - ra[start])
        west, east = min(west, off), max(east, off)
    side = max(1, int(math.sqrt((stop - start) / 8.0)))
    to_row = side / max(high - low, 1e-9)
    to_column = side / max(east - west, 1e-9)
    key = np.empty(stop - start, np.int32)
    edges = np.zeros(side * side + 1, np.int64)
    for i in range(start, stop):
        row = min(int((dec[i] - low) * to_row), side - 1)
        column = min(int((_half_turn(ra[i] - ra[start]) - west) * to_column), side - 1)
        key[i - start] = row * side + column
        edges[key[i - start] + 1] += 1
    for c in range(side * side):
        edges[c + 1] += edges[c]
    for i in range(start, stop):
        out[start + edges[key[i - start]]] = i
        edges[key[i - start]] += 1


@kernel
def _half_turn(angle: float) -> float:
    """Bring a difference of right ascensions into [-180, 180]."""
    if angle > 180.0:
        return angle - 360.0
    return angle + 360.0 if angle < -180.0 else angle


@kernel
def chord2(dra: float, ddec: float, cos1: float, sin1: float) -> float:
    """Squared chord between two positions, ddec [deg] of them apart in Dec (a degree at most)."""
    if dra > 180.0:
        dra -= 360.0
    elif dra < -180.0:
        dra += 360.0
    half_ra = 0.5 * _DEG * dra
    ddec *= _DEG
    # sin x = x - x^3/6 is good to 3e-12 of itself below 0.005 rad.
    sin_ra = half_ra * (1.0 - half_ra * half_ra / 6.0)
    if abs(half_ra) > 0.005:
        sin_ra = math.sin(half_ra)
    half_dec = 0.5 * ddec
    sin_dec = half_dec * (1.0 - half_dec * half_dec / 6.0)
    # cos of the other declination to third order: no table of cosines, no call.
    cos2 = cos1 - ddec * (sin1 + ddec * (0.5 * cos1 - ddec * sin1 / 6.0))
    return 4.0 * (sin_dec * sin_dec + cos1 * cos2 * sin_ra * sin_ra)


@kernel
def wrap_ra(ra: float) -> float:
    """Bring a right ascension that is at most one turn out into [0, 360)."""
    if ra < 0.0:
        ra += 360.0
    if ra >= 360.0:
        ra -= 360.0
    return ra


@kernel
def moved(ra: float, dec: float, u_ra: float, u_dec: float, years: float) -> tuple[float, float]:
    """Move a position [deg] by a proper motion [arcsec/yr, u_ra times cos dec]."""
    if not (u_ra == u_ra and u_dec == u_dec) or (u_ra == 0.0 and u_dec == 0.0):
        return ra, dec
    x = u_ra * years / 3600.0
    y = u_dec * years / 3600.0
    if abs(dec) < _POLAR_DEC and abs(x) < _FAR_MOTION and abs(y) < _FAR_MOTION:
        return wrap_ra(ra + x / math.cos(dec * _DEG)), dec + y
    return offset(ra, dec, x, y)


@kernel
def offset(ra: float, dec: float, x: float, y: float) -> tuple[float, float]:
    """Position at tangent-plane offsets x (east) and y (north) [deg]."""
    a, d = ra * _DEG, dec * _DEG
    sa, ca, sd, cd = math.sin(a), math.cos(a), math.sin(d), math.cos(d)
    x *= _DEG
    y *= _DEG
    vx = cd * ca - x * sa - y * sd * ca
    vy = cd * sa + x * ca - y * sd * sa
    vz = sd + y * cd
    return (
        wrap_ra(math.atan2(vy, vx) / _DEG),
        math.atan2(vz, math.sqrt(vx * vx + vy * vy)) / _DEG,
    )


@kernel
def tangent(ra0: float, dec0: float, ra: float, dec: float) -> tuple[float, float]:
    """Offsets east and north [deg] of a near position from (ra0, dec0), in the tangent plane."""
    d0, d = dec0 * _DEG, dec * _DEG
    da = (ra - ra0) * _DEG
    cd = math.cos(d)
    east = cd * math.sin(da)
    north = math.sin(d) * math.cos(d0) - cd * math.sin(d0) * math.cos(da)
    depth = math.sin(d) * math.sin(d0) + cd * math.cos(d0) * math.cos(da)
    return east / depth / _DEG, north / depth / _DEG
