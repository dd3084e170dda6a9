"""Compiled search for near positions: a grid of small sky cells, kept as one sorted run of rows.

The number of a cell, cut to a power of two, is a slot; the rows of a slot lie together, with
the full numbers of their cells, which tell far cells of one slot apart.

Distances are squared chords from the haversine formula (`dvo.kernels.sky_cells.chord2`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel
from dvo.kernels.sky_cells import (
    cell_in_zone,
    cells_near,
    chord2,
    half_width,
    precedes,
    sine_of,
    zones_near,
)

__all__ = ["cell_numbers", "count_near", "crowding", "find_nearest", "list_near", "sort_by_slot"]

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

Cells = tuple[I8, I8]
"""Cells in each zone of declination, and the number of the first cell of each."""

Grid = tuple[I8, I8, I8, F8, F8]
"""Where each slot begins; cell, row, ra and dec [deg] of each position, slot after slot."""

_DEG = math.pi / 180.0


@kernel
def cell_numbers(start: int, stop: int, ra: F8, dec: F8, cells: Cells, out: I8) -> None:
    """Fill out with the numbers of the cells that hold some positions.

    Parameters
    ----------
    start, stop : int
        Which of the positions.
    ra, dec : ndarray of float64, shape (n,)
        Positions, finite, ra in [0, 360) [deg].
    cells : tuple of ndarray
        The cells.
    out : ndarray of int64, shape (n,)
        Filled.
    """
    n_cells, first = cells
    n_zones = len(n_cells)
    for i in range(start, stop):
        z = min(max(int((dec[i] + 90.0) * n_zones / 180.0), 0), n_zones - 1)
        n = n_cells[z]
        out[i] = first[z] + min(max(int(ra[i] * n / 360.0), 0), n - 1)


@kernel
def sort_by_slot(cell: I8, ra: F8, dec: F8, n_slots: int) -> Grid:
    """Sort positions by slot, those of a slot in the order of their rows.

    Parameters
    ----------
    cell : ndarray of int64, shape (n,)
        Cell of each position.
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    n_slots : int
        Number of slots, a power of two.

    Returns
    -------
    tuple of ndarray
        The grid.
    """
    n = len(cell)
    mask = n_slots - 1
    edges = np.zeros(n_slots + 1, np.int64)
    for i in range(n):
        edges[(cell[i] & mask) + 1] += 1
    for s in range(n_slots):
        edges[s + 1] += edges[s]
    place = edges[:-1].copy()
    g_cell, g_row = np.empty(n, np.int64), np.empty(n, np.int64)
    g_ra, g_dec = np.empty(n), np.empty(n)
    for i in range(n):
        s = cell[i] & mask
        k = place[s]
        place[s] = k + 1
        g_cell[k], g_row[k], g_ra[k], g_dec[k] = cell[i], i, ra[i], dec[i]
    return edges, g_cell, g_row, g_ra, g_dec


@kernel
def crowding(edges: I8) -> float:
    """Positions that one of them finds in its slot, on average."""
    total = 0.0
    for s in range(len(edges) - 1):
        n = float(edges[s + 1] - edges[s])
        total += n * n
    return total / max(1.0, float(edges[-1]))


@kernel
def find_nearest(
    start: int,
    stop: int,
    ra: F8,
    dec: F8,
    radius: float,
    cells: Cells,
    grid: Grid,
    row: I8,
    d2: F8,
) -> None:
    """Find the nearest position of a grid to each of some others.

    Parameters
    ----------
    start, stop : int
        Which of the others.
    ra, dec : ndarray of float64, shape (n,)
        Where they are, ra in [0, 360) [deg]; NaN finds nothing.
    radius : float
        How far to look [deg], at most 1; the edge counts.
    cells, grid : tuple of ndarray
        The grid.
    row : ndarray of int64, shape (n,)
        Filled with the row of the nearest; -1 if there is none. Of equally near ones that
        of lower declination, then right ascension, then number.
    d2 : ndarray of float64, shape (n,)
        Filled with the squared chord; NaN if there is none.
    """
    n_cells, first = cells
    edges, g_cell, g_row, g_ra, g_dec = grid
    mask = len(edges) - 2
    limit = 2.0 * math.sin(0.5 * radius * _DEG)
    limit *= limit
    for i in range(start, stop):
        best, best2 = -1, math.nan
        a, d = ra[i], dec[i]
        if a == a and d == d:
            cosd = math.cos(d * _DEG)
            sind = sine_of(d, cosd)
            half = half_width(radius, d, cosd)
            z_low, z_high = zones_near(d, radius, len(n_cells))
            for z in range(z_low, z_high + 1):
                n = n_cells[z]
                c_low, c_high = cells_near(a, half, n)
                for c in range(c_low, c_high + 1):
                    cell = first[z] + cell_in_zone(c, n)
                    s = cell & mask
                    for k in range(edges[s], edges[s + 1]):
                        if g_cell[k] != cell or abs(g_dec[k] - d) > radius:
                            continue
                        x2 = chord2(g_ra[k] - a, g_dec[k] - d, cosd, sind)
                        if x2 <= limit and (
                            best < 0
                            or precedes(
                                x2, g_dec[k], g_ra[k], k, best2, g_dec[best], g_ra[best], best
                            )
                        ):
                            best, best2 = k, x2
        row[i] = g_row[best] if best >= 0 else -1
        d2[i] = best2


@kernel
def count_near(
    start: int, stop: int, ra: F8, dec: F8, radius: float, cells: Cells, grid: Grid, count: I8
) -> None:
    """Count the positions of a grid that are near each of some others.

    Parameters
    ----------
    start, stop : int
        Which of the others.
    ra, dec : ndarray of float64, shape (n,)
        Where they are, ra in [0, 360) [deg]; NaN finds nothing.
    radius : float
        How far to look [deg], at most 1; the edge counts.
    cells, grid : tuple of ndarray
        The grid.
    count : ndarray of int64, shape (n,)
        Filled.
    """
    none_i, none_f = np.empty(0, np.int64), np.empty(0, np.float64)
    for i in range(start, stop):
        count[i] = _near_one(ra[i], dec[i], radius, cells, grid, 0, none_i, none_f)


@kernel
def list_near(
    start: int,
    stop: int,
    ra: F8,
    dec: F8,
    radius: float,
    cells: Cells,
    grid: Grid,
    places: I8,
    row: I8,
    d2: F8,
) -> None:
    """List the positions of a grid that are near each of some others, the nearest first.

    Parameters
    ----------
    start, stop : int
        Which of the others.
    ra, dec : ndarray of float64, shape (n,)
        Where they are, ra in [0, 360) [deg]; NaN finds nothing.
    radius : float
        How far to look [deg], at most 1; the edge counts.
    cells, grid : tuple of ndarray
        The grid.
    places : ndarray of int64, shape (n + 1,)
        Where the list of each begins, from the counts.
    row : ndarray of int64, shape (places[n],)
        Filled with rows.
    d2 : ndarray of float64, shape (places[n],)
        Filled with squared chords.
    """
    _, _, g_row, g_ra, g_dec = grid
    for i in range(start, stop):
        low, high = places[i], places[i + 1]
        if high == low:
            continue
        _near_one(ra[i], dec[i], radius, cells, grid, low, row, d2)
        for j in range(low + 1, high):
            k, x2 = row[j], d2[j]
            m = j
            while m > low and precedes(
                x2, g_dec[k], g_ra[k], k, d2[m - 1], g_dec[row[m - 1]], g_ra[row[m - 1]], row[m - 1]
            ):
                row[m], d2[m] = row[m - 1], d2[m - 1]
                m -= 1
            row[m], d2[m] = k, x2
        for j in range(low, high):
            row[j] = g_row[row[j]]


@kernel
def _near_one(
    a: float, d: float, radius: float, cells: Cells, grid: Grid, place: int, row: I8, d2: F8
) -> int:
    """Count what is near one position, and put it down from `place` on if there is room."""
    n_cells, first = cells
    edges, g_cell, _, g_ra, g_dec = grid
    mask = len(edges) - 2
    found = 0
    if not (a == a and d == d):
        return found
    limit = 2.0 * math.sin(0.5 * radius * _DEG)
    limit *= limit
    cosd = math.cos(d * _DEG)
    sind = sine_of(d, cosd)
    half = half_width(radius, d, cosd)
    z_low, z_high = zones_near(d, radius, len(n_cells))
    for z in range(z_low, z_high + 1):
        n = n_cells[z]
        c_low, c_high = cells_near(a, half, n)
        for c in range(c_low, c_high + 1):
            cell = first[z] + cell_in_zone(c, n)
            s = cell & mask
            for k in range(edges[s], edges[s + 1]):
                if g_cell[k] != cell or abs(g_dec[k] - d) > radius:
                    continue
                x2 = chord2(g_ra[k] - a, g_dec[k] - d, cosd, sind)
                if x2 <= limit:
                    if len(row):
                        row[place + found], d2[place + found] = k, x2
                    found += 1
    return found
