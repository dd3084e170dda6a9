"""What residuals say, added up in bins: memory stays the same, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.report.sky_grid import FieldGrid, SkyGrid

__all__ = [
    "MAG_EDGES",
    "PULL_EDGES",
    "RESIDUAL_EDGES",
    "SIZE_EDGES",
    "ChipPlane",
    "ResidualTally",
    "Residuals",
]  # fmt: skip

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Array = NDArray[Any]

RESIDUAL_EDGES = np.linspace(-0.2, 0.2, 201)
"""Bins of residuals [mag]; those beyond count in the outermost."""

PULL_EDGES = np.linspace(-8.0, 8.0, 161)
"""Bins of residuals in units of their errors."""

MAG_EDGES = np.linspace(0.0, 32.0, 65)
"""Bins of magnitudes [mag]."""

SIZE_EDGES = np.concatenate([[0.0], np.geomspace(1e-4, 3.0, 161)])
"""Bins of the size of residuals [mag], 6.6 per cent wide."""

_MOST_PULL = 5.0
_CHIP_CELLS = 32
_FIRST_CELL_PIX = 16.0
_LEAST_CELLS = 8
_ENOUGH = 20


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of measures from the mean of their star.

    Parameters
    ----------
    residual : ndarray of float64, shape (n,)
        Magnitude less the mean of the star, by ``sqrt(1 - w / sum w)``: as if the mean were
        known [mag].
    error : ndarray of float64, shape (n,)
        Stated errors [mag].
    mag : ndarray of float64, shape (n,)
        Mean magnitude of the star of each [mag].
    band, chip : ndarray of int64, shape (n,)
        Filter and chip, counted as in the `ResidualTally`; chip -1 if it is not known.
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].
    x, y : ndarray of float64, shape (n,)
        Places on the chip [pix]; NaN where they are not known.
    """

    residual: F64
    error: F64
    mag: F64
    band: I64
    chip: I64
    ra: F64
    dec: F64
    x: F64
    y: F64


class ChipPlane:
    """Weighted sums of residuals in cells of chips, which grow as places beyond them are seen.

    Parameters
    ----------
    n_bands, n_chips : int
        Filters and chips.
    """

    def __init__(self, n_bands: int, n_chips: int) -> None:
        self.cell_pix = _FIRST_CELL_PIX
        # The last axis: sum of w r, of w, and measures.
        self.sums = np.zeros((n_bands, n_chips, _CHIP_CELLS, _CHIP_CELLS, 3))

    def add(self, found: Residuals, weight: F64) -> None:
        """Add residuals.

        Parameters
        ----------
        found : Residuals
            The residuals; those of no chip or no place are passed over.
        weight : ndarray of float64, shape (n,)
            Their weights [1/mag**2].
        """
        known = np.isfinite(found.x) & np.isfinite(found.y) & (found.chip >= 0)
        known &= (found.x >= 0) & (found.y >= 0)
        if not known.any():
            return
        x, y = found.x[known], found.y[known]
        while max(x.max(), y.max()) >= _CHIP_CELLS * self.cell_pix:
            self._grow()
        chip = found.band[known] * self.sums.shape[1] + found.chip[known]
        row, column = ((p / self.cell_pix).astype(np.int64) for p in (y, x))
        cell = (chip * _CHIP_CELLS + row) * _CHIP_CELLS + column
        self.sums += _weighted(cell, found.residual[known], weight[known],
                               self.sums[..., 0].size).reshape(self.sums.shape)  # fmt: skip

    def _grow(self) -> None:
        """Make cells twice as wide: four become one."""
        half = _CHIP_CELLS // 2
        joined = _joined(self.sums)
        self.sums[...] = 0.0
        self.sums[:, :, :half, :half] = joined
        self.cell_pix *= 2.0

    def means(self) -> tuple[F64, float]:
        """Mean residual of each cell, cells joined until most hold enough measures.

        Returns
        -------
        means : ndarray of float64, shape (n_bands, n_chips, n_y, n_x)
            [mag]; NaN where there is none. Cells beyond all that were seen are cut off.
        cell_pix : float
            How wide the cells are [pix].
        """
        sums = _with_enough(self.sums)
        cell_pix = self.cell_pix * self.sums.shape[2] / sums.shape[2]
        seen = sums[..., 1] > 0
        n_y, n_x = (int(np.flatnonzero(seen.any(axis=axes)).max(initial=0)) + 1
                    for axes in ((0, 1, 3), (0, 1, 2)))  # fmt: skip
        return _mean(sums[:, :, :n_y, :n_x]), cell_pix


