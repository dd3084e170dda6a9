"""The photometric model: what a magnitude is made of, as terms of parameters.

With all of it, a measure k of object j on image i of exposure e in night n, of airmass X and in
cell c of chip p and season s, is ::

    Mrel_j = Msys_k - Mcal_i - Mmos_e - Mgrp_n(X) - Mflat_spc
    Mgrp_n(X) = Mcal_n + dK_n (X - 1)

(relphot of the IPP, setMrelCatalog.c and TGroupOps.c; Schlafly et al. 2012, equation 4). Msys
is at the nominal zero point and airmass slope of its photcode, so all of these are offsets from
what is nominal; they are subtracted, and what makes stars fainter is positive. The airmass is
that of the image, as in setMcalFromTGroups.

A model is a list of terms. Each is a block of parameters and says which of them an image, and
maybe a place on its chip, belongs to; `PhotModel.columns` makes of that what the solver takes.
To let an image go its own way, such as in a cloudy night, give it no parameter (-1) in the term of
its night, and one in another; of terms whose blocks are levels an image has one at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.blocks import Block, Parameters
from dvo.errors import ShapeError
from dvo.tables.column_table import ColumnTable

__all__ = ["ChipCells", "PhotModel", "Term", "exposures_of_images", "image_term", "over_airmass"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ChipCells:
    """Cells that chips are cut into, n_x by n_y, each of whole pixels as in `FlatFields`.

    Parameters
    ----------
    n_x, n_y : int
        Cells along x and y.
    width, height : ndarray of float64, shape (n_images,)
        Size of the chip of each image [pix]; 0 if it is not known.
    """

    n_x: int
    n_y: int
    width: F64
    height: F64

    @classmethod
    def of_images(cls, images: ColumnTable, n: int) -> ChipCells:
        """Cut the chips of images.

        Parameters
        ----------
        images : ColumnTable
            The Image table, with ``nx`` and ``ny``.
        n : int
            Cells of a chip in each direction.

        Returns
        -------
        ChipCells
            Of all of them.
        """
        return cls(n, n, *(images[name].astype(np.float64) for name in ("nx", "ny")))

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Images whose chips can be cut, shape (n_images,): those of known size."""
        return np.asarray((self.width > 0) & (self.height > 0))

    def of(self, image: I32, x: F64, y: F64) -> I32:
        """Find the cells of places on chips.

        Parameters
        ----------
        image : ndarray of int32, shape (n,)
            Rows of the images.
        x, y : ndarray of float64, shape (n,)
            Places [pix].

        Returns
        -------
        ndarray of int32, shape (n,)
            ``row * n_x + column``; places beyond the edge belong to the cells there. -1 where
            the place is NaN, or the size of the chip is not known.
        """
        size_x, size_y = (size[image] for size in self.sizes())
        known = np.isfinite(x) & np.isfinite(y) & (size_x > 0) & (size_y > 0)
        column = np.where(known, x, 0.0) // np.where(known, size_x, 1.0)
        row = np.where(known, y, 0.0) // np.where(known, size_y, 1.0)
        cell = np.clip(row, 0, self.n_y - 1) * self.n_x + np.clip(column, 0, self.n_x - 1)
        return np.where(known, cell, -1).astype(np.int32)

    def sizes(self) -> tuple[F64, F64]:
        """Give the sizes of cells.

        Returns
        -------
        tuple of ndarray of float64, shape (n_images,)
            Along x and y on each image, whole numbers [pix]; 0 where the chip's is not known.
        """
        return np.ceil(self.width / self.n_x), np.ceil(self.height / self.n_y)


@dataclass(frozen=True, eq=False)
class Term:
    """One term of magnitudes, and the block of its parameters.

    Parameters
    ----------
    block : Block
        The parameters.
    of_image : ndarray of int32, shape (n_images,)
        Parameter of each image, by its row of Image; the first of its cells, if it has cells.
        -1 for images without this term.
    coefficient : ndarray of float64, shape (n_images,), optional
        What the parameter is multiplied by on each image; 1 if left out.
    cells : ChipCells, optional
        The parameters of an image are as many as these, one a cell.
    """

    block: Block
    of_image: I32
    coefficient: F64 | None = None
    cells: ChipCells | None = None

    def __post_init__(self) -> None:
        n_cells = self.cells.n_x * self.cells.n_y if self.cells else 1
        last = int(self.of_image.max(initial=-1))
        if last >= 0 and last + n_cells > len(self.block):
            raise ShapeError(
                f"term {self.block.name}: an image has parameter {last} and "
                f"{n_cells} cells, but there are {len(self.block)} parameters"
            )

    def index(self, image: I32, cell: I32 | None) -> I32:
        """Find the parameters of measures.

        Parameters
        ----------
        image : ndarray of int32, shape (n,)
            Rows of their images.
        cell : ndarray of int32, shape (n,), or None
            Their cells, as of `ChipCells.of`; a term without cells needs none.

        Returns
        -------
        ndarray of int32, shape (n,)
            Counted in the block; -1 for none.
        """
        first = self.of_image[image]
        if self.cells is None:
            return first
        assert cell is not None
        return np.where((first >= 0) & (cell >= 0), first + cell, np.int32(-1))


