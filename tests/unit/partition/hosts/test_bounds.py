"""What a client may have a host keep and send: as much as was granted, and bounded by the host."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.partition.hosts import serving
from dvo.partition.hosts.serving import Serving
from dvo.partition.hosts.tasks import MOST_CREDIT
from dvo.partition.hosts.wire import Message, Payload

JOB = {"query": "q", "operation": "op", "request": "{}", "snapshot": "s", "deadline": None}


def host_with_job(query="q", peer=b"a") -> Serving:
    host = Serving(1, "d" * 32, role_of=lambda _: "read", silence_s=10.0)
    tell(host, "job", JOB | {"query": query}, peer)
    return host


def tell(host, kind, header, peer=b"a", payloads=()) -> None:
    host.receive(peer, "read", Message(kind, header, dict(payloads)), 0.0)


def run(seq, credit=4, regions=(1,), query="q"):
    return {"query": query, "seq": seq, "regions": list(regions), "credit": credit}


def taken(host, kind=None) -> list[Message]:
    """What the host has to say since it was asked the last time."""
    found = [message for _, message in host.outgoing]
    host.outgoing.clear()
    return [m for m in found if kind is None or m.kind == kind]


def codes(host) -> list[str]:
    return [m.header["code"] for m in taken(host, "error")]


grants = st.integers(-3, 60) | st.sampled_from([10**9, 10**30, -(10**30)])


@given(
    n_parts=st.integers(1, 60),
    credit=grants,
    steps=st.lists(st.just("finish") | st.just("run") | grants, max_size=25),
)
def test_as_many_parts_as_were_granted(n_parts, credit, steps):
    """Against counting: the largest grant so far, each cut to what had been sent by then."""
    host = host_with_job()
    tell(host, "run", run(1, credit))
    task = host.next_task(0.0)
    assert task is not None
    parts = [Payload(1, bytes([k]), "x") for k in range(n_parts)]
    granted = min(max(credit, 0), MOST_CREDIT)
    is_finished, n_sent = False, 0
    for step in [*steps, "finish"]:
        if step == "finish" and not is_finished:
            host.finish(task, parts)
            is_finished = True
        elif step == "run":
            tell(host, "run", run(1, 50))  # it came twice: neither begun again nor a grant
            assert host.next_task(0.0) is None
        elif isinstance(step, int):
            tell(host, "more", {"query": "q", "seq": 1, "upto": step})
            granted = max(granted, min(step, n_sent + MOST_CREDIT))
        wanted = min(granted, n_parts) if is_finished else 0
        numbers = [m.header["part"] for m in taken(host, "part")]
        assert numbers == list(range(n_sent, wanted))
        n_sent = wanted
    assert bool(list(host._tasks())) == (n_sent < n_parts)


@given(st.lists(st.sampled_from(["run", "finish", "cancel", "more"]), max_size=12))
def test_an_attempt_is_begun_once(steps):
    """Done or called off, it is remembered for as long as the job is."""
    host = host_with_job()
    begun: Counter[int] = Counter()
    task = None
    for step in steps:
        if step == "finish" and task is not None:
            host.finish(task, [Payload(0, b"", "x")])
        elif step == "cancel":
            tell(host, "cancel", {"query": "q", "seq": 1})
        elif step == "more":
            tell(host, "more", {"query": "q", "seq": 1, "upto": 9})
        else:
            tell(host, "run", run(1))
        while (found := host.next_task(0.0)) is not None:
            begun[found.seq] += 1
            task = found
        ends = taken(host, "end")
        assert len(ends) <= 1
    assert begun[1] <= 1
    assert not steps or begun[1] == 1 or "run" not in steps or steps[0] != "run"


def result(n_bytes) -> list[Payload]:
    return [Payload(1, bytes(n_bytes), "x")]


def test_a_client_that_takes_nothing_stops_itself_and_nobody_else(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_KEPT_EACH", 1000)
    host = host_with_job()
    tell(host, "job", JOB, b"b")
    for seq in range(1, 5):
        tell(host, "run", run(seq, credit=0))
    done = 0
    while (task := host.next_task(0.0)) is not None:
        host.finish(task, result(600))
        done += 1
    assert done == 2
    assert host.kept_bytes == 1200
    tell(host, "run", run(1), b"b")
    task = host.next_task(0.0)
    assert task is not None
    assert task.peer == b"b"
    host.finish(task, result(10))
    taken(host)
    # When it takes some, its next group is begun: in the order in which they were asked for.
    tell(host, "more", {"query": "q", "seq": 1, "upto": 1})
    taken(host)
    task = host.next_task(0.0)
    assert task is not None
    assert task.seq == 3


def test_what_is_asked_for_and_not_gone_counts(monkeypatch):
    """A client that grants everything and reads nothing is no better than one that grants none."""
    monkeypatch.setattr(serving, "_MOST_KEPT", 1000)
    host = host_with_job()
    for seq in range(1, 4):
        tell(host, "run", run(seq, credit=10**9))
    for _ in range(2):
        task = host.next_task(0.0)
        assert task is not None
        host.finish(task, result(600))
    assert host.kept_bytes == 1200
    assert host.next_task(0.0) is None
    taken(host)
    host.leaving = {b"a": 1200}  # with ZeroMQ now
    assert host.next_task(0.0) is None
    host.leaving = {}
    assert host.next_task(0.0) is not None


def test_results_go_with_their_deadline():
    """Nobody waits for them any more, though somebody goes on pinging."""
    host = Serving(1, "d" * 32, role_of=lambda _: "read", silence_s=100.0)
    host.receive(b"a", "read", Message("job", JOB | {"deadline": 5}), 0.0)
    tell(host, "run", run(1, credit=0))
    task = host.next_task(0.0)
    assert task is not None
    host.finish(task, result(600))
    host.tick(4.0)
    assert host.kept_bytes == 600
    host.tick(6.0)
    assert host.kept_bytes == 0
    assert codes(host) == ["timeout"]


def test_room_for_requests_and_tables(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_HELD", 1000)
    host = host_with_job()
    large = {"request": "x" * 600}
    tell(host, "job", JOB | large | {"query": "r"})
    tell(host, "job", JOB | large | {"query": "s"}, b"b")
    assert codes(host) == ["host-busy"]
    tell(host, "job", JOB | {"query": "t"}, b"b", {"t": Payload(1, bytes(600), "x")})
    assert codes(host) == ["host-busy"]  # before anybody has looked at the table
    tell(host, "cancel", {"query": "r"})
    tell(host, "job", JOB | large | {"query": "s"}, b"b")
    assert codes(host) == []


def test_room_for_groups(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_TASKS", 3)
    monkeypatch.setattr(serving, "_MOST_REGIONS", 10)
    monkeypatch.setattr(serving, "_MOST_DONE", 5)
    host = host_with_job()
    tell(host, "run", run(1, regions=range(11)))
    assert codes(host) == ["host-busy"]
    for seq in range(1, 5):
        tell(host, "run", run(seq))
    assert codes(host) == ["host-busy"]
    assert len(list(host._tasks())) == 3
    for seq in range(100, 200):
        tell(host, "cancel", {"query": "q", "seq": seq})
    (query,) = host._peers[b"a"].queries.values()
    assert len(query.done) == 5
    tell(host, "cancel", {"query": "q", "seq": 1})
    tell(host, "run", run(7))
    assert codes(host) == ["host-busy"]


def test_what_one_client_asked_for_and_does_not_take(monkeypatch):
    monkeypatch.setattr(serving, "_MOST_KEPT_EACH", 1000)
    host = host_with_job()
    tell(host, "job", JOB, b"b")
    host.leaving = {b"a": 1200}
    tell(host, "run", run(1))
    tell(host, "run", run(1), b"b")
    task = host.next_task(0.0)
    assert task is not None
    assert task.peer == b"b"
    assert host.next_task(0.0) is None


@pytest.mark.parametrize("seq", [0, -1, 2**53, 10**300])
def test_numbers_of_groups(seq):
    host = host_with_job()
    tell(host, "run", run(seq))
    assert codes(host) == ["protocol"]
    assert host.next_task(0.0) is None


@pytest.mark.parametrize("region", [-1, 2**53, 10**300, True, 1.0, None, "1"])
def test_numbers_of_regions(region):
    host = host_with_job()
    tell(host, "run", run(1, regions=[1, region]))
    assert codes(host) == ["protocol"]
