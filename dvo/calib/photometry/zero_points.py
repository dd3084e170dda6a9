"""What a solve says of images: zero points, errors, flags, steps to ubercal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from dvo.calib.photometry.given_points import GivenPoints
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.levels import SolvedImages
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

    def shifted(self, shift: NDArray[np.float64], which: NDArray[np.bool_]) -> ZeroPoints:
        """Move the offsets of some images.

        Parameters
        ----------
        shift : ndarray of float64, shape (n_images,)
            What is added [mag].
        which : ndarray of bool, shape (n_images,)
            To which; offsets that are not known count as 0, as they do for measures.

        Returns
        -------
        ZeroPoints
            Errors are as they were: those of images against each other.
        """
        offset, aperture = (
            np.where(which, np.nan_to_num(old.astype(np.float64)) + shift, old).astype(np.float32)
            for old in (self.offset, self.aperture)
        )
        return replace(self, offset=offset, aperture=aperture)

    @classmethod
    def of(
        cls, images: PhotImages, found: SolvedImages, flag: U32, *, least_measures: int,
        most_error: float,
    ) -> ZeroPoints:  # fmt: skip
        """Take those of a solve.

        Parameters
        ----------
        images : PhotImages
            The images.
        found : SolvedImages
            What the solve says of them.
        flag : ndarray of uint32, shape (n_images,)
            What says how each came by it: IMAGE_PHOTCAL, MOSAIC_PHOTCAL or TGROUP_PHOTCAL.
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
        table, solved, free = images.table, found.is_solved, images.is_free
        before = table["mcal_psf"]
        # What is as it was, but for rounding, stays: solving again changes nothing.
        moved = ~(np.abs(found.offset - before) < _STILL)
        offset = np.where(solved & moved, found.offset, before)
        error = np.where(solved, found.error, table["dmcal"])
        flags = table["flags"].copy()
        flags[free] &= ~_OF_SOLVES
        flags[solved] |= flag[solved]
        flags[free & (found.n_fit < least_measures)] |= np.uint32(ImageFlag.PHOTOM_FEW)
        if solved.any():
            limit = max(most_error, 2.0 * float(np.median(error[solved])))
            flags[solved & (error > limit)] |= np.uint32(ImageFlag.PHOTOM_POOR)
        # Of images that were not selected only some of the measures have been seen.
        known = np.where(images.is_ubercal, 0, table["ubercal_dist"])
        known[images.is_free | ~images.is_wanted] = UNKNOWN_DISTANCE
        distance = ubercal_distance(found.shares, known)
        selected = images.is_selected
        return cls(
            offset.astype(np.float32),
            np.where(solved, offset, table["mcal_aper"]).astype(np.float32),
            error.astype(np.float32),
            np.where(selected, found.n_fit, table["n_fit_photom"]).astype(np.uint32),
            flags,
            np.where(selected, distance, table["ubercal_dist"]).astype(np.int32),
        )


def ubercal_distance(shares: sparse.csr_array, known: I32) -> I32:
    """Steps from each image to the nearest of ubercal, over images that share stars.

    Parameters
    ----------
    shares : sparse array, shape (n, n)
        Not 0 where two images share a star, on either side of the diagonal.
    known : ndarray of int32, shape (n,)
        Steps that are known: 0 for images of ubercal; 1000 for those to be found.

    Returns
    -------
    ndarray of int32, shape (n,)
        The least of what is known and one more than that of an image that shares a star; 1000
        for images that stars do not connect with any.
    """
    n = len(known)
    start = np.flatnonzero(known < UNKNOWN_DISTANCE)
    # One node more, from which each image that is known is as far as it is known to be.
    graph = (shares != 0).tocoo()
    row = np.concatenate([graph.coords[0], np.full(len(start), n)])
    column = np.concatenate([graph.coords[1], start])
    length = np.concatenate([np.ones(len(graph.data)), known[start] + 1.0])
    ties = sparse.csr_array((length, (row, column)), shape=(n + 1, n + 1))
    steps = dijkstra(ties, directed=False, indices=n)[:n] - 1.0
    return np.where(np.isfinite(steps), np.minimum(steps, UNKNOWN_DISTANCE),
                    UNKNOWN_DISTANCE).astype(np.int32)  # fmt: skip
