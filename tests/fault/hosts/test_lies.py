"""Answers that are damaged, cut, doubled, replayed, out of order or of something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dvo.errors import HostLostError, ProtocolError
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.wire import Message, from_frames, to_frames
from dvo.partition.operations import Job
from tests.fault.hosts.asking import expect_all, open_hosts
from tests.fault.hosts.liar import Liar
from tests.hosts import enter, serving

pytestmark = pytest.mark.timeout(60)


def part_of(frames: list[bytes]) -> Message | None:
    message = from_frames(frames)
    return message if message.kind == "part" else None


def flip(frames: list[bytes], _: int) -> list[list[bytes]]:
    """One bit of every table."""
    if part_of(frames) is None:
        return [frames]
    data = bytearray(frames[2])
    data[len(data) // 2] ^= 4
    return [[*frames[:2], bytes(data)]]


def cut(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames] if part_of(frames) is None else [[*frames[:2], frames[2][:-8]]]


def age(frames: list[bytes], _: int) -> list[list[bytes]]:
    """All tables are said to be of another snapshot."""
    message = part_of(frames)
    if message is None:
        return [frames]
    header = {**message.header, "snapshot": "00000001-0000"}
    return [[bytes(f) for f in to_frames(replace(message, header=header))]]


def miscount(frames: list[bytes], _: int) -> list[list[bytes]]:
    message = from_frames(frames)
    if message.kind != "end":
        return [frames]
    header = {**message.header, "rows": message.header["rows"] + 1}
    return [[bytes(f) for f in to_frames(replace(message, header=header))]]


def swallow(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames] if from_frames(frames).kind != "end" else []


def double(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames, frames]


def replaying() -> Callable[[list[bytes], int], list[list[bytes]]]:
    """Every table is followed by all that came before it."""
    seen: list[list[bytes]] = []

    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        old = list(seen)
        if part_of(frames) is not None:
            seen.append(frames)
        return [*old, frames]

    return change


def turning() -> Callable[[list[bytes], int], list[list[bytes]]]:
    """Answers come in pairs, the second before the first."""
    held: list[list[bytes]] = []

    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        if from_frames(frames).kind in ("welcome", "pong"):
            return [*[held.pop() for _ in list(held)], frames]
        held.append(frames)
        return [held.pop() for _ in list(held)] if len(held) == 2 else []

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (flip, "host 1 .* damaged"),
        (cut, "host 1 .* answer was lost"),
        (age, "host 1 .* answered of snapshot 00000001-0000"),
        (miscount, "host 1 .* but counts"),
        (swallow, "host 1 .* answer was lost"),
        (double, None),
        (replaying(), None),
        (turning(), None),
    ],
    ids=["damaged", "cut", "other snapshot", "miscounted", "no end", "doubled", "replayed",
         "out of order"],
)  # fmt: skip
def test_a_line_that_lies(store, change, match):
    with (
        serving(store, 1, "tcp://127.0.0.1:*") as server,
        Liar(server.endpoint, change) as liar,
    ):
        enter(store, liar.endpoint)
        with open_hosts(store, times=Times(0.05, 5.0)) as engine:
            if match is None:
                expect_all(engine, store)
            else:
                with pytest.raises((ProtocolError, HostLostError), match=match):
                    expect_all(engine, store)


def replaying_jobs(is_renamed: bool) -> Callable[[list[bytes], int], list[list[bytes]]]:
    """Before each answer of a job comes what an earlier job was answered, under its old name.

    Groups are numbered anew in each job, so that only the name tells them apart. `is_renamed`
    has errors say nothing of a group, as if they were about the whole job.
    """
    seen: dict[str, list[list[bytes]]] = {}

    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        message = from_frames(frames)
        name = message.header.get("query")
        if name is None:
            return [frames]
        old = [f for other, answers in seen.items() if other != name for f in answers]
        if is_renamed and old:
            first = next(other for other in seen if other != name)
            header = {"query": first, "code": "operation", "message": "old"}
            old = [[bytes(f) for f in to_frames(Message("error", header))]]
        seen.setdefault(name, []).append(frames)
        return [*old, frames]

    return change


@pytest.mark.parametrize("is_renamed", [False, True])
def test_answers_of_an_earlier_job(store, is_renamed):
    """The same groups with the same numbers, of other operations: none of it is taken."""
    groups = [[r] for r in store.view().regions()]
    jobs = [Job("test-big", {"n": n}, groups) for n in (3, 4, 5)]
    with (
        serving(store, 1, "tcp://127.0.0.1:*") as server,
        Liar(server.endpoint, replaying_jobs(is_renamed)) as liar,
    ):
        enter(store, liar.endpoint)
        with open_hosts(store, times=Times(0.05, 5.0)) as engine:
            for n, job in zip((3, 4, 5), jobs, strict=True):
                found = [table.to_pydict()["i"] for table in engine.run(job)]
                assert found == [list(range(r, r + n)) for (r,) in groups]
