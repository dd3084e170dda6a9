"""Projections of the sky onto a tangent plane, checked: gnomonic (TAN) and orthographic (SIN).

Positions are ICRS degrees; plane coordinates xi (to the east) and eta (to the north) are
degrees too. The work is done by `dvo.kernels.projection`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ShapeError
from dvo.kernels import projection as kernels

__all__ = [
    "sin_deproject",
    "sin_project",
    "tan_deproject",
    "tan_deproject_each",
    "tan_project",
    "tan_project_each",
]

F64 = NDArray[np.float64]
Kernel = Callable[[F64, F64, float, float, F64, F64], None]
EachKernel = Callable[[F64, F64, F64, F64, F64, F64], None]


def tan_project(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[F64, F64]:
    """Gnomonic projection of positions about a tangent point.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg].
    ra0, dec0 : float
        Tangent point, ICRS [deg].

    Returns
    -------
    xi, eta : ndarray of float64, shape (n,)
        Plane coordinates to the east and north [deg]; NaN where a position lies 90 deg
        or more from the tangent point, or is NaN.

    Raises
    ------
    ShapeError
        If ra and dec differ in shape, or the tangent point is not a position.

    Examples
    --------
    >>> xi, eta = tan_project([10.0], [46.0], 10.0, 45.0)
    >>> float(xi[0]), round(float(eta[0]), 6)
    (0.0, 1.000102)
    """
    return _apply(kernels.tan_project, ra, dec, ra0, dec0)


def tan_deproject(xi: ArrayLike, eta: ArrayLike, ra0: float, dec0: float) -> tuple[F64, F64]:
    """Positions of gnomonic plane coordinates.

    Parameters
    ----------
    xi, eta : array_like of float64, shape (n,)
        Plane coordinates to the east and north [deg].
    ra0, dec0 : float
        Tangent point, ICRS [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS, right ascension in [0, 360) [deg]; NaN where an input is NaN.

    Raises
    ------
    ShapeError
        If xi and eta differ in shape, or the tangent point is not a position.
    """
    return _apply(kernels.tan_deproject, xi, eta, ra0, dec0)


def tan_project_each(
    ra: ArrayLike, dec: ArrayLike, ra0: ArrayLike, dec0: ArrayLike
) -> tuple[F64, F64]:
    """Gnomonic projection of positions, each about a tangent point of its own.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg].
    ra0, dec0 : array_like of float64, shape (n,)
        Tangent points, ICRS [deg].

    Returns
    -------
    xi, eta : ndarray of float64, shape (n,)
        Plane coordinates to the east and north [deg]; NaN where a position lies 90 deg
        or more from its tangent point, or either is NaN.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    """
    return _apply_each(kernels.tan_project_each, ra, dec, ra0, dec0)


def tan_deproject_each(
    xi: ArrayLike, eta: ArrayLike, ra0: ArrayLike, dec0: ArrayLike
) -> tuple[F64, F64]:
    """Positions of gnomonic plane coordinates, each about a tangent point of its own.

    Parameters
    ----------
    xi, eta : array_like of float64, shape (n,)
        Plane coordinates to the east and north [deg].
    ra0, dec0 : array_like of float64, shape (n,)
        Tangent points, ICRS [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS, right ascension in [0, 360) [deg]; NaN where an input is NaN.

    Raises
    ------
    ShapeError
        If the arrays differ in shape.
    """
    return _apply_each(kernels.tan_deproject_each, xi, eta, ra0, dec0)


def sin_project(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[F64, F64]:
    """Orthographic projection of positions about a tangent point.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg].
    ra0, dec0 : float
        Tangent point, ICRS [deg].

    Returns
    -------
    xi, eta : ndarray of float64, shape (n,)
        Plane coordinates to the east and north [deg]; NaN where a position lies more
        than 90 deg from the tangent point, or is NaN.

    Raises
    ------
    ShapeError
        If ra and dec differ in shape, or the tangent point is not a position.
    """
    return _apply(kernels.sin_project, ra, dec, ra0, dec0)


def sin_deproject(xi: ArrayLike, eta: ArrayLike, ra0: float, dec0: float) -> tuple[F64, F64]:
    """Positions of orthographic plane coordinates.

    Parameters
    ----------
    xi, eta : array_like of float64, shape (n,)
        Plane coordinates to the east and north [deg].
    ra0, dec0 : float
        Tangent point, ICRS [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS, right ascension in [0, 360) [deg]; NaN off the unit disc.

    Raises
    ------
    ShapeError
        If xi and eta differ in shape, or the tangent point is not a position.
    """
    return _apply(kernels.sin_deproject, xi, eta, ra0, dec0)


def _apply(
    kernel: Kernel, first: ArrayLike, second: ArrayLike, ra0: float, dec0: float
) -> tuple[F64, F64]:
    if not (np.isfinite(ra0) and -90.0 <= dec0 <= 90.0):
        raise ShapeError(f"tangent point ({ra0}, {dec0}) is no position; give finite degrees")
    a, b = _alike(first, second)
    out1, out2 = np.empty(a.shape), np.empty(a.shape)
    kernel(a.ravel(), b.ravel(), float(ra0), float(dec0), out1.reshape(-1), out2.reshape(-1))
    return out1, out2


def _apply_each(kernel: EachKernel, *given: ArrayLike) -> tuple[F64, F64]:
    first, *others = _alike(*given)
    out1, out2 = np.empty(first.shape), np.empty(first.shape)
    flat = [a.ravel() for a in (first, *others)]
    kernel(flat[0], flat[1], flat[2], flat[3], out1.reshape(-1), out2.reshape(-1))
    return out1, out2


def _alike(*given: ArrayLike) -> list[F64]:
    arrays = [np.ascontiguousarray(array, dtype=np.float64) for array in given]
    if len({a.shape for a in arrays}) > 1:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ShapeError(f"coordinates that go in pairs differ in shape: {shapes}; give one shape")
    return arrays
