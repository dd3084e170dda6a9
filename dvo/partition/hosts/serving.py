"""What a partition host does with messages: the rules, without sockets, threads or clocks.

`Serving` is told what arrived and when; it says what is to be sent and which groups are to be
worked on. `server` connects it with ZeroMQ, and tests with a network that loses things.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dvo.errors import (
    DvoError,
    HostBusyError,
    JobTimeoutError,
    NotAuthorisedError,
    ProtocolError,
)
from dvo.partition.cancellation import Cancellation
from dvo.partition.hosts.wire import Message, Payload
from dvo.partition.operations import ROLES, Role

__all__ = ["SILENCE_S", "Serving", "Task"]

SILENCE_S = 60.0
"""Clients not heard of for so long are taken for dead, and what is kept for them is let go."""

_LONG_S = 1e8
_ECHOED = (("query", str), ("seq", int))
_MOST_TASKS = 1024
_MOST_QUERIES = 64


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
        How many parts the client takes so far.
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

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.is_wanted = False
        self.cancellation.cancel()

    @property
    def n_bytes(self) -> int:
        """Bytes of its result that are kept."""
        return sum(memoryview(p.data).nbytes for p in (self.parts or ())[self.n_sent :])


@dataclass(eq=False)
class _Query:
    message: Message
    tables: dict[str, pa.Table]
    deadline: float | None
    tasks: dict[int, Task] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)


@dataclass(eq=False)
class _Peer:
    heard: float
    queries: dict[str, _Query] = field(default_factory=dict)


class Serving:
    """The state of a host.

    Parameters
    ----------
    host_id : int
        Number of the host.
    db_id : str
        Identifier of its database.
    role_of : callable
        Gives the least role that may ask for an operation.
    about : callable
        Further facts for those who ask who this is.
    silence_s : float
        After which silence of a client it is taken for dead [s].
    """

    def __init__(
        self,
        host_id: int,
        db_id: str,
        *,
        role_of: Callable[[str], Role],
        about: Callable[[], dict[str, Any]] = dict,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.outgoing: deque[tuple[bytes, Message]] = deque()
        self.ready: deque[Task] = deque()
        self.is_stopping = False
        self.is_draining = False
        self._host_id = host_id
        self._db_id = db_id
        self._role_of = role_of
        self._about = about
        self._silence_s = silence_s
        self._peers: dict[bytes, _Peer] = {}

    # ---- what arrives

    def receive(self, peer: bytes, role: Role, message: Message, now: float) -> None:
        """Take a message.

        Parameters
        ----------
        peer : bytes
            Who sent it.
        role : str
            What the sender may do.
        message : Message
            The message.
        now : float
            The time [s].
        """
        self._peers.setdefault(peer, _Peer(now)).heard = now
        try:
            self._obey(peer, role, message, now)
        except DvoError as err:
            self.refuse(peer, err, message)

    def refuse(self, peer: bytes, err: DvoError, message: Message | None = None) -> None:
        """Answer with an error.

        Parameters
        ----------
        peer : bytes
            To whom.
        err : DvoError
            The error.
        message : Message, optional
            What it is the answer to.
        """
        header: dict[str, Any] = {"code": err.code, "message": str(err)}
        given = {} if message is None else message.header
        # What is no name and no number is of no use to anybody, and may not go into JSON again.
        header |= {n: given[n] for n, kind in _ECHOED if isinstance(given.get(n), kind)}
        self.outgoing.append((peer, Message("error", header)))

    def _obey(self, peer: bytes, role: Role, message: Message, now: float) -> None:
        match message.kind:
            case "hello":
                self._send(peer, "welcome", self._facts())
            case "ping":
                self._pong(peer, message)
            case "job":
                self._open(peer, role, message, now)
            case "run":
                self._run(peer, message)
            case "more":
                self._more(peer, message)
            case "cancel":
                self._cancel(peer, message)
            case "bye":
                self.forget(peer)
            case "drain" | "stop":
                _require(role, "admin", message.kind)
                self._check_meant(message)
                self.is_draining = True
                self.is_stopping = message.kind == "stop"
                self._send(peer, "welcome", self._facts())
            case other:
                raise ProtocolError(f"host {self._host_id} knows no message {other!r}")

    def _check_meant(self, message: Message) -> None:
        """See that this host is meant: another may have listened here when it was looked up."""
        if message.get("db", str) != self._db_id or message.get("host", int) != self._host_id:
            raise ProtocolError(
                f"this is host {self._host_id} of database {self._db_id}; {message.kind!r} was "
                "meant for another one"
            )

    def _facts(self) -> dict[str, Any]:
        tasks = list(self._tasks())
        return {
            "host": self._host_id,
            "db": self._db_id,
            "state": "draining" if self.is_draining else "serving",
            "clients": len(self._peers),
            "groups": len(tasks),
            "kept_bytes": self.kept_bytes,
            **self._about(),
        }

    def _pong(self, peer: bytes, message: Message) -> None:
        queries = self._peers[peer].queries
        active = {
            query: {str(seq): task.n_sent for seq, task in found.tasks.items()}
            for query, found in queries.items()
        }
        self._send(peer, "pong", {"number": message.get("number", int), "active": active})

    def _open(self, peer: bytes, role: Role, message: Message, now: float) -> None:
        queries = self._peers[peer].queries
        name = message.get("query", str)
        if name in queries:
            return
        if len(queries) >= _MOST_QUERIES:
            raise HostBusyError(f"host {self._host_id} has {len(queries)} jobs of this client")
        operation = message.get("operation", str)
        _require(role, self._role_of(operation), operation)
        message.get("request", str)
        message.get("snapshot", str)
        left = message.header.get("deadline")
        # A number of JSON may be larger than any float, and less than any, too: years are as
        # good as for ever, and what is over is over.
        deadline = None
        if isinstance(left, int | float) and left < _LONG_S:
            deadline = now + max(left, 0)
        tables = {key: payload.table() for key, payload in message.payloads.items()}
        queries[name] = _Query(message, tables, deadline)

    def _run(self, peer: bytes, message: Message) -> None:
        name, seq = message.get("query", str), message.get("seq", int)
        query = self._peers[peer].queries.get(name)
        if query is None:
            # The job was lost on its way, or this host was started anew.
            raise HostBusyError(f"host {self._host_id} does not know job {name}; send it again")
        if seq in query.tasks or seq in query.done:
            return
        if self.is_draining:
            raise HostBusyError(f"host {self._host_id} is being drained")
        if len(query.tasks) >= _MOST_TASKS:
            raise HostBusyError(f"host {self._host_id} has {len(query.tasks)} groups of this job")
        regions = message.get("regions", list)
        if not all(isinstance(r, int) and not isinstance(r, bool) for r in regions):
            raise ProtocolError("a message 'run' has regions that are no numbers")
        header = query.message.header
        task = Task(
            peer, name, seq, header["operation"], header["request"], header["snapshot"],
            query.tables, regions, message.get("credit", int), query.deadline,
        )  # fmt: skip
        query.tasks[seq] = task
        self.ready.append(task)

    def _more(self, peer: bytes, message: Message) -> None:
        query = self._peers[peer].queries.get(message.get("query", str))
        task = query.tasks.get(message.get("seq", int)) if query else None
        if task is not None:
            task.credit = max(task.credit, message.get("upto", int))
            self._send_parts(task)

    def _cancel(self, peer: bytes, message: Message) -> None:
        queries = self._peers[peer].queries
        name = message.get("query", str)
        query = queries.get(name)
        if query is None:
            return
        if "seq" in message.header:
            task = query.tasks.pop(message.get("seq", int), None)
            tasks = [] if task is None else [task]
            query.done.add(message.get("seq", int))
        else:
            tasks = list(queries.pop(name).tasks.values())
        for task in tasks:
            task.drop()

    # ---- what is done

    def next_task(self, now: float) -> Task | None:
        """Find the next group to be worked on.

        Parameters
        ----------
        now : float
            The time [s].

        Returns
        -------
        Task or None
            The oldest that is still wanted.
        """
        while self.ready:
            task = self.ready.popleft()
            if task.deadline is not None and now > task.deadline:
                self.finish(task, self._no_time())
            elif task.is_wanted:
                return task
        return None

    def _no_time(self) -> JobTimeoutError:
        return JobTimeoutError(f"host {self._host_id} had no time for it")

    @property
    def kept_bytes(self) -> int:
        """Bytes of results that wait until clients ask for them."""
        return sum(task.n_bytes for task in self._tasks())

    def finish(self, task: Task, outcome: Sequence[Payload] | DvoError) -> None:
        """Take the result of a group.

        Parameters
        ----------
        task : Task
            The group.
        outcome : sequence of Payload, or DvoError
            Its parts, at least one, or what went wrong.
        """
        if not task.is_wanted:
            return
        if isinstance(outcome, DvoError):
            header = {"query": task.query, "seq": task.seq}
            self._settle(task)
            self.refuse(task.peer, outcome, Message("run", header))
        else:
            task.parts = list(outcome)
            self._send_parts(task)

    def _send_parts(self, task: Task) -> None:
        """Send as many parts as the client has asked for, and the end after the last."""
        if task.parts is None:
            return
        common = {"query": task.query, "seq": task.seq, "snapshot": task.snapshot}
        while task.n_sent < min(task.credit, len(task.parts)):
            payload = task.parts[task.n_sent]
            header = {**common, "part": task.n_sent}
            self.outgoing.append((task.peer, Message("part", header, {"result": payload})))
            task.n_sent += 1
        if task.n_sent == len(task.parts):
            rows = sum(p.rows for p in task.parts)
            n_bytes = sum(memoryview(p.data).nbytes for p in task.parts)
            end = {**common, "parts": len(task.parts), "rows": rows, "bytes": n_bytes}
            self._send(task.peer, "end", end)
            self._settle(task)

    def _settle(self, task: Task) -> None:
        task.is_wanted = False
        query = self._peers[task.peer].queries[task.query]
        query.tasks.pop(task.seq, None)
        query.done.add(task.seq)

    def _send(self, peer: bytes, kind: str, header: dict[str, Any]) -> None:
        self.outgoing.append((peer, Message(kind, header)))

    # ---- who is there

    def forget(self, peer: bytes) -> None:
        """Let go of all that is kept for a client, which is gone.

        Parameters
        ----------
        peer : bytes
            The client.
        """
        found = self._peers.pop(peer, None)
        for query in found.queries.values() if found else ():
            for task in query.tasks.values():
                task.drop()
        self.outgoing = deque((to, message) for to, message in self.outgoing if to != peer)

    def tick(self, now: float) -> None:
        """Let go of clients that have been silent for too long, and of what takes too long.

        Parameters
        ----------
        now : float
            The time [s].
        """
        for peer in [p for p, found in self._peers.items() if now - found.heard > self._silence_s]:
            self.forget(peer)
        for task in list(self._tasks()):
            if task.parts is None and task.deadline is not None and now > task.deadline:
                task.cancellation.cancel(self._no_time())

    def drop_all(self) -> None:
        """Stop what is being worked on, for whomever."""
        for task in list(self._tasks()):
            task.drop()

    def _tasks(self) -> Iterator[Task]:
        for peer in self._peers.values():
            for query in peer.queries.values():
                yield from query.tasks.values()


def _require(role: Role, least: Role, what: str) -> None:
    if ROLES.index(role) < ROLES.index(least):
        raise NotAuthorisedError(
            f"{what!r} needs a key of role {least}, this one has role {role}; "
            "ask whoever runs the hosts for another role"
        )
