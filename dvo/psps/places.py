"""Places of objects as the public tables give them: directions, other frames, trixels, names."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvo.psps import kernels
from dvo.sphere import unit_vectors

__all__ = ["HTM_DEPTH", "SkyFrames", "decimal_names", "htm_ids", "sexagesimal_names", "sky_frames"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Array = NDArray[Any]

HTM_DEPTH = 20
"""How often trixels are cut for ObjectThin.htmID; the smallest are 0.1 arcsec wide."""

# Corners 0 to 5: north pole, x, y, -x, -y, south pole (Szalay et al. 2007, figure 1).
_CORNERS = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
_ROOTS = np.array(
    [[1, 5, 2], [2, 5, 3], [3, 5, 4], [4, 5, 1], [1, 0, 4], [4, 0, 3], [3, 0, 2], [2, 0, 1]]
)


class SkyFrames(NamedTuple):
    """Directions in three frames; angles in degrees, NaN where a position is unknown.

    Parameters
    ----------
    directions : ndarray of float64, shape (n, 3)
        Unit vectors, ICRS.
    ecliptic, galactic : tuple of ndarray of float64, shape (n,)
        Longitudes in [0, 360) and latitudes: mean ecliptic of J2000; galactic (IAU 1958).
    """

    directions: F64
    ecliptic: tuple[F64, F64]
    galactic: tuple[F64, F64]


@cache
def _rotations() -> tuple[F64, F64]:
    """Matrices from ICRS to the ecliptic and to the galaxy, as astropy has them."""
    from astropy.coordinates import (  # noqa: PLC0415 - slow to import
        BarycentricMeanEcliptic,
        CartesianRepresentation,
        Galactic,
        SkyCoord,
    )

    axes = SkyCoord(CartesianRepresentation(np.eye(3)), frame="icrs")
    ecliptic = axes.transform_to(BarycentricMeanEcliptic()).cartesian.xyz.value
    galactic = axes.transform_to(Galactic()).cartesian.xyz.value
    return np.asarray(ecliptic, np.float64), np.asarray(galactic, np.float64)


def sky_frames(ra: F64, dec: F64) -> SkyFrames:
    """Give positions as directions, and in ecliptic and galactic coordinates.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; NaN where unknown.

    Returns
    -------
    SkyFrames
        The same places.
    """
    directions = unit_vectors(ra, dec)
    ecliptic, galactic = (_angles(directions @ rotation.T) for rotation in _rotations())
    return SkyFrames(directions, ecliptic, galactic)


def _angles(xyz: F64) -> tuple[F64, F64]:
    lon = np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0])) % 360.0
    lat = np.degrees(np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1])))
    return np.where(lon >= 360.0, 0.0, lon), lat


def htm_ids(directions: F64, depth: int = HTM_DEPTH) -> I64:
    """Find the trixels of directions in the hierarchical triangular mesh.

    Parameters
    ----------
    directions : ndarray of float64, shape (n, 3)
        Unit vectors, ICRS.
    depth : int, optional
        Depth of the trixels, 0 to 24.

    Returns
    -------
    ndarray of int64, shape (n,)
        Trixels, numbered after Szalay et al. (2007, arXiv:cs/0701164); -1 where a direction
        is not finite.
    """
    out = np.empty(len(directions), np.int64)
    kernels.htm_ids(np.ascontiguousarray(directions), _CORNERS[_ROOTS], depth, out)
    return out


def decimal_names(ra: F64, dec: F64) -> Array:
    """Name objects by their positions in degrees, such as ``PSO J083.8221-05.3911``.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; NaN where unknown.

    Returns
    -------
    ndarray of bytes, shape (n,)
        Names after the rules of the IAU: digits are cut off, not rounded. Empty where the
        position is unknown.
    """
    return _named(
        ra,
        dec,
        "PSO J000.0000+00.0000",
        ((_cut(ra, 1e4, 360.0), ((5, 3, 10**4), (9, 4, 1))),
         (_cut(np.abs(dec), 1e4), ((14, 2, 10**4), (17, 4, 1)))),
        sign=13,
    )  # fmt: skip


def sexagesimal_names(ra: F64, dec: F64) -> Array:
    """Name objects by their positions in hours and degrees: ``PSO J053517.31-052327.9``.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; NaN where unknown.

    Returns
    -------
    ndarray of bytes, shape (n,)
        Names; digits are cut off, not rounded. Empty where the position is unknown.
    """
    hours = _cut(ra, 24000.0, 360.0)  # hundredths of seconds of time
    degrees = _cut(np.abs(dec), 36000.0)  # tenths of arcseconds
    of_hours = ((5, 2, 360000), (7, 2, 6000), (9, 2, 100), (12, 2, 1))
    of_degrees = ((15, 2, 36000), (17, 2, 600), (19, 2, 10), (22, 1, 1))
    return _named(
        ra, dec, "PSO J000000.00+000000.0", ((hours, of_hours), (degrees, of_degrees)), sign=14
    )


def _cut(angles: F64, steps: float, turn: float | None = None) -> I64:
    """Whole steps of angles; what lies a billionth of a degree below a step counts as on it."""
    known = np.where(np.isfinite(angles), angles, 0.0)
    whole = np.floor((known + 1e-9) * steps).astype(np.int64)
    return whole if turn is None else np.asarray(whole % np.int64(turn * steps))


def _named(
    ra: F64,
    dec: F64,
    form: str,
    angles: tuple[tuple[I64, tuple[tuple[int, int, int], ...]], ...],
    sign: int,
) -> Array:
    """Fill in a form: groups of digits, each with its place, its length and its unit in steps."""
    chars = np.tile(np.frombuffer(form.encode(), np.uint8), (len(ra), 1))
    for steps, groups in angles:
        left = steps
        for start, n_digits, unit in groups:
            kernels.write_digits(left // unit, chars, start, n_digits)
            left = left % unit
    chars[np.signbit(dec), sign] = ord("-")
    chars[~(np.isfinite(ra) & np.isfinite(dec))] = 0
    return np.ascontiguousarray(chars).view(f"S{len(form)}").ravel()
