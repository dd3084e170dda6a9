"""What a solve says of images: zero points, errors, flags, steps to ubercal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from dvo.calib.joint import JointResult
from dvo.calib.photometry.given_points import GivenPoints
from dvo.calib.photometry.images import PhotImages
from dvo.tables.flags import ImageFlag

__all__ = ["UNKNOWN_DISTANCE", "ZeroPoints", "ubercal_distance"]

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]

_STILL = 1e-6
"""Change of a zero point that is none [mag]."""

UNKNOWN_DISTANCE = 1000
"""ubercal_dist of an image that no star connects with one of ubercal."""

_UBERCAL = np.uint32(ImageFlag.PHOTOM_UBERCAL)
_OF_SOLVES = np.uint32(
    ImageFlag.PHOTOM_FEW | ImageFlag.PHOTOM_POOR | ImageFlag.IMAGE_PHOTCAL
    | ImageFlag.MOSAIC_PHOTCAL | ImageFlag.TGROUP_PHOTCAL
)  # fmt: skip
"""Flags that say how an image came by its zero point."""


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """New values of all rows of Image.

    Parameters
    ----------
    offset, aperture, error : ndarray of float32, shape (n_images,)
        Mcal of PSF magnitudes, that of aperture and Kron magnitudes, and the error of the
        first [mag].
    n_fit : ndarray of uint32, shape (n_images,)
        Measures in the solve.
    flags : ndarray of uint32, shape (n_images,)
        Their flags.
    distance : ndarray of int32, shape (n_images,)
        Steps to an image of ubercal.
    """

    offset: F32
    aperture: F32
    error: F32
    n_fit: U32
    flags: U32
    distance: I32

    @classmethod
    def as_they_are(cls, images: PhotImages) -> ZeroPoints:
        """Take those that the images have.

        Parameters
        ----------
        images : PhotImages
            The images.

        Returns
        -------
        ZeroPoints
            Copies of what Image has.
        """
        names = ("mcal_psf", "mcal_aper", "dmcal", "n_fit_photom", "flags", "ubercal_dist")
        return cls(*(images.table[name].copy() for name in names))

    def with_given(self, given: GivenPoints) -> ZeroPoints:
        """Give some images zero points that came from elsewhere.

        Parameters
        ----------
        given : GivenPoints
            Which, and what; images that are not marked are no longer of ubercal.

        Returns
        -------
        ZeroPoints
            Those with IMAGE_PHOTCAL, without measures in a fit, and with unknown distance from
            ubercal, or 0.
        """
        rows = given.images
        found = {n: getattr(self, n).copy() for n in ("offset", "aperture", "error", "n_fit",
                                                      "flags", "distance")}  # fmt: skip
        for name in ("offset", "aperture", "error"):
            found[name][rows] = getattr(given, name)
        found["n_fit"][rows] = 0
        found["flags"][rows] &= ~(_OF_SOLVES | _UBERCAL)
        found["flags"][rows] |= np.where(given.is_ubercal, _UBERCAL, np.uint32(0))
        found["flags"][rows] |= np.uint32(ImageFlag.IMAGE_PHOTCAL)
        found["distance"][rows] = np.where(given.is_ubercal, 0, UNKNOWN_DISTANCE)
        return ZeroPoints(**found)

    @classmethod
    def of(cls, images: PhotImages, result: JointResult, *, least_measures: int,
           most_error: float) -> ZeroPoints:  # fmt: skip
        """Read them off a solve whose parameters are the rows of Image.

        Parameters
        ----------
        images : PhotImages
            The images.
        result : JointResult
            The solve.
        least_measures : int
            Measures below which an image is flagged PHOTOM_FEW.
        most_error : float
            Error above which one is flagged PHOTOM_POOR [mag]; never less than twice the
            median error.

        Returns
        -------
        ZeroPoints
            Those not solved for as they were.
        """
        table, solved = images.table, result.solution.is_free
        before = table["mcal_psf"]
        # What is as it was, but for rounding, stays: solving again changes nothing.
        moved = ~(np.abs(result.parameters.values - before) < _STILL)
        offset = np.where(solved & moved, result.parameters.values, before)
        aperture = np.where(images.is_wanted, offset, table["mcal_aper"])
        error = np.where(solved, result.error, table["dmcal"])
        new = images.is_wanted & ~images.is_frozen
        flags = table["flags"].copy()
        flags[new] &= ~_OF_SOLVES
        flags[solved] |= np.uint32(ImageFlag.IMAGE_PHOTCAL)
        flags[new & (result.n_measures < least_measures)] |= np.uint32(ImageFlag.PHOTOM_FEW)
        if solved.any():
            limit = max(most_error, 2.0 * float(np.median(error[solved])))
            flags[solved & (error > limit)] |= np.uint32(ImageFlag.PHOTOM_POOR)
        n_fit = np.where(images.is_wanted, result.n_measures, table["n_fit_photom"])
        steps = ubercal_distance(result.equations.matrix, images.is_frozen)
        distance = np.where(images.is_wanted, steps, table["ubercal_dist"])
        return cls(
            offset.astype(np.float32),
            aperture.astype(np.float32),
            error.astype(np.float32),
            n_fit.astype(np.uint32),
            flags,
            distance.astype(np.int32),
        )


def ubercal_distance(matrix: sparse.csr_array, is_ubercal: NDArray[np.bool_]) -> I32:
    """Steps from each image to the nearest of ubercal, over images that share stars.

    Parameters
    ----------
    matrix : sparse array, shape (n, n)
        Not 0 where two images share a star, on or below the diagonal.
    is_ubercal : ndarray of bool, shape (n,)
        Images of ubercal.

    Returns
    -------
    ndarray of int32, shape (n,)
        0 for those of ubercal; 1000 for those that stars do not connect with one.
    """
    out = np.full(len(is_ubercal), UNKNOWN_DISTANCE, np.int32)
    if is_ubercal.any():
        shares = sparse.csr_array(matrix != 0)
        steps = dijkstra(shares, directed=False, unweighted=True, min_only=True,
                         indices=np.flatnonzero(is_ubercal))  # fmt: skip
        np.minimum(out, np.where(np.isfinite(steps), steps, UNKNOWN_DISTANCE), out=out,
                   casting="unsafe")  # fmt: skip
    return out
