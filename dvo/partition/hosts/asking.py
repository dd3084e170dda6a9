"""How a client asks partition hosts: the rules, without sockets, threads or clocks.

`Asking` is told what arrived and when; it says what is to be sent. A group that fails at one
host (dead, silent, damaged or lost replies, draining, faults of its disk) is tried again, at
another host that has its regions if there is one: operations change nothing, so that doing one
twice does no harm. What the operation itself refuses is an answer and not tried again.
`client` connects it with ZeroMQ, and tests with a network that loses things.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from dvo.errors import DvoError, HostBusyError, HostLostError, ProtocolError, StorageError, error_of
from dvo.partition.hosts.wire import Message, check_identity

__all__ = ["Asking", "Query", "Times"]

_CREDIT = 4
"""Parts that may be under way of one result."""

_MOST_TRIES = 4
_MOST_MISSES = 2
"""Answers to pings without a word of a group after which it is taken for lost."""


@dataclass(frozen=True)
class Times:
    """How patient a client is.

    Parameters
    ----------
    beat_s : float
        Between two signs of life that are asked of a host [s].
    dead_s : float
        After which silence a host is taken for dead [s].
    """

    beat_s: float = 1.0
    dead_s: float = 3.0


@dataclass(eq=False)
class _Attempt:
    group: int
    seq: int
    host: int | None = None
    since: float = 0.0
    ping: int = 0
    misses: int = 0
    granted: int = _CREDIT
    tables: dict[int, pa.Table] = field(default_factory=dict)
    n_bytes: int = 0
    n_whole: int = 0  # parts that have come without a gap
    end: Message | None = None


@dataclass(eq=False)
class Query:
    """A job that hosts are asked to do, and what has come of it.

    Parameters
    ----------
    name : str
        Tells it from all others, ever.
    message : Message
        The job as hosts get it.
    snapshot : str
        Token of the state that all answers must be about.
    groups : dict of int to list of int
        Regions of each group that was asked for.
    hosts : dict of int to list of int
        Hosts that may do it, the first choice first.
    results : dict of int to pyarrow.Table or DvoError
        What has come of each group; take it out.
    attempts : dict of int to object
        Groups that are under way.
    failures : dict of int to Counter
        How often each group failed at each host.
    n_attempts : int
        Attempts so far.
    """

    name: str
    message: Message
    snapshot: str
    groups: dict[int, list[int]] = field(default_factory=dict)
    hosts: dict[int, list[int]] = field(default_factory=dict)
    results: dict[int, pa.Table | DvoError] = field(default_factory=dict)
    attempts: dict[int, _Attempt] = field(default_factory=dict)
    failures: dict[int, Counter[int]] = field(default_factory=dict)
    n_attempts: int = 0


@dataclass(eq=False)
class _Host:
    state: str = "new"  # new, greeted, ready, lost, refused
    heard: float = 0.0
    pinged: float = 0.0
    number: int = 0
    since: float = 0.0
    reason: DvoError | None = None
    jobs: set[str] = field(default_factory=set)
    held: list[Message] = field(default_factory=list)


class Asking:
    """The state of a client.

    Parameters
    ----------
    hosts : mapping of int to str
        Numbers of the hosts, and how to call them in messages.
    db_id : str
        Identifier of the database.
    times : Times
        How patient to be.
    """

    def __init__(self, hosts: Mapping[int, str], db_id: str, times: Times) -> None:
        self.outgoing: deque[tuple[int, Message]] = deque()
        self._names = hosts
        self._db_id = db_id
        self._times = times
        self._hosts = {host: _Host() for host in hosts}
        self._queries: dict[str, Query] = {}
        self._ticked: float | None = None

    # ---- jobs

    def begin(self, query: Query) -> None:
        """Make a job known; nothing is sent before `want`."""
        self._queries[query.name] = query

    def want(
        self, query: Query, group: int, regions: Sequence[int], hosts: Sequence[int], now: float
    ) -> None:
        """Have a group done.

        Parameters
        ----------
        query : Query
            The job.
        group : int
            Which of its groups.
        regions : sequence of int
            Its regions.
        hosts : sequence of int
            Hosts that may do it, the first choice first.
        now : float
            The time [s].
        """
        query.groups[group] = [int(r) for r in regions]
        query.hosts[group] = list(hosts)
        self._try(query, group, now)

    def _try(self, query: Query, group: int, now: float) -> None:
        query.n_attempts += 1
        attempt = _Attempt(group, query.n_attempts, since=now)
        query.attempts[attempt.seq] = attempt
        self._place(query, attempt, now)

    def cancel(self, query: Query) -> None:
        """Give up what is left of a job."""
        self._queries.pop(query.name, None)
        for number, host in self._hosts.items():
            if query.name in host.jobs and host.state == "ready":
                self.outgoing.append((number, Message("cancel", {"query": query.name})))
            host.jobs.discard(query.name)
            host.held = [m for m in host.held if m.header.get("query") != query.name]
        query.attempts.clear()

    def _place(self, query: Query, attempt: _Attempt, now: float) -> None:
        """Send a group to the best host that can be asked, or leave it waiting for one."""
        failures = query.failures.setdefault(attempt.group, Counter())
        usable = [
            h for h in query.hosts[attempt.group] if self._hosts[h].state not in ("lost", "refused")
        ]
        if not usable:
            self._wait_for_host(query, attempt, now)
            return
        number = min(usable, key=lambda h: failures[h])
        host = self._hosts[number]
        if not self._attempts_at(number):
            host.heard = now  # it was not asked for anything: its silence meant nothing
        attempt.host, attempt.since, attempt.ping = number, now, host.number
        if query.name not in host.jobs:
            host.jobs.add(query.name)
            self._send(number, query.message, now)
        regions = query.groups[attempt.group]
        header = {"query": query.name, "seq": attempt.seq, "regions": regions, "credit": _CREDIT}
        self._send(number, Message("run", header), now)

    def _wait_for_host(self, query: Query, attempt: _Attempt, now: float) -> None:
        attempt.host = None
        able = [self._hosts[h] for h in query.hosts[attempt.group]]
        if any(h.state == "lost" and now - h.since < self._times.dead_s for h in able):
            return
        reasons = [h.reason for h in able if h.reason is not None]
        del query.attempts[attempt.seq]
        final = next((r for r in reasons if not isinstance(r, HostLostError)), None)
        lost = "; ".join(dict.fromkeys(str(r) for r in reasons)) or "no host has these regions"
        query.results[attempt.group] = final or _with_hint(HostLostError(lost))

    def _send(self, number: int, message: Message, now: float) -> None:
        host = self._hosts[number]
        if host.state == "ready":
            self.outgoing.append((number, message))
            return
        host.held.append(message)
        if host.state == "new":
            self._greet(number, now)
            host.state, host.since = "greeted", now

    def _greet(self, number: int, now: float) -> None:
        self._hosts[number].pinged = now
        self.outgoing.append((number, Message("hello", {"db": self._db_id})))

    # ---- what arrives

    def receive(self, number: int, message: Message, now: float) -> None:
        """Take a message.

        Parameters
        ----------
        number : int
            The host that sent it.
        message : Message
            The message.
        now : float
            The time [s].
        """
        host = self._hosts[number]
        host.heard = now
        try:
            if message.kind == "welcome":
                self._welcome(number, message)
            elif message.kind == "error" and "query" not in message.header:
                raise error_of(message.get("code", str), message.get("message", str))
            elif host.state == "ready" and message.kind == "pong":
                self._pong(number, message, now)
            elif host.state == "ready":
                self._answer(number, message, now)
        except DvoError as err:
            self.refused(number, err, now)

    def _welcome(self, number: int, message: Message) -> None:
        host = self._hosts[number]
        check_identity(message, number, self._db_id, self._names[number])
        if host.state in ("greeted", "lost", "new"):
            host.state, host.reason = "ready", None
            self.outgoing.extend((number, held) for held in host.held)
            host.held = []

    def _answer(self, number: int, message: Message, now: float) -> None:
        query = self._queries.get(message.get("query", str))
        if query is None:
            return  # an answer to what was given up
        if message.kind == "error" and "seq" not in message.header:
            err = error_of(message.get("code", str), message.get("message", str))
            for attempt in [a for a in query.attempts.values() if a.host == number]:
                self._refuse(query, attempt, err, now)
            return
        asked = query.attempts.get(message.get("seq", int))
        if asked is None or asked.host != number:
            return  # sent twice, or too late
        try:
            self._take(query, asked, message, now)
        except ProtocolError as err:
            self._fail(query, asked, ProtocolError(f"{self._names[number]}: {err}"), now)

    def _take(self, query: Query, attempt: _Attempt, message: Message, now: float) -> None:
        """Take a part, the end or an error of a group."""
        attempt.misses = 0
        if message.kind == "error":
            err = error_of(message.get("code", str), message.get("message", str))
            self._refuse(query, attempt, err, now)
            return
        if message.get("snapshot", str) != query.snapshot:
            raise ProtocolError(
                f"answered of snapshot {message.header['snapshot']}, not of {query.snapshot}"
            )
        if message.kind == "part":
            self._take_part(attempt, message)
        elif message.kind == "end":
            attempt.end = message
        if attempt.end is not None:
            self._finish(query, attempt, attempt.end)
        if attempt.seq in query.attempts and attempt.n_whole + _CREDIT > attempt.granted:
            attempt.granted = attempt.n_whole + _CREDIT
            self._grant(query, attempt)

    def _take_part(self, attempt: _Attempt, message: Message) -> None:
        number = message.get("part", int)
        if number in attempt.tables:
            return
        if not 0 <= number < attempt.granted or "result" not in message.payloads:
            raise ProtocolError(f"sent part {number} of a result, which nobody asked for")
        payload = message.payloads["result"]
        attempt.tables[number] = payload.table()
        attempt.n_bytes += memoryview(payload.data).nbytes
        while attempt.n_whole in attempt.tables:
            attempt.n_whole += 1

    def _finish(self, query: Query, attempt: _Attempt, end: Message) -> None:
        n_parts = end.get("parts", int)
        if attempt.n_whole < n_parts:
            return
        tables = [attempt.tables[k] for k in range(len(attempt.tables))]
        found = (len(tables), sum(t.num_rows for t in tables), attempt.n_bytes)
        said = (n_parts, end.get("rows", int), end.get("bytes", int))
        if found != said or not tables or any(t.schema != tables[0].schema for t in tables):
            raise ProtocolError(f"sent {found} parts, rows and bytes, but counts {said}")
        del query.attempts[attempt.seq]
        query.results[attempt.group] = pa.concat_tables(tables)

    def _grant(self, query: Query, attempt: _Attempt) -> None:
        assert attempt.host is not None
        header = {"query": query.name, "seq": attempt.seq, "upto": attempt.granted}
        self.outgoing.append((attempt.host, Message("more", header)))

    def _pong(self, number: int, message: Message, now: float) -> None:
        """See which groups the host knows nothing of, and which parts were lost."""
        active = message.get("active", dict)
        for query, attempt in self._attempts_at(number):
            if attempt.ping >= message.get("number", int):
                continue  # asked before the group was sent
            known = active.get(query.name)
            n_sent = known.get(str(attempt.seq)) if isinstance(known, dict) else None
            if isinstance(n_sent, int) and n_sent <= attempt.n_whole:
                attempt.misses = 0
                if n_sent == attempt.n_whole > 0:
                    self._grant(query, attempt)
                continue
            attempt.misses += 1
            if attempt.misses >= _MOST_MISSES:
                err = HostLostError(f"{self._names[number]}: its answer was lost on the way")
                self._fail(query, attempt, err, now)

    # ---- what goes wrong

    def _refuse(self, query: Query, attempt: _Attempt, err: DvoError, now: float) -> None:
        """Take an error that a host gave as its answer."""
        assert attempt.host is not None
        if isinstance(err, HostBusyError | ProtocolError):
            self._hosts[attempt.host].jobs.discard(query.name)
        if isinstance(err, HostBusyError | StorageError | ProtocolError):
            self._fail(query, attempt, err, now)
        else:
            del query.attempts[attempt.seq]
            query.results[attempt.group] = err

    def _fail(self, query: Query, attempt: _Attempt, err: DvoError, now: float) -> None:
        """Give up an attempt, and begin another unless there were too many."""
        del query.attempts[attempt.seq]
        number = attempt.host
        if number is not None:
            header = {"query": query.name, "seq": attempt.seq}
            if self._hosts[number].state == "ready":
                self.outgoing.append((number, Message("cancel", header)))
            query.failures[attempt.group][number] += 1
        tries = query.failures[attempt.group]
        # An error of one host's disk is told when every host of the group has one.
        is_everywhere = all(tries[h] for h in query.hosts[attempt.group])
        if tries.total() >= _MOST_TRIES or (isinstance(err, StorageError) and is_everywhere):
            query.results[attempt.group] = _with_hint(err)
        else:
            self._try(query, attempt.group, now)

    def lost(self, number: int, reason: str, now: float) -> None:
        """Take note that a host cannot be reached; its groups go elsewhere, or wait a little.

        Parameters
        ----------
        number : int
            The host.
        reason : str
            Why, for people.
        now : float
            The time [s].
        """
        host = self._hosts[number]
        if host.state in ("lost", "refused"):
            return
        host.reason = HostLostError(f"{self._names[number]} {reason}")
        self._leave(number, "lost", now)

    def refused(self, number: int, err: DvoError, now: float) -> None:
        """Take note that a host is of no use: wrong key, version or database.

        Parameters
        ----------
        number : int
            The host.
        err : DvoError
            Why.
        now : float
            The time [s].
        """
        self._hosts[number].reason = err
        self._leave(number, "refused", now)

    def _leave(self, number: int, state: str, now: float) -> None:
        host = self._hosts[number]
        host.state, host.since = state, now
        host.jobs.clear()
        host.held.clear()
        assert host.reason is not None
        for query, attempt in self._attempts_at(number):
            self._fail(query, attempt, host.reason, now)

    def _attempts_at(self, number: int) -> list[tuple[Query, _Attempt]]:
        return [
            (query, attempt)
            for query in self._queries.values()
            for attempt in query.attempts.values()
            if attempt.host == number
        ]

    def tick(self, now: float) -> None:
        """Look at the clock: ask for signs of life, and give up those that show none.

        Parameters
        ----------
        now : float
            The time [s].
        """
        times = self._times
        if self._ticked is not None and now - self._ticked > times.dead_s / 2:
            self._forgive(now)
        self._ticked = now
        for number, host in self._hosts.items():
            is_needed = bool(self._attempts_at(number))
            if is_needed and now - host.heard > times.dead_s:
                self.lost(number, f"has been silent for {times.dead_s:g} s", now)
            elif now - host.pinged >= times.beat_s and (is_needed or host.state == "lost"):
                self._ping(number, now)
        for query in list(self._queries.values()):
            for attempt in [a for a in query.attempts.values() if a.host is None]:
                self._place(query, attempt, now)

    def _ping(self, number: int, now: float) -> None:
        host = self._hosts[number]
        if host.state != "ready":
            self._greet(number, now)
            return
        host.pinged = now
        host.number += 1
        self.outgoing.append((number, Message("ping", {"number": host.number})))

    def _forgive(self, now: float) -> None:
        """The caller was busy elsewhere: hosts could not be heard, and may have given us up."""
        for host in self._hosts.values():
            host.heard = now
        for query in self._queries.values():
            query.failures = {group: Counter() for group in query.failures}


def _with_hint(err: DvoError) -> DvoError:
    """Say what to do about hosts that are gone: once, however many they are."""
    if type(err) is not HostLostError:
        return err
    return HostLostError(f"{err}; see: dvo host status, dvo host start-local")
