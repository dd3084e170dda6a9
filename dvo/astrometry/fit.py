"""Fit the terms that a row of Image can hold to another solution, and say how well they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.legendre import chip_coordinates, from_legendre, legendre_basis
from dvo.astrometry.model import AstromModel
from dvo.astrometry.polynomials import MAX_ORDER, Polynomials
from dvo.errors import AstrometryError
from dvo.projection import tan_project
from dvo.sphere import separation

__all__ = ["ToSky", "chip_grid", "fit_chip", "fit_image"]

F64 = NDArray[np.float64]
ToSky = Callable[[F64, F64], tuple[F64, F64]]
"""From pixels to right ascension and declination, ICRS [deg]."""

_NODES = 12


def chip_grid(nx: int, ny: int, n: int) -> tuple[F64, F64]:
    """Places all over a chip, closer at its edges.

    Parameters
    ----------
    nx, ny : int
        Size of the chip [pix].
    n : int
        Places in a direction, at least 2.

    Returns
    -------
    x, y : ndarray of float64, shape (n * n,)
        Pixels; the corners are among them.
    """
    # Chebyshev's extrema: a polynomial that is good there is good between them.
    step = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, n))
    x, y = np.meshgrid(0.5 + step * max(nx, 1), 0.5 + step * max(ny, 1))
    return x.ravel(), y.ravel()


def fit_image(exact: ToSky, nx: int, ny: int) -> tuple[AstromCoords, float]:
    """Fit a TAN with a cubic polynomial, about the middle of the image.

    Parameters
    ----------
    exact : callable
        The solution.
    nx, ny : int
        Size of the image [pix].

    Returns
    -------
    coords : AstromCoords
        The fit.
    error_arcsec : float
        Its greatest distance from the solution on the image [arcsec].

    Raises
    ------
    AstrometryError
        If the solution gives no position somewhere on the image.
    """
    x, y = chip_grid(nx, ny, _NODES)
    middle = (0.5 * (max(nx, 1) + 1.0), 0.5 * (max(ny, 1) + 1.0))
    ra, dec = exact(np.append(x, middle[0]), np.append(y, middle[1]))
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        raise AstrometryError("the astrometry gives no position on the chip")
    crval = (float(ra[-1]), float(dec[-1]))
    xi, eta = tan_project(ra[:-1], dec[:-1], *crval)
    fitted = _fit(x, y, xi, eta, nx, ny, (*middle, 1.0, 1.0)).through_zero()
    coords = _coords(fitted, AstromCoords("RA---TAN", crval))
    return coords, _error_arcsec(coords, exact, nx, ny)


def fit_chip(exact: ToSky, plane: AstromCoords, nx: int, ny: int) -> tuple[AstromCoords, float]:
    """Fit a chip of a mosaic, whose focal plane stays as it is.

    Parameters
    ----------
    exact : callable
        The solution of the chip.
    plane : AstromCoords
        The focal plane.
    nx, ny : int
        Size of the chip [pix].

    Returns
    -------
    coords : AstromCoords
        The fit, of kind WRP, with its focal plane.
    error_arcsec : float
        Its greatest distance from the solution on the chip [arcsec].

    Raises
    ------
    AstrometryError
        If the solution gives no position on the chip, or one that the focal plane does not reach.
    """
    x, y = chip_grid(nx, ny, _NODES)
    ra, dec = exact(x, y)
    first, second = AstromModel.of([plane]).to_pixels(np.zeros(len(x), np.int64), ra, dec)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise AstrometryError("the astrometry gives no position on the focal plane of the chip")
    reference = (0.5 * (max(nx, 1) + 1.0), 0.5 * (max(ny, 1) + 1.0), 1.0, 1.0)
    fitted = _fit(x, y, first, second, nx, ny, reference)
    own = AstromCoords("RA---WRP", tuple(fitted.terms[0, :, 0].tolist()), mosaic=plane)
    coords = _coords(fitted, own)
    return coords, _error_arcsec(coords, exact, nx, ny)


def _fit(
    x: F64, y: F64, first: F64, second: F64, nx: int, ny: int,
    reference: tuple[float, float, float, float],
) -> Polynomials:  # fmt: skip
    nx, ny = max(nx, 1), max(ny, 1)
    basis = legendre_basis(*chip_coordinates(x, y, nx, ny))
    found, *_ = np.linalg.lstsq(basis, np.stack([first, second], axis=1), rcond=None)
    return from_legendre(found.T[None].astype(np.float64), nx, ny, np.array([reference]))


def _coords(fitted: Polynomials, like: AstromCoords) -> AstromCoords:
    a, b, c, d = fitted.terms[0, :, 1:3].ravel().tolist()
    x0, y0, sx, sy = fitted.reference[0].tolist()
    terms = tuple(fitted.terms[0, :, 3:].ravel().tolist())
    return replace(like, crpix=(x0, y0), cdelt=(sx, sy), pc=(a, b, c, d), npolyterms=MAX_ORDER,
                   polyterms=terms)  # fmt: skip


def _error_arcsec(coords: AstromCoords, exact: ToSky, nx: int, ny: int) -> float:
    x, y = chip_grid(nx, ny, 2 * _NODES - 1)
    got = AstromModel.of([coords]).to_sky(np.zeros(len(x), np.int64), x, y)
    return 3600.0 * float(np.max(separation(*got, *exact(x, y))))
