"""A network that delays, drops, doubles, reorders and damages; hosts that die; a false clock.

Clients and hosts are the true ones (`Asking`, `Serving`, frames included), without sockets
and threads. All that happens follows from one seed.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from dvo.errors import DvoError, ProtocolError, StorageError, UnknownColumnError
from dvo.partition.hosts.asking import Asking, Query, Times
from dvo.partition.hosts.serving import Serving
from dvo.partition.hosts.tasks import Task
from dvo.partition.hosts.wire import Message, Payload, from_frames, to_frames

DB, SNAPSHOT, OTHER = "d" * 32, "00000007-abcd", "00000006-abcd"
REFUSED = 5  # the group that the operation refuses, if it is asked for
N_GROUPS = 6
BEAT_S, DEAD_S, SILENCE_S = 1.0, 3.0, 20.0


@dataclass(frozen=True)
class Weather:
    """How bad the network is, and who fails."""

    drop: float
    double: float
    damage: float
    delay_s: float
    deaths: int
    lies: float
    replicas: bool
    bad_disk: int  # a host that can read nothing; 0 for none

    @property
    def is_quiet(self) -> bool:
        """Whether all arrives soon, though perhaps twice and in another order."""
        return self.drop == self.damage == self.lies == 0 and self.delay_s < 0.3


def weather(rng: np.random.Generator) -> Weather:
    """Every kind of trouble, often none of it."""

    def some(most: float) -> float:
        return float(rng.choice([0.0, 0.0, rng.uniform(0, most)]))

    return Weather(
        some(0.2), some(0.3), some(0.1), some(2.0), int(rng.integers(0, 3)), some(0.2),
        bool(rng.random() < 0.7), int(rng.choice([0, 0, 0, rng.integers(1, 4)])),
    )  # fmt: skip


@cache
def answer(group: int, snapshot: str) -> tuple[pa.Table, list[Payload]]:
    """What hosts should say: between 1 and 9 parts."""
    n_parts = (1, 2, 9, 1, 5, 3)[group]
    values = np.arange(4 * n_parts) * (group + 1) + (snapshot == OTHER)
    table = pa.table({"x": values, "group": np.full(len(values), group)})
    return table, [Payload.of(table.slice(4 * k, 4)) for k in range(n_parts)]


class World:
    """One client, some hosts, and what is between them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.weather = weather(self.rng)
        self.now = 0.0
        self.count = itertools.count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.hosts = {k: self.new_host(k) for k in (1, 2, 3)}
        self.life = dict.fromkeys(self.hosts, 0)
        self.frozen: set[int] = set()
        self.worked: Counter[tuple[str, int]] = Counter()
        self.begun: set[tuple[object, int]] = set()
        self.client = Asking({k: f"host {k}" for k in self.hosts}, DB, Times(BEAT_S, DEAD_S))
        for _ in range(self.weather.deaths):
            host = int(self.rng.integers(1, 4))
            self.after(self.rng.uniform(0, 4), lambda host=host: self.kill(host))
        self.beat()

    def new_host(self, number: int) -> Serving:
        return Serving(number, DB, role_of=lambda _: "read", silence_s=SILENCE_S)

    # ---- time

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + float(seconds), next(self.count), act))

    def step(self) -> None:
        self.now, _, act = heapq.heappop(self.events)
        act()
        self.deliver()

    def beat(self) -> None:
        self.client.tick(self.now)
        for host in self.hosts.values():
            host.tick(self.now)
        self.after(BEAT_S / 4, self.beat)

    # ---- the network

    def deliver(self) -> None:
        """Put all that is to be sent on its way."""
        while self.client.outgoing:
            host, message = self.client.outgoing.popleft()
            self.send(message, lambda m, host=host: self.at_host(host, m))
        for number, host in self.hosts.items():
            while host.outgoing:
                _, message = host.outgoing.popleft()
                message = self.lie(message)
                self.send(message, lambda m, k=number: self.client.receive(k, m, self.now))
            while (task := host.next_task(self.now)) is not None:
                self.begin(host, task)
                seconds = self.rng.exponential(0.3)
                self.after(
                    seconds, lambda t=task, k=number, n=self.life[number]: self.work(k, n, t)
                )

    def send(self, message: Message, arrive: Callable[[Message], None]) -> None:
        w = self.weather
        if self.rng.random() < w.drop:
            return
        frames = [bytearray(f) for f in to_frames(message)]
        if self.rng.random() < w.damage:
            frame = frames[self.rng.integers(len(frames))]
            frame[self.rng.integers(len(frame))] ^= 1 << int(self.rng.integers(8))
        for _ in range(2 if self.rng.random() < w.double else 1):
            delay = 0.001 + w.delay_s * self.rng.random() ** 3
            self.after(delay, lambda: self.arrive(frames, arrive))

    def arrive(self, frames: list[bytearray], arrive: Callable[[Message], None]) -> None:
        try:
            message = from_frames(frames)
        except ProtocolError:
            return  # as the sockets' code does: what cannot be read is as good as lost
        arrive(message)

    def at_host(self, number: int, message: Message) -> None:
        if number not in self.frozen:
            host = self.hosts[number]
            granted = {task: task.credit for task in host._tasks()}
            host.receive(b"client", "read", message, self.now)
            lowered = [task.seq for task in host._tasks() if task.credit < granted.get(task, 0)]
            assert not lowered, f"{message.kind!r} took back what {lowered} may send"

    def lie(self, message: Message) -> Message:
        """A host that leaves out the last part of a result, and says that this was all."""
        n_parts = message.header.get("parts", 0)
        if message.kind == "end" and n_parts > 1 and self.rng.random() < self.weather.lies:
            return Message("end", {**message.header, "parts": n_parts - 1})
        return message

    # ---- hosts

    def begin(self, host: Serving, task: Task) -> None:
        """No attempt is begun twice for as long as the host knows the job, whatever comes twice."""
        query = host._peers[task.peer].queries[task.query]
        assert (query, task.seq) not in self.begun, f"attempt {task.seq} was begun twice"
        self.begun.add((query, task.seq))

    def work(self, number: int, life: int, task) -> None:
        if self.life[number] != life:
            return
        (group,) = task.regions
        self.worked[task.query, group] += 1
        if number == self.weather.bad_disk:
            self.hosts[number].finish(task, StorageError("n0000/0001.cpm: cannot be read"))
            return
        if self.rng.random() < self.weather.lies:
            task.snapshot = OTHER  # it looks at another state than it was asked for
        if task.request == "refuse" and group == REFUSED:
            self.hosts[number].finish(task, UnknownColumnError("no column 'x'"))
        else:
            self.hosts[number].finish(task, answer(group, task.snapshot)[1])

    def kill(self, number: int) -> None:
        """The host is gone at once; mostly another takes its place, and the client notices."""
        self.life[number] += 1
        if self.rng.random() < 0.3:
            self.frozen.add(number)  # it hangs: nobody is told, and nothing comes any more
            return
        self.hosts[number] = self.new_host(number)
        if self.rng.random() < 0.7:
            self.after(0.01, lambda: self.client.lost(number, "hung up", self.now))

    # ---- what is asked

    def ask(self, request: str) -> dict[int, pa.Table | DvoError]:
        """Ask for all groups, three at a time, and give what comes."""
        hosts = [
            [1 + k % 3, 1 + (k + 1) % 3] if self.weather.replicas else [1 + k % 3]
            for k in range(N_GROUPS)
        ]
        header = {"query": f"q{next(self.count)}", "operation": "op", "request": request,
                  "snapshot": SNAPSHOT}  # fmt: skip
        query = Query(header["query"], Message("job", header), SNAPSHOT)
        self.client.begin(query)
        found: dict[int, pa.Table | DvoError] = {}
        wanted = 0
        for group in range(N_GROUPS):
            while wanted < min(N_GROUPS, group + 3):
                self.client.want(query, wanted, [wanted], hosts[wanted], self.now)
                wanted += 1
            self.deliver()
            end = self.now + 120
            while group not in query.results:
                self.step()
                assert self.now < end, "neither an answer nor an error in two minutes"
            found[group] = query.results.pop(group)
        if self.weather.is_quiet and not self.weather.deaths:
            kept = [task for host in self.hosts.values() for task in host._tasks()]
            assert not kept, "a host keeps what it has sent"
        self.client.cancel(query)
        self.deliver()
        return found

    def pass_time(self, seconds: float) -> None:
        """Let things happen for some time."""
        end = self.now + seconds
        while self.now < end:
            self.step()

    def rest(self) -> None:
        """Let time pass until hosts have given up clients that are silent."""
        self.pass_time(3 * SILENCE_S)
