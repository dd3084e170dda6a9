"""Ctrl-C ends `dvo query` on every engine: soon, with exit code 130, and nobody works on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from dvo.partition.operations import MODULES
from tests.hosts import Hosts
from tests.synth import filled_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(110)]

ENDLESS = (
    "SELECT SUM(SIN(m.mag * u.x * v.x * w.x)) AS s FROM measure m, upload.u, upload.v, upload.w"
)
SOON_S = 20.0


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("interrupt") / "sky", n_stars=300)


@pytest.fixture(scope="module")
def upload(tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "x.csv"
    path.write_text("\n".join(["x", *(f"{0.001 * k:.3f}" for k in range(3000))]))
    return path


def busy_s(process: psutil.Process) -> float:
    """Processor time of a process [s]."""
    times = process.cpu_times()
    return times.user + times.system


def until(is_true) -> None:
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.05)


def interrupted(catdir, upload, engine, is_at_work):
    """Ask what never ends, press Ctrl-C once it is worked on; gives what was printed."""
    words = [f"--upload={name}={upload}" for name in "uvw"]
    asking = subprocess.Popen(
        [sys.executable, "-m", "dvo.cli.main", "query", str(catdir), ENDLESS, *words,
         "--engine", engine, "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        seen = psutil.Process(asking.pid)
        until(lambda: asking.poll() is not None or is_at_work(seen))
        workers = seen.children(recursive=True)
        begun = time.monotonic()
        os.killpg(asking.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = asking.communicate(timeout=60)
    finally:
        asking.kill()
        asking.communicate()
    assert time.monotonic() - begun < SOON_S
    assert (asking.returncode, out) == (130, ""), err
    assert "stopped" in err
    assert "Traceback" not in err
    assert psutil.wait_procs(workers, timeout=SOON_S)[1] == []


def test_in_this_process(catdir, upload):
    interrupted(catdir, upload, "inline", lambda seen: busy_s(seen) > 4.0)


def test_in_worker_processes(catdir, upload):
    def is_at_work(seen):
        return any(busy_s(child) > 3.0 for child in seen.children())

    interrupted(catdir, upload, "processes", is_at_work)


def test_at_hosts(catdir, upload):
    with Hosts(catdir, 1, modules=MODULES) as hosts:
        host = psutil.Process(hosts[1].process.pid)
        begun = busy_s(host)
        interrupted(catdir, upload, "hosts", lambda _: busy_s(host) > begun + 3.0)
        # The host has stopped, too: it uses no more of the processor.
        rest = [busy_s(host)]

        def is_idle():
            time.sleep(0.5)
            rest.append(busy_s(host))
            return rest[-1] - rest[-2] < 0.1

        until(is_idle)
