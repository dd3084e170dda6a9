"""Ranges that values of columns have to lie in, and the tiles and parts that they rule out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.partition.cache import TileCache
from dvo.partition.manifest import PartTable

__all__ = ["ColumnRange", "kept_runs", "parts_that_may_hold", "tiles_that_may_hold",
           "unchanged_ranges"]  # fmt: skip

Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ColumnRange:
    """A column whose values have to lie in a range, or rows may be left out.

    Parameters
    ----------
    name : str
        The column.
    low, high : float
        The range, ends included, in the unit of the column; infinite where it has no end.
    """

    name: str
    low: float
    high: float


def tiles_that_may_hold(
    cache: TileCache, path: str, ranges: Sequence[ColumnRange]
) -> tuple[int, Bool] | None:
    """Find the tiles of a data file that may hold rows with values in all ranges.

    Parameters
    ----------
    cache : TileCache
        Where files are read through.
    path : str
        Path relative to the catdir.
    ranges : sequence of ColumnRange
        The ranges. Nulls lie in none; those of integers count as the number that stands for
        them, which rules out less.

    Returns
    -------
    tuple of int and ndarray of bool, or None
        Rows of a tile, and whether each tile may hold such rows; None if the file does not
        record the bounds of any of the columns.
    """
    found: tuple[int, Bool] | None = None
    for wanted in ranges:
        bounds = cache.tile_bounds(path, [wanted.name])
        if bounds is None:
            continue
        tile_rows, ((least, greatest),) = bounds
        # NaN, the bounds of a tile without values, is in no range.
        may = (greatest >= wanted.low) & (least <= wanted.high)
        found = tile_rows, may if found is None else found[1] & may
    return found


def kept_runs(start: int, stop: int, tile_rows: int, may_hold: Bool) -> list[tuple[int, int]]:
    """Cut a run of rows to the tiles that may hold what is wanted.

    Parameters
    ----------
    start, stop : int
        The run.
    tile_rows : int
        Rows of a tile.
    may_hold : ndarray of bool
        Of each tile of the file.

    Returns
    -------
    list of tuple of int
        Runs, ascending, that hold all rows of such tiles.
    """
    first, last = start // tile_rows, -(-stop // tile_rows)
    edges = np.flatnonzero(np.diff(may_hold[first:last], prepend=False, append=False)) + first
    return [
        (max(begin * tile_rows, start), min(end * tile_rows, stop))
        for begin, end in edges.reshape(-1, 2).tolist()
    ]


def unchanged_ranges(parts: PartTable, ranges: Sequence[ColumnRange]) -> list[ColumnRange]:
    """Pick the ranges of columns that no overlay changes: bounds are of what was first written.

    Parameters
    ----------
    parts : PartTable
        All parts of a table in some regions.
    ranges : sequence of ColumnRange
        The ranges.

    Returns
    -------
    list of ColumnRange
        Those of them.
    """
    files = (parts.rows_of_files[number] for number in set(parts.files.tolist())) if ranges else ()
    over = [file.columns for file in files if file.kind == "overlay"]
    return [r for r in ranges if not any(r.name in columns for columns in over)]


def parts_that_may_hold(
    cache: TileCache, parts: PartTable, ranges: Sequence[ColumnRange]
) -> PartTable:
    """Leave out parts of a table that hold no row with values in all ranges.

    Parameters
    ----------
    cache : TileCache
        Where files are read through.
    parts : PartTable
        All parts of the table in some regions.
    ranges : sequence of ColumnRange
        The ranges; see `tiles_that_may_hold`.

    Returns
    -------
    PartTable
        The other parts. All of them where there are patches: those count rows.
    """
    kinds = {number: parts.rows_of_files[number].kind for number in set(parts.files.tolist())}
    if not ranges or "patch" in kinds.values():
        return parts
    ranges = unchanged_ranges(parts, ranges)
    is_kept = np.ones(len(parts), np.bool_)
    for number, kind in kinds.items():
        found = None
        if kind == "rows":
            found = tiles_that_may_hold(cache, parts.rows_of_files[number].path, ranges)
        if found is None:
            continue
        tile_rows, may_hold = found
        here = np.flatnonzero(parts.files == number)
        before = np.concatenate([[0], np.cumsum(may_hold)])
        first, last = parts.starts[here] // tile_rows, -(-parts.stops[here] // tile_rows)
        is_kept[here] = before[last] > before[first]
    if "overlay" in kinds.values():
        is_over = parts.targets != 0
        is_kept[is_over] = np.isin(parts.targets[is_over], parts.ids[~is_over & is_kept])
    return parts.take(is_kept)