@dataclass(frozen=True, eq=False)
class PhotModel:
    """A photometric model.

    Parameters
    ----------
    terms : sequence of Term
        Its terms, in the order of their blocks in the vector of parameters.
    """

    terms: Sequence[Term]

    def parameters(self) -> Parameters:
        """Make the vector of parameters, at the values that the blocks start from.

        Returns
        -------
        Parameters
            One block after the other.
        """
        return Parameters([term.block for term in self.terms])

    @property
    def has_cells(self) -> bool:
        """Whether places on chips are wanted: the model has a flat field."""
        return any(term.cells is not None for term in self.terms)

    def columns(self, image: I32, x: F64 | None = None, y: F64 | None = None) -> tuple[I32, F64]:
        """Find the terms of measures, as `StarBatch` has them.

        Parameters
        ----------
        image : ndarray of int32, shape (n,)
            Row of the image of each.
        x, y : ndarray of float64, shape (n,), optional
            Place on its chip [pix], NaN if it is not known; needed if the model has cells.

        Returns
        -------
        index : ndarray of int32, shape (n, n_terms)
            Parameter of each term; -1 for none.
        coefficient : ndarray of float64, shape (n, n_terms)
            Its coefficient.
        """
        cells = [None if t.cells is None or x is None or y is None else t.cells.of(image, x, y)
                 for t in self.terms]  # fmt: skip
        return self._columns(image, cells)

    def columns_of_cells(self, image: I32, cell: I32) -> tuple[I32, F64]:
        """Find the terms of measures whose cells are known; all terms with cells have the same.

        Parameters
        ----------
        image, cell : ndarray of int32, shape (n,)
            Row of the image of each, and its cell.

        Returns
        -------
        tuple of ndarray
            As of `columns`.
        """
        return self._columns(image, [cell] * len(self.terms))

    def _columns(self, image: I32, cells: Sequence[I32 | None]) -> tuple[I32, F64]:
        index = np.empty((len(image), len(self.terms)), np.int32)
        coefficient = np.ones(index.shape)
        start = 0
        for k, (term, cell) in enumerate(zip(self.terms, cells, strict=True)):
            own = term.index(image, cell)
            index[:, k] = np.where(own >= 0, own + np.int32(start), np.int32(-1))
            if term.coefficient is not None:
                coefficient[:, k] = term.coefficient[image]
            start += len(term.block)
        return index, coefficient

    def flat_of_images(self) -> NDArray[np.bool_]:
        """Tell which images have a flat field in this model, in place of the one before.

        Returns
        -------
        ndarray of bool, shape (n_images,)
            True where an image has a term with cells.
        """
        out = np.zeros(len(self.terms[0].of_image), np.bool_)
        for term in self.terms:
            if term.cells is not None:
                out |= term.of_image >= 0
        return out


def image_term(block: Block) -> Term:
    """Make the term of image zero points (Mcal): parameter i is row i of Image.

    Parameters
    ----------
    block : Block
        A parameter a row of Image; those not wanted frozen.

    Returns
    -------
    Term
        The term.
    """
    return Term(block, np.arange(len(block), dtype=np.int32))


def exposures_of_images(images: ColumnTable, is_wanted: NDArray[np.bool_]) -> I32:
    """Number the exposures of images: a mosaic with all its chips is one, another image its own.

    Parameters
    ----------
    images : ColumnTable
        The Image table, with ``image_id``, ``parent_id`` and ``photcode``.
    is_wanted : ndarray of bool, shape (n_images,)
        Images that are numbered.

    Returns
    -------
    ndarray of int32, shape (n_images,)
        From 0, in the order of image_id; -1 for images not wanted.
    """
    parent, own = images["parent_id"], images["image_id"]
    out = np.full(len(images), -1, np.int32)
    owner = np.where(parent > 0, parent, own)[is_wanted]
    out[is_wanted] = np.unique(owner, return_inverse=True)[1]
    return out


def over_airmass(images: ColumnTable) -> F64:
    """Give the coefficient of airmass slopes, ``X - 1``.

    Parameters
    ----------
    images : ColumnTable
        The Image table, with ``secz``.

    Returns
    -------
    ndarray of float64, shape (n_images,)
        0 where the airmass is not known, as in the nominal extinction.
    """
    return np.nan_to_num(images["secz"].astype(np.float64) - 1.0)
