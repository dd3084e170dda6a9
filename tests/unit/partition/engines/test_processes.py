"""Worker processes: they die, are given up, and are never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dvo.errors import EngineError, JobTimeoutError, NotACatdirError, WorkerLostError
from dvo.partition.engines import ProcessEngine
from dvo.partition.operations import Job
from tests.hosts import MODULES

GROUPS = [[k] for k in range(6)]


@pytest.fixture
def engine(store):
    with ProcessEngine(store, store.view().snapshot.id, workers=2, modules=MODULES) as found:
        yield found


def until(is_true: Callable[[], object]) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """No such process, not even a zombie."""
    return not psutil.pid_exists(pid)


def test_a_worker_that_dies_is_replaced(engine, tmp_path):
    file = tmp_path / "deaths"
    file.write_text("x")
    found = list(engine.run(Job("test-die", {"region": 2, "file": str(file)}, GROUPS)))
    assert [t["region"].to_pylist() for t in found] == GROUPS
    assert file.read_text() == ""


def test_a_group_that_kills_two_workers_is_an_error(engine, tmp_path):
    file = tmp_path / "deaths"
    file.write_text("xx")
    job = Job("test-die", {"region": 2, "file": str(file)}, GROUPS)
    found = engine.run(job)
    assert [next(found)["region"].to_pylist() for _ in range(2)] == GROUPS[:2]
    with pytest.raises(WorkerLostError, match=r"for region 2 ended twice \(exit code 7, exit code"):
        next(found)
    assert len(list(engine.run(job))) == 6  # the file is empty now: nobody dies


def test_killed_workers_are_replaced(engine, tmp_path):
    list(engine.run(Job("test-echo", {}, GROUPS)))
    old = set(engine.pids)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    assert len(list(engine.run(Job("test-echo", {}, GROUPS)))) == 6
    assert not set(engine.pids) & old
    assert all(is_gone(pid) for pid in old)


def begin_waiting(engine, folder):
    """A job whose first groups are being worked on, in a thread that asks for the first."""
    thread = threading.Thread(target=ask_for_one, args=(engine, folder), daemon=True)
    thread.start()
    until(lambda: any(folder.glob("begun-*")))
    return thread


def ask_for_one(engine, folder):
    with contextlib.suppress(EngineError):
        next(engine.run(Job("test-wait", {"folder": str(folder)}, GROUPS)))


def test_closing_ends_what_is_under_way(store, tmp_path):
    engine = ProcessEngine(store, store.view().snapshot.id, workers=2, modules=MODULES)
    thread = begin_waiting(engine, tmp_path)
    pids = engine.pids
    engine.close()
    thread.join(60)
    assert not thread.is_alive()
    assert pids
    assert all(is_gone(pid) for pid in pids)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        list(engine.run(Job("test-echo", {}, GROUPS)))


def test_what_nobody_wants_is_killed(engine, tmp_path):
    job = Job("test-wait", {"folder": str(tmp_path)}, GROUPS, timeout_s=0.01)
    with pytest.raises(JobTimeoutError):
        list(engine.run(job))
    until(lambda: any(tmp_path.glob("begun-*")) or not engine.pids)
    assert len(list(engine.run(Job("test-echo", {}, GROUPS)))) == 6
    for mark in tmp_path.glob("begun-*"):
        assert is_gone(int(mark.read_text()))


def test_ctrl_c_is_for_the_parent(engine):
    before = {t["pid"][0].as_py() for t in engine.run(Job("test-echo", {}, GROUPS))}
    for pid in before:
        os.kill(pid, signal.SIGINT)
    after = {t["pid"][0].as_py() for t in engine.run(Job("test-echo", {}, GROUPS))}
    assert after <= set(engine.pids)
    assert before <= set(engine.pids)


def test_a_group_goes_to_the_worker_that_had_it(engine):
    """Asked for one after the other, so that both are free."""
    job = [Job("test-echo", {}, [[k]]) for k in range(8)]
    seen = [[next(engine.run(j))["pid"][0].as_py() for j in job] for _ in range(2)]
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 2


PARENT = """
import sys, time
from dvo.partition.engines import open_engine
from dvo.partition.operations import Job
from dvo.partition.store import Store
store = Store(sys.argv[1])
engine = open_engine("processes", store, workers=1, modules=("tests.engine_operations",))
next(engine.run(Job("test-echo", {}, [[1]])))
print(*engine.pids, flush=True)
for _ in engine.run(Job("test-wait", {"folder": sys.argv[2]}, [[1]])):
    pass
"""


def test_workers_end_with_their_parent(store, tmp_path):
    """Killed in the middle of a group, so that nobody could tidy up."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, store.catdir, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        until(lambda: any(tmp_path.glob("begun-*")))
    finally:
        parent.kill()
        parent.communicate()
    assert len(pids) == 1
    until(lambda: is_gone(pids[0]))


def test_a_database_that_is_gone(store, tmp_path):
    class Moved:
        catdir = Path(tmp_path, "nowhere")

    with (
        ProcessEngine(Moved(), 1, workers=1, modules=MODULES) as engine,  # type: ignore[arg-type]
        pytest.raises(NotACatdirError, match="nowhere"),
    ):
        list(engine.run(Job("test-echo", {}, GROUPS)))


def test_the_number_of_workers(store):
    with pytest.raises(EngineError, match="0 workers"):
        ProcessEngine(store, 1, workers=0)
