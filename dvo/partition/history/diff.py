"""Two snapshots compared."""

from __future__ import annotations

from dataclasses import dataclass

from dvo.partition.history.states import State, differing
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store

__all__ = ["SnapshotDiff", "diff"]


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


def diff(store: Store, old: SnapshotName, new: SnapshotName) -> SnapshotDiff:
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
    regions = store.manifest.changed_regions(first.id, last.id)
    before = State(store.manifest, first.id, last.id, regions)
    after = State(store.manifest, last.id, first.id, regions)
    was_other, is_other = differing(before.parts, after.parts)
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
