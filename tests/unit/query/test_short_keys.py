"""Grouping by copies of keys in eight bits is grouping by the keys."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from dvo.query import short_keys
from dvo.query.evaluator import borrowed_evaluator, sql_of
from dvo.query.short_keys import ShortKeys

GROUPED = (
    "SELECT t.k AS c0, t.k + t.j AS c1, COUNT(*) AS c2, SUM(t.x) AS c3, MAX(t.k) AS c4, t.j AS c5 "
    "FROM t AS t WHERE t.x > -1 GROUP BY t.k, t.k + t.j, t.j"
)
KINDS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def keys_of(sql):
    return ShortKeys.of(sqlglot.parse_one(sql, dialect="duckdb"))


def table_of(k, j):
    return pa.table({"k": k, "j": j, "x": np.linspace(0, 1, len(k))})


def evaluate(sql, tables):
    with borrowed_evaluator() as evaluator:
        return evaluator.run(sql, tables)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    monkeypatch.setattr(short_keys, "_FEW_ROWS", 0)


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    values=st.lists(st.none() | st.integers(0, 127), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=3),
)
def test_groups_are_the_same(kind, values, cuts):
    whole = pa.array(values, pa.int64())
    ends = sorted({0, len(values), *(c for c in cuts if c < len(values))})
    pieces = [whole[a:b].cast(kind) for a, b in itertools.pairwise(ends)]
    column = pa.chunked_array(pieces, kind)
    tables = {"t": table_of(column, pa.array([v or 0 for v in values], pa.int64()))}
    keys = keys_of(GROUPED)
    shortened = keys.over(tables)
    if not any(v is not None for v in values):
        assert shortened is None
        return
    found = keys.restored(evaluate(sql_of(keys.tree), shortened), tables)
    wanted = evaluate(GROUPED, tables)
    assert found.schema == wanted.schema
    order = [(name, "ascending") for name in wanted.column_names]
    assert found.sort_by(order).equals(wanted.sort_by(order))


@pytest.mark.parametrize(
    ("kind", "value"), [("int16", -1), ("uint16", 256), ("int64", 2**40), ("uint64", 2**63)]
)
@pytest.mark.parametrize("nulls", [[], [None]])
def test_what_does_not_fit_is_left_alone(kind, value, nulls):
    tables = {"t": table_of(pa.array([3, value, *nulls], kind), pa.array([1, 1, *nulls]))}
    assert keys_of(GROUPED).over(tables) is None


def test_a_key_that_is_no_whole_number_is_left_alone():
    tables = {"t": table_of(pa.array([1.0, 2.0]), pa.array([1, 1]))}
    assert keys_of(GROUPED).over(tables) is None


def test_few_rows_are_not_worth_it(monkeypatch):
    monkeypatch.setattr(short_keys, "_FEW_ROWS", 2)
    assert keys_of(GROUPED).over({"t": table_of(pa.array([1, 2]), pa.array([1, 1]))}) is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS c0 FROM t AS t",
        "SELECT t.k + 1 AS c0 FROM t AS t GROUP BY t.k + 1",
        "SELECT COUNT(*) AS c0 FROM t AS t GROUP BY t.k",
        "SELECT t.k AS c0 FROM t AS t GROUP BY t.k HAVING COUNT(*) > 1",
        "SELECT t.k AS c0 FROM t AS t GROUP BY t.k ORDER BY t.k LIMIT 1",
        "SELECT t.k AS c0 FROM t AS t",
    ],
)
def test_queries_without_such_keys(sql):
    keys = keys_of(sql)
    assert keys.tree is None
    assert keys.over({"t": table_of(pa.array([1, 2]), pa.array([1, 1]))}) is None
