"""Messages: what is written is read, and nothing else is."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.errors import ProtocolError, ProtocolVersionError
from dvo.partition.hosts import wire
from dvo.partition.hosts.wire import Message, Payload, from_frames, parts_of, to_frames

TABLE = pa.table(
    {"x": [1.5, None, -0.0], "n": pa.array([1, 2, 3], pa.uint16()), "s": ["a", "ü", None]},
    metadata={"unit": "deg"},
)
MESSAGE = Message("job", {"query": "ab", "seq": 3}, {"a": Payload.of(TABLE)})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text(min_size=1), st.dictionaries(st.sampled_from("abcd"), json_values))
def test_headers_come_back(kind, header):
    found = from_frames(to_frames(Message(kind, header)))
    assert (found.kind, found.header, found.payloads) == (kind, header, {})


def test_tables_come_back():
    found = from_frames(to_frames(MESSAGE))
    assert found.header == {"query": "ab", "seq": 3}
    assert found.payloads["a"].table().equals(TABLE, check_metadata=True)


@given(st.data())
def test_a_bit_that_flips_is_noticed(data):
    frames = [bytearray(f) for f in to_frames(MESSAGE)]
    frame = data.draw(st.integers(0, len(frames) - 1))
    place = data.draw(st.integers(0, len(frames[frame]) - 1))
    frames[frame][place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolError):
        from_frames(frames).payloads["a"].table()


@given(st.data())
def test_what_is_cut_short_is_noticed(data):
    frames = [bytearray(f) for f in to_frames(MESSAGE)]
    frame = data.draw(st.integers(0, len(frames) - 1))
    del frames[frame][data.draw(st.integers(0, len(frames[frame]) - 1)) :]
    with pytest.raises(ProtocolError):
        from_frames(frames).payloads["a"].table()
    with pytest.raises(ProtocolError):
        from_frames(frames[:frame])


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_noise_is_no_message(frames):
    with pytest.raises(ProtocolError):
        from_frames(frames)


def sealed(header: object) -> list[bytes]:
    """A header with a right seal: somebody who lies, not a fault of the line."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return [b"DVO\x01" + wire._digest(text).encode(), text]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        [],
        "x",
        {},
        {"v": 1, "kind": "x"},
        b'{"v": 1, "kind": "x", "tables": [], "deadline": NaN}',
        b'{"v": 1, "kind": "x", "tables": [], "seq": 1' + b"0" * 5000 + b"}",
        {"v": 1, "kind": 7, "tables": []},
        {"v": 1, "kind": "x", "tables": {}, "more": 1} | {"tables": [{}]},
        {"v": 1, "kind": "x", "tables": [{"name": "a", "rows": "many", "bytes": 0, "digest": ""}]},
        {"v": 1, "kind": "x", "tables": [{"name": "a", "rows": 1, "bytes": 9, "digest": ""}]},
    ],
)
def test_headers_that_lie(header):
    with pytest.raises(ProtocolError):
        from_frames([*sealed(header), *([b"abc"] if b'"name"' in sealed(header)[1] else [])])


def test_rows_that_are_not_there():
    payload = Payload.of(TABLE)
    with pytest.raises(ProtocolError, match="a table of 4 rows arrived with 3"):
        Payload(4, payload.data, payload.digest).table()


def test_tables_that_arrow_refuses():
    """A right digest of wrong bytes: text that is no UTF-8."""
    words = pa.StringArray.from_buffers(
        2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")
    )
    payload = Payload.of(pa.table({"s": words}))
    with pytest.raises(ProtocolError, match="Arrow cannot read"):
        payload.table()


def test_other_versions():
    with pytest.raises(ProtocolVersionError, match=r"version 2 .* speaks version 1"):
        from_frames(to_frames(MESSAGE, version=2))


def test_tables_that_are_too_large(monkeypatch):
    monkeypatch.setattr(wire, "MAX_BYTES", 100)
    with pytest.raises(ProtocolError, match="send it in pieces"):
        to_frames(MESSAGE)


def test_long_results_are_cut(monkeypatch):
    monkeypatch.setattr(wire, "PART_BYTES", 1000)
    table = pa.table({"x": np.arange(1000.0)}, metadata={"k": "v"})
    parts = [p.table() for p in parts_of(table)]
    assert len(parts) == 8
    assert pa.concat_tables(parts).equals(table, check_metadata=True)
    (none,) = parts_of(table.slice(0, 0))
    assert none.table().schema.equals(table.schema, check_metadata=True)


def test_fields_of_headers():
    message = Message("run", {"seq": 1, "flag": True})
    assert message.get("seq", int) == 1
    for name, kind in (("seq", str), ("flag", int), ("none", str)):
        with pytest.raises(ProtocolError, match=f"has {name} = "):
            message.get(name, kind)
