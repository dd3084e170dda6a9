"""The astrometric model of many images: pixels to focal plane, tangent plane and sky, and back.

    chip (X, Y) --[residual map]--[cubic]--> focal plane (L, M) --[cubic]--> (xi, eta) --> sky

An image that is not of a mosaic has the identity for its first polynomial. All functions take
the image of each place as its number in the model, so that places of any images go together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.polynomials import N_TERMS, Polynomials
from dvo.astrometry.residual_maps import ResidualMaps
from dvo.errors import ShapeError
from dvo.projection import tan_deproject_each, tan_project_each

__all__ = ["AstromModel", "Derivatives"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Places on the tangent plane, and what they depend on.

    The model is linear in the terms of each polynomial, so the full matrices are products:
    ``d(xi, eta)[a] / d(chip term k of axis b) = by_focal_plane[:, a, b] * chip_basis[:, k]`` and
    ``d(xi, eta)[a] / d(plane term k of axis a) = plane_basis[:, k]``.

    Parameters
    ----------
    xi, eta : ndarray of float64, shape (n,)
        Places on the tangent plane, east and north [deg].
    by_focal_plane : ndarray of float64, shape (n, 2, 2)
        Derivatives of xi, eta by L, M.
    by_pixel : ndarray of float64, shape (n, 2, 2)
        Derivatives of xi, eta by x, y [deg/pix].
    chip_basis : ndarray of float64, shape (n, 10)
        Powers by which the terms of the chip are multiplied.
    plane_basis : ndarray of float64, shape (n, 10)
        Powers by which the terms of the focal plane are multiplied.
    """

    xi: F64
    eta: F64
    by_focal_plane: F64
    by_pixel: F64
    chip_basis: F64
    plane_basis: F64


