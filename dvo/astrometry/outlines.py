"""Outlines of images on the sky, and which of them touch a place, a circle or a polygon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.model import AstromModel
from dvo.sphere import SphericalPolygon, separation, unit_vectors

__all__ = ["Outlines", "outline"]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_STEPS = 4  # parts of each side
_MARGIN = 1.01  # an edge may bulge between the points of the outline


@dataclass(frozen=True, eq=False)
class Outlines:
    """Fields of images, as polygons of sixteen corners with great circles between them.

    Parameters
    ----------
    model : AstromModel
        Astrometry of the images.
    nx, ny : ndarray of float64, shape (n,)
        Their sizes [pix].
    ra, dec : ndarray of float64, shape (n,)
        Their middles, ICRS [deg]; NaN without size, or without astrometry on all of the image.
    radius_deg : ndarray of float64, shape (n,)
        Radius about the middle that holds all of the image [deg]; NaN as above.
    edges : ndarray of float64, shape (n, 16, 3)
        Unit vectors of the corners, once around.
    """

    model: AstromModel
    nx: F64
    ny: F64
    ra: F64
    dec: F64
    radius_deg: F64
    edges: F64

    @classmethod
    def of(cls, model: AstromModel, nx: ArrayLike, ny: ArrayLike) -> Self:
        """Work out the outlines of all images of a model.

        Parameters
        ----------
        model : AstromModel
            The model.
        nx, ny : array_like, shape (n,)
            Sizes of the images [pix]; 0 if unknown.

        Returns
        -------
        Outlines
            The outlines.
        """
        width, height = (
            np.where(np.asarray(v) > 0, v, np.nan).astype(np.float64) for v in (nx, ny)
        )
        ra, dec = model.to_sky(np.arange(len(model)), 0.5 * width + 0.5, 0.5 * height + 0.5)
        edge_ra, edge_dec = _edge(model, width, height)
        shape = edge_ra.shape
        middle = [np.broadcast_to(v[:, None], shape).ravel() for v in (ra, dec)]
        far = separation(edge_ra.ravel(), edge_dec.ravel(), *middle).reshape(shape)
        edges = unit_vectors(edge_ra.ravel(), edge_dec.ravel()).reshape(*shape, 3)
        radius = far.max(axis=1, initial=0.0) * _MARGIN
        is_lost = np.isnan(radius)
        ra[is_lost], dec[is_lost] = np.nan, np.nan
        return cls(model, width, height, ra, dec, radius, edges)

    @property
    def is_known(self) -> Bool:
        """Which images have an outline."""
        return ~np.isnan(self.radius_deg)

    def hold(self, images: I64, ra: float, dec: float) -> tuple[Bool, F64, F64]:
        """Find where a place is on images.

        Parameters
        ----------
        images : ndarray of int64, shape (n,)
            Numbers of images.
        ra, dec : float
            The place, ICRS [deg].

        Returns
        -------
        is_on : ndarray of bool, shape (n,)
            Whether it is on each.
        x, y : ndarray of float64, shape (n,)
            Its pixels, on the image or not; NaN where there are none.
        """
        x, y = self.model.to_pixels(images, np.full(len(images), ra), np.full(len(images), dec))
        inside = (x >= 0.5) & (x <= self.nx[images] + 0.5)
        inside &= (y >= 0.5) & (y <= self.ny[images] + 0.5)
        # A polynomial may lead far places back onto the chip.
        inside &= self._near(ra, dec, 0.0)[images]
        return inside, x, y

    def touch_circle(self, ra: float, dec: float, radius_deg: float) -> Bool:
        """Tell which images have any part in a circle.

        Parameters
        ----------
        ra, dec : float
            Its centre, ICRS [deg].
        radius_deg : float
            Its radius [deg].

        Returns
        -------
        ndarray of bool, shape (n,)
            False for images without outline.
        """
        near = np.flatnonzero(self._near(ra, dec, radius_deg))
        found = np.zeros(len(self.ra), np.bool_)
        is_on, _, _ = self.hold(near, ra, dec)
        place = unit_vectors(np.array([ra]), np.array([dec]))[0]
        found[near] = is_on | (_distance(self.edges[near], place) <= np.radians(radius_deg))
        return found

    def touch_polygon(self, vertices: ArrayLike) -> Bool:
        """Tell which images have any part in a polygon.

        Parameters
        ----------
        vertices : array_like of float64, shape (m, 2)
            Corners ra, dec of the polygon, ICRS [deg], see `SphericalPolygon`.

        Returns
        -------
        ndarray of bool, shape (n,)
            False for images without outline.
        """
        corners = np.asarray(vertices, np.float64)
        polygon = SphericalPolygon(corners)
        ends = unit_vectors(corners[:, 0], corners[:, 1])
        mean = ends.sum(axis=0) / np.linalg.norm(ends.sum(axis=0))
        reach = np.degrees(np.arccos(np.clip((ends @ mean).min(), -1.0, 1.0)))
        ra0 = float(np.degrees(np.arctan2(mean[1], mean[0])))
        dec0 = float(np.degrees(np.arcsin(np.clip(mean[2], -1.0, 1.0))))
        near = np.flatnonzero(self._near(ra0, dec0, float(reach) * (1.0 + 1e-9) + 1e-9))
        touches = polygon.contains(self.ra[near], self.dec[near])
        for place in corners.tolist():
            touches |= self.hold(near, *place)[0]
        for begin, end in zip(np.roll(ends, 1, axis=0), ends, strict=True):
            touches |= _cross(self.edges[near], begin, end)
        found = np.zeros(len(self.ra), np.bool_)
        found[near] = touches
        return found

    def _near(self, ra: float, dec: float, reach_deg: float) -> Bool:
        n = len(self.ra)
        far = separation(self.ra, self.dec, np.full(n, ra), np.full(n, dec))
        near: Bool = far <= self.radius_deg + reach_deg
        return near


def outline(coords: AstromCoords, nx: int, ny: int) -> F64:
    """Corners of an image on the sky, and points between them.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].

    Returns
    -------
    ndarray of float64, shape (16, 2)
        ra and dec, ICRS [deg], once around the image; NaN where the astrometry ends.
    """
    edge = _edge(AstromModel.of([coords]), np.array([float(nx)]), np.array([float(ny)]))
    return np.stack([v[0] for v in edge], axis=1)


def _edge(model: AstromModel, nx: F64, ny: F64) -> tuple[F64, F64]:
    """Places around images, shape (n, 16)."""
    step = np.arange(_STEPS) / _STEPS
    one, none = np.ones(_STEPS), np.zeros(_STEPS)
    x = np.concatenate([step, one, 1.0 - step, none]) * nx[:, None] + 0.5
    y = np.concatenate([none, step, one, 1.0 - step]) * ny[:, None] + 0.5
    image = np.repeat(np.arange(len(nx)), 4 * _STEPS)
    ra, dec = model.to_sky(image, x.ravel(), y.ravel())
    return ra.reshape(x.shape), dec.reshape(x.shape)


def _distance(edges: F64, place: F64) -> F64:
    """Angle between a place and the nearest point of each outline [rad]."""
    begin, end = edges, np.roll(edges, -1, axis=1)
    normal = np.cross(begin, end)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    height = normal @ place
    foot = place - height[..., None] * normal
    is_beside = _triple(begin, foot, normal) >= 0.0
    is_beside &= _triple(foot, end, normal) >= 0.0
    chord = np.linalg.norm(edges - place, axis=-1)
    to_corner = 2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0))
    to_side = np.where(is_beside, np.abs(np.arcsin(np.clip(height, -1.0, 1.0))), np.inf)
    nearest: F64 = np.minimum(to_corner, to_side).min(axis=1, initial=np.inf)
    return nearest


def _cross(edges: F64, begin: F64, end: F64) -> Bool:
    """Whether a great-circle arc crosses any side of each outline."""
    first, second = edges, np.roll(edges, -1, axis=1)
    side, arc = np.cross(first, second), np.cross(begin, end)
    crosses = np.asarray((side @ begin) * (side @ end) < 0.0)
    crosses &= (first @ arc) * (second @ arc) < 0.0
    # Two great circles meet twice; only one of the places is on this side of the sky.
    crosses &= np.asarray(((first + second) @ (begin + end)) > 0.0)
    return np.asarray(crosses.any(axis=1))


def _triple(a: F64, b: F64, c: Any) -> F64:
    return np.asarray((np.cross(a, b) * c).sum(axis=-1))
