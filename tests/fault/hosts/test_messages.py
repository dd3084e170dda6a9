"""Messages of another version, noise, and what is too large."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from dvo.errors import OperationError, ProtocolError, ProtocolVersionError
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


def sealed(text: str, *payloads: bytes) -> list[bytes]:
    """A message as somebody else may write it."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return [b"DVO\x01" + digest.encode(), text.encode(), *payloads]


@pytest.mark.parametrize("rows", ["1e400", "-1e400", "true", "1.5", '"1"'])
def test_rows_that_are_no_number(rows):
    table = f'{{"name": "a", "rows": {rows}, "bytes": 3, "digest": "x"}}'
    with pytest.raises(ProtocolError, match="cannot be read"):
        from_frames(sealed(f'{{"v": 1, "kind": "job", "tables": [{table}]}}', b"abc"))


def test_numbers_that_no_float_can_hold(store):
    """They are not what ends a host."""
    job = '"kind": "job", "query": "q", "operation": "test-echo", "request": "{}", "tables": []'
    late = f'{{"v": 1, {job}, "snapshot": "x", "deadline": -1{"0" * 400}}}'
    rows = '{"v": 1, "kind": "job", "tables": [{"name": "a", "rows": 1e400, "bytes": 1}]}'
    run = (
        '{"v": 1, "kind": "run", "query": "q", "seq": 1, "regions": [1], "credit": 1, "tables":[]}'
    )
    with serving(store, 1, "tcp://127.0.0.1:*") as server, raw(server.endpoint) as socket:
        for frames in (sealed(rows, b"x"), sealed(late), sealed(run)):
            socket.send_multipart(frames)
        assert from_frames(socket.recv_multipart()).header["code"] == "timeout"


def test_a_mistake_of_ours_is_told_and_takes_no_thread(store, monkeypatch):
    """A host has few threads: one that is lost in silence is never given back."""

    def mistake(result: object) -> list[wire.Payload]:
        raise KeyError("a mistake")

    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with open_hosts(store) as engine:
            with monkeypatch.context() as patch:
                patch.setattr("dvo.partition.hosts.server.parts_of", mistake)
                with pytest.raises(OperationError, match="KeyError: 'a mistake'"):
                    list(engine.run(Job("test-echo", {}, [[1]], timeout_s=20)))
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
