"""Parsl: what is there after it, and workers that die."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil
import pytest

from dvo.errors import EngineError, WorkerLostError
from dvo.partition.engines import open_engine
from dvo.partition.operations import Job
from tests.hosts import MODULES


def notes() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(".dvo-parsl-*"))


@pytest.mark.slow
def test_nothing_is_left_behind(store, tmp_path):
    before, children = notes(), set(psutil.Process().children(recursive=True))
    file = tmp_path / "deaths"
    with open_engine("parsl", store, workers=1, modules=MODULES) as engine:
        job = Job("test-die", {"region": 2, "file": str(file)}, [[k] for k in range(4)])
        assert [t["region"].to_pylist() for t in engine.run(job)] == [[0], [1], [2], [3]]
        file.write_text("x")
        assert len(list(engine.run(job))) == 4
        file.write_text("xxxx")
        with pytest.raises(WorkerLostError, match="Parsl gave up"):
            list(engine.run(job))
    engine.close()
    assert notes() == before
    left = set(psutil.Process().children(recursive=True)) - children
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive
    with pytest.raises(EngineError, match="closed"):
        list(engine.run(job))
