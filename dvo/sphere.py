"""Spherical geometry on arrays of positions, checked.

Right ascension and declination are ICRS degrees throughout. The work is done by
`dvo.kernels.sphere`; here shapes and types are made to agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ShapeError
from dvo.kernels import sphere as kernels

__all__ = [
    "SphericalPolygon",
    "angle_of_chord2",
    "chord2_of_angle",
    "in_cone",
    "same_shape",
    "separation",
    "unit_vectors",
    "wrap_ra",
]

F64 = NDArray[np.float64]


def same_shape(**arrays: ArrayLike) -> list[F64]:
    """Arrays as contiguous float64 of one shape.

    Parameters
    ----------
    **arrays : array_like
        Arrays that belong together, by name; the names serve the error message.

    Returns
    -------
    list of ndarray of float64
        The arrays in the order given, C-contiguous and native.

    Raises
    ------
    ShapeError
        If their shapes differ.
    """
    out = [np.ascontiguousarray(array, dtype=np.float64) for array in arrays.values()]
    if any(array.shape != out[0].shape for array in out):
        found = ", ".join(f"{name} {a.shape}" for name, a in zip(arrays, out, strict=True))
        raise ShapeError(f"arrays that go in pairs differ in shape: {found}; give one shape")
    return out


def wrap_ra(ra: ArrayLike) -> F64:
    """Right ascensions brought into [0, 360).

    Parameters
    ----------
    ra : array_like of float64, any shape
        Right ascension, any number of turns [deg].

    Returns
    -------
    ndarray of float64
        The same directions in [0, 360) [deg]; NaN where the input is not finite.

    Examples
    --------
    >>> wrap_ra([360.0, -90.0, 725.0]).tolist()
    [0.0, 270.0, 5.0]
    """
    (angles,) = same_shape(ra=ra)
    out = np.empty(angles.shape)
    kernels.wrap_ra(angles.ravel(), out.reshape(-1))
    return out


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> F64:
    """Unit vectors of sky positions.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    ndarray of float64, shape (n, 3)
        x to (0, 0), y to (90, 0), z to the north pole; NaN where an input is NaN.

    Raises
    ------
    ShapeError
        If the arrays do not share one shape.
    """
    a, d = same_shape(ra=ra, dec=dec)
    out = np.empty((a.size, 3))
    kernels.unit_vectors(a.ravel(), d.ravel(), out)
    return out.reshape((*a.shape, 3))


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> F64:
    """Angular separation of pairs of sky positions.

    Parameters
    ----------
    ra1, dec1 : array_like of float64, shape (n,)
        First position of each pair, ICRS [deg].
    ra2, dec2 : array_like of float64, shape (n,)
        Second position of each pair, ICRS [deg].

    Returns
    -------
    ndarray of float64, shape (n,)
        Separation in [0, 180] [deg]; NaN where an input is NaN.

    Raises
    ------
    ShapeError
        If the arrays do not share one shape.

    Notes
    -----
    Vincenty's formula for the sphere, with the difference of its second term taken
    from half angles: accurate for tiny and for antipodal separations.

    Examples
    --------
    >>> separation([0.0], [89.0], [180.0], [89.0]).round(12).tolist()
    [2.0]
    """
    a1, d1, a2, d2 = same_shape(ra1=ra1, dec1=dec1, ra2=ra2, dec2=dec2)
    out = np.empty(a1.shape)
    kernels.separation(a1.ravel(), d1.ravel(), a2.ravel(), d2.ravel(), out.reshape(-1))
    return out


def in_cone(
    ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float, radius: float
) -> NDArray[np.bool_]:
    """Whether positions lie within a radius of a centre.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg].
    ra0, dec0 : float
        Centre of the cone, ICRS [deg].
    radius : float
        Radius, the edge included [deg].

    Returns
    -------
    ndarray of bool, shape (n,)
        True inside; False where an input is NaN.

    Raises
    ------
    ShapeError
        If the arrays do not share one shape.
    """
    a, d = same_shape(ra=ra, dec=dec)
    out = np.empty(a.shape, dtype=np.bool_)
    kernels.in_cone(a.ravel(), d.ravel(), float(ra0), float(dec0), float(radius), out.reshape(-1))
    return out


def chord2_of_angle(angle: float) -> float:
    """Squared chord of an angle between unit vectors.

    Parameters
    ----------
    angle : float
        Angle in [0, 180] [deg].

    Returns
    -------
    float
        Squared straight distance of two unit vectors that far apart, dimensionless.

    Examples
    --------
    >>> chord2_of_angle(180.0)
    4.0
    """
    return float(4.0 * np.sin(0.5 * np.radians(angle)) ** 2)


def angle_of_chord2(chord2: ArrayLike) -> F64:
    """Angle of a squared chord between unit vectors.

    Parameters
    ----------
    chord2 : array_like of float64
        Squared straight distance of two unit vectors, dimensionless.

    Returns
    -------
    ndarray of float64
        Angle in [0, 180] [deg]; accurate for small angles, to 1e-8 deg near 180.
    """
    half = np.sqrt(np.asarray(chord2, dtype=np.float64)) * 0.5
    return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(half, 1.0))), dtype=np.float64)


class SphericalPolygon:
    """A polygon whose sides are great circles, within a hemisphere.

    Parameters
    ----------
    vertices : array_like of float64, shape (n, 2)
        At least three corners ra, dec, ICRS [deg], in order either way round; they may
        make a concave shape. The polygon is the side that lies within 90 deg of their mean
        direction.

    Raises
    ------
    ShapeError
        If there are fewer corners, one is no position, or they span a hemisphere.

    Examples
    --------
    >>> square = SphericalPolygon([(359, -1), (1, -1), (1, 1), (359, 1)])
    >>> square.contains([0.0, 2.0], [0.5, 0.0]).tolist()
    [True, False]
    """

    def __init__(self, vertices: ArrayLike) -> None:
        corners = np.asarray(vertices, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise ShapeError(
                f"polygon of shape {corners.shape}; give at least three rows (ra, dec)"
            )
        if not np.isfinite(corners).all() or np.abs(corners[:, 1]).max() > 90.0:
            raise ShapeError("polygon: a corner is not finite or its |dec| exceeds 90 deg")
        self._corners = unit_vectors(corners[:, 0], corners[:, 1])
        mean = self._corners.sum(axis=0)
        length = float(np.linalg.norm(mean))
        if length < 1e-9 or (self._corners @ mean).min() <= 1e-6 * length:
            raise ShapeError(
                "polygon: its corners do not fit within 90 deg of their mean direction; "
                "split it into smaller ones"
            )
        # A frame with the mean direction as its third axis, for the gnomonic plane.
        axis = mean / length
        side = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
        side /= np.linalg.norm(side)
        self._frame = np.stack([side, np.cross(axis, side), axis])

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions lie inside.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        ndarray of bool, shape (n,)
            True inside, by the even-odd rule in the gnomonic plane, where great circles
            are straight lines; on a side, either.
        """
        points = unit_vectors(ra, dec) @ self._frame.T
        corners = self._corners @ self._frame.T
        is_near = points[:, 2] > 0.0
        inside = np.zeros(len(points), dtype=np.bool_)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
            xs, ys = corners[:, 0] / corners[:, 2], corners[:, 1] / corners[:, 2]
            for x0, y0, x1, y1 in zip(np.roll(xs, 1), np.roll(ys, 1), xs, ys, strict=True):
                crosses = (y0 > y) != (y1 > y)
                inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        inside &= is_near
        return inside

    def distance(self, ra: ArrayLike, dec: ArrayLike) -> F64:
        """Distance of positions to the polygon.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        ndarray of float64, shape (n,)
            Distance to the nearest point of the polygon, 0 inside [deg].
        """
        points = unit_vectors(ra, dec)
        nearest = np.full(len(points), np.inf)
        for begin, end in zip(np.roll(self._corners, 1, axis=0), self._corners, strict=True):
            nearest = np.minimum(nearest, _arc_distance(points, begin, end))
        return np.where(self.contains(ra, dec), 0.0, np.degrees(nearest))


def _arc_distance(points: F64, begin: F64, end: F64) -> F64:
    """Distance of unit vectors to a great-circle arc [rad]."""
    to_ends = np.minimum(_angle(points, begin), _angle(points, end))
    normal = np.cross(begin, end)
    length = np.linalg.norm(normal)
    if length < 1e-15:
        return to_ends
    normal = normal / length
    foot = points - np.outer(points @ normal, normal)
    is_beside = (np.cross(begin, foot) @ normal >= 0.0) & (np.cross(foot, end) @ normal >= 0.0)
    across = np.abs(np.arcsin(np.clip(points @ normal, -1.0, 1.0)))
    return np.where(is_beside, across, to_ends)


def _angle(points: F64, other: F64) -> F64:
    """Angle between unit vectors and another [rad]."""
    chord = np.linalg.norm(points - other, axis=-1)
    return np.asarray(2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0)))
