"""Compaction: rows of many commits become one sorted set of files a region.

Ingest leaves the rows of a commit together in a few shared files. Compaction deals them
out: each region gets files of its own (small ones share theirs), objects in sky order,
measures in the order of their objects, so that a cone reads few tiles and one object's
measures lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvo.partition.deal import split_crowded
from dvo.partition.manifest import ALL_SKY, CatalogRow, Part
from dvo.partition.sorted_tables import OWN_FILE_ROWS, read_sorted, write_sorted
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import (
    GROUP_ROWS,
    Facts,
    Group,
    Runner,
    register_write,
    write_groups,
)
from dvo.partition.writing import TABLES, Writing
from dvo.tables.fits import Level
from dvo.tables.image import IMAGE

__all__ = ["compact_busy", "resort"]

_OPERATION = "compact"


def resort(
    store: Store,
    regions: Iterable[int] | None = None,
    *,
    engine: Runner | None = None,
    progress: Callable[[int, int], None] | None = None,
    own_file_rows: int = OWN_FILE_ROWS,
) -> int:
    """Compact catalogs, and the Image table with all of them, in one commit.

    Catalogs that have outgrown the limit of the database are split before, in a commit of
    its own.

    Parameters
    ----------
    store : Store
        Open for writing.
    regions : iterable of int, optional
        Which; None for all.
    engine : Runner, optional
        Where catalogs are read, sorted and written; None for the threads of this process.
    progress : callable, optional
        Called with regions done and regions in all.
    own_file_rows : int
        Measures from which a catalog gets files of its own.

    Returns
    -------
    int
        Catalogs that were compacted or split; those already compact are left alone.
    """
    view = store.view()
    wanted = view.regions() if regions is None else sorted(set(regions))
    view, n_split = split_crowded(store, view, wanted, level="small", engine=engine)
    # What was split is compact.
    wanted = [r for r in wanted if view.catalog(r).n_average] if n_split else wanted
    images = view.parts(IMAGE, ALL_SKY) if regions is None else []
    work = _Compaction(store, view, "small", own_file_rows, engine)
    some_images = images if len(images) > 1 else []
    return n_split + work.run(_not_compact(view, wanted), some_images, progress)


def compact_busy(store: Store, *, at_least: int, engine: Runner | None = None) -> int:
    """Compact the catalogs that have become slow to read, and the Image table.

    A catalog is due when its Measure rows are in `at_least` parts and the loose ones have
    grown to half of the compacted ones (or there are very many parts): then what a row
    costs in compactions grows only as the logarithm of the catalog. One that is due and has
    outgrown the limit of the database is split instead, in a commit of its own.

    Parameters
    ----------
    store : Store
        Open for writing.
    at_least : int
        Parts below which a catalog is left alone.
    engine : Runner, optional
        Where catalogs are read, sorted and written; None for the threads of this process.

    Returns
    -------
    int
        Catalogs that were compacted or split.
    """
    due = store.manifest.busy_catalogs(at_least)
    view, n_split = split_crowded(store, store.view(), due, level="fast", engine=engine)
    if n_split:
        due = store.manifest.busy_catalogs(at_least)
    images = _loose_tail(view.parts(IMAGE, ALL_SKY), at_least)
    work = _Compaction(store, view, "fast", OWN_FILE_ROWS, engine)
    return n_split + work.run(due, images, None)


def _not_compact(view: View, regions: Sequence[int]) -> list[int]:
    """Those of the regions that are not sorted, or whose tables are in several parts."""
    parts = view.part_table(regions)
    most = np.zeros(len(regions), np.int64)
    for schema in TABLES:
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


@dataclass(frozen=True)
class _Compaction:
    """How catalogs are compacted."""

    store: Store
    view: View
    level: Level
    own_file_rows: int
    engine: Runner | None

    def run(
        self,
        regions: Sequence[int],
        images: Sequence[Part],
        progress: Callable[[int, int], None] | None,
    ) -> int:
        """Compact catalogs, and make one part of some of the Image table; counts catalogs."""
        if not regions and not images:
            return 0
        view = self.view
        params = {"catalogs": len(regions), "image_parts": len(images)}
        request = {"level": self.level, "own_file_rows": self.own_file_rows}
        with self.store.begin("resort", params, view) as change:
            if images:
                table = view.read_parts(IMAGE, images)
                change.drop_parts(images)
                change.put_global(table, "Images", replace_all=False)
            groups = list(_groups(view, regions))
            write_groups(change, _OPERATION, request, groups, engine=self.engine,
                         progress=progress)  # fmt: skip
            change.commit()
        return len(regions)


def _groups(view: View, regions: Sequence[int]) -> Iterator[Group]:
    """Regions that are dealt with together, and how many rows they have."""
    counts = view.catalogs(regions)
    group: list[int] = []
    n_rows = 0
    for region in regions:
        group.append(region)
        n_rows += counts[region].n_average + counts[region].n_measure
        if n_rows > GROUP_ROWS:
            yield group, n_rows
            group, n_rows = [], 0
    if group:
        yield group, n_rows


def _compact(change: Writing, regions: Sequence[int], request: Mapping[str, Any]) -> Facts:
    """Compact a group of catalogs: a write operation."""
    view, own_file_rows = change.base, request["own_file_rows"]
    counts = view.catalogs(regions)
    shared = [r for r in regions if counts[r].n_measure < own_file_rows]
    change.drop_parts(view.part_table(shared))  # `put_catalog` drops those of the others
    write_sorted(change, regions, read_sorted(view, regions), level=request["level"],
                 label=f"r{regions[0]}", own_file_rows=own_file_rows)  # fmt: skip
    change.set_catalogs(
        CatalogRow(r, row.n_average, row.next_obj_id, row.n_measure, is_sorted=True)
        for r, row in counts.items()
    )
    return {}


register_write(_OPERATION, _compact)
