"""Skycells: the fields on the sky that stacks and warps are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dvo.sphere import unit_vectors
from dvo.tables.column_table import ColumnTable

__all__ = ["Skycells"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_SAME = 0.1
"""Distance of centres, in radii of the smallest image, up to which stacks are of one skycell."""


@dataclass(frozen=True, eq=False)
class Skycells:
    """Skycells, as the centres of stacks tell them.

    Parameters
    ----------
    of_image : ndarray of int64, shape (n_images,)
        Skycell of each image: that whose centre is nearest; -1 if there is none at all.
    centres : ndarray of float64, shape (n, 3)
        Unit vectors.
    """

    of_image: I64
    centres: F64

    @classmethod
    def of(cls, images: ColumnTable, is_stack: Bool) -> Skycells:
        """Find them.

        Parameters
        ----------
        images : ColumnTable
            The Image table, with centres and radii.
        is_stack : ndarray of bool, shape (n_images,)
            Which images are stacks.

        Returns
        -------
        Skycells
            Stacks whose centres lie within a tenth of the least radius are of one skycell.
        """
        places = unit_vectors(images["ra_center"], images["dec_center"])
        stacks = np.flatnonzero(is_stack & np.isfinite(places).all(axis=1))
        if not len(stacks):
            return cls(np.full(len(images), -1, np.int64), np.empty((0, 3)))
        reach = _SAME * np.radians(float(images["radius"][stacks].min()))
        near = cKDTree(places[stacks]).query_pairs(max(reach, 1e-9), output_type="ndarray")
        ties = (np.ones(len(near)), (near[:, 0], near[:, 1]))
        n, label = connected_components(
            sparse.coo_array(ties, shape=(len(stacks),) * 2), directed=False
        )
        centres = np.zeros((n, 3))
        np.add.at(centres, label, places[stacks])
        centres /= np.linalg.norm(centres, axis=1)[:, None]
        return cls(_nearest(centres, places), centres)

    def of_places(self, ra: F64, dec: F64) -> I64:
        """Find the primary skycells of places: those whose centres are nearest.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Places [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            Numbers; -1 if there is no skycell.
        """
        return _nearest(self.centres, unit_vectors(ra, dec))


def _nearest(centres: F64, places: F64) -> I64:
    out = np.full(len(places), -1, np.int64)
    known = np.isfinite(places).all(axis=1)
    if len(centres) and known.any():
        out[known] = cKDTree(centres).query(places[known])[1]
    return out
