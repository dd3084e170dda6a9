"""A polygon on the sky, its sides parts of great circles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.kernels.polygon import in_polygon
from dvo.partition.bounds import Cone
from dvo.partition.partition import Partition

__all__ = ["Polygon"]

F8 = NDArray[np.float64]
Bool = NDArray[np.bool_]

_MOST_VERTICES = 10_000
_WIDEST_DEG = 85.0


@dataclass(frozen=True)
class Polygon:
    """The inside of a closed line of great-circle arcs; it may have dents.

    Parameters
    ----------
    vertices : tuple of (float, float)
        Right ascension and declination of its corners, ICRS [deg], in either sense, at
        least three. They have to lie within 85 degrees of their mean direction.
    """

    vertices: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        n = len(self.vertices)
        if not 3 <= n <= _MOST_VERTICES:
            raise QueryError(f"polygon: has {n} vertices; it needs 3 to {_MOST_VERTICES}")
        places = np.array(self.vertices, np.float64)
        if not (np.isfinite(places).all() and (np.abs(places[:, 1]) <= 90.0).all()):
            raise QueryError("polygon: a vertex is no place on the sky (declination -90..90)")
        if not self._least_cosine >= np.cos(np.radians(_WIDEST_DEG)):
            raise QueryError(
                f"polygon: its vertices do not lie within {_WIDEST_DEG:.0f} degrees of their "
                "middle, so its inside is not clear; use several polygons"
            )

    @cached_property
    def _corners(self) -> F8:
        places = np.array(self.vertices, np.float64)
        return _directions(places[:, 0], places[:, 1])

    @cached_property
    def _middle(self) -> F8:
        total = self._corners.sum(axis=0)
        length = float(np.linalg.norm(total))
        return np.asarray(total / length if length > 1e-9 else total)

    @property
    def _least_cosine(self) -> float:
        """Of the angles between the middle and the vertices."""
        return float((self._corners @ self._middle).min())

    @cached_property
    def cone(self) -> Cone:
        """A circle about it; the sides, as great circles, stay inside that, too."""
        x, y, z = self._middle.tolist()
        radius = np.degrees(np.arccos(np.clip(self._least_cosine, -1.0, 1.0))) + 1e-6
        dec = np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))
        return Cone(float(np.degrees(np.arctan2(y, x))), float(dec), float(radius))

    def regions(self, partition: Partition, pad_deg: float) -> NDArray[np.int64]:
        """See `Area`."""
        return self.cone.regions(partition, pad_deg)

    def may_hold(self, ra_min: F8, ra_max: F8, dec_min: F8, dec_max: F8) -> Bool:
        """See `Area`."""
        return self.cone.may_hold(ra_min, ra_max, dec_min, dec_max)

    def holds(self, ra: F8, dec: F8) -> Bool:
        """See `Area`; on the edge itself rounding decides."""
        out = np.zeros(len(ra), np.bool_)
        near = np.flatnonzero(self.cone.holds(ra, dec))
        x, y = self._on_plane(_directions(ra[near], dec[near]))
        found = np.zeros(len(near), np.bool_)
        in_polygon(x, y, *self._on_plane(self._corners), found)
        out[near] = found
        return out

    def _on_plane(self, directions: F8) -> tuple[F8, F8]:
        """Gnomonic projection about the middle: great circles become straight lines."""
        middle = self._middle
        axis = np.array([0.0, 0.0, 1.0]) if abs(middle[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        east = np.cross(axis, middle)
        east /= np.linalg.norm(east)
        north = np.cross(middle, east)
        depth = directions @ middle
        return directions @ east / depth, directions @ north / depth


def _directions(ra: F8, dec: F8) -> F8:
    a, d = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
