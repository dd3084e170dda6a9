"""A client and messages that no host should send: an answer or an error, never an end of it."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dvo.errors import DvoError
from dvo.partition.hosts.asking import Asking, Query, Times
from dvo.partition.hosts.wire import Message, Payload, to_frames

DB, SNAPSHOT = "d" * 32, "00000007-abcd"
TABLE = pa.table({"x": [1, 2, 3]})
RIGHT = Payload.of(TABLE)
KINDS = ["welcome", "part", "end", "error", "pong", "hello", "x"]
WRONG_TABLES = [Payload(3, b"no table", "0" * 32), Payload(2, RIGHT.data, RIGHT.digest)]

numbers = st.integers(-2, 6) | st.sampled_from([2**63, -(10**400), 10**400]) | st.floats()
values = (
    numbers | st.none() | st.booleans() | st.sampled_from(["q", "r", DB, SNAPSHOT, "host-lost"])
    | st.lists(numbers) | st.dictionaries(st.sampled_from(["q", "1"]), numbers)
)  # fmt: skip
names = st.sampled_from(
    ["query", "seq", "part", "parts", "rows", "bytes", "snapshot", "host", "db", "code",
     "message", "number", "active"]
)  # fmt: skip
good = {
    "welcome": {"host": 1, "db": DB},
    "part": {"query": "q", "seq": 1, "part": 0, "snapshot": SNAPSHOT},
    "end": {"query": "q", "seq": 1, "snapshot": SNAPSHOT, "parts": 1, "rows": 3,
            "bytes": RIGHT.n_bytes},
    "error": {"query": "q", "seq": 1, "code": "storage", "message": "bad disk"},
    "pong": {"number": 1, "active": {"q": {"1": 0}}},
}  # fmt: skip


@st.composite
def messages(draw) -> Message:
    """Mostly as they should be, with a few fields that are not, or are missing."""
    kind = draw(st.sampled_from(KINDS))
    header = {**good.get(kind, {}), **draw(st.dictionaries(names, values, max_size=2))}
    header.pop(draw(names | st.none()), None)
    table = draw(st.sampled_from([RIGHT, *WRONG_TABLES, None]))
    return Message(kind, header, {} if table is None else {"result": table})


@given(st.lists(messages(), max_size=30), st.data())
def test_any_messages_in_any_order(arriving, data):
    asking = Asking({1: "host 1", 2: "host 2"}, DB, Times(1.0, 3.0))
    header = {"query": "q", "operation": "op", "request": "{}", "snapshot": SNAPSHOT}
    query = Query("q", Message("job", header), SNAPSHOT)
    asking.begin(query)
    now = 0.0
    for group in range(2):
        asking.want(query, group, [group], [1, 2], now)
    for message in arriving:
        now += data.draw(st.sampled_from([0.0, 0.3, 1.0]))
        asking.receive(data.draw(st.sampled_from([1, 1, 2])), message, now)
        asking.tick(now)
    for k in range(200):  # nobody says anything any more: then it ends, too
        asking.tick(now + 0.3 * k)
    assert query.results.keys() == {0, 1}
    for result in query.results.values():
        assert isinstance(result, DvoError) or result.equals(TABLE)
    for _, message in asking.outgoing:
        assert to_frames(message)
