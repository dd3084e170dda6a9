"""Back to an older snapshot.

A rollback is a commit that brings the parts of an old snapshot back, so nothing is lost by
it and it can itself be undone. Numbers that were given once (images, objects, parts) are
never given again, whatever was rolled back.
"""

from __future__ import annotations

from dvo.partition.history.states import State, differing
from dvo.partition.manifest import SnapshotRow
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store

__all__ = ["rollback"]


def rollback(store: Store, snapshot: SnapshotName) -> SnapshotRow:
    """Make the state of an older snapshot the newest one.

    Parameters
    ----------
    store : Store
        Open for writing.
    snapshot : int, str or datetime
        The snapshot to go back to: number, tag or time.

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
    before = State(store.manifest, old.id, view.snapshot.id, regions)
    now = State(store.manifest, view.snapshot.id, old.id, regions)
    is_other, was_other = differing(now.parts, before.parts)
    catalogs = before.catalogs_over(now)
    gone = [image.image_id for image in now.images - before.images]
    back = sorted(before.images - now.images, key=lambda image: image.image_id)
    partition = store.view(old.id).partition
    is_same = old.reach == view.snapshot.reach and partition == view.partition
    if is_same and not (is_other.any() or was_other.any() or catalogs or gone or back):
        return view.snapshot
    with store.begin("rollback", {"to": old.id}, view) as change:
        # All of a table or none: the order of its parts is the order of its rows.
        change.drop_parts(now.parts.take(is_other))
        change.keep_parts(before.parts.take(was_other))
        change.set_catalogs(catalogs)
        change.set_reach(old.reach)
        change.set_partition(partition)
        n_more = old.counts["images"] - view.snapshot.counts["images"]
        change.set_images(back, sorted(gone), n_more=n_more)
        newest = change.commit()
    store.renew_sky_file()
    return newest
