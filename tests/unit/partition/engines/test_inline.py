"""The engine of this process: threads only where several groups are wanted for certain."""

from __future__ import annotations

import threading
from dataclasses import replace

import pyarrow as pa
import pytest

from dvo.partition import operations
from dvo.partition.engines import InlineEngine
from dvo.partition.operations import Job
from dvo.partition.store import Store
from tests.synth import make_database


@pytest.fixture
def names(monkeypatch):
    """Names of the threads in which an operation ran."""
    found = []

    def note(view, regions, request, tables):
        found.append(threading.current_thread().name)
        return pa.table({"n": regions})

    monkeypatch.setitem(operations._OPERATIONS, "note", (note, "read"))
    return found


@pytest.mark.parametrize(
    ("n_groups", "may_end_early", "is_here"), [(5, False, False), (1, False, True), (5, True, True)]
)
def test_threads_where_they_pay(tmp_path, names, n_groups, may_end_early, is_here):
    job = Job("note", {}, [[k] for k in range(n_groups)])
    job = replace(job, may_end_early=may_end_early)
    here = threading.current_thread().name
    with (
        Store(make_database(tmp_path / "db")) as store,
        InlineEngine(store, store.view().snapshot.id, threads=2) as engine,
    ):
        found = pa.concat_tables(engine.run(job))["n"].to_pylist()
    assert found == list(range(n_groups))
    assert {name == here for name in names} == {is_here}


def test_what_may_end_early_does_nothing_ahead(tmp_path, names):
    job = Job("note", {}, [[k] for k in range(5)], may_end_early=True)
    with (
        Store(make_database(tmp_path / "db")) as store,
        InlineEngine(store, store.view().snapshot.id, threads=2) as engine,
    ):
        results = engine.run(job)
        next(results)
        next(results)
        assert len(names) == 2
        results.close()
