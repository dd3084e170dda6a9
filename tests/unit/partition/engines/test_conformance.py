"""What every engine does alike: the same answers, bit for bit, and the same errors."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from dvo.errors import (
    EngineError,
    JobTimeoutError,
    OperationError,
    UnknownColumnError,
    UnknownOperationError,
    UnknownSnapshotError,
)
from dvo.partition.operations import Job
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE

ROWS = {"table": "measure", "columns": ["ra", "dec", "mag", "image_id"]}


def groups_of(store, size=1):
    regions = store.view().regions()
    assert len(regions) >= 4
    return [regions[k : k + size] for k in range(0, len(regions), size)]


def test_rows_come_in_the_order_of_groups(engine, store):
    groups = groups_of(store)[::-1]
    found = list(engine.run(Job("test-rows", ROWS, groups)))
    assert [t["region"].unique().to_pylist() for t in found] == groups
    view = store.view()
    for table, (region,) in zip(found, groups, strict=True):
        for name in ROWS["columns"]:
            stored = view.read(MEASURE, region, [name])[name]
            assert table[name].to_numpy().tobytes() == stored.tobytes()
            assert table[name].type == pa.from_numpy_dtype(stored.dtype)
    assert found[0].schema.metadata == {b"snapshot": str(view.snapshot.id).encode()}


def test_an_operation_sees_a_whole_group(engine, store):
    groups = groups_of(store, 3)
    found = list(engine.run(Job("test-mean", {}, groups)))
    view = store.view()
    for table, group in zip(found, groups, strict=True):
        values = np.concatenate([view.read(MEASURE, r, ["mag"])["mag"] for r in group])
        assert table["sum"][0].as_py() == float(np.sum(values.astype(np.float32)))


def test_no_groups_no_results(engine):
    assert list(engine.run(Job("test-rows", ROWS, []))) == []


def test_a_group_may_be_empty(engine):
    (found,) = engine.run(Job("test-rows", ROWS, [[]]))
    assert found.num_rows == 0
    assert found.column_names == [*ROWS["columns"], "region"]


def test_requests_arrive_as_json_says(engine):
    request = {"b": [1, 2.5, None, True], "a": {"word": "ü \n", "pair": (1, 2)}}
    (found,) = engine.run(Job("test-echo", request, [[1, 2]]))
    sent = {"b": [1, 2.5, None, True], "a": {"word": "ü \n", "pair": [1, 2]}}
    assert found["request"][0].as_py() == repr(sent)
    assert found["regions"][0].as_py() == [1, 2]


def test_tables_go_along(engine):
    upload = pa.table({"ra": np.arange(20000.0), "name": ["x"] * 20000})
    none = pa.table({"k": pa.array([], pa.int16())})
    job = Job("test-echo", {}, [[1], [2], [3]], {"b": upload, "a": none})
    for found in engine.run(job):
        assert found["tables"][0].as_py() == [f"a 0 {none.schema}", f"b 20000 {upload.schema}"]


def test_large_results(engine):
    n = 300_000
    groups = [[k] for k in range(6)]
    for (first,), table in zip(groups, engine.run(Job("test-big", {"n": n}, groups)), strict=True):
        np.testing.assert_array_equal(table["i"].to_numpy(), np.arange(n) + first)
        np.testing.assert_array_equal(table["x"].to_numpy(), np.sin(np.arange(n) * 0.1))
        table.validate(full=True)


def test_old_snapshots(engine, store):
    groups = [store.view().regions()]
    counts = [
        sum(t.num_rows for t in engine.run(Job("test-rows", ROWS, groups, snapshot=s)))
        for s in (2, 3, 2, None)
    ]
    measures = [store.view(s).snapshot.counts["measures"] for s in (2, 3, 2, None)]
    assert counts == measures
    assert counts[0] < counts[1] < counts[3]


def test_jobs_in_turn(engine, store):
    """Two jobs under way at a time do not mix, whichever is asked."""
    groups = groups_of(store)
    measures = engine.run(Job("test-rows", ROWS, groups))
    averages = engine.run(Job("test-rows", {"table": "average", "columns": ["ra"]}, groups))
    view = store.view()
    for (region,), measure, average in zip(groups, measures, averages, strict=True):
        assert measure.num_rows == view.n_rows(MEASURE, region)
        assert average.num_rows == view.n_rows(AVERAGE, region)


def test_errors_of_operations(engine):
    groups = [[1], [2], [3], [4]]
    found = engine.run(Job("test-refuse", {"region": 3}, groups))
    assert [t["region"][0].as_py() for t in itertools.islice(found, 2)] == [1, 2]
    with pytest.raises(UnknownColumnError, match=r"^no column 'x' in region 3$"):
        next(found)
    # The engine goes on working.
    assert len(list(engine.run(Job("test-refuse", {"region": 9}, groups)))) == 4


def test_mistakes_in_operations(engine):
    with pytest.raises(OperationError, match=r"'test-crash' failed: ZeroDivisionError"):
        list(engine.run(Job("test-crash", {"zero": 0}, [[1]])))
    with pytest.raises(OperationError, match=r"'test-wrong' gave a int"):
        list(engine.run(Job("test-wrong", {}, [[1]])))


def test_unknown_operations(engine):
    with pytest.raises(UnknownOperationError, match="no operation 'test-row'; did you mean test-r"):
        list(engine.run(Job("test-row", {}, [[1]])))


def test_unknown_snapshots(engine):
    with pytest.raises(UnknownSnapshotError):
        list(engine.run(Job("test-mean", {}, [[1]], snapshot=99)))


def test_a_request_is_json():
    for value in (float("nan"), {1, 2}, b"x", np.float32(1)):
        with pytest.raises(EngineError, match="cannot be written as JSON"):
            Job("test-echo", {"value": value}, [])


def test_a_job_that_takes_too_long(engine, tmp_path):
    job = Job("test-big", {"n": 1_000_000}, [[k] for k in range(300)], timeout_s=0.05)
    with pytest.raises(JobTimeoutError, match=r"'test-big' was not done in 0\.05 s|no time for it"):
        list(engine.run(job))
    assert len(list(engine.run(Job("test-big", {"n": 2}, [[1], [2]], timeout_s=60)))) == 2


def test_what_is_not_asked_for_is_not_done(engine):
    """Only a few groups ahead are worked on, and none after the iterator is closed."""
    asked = 0

    class Groups(list):
        def __iter__(self):
            nonlocal asked
            for group in list.__iter__(self):
                asked += 1
                yield group

    job = Job("test-big", {"n": 10}, Groups([k] for k in range(1000)))
    found = engine.run(job)
    assert asked == 0
    next(found)
    assert asked < 20
    found.close()
    assert asked < 20
    assert [t.num_rows for t in engine.run(Job("test-big", {"n": 3}, [[1], [2]]))] == [3, 3]
