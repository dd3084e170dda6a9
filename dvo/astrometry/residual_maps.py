"""Residual maps: small shifts of pixels that no polynomial follows, bilinear between cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry import kernels
from dvo.errors import ShapeError

__all__ = ["MAX_CELLS", "ResidualMaps"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MAX_CELLS = 6
"""Most cells of a map in x and in y."""


@dataclass(frozen=True, eq=False)
class ResidualMaps:
    """Maps of shifts over chips, which are added to pixels before all else.

    The value of a cell holds in its middle. Between middles the map is bilinear, and goes on so
    to the edges of the chip, as in the original (AstromOffsetMapValue).

    Parameters
    ----------
    values : ndarray of float64, shape (n, 2, 6, 6)
        Shifts of x and of y [pix]; [k, a, j, i] is cell i in x, j in y. Cells that a map does
        not have are 0.
    shape : ndarray of int64, shape (n, 2)
        Cells in x and in y, 1 to 6.
    pitch : ndarray of float64, shape (n, 2)
        Cells a pixel in x and in y.
    """

    values: F64
    shape: I64
    pitch: F64

    def __post_init__(self) -> None:
        n = len(self.shape)
        if self.values.shape != (n, 2, MAX_CELLS, MAX_CELLS) or self.pitch.shape != (n, 2):
            raise ShapeError(
                f"{n} maps have values of shape {self.values.shape} and pitches of shape "
                f"{self.pitch.shape}; they must be ({n}, 2, {MAX_CELLS}, {MAX_CELLS}) and ({n}, 2)"
            )
        if n and not ((self.shape >= 1) & (self.shape <= MAX_CELLS)).all():
            raise ShapeError(
                f"a map has {self.shape.min()} to {self.shape.max()} cells in a direction; give "
                f"1 to {MAX_CELLS}"
            )

    def __len__(self) -> int:
        return len(self.shape)

    @classmethod
    def none(cls) -> Self:
        """No maps at all.

        Returns
        -------
        ResidualMaps
            Of length 0.
        """
        cells = (0, 2, MAX_CELLS, MAX_CELLS)
        return cls(np.empty(cells), np.empty((0, 2), np.int64), np.empty((0, 2)))

    def moved(self, row: I64, x: F64, y: F64) -> tuple[F64, F64, F64]:
        """Add maps to places.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            Map of each place; below 0 for none.
        x, y : ndarray of float64, shape (n,)
            Places [pix].

        Returns
        -------
        x, y : ndarray of float64, shape (n,)
            With the shift [pix].
        slopes : ndarray of float64, shape (n, 2, 2)
            Derivatives of these by x and y.
        """
        x, y = (np.ascontiguousarray(v, np.float64) for v in (x, y))
        dx, dy, slopes = np.empty(len(row)), np.empty(len(row)), np.empty((len(row), 2, 2))
        kernels.map_offsets(self.values, self.shape, self.pitch, row, x, y, dx, dy, slopes)
        slopes[:, 0, 0] += 1.0
        slopes[:, 1, 1] += 1.0
        return x + dx, y + dy, slopes

    def undone(self, row: I64, x: F64, y: F64) -> tuple[F64, F64]:
        """Find the places that maps move to others.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            As in `moved`.
        x, y : ndarray of float64, shape (n,)
            Moved places [pix].

        Returns
        -------
        x, y : ndarray of float64, shape (n,)
            Places [pix]; NaN where there is none.
        """
        x, y = (np.ascontiguousarray(v, np.float64) for v in (x, y))
        found_x, found_y = np.empty(len(row)), np.empty(len(row))
        kernels.map_undo(self.values, self.shape, self.pitch, row, x, y, found_x, found_y)
        return found_x, found_y

    @classmethod
    def of(cls, maps: ArrayLike, nx: int, ny: int) -> Self:
        """Make maps of equal shape for chips of one size.

        Parameters
        ----------
        maps : array_like of float64, shape (n, 2, cells_y, cells_x)
            Shifts of x and of y [pix].
        nx, ny : int
            Size of the chips [pix].

        Returns
        -------
        ResidualMaps
            They.
        """
        given = np.asarray(maps, np.float64)
        n, _, ky, kx = given.shape
        values = np.zeros((n, 2, MAX_CELLS, MAX_CELLS))
        values[:, :, :ky, :kx] = given[:, :, :MAX_CELLS, :MAX_CELLS]
        shape = np.tile(np.array([kx, ky], np.int64), (n, 1))
        return cls(values, shape, np.tile([kx / nx, ky / ny], (n, 1)))
