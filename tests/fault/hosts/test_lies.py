"""Answers that are damaged, cut, doubled, replayed, out of order or of something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dvo.errors import HostLostError, ProtocolError
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.wire import Message, from_frames, to_frames
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
