"""What corrections of images are made of: the camera's, the exposure's, and the image's own.

The correction of an image is a cubic in Legendre form, in pixels. It is a sum of

- a cubic of its chip, the same in all exposures (the camera);
- an affine change of its exposure, over all chips (pointing, rotation, refraction);
- a cubic of its own, which is small (the air).

The sum is linear, ``C = T p``: the solver knows p, the measures know C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.astrometry.image_kernels import N_BASIS

__all__ = ["CorrectionTerms", "ImagePlaces", "TermPriors"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_ORDERS = np.array([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
_OF_IMAGE = 2 * N_BASIS
_LEAST_SPREAD = 1e-5
"""Below which corrections of images are as good as none [arcsec]."""


@dataclass(frozen=True)
class TermPriors:
    """How large corrections are at most, beforehand [arcsec]; the solve finds how large.

    Parameters
    ----------
    chip : float
        Coefficients of a chip's cubic.
    exposure : float
        Terms of an exposure, at the edge of the field.
    image : float
        Coefficients of an image's own cubic; 0 for none.
    """

    chip: float = 1.0
    exposure: float = 5.0
    image: float = 0.02


@dataclass(frozen=True, eq=False)
class ImagePlaces:
    """Where images are in their exposures and in the camera.

    Parameters
    ----------
    chip, exposure : ndarray of int64, shape (n_images,)
        Chip of the camera, and exposure, that each is of, from 0.
    field : ndarray of float64, shape (n_images, 2, 3)
        Place in the field, in units of its radius: what (1, s, t) is multiplied by for the
        coordinate to the east, and to the north.
    jacobian : ndarray of float64, shape (n_images, 2, 2)
        What a pixel in the middle of each is on the tangent plane of its exposure: east and
        north, by x and y [arcsec].
    order : ndarray of int64, shape (n_images,)
        Highest order of the image's own cubic; -1 for none.
    is_free : ndarray of bool, shape (n_images,)
        Which are solved for; others stay as they are.
    """

    chip: I64
    exposure: I64
    field: F64
    jacobian: F64
    order: I64
    is_free: NDArray[np.bool_]

    @property
    def scale(self) -> F64:
        """Pixel scale of each [arcsec/pix]."""
        return np.asarray(np.sqrt(np.abs(np.linalg.det(self.jacobian))))


@dataclass(frozen=True, eq=False)
class CorrectionTerms:
    """The map from what is solved for to the corrections of images.

    Parameters
    ----------
    matrix : sparse array, shape (n_images * 20, n_parameters)
        T: coefficients of x, then those of y, of each image [pix].
    weight : ndarray of float64, shape (n_parameters,)
        1 / sigma**2 of what is known of each beforehand, about 0, to begin with.
    block : ndarray of int64, shape (n_parameters,)
        Which belong together: a chip, an exposure, an image.
    spread : ndarray of int64, shape (n_parameters,)
        Sets of parameters that are alike, from 0: how large they are is found.
    """

    matrix: sparse.csr_array
    weight: F64
    block: I64
    spread: I64

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def of(cls, images: ImagePlaces, priors: TermPriors) -> CorrectionTerms:
        """Make them for some images.

        Parameters
        ----------
        images : ImagePlaces
            The images.
        priors : TermPriors
            How large corrections are.

        Returns
        -------
        CorrectionTerms
            Parameters of chips, of exposures, of images, in that order [arcsec].
        """
        free = np.flatnonzero(images.is_free)
        parts = [_of_chips(images, free), _of_exposures(images, free)]
        sigmas = [priors.chip, priors.exposure]
        spread = [np.tile(_ORDERS, len(parts[0][1]) // N_BASIS),
                  np.tile([4, 5, 5], len(parts[1][1]) // 3)]  # fmt: skip
        if priors.image > 0:
            matrix, block, order = _of_images(images, free)
            parts.append((matrix, block))
            sigmas.append(priors.image)
            spread.append(order + 6)
        blocks, start = [], 0
        for _, block in parts:
            numbers = np.unique(block, return_inverse=True)[1]
            blocks.append(numbers + start)
            start += int(numbers.max(initial=-1)) + 1
        weight = np.repeat(np.array(sigmas) ** -2.0, [len(block) for block in blocks])
        matrix = sparse.csr_array(sparse.hstack([m for m, _ in parts]))
        return cls(matrix, weight, np.concatenate(blocks), np.concatenate(spread))

    def corrections(self, values: F64) -> F64:
        """Give the corrections of all images.

        Parameters
        ----------
        values : ndarray of float64, shape (n_parameters,)
            The parameters.

        Returns
        -------
        ndarray of float64, shape (n_images, 2, 10)
            Coefficients [pix].
        """
        return np.asarray(self.matrix @ values).reshape(-1, 2, N_BASIS)

    def gathered(self, sums: F64) -> F64:
        """Give what sums over the corrections of images are by parameter: T^T.

        Parameters
        ----------
        sums : ndarray of float64, shape (n_images, 2, 10)
            The sums.

        Returns
        -------
        ndarray of float64, shape (n_parameters,)
            They.
        """
        return np.asarray(self.matrix.T @ sums.ravel())

    def block_inverses(self, blocks: F64, weight: F64) -> sparse.csr_array:
        """Invert what the measures of each image alone say of each block: the preconditioner.

        Parameters
        ----------
        blocks : ndarray of float64, shape (n_images, 20, 20)
            Normal matrices of the images by themselves.
        weight : ndarray of float64, shape (n_parameters,)
            1 / sigma**2 of what is known of each beforehand.

        Returns
        -------
        sparse array, shape (n_parameters, n_parameters)
            The inverses of the blocks, with what is known beforehand.
        """
        n_images = len(blocks)
        normal = sparse.bsr_array(
            (blocks, np.arange(n_images), np.arange(n_images + 1)),
            shape=(n_images * _OF_IMAGE, n_images * _OF_IMAGE),
        )  # fmt: skip
        rows, columns, values = [], [], []
        matrix = sparse.csc_array(self.matrix)
        order = np.argsort(self.block, kind="stable")
        for own in np.split(order, np.flatnonzero(np.diff(self.block[order])) + 1):
            some = matrix[:, own]
            inner = (some.T @ (normal @ some)).toarray() + np.diag(weight[own])
            inverse = np.linalg.inv(inner)
            rows.append(np.repeat(own, len(own)))
            columns.append(np.tile(own, len(own)))
            values.append(inverse.ravel())
        where = (np.concatenate(rows), np.concatenate(columns))
        shape = (len(self), len(self))
        return sparse.csr_array((np.concatenate(values), where), shape=shape)

    def found_weight(self, values: F64, weight: F64, inverse: sparse.csr_array) -> F64:
        """Find from the values themselves how large the parameters of each set are.

        Parameters
        ----------
        values : ndarray of float64, shape (n_parameters,)
            Their values.
        weight : ndarray of float64, shape (n_parameters,)
            1 / sigma**2 with which they were found.
        inverse : sparse array, shape (n_parameters, n_parameters)
            Their covariance, or about.

        Returns
        -------
        ndarray of float64, shape (n_parameters,)
            New 1 / sigma**2, not below those to begin with.

        Notes
        -----
        MacKay 1992, Neural Computation 4, 415, equation 2.16: the sum of the squares, over the
        number of parameters that the measures tell.
        """
        out, variance = weight.copy(), inverse.diagonal()
        for number in np.unique(self.spread):
            own = self.spread == number
            told = float((1.0 - weight[own] * variance[own]).sum())
            square = float((values[own] ** 2).sum()) / max(told, 1.0)
            out[own] = np.maximum(self.weight[own], 1.0 / max(square, _LEAST_SPREAD**2))
        return out


def _entries(rows: I64, columns: I64, values: F64, shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=shape)


def _of_chips(images: ImagePlaces, free: I64) -> tuple[sparse.csr_array, I64]:
    """A cubic of each chip, the same in all its images."""
    chips, of = np.unique(images.chip[free], return_inverse=True)
    rows = free[:, None] * _OF_IMAGE + np.arange(_OF_IMAGE)
    columns = of[:, None] * _OF_IMAGE + np.arange(_OF_IMAGE)
    values = np.broadcast_to(1.0 / images.scale[free][:, None], rows.shape)
    shape = (len(images.chip) * _OF_IMAGE, len(chips) * _OF_IMAGE)
    return _entries(rows, columns, values, shape), np.repeat(np.arange(len(chips)), _OF_IMAGE)


def _of_exposures(images: ImagePlaces, free: I64) -> tuple[sparse.csr_array, I64]:
    """An affine change of each exposure, to the east and to the north."""
    exposures, of = np.unique(images.exposure[free], return_inverse=True)
    to_pixels = np.linalg.inv(images.jacobian[free])  # pixels per arcsec
    # Terms 1, east, north of the field, as multiples of 1, s, t on the chip.
    terms = np.zeros((len(free), 3, 3))
    terms[:, 0, 0] = 1.0
    terms[:, 1:, :] = images.field[free]
    rows, columns, values = [], [], []
    for axis in range(2):  # of the sky
        for term in range(3):
            for pixel in range(2):  # of the chip
                for basis in range(3):
                    rows.append(free * _OF_IMAGE + pixel * N_BASIS + basis)
                    columns.append(of * 6 + axis * 3 + term)
                    values.append(to_pixels[:, pixel, axis] * terms[:, term, basis])
    shape = (len(images.chip) * _OF_IMAGE, len(exposures) * 6)
    return (_entries(np.array(rows), np.array(columns), np.array(values), shape),
            np.repeat(np.arange(len(exposures)), 6))  # fmt: skip


def _of_images(images: ImagePlaces, free: I64) -> tuple[sparse.csr_array, I64, I64]:
    """A cubic of each image, up to its order; with the order of each term."""
    has = np.tile(_ORDERS, 2)[None, :] <= images.order[free][:, None]
    at, term = np.nonzero(has)
    rows = free[at] * _OF_IMAGE + term
    values = 1.0 / images.scale[free[at]]
    shape = (len(images.chip) * _OF_IMAGE, len(rows))
    return _entries(rows, np.arange(len(rows)), values, shape), at, np.tile(_ORDERS, 2)[term]
