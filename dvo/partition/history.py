"""History: go back to an older snapshot, compare two, forget the oldest.

A rollback is a commit that brings the parts of an old snapshot back, so nothing is lost by
it and it can itself be undone. Numbers that were given once (images, objects, parts) are
never given again, whatever was rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.partition import layout
from dvo.partition.manifest import CatalogRow, Manifest, PartTable, SnapshotRow
from dvo.partition.store import Store

__all__ = ["SnapshotDiff", "VacuumReport", "diff", "rollback", "vacuum"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


def rollback(store: Store, snapshot: int) -> SnapshotRow:
    """Make the state of an older snapshot the newest one.

    Parameters
    ----------
    store : Store
        Open for writing.
    snapshot : int
        The snapshot to go back to.

    Returns
    -------
    SnapshotRow
        The newest snapshot now; no new one is made if nothing differs.

    Raises
    ------
    UnknownSnapshotError
        If there is no such snapshot, or it has been vacuumed away.
    """
    view = store.view()
    old = store.manifest.snapshot(snapshot)
    regions = store.manifest.changed_regions(old.id, view.snapshot.id)
    before = _State(store.manifest, old.id, view.snapshot.id, regions)
    now = _State(store.manifest, view.snapshot.id, old.id, regions)
    is_other, was_other = _differing(now.parts, before.parts)
    catalogs = before.catalogs_over(now)
    gone = [image.image_id for image in now.images - before.images]
    back = sorted(before.images - now.images, key=lambda image: image.image_id)
    same_reach = old.reach == view.snapshot.reach
    if same_reach and not (is_other.any() or was_other.any() or catalogs or gone or back):
        return view.snapshot
    with store.begin("rollback", {"to": old.id}, view) as change:
        # All of a table or none: the order of its parts is the order of its rows.
        change.drop_parts(now.parts.take(is_other))
        change.keep_parts(before.parts.take(was_other))
        change.set_catalogs(catalogs)
        change.set_reach(old.reach)
        n_more = old.counts["images"] - view.snapshot.counts["images"]
        change.set_images(back, sorted(gone), n_more=n_more)
        return change.commit()


class _State:
    """What one snapshot is made of, as far as it may differ from another."""

    def __init__(
        self, manifest: Manifest, snapshot: int, other: int, regions: Iterable[int]
    ) -> None:
        self.parts = manifest.part_table(snapshot, regions)
        self.catalogs = {row.region: row for row in manifest.catalogs(snapshot, regions)}
        self.images = set(manifest.images(snapshot, other=other))

    def catalogs_over(self, newer: _State) -> list[CatalogRow]:
        """Counts of the catalogs that differ, as they are to be after `newer`.

        A catalog that is new since then stays, empty: its next_obj_id must not be lost.
        """
        nothing = CatalogRow(0, 0, 0, 0, is_sorted=True)
        rows = []
        for region, now in newer.catalogs.items():
            then = self.catalogs.get(region, nothing)
            next_id = max(then.next_obj_id, now.next_obj_id)
            rows.append(
                CatalogRow(region, then.n_average, next_id, then.n_measure, then.is_sorted,
                           then.n_parts, then.n_largest)
            )  # fmt: skip
        rows += [self.catalogs[r] for r in self.catalogs.keys() - newer.catalogs.keys()]
        return [row for row in rows if row != newer.catalogs.get(row.region)]


def _differing(one: PartTable, two: PartTable) -> tuple[Bool, Bool]:
    """Which parts of two states belong to tables of regions that are not made of the same rows.

    Parts are the same if they are of the same rows of the same file at the same place in
    their table; their numbers differ from state to state.
    """
    n = len(one)
    tables = {name: i for i, name in enumerate(sorted({
        file.table for parts in (one, two) for file in parts.rows_of_files.values()
    }))}  # fmt: skip
    group: I64 = np.concatenate([_groups(parts, tables) for parts in (one, two)])
    if len(group) == 0:
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    facts = np.column_stack(
        [group, *(np.concatenate([a, b]) for a, b in zip(_facts(one, group[:n]),
                                                         _facts(two, group[n:]), strict=True))]
    )  # fmt: skip
    state = np.repeat([0, 1], [n, len(two)])
    order = np.lexsort((state, *facts.T[::-1]))
    is_pair = (facts[order[1:]] == facts[order[:-1]]).all(axis=1)
    alone = np.ones(len(group), np.bool_)
    alone[order[1:][is_pair]] = alone[order[:-1][is_pair]] = False
    differs = np.isin(group, group[alone])
    return differs[:n], differs[n:]


def _groups(parts: PartTable, tables: dict[str, int]) -> I64:
    """A number for the table of the region of each part."""
    table_of = {number: tables[file.table] for number, file in parts.rows_of_files.items()}
    return parts.regions * len(tables) + _looked_up(parts.files, table_of)


def _looked_up(values: I64, names: dict[int, int]) -> I64:
    keys = np.array(sorted(names), np.int64)
    found = np.array([names[k] for k in keys.tolist()], np.int64)
    return found[np.searchsorted(keys, values)]


def _facts(parts: PartTable, group: I64) -> tuple[I64, ...]:
    """Place of each part in its table, its file and rows, and the place of its target."""
    order = np.lexsort((parts.ids, group))
    place = np.empty(len(parts), np.int64)
    ranked = group[order]
    place[order] = np.arange(len(parts)) - np.searchsorted(ranked, ranked)
    by_id = np.argsort(parts.ids)
    at = np.searchsorted(parts.ids[by_id], parts.targets)
    at = by_id[np.minimum(at, max(0, len(parts) - 1))] if len(parts) else at
    target = np.where(parts.targets > 0, place[at], -1)
    return place, parts.files, parts.starts, parts.stops, target


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What a vacuum did.

    Parameters
    ----------
    forgotten : list of int
        Snapshots that can no longer be read.
    n_files, n_bytes : int
        Files that were removed, and their bytes.
    """

    forgotten: list[int] = field(default_factory=list)
    n_files: int = 0
    n_bytes: int = 0


