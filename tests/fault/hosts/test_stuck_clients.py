"""Clients that ask for everything and read nothing: a host's memory is bounded, others go on."""

from __future__ import annotations

from contextlib import contextmanager

import pyarrow as pa
import pytest
import zmq

from dvo.partition.engines.hosts import HostEngine
from dvo.partition.hosts import leaving, serving, wire
from dvo.partition.hosts.wire import Message, from_frames, to_frames
from dvo.partition.operations import Job
from tests.fault.hosts.asking import expect_all, open_hosts, until
from tests.hosts import enter
from tests.hosts import serving as serving_host

pytestmark = pytest.mark.timeout(100)

MIB = 1 << 20
ROWS = 8 * MIB // 16
"""Of a result of 8 MiB."""


@contextmanager
def stuck(endpoint):
    """A connection whose messages nobody reads."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.rcvhwm, socket.rcvbuf, socket.rcvtimeo = 0, 1, 65536, 10_000
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


def send(socket, kind, **header):
    socket.send_multipart(to_frames(Message(kind, header)))


def small_limits(monkeypatch):
    monkeypatch.setattr(wire, "PART_BYTES", MIB)
    monkeypatch.setattr(serving, "_MOST_KEPT_EACH", 16 * MIB)
    monkeypatch.setattr(leaving, "_MOST_EACH", 4 * MIB)


def ask_for_much(socket, store, n):
    job = {"query": "q", "operation": "test-big", "request": f'{{"n": {ROWS}}}', "deadline": None}
    send(socket, "job", snapshot=store.view().snapshot.token, **job)
    for seq in range(1, n + 1):
        send(socket, "run", query="q", seq=seq, regions=[seq], credit=10**12)


@pytest.mark.slow
def test_memory_is_bounded_whatever_is_granted(store, monkeypatch):
    """320 MiB of results are granted at once, and asked for again and again."""
    small_limits(monkeypatch)
    with serving_host(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with stuck(server.endpoint) as socket, open_hosts(store) as engine:
            before = pa.total_allocated_bytes()
            ask_for_much(socket, store, 40)
            rules, most = server._serving, 0
            until(lambda: rules.kept_bytes > 16 * MIB and not server._n_running)
            for k in range(200):
                for seq in range(1, 41):
                    send(socket, "more", query="q", seq=seq, upto=10**12 + k)
                most = max(most, pa.total_allocated_bytes() - before)
            expect_all(engine, store)  # others are served
            most = max(most, pa.total_allocated_bytes() - before)
            # What may be kept and the result that went beyond; Arrow's buffers are up to twice
            # as large as what is in them.
            assert most < 2 * (16 + 8 + 8) * MIB
            # It begins to read, and gets all of it.
            n_parts = dict.fromkeys(range(1, 41), 0)
            ends = set()
            while len(ends) < 40:
                answer = from_frames(socket.recv_multipart(copy=True))
                seq = answer.header["seq"]
                if answer.kind == "end":
                    assert answer.header["parts"] == n_parts[seq]
                    ends.add(seq)
                elif answer.kind == "part":
                    assert answer.header["part"] == n_parts[seq]
                    n_parts[seq] += 1
                    send(socket, "more", query="q", seq=seq, upto=10**12)
            assert set(n_parts.values()) == {8}
            until(lambda: rules.kept_bytes == 0)


def test_a_client_that_only_pings_is_given_up(store, monkeypatch):
    """Answers to pings pile up, too; they are bounded by their number."""
    small_limits(monkeypatch)
    monkeypatch.setattr("dvo.partition.hosts.server._MOST_SMALL", 64)
    monkeypatch.setattr(leaving, "_MOST_WAITING", 64)
    with serving_host(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with stuck(server.endpoint) as socket, open_hosts(store) as engine:
            ask_for_much(socket, store, 1000)  # each pong has a word of each of them
            rules = server._serving
            until(lambda: rules._peers)
            (name,) = rules._peers
            heard = [rules._peers[name]]
            until(lambda: ping(socket) or rules._peers.get(name) is not heard[0])
            assert len(rules.outgoing) <= 64 + 256  # and what was answered just now
            expect_all(engine, store)


def ping(socket):
    for _ in range(50):
        send(socket, "ping", number=1)


def test_a_client_that_went_while_much_was_on_its_way(store, monkeypatch):
    small_limits(monkeypatch)
    with serving_host(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with stuck(server.endpoint) as socket:
            ask_for_much(socket, store, 10)
            until(lambda: server._serving.kept_bytes > 16 * MIB)
        server._serving._silence_s = 0.5
        until(lambda: server._serving.kept_bytes == 0)
        assert not server._leaving._given
        with open_hosts(store) as engine:
            expect_all(engine, store)


def test_results_that_are_long_arrive_with_little_on_the_way(store, monkeypatch):
    """The bounds cut nothing off."""
    small_limits(monkeypatch)
    with serving_host(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with HostEngine(store, store.view().snapshot.id) as engine:
            job = Job("test-big", {"n": 8 * ROWS}, [[k] for k in range(6)])
            for k, table in enumerate(engine.run(job)):
                assert table.num_rows == 8 * ROWS
                assert table["i"][-1].as_py() == 8 * ROWS - 1 + k
