"""Compaction: rows of many commits become one sorted set of files a region.

Ingest leaves the rows of a commit together in a few shared files. Compaction deals them
out: each region gets files of its own (small ones share theirs), objects in sky order,
measures in the order of their objects, so that a cone reads few tiles and one object's
measures lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import ALL_SKY, CatalogRow, Part
from dvo.partition.store import Store
from dvo.partition.transaction import TILE_ROWS, Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import Level
from dvo.tables.image import IMAGE
from dvo.tables.links import sort_catalogs
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES, sort_satellites
from dvo.tables.secfilt import SECFILT

__all__ = ["OWN_FILE_ROWS", "compact_busy", "resort"]

OWN_FILE_ROWS = TILE_ROWS
"""Measures from which a catalog has files of its own: a whole tile."""

_GROUP_ROWS = 250_000
"""Rows of catalogs that are sorted together; the small ones of them share a file."""

_WAITING = 4
"""Groups to sort and files to write that may wait when the next group is begun."""

_TABLES = (AVERAGE, SECFILT, MEASURE)


def resort(
    store: Store,
    regions: Iterable[int] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    own_file_rows: int = OWN_FILE_ROWS,
) -> int:
    """Compact catalogs, and the Image table with all of them, in one commit.

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
    wanted = view.regions() if regions is None else sorted(set(regions))
    images = view.parts(IMAGE, ALL_SKY) if regions is None else []
    work = _Compaction(store, view, "small", own_file_rows)
    return work.run(_not_compact(view, wanted), images if len(images) > 1 else [], progress)


def compact_busy(store: Store, *, at_least: int) -> int:
    """Compact the catalogs that have become slow to read, and the Image table.

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
    images = _loose_tail(view.parts(IMAGE, ALL_SKY), at_least)
    work = _Compaction(store, view, "fast", OWN_FILE_ROWS)
    return work.run(store.manifest.busy_catalogs(at_least), images, None)


def _not_compact(view: View, regions: Sequence[int]) -> list[int]:
    """Those of the regions that are not sorted, or whose tables are in several parts."""
    parts = view.part_table(regions)
    most = np.zeros(len(regions), np.int64)
    for schema in (*_TABLES, *(s.schema for s in SATELLITES)):
        of_table = parts.regions[parts.are(table=schema.name)]
        np.maximum(
            most, np.bincount(np.searchsorted(regions, of_table), minlength=len(regions)), out=most
        )
    known = view.catalogs(regions)
    return [
        region
        for region, n in zip(regions, most.tolist(), strict=True)
        if region in known and (n > 1 or not known[region].is_sorted)
    ]


def _loose_tail(parts: Sequence[Part], at_least: int) -> Sequence[Part]:
    """The newest parts of a table that are to become one; none if it has few.

    A part is joined to those behind it when they have together grown to half of its rows.
    So sizes fall by halves from part to part, there are few parts, and a row is written
    again only as often as the logarithm of the table. Whole tables are not made anew:
    that of the images of a long survey is large, and every commit adds to it.
    """
    if len(parts) < at_least:
        return []
    if any(p.kind != "rows" for p in parts):
        return parts  # rows with changes to them are put together at once
    first = len(parts) - 1
    n_rows = parts[first].n_rows
    while first > 0 and 2 * n_rows >= parts[first - 1].n_rows:
        first -= 1
        n_rows += parts[first].n_rows
    return parts[first:] if first < len(parts) - 1 else []


class _Compaction:
    """A compaction on its way."""

    def __init__(self, store: Store, view: View, level: Level, own_file_rows: int) -> None:
        self._store = store
        self._view = view
        self._level = level
        self._own_file_rows = own_file_rows

    def run(
        self,
        regions: Sequence[int],
        images: Sequence[Part],
        progress: Callable[[int, int], None] | None,
    ) -> int:
        """Compact catalogs and make one part of some of the Image table; counts catalogs."""
        if not regions and not images:
            return 0
        view = self._view
        params = {"catalogs": len(regions), "image_parts": len(images)}
        with self._store.begin("resort", params, view) as change:
            if images:
                table = view.read_parts(IMAGE, images)
                change.drop_parts(images)
                change.put_global(table, "Images", replace_all=False)
            done: list[int] = []
            for label, (some, n_rows) in enumerate(self._groups(regions)):
                # What is held in memory stays bounded: a few groups, or one huge catalog.
                change.wait(at_most=_WAITING if n_rows < 2 * _GROUP_ROWS else 0)
                change.do(partial(self._compact_group, change, some, f"r{label}", done))
                if progress is not None:
                    progress(len(done), len(regions))
            change.wait()
            if progress is not None:
                progress(len(done), len(regions))
            change.commit()
        return len(regions)

    def _groups(self, regions: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Regions that are dealt with together, and how many rows they have."""
        counts = self._view.catalogs(regions)
        group: list[int] = []
        n_rows = 0
        for region in regions:
            group.append(region)
            n_rows += counts[region].n_average + counts[region].n_measure
            if n_rows > _GROUP_ROWS:
                yield group, n_rows
                group, n_rows = [], 0
        if group:
            yield group, n_rows

    def _compact_group(
        self, change: Transaction, regions: list[int], label: str, done: list[int]
    ) -> None:
        view, level = self._view, self._level
        counts = view.catalogs(regions)
        own = [r for r in regions if counts[r].n_measure >= self._own_file_rows]
        shared = [r for r in regions if counts[r].n_measure < self._own_file_rows]
        if shared:
            tables = self._sorted(shared)
            parts = view.part_table(shared)
            for table, edges in tables:
                change.drop_parts(parts.take(parts.are(table=table.schema.name)))
                if len(table) and table.without_nulls().columns:
                    change.add_rows(table, shared, edges, level=level, label=label)
        for region in own:
            change.put_catalog(region, [t for t, _ in self._sorted([region])], level=level)
        change.set_catalogs(
            CatalogRow(r, row.n_average, row.next_obj_id, row.n_measure, is_sorted=True)
            for r, row in counts.items()
        )
        done += regions

    def _sorted(self, regions: list[int]) -> list[tuple[ColumnTable, NDArray[np.int64]]]:
        """The tables of some catalogs, sorted, and where the rows of each begin."""
        found = [self._view.read_many(t, regions, t.stored_names) for t in _TABLES]
        (average, edges), (secfilt, _), (measure, runs) = found
        tables = sort_catalogs(average, secfilt, measure, edges, runs)
        out = list(zip(tables, (e for _, e in found), strict=True))
        return out + self._sorted_satellites(tables[0], edges, regions)

    def _sorted_satellites(
        self, average: ColumnTable, edges: NDArray[np.int64], regions: list[int]
    ) -> list[tuple[ColumnTable, NDArray[np.int64]]]:
        """Satellite tables of some catalogs, sorted; links of their objects are set."""
        parts = self._view.part_table(regions)
        out = []
        for satellite in SATELLITES:
            schema = satellite.schema
            if not parts.are(table=schema.name).any():
                if satellite.count not in average:
                    continue
                table, runs = ColumnTable(schema, {}, 0), np.zeros(len(regions) + 1, np.int64)
            else:
                table, runs = self._view.read_many(schema, regions, schema.stored_names)
            out.append((sort_satellites(average, edges, satellite, table, runs), runs))
        return out
