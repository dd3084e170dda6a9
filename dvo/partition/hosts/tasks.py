"""What a partition host keeps for its clients: jobs, groups that are to be done, results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from dvo.partition.cancellation import Cancellation
from dvo.partition.hosts.wire import Message, Payload

__all__ = ["MOST_CREDIT", "HeldQuery", "Peer", "Task"]

MOST_CREDIT = 16
"""Parts of a result beyond those sent that a client may ask for: four times what ours do."""


@dataclass(eq=False)
class Task:
    """A group of regions to be done for somebody.

    Parameters
    ----------
    peer : bytes
        For whom.
    query : str
        Name of the job.
    seq : int
        Number of the group in it, another one each time that it is tried.
    operation, request, snapshot : str
        What is asked, and of which state.
    tables : dict of str to pyarrow.Table
        Tables of the job.
    regions : list of int
        The regions.
    credit : int
        How many parts the client takes so far; see `grant`.
    deadline : float or None
        After which nobody wants it any more [s].
    is_wanted : bool
        Whether somebody waits for it.
    parts : list of Payload or None
        Its result, when it is there.
    n_sent : int
        Parts that were sent.
    cancellation : Cancellation
        Stops the work on it.
    """

    peer: bytes
    query: str
    seq: int
    operation: str
    request: str
    snapshot: str
    tables: dict[str, pa.Table]
    regions: list[int]
    credit: int
    deadline: float | None
    is_wanted: bool = True
    parts: list[Payload] | None = None
    n_sent: int = 0
    cancellation: Cancellation = field(default_factory=Cancellation)

    def grant(self, upto: int) -> None:
        """Let more parts be sent, if it is more; a client cannot have all of them on the way.

        Parameters
        ----------
        upto : int
            Parts below this number may be sent.
        """
        self.credit = max(self.credit, min(upto, self.n_sent + MOST_CREDIT))

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.is_wanted = False
        self.cancellation.cancel()

    @property
    def n_bytes(self) -> int:
        """Bytes of its result that are kept."""
        return sum(p.n_bytes for p in (self.parts or ())[self.n_sent :])


@dataclass(eq=False)
class HeldQuery:
    """A job that a client has told of, and what it has asked for of it.

    Parameters
    ----------
    message : Message
        The job as it came.
    tables : dict of str to pyarrow.Table
        Tables of the job.
    deadline : float or None
        After which nobody wants it any more [s].
    n_bytes : int
        What is kept of it: the request and the tables.
    tasks : dict of int to Task
        Groups that are not done.
    done : set of int
        Those that are, or that were called off: what comes twice is not begun again.
    """

    message: Message
    tables: dict[str, pa.Table]
    deadline: float | None
    n_bytes: int
    tasks: dict[int, Task] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Peer:
    """A client.

    Parameters
    ----------
    heard : float
        When it was last heard of [s].
    queries : dict of str to HeldQuery
        Its jobs.
    """

    heard: float
    queries: dict[str, HeldQuery] = field(default_factory=dict)

    def tasks(self) -> Iterator[Task]:
        """Groups of all its jobs that are not done."""
        for query in self.queries.values():
            yield from query.tasks.values()

    @property
    def kept_bytes(self) -> int:
        """Bytes of results that wait until it asks for them."""
        return sum(task.n_bytes for task in self.tasks())
