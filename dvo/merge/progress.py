"""How far merges have got: read from the log of the database, which a rollback rolls back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dvo.partition.manifest import SnapshotRow

__all__ = ["COMMAND", "Progress", "effective_log", "find_progress", "is_undisturbed"]

COMMAND = "dvomerge"
_KEY = "merge"
# Commands that change files and no objects.
_HARMLESS = ("resort", "vacuum")


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been merged of one state of a source.

    Parameters
    ----------
    db_id : str
        Identifier of the source.
    snapshot : int
        Its snapshot that is merged.
    base : int
        Snapshot of the database before this merge began.
    first, last : int
        Numbers given to images of the source; last < first if none.
    epoch : float
        Time at which objects are compared [s since 1970].
    done : tuple of (int, int)
        Runs of regions of the source that are in, first and last, ascending.
    finished : bool
        Whether all of it is in.
    """

    db_id: str
    snapshot: int
    base: int
    first: int
    last: int
    epoch: float
    done: tuple[tuple[int, int], ...] = ()
    finished: bool = False

    def is_done(self, region: int) -> bool:
        """Whether a region of the source is in."""
        return any(first <= region <= last for first, last in self.done)

    def with_regions(self, regions: Sequence[int], order: Sequence[int]) -> Progress:
        """Note that regions have come in.

        Parameters
        ----------
        regions : sequence of int
            Which.
        order : sequence of int
            All regions of the source, ascending: a run may skip what is not there.

        Returns
        -------
        Progress
            With the regions, and finished if none is left.
        """
        inside = {r for r in order if self.is_done(r)} | set(regions)
        runs: list[tuple[int, int]] = []
        before: int | None = None
        for region in order:
            if region in inside:
                start = runs.pop()[0] if runs and before in inside else region
                runs.append((start, region))
            before = region
        return replace(self, done=tuple(runs), finished=len(inside) == len(order))

    def as_params(self) -> dict[str, Any]:
        """What the log is to record."""
        return {_KEY: asdict(self)}


def effective_log(log: Iterable[SnapshotRow]) -> Iterator[SnapshotRow]:
    """Go through the commits that made the newest state, newest first.

    Parameters
    ----------
    log : iterable of SnapshotRow
        The whole log.

    Yields
    ------
    SnapshotRow
        A commit that has not been rolled back.
    """
    rows = {row.id: row for row in log}
    at = max(rows, default=0)
    while at in rows:
        row = rows[at]
        if row.command == "rollback":
            at = int(row.params["to"])
        else:
            yield row
            at -= 1


def find_progress(log: Iterable[SnapshotRow], db_id: str) -> Progress | None:
    """Find how far the newest merge of a source has got.

    Parameters
    ----------
    log : iterable of SnapshotRow
        The log of the database.
    db_id : str
        Identifier of the source.

    Returns
    -------
    Progress or None
        None if the source was never merged.
    """
    for row in effective_log(log):
        state = row.params.get(_KEY) if row.command == COMMAND else None
        if state is not None and state["db_id"] == db_id:
            done = tuple((int(a), int(b)) for a, b in state["done"])
            return Progress(**{**state, "done": done})
    return None


def is_undisturbed(log: Iterable[SnapshotRow], state: Progress) -> bool:
    """Tell whether nothing but a merge has changed objects since it began.

    Parameters
    ----------
    log : iterable of SnapshotRow
        The log of the database.
    state : Progress
        How far the merge has got.

    Returns
    -------
    bool
        False also if the state before it is not among those that led to the newest.
    """
    for row in effective_log(log):
        if row.id <= state.base:
            return row.id == state.base and row.kept
        mine = row.params.get(_KEY) if row.command == COMMAND else None
        if row.command not in _HARMLESS and (mine is None or mine["db_id"] != state.db_id):
            return False
    return False
