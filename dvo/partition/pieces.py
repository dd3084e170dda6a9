"""Columns of many regions as they lie in memory, tile by tile, without a copy.

What reads whole columns again and again, as queries do, wants each tile made into what it
works on once, and then only pointed at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.cache import TileCache
from dvo.partition.column_range import ColumnRange, kept_runs, tiles_that_may_hold
from dvo.partition.manifest import FileRow, PartTable
from dvo.partition.tile_block import PieceRun
from dvo.tables.schema import Column, TableSchema

__all__ = ["Make", "column_pieces"]

Array = NDArray[Any]

Make = Callable[[Column, Array], Any]
"""Makes of values of a column something that has ``slice(first, length)``."""

_LEAST_ROWS = 1000
"""Rows a part on average, below which copying is quicker than pointing."""


def column_pieces(
    cache: TileCache,
    schema: TableSchema,
    names: Sequence[str],
    parts: PartTable,
    make: Make,
    ranges: Sequence[ColumnRange] = (),
) -> dict[str, list[Any]] | None:
    """Find the pieces of some columns.

    Parameters
    ----------
    cache : TileCache
        Where files are read through; it keeps what is made of their tiles.
    schema : TableSchema
        The table.
    names : sequence of str
        Columns that are stored.
    parts : PartTable
        The parts of the table in some regions, in the order of regions and numbers.
    make : callable
        Makes pieces; always the same for a column.
    ranges : sequence of ColumnRange
        Ranges of columns that no overlay changes: tiles without a row in all of them are
        left out.

    Returns
    -------
    dict of str to list, or None
        Pieces that together are the column, region after region. None where rows are
        patched, or too scattered for this to be worth it.
    """
    is_rows = parts.are(table=schema.name, kind="rows")
    if parts.are(table=schema.name, kind="patch").any() or not is_rows.any():
        return None
    if parts.sizes[is_rows].sum() < _LEAST_ROWS * np.count_nonzero(is_rows):
        return None
    found: dict[str, list[Any]] = {name: [] for name in names}
    stretches = _stretches(schema, names, parts)
    if ranges:
        stretches = [kept for s in stretches for kept in _cut(cache, s, names, ranges)]
    runs = [stretch.run(schema, make) for stretch in stretches]
    for stretch, made in zip(stretches, cache.pieces(runs), strict=True):
        for name in stretch.names:
            found[name] += made.get(name) or [
                make(schema[name], schema[name].nulls(stretch.stop - stretch.start))
            ]
    return found


@dataclass
class _Stretch:
    """Rows of one file that follow each other, and columns to take from there."""

    file: FileRow
    start: int
    stop: int
    names: Sequence[str]

    def run(self, schema: TableSchema, make: Make) -> PieceRun:
        makes = {n: partial(make, schema[n]) for n in self.names if n in self.file.columns}
        return PieceRun(self.file.path, self.start, self.stop, makes)


def _cut(
    cache: TileCache, stretch: _Stretch, names: Sequence[str], ranges: Sequence[ColumnRange]
) -> list[_Stretch]:
    """Cut a stretch to the tiles that may hold rows in all ranges."""
    # Of columns from different files the tiles do not begin at the same rows.
    whole = stretch.names is names
    found = tiles_that_may_hold(cache, stretch.file.path, ranges) if whole else None
    if found is None:
        return [stretch]
    return [
        replace(stretch, start=start, stop=stop)
        for start, stop in kept_runs(stretch.start, stretch.stop, *found)
    ]


def _stretches(schema: TableSchema, names: Sequence[str], parts: PartTable) -> list[_Stretch]:
    """Where columns lie; parts that are neighbours in a file, as those of compaction, are one."""
    is_rows = parts.are(table=schema.name, kind="rows")
    newest = _newest(schema, names, parts)
    changed = {i for i, _ in newest}
    found: list[_Stretch] = []
    at = np.flatnonzero(is_rows)
    numbers, starts, sizes = (v[at].tolist() for v in (parts.files, parts.starts, parts.sizes))
    for i, number, start, size in zip(parts.ids[at].tolist(), numbers, starts, sizes, strict=True):
        file = parts.rows_of_files[number]
        if i in changed:
            of: dict[int, list[str]] = {}
            for name in names:
                of.setdefault(newest.get((i, name), -1), []).append(name)
            for k, some in of.items():
                over = file if k < 0 else parts.rows_of_files[int(parts.files[k])]
                first = start if k < 0 else int(parts.starts[k])
                found.append(_Stretch(over, first, first + size, some))
        elif (
            found
            and found[-1].file is file
            and found[-1].stop == start
            and (found[-1].names is names)
        ):
            found[-1].stop += size
        else:
            found.append(_Stretch(file, start, start + size, names))
    return found


def _newest(
    schema: TableSchema, names: Sequence[str], parts: PartTable
) -> dict[tuple[int, str], int]:
    """Overlay that has the newest values of a column of a part, by part and column."""
    found: dict[tuple[int, str], int] = {}
    for k in np.flatnonzero(parts.are(table=schema.name, kind="overlay")).tolist():
        has = parts.rows_of_files[int(parts.files[k])].columns
        found |= {(int(parts.targets[k]), name): k for name in names if name in has}
    return found
