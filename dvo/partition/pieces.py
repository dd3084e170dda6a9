"""Columns of many regions as they lie in memory, tile by tile, without a copy.

What reads whole columns again and again, as queries do, wants each tile made into what it
works on once, and then only pointed at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.cache import TileCache
from dvo.partition.manifest import PartTable
from dvo.tables.schema import Column, TableSchema

__all__ = ["Make", "column_pieces"]

Array = NDArray[Any]

Make = Callable[[Column, Array], Any]
"""Makes of values of a column something that has ``slice(first, length)``."""

_LEAST_ROWS = 1000
"""Rows a part on average, below which copying is quicker than pointing."""


def column_pieces(
    cache: TileCache, schema: TableSchema, names: Sequence[str], parts: PartTable, make: Make
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
    sources = _newest(schema, names, parts)
    for i in np.flatnonzero(is_rows).tolist():
        n_rows = int(parts.sizes[i])
        for name in names:
            k = sources.get((int(parts.ids[i]), name), i)
            file = parts.rows_of_files[int(parts.files[k])]
            if name not in file.columns:
                found[name].append(make(schema[name], schema[name].nulls(n_rows)))
                continue
            start = int(parts.starts[k])
            made = _maker(schema[name], make)
            found[name] += cache.pieces(file.path, name, start, start + n_rows, made)
    return found


def _maker(column: Column, make: Make) -> Callable[[Array], Any]:
    return lambda values: make(column, values)


def _newest(
    schema: TableSchema, names: Sequence[str], parts: PartTable
) -> dict[tuple[int, str], int]:
    """Overlay that has the newest values of a column of a part, by part and column."""
    found: dict[tuple[int, str], int] = {}
    for k in np.flatnonzero(parts.are(table=schema.name, kind="overlay")).tolist():
        has = parts.rows_of_files[int(parts.files[k])].columns
        found |= {(int(parts.targets[k]), name): k for name in names if name in has}
    return found
