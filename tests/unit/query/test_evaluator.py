"""The evaluator is shut in: no files, no settings, no variables of this program."""

from __future__ import annotations

import os
import signal
import threading

import pyarrow as pa
import pytest

from dvo.errors import JobTimeoutError, QueryCancelledError, QueryError
from dvo.partition.cancellation import Cancellation
from dvo.query import evaluator as module
from dvo.query.evaluator import Evaluator, borrowed_evaluator

TABLE = pa.table({"x": pa.array([1, 2, None], pa.int32()), "y": [0.5, None, 2.5]})


def test_types_are_plain():
    with Evaluator() as evaluator:
        found = evaluator.run("SELECT sum(x) AS s, 1.5 AS d, avg(y) AS a, count(*) AS n FROM t",
                              {"t": TABLE})  # fmt: skip
    assert found.to_pylist() == [{"s": 3, "d": 1.5, "a": 1.5, "n": 3}]
    assert [str(f.type) for f in found.schema] == ["int64", "double", "double", "int64"]


@pytest.mark.parametrize("side", ["a LEFT JOIN b", "b RIGHT JOIN a"])
def test_rows_without_a_partner_are_found_by_what_the_partner_lacks(side):
    """DuckDB 2.0 leaves them all out, by one of its optimizers."""
    tables = {"a": pa.table({"k": [1, 2, 3]}), "b": pa.table({"k": [1, 2, 3], "d": [1, None, 3]})}
    sql = f"SELECT a.k FROM {side} ON a.k = b.k AND b.d IS NULL WHERE b.k IS NULL ORDER BY a.k"
    with Evaluator() as evaluator:
        assert evaluator.run(sql, tables)["k"].to_pylist() == [1, 3]


def test_distances_are_right_where_cosines_are_not():
    with Evaluator() as evaluator:
        for sql, expected in (
            ("SELECT DVO_DISTANCE(10, 20, 10, 20 + 1e-9) AS d", 1e-9),
            ("SELECT DVO_DISTANCE(0, 89.9, 180, 89.9) AS d", 0.2),
            ("SELECT DVO_DISTANCE(359.9, 0, 0.1, 0) AS d", 0.2),
            ("SELECT DVO_DISTANCE(0, 0, 180, 0) AS d", 180.0),
        ):
            (row,) = evaluator.run(sql, {}).to_pylist()
            assert row["d"] == pytest.approx(expected, rel=1e-6)
        assert evaluator.run("SELECT DVO_DISTANCE(1, 2, NULL, 4) AS d", {})["d"].to_pylist() == [
            None
        ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/dvo-evaluator-test'",
        "ATTACH '/tmp/dvo-evaluator-test.db' AS x",
        "SELECT * FROM glob('/*')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit='1TB'",
        "SET enable_external_access=true",
        "SELECT * FROM secret_of_the_caller",
    ],
)
def test_it_is_shut_in(sql):
    secret_of_the_caller = pa.table({"password": ["abc"]})
    with Evaluator() as evaluator, pytest.raises(QueryError):
        evaluator.run(sql, {})
    assert len(secret_of_the_caller) == 1


def test_tables_are_gone_after_a_query():
    with Evaluator() as evaluator:
        evaluator.run("SELECT * FROM t", {"t": TABLE})
        with pytest.raises(QueryError):
            evaluator.run("SELECT * FROM t", {})
        with pytest.raises(QueryError):  # also after one that failed
            evaluator.run("SELECT nothing FROM t", {"t": TABLE})
        with pytest.raises(QueryError):
            evaluator.run("SELECT * FROM t", {})


def test_what_needs_too_much_memory_fails_with_a_message():
    numbers = pa.table({"x": pa.array(range(2_000_000), pa.int64())})
    with Evaluator(memory_bytes=2**25) as evaluator, pytest.raises(QueryError, match="memory"):
        evaluator.run("SELECT x, count(*) FROM (SELECT a.x FROM t a, (VALUES (1), (2), (3)) b) "
                      "GROUP BY x ORDER BY x", {"t": numbers})  # fmt: skip


ENDLESS = "SELECT sum(a.x * b.x * c.x) FROM t a, t b, t c"


