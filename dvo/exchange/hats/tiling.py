"""How the sky is cut: pixels of HEALPix, smaller where there are more rows.

A place on the sky is a number: its pixel of order 29 in the nested scheme. A pixel of order
k is then a range of such numbers, and all questions about pixels are about ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.healpix import nested_pixels

__all__ = ["ORDER", "RowCounts", "Tiling", "cut_sky", "healpix_29", "pixel_size"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

ORDER = 29
"""Order of the pixels that stand for places: 0.4 mas across."""


def healpix_29(ra: Array, dec: Array) -> I64:
    """Pixels of order 29.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    ndarray of int64, shape (n,)
        Nested pixel numbers.
    """
    return nested_pixels(ra, dec, ORDER)


def pixel_size(order: int) -> float:
    """Least width of the pixels of an order, with room to spare [arcsec].

    Parameters
    ----------
    order : int
        Order, 0 to 29.

    Returns
    -------
    float
        The mean width over 1.6, as the HATS library takes it [arcsec].
    """
    return float(np.degrees(np.sqrt(np.pi / 3.0)) / (1 << order) * 3600.0 / 1.6)


class RowCounts:
    """Rows in each pixel of a fine order, counted piece by piece.

    Parameters
    ----------
    order : int
        Order of the pixels.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self._pixels: list[I64] = []
        self._counts: list[I64] = []
        self._n_held = 0

    def add(self, places: I64) -> None:
        """Count some rows.

        Parameters
        ----------
        places : ndarray of int64, shape (n,)
            Their pixels of order 29.
        """
        pixels, counts = np.unique(places >> 2 * (ORDER - self.order), return_counts=True)
        self._pixels.append(pixels)
        self._counts.append(counts.astype(np.int64))
        self._n_held += len(pixels)
        if self._n_held > 4_000_000:
            pixels, counts = self.totals()
            self._pixels, self._counts, self._n_held = [pixels], [counts], 0

    def totals(self) -> tuple[I64, I64]:
        """Say what has been counted.

        Returns
        -------
        pixels, n_rows : ndarray of int64, shape (n,)
            Pixels that have rows, ascending, and how many rows each has.
        """
        if not self._pixels:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pixels, which = np.unique(np.concatenate(self._pixels), return_inverse=True)
        counts = np.zeros(len(pixels), np.int64)
        np.add.at(counts, which, np.concatenate(self._counts))
        return pixels, counts


@dataclass(frozen=True, eq=False)
class Tiling:
    """The pixels that the rows of a catalog are kept in.

    Parameters
    ----------
    orders, pixels : ndarray of int64, shape (n,)
        The pixels, in the order of the sky; none lies in another.
    n_rows : ndarray of int64, shape (n,)
        Rows in each.
    """

    orders: I64
    pixels: I64
    n_rows: I64

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def starts(self) -> I64:
        """First place of order 29 in each pixel."""
        return self.pixels << 2 * (ORDER - self.orders)

    @property
    def stops(self) -> I64:
        """First place of order 29 behind each pixel."""
        return (self.pixels + 1) << 2 * (ORDER - self.orders)

    @property
    def sky_fraction(self) -> float:
        """Share of the sky that the pixels cover."""
        return float((1.0 / (12.0 * 4.0**self.orders)).sum())


def cut_sky(counts: RowCounts, max_rows: int) -> Tiling:
    """Find the largest pixels that hold no more than some number of rows.

    A pixel all of whose rows lie in one of its quarters is left for that quarter, so that
    the pixels show where the catalog is.

    Parameters
    ----------
    counts : RowCounts
        Rows in pixels of the finest order that may be used.
    max_rows : int
        Rows that a pixel may hold; one of the finest order holds what it must.

    Returns
    -------
    Tiling
        The pixels.
    """
    fine, n_fine = counts.totals()
    finest = counts.order
    orders, pixels, n_rows = [], [], []
    is_open = np.ones(len(fine), np.bool_)  # fine pixels that are in none of those found yet
    for order in range(finest + 1):
        rest = np.flatnonzero(is_open)
        if len(rest) == 0:
            break
        parents = fine[rest] >> 2 * (finest - order)
        first = np.flatnonzero(np.concatenate([[True], parents[1:] != parents[:-1]]))
        sizes = np.diff(first, append=len(rest))
        total = np.add.reduceat(n_fine[rest], first)
        fits = (total <= max_rows) | (order == finest)
        least, greatest = fine[rest[first[fits]]], fine[rest[(first + sizes - 1)[fits]]]
        orders.append(finest - (_bit_length(least ^ greatest) + 1) // 2)
        pixels.append(least >> 2 * (finest - orders[-1]))
        n_rows.append(total[fits])
        is_open[rest[np.repeat(fits, sizes)]] = False
    if not orders:
        return Tiling(*(np.empty(0, np.int64) for _ in range(3)))
    found = Tiling(np.concatenate(orders), np.concatenate(pixels), np.concatenate(n_rows))
    sky = np.argsort(found.starts)
    return Tiling(found.orders[sky], found.pixels[sky], found.n_rows[sky])


def _bit_length(values: I64) -> I64:
    # Exact below 2**53; pixels of the orders in use are far below it.
    return np.asarray(np.frexp(values.astype(np.float64))[1], np.int64)
