"""The way from pixels to the sky of one image, back, and its scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.model import AstromModel
from dvo.errors import BadCatalogError
from dvo.projection import tan_project

__all__ = [
    "Solution",
    "errors_on_sky",
    "mosaic_of",
    "pixel_scale",
    "pixel_to_sky",
    "scale_matrix",
    "sky_to_pixel",
]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Solution:
    """What a header says of the way from pixels to the sky.

    Parameters
    ----------
    coords : AstromCoords
        The terms the database keeps.
    exact : callable or None
        Function of (x, y) that gives (ra, dec) [deg] where coords are only a fit.
    fit_error_arcsec : float
        Greatest distance between coords and exact on the chip [arcsec]; 0 without exact.
    """

    coords: AstromCoords
    exact: Callable[[F64, F64], tuple[F64, F64]] | None = None
    fit_error_arcsec: float = 0.0

    def to_sky(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Positions of pixels, by the exact solution where there is one.

        Parameters
        ----------
        x, y : ndarray of float64, shape (n,)
            Pixels, in the convention of the header.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg]; ra in [0, 360). NaN where an input is NaN.
        """
        return pixel_to_sky(self.coords, x, y) if self.exact is None else self.exact(x, y)


def pixel_to_sky(coords: AstromCoords, x: F64, y: F64) -> tuple[F64, F64]:
    """Positions of pixels of an image.

    Parameters
    ----------
    coords : AstromCoords
        The image: a chip, or the focal plane itself.
    x, y : ndarray of float64, shape (n,)
        Pixels.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; ra in [0, 360). NaN where an input is NaN.

    Raises
    ------
    BadCatalogError
        If coords is a WRP chip without its mosaic.
    """
    mosaic_of(coords)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return AstromModel.of([coords]).to_sky(np.zeros(len(x), np.int64), x, y)


def sky_to_pixel(coords: AstromCoords, ra: F64, dec: F64) -> tuple[F64, F64]:
    """Pixels of an image at positions: the inverse of :func:`pixel_to_sky`, by Newton.

    Parameters
    ----------
    coords : AstromCoords
        The image.
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    x, y : ndarray of float64, shape (n,)
        Pixels; NaN where the position is on the other side of the sky, or where the
        polynomial cannot be inverted.

    Raises
    ------
    BadCatalogError
        If coords is a WRP chip without its mosaic, or has no inverse at all.
    """
    for c in (coords, mosaic_of(coords)):
        if c.pc[0] * c.pc[3] == c.pc[1] * c.pc[2] or 0 in c.cdelt:
            raise BadCatalogError(
                "the astrometry is singular: its PC matrix or CDELT has no inverse"
            )
    return AstromModel.of([coords]).to_pixels(np.zeros(len(ra), np.int64), ra, dec)


def scale_matrix(solution: Solution, x: float, y: float) -> tuple[float, float, float, float]:
    """Linear terms of the way from pixels to the sky at one point.

    Parameters
    ----------
    solution : Solution
        The image's astrometry.
    x, y : float
        The point [pix].

    Returns
    -------
    tuple of float
        d(east)/dx, d(east)/dy, d(north)/dx, d(north)/dy [arcsec/pix].
    """
    ra, dec = solution.to_sky(np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
    if not np.all(np.isfinite(ra)):
        return (math.nan, math.nan, math.nan, math.nan)
    xi, eta = tan_project(ra, dec, float(ra[0]), float(dec[0]))
    xi, eta = xi * 3600.0, eta * 3600.0
    return (float(xi[1]), float(xi[2]), float(eta[1]), float(eta[2]))


def errors_on_sky(
    solution: Solution, nx: int, ny: int, x_err: NDArray[Any], y_err: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors of pixels as errors on the sky, by the scale at the middle of the chip.

    Parameters
    ----------
    solution : Solution
        The image's astrometry.
    nx, ny : int
        Size of the chip [pix].
    x_err, y_err : ndarray, shape (n,)
        Errors of pixels [pix].

    Returns
    -------
    ra_err, dec_err : ndarray of float32, shape (n,)
        Errors to the east and north [arcsec]; NaN where an input is NaN.
    """
    east_x, east_y, north_x, north_y = (
        np.float32(v) for v in scale_matrix(solution, nx / 2, ny / 2)
    )
    return (
        np.hypot(east_x * x_err, east_y * y_err).astype(np.float32, copy=False),
        np.hypot(north_x * x_err, north_y * y_err).astype(np.float32, copy=False),
    )


def mosaic_of(coords: AstromCoords) -> AstromCoords:
    """Find the row that leads to the tangent plane.

    Parameters
    ----------
    coords : AstromCoords
        An image.

    Returns
    -------
    AstromCoords
        Its focal plane, or itself.

    Raises
    ------
    BadCatalogError
        If it is a chip without its focal plane.
    """
    if coords.kind != "WRP":
        return coords
    if coords.mosaic is None:
        raise BadCatalogError(
            "a chip with CTYPE1 ending in -WRP has no focal plane: the primary header needs "
            "CTYPE1 ending in -DIS; add the mosaic file the chip came from"
        )
    return coords.mosaic


def pixel_scale(coords: AstromCoords, nx: int, ny: int) -> float:
    """Size of the pixels in the middle of an image.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].

    Returns
    -------
    float
        Side of a square as large as a pixel [arcsec]; NaN if unknown.
    """
    a, b, c, d = scale_matrix(Solution(coords), 0.5 * nx, 0.5 * ny)
    return float(np.sqrt(abs(a * d - b * c)))