class ResidualTally:
    """Residuals of a calibration in bins.

    Parameters
    ----------
    filters : sequence of str
        Names of the filters.
    chips : sequence of str
        Names of the chips.
    grid : FieldGrid or WholeSky
        Cells of the sky.
    what : str
        What scatters, in words.
    """

    def __init__(
        self, filters: Sequence[str], chips: Sequence[str], grid: SkyGrid,
        what: str = "the measures of a star",
    ) -> None:  # fmt: skip
        self.what = what
        self.filters, self.chips, self.grid = tuple(filters), tuple(chips), grid
        n = len(self.filters)
        self.n_measures = np.zeros(n, np.int64)
        self.residuals = np.zeros((n, len(RESIDUAL_EDGES) - 1), np.int64)
        self.pulls = np.zeros((n, len(PULL_EDGES) - 1), np.int64)
        self.sizes = np.zeros((n, len(MAG_EDGES) - 1, len(SIZE_EDGES) - 1), np.int64)
        self._squares = np.zeros((n, len(MAG_EDGES) - 1))
        self._sky = np.zeros((n, grid.n_cells, 3))
        self.chip_plane = ChipPlane(n, max(len(self.chips), 1))

    def add(self, found: Residuals) -> None:
        """Add residuals; each is given once.

        Parameters
        ----------
        found : Residuals
            The residuals.
        """
        n, band = len(self.filters), found.band
        if not len(band):
            return
        pull = found.residual / found.error
        self.n_measures += np.bincount(band, minlength=n)
        self.residuals += _counts(band, _bin(found.residual, RESIDUAL_EDGES), self.residuals)
        self.pulls += _counts(band, _bin(pull, PULL_EDGES), self.pulls)
        n_mags, n_sizes = self.sizes.shape[1:]
        at = band * n_mags + _bin(found.mag, MAG_EDGES)
        size = _bin(np.abs(found.residual), SIZE_EDGES)
        self.sizes += np.bincount(at * n_sizes + size, minlength=self.sizes.size).reshape(
            self.sizes.shape
        )
        self._squares += np.bincount(at, found.error**2, n * n_mags).reshape(n, n_mags)
        weight = np.where(np.abs(pull) < _MOST_PULL, found.error**-2.0, 0.0)
        cell = band * self.grid.n_cells + self.grid.cells(found.ra, found.dec)
        self._sky += _weighted(cell, found.residual, weight, n * self.grid.n_cells).reshape(
            self._sky.shape
        )
        self.chip_plane.add(found, weight)

    def sky_means(self) -> F64:
        """Mean residual of each cell of the sky.

        Returns
        -------
        ndarray of float64, shape (n_filters, n_cells) or (n_filters, n_rows, n_columns)
            [mag]; NaN where there is none. Outliers beyond 5 sigma are left out. Those of a
            field are rows from the south, columns from the west, joined until most hold enough
            measures.
        """
        if isinstance(self.grid, FieldGrid):
            shape = (len(self.filters), self.grid.n, self.grid.n, 3)
            return _mean(_with_enough(self._sky.reshape(shape)))
        return _mean(self._sky)

    def scatter(self) -> tuple[F64, F64, I64]:
        """Scatter of the measures of stars by magnitude: their repeatability.

        Returns
        -------
        scatter : ndarray of float64, shape (n_filters, n_mags)
            1.4826 times the median size of residuals in each bin of `MAG_EDGES` [mag], good to
            3 per cent; NaN where there is none.
        stated : ndarray of float64, shape (n_filters, n_mags)
            Root mean square of the stated errors [mag].
        n : ndarray of int64, shape (n_filters, n_mags)
            Measures.
        """
        n = self.sizes.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            stated = np.sqrt(self._squares / n)
        return 1.4826 * _median(self.sizes, SIZE_EDGES), stated, n

    def robust_scatter(self) -> F64:
        """Scatter of all residuals of each filter.

        Returns
        -------
        ndarray of float64, shape (n_filters,)
            1.4826 times their median size [mag]; NaN where there is none.
        """
        return 1.4826 * _median(self.sizes.sum(axis=1), SIZE_EDGES)

    def pull_widths(self) -> F64:
        """Width of the pulls of each filter.

        Returns
        -------
        ndarray of float64, shape (n_filters,)
            1.4826 times their median size, 1 if errors are right; NaN where there is none.
        """
        middle = len(PULL_EDGES) // 2
        folded = self.pulls[:, middle:] + self.pulls[:, :middle][:, ::-1]
        return 1.4826 * _median(folded, PULL_EDGES[middle:])


def _bin(values: F64, edges: F64) -> I64:
    found = np.searchsorted(edges, values, side="right") - 1
    return np.asarray(np.clip(found, 0, len(edges) - 2), np.int64)


def _counts(band: I64, place: I64, like: I64) -> I64:
    return np.bincount(band * like.shape[1] + place, minlength=like.size).reshape(like.shape)


def _weighted(cell: I64, residual: F64, weight: F64, n: int) -> F64:
    counts = np.bincount(cell[weight > 0], minlength=n)
    return np.stack([np.bincount(cell, weight * residual, n), np.bincount(cell, weight, n),
                     counts], -1)  # fmt: skip


def _joined(sums: F64) -> F64:
    """Sums of cells twice as wide; rows and columns are the axes before the last one."""
    *outer, n_y, n_x, n = sums.shape
    return np.asarray(sums.reshape(*outer, n_y // 2, 2, n_x // 2, 2, n).sum(axis=(-4, -2)))


def _with_enough(sums: F64) -> F64:
    """Sums of cells so wide that half of those with measures have enough."""
    while sums.shape[-2] > _LEAST_CELLS:
        counts = sums[..., 2]
        if not counts.any() or np.median(counts[counts > 0]) >= _ENOUGH:
            break
        sums = _joined(sums)
    return sums


def _mean(sums: F64) -> F64:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _median(counts: I64, edges: F64) -> F64:
    """Median along the last axis, evenly spread within its bin; NaN where there is nothing."""
    ends = np.cumsum(counts, axis=-1)
    half = 0.5 * ends[..., -1:]
    k = np.argmax(ends >= half, axis=-1)[..., None]
    own = np.take_along_axis(counts, k, -1)
    before = np.take_along_axis(ends, k, -1) - own
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(own > 0, (half - before) / own, np.nan)
    return np.asarray((edges[k] + share * (edges[k + 1] - edges[k]))[..., 0])
