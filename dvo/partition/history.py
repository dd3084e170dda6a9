"""History: go back to an older snapshot, compare two, forget the oldest.

A rollback is a commit that brings the parts of an old snapshot back, so nothing is lost by
it and it can itself be undone. Numbers that were given once (images, objects, parts) are
never given again, whatever was rolled back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dvo.errors import ConfigError
from dvo.partition import layout
from dvo.partition.manifest import CatalogRow, Manifest, Part, SnapshotRow
from dvo.partition.store import Store

__all__ = ["SnapshotDiff", "VacuumReport", "diff", "rollback", "vacuum"]

_Group = tuple[str, int]  # table, region


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
    before, now = _State(store.manifest, old.id), _State(store.manifest, view.snapshot.id)
    groups = [g for g in sorted(before.parts.keys() | now.parts.keys()) if before.differs(now, g)]
    catalogs = before.catalogs_over(now)
    gone = [image.image_id for image in now.images - before.images]
    back = sorted(before.images - now.images, key=lambda image: image.image_id)
    if not (groups or catalogs or gone or back):
        return view.snapshot
    with store.begin("rollback", {"to": old.id}, view) as change:
        for group in groups:
            # All of a table or none: the order of its parts is the order of its rows.
            change.drop_parts(now.parts[group])
            change.keep_parts(before.parts[group])
        change.set_catalogs(catalogs)
        n_more = old.counts["images"] - view.snapshot.counts["images"]
        change.set_images(back, sorted(gone), n_more=n_more)
        return change.commit()


class _State:
    """What one snapshot is made of."""

    def __init__(self, manifest: Manifest, snapshot: int) -> None:
        self.parts: dict[_Group, list[Part]] = defaultdict(list)
        for part in manifest.parts(snapshot):
            self.parts[part.table, part.region].append(part)
        self.catalogs = {row.region: row for row in manifest.catalogs(snapshot)}
        self.images = set(manifest.images(snapshot))

    def differs(self, other: _State, group: _Group) -> bool:
        """Whether a table of a region is made of other rows."""
        return _content(self.parts.get(group, [])) != _content(other.parts.get(group, []))

    def catalogs_over(self, newer: _State) -> list[CatalogRow]:
        """Counts of the catalogs that differ, as they are to be after `newer`.

        A catalog that is new since then stays, empty: its next_obj_id must not be lost.
        """
        rows = []
        for region, now in newer.catalogs.items():
            then = self.catalogs.get(region, CatalogRow(region, 0, 0, 0, is_sorted=True))
            wanted = replace(then, next_obj_id=max(then.next_obj_id, now.next_obj_id))
            if wanted != now:
                rows.append(wanted)
        return rows + [self.catalogs[r] for r in self.catalogs.keys() - newer.catalogs.keys()]


def _content(parts: Iterable[Part]) -> list[Part]:
    """Parts without the numbers that differ from snapshot to snapshot."""
    place: dict[int | None, int | None] = {None: None}
    out = []
    for i, part in enumerate(parts):
        place[part.id] = i
        out.append(replace(part, id=0, target=place.get(part.target)))
    return out


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
    before, after = _State(store.manifest, old), _State(store.manifest, new)
    groups = before.parts.keys() | after.parts.keys()
    rows: dict[str, int] = defaultdict(int)
    for table, region in groups:
        rows[table] += sum(p.n_rows for p in after.parts.get((table, region), []))
        rows[table] -= sum(p.n_rows for p in before.parts.get((table, region), []))
    counts = {k: last.counts.get(k, 0) - first.counts.get(k, 0) for k in last.counts}
    changed = {region for table, region in groups if before.differs(after, (table, region))}
    return SnapshotDiff(
        counts,
        {table: n for table, n in sorted(rows.items()) if n},
        sorted(region for region in changed if region >= 0),
        sorted(i.image_id for i in after.images - before.images),
        sorted(i.image_id for i in before.images - after.images),
    )
