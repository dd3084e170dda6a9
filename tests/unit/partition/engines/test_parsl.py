"""Parsl: what is there after it, and workers that die."""

from __future__ import annotations

import tempfile

import psutil
import pytest

from dvo.errors import EngineError, WorkerLostError
from dvo.partition.engines import open_engine
from dvo.partition.operations import Job
from tests.hosts import MODULES


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_left_behind(store, tmp_path, monkeypatch):
    notes = tmp_path / "notes"  # a place that no other test writes to
    notes.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(notes))
    children = set(psutil.Process().children(recursive=True))
    file = tmp_path / "deaths"
    with open_engine("parsl", store, workers=1, modules=MODULES) as engine:
        assert list(notes.glob(".dvo-parsl-*"))
        job = Job("test-die", {"region": 2, "file": str(file)}, [[k] for k in range(4)])
        assert [t["region"].to_pylist() for t in engine.run(job)] == [[0], [1], [2], [3]]
        file.write_text("x")
        assert len(list(engine.run(job))) == 4
        file.write_text("xxxx")
        with pytest.raises(WorkerLostError, match="Parsl gave up"):
            list(engine.run(job))
    engine.close()
    assert not list(notes.glob(".dvo-parsl-*"))
    left = set(psutil.Process().children(recursive=True)) - children
    _, alive = psutil.wait_procs(left, timeout=120)
    assert not alive
    with pytest.raises(EngineError, match="closed"):
        list(engine.run(job))