def test_a_running_query_can_be_cancelled():
    numbers = pa.table({"x": pa.array(range(30_000), pa.int64())})
    with Evaluator() as evaluator:
        for delay_s in (0.0, 0.2):
            cancellation = Cancellation()
            timer = threading.Timer(delay_s, cancellation.cancel)
            timer.start()
            with pytest.raises(QueryCancelledError):
                evaluator.run(ENDLESS, {"t": numbers}, cancellation)
            timer.join()
            found = evaluator.run("SELECT count(*) AS n FROM t", {"t": numbers}, Cancellation())
            assert found["n"].to_pylist() == [30_000]


def test_it_ends_with_the_reason_of_the_cancellation():
    cancellation = Cancellation()
    numbers = pa.table({"x": pa.array(range(30_000), pa.int64())})
    with (
        Evaluator() as evaluator,
        cancellation.after(0.05, lambda: JobTimeoutError("too slow")),
        pytest.raises(JobTimeoutError, match="too slow"),
    ):
        evaluator.run(ENDLESS, {"t": numbers}, cancellation)


def test_ctrl_c_ends_a_query_and_not_the_evaluator():
    numbers = pa.table({"x": pa.array(range(30_000), pa.int64())})
    with Evaluator() as evaluator:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            evaluator.run(ENDLESS, {"t": numbers})
        timer.join()
        assert len(evaluator.run("SELECT * FROM t", {"t": numbers})) == 30_000


def test_evaluators_are_used_again(monkeypatch):
    monkeypatch.setattr(module, "_IDLE", [])
    with borrowed_evaluator(2**27) as one, borrowed_evaluator(2**27) as two:
        assert one is not two
    with pytest.raises(QueryError), borrowed_evaluator(2**27) as again:
        again.run("SELECT nothing", {})
    with borrowed_evaluator(2**28) as larger:
        assert larger.memory_bytes == 2**28
    assert again in (one, two)
    assert {id(e) for e in module._IDLE} == {id(one), id(two), id(larger)}
    for k in range(module._MAX_IDLE):
        with borrowed_evaluator(2**26 + k * 2**20):
            pass
    assert len(module._IDLE) == module._MAX_IDLE
    assert one not in module._IDLE
    for idle in module._IDLE:
        idle.close()


def test_an_evaluator_that_failed_in_an_unknown_way_is_not_used_again(monkeypatch):
    monkeypatch.setattr(module, "_IDLE", [])
    with pytest.raises(ZeroDivisionError), borrowed_evaluator(2**27):
        _ = 1 // 0
    assert module._IDLE == []


WIDE = {n: pa.table({n: range(4000)}) for n in "abc"}


def test_rows_that_are_only_handed_on_count_as_memory():
    with Evaluator(memory_bytes=2**26) as evaluator:
        for sql in ("SELECT a, b, c FROM a, b, c", "SELECT repeat('x', 60000) AS x FROM a"):
            with pytest.raises(QueryError, match=r"needs more than the 0\.0671 GB of memory"):
                evaluator.run(sql, WIDE)
        assert len(evaluator.run("SELECT a FROM a WHERE a % 3 = 0", WIDE)) == 1334


# No row comes for hours.
BARREN = "SELECT a FROM a, b, c WHERE sin(a + b + c) > 2"


def test_a_query_without_rows_can_be_cancelled():
    with Evaluator() as evaluator:
        cancellation = Cancellation()
        timer = threading.Timer(0.3, cancellation.cancel, [QueryCancelledError("enough")])
        timer.start()
        with pytest.raises(QueryCancelledError, match="enough"):
            evaluator.run(BARREN, WIDE, cancellation)
        timer.join()
        assert len(evaluator.run("SELECT a FROM a", WIDE)) == 4000


def test_ctrl_c_ends_a_query_without_rows():
    with Evaluator() as evaluator:
        timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            evaluator.run(BARREN, WIDE)
        timer.join()
        assert len(evaluator.run("SELECT a FROM a", WIDE)) == 4000


def test_a_time_limit_that_passed_before_it_begins_is_told_as_one():
    cancellation = Cancellation()
    cancellation.cancel(JobTimeoutError("query: was not done in 1 s"))
    with Evaluator() as evaluator, pytest.raises(JobTimeoutError, match="not done in 1 s"):
        evaluator.run("SELECT 1", {}, cancellation)