@dataclass(frozen=True, eq=False)
class AstromModel:
    """Astrometry of images.

    Parameters
    ----------
    chips : Polynomials
        Pixels to focal plane, one an image.
    planes : Polynomials
        Focal plane to tangent plane [deg], one an exposure.
    tangent : ndarray of float64, shape (n_planes, 2)
        Right ascension and declination of the tangent points, ICRS [deg].
    plane : ndarray of int64, shape (n_images,)
        Focal plane of each image; -1 if it has no astrometry.
    maps : ResidualMaps
        Residual maps.
    map : ndarray of int64, shape (n_images,)
        Map of each image; -1 for none.
    """

    chips: Polynomials
    planes: Polynomials
    tangent: F64
    plane: I64
    maps: ResidualMaps
    map: I64

    def __len__(self) -> int:
        return len(self.plane)

    @classmethod
    def of(cls, coords: Sequence[AstromCoords | None]) -> Self:
        """Make a model of single images.

        Parameters
        ----------
        coords : sequence of AstromCoords or None
            Astrometry of each; chips that share one focal plane object share its row.

        Returns
        -------
        AstromModel
            Image i is coords[i]; NaN on the sky where that is None, or a chip without plane.
        """
        numbers: dict[int, int] = {}
        planes: list[AstromCoords] = []
        plane = np.full(len(coords), -1, np.int64)
        for i, own in enumerate(coords):
            found = own.mosaic if own is not None and own.kind == "WRP" else own
            if found is None:
                continue
            if id(found) not in numbers:
                numbers[id(found)] = len(planes)
                planes.append(found)
            plane[i] = numbers[id(found)]
        chips = Polynomials.identity(len(coords))
        bent = {i: c for i, c in enumerate(coords) if c is not None and c.kind == "WRP"}
        rows, some = list(bent), _polynomials(list(bent.values()))
        chips.reference[rows], chips.terms[rows] = some.reference, some.terms
        chips.order[rows] = some.order
        chips.terms[rows, :, 0] = _pairs(bent.values())
        return cls(chips, _polynomials(planes), _pairs(planes), plane, ResidualMaps.none(),
                   np.full(len(coords), -1, np.int64))  # fmt: skip

    def to_focal_plane(self, image: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
        """Places on the focal plane.

        Parameters
        ----------
        image : array_like of int64, shape (n,)
            Image of each place; below 0 for none.
        x, y : array_like of float64, shape (n,)
            Pixels.

        Returns
        -------
        l, m : ndarray of float64, shape (n,)
            Focal-plane pixels; NaN where an input is NaN, or there is no image.
        """
        image, x, y = self._places(image, x, y)
        if len(self.maps):
            x, y, _ = self.maps.moved(_of(self.map, image), x, y)
        return self.chips.at(image, x, y)

    def to_tangent_plane(self, image: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
        """Places on the tangent plane.

        Parameters
        ----------
        image : array_like of int64, shape (n,)
            Image of each place; below 0 for none.
        x, y : array_like of float64, shape (n,)
            Pixels.

        Returns
        -------
        xi, eta : ndarray of float64, shape (n,)
            To the east and north of the tangent point of the image's exposure [deg]; NaN where
            an input is NaN, or the image has no astrometry.
        """
        image, x, y = self._places(image, x, y)
        first, second = self.to_focal_plane(image, x, y)
        return self.planes.at(_of(self.plane, image), first, second)

    def to_sky(self, image: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[F64, F64]:
        """Positions of pixels.

        Parameters
        ----------
        image : array_like of int64, shape (n,)
            Image of each place; below 0 for none.
        x, y : array_like of float64, shape (n,)
            Pixels.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,)
            ICRS [deg], ra in [0, 360); NaN where an input is NaN, or the image has no astrometry.
        """
        image, x, y = self._places(image, x, y)
        xi, eta = self.to_tangent_plane(image, x, y)
        return tan_deproject_each(xi, eta, *self._tangent_points(image))

    def to_pixels(self, image: ArrayLike, ra: ArrayLike, dec: ArrayLike) -> tuple[F64, F64]:
        """Pixels of positions: the inverse of `to_sky`, by Newton's method.

        Parameters
        ----------
        image : array_like of int64, shape (n,)
            Image of each position; below 0 for none.
        ra, dec : array_like of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        x, y : ndarray of float64, shape (n,)
            Pixels, inside the chip or not; NaN where the position is on the other side of the
            sky, or a polynomial cannot be inverted.
        """
        image, ra, dec = self._places(image, ra, dec)
        xi, eta = tan_project_each(ra, dec, *self._tangent_points(image))
        first, second = self.planes.inverse(_of(self.plane, image), xi, eta)
        x, y = self.chips.inverse(image, first, second)
        if len(self.maps):
            x, y = self.maps.undone(_of(self.map, image), x, y)
        return x, y

    def derivatives(self, image: ArrayLike, x: ArrayLike, y: ArrayLike) -> Derivatives:
        """Places on the tangent plane with their derivatives by pixels and by terms.

        Parameters
        ----------
        image : array_like of int64, shape (n,)
            Image of each place; below 0 for none.
        x, y : array_like of float64, shape (n,)
            Pixels.

        Returns
        -------
        Derivatives
            They; NaN where an input is NaN, or the image has no astrometry.
        """
        image, x, y = self._places(image, x, y)
        by_raw = None
        if len(self.maps):
            x, y, by_raw = self.maps.moved(_of(self.map, image), x, y)
        first, second = self.chips.at(image, x, y)
        plane = _of(self.plane, image)
        xi, eta = self.planes.at(plane, first, second)
        by_focal_plane = self.planes.slopes(plane, first, second)
        by_pixel = by_focal_plane @ self.chips.slopes(image, x, y)
        if by_raw is not None:
            by_pixel = by_pixel @ by_raw
        return Derivatives(
            xi, eta, by_focal_plane, by_pixel,
            self.chips.basis(image, x, y), self.planes.basis(plane, first, second),
        )  # fmt: skip

    def with_maps(self, maps: ResidualMaps, of_image: ArrayLike) -> Self:
        """Give images residual maps.

        Parameters
        ----------
        maps : ResidualMaps
            The maps.
        of_image : array_like of int64, shape (n_images,)
            Map of each image; -1 for none.

        Returns
        -------
        AstromModel
            With these maps and no others.
        """
        rows = np.asarray(of_image, np.int64)
        if rows.shape != self.plane.shape or (len(rows) and int(rows.max()) >= len(maps)):
            raise ShapeError(
                f"maps are named for {rows.shape} images, up to map {rows.max(initial=-1)}; give "
                f"one of {len(maps)} maps, or -1, for each of {len(self)} images"
            )
        return replace(self, maps=maps, map=rows)

    def _tangent_points(self, image: I64) -> tuple[F64, F64]:
        plane = _of(self.plane, image)
        points = np.full((len(plane), 2), np.nan)
        points[plane >= 0] = self.tangent[plane[plane >= 0]]
        return points[:, 0], points[:, 1]

    def _places(self, image: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[I64, F64, F64]:
        rows = np.ascontiguousarray(image, np.int64)
        if len(rows) and int(rows.max()) >= len(self):
            raise ShapeError(f"image {int(rows.max())} of a model of {len(self)}; give one below")
        return rows, np.asarray(x, np.float64), np.asarray(y, np.float64)


def _of(of_image: I64, image: I64) -> I64:
    """Numbers that images have, -1 for no image."""
    if len(of_image) == 0:
        return np.full(len(image), -1, np.int64)
    return np.where(image >= 0, of_image[image], -1)


def _pairs(coords: Iterable[AstromCoords]) -> F64:
    return np.array([c.crval for c in coords], np.float64).reshape(-1, 2)


def _polynomials(coords: Sequence[AstromCoords]) -> Polynomials:
    n = len(coords)
    terms = np.zeros((n, 2, N_TERMS))
    terms[:, :, 1:3] = np.array([c.pc for c in coords]).reshape(n, 2, 2)
    terms[:, :, 3:] = np.array([c.polyterms for c in coords]).reshape(n, 2, N_TERMS - 3)
    order = np.array([c.npolyterms for c in coords], np.int64)
    reference = np.array([(*c.crpix, *c.cdelt) for c in coords]).reshape(n, 4)
    return Polynomials(reference, terms, order).cut(order)
