"""Compaction: rows of many commits become one sorted set of files a region.

Ingest leaves the rows of a commit together in a few shared files. Compaction deals them
out: each region gets files of its own, objects in sky order, measures in the order of
their objects, so that a cone reads few tiles and one object's measures lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dvo.partition.manifest import CatalogRow
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.fits import Level
from dvo.tables.links import sort_catalog
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT

__all__ = ["compact_busy", "resort"]

_WAIT_ROWS = 2_000_000
"""Rows that may be waiting to be written: bounds the memory of a compaction."""

_FORCED_PARTS = 128


def resort(
    store: Store,
    regions: Iterable[int] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
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

    Returns
    -------
    int
        Catalogs that were compacted; those already compact are left alone.
    """
    view = store.view()
    wanted = view.regions() if regions is None else sorted(regions)
    return _compact(store, view, [r for r in wanted if not _is_compact(view, r)], "small", progress)


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
    return _compact(store, view, due, "fast", None)


def _is_compact(view: View, region: int) -> bool:
    parts = [p for t in (AVERAGE, SECFILT, MEASURE) for p in view.parts(t, region)]
    return view.catalog(region).is_sorted and len(parts) <= 3


def _compact(
    store: Store,
    view: View,
    regions: list[int],
    level: Level,
    progress: Callable[[int, int], None] | None,
) -> int:
    if not regions:
        return 0
    with store.begin("resort", {"catalogs": len(regions)}, view) as change:
        waiting = 0
        for done, region in enumerate(regions):
            waiting += _compact_region(change, view, region, level)
            if waiting > _WAIT_ROWS:
                change.wait()
                waiting = 0
            if progress is not None:
                progress(done + 1, len(regions))
        change.commit()
    return len(regions)


def _compact_region(change: Transaction, view: View, region: int, level: Level) -> int:
    tables = sort_catalog(
        *(view.read(t, region, t.stored_names) for t in (AVERAGE, SECFILT, MEASURE))
    )
    change.put_catalog(region, tables, level=level)
    old = view.catalog(region)
    change.set_catalogs(
        [CatalogRow(region, old.n_average, old.next_obj_id, old.n_measure, is_sorted=True)]
    )
    return len(tables[2])
