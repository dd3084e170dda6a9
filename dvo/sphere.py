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
