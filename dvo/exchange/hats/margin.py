"""Margins: the rows just outside each pixel, so that matches across its edge are found.

A row is in the margin of a pixel if the small pixel it lies in touches that pixel from
outside. The small pixels are as wide as the margin or wider, so no row that is nearer than
that is left out. Rows beside a part of the sky that has no rows are kept too, for the
largest pixel of it that holds the neighbour: another catalog may have something there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ConfigError
from dvo.exchange.hats.tiling import ORDER, Tiling, pixel_size

__all__ = ["find_margin", "margin_order", "uniq", "uniq_pixel"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_EVEN_BITS = 0x5555_5555_5555_5555


def margin_order(threshold_arcsec: float) -> int:
    """Finest order whose pixels are as wide as a margin.

    Parameters
    ----------
    threshold_arcsec : float
        Width of the margin [arcsec].

    Returns
    -------
    int
        The order.

    Raises
    ------
    ConfigError
        If the margin is so wide or narrow that there is none.
    """
    orders = [k for k in range(2, 20) if pixel_size(k) >= threshold_arcsec]
    if not threshold_arcsec > 0 or not orders:
        raise ConfigError(
            f"margin of {threshold_arcsec} arcsec; give a width above 0 and up to "
            f"{pixel_size(2):.0f}, such as 5"
        )
    return orders[-1]


def uniq(orders: ArrayLike, pixels: ArrayLike) -> I64:
    """Numbers that tell pixels of all orders apart: 4^(order + 1) + pixel.

    Parameters
    ----------
    orders, pixels : array_like of int64, shape (n,)
        The pixels.

    Returns
    -------
    ndarray of int64, shape (n,)
        Their numbers.
    """
    return np.asarray((np.int64(1) << (2 * np.asarray(orders) + 2)) + np.asarray(pixels), np.int64)


def uniq_pixel(number: int) -> tuple[int, int]:
    """Order and pixel that a number of `uniq` stands for."""
    order = (number.bit_length() - 1) // 2 - 1
    return order, number - (1 << (2 * order + 2))


def find_margin(places: I64, tiling: Tiling, order: int) -> tuple[I64, I64]:
    """Find rows that are in the margins of other pixels.

    Parameters
    ----------
    places : ndarray of int64, shape (n,)
        Rows by their pixels of order 29; all in pixels of the tiling.
    tiling : Tiling
        The pixels.
    order : int
        Order of the small pixels, finer than all of the tiling.

    Returns
    -------
    rows : ndarray of int64, shape (m,)
        Rows, those in several margins several times.
    targets : ndarray of int64, shape (m,)
        The pixel whose margin each is in, as `uniq` numbers them.
    """
    small = places >> 2 * (ORDER - order)
    own = np.searchsorted(tiling.starts, places, "right") - 1
    rows = np.flatnonzero(_is_at_edge(small, order - tiling.orders[own]))
    # Many rows share a small pixel, and neighbours are dear.
    cells, which = np.unique(small[rows], return_inverse=True)
    cell_of, targets = _targets(cells, tiling, order)
    begin = np.searchsorted(cell_of, np.arange(len(cells)))
    n_each = np.searchsorted(cell_of, np.arange(len(cells)), "right") - begin
    n_here = n_each[which]
    first = np.repeat(begin[which] - (np.cumsum(n_here) - n_here), n_here)
    return np.repeat(rows, n_here), targets[first + np.arange(len(first))]


def _is_at_edge(small: I64, depth: I64) -> Array:
    """Whether small pixels lie at the edge of the large pixels that they are parts of."""
    mask = (np.int64(1) << 2 * depth) - 1
    even = np.int64(_EVEN_BITS) & mask
    x, y = small & even, (small >> 1) & even
    return np.asarray((x == 0) | (x == even) | (y == 0) | (y == even))


def _targets(cells: I64, tiling: Tiling, order: int) -> tuple[I64, I64]:
    """Pixels that small pixels touch, beside those that they are in, each once."""
    if len(cells) == 0:
        return cells, cells
    near = _neighbours(cells, order)
    cell_of = np.tile(np.arange(len(cells)), len(near))
    near = near.ravel()
    is_one = near >= 0  # some pixels have seven neighbours
    cell_of, near = cell_of[is_one], near[is_one].astype(np.int64)
    places = near << 2 * (ORDER - order)
    starts, stops = tiling.starts, tiling.stops
    k = np.searchsorted(starts, places, "right") - 1
    at = np.maximum(k, 0)
    is_inside = (k >= 0) & (places < stops[at])
    found = np.where(is_inside, uniq(tiling.orders[at], tiling.pixels[at]), 0)
    outside = np.flatnonzero(~is_inside)
    found[outside] = _empty_pixels(near[outside], order, tiling)
    mine = np.searchsorted(starts, cells << 2 * (ORDER - order), "right") - 1
    own = uniq(tiling.orders[mine], tiling.pixels[mine])
    keep = found != own[cell_of]
    pairs = np.unique(np.column_stack([cell_of[keep], found[keep]]), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _neighbours(cells: I64, order: int) -> I64:
    """The eight pixels around each, shape (8, n); -1 where there are only seven."""
    last = (1 << order) - 1
    x, y = _every_other_bit(cells & ((1 << 2 * order) - 1))
    face = cells & ~np.int64((1 << 2 * order) - 1)
    near = np.empty((8, len(cells)), np.int64)
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    for k, (i, j) in enumerate(steps):
        near[k] = face | _spread(x + i) | (_spread(y + j) << 1)
    at_edge = np.flatnonzero((x == 0) | (x == last) | (y == 0) | (y == last))
    if len(at_edge):
        # Few pixels lie at the edges of the twelve base pixels, where it is not that simple.
        import healpy  # noqa: PLC0415 - slow to import

        near[:, at_edge] = healpy.get_all_neighbours(1 << order, cells[at_edge], nest=True)
    return near


_SPREADING = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F),
              (2, 0x3333333333333333), (1, _EVEN_BITS))  # fmt: skip


def _spread(values: I64) -> I64:
    """Bits of numbers, with a zero bit behind each."""
    out = values & 0xFFFFFFFF
    for shift, mask in _SPREADING:
        out = (out | (out << shift)) & mask
    return out


def _every_other_bit(values: I64) -> tuple[I64, I64]:
    """Numbers made of the even and of the odd bits."""
    found = []
    for bits in (values, values >> 1):
        out = bits & _EVEN_BITS
        for (shift, _), (_, mask) in zip(_SPREADING[::-1], _SPREADING[-2::-1], strict=False):
            out = (out | (out >> shift)) & mask
        found.append((out | (out >> 16)) & 0xFFFFFFFF)
    return found[0], found[1]


def _empty_pixels(near: I64, order: int, tiling: Tiling) -> I64:
    """Largest pixels without rows that hold small ones."""
    out = np.zeros(len(near), np.int64)
    starts, stops = tiling.starts, tiling.stops
    for k in range(order + 1):
        open_ = np.flatnonzero(out == 0)
        pixels = near[open_] >> 2 * (order - k)
        first, last = pixels << 2 * (ORDER - k), (pixels + 1) << 2 * (ORDER - k)
        # Of pixels that end behind its start, does the first begin before its end?
        behind = np.searchsorted(stops, first, "right")
        is_free = behind == len(starts)
        is_free |= starts[np.minimum(behind, len(starts) - 1)] >= last
        out[open_[is_free]] = uniq(k, pixels[is_free])
    return out
