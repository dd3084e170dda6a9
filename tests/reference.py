"""Slow, plain twins of the kernels: what the fast code must equal."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle between two positions [deg], from the cross and dot product of unit vectors."""
    v1, v2 = unit_vector(ra1, dec1), unit_vector(ra2, dec2)
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(v1, v2))), float(v1 @ v2)))


def unit_vector(ra: float, dec: float) -> F64:
    """Unit vector of a position."""
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])


def regions_holding(bounds: F64, ra: float, dec: float) -> NDArray[np.int64]:
    """Rows of all rectangles that hold a position, by the half-open rule."""
    below_top = (dec < bounds[:, 3]) | ((dec == 90.0) & (bounds[:, 3] == 90.0))
    inside = (bounds[:, 0] <= ra) & (ra < bounds[:, 1]) & (bounds[:, 2] <= dec) & below_top
    return np.flatnonzero(inside)


def cone_positions(
    rng: np.random.Generator, ra: float, dec: float, radius: float, n: int
) -> tuple[F64, F64]:
    """Positions inside a cone, many of them on its very edge [deg]."""
    angle = radius * np.minimum(np.sqrt(rng.uniform(0, 1.3, n)), 1.0)
    turn = rng.uniform(0, 2 * np.pi, n)
    up = unit_vector(ra, dec)
    east = np.array([-math.sin(math.radians(ra)), math.cos(math.radians(ra)), 0.0])
    north = np.cross(up, east)
    a = np.radians(angle)[:, None]
    sideways = np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north
    vectors = np.cos(a) * up + np.sin(a) * sideways
    return positions(vectors)


def positions(vectors: F64) -> tuple[F64, F64]:
    """Right ascension in [0, 360) and declination of vectors of any length [deg]."""
    x, y, z = vectors.T
    ra = np.degrees(np.arctan2(y, x)) % 360.0
    return np.where(ra >= 360.0, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def uniform_sky(rng: np.random.Generator, n: int) -> tuple[F64, F64]:
    """Positions spread evenly over the sphere [deg]."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def associate(images: list[tuple[F64, F64]], radius_arcsec: float) -> list[list[int]]:
    """Objects by the stated rule, pair by pair: the object of every detection, image by image.

    Objects are points that take up their detections one after another, all with one
    weight. Means are kept as sums of unit vectors, so that nothing here knows of poles.
    """
    sums: list[F64] = []
    counts: list[int] = []
    out = []
    for ra, dec in images:
        vectors = [unit_vector(a, d) for a, d in zip(ra, dec, strict=True)]
        means = [s / np.linalg.norm(s) for s in sums]
        pairs = []
        for i, v in enumerate(vectors):
            for k, m in enumerate(means):
                angle = 2 * math.asin(min(1.0, 0.5 * float(np.linalg.norm(v - m))))
                if math.degrees(angle) * 3600 <= radius_arcsec:
                    pairs.append((angle, i, k))
        taken: dict[int, int] = {}
        for _, i, k in sorted(pairs):
            if i not in taken and k not in taken.values():
                taken[i] = k
        for i, v in enumerate(vectors):
            if i in taken:
                sums[taken[i]] = sums[taken[i]] + v
                counts[taken[i]] += 1
            else:
                taken[i] = len(sums)
                sums.append(v)
                counts.append(1)
        out.append([taken[i] for i in range(len(vectors))])
    return out
