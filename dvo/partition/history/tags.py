"""Snapshots called by names.

A tag is made by a commit of its own, so it is as durable as any, and a manifest that is
made anew from the records of commits has it. Its snapshot stays whatever is vacuumed.
"""

from __future__ import annotations

from dvo.errors import TagExistsError
from dvo.partition.manifest import TagRow
from dvo.partition.snapshot_name import SnapshotName, check_tag
from dvo.partition.store import Store

__all__ = ["drop_tag", "put_tag"]


def put_tag(
    store: Store, name: str, snapshot: SnapshotName | None = None, *, move: bool = False
) -> TagRow:
    """Call a snapshot by a name.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        The tag: a letter, then letters, digits and ``. _ + -``.
    snapshot : int, str or datetime, optional
        The snapshot, by number, tag or time; None for the newest state.
    move : bool
        Whether a tag of that name may be taken from another snapshot.

    Returns
    -------
    TagRow
        The tag; no commit is made if it was there already.

    Raises
    ------
    ConfigError
        If the name cannot be a tag.
    TagExistsError
        If the name is that of another snapshot, and `move` is not set.
    UnknownSnapshotError
        If there is no such snapshot, or it has been vacuumed away.
    """
    check_tag(name)
    view = store.view()
    number = _newest_state(store) if snapshot is None else store.manifest.snapshot(snapshot).id
    old = next((tag for tag in store.manifest.tags() if tag.name == name), None)
    if old is not None and old.snapshot == number:
        return old
    if old is not None and not move:
        raise TagExistsError(
            f"{store.catdir}: tag {name} is snapshot {old.snapshot}, not {number}; give another "
            "name, or move it with --force"
        )
    params = {"name": name, "snapshot": number}
    with store.begin("tag", params | ({"was": old.snapshot} if old else {}), view) as change:
        change.set_tag(name, number)
        change.commit()
    return store.manifest.tag(name)


def drop_tag(store: Store, name: str) -> TagRow:
    """Take a name away; the snapshot stays as long as others do.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        The tag.

    Returns
    -------
    TagRow
        What it was.

    Raises
    ------
    UnknownSnapshotError
        If there is no such tag.
    """
    old = store.manifest.tag(name)
    with store.begin("tag", {"delete": name, "was": old.snapshot}) as change:
        change.set_tag(name, 0)
        change.commit()
    return old


def _newest_state(store: Store) -> int:
    """The newest snapshot that is not the same state as one before it, if that is kept."""
    kept = [row for row in store.manifest.log() if row.kept]
    return next((row.id for row in reversed(kept) if row.is_new_state), kept[-1].id)
