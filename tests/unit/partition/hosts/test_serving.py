"""A host and messages that nobody should send: always an answer, never an end of the host."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dvo.partition.hosts.serving import Serving
from dvo.partition.hosts.wire import Message, Payload, from_frames, to_frames

DB = "d" * 32
KINDS = ["hello", "job", "run", "more", "cancel", "ping", "bye", "drain", "stop", "part", "x"]

numbers = st.integers(-2, 3) | st.sampled_from([2**63, -(10**400), 10**400]) | st.floats()
values = numbers | st.none() | st.booleans() | st.sampled_from(["q", "op", "r"]) | st.lists(numbers)
names = st.sampled_from(
    ["query", "seq", "regions", "credit", "upto", "number", "operation", "request", "snapshot",
     "deadline", "db"]
)  # fmt: skip
good = {
    "hello": {"db": DB},
    "job": {"query": "q", "operation": "op", "request": "{}", "snapshot": "s", "deadline": None},
    "run": {"query": "q", "seq": 1, "regions": [1], "credit": 1},
    "more": {"query": "q", "seq": 1, "upto": 2},
    "cancel": {"query": "q", "seq": 1},
    "ping": {"number": 1},
}


@st.composite
def messages(draw) -> Message:
    """Mostly as they should be, with a few fields that are not."""
    kind = draw(st.sampled_from(KINDS))
    header = {**good.get(kind, {}), **draw(st.dictionaries(names, values, max_size=2))}
    payloads = draw(st.sampled_from([{}, {"t": Payload(3, b"no table", "0" * 32)}]))
    return Message(kind, header, payloads)


@given(st.lists(messages(), max_size=30), st.data())
def test_any_messages_in_any_order(sent, data):
    host = Serving(1, DB, role_of=lambda _: "read", silence_s=10.0)
    now = 0.0
    for message in sent:
        now += data.draw(st.floats(0, 6))
        role = data.draw(st.sampled_from(["read", "admin"]))
        host.receive(data.draw(st.sampled_from([b"a", b"b"])), role, message, now)
        host.tick(now)
        while (task := host.next_task(now)) is not None:
            assert all(isinstance(r, int) for r in task.regions)
            host.finish(task, [Payload(0, b"x", "y")] * data.draw(st.integers(1, 3)))
    for _, answer in host.outgoing:
        assert to_frames(answer)
    host.tick(now + 11.0)
    assert not list(host._tasks())
    assert host.kept_bytes == 0


def test_errors_can_be_sent():
    """What is no name and no number is not sent back."""
    host = Serving(1, DB, role_of=lambda _: "read")
    host.receive(b"a", "read", Message("run", {"query": 7, "seq": [None, {"x": 1.5}]}), 0.0)
    ((_, answer),) = host.outgoing
    header = from_frames(to_frames(answer)).header
    assert header["code"] == "protocol"
    assert "query" not in header
    assert "seq" not in header
