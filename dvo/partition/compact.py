"""Compaction: rows of many commits become one sorted set of files a region.

Ingest leaves the rows of a commit together in a few shared files. Compaction deals them
out: each region gets files of its own (small ones share theirs), objects in sky order,
measures in the order of their objects, so that a cone reads few tiles and one object's
measures lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from dvo.partition.store import Store
from dvo.partition.transaction import TILE_ROWS, Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import Level
from dvo.tables.links import sort_catalog
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT

__all__ = ["OWN_FILE_ROWS", "compact_busy", "resort"]

_WAIT_ROWS = 2_000_000
"""Rows that may be waiting to be written: bounds the memory of a compaction."""

OWN_FILE_ROWS = TILE_ROWS
"""Measures from which a catalog has files of its own: a whole tile."""

_SHARED_ROWS = 1_000_000
"""Rows of small catalogs that share a file."""

_FORCED_PARTS = 128
_FORESEEN = 2000
_TABLES = (AVERAGE, SECFILT, MEASURE)


def resort(
    store: Store,
    regions: Iterable[int] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    own_file_rows: int = OWN_FILE_ROWS,
) -> int:
    """Compact catalogs, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    regions : iterable of int, optional
        Which; None for all.
    progress : callable, optional
        Called with regions done and regions in all.
    own_file_rows : int
        Measures from which a catalog gets files of its own.

    Returns
    -------
    int
        Catalogs that were compacted; those already compact are left alone.
    """
    view = store.view()
    wanted = view.regions() if regions is None else sorted(regions)
    due = []
    for start in range(0, len(wanted), _FORESEEN):
        some = wanted[start : start + _FORESEEN]
        view.foresee(some)
        due += [r for r in some if not _is_compact(view, r)]
    return _compact(store, view, due, "small", progress, own_file_rows)


def compact_busy(store: Store, *, at_least: int) -> int:
    """Compact the catalogs that have become slow to read.

    A catalog is due when its Measure rows are in `at_least` parts and the loose ones have
    grown to half of the compacted ones (or there are very many parts): then what a row
    costs in compactions grows only as the logarithm of the catalog.

    Parameters
    ----------
    store : Store
        Open for writing.
    at_least : int
        Parts below which a catalog is left alone.

    Returns
    -------
    int
        Catalogs that were compacted.
    """
    view = store.view()
    due = []
    for region in store.manifest.busy_catalogs(view.snapshot.id, at_least):
        parts = [p for p in view.parts(MEASURE, region) if p.kind == "rows"]
        largest = max(p.n_rows for p in parts)
        loose = sum(p.n_rows for p in parts) - largest
        if loose * 2 >= largest or len(parts) >= _FORCED_PARTS:
            due.append(region)
    return _compact(store, view, due, "fast", None, OWN_FILE_ROWS)


def _is_compact(view: View, region: int) -> bool:
    parts = [p for t in _TABLES for p in view.parts(t, region)]
    return view.catalog(region).is_sorted and len(parts) <= 3


def _compact(
    store: Store,
    view: View,
    regions: list[int],
    level: Level,
    progress: Callable[[int, int], None] | None,
    own_file_rows: int,
) -> int:
    if not regions:
        return 0
    with store.begin("resort", {"catalogs": len(regions)}, view) as change:
        small = _Small(change, level)
        waiting = 0
        for done, region in enumerate(regions):
            if done % _FORESEEN == 0:
                view.foresee(regions[done : done + _FORESEEN])
            tables = sort_catalog(*(view.read(t, region, t.stored_names) for t in _TABLES))
            if len(tables[2]) < own_file_rows:
                small.add(region, tables)
            else:
                change.put_catalog(region, tables, level=level)
                waiting += len(tables[2])
            old = view.catalog(region)
            change.set_catalogs([replace(old, is_sorted=True)])
            if waiting > _WAIT_ROWS:
                change.wait()
                waiting = 0
            if progress is not None:
                progress(done + 1, len(regions))
        small.flush()
        change.commit()
    return len(regions)


class _Small:
    """Small catalogs on their way into files that they share.

    A survey of bright stars has a hundred thousand catalogs of a few rows: with files of
    their own, headers and inodes would outweigh the rows many times.
    """

    def __init__(self, change: Transaction, level: Level) -> None:
        self._change = change
        self._level = level
        self._held: list[tuple[int, tuple[ColumnTable, ...]]] = []
        self._n_rows = 0
        self._n_files = 0

    def add(self, region: int, tables: tuple[ColumnTable, ...]) -> None:
        """Take the tables of a region."""
        for schema in _TABLES:
            self._change.drop_parts(self._change.base.parts(schema, region))
        self._held.append((region, tables))
        self._n_rows += len(tables[0]) + len(tables[2])
        if self._n_rows > _SHARED_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        regions = [region for region, _ in self._held]
        for k, schema in enumerate(_TABLES):
            tables = [found[k] for _, found in self._held]
            rows = ColumnTable.concatenate(schema, tables)
            if len(rows) and rows.without_nulls().columns:
                edges = np.cumsum([0, *(len(t) for t in tables)])
                label = f"r{self._n_files}"
                self._change.add_rows(rows, regions, edges, level=self._level, label=label)
        self._change.wait()
        self._held.clear()
        self._n_rows = 0
        self._n_files += 1
