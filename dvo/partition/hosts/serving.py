"""What a partition host does with messages: the rules, without sockets, threads or clocks.

`Serving` is told what arrived and when; it says what is to be sent and which groups are to be
worked on. `server` connects it with ZeroMQ, and tests with a network that loses things.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dvo.errors import (
    DvoError,
    HostBusyError,
    JobTimeoutError,
    NotAuthorisedError,
    ProtocolError,
)
from dvo.partition.hosts.tasks import HeldQuery, Peer, Task
from dvo.partition.hosts.wire import Message, Payload
from dvo.partition.operations import ROLES, Role

__all__ = ["SILENCE_S", "Serving"]

SILENCE_S = 60.0
"""Clients not heard of for so long are taken for dead, and what is kept for them is let go."""

_LONG_S = 1e8
_ECHOED = (("query", str), ("seq", int))
_MOST_TASKS = 1024
_MOST_QUERIES = 64
_MOST_NUMBER = 1 << 53
_MOST_DONE = 1 << 20
"""Attempts of a job that are remembered: a few for each catalog of the largest database."""

_MOST_REGIONS = 1 << 21
"""Regions of all groups of a client that wait."""

_MOST_HELD = 1 << 30
"""Bytes of requests and tables of all jobs."""

_MOST_KEPT = 1 << 30
"""Bytes of results that wait for clients above which no group is begun."""

_MOST_KEPT_EACH = 1 << 28
"""The same for one client: others are not to wait for it."""


class Serving:
    """The state of a host.

    Parameters
    ----------
    host_id : int
        Number of the host.
    db_id : str
        Identifier of its database.
    role_of : callable
        Gives the least role that may ask for an operation; None if nobody may.
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
        role_of: Callable[[str], Role | None],
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
        self.leaving: Mapping[bytes, int] = {}
        """Bytes by client that were taken from `outgoing` and have not left this process."""
        self._peers: dict[bytes, Peer] = {}

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
        self._peers.setdefault(peer, Peer(now)).heard = now
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
        n_bytes = len(message.header["request"]) + message.n_bytes
        n_held = sum(q.n_bytes for found in self._peers.values() for q in found.queries.values())
        if n_held + n_bytes > _MOST_HELD:
            raise HostBusyError(
                f"host {self._host_id} has {n_held >> 20} MiB of requests and tables of jobs, and "
                f"no room for {n_bytes >> 20} MiB more"
            )
        tables = {key: payload.table() for key, payload in message.payloads.items()}
        queries[name] = HeldQuery(message, tables, deadline, n_bytes)

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
        _check_room(self._host_id, query, seq)
        regions = message.get("regions", list)
        if not all(type(r) is int and 0 <= r < _MOST_NUMBER for r in regions):
            raise ProtocolError("a message 'run' has regions that are no numbers of regions")
        n_regions = sum(len(task.regions) for task in self._peers[peer].tasks())
        if n_regions + len(regions) > _MOST_REGIONS:
            raise HostBusyError(f"host {self._host_id} has {n_regions} regions of this client")
        header = query.message.header
        task = Task(
            peer, name, seq, header["operation"], header["request"], header["snapshot"],
            query.tables, regions, 0, query.deadline,
        )  # fmt: skip
        task.grant(message.get("credit", int))
        query.tasks[seq] = task
        self.ready.append(task)

    def _more(self, peer: bytes, message: Message) -> None:
        query = self._peers[peer].queries.get(message.get("query", str))
        task = query.tasks.get(message.get("seq", int)) if query else None
        if task is not None:
            task.grant(message.get("upto", int))
            self._send_parts(task)

    def _cancel(self, peer: bytes, message: Message) -> None:
        queries = self._peers[peer].queries
        name = message.get("query", str)
        query = queries.get(name)
        if query is None:
            return
        if "seq" in message.header:
            seq = message.get("seq", int)
            task = query.tasks.pop(seq, None)
            tasks = [] if task is None else [task]
            # It may overtake what it calls off; without room that is refused anyway.
            if 0 < seq < _MOST_NUMBER and len(query.done) < _MOST_DONE:
                query.done.add(seq)
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
            The oldest that is still wanted; none while too many results wait, and none of a
            client for which too many wait.
        """
        if not self.ready:
            return None
        kept = self._kept()
        if kept.total() > _MOST_KEPT:
            return None
        held: list[Task] = []
        found = None
        while self.ready and found is None:
            task = self.ready.popleft()
            if task.deadline is not None and now > task.deadline:
                self.finish(task, self._no_time())
            elif task.is_wanted and kept[task.peer] > _MOST_KEPT_EACH:
                held.append(task)
            elif task.is_wanted:
                found = task
        self.ready.extendleft(reversed(held))
        return found

    def _no_time(self) -> JobTimeoutError:
        return JobTimeoutError(f"host {self._host_id} had no time for it")

    @property
    def kept_bytes(self) -> int:
        """Bytes of results that wait until clients ask for them, or take them."""
        return self._kept().total()

    def _kept(self) -> Counter[bytes]:
        """Bytes of results by client: not asked for, on their way to ZeroMQ, and still with it."""
        found = Counter(self.leaving)
        for peer, message in self.outgoing:
            found[peer] += message.n_bytes
        for peer, about in self._peers.items():
            found[peer] += about.kept_bytes
        return found

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
            n_bytes = sum(p.n_bytes for p in task.parts)
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
            if task.deadline is None or now <= task.deadline:
                continue
            if task.parts is None:
                task.cancellation.cancel(self._no_time())
            else:
                self.finish(task, self._no_time())

    def drop_all(self) -> None:
        """Stop what is being worked on, for whomever."""
        for task in list(self._tasks()):
            task.drop()

    def _tasks(self) -> Iterator[Task]:
        for peer in self._peers.values():
            yield from peer.tasks()


def _check_room(host_id: int, query: HeldQuery, seq: int) -> None:
    if not 0 < seq < _MOST_NUMBER:
        raise ProtocolError(f"a group has number {seq}; they count from 1")
    if len(query.tasks) >= _MOST_TASKS:
        raise HostBusyError(f"host {host_id} has {len(query.tasks)} groups of this job")
    if len(query.tasks) + len(query.done) >= _MOST_DONE:
        raise HostBusyError(f"host {host_id} has done {len(query.done)} groups of this job")


def _require(role: Role, least: Role | None, what: str) -> None:
    if least is None:
        raise NotAuthorisedError(f"no partition host does {what!r}; use an engine of this machine")
    if ROLES.index(role) < ROLES.index(least):
        raise NotAuthorisedError(
            f"{what!r} needs a key of role {least}, this one has role {role}; "
            "ask whoever runs the hosts for another role"
        )
