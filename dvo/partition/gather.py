"""One table of many regions, put together from their parts at once.

A catalogue of the whole sky has very many regions of a few rows. Here what the parts of
all of them share is done once: each file is read in one sweep, and its rows are dealt out
to their places by arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.cache import TileCache
from dvo.partition.kernels import spread_runs
from dvo.partition.manifest import PartTable
from dvo.tables.column_table import ColumnTable
from dvo.tables.schema import TableSchema

__all__ = ["ROW", "gather_rows", "patched_rows", "row_runs"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

ROW = "row"
"""Column of a patch that names the rows it changes."""


def gather_rows(
    cache: TileCache,
    schema: TableSchema,
    names: Sequence[str],
    parts: PartTable,
    regions: I64,
    edges: I64,
    *,
    once: bool = False,
) -> ColumnTable:
    """Put a table of many regions together.

    Parameters
    ----------
    cache : TileCache
        Where files are read through.
    schema : TableSchema
        Which table.
    names : sequence of str
        Which columns; stored ones.
    parts : PartTable
        Its parts in these regions, in the order of regions and numbers.
    regions : ndarray of int64, shape (n,)
        The regions, ascending.
    edges : ndarray of int64, shape (n + 1,)
        Row of the result at which each region begins, and where the last one ends.
    once : bool
        Whether nobody will ask for these rows again, as in `TileCache.deal_out`.

    Returns
    -------
    ColumnTable
        The rows, region after region. Columns wholly null may be left unset.
    """
    n_rows = int(edges[-1])
    begins = edges[np.searchsorted(regions, parts.regions)]
    is_rows = parts.are(table=schema.name, kind="rows")
    is_patch = parts.are(table=schema.name, kind="patch")
    # Where the rows of each part go: whole rows behind those before them, overlays over
    # their targets; patches count from where their region begins.
    sizes = np.where(is_rows, parts.sizes, 0)
    first_of_region = np.searchsorted(parts.regions, parts.regions)
    before = np.cumsum(sizes) - sizes
    places = begins + before - before[first_of_region] if len(parts) else begins
    is_overlay = ~is_rows & ~is_patch
    if is_overlay.any():
        by_id = np.argsort(parts.ids)
        target = by_id[np.searchsorted(parts.ids[by_id], parts.targets[is_overlay])]
        places[is_overlay] = places[target]
    places[is_patch] = begins[is_patch]
    columns: dict[str, Array] = {}
    for group in _rounds(parts, first_of_region):
        _deal_out(cache, schema, names, parts.take(group), places[group],
                  columns, n_rows, is_patch=bool(is_patch[group[0]]), once=once)  # fmt: skip
    return ColumnTable(schema, columns, n_rows)


def _rounds(parts: PartTable, first_of_region: I64) -> Iterator[I64]:
    """Parts of one file that can be applied together, in an order that keeps each region's."""
    turn = np.arange(len(parts)) - first_of_region
    order = np.lexsort((parts.starts, parts.files, turn))
    key = np.column_stack([turn[order], parts.files[order]])
    edges = np.flatnonzero((key[1:] != key[:-1]).any(axis=1)) + 1
    yield from np.split(order, edges) if len(order) else ()


def _deal_out(
    cache: TileCache,
    schema: TableSchema,
    names: Sequence[str],
    parts: PartTable,
    places: I64,
    columns: dict[str, Array],
    n_rows: int,
    *,
    is_patch: bool,
    once: bool,
) -> None:
    """Put the rows of parts of one file where they belong."""
    path = parts.rows_of_files[int(parts.files[0])].path
    rows = row_runs(parts.starts, parts.sizes)
    if is_patch:
        at = np.empty(len(rows), np.int64)
        cache.deal_out(path, [ROW], rows, np.arange(len(rows)), {ROW: at}.__getitem__)
        places_of_rows = np.repeat(places, parts.sizes) + at
    else:
        places_of_rows = row_runs(places, parts.sizes)

    def column(name: str) -> Array:
        if name not in columns:
            columns[name] = schema[name].nulls(n_rows)
        return columns[name]

    cache.deal_out(path, names, rows, places_of_rows, column, once=once)


def row_runs(starts: I64, sizes: I64) -> I64:
    """Rows of many runs, one after the other.

    Parameters
    ----------
    starts, sizes : ndarray of int64, shape (n,)
        First row of each run, and how many it has.

    Returns
    -------
    ndarray of int64, shape (sizes.sum(),)
        The rows.
    """
    return spread_runs(starts.astype(np.int64, copy=False), sizes.astype(np.int64, copy=False))


def patched_rows(cache: TileCache, parts: PartTable) -> Iterator[tuple[I64, I64, I64]]:
    """Find which rows of their tables patches change.

    Parameters
    ----------
    cache : TileCache
        Where data files are read through.
    parts : PartTable
        Parts of kind ``patch``.

    Yields
    ------
    places : ndarray of int64, shape (n,)
        Which of the parts: those of one file.
    least, greatest : ndarray of int64, shape (n,)
        First and last row that each of them changes.
    """
    for number in np.unique(parts.files).tolist():
        places = np.flatnonzero(parts.files == number)
        places = places[np.argsort(parts.starts[places], kind="stable")]
        starts, sizes = parts.starts[places], parts.sizes[places]
        path = parts.rows_of_files[number].path
        rows = np.empty(int(sizes.sum()), np.int64)
        runs = row_runs(starts, sizes)
        cache.deal_out(path, [ROW], runs, np.arange(len(rows)), {ROW: rows}.__getitem__)
        at = np.cumsum(sizes) - sizes
        yield places, np.minimum.reduceat(rows, at), np.maximum.reduceat(rows, at)
