"""Catalogs dealt out to another partition: split, joined, or all at another level.

One commit brings the rows of all regions that the new partition does not have to those that
it has in their place. Objects keep `cat_id` and `obj_id`, which say where they were first
made, and `ext_id`; the numbers that a region has given are never given again, whether it has
a catalog or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import CatalogRow, Reach, SnapshotRow
from dvo.partition.partition import Partition, partition_of
from dvo.partition.sorted_tables import OWN_FILE_ROWS, inside, read_dealt, write_sorted
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
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.fits import Level

__all__ = [
    "SHOWN",
    "SPLIT",
    "crowded_regions",
    "deal_out",
    "plan_splits",
    "split_crowded",
    "split_limit",
]

I64 = NDArray[np.int64]

_OPERATION = "deal"

SPLIT = "split"
"""Name in the log of commits that split regions."""

SHOWN = 20
"""Regions that the log names of those that were split."""


def split_limit(store: Store) -> int:
    """Measures above which a catalog is split when it is compacted; 0 for never."""
    return int(store.manifest.meta.get("split_at", "0"))


def crowded_regions(view: View, regions: Iterable[int], limit: int) -> list[int]:
    """Find catalogs that are too large and can be split.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : iterable of int
        Among which.
    limit : int
        Most measures of a catalog; 0 for any number.

    Returns
    -------
    list of int
        Regions above the deepest level with more measures, ascending.
    """
    if limit <= 0:
        return []
    counts = view.catalogs(regions)
    found = np.array([r for r, row in counts.items() if row.n_measure > limit], np.int64)
    crowded: list[int] = found[view.sky.depths(found) < view.sky.max_level].tolist()
    return crowded


def split_crowded(
    store: Store,
    view: View,
    regions: Iterable[int],
    *,
    level: Level,
    engine: Runner | None = None,
) -> tuple[View, int]:
    """Split the catalogs that have more measures than the database's limit, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    view : View
        The newest snapshot.
    regions : iterable of int
        Catalogs to look at.
    level : {'fast', 'small'}
        How hard to compress.
    engine : Runner, optional
        Where catalogs are read and written; None for the threads of this process.

    Returns
    -------
    view : View
        The newest snapshot now.
    n_split : int
        Catalogs that were split; 0 if no commit was made.
    """
    limit = split_limit(store)
    crowded = crowded_regions(view, regions, limit)
    if not crowded:
        return view, 0
    splits = plan_splits(view, crowded, limit)
    params = {"larger_than": limit, "regions": view.sky.names(splits[:SHOWN]), "n": len(splits)}
    partition = view.partition.with_splits(splits)
    deal_out(store, view, partition, SPLIT, params, level=level, engine=engine)
    return store.view(), len(crowded)


def plan_splits(view: View, regions: Iterable[int], limit: int) -> list[int]:
    """Find what to split so that no catalog is larger than a limit, as far as that can be.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : iterable of int
        Leaves that are to be split in any case, above the deepest level.
    limit : int
        Most measures of the catalogs that come of it; 0 for any number.

    Returns
    -------
    list of int
        The regions, and those of their parts that are to be split in turn.
    """
    splits: list[int] = []
    for region in regions:
        splits.append(region)
        if limit <= 0:
            continue
        average = view.read(AVERAGE, region, ["ra", "dec", "nmeasure"])
        ra, dec = inside(view.sky.bounds([region]), average["ra"], average["dec"])
        n_measure = average["nmeasure"].astype(np.int64)
        for level in range(int(view.sky.depths([region])[0]) + 1, view.sky.max_level):
            parts, place = np.unique(view.sky.locate(ra, dec, level), return_inverse=True)
            counts = np.zeros(len(parts), np.int64)
            np.add.at(counts, place, n_measure)
            splits += parts[counts > limit].tolist()
            stays = (counts > limit)[place]
            ra, dec, n_measure = ra[stays], dec[stays], n_measure[stays]
    return splits


def deal_out(
    store: Store,
    view: View,
    partition: Partition,
    command: str,
    params: Mapping[str, Any],
    *,
    level: Level = "small",
    own_file_rows: int = OWN_FILE_ROWS,
    engine: Runner | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SnapshotRow:
    """Bring a database to another partition, in one commit.

    Memory is bounded by the largest catalog, as it is or as it becomes.

    Parameters
    ----------
    store : Store
        Open for writing.
    view : View
        The newest snapshot.
    partition : Partition
        The partition it is to have.
    command : str
        Name of the command, for the log.
    params : mapping
        What to record of its parameters; JSON types only.
    level : {'fast', 'small'}
        How hard to compress.
    own_file_rows : int
        Measures from which a catalog gets files of its own.
    engine : Runner, optional
        Where catalogs are read and written; None for the threads of this process.
    progress : callable, optional
        Called with catalogs dealt out and catalogs in all.

    Returns
    -------
    SnapshotRow
        The new snapshot; the newest one if it has that partition already.
    """
    if partition == view.partition:
        return view.snapshot
    filled = np.array(view.regions(), np.int64)
    moved = filled[~partition.is_leaf(filled)]
    request = {
        "level": level,
        "own_file_rows": own_file_rows,
        "partition": [partition.level, *partition.splits],
    }
    with store.begin(command, params, view) as change:
        change.set_partition(partition)
        groups = list(_groups(view, partition, moved))
        write_groups(change, _OPERATION, request, groups, engine=engine, progress=progress)
        snapshot = change.commit()
    store.renew_sky_file()
    return snapshot


def _groups(view: View, partition: Partition, regions: I64) -> Iterator[Group]:
    """Regions that are dealt out together, and their rows: all of those that become one."""
    if len(regions) == 0:
        return
    bounds = view.sky.bounds(regions)
    # Where a region begins tells which leaf it becomes part of, if it is not cut in parts.
    leaf = partition.locate(bounds[:, 0], bounds[:, 2])
    is_cut = view.sky.depths(leaf) > view.sky.depths(regions)
    home = np.where(is_cut, regions, leaf)
    counts = view.catalogs(regions.tolist())
    group: list[int] = []
    n_rows, last = 0, -1
    for i in np.lexsort((regions, home)).tolist():
        region = int(regions[i])
        if group and home[i] != last and n_rows > GROUP_ROWS:
            yield sorted(group), n_rows
            group, n_rows = [], 0
        group.append(region)
        n_rows += counts[region].n_average + counts[region].n_measure
        last = home[i]
    yield sorted(group), n_rows


def _deal(change: Writing, regions: Sequence[int], request: Mapping[str, Any]) -> Facts:
    """Write the rows of some regions where they belong, and empty these: a write operation."""
    view, own_file_rows = change.base, request["own_file_rows"]
    level, *splits = request["partition"]
    dealt = read_dealt(view, regions, partition_of(view.sky, level, tuple(splits)))
    change.drop_parts(view.part_table(regions))
    write_sorted(change, dealt.regions, dealt.tables, level=request["level"],
                 label=f"d{regions[0]}", own_file_rows=own_file_rows)  # fmt: skip
    before = view.catalogs(sorted({*regions, *dealt.regions}))
    emptied = set(regions) - set(dealt.regions)
    change.set_catalogs(
        CatalogRow(r, 0, before[r].next_obj_id, 0, is_sorted=True) for r in sorted(emptied)
    )
    sizes = (np.diff(edges).tolist() for _, edges in (dealt.tables[0], dealt.tables[2]))
    change.set_catalogs(
        CatalogRow(r, n_average, before[r].next_obj_id if r in before else 0, n_measure,
                   is_sorted=True)
        for r, n_average, n_measure in zip(dealt.regions, *sizes, strict=True)
    )  # fmt: skip
    change.widen(Reach(dealt.pad_deg))
    return {}


register_write(_OPERATION, _deal)
