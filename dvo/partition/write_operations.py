"""Operations that write: changes of groups of catalogs, made here or where an engine runs them.

A write operation is a function that writes rows of a group of regions into a change. Run in the
process that commits, the change is the transaction. Run by an engine (in other processes, or in
partition hosts) it is a draft: files are written there, and only what they mean is sent. The
commit is in both cases one, and has the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from dvo.errors import EngineError, OperationError, StorageError, UnknownOperationError
from dvo.partition.draft import Draft
from dvo.partition.draft_record import read_draft
from dvo.partition.operations import Job, register
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.writing import Writing

__all__ = [
    "GROUP_ROWS",
    "Facts",
    "Group",
    "Runner",
    "WriteOperation",
    "register_write",
    "write_groups",
]

GROUP_ROWS = 500_000
"""Rows of catalogs that are worked on together; the small ones of them share a file."""

_WAITING = 32
"""Groups to work on and files to write that may wait when the next group is begun."""

Group = tuple[list[int], int]
"""Regions that are worked on together, and how many rows they have."""

Facts = Mapping[str, Any]
"""What there is to say of what was written, in JSON types."""

WriteOperation = Callable[[Writing, Sequence[int], Mapping[str, Any]], Facts]
"""Change (with the snapshot it builds on), regions (ascending), request in JSON types -> facts."""


class Runner(Protocol):
    """What runs jobs: an engine."""

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job, and give the result of each group, in the order of the groups."""


_OPERATIONS: dict[str, WriteOperation] = {}


def register_write(name: str, operation: WriteOperation) -> None:
    """Make a write operation known under a name; partition hosts run it for the role ``ingest``.

    Parameters
    ----------
    name : str
        The name.
    operation : callable
        The operation. What it writes it is to name by its group alone: it may be run twice.

    Raises
    ------
    EngineError
        If another operation has that name.
    """
    if _OPERATIONS.setdefault(name, operation) is not operation:
        raise EngineError(f"operation {name!r} is registered twice; give one another name")
    register(name, partial(_draft, operation), role="ingest")


def _draft(
    operation: WriteOperation,
    view: View,
    regions: Sequence[int],
    request: Mapping[str, Any],
    _: Mapping[str, pa.Table],
) -> pa.Table:
    """Run a write operation for a commit of another process."""
    token, wanted = request.get("token"), request.get("request")
    if not isinstance(token, str) or not isinstance(wanted, dict):
        raise OperationError("a write operation was asked for without the token of a commit")
    try:
        with Draft(view, token, regions) as draft:
            facts = operation(draft, regions, wanted)
            return draft.record(facts)
    except StorageError:
        raise
    except OSError as err:
        raise StorageError(f"{view.catdir}: cannot be written ({err.strerror or err})") from err


def write_groups(
    change: Transaction,
    name: str,
    request: Mapping[str, Any],
    groups: Sequence[Group],
    *,
    engine: Runner | None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Facts]:
    """Run a write operation on groups of regions, as a part of a change.

    Memory stays bounded: a few groups are under way, or one that is huge.

    Parameters
    ----------
    change : Transaction
        The change; it is not committed here.
    name : str
        Name of the operation.
    request : mapping
        What is asked, in JSON types.
    groups : sequence of (list of int, int)
        Regions of each group, and their rows; no region is in two.
    engine : Runner or None
        Where it is run; None for the threads of this process.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    list of Facts
        What the operation said of each group.

    Raises
    ------
    DvoError
        What went wrong; then the change is to be given up.
    """
    n_all = sum(len(regions) for regions, _ in groups)
    done: list[int] = []
    facts: list[Facts] = [{}] * len(groups)
    works = _here if engine is None else partial(_elsewhere, engine)
    with closing(works(change, name, request, groups)) as pieces:
        for k, ((regions, n_rows), work) in enumerate(zip(groups, pieces, strict=True)):
            change.wait(at_most=_WAITING if n_rows < 2 * GROUP_ROWS else 0)
            change.do(partial(_do, work, k, facts, regions, done))
            if progress is not None:
                progress(len(done), n_all)
    change.wait()
    if progress is not None:
        progress(len(done), n_all)
    return facts


def _do(
    work: Callable[[], Facts], k: int, facts: list[Facts], regions: Sequence[int], done: list[int]
) -> None:
    facts[k] = work()
    done += regions


def _here(
    change: Transaction, name: str, request: Mapping[str, Any], groups: Sequence[Group]
) -> Generator[Callable[[], Facts]]:
    operation = _OPERATIONS.get(name)
    if operation is None:
        raise UnknownOperationError(
            f"no write operation {name!r}; there are {', '.join(sorted(_OPERATIONS))}"
        )
    for regions, _ in groups:
        yield partial(operation, change, regions, request)


def _elsewhere(
    engine: Runner,
    change: Transaction,
    name: str,
    request: Mapping[str, Any],
    groups: Sequence[Group],
) -> Generator[Callable[[], Facts]]:
    change.stage()
    job = Job(
        name,
        {"token": change.token, "request": dict(request)},
        [regions for regions, _ in groups],
        snapshot=change.base.snapshot.id,
    )
    results = engine.run(job)
    for (regions, _), record in zip(groups, results, strict=True):
        yield partial(_adopt, change, record, regions)


def _adopt(change: Transaction, record: pa.Table, regions: Sequence[int]) -> Facts:
    drafted = read_draft(record, change.base, regions)
    change.adopt(drafted)
    return drafted.facts
