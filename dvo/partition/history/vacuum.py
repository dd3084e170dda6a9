"""Forget old snapshots, and remove the files that only they use."""

from __future__ import annotations

from dataclasses import dataclass, field

from dvo.errors import ConfigError
from dvo.partition import layout
from dvo.partition.pins import ForgetLock
from dvo.partition.store import Store

__all__ = ["KeptState", "VacuumReport", "vacuum"]


@dataclass(frozen=True, slots=True)
class KeptState:
    """An older state that a vacuum did not forget.

    Parameters
    ----------
    snapshot : int
        Its number.
    tags : list of str
        Its tags; if it has none, a reader has it open.
    """

    snapshot: int
    tags: list[str]

    @property
    def reason(self) -> str:
        """Why it stays, for people."""
        return f"tag {', '.join(self.tags)}" if self.tags else "being read"


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What a vacuum did.

    Parameters
    ----------
    forgotten : list of int
        Snapshots that can no longer be read.
    kept : list of KeptState
        Older states that stay all the same.
    n_files, n_bytes : int
        Files that were removed, and their bytes.
    """

    forgotten: list[int] = field(default_factory=list)
    kept: list[KeptState] = field(default_factory=list)
    n_files: int = 0
    n_bytes: int = 0


def vacuum(store: Store, keep: int) -> VacuumReport:
    """Forget all but the newest states, and remove the files that only they use.

    States that have a tag stay, and those that a reader has open. The snapshot that a vacuum
    or a tag makes is the same state as the one before it and does not count.

    Parameters
    ----------
    store : Store
        Open for writing.
    keep : int
        States to keep, at least 1; tags and readers may keep more.

    Returns
    -------
    VacuumReport
        What was done.

    Raises
    ------
    ConfigError
        If `keep` is less than 1.
    StorageError
        If what readers have open cannot be found out; then nothing has changed.
    """
    if keep < 1:
        raise ConfigError(f"vacuum: {keep} states to keep; at least 1, the newest, has to stay")
    view = store.view()
    kept = [row for row in store.manifest.log() if row.kept]
    states = [row.id for row in kept if row.is_new_state]
    oldest = states[-keep] if len(states) >= keep else 0
    tags: dict[int, list[str]] = {}
    for tag in store.manifest.tags():
        tags.setdefault(tag.snapshot, []).append(tag.name)
    old = [row.id for row in kept if row.id < oldest]
    # Until it is committed nobody can open what is about to be forgotten.
    with ForgetLock(store.catdir) as lock:
        forgotten = lock.take(number for number in old if number not in tags)
        if forgotten:
            params = {"keep": keep, "forgotten": len(forgotten)}
            with store.begin("vacuum", params, view) as change:
                change.forget(forgotten)
                change.commit()
    stays = [KeptState(n, tags.get(n, [])) for n in old if n not in set(forgotten)]
    known = store.known_paths()
    unused = [path for path in layout.data_files(store.catdir) if path not in known]
    n_bytes = sum((store.catdir / path).stat().st_size for path in unused)
    store.manifest.announce(unused)
    store.sweep()
    if forgotten:
        store.manifest.shrink()
    return VacuumReport(forgotten, stays, len(unused), n_bytes)
