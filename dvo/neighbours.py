"""Positions near other positions: the nearest, or all within a radius.

Many positions against many, as in a cross-match; the work is done by
`dvo.kernels.neighbours`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import QueryError
from dvo.kernels import neighbours as kernels
from dvo.kernels.sky_cells import sky_cells
from dvo.sphere import angle_of_chord2, same_shape, wrap_ra

__all__ = ["MAX_RADIUS_ARCSEC", "SkyGrid"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MAX_RADIUS_ARCSEC = 3600.0
"""Beyond a degree distances would lose digits [arcsec]."""

_CELL_DEG = 30.0 / 3600.0
# Cells are made smaller while a position shares its slot with more than this, on average.
_CROWD = 24.0
# Below this many positions a thread costs more than it saves.
_PIECE_ROWS = 16384


class SkyGrid:
    """Positions, sorted so that those near any others are found at once.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS [deg], ra of any turn; NaN is near nothing.
    radius_arcsec : float
        How far to look, above 0, at most 3600 [arcsec].

    Raises
    ------
    QueryError
        If the radius is out of range.
    ShapeError
        If the arrays do not share one shape.

    Notes
    -----
    Distances are good to 1e-8 of themselves, for radii below 10 arcmin to 1e-11. Of equally
    near positions that of lower declination comes first, then that of lower right ascension,
    then the one that was given first.

    Examples
    --------
    >>> grid = SkyGrid([359.9999, 10.0], [0.0, 5.0], 1.0)
    >>> row, separation = grid.nearest([0.0, 10.0], [0.0, 4.9999])
    >>> row.tolist(), separation.round(2).tolist()
    ([0, 1], [0.36, 0.36])
    """

    def __init__(self, ra: ArrayLike, dec: ArrayLike, radius_arcsec: float) -> None:
        if not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
            raise QueryError(
                f"match radius {radius_arcsec} arcsec is not above 0 and at most 3600 (1 degree)"
            )
        self._radius = radius_arcsec / 3600.0
        ra, dec = _positions(ra, dec)
        good = np.isfinite(ra) & np.isfinite(dec)
        self._rows = None if good.all() else np.flatnonzero(good)
        if self._rows is not None:
            ra, dec = ra[self._rows], dec[self._rows]
        self._cells, self._grid = self._sorted(ra, dec)

    def _sorted(self, ra: F64, dec: F64) -> tuple[kernels.Cells, kernels.Grid]:
        """Cells and grid; with cells so small that not too many positions share one."""
        n_slots = 1 << max(10, math.ceil(math.log2(max(1, len(ra)))))
        height = max(_CELL_DEG, 2.0 * self._radius)
        cell = np.empty(len(ra), np.int64)
        while True:
            cells = sky_cells(height)
            _in_pieces(
                len(ra), partial(kernels.cell_numbers, ra=ra, dec=dec, cells=cells, out=cell)
            )
            grid = kernels.sort_by_slot(cell, ra, dec, n_slots)
            smaller = max(0.25 * height, 2.0 * self._radius, 1.0 / 3600.0)
            if smaller >= height or kernels.crowding(grid[0]) <= _CROWD:
                return cells, grid
            height = smaller

    def nearest(self, ra: ArrayLike, dec: ArrayLike) -> tuple[I64, F64]:
        """Find the nearest position to each of some others.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (m,)
            The others, ICRS [deg]; near ones near each other for speed.

        Returns
        -------
        row : ndarray of int64, shape (m,)
            Which one; -1 if none is within the radius.
        separation : ndarray of float64, shape (m,)
            How far it is [arcsec]; NaN if there is none.
        """
        ra, dec = _positions(ra, dec)
        row, d2 = np.empty(len(ra), np.int64), np.empty(len(ra))

        def search(start: int, stop: int) -> None:
            kernels.find_nearest(
                start, stop, ra, dec, self._radius, self._cells, self._grid, row, d2
            )

        _in_pieces(len(ra), search)
        return self._as_given(row), angle_of_chord2(d2) * 3600.0

    def count(self, ra: ArrayLike, dec: ArrayLike) -> I64:
        """Count the positions within the radius of each of some others.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (m,)
            The others, ICRS [deg]; near ones near each other for speed.

        Returns
        -------
        ndarray of int64, shape (m,)
            How many `within` would list.
        """
        return self._count(*_positions(ra, dec))

    def _count(self, ra: F64, dec: F64) -> I64:
        count = np.zeros(len(ra), np.int64)
        asked = (ra, dec, self._radius, self._cells, self._grid)
        _in_pieces(len(ra), lambda a, b: kernels.count_near(a, b, *asked, count))
        return count

    def within(self, ra: ArrayLike, dec: ArrayLike) -> tuple[I64, I64, F64]:
        """Find all positions within the radius of each of some others.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (m,)
            The others, ICRS [deg]; near ones near each other for speed.

        Returns
        -------
        other : ndarray of int64, shape (n_pairs,)
            Which of the others, ascending.
        row : ndarray of int64, shape (n_pairs,)
            Which position is near it, the nearest first.
        separation : ndarray of float64, shape (n_pairs,)
            How far they are apart [arcsec].
        """
        ra, dec = _positions(ra, dec)
        asked = (ra, dec, self._radius, self._cells, self._grid)
        count = self._count(ra, dec)
        places = np.concatenate([[0], np.cumsum(count)])
        row, d2 = np.empty(places[-1], np.int64), np.empty(places[-1])
        _in_pieces(len(ra), lambda a, b: kernels.list_near(a, b, *asked, places, row, d2))
        other = np.repeat(np.arange(len(ra)), count)
        return other, self._as_given(row), angle_of_chord2(d2) * 3600.0

    def _as_given(self, row: I64) -> I64:
        """Rows of the positions as they were given."""
        if self._rows is None:
            return row
        return np.where(row >= 0, self._rows[row], -1) if len(self._rows) else row


def _positions(ra: ArrayLike, dec: ArrayLike) -> tuple[F64, F64]:
    ra, dec = (a.ravel() for a in same_shape(ra=ra, dec=dec))
    # To look costs a tenth of the wrapping, and most are in range; NaN is not.
    in_range = len(ra) and ra.min() >= 0.0 and ra.max() < 360.0
    return ra if in_range else wrap_ra(ra), dec


def _in_pieces(n: int, work: Callable[[int, int], None]) -> None:
    """Do the work for a run of positions, in threads if it is long."""
    n_threads = os.cpu_count() or 1
    n_pieces = min(4 * n_threads, n // _PIECE_ROWS)
    if n_threads < 2 or n_pieces < 2:
        work(0, n)
        return
    edges = np.linspace(0, n, n_pieces + 1).astype(int).tolist()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="dvo-near") as pool:
        for done in [pool.submit(work, a, b) for a, b in pairwise(edges)]:
            done.result()