def vacuum(store: Store, keep: int) -> VacuumReport:
    """Forget all but the newest states, and remove the files that only they use.

    The snapshot that a vacuum itself makes is the same state as the one before it and does
    not count.

    Parameters
    ----------
    store : Store
        Open for writing.
    keep : int
        States to keep, at least 1.

    Returns
    -------
    VacuumReport
        What was done.

    Raises
    ------
    ConfigError
        If `keep` is less than 1.
    """
    if keep < 1:
        raise ConfigError(f"vacuum: {keep} states to keep; at least 1, the newest, has to stay")
    view = store.view()
    kept = [row for row in store.manifest.log() if row.kept]
    states = [row.id for row in kept if row.command != "vacuum"]
    oldest = states[-keep] if len(states) >= keep else 0
    forgotten = [row.id for row in kept if row.id < oldest]
    if forgotten:
        with store.begin("vacuum", {"keep": keep, "forgotten": len(forgotten)}, view) as change:
            change.forget(forgotten)
            change.commit()
    known = store.known_paths()
    unused = [path for path in _data_files(store.catdir) if path not in known]
    n_bytes = sum((store.catdir / path).stat().st_size for path in unused)
    store.manifest.announce(unused)
    store.sweep()
    if forgotten:
        store.manifest.shrink()
    return VacuumReport(forgotten, len(unused), n_bytes)


def _data_files(catdir: Path) -> list[str]:
    """Files in a catdir that a commit may have made, relative to it."""
    found = (path.relative_to(catdir) for path in catdir.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if layout.is_data_path(path))


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """What changed from one snapshot to another.

    Parameters
    ----------
    counts : dict of str to int
        How many more images, objects, measures and catalogs there are.
    rows : dict of str to int
        How many more stored rows each table has, patches included.
    regions : list of int
        Regions whose tables differ.
    images_added, images_removed : list of int
        Numbers of images; below 0 those of reference catalogs.
    """

    counts: dict[str, int]
    rows: dict[str, int]
    regions: list[int]
    images_added: list[int]
    images_removed: list[int]


def diff(store: Store, old: int, new: int) -> SnapshotDiff:
    """Compare two snapshots.

    Parameters
    ----------
    store : Store
        The database.
    old, new : int
        The snapshots.

    Returns
    -------
    SnapshotDiff
        What is different in `new`.

    Raises
    ------
    UnknownSnapshotError
        If there is no such snapshot, or it has been vacuumed away.
    """
    first, last = store.manifest.snapshot(old), store.manifest.snapshot(new)
    regions = store.manifest.changed_regions(old, new)
    before = _State(store.manifest, old, new, regions)
    after = _State(store.manifest, new, old, regions)
    was_other, is_other = _differing(before.parts, after.parts)
    rows: dict[str, int] = {}
    for sign, parts in ((-1, before.parts), (1, after.parts)):
        for name in sorted({file.table for file in parts.rows_of_files.values()}):
            size = int(parts.sizes[parts.are(table=name)].sum())
            rows[name] = rows.get(name, 0) + sign * size
    changed = {*before.parts.regions[was_other].tolist(), *after.parts.regions[is_other].tolist()}
    return SnapshotDiff(
        {k: last.counts.get(k, 0) - first.counts.get(k, 0) for k in last.counts},
        {table: n for table, n in sorted(rows.items()) if n},
        sorted(region for region in changed if region >= 0),
        sorted(i.image_id for i in after.images - before.images),
        sorted(i.image_id for i in before.images - after.images),
    )
