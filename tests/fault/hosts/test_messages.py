"""Messages of another version, noise, and what is too large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from dvo.errors import ProtocolError, ProtocolVersionError
from dvo.partition.hosts import wire
from dvo.partition.hosts.wire import Message, from_frames, to_frames
from dvo.partition.operations import Job
from tests.fault.hosts.asking import expect_all, open_hosts
from tests.fault.hosts.liar import Liar
from tests.hosts import enter, serving

pytestmark = pytest.mark.timeout(60)


@contextmanager
def raw(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.rcvtimeo = 0, 3000
    try:
        socket.connect(endpoint)
        yield socket
    finally:
        context.destroy(linger=0)


def test_messages_of_another_version(store):
    with serving(store, 1, "tcp://127.0.0.1:*") as server, raw(server.endpoint) as socket:
        socket.send_multipart(to_frames(Message("hello"), version=2))
        answer = from_frames(socket.recv_multipart())
        assert answer.header["code"] == "protocol-version"
        assert "use the same version of dvo everywhere" in answer.header["message"]


def test_a_host_of_another_version(store):
    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        return [[bytes(f) for f in to_frames(from_frames(frames), version=2)]]

    with (
        serving(store, 1, "tcp://127.0.0.1:*") as server,
        Liar(server.endpoint, change) as liar,
    ):
        enter(store, liar.endpoint)
        with open_hosts(store) as engine, pytest.raises(ProtocolVersionError, match="host 1"):
            expect_all(engine, store)


def test_noise_and_messages_that_are_too_large(store, monkeypatch):
    """The host goes on serving others."""
    monkeypatch.setattr("dvo.partition.hosts.server.MAX_BYTES", 1 << 20)
    with serving(store, 1, "tcp://127.0.0.1:*") as server, raw(server.endpoint) as socket:
        for frames in ([b""], [b"x"], [b"DVO\x01", b"{}"], [b"x" * (2 << 20)], [b"a"] * 900):
            socket.send_multipart(frames)
        for kind in ("run", "job", "more", "cancel", "ping", "nonsense"):
            socket.send_multipart(to_frames(Message(kind, {"query": 7, "seq": "x"})))
        enter(store, server.endpoint)
        with open_hosts(store) as engine:
            expect_all(engine, store)


def test_an_upload_that_is_too_large(store, monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr(wire, "MAX_BYTES", 1 << 20)
    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        table = pa.table({"x": np.zeros(200_000)})
        with open_hosts(store) as engine:
            with pytest.raises(ProtocolError, match="send it in pieces"):
                list(engine.run(Job("test-echo", {}, [[1]], {"big": table})))
            expect_all(engine, store)
