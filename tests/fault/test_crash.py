"""A fault at every write, sync, rename, unlink and mkdir of every command that changes a database.

After each the database opens at an old or the new snapshot, says exactly what that snapshot
said, passes the deep check, and the same command again ends as if nothing had been.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fault.reshape_scenarios import RESHAPE

ROOT = Path(__file__).resolve().parents[2]

# A kill at each call of each command; torn writes and disk errors where files differ in kind.
TURNS = [
    *((name, "kill") for name in ("addstar", "replace", "resort", "rollback", "vacuum")),
    *((name, "kill") for name in ("photcode", "rebuild", "merge", "tag", "satellites", "load")),
    *((name, "torn") for name in ("addstar", "vacuum", "rebuild")),
    *((name, mode) for name in ("addstar", "resort", "vacuum") for mode in ("eio", "enospc")),
    *(("staged", mode) for mode in ("kill", "eio", "enospc")),
    ("merge", "eio"),
    ("satellites", "eio"),
    ("missing", "kill"),
    ("relphot", "kill"),
    ("relastro", "kill"),
    ("setastrom", "kill"),
    ("offsets", "kill"),
    ("setphot", "kill"),
    ("ubercal", "kill"),
    ("uniphot", "kill"),
    ("photcode_fit", "kill"),
    *((name, mode) for name in ("split", "relevel") for mode in ("kill", "eio")),
    *((name, "kill") for name in RESHAPE),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scenario", "mode"), TURNS)
def test_a_fault_at_every_call(scenario, mode, shim, quick_path):
    env = os.environ | {"LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.fault.crash_runner", scenario, mode, quick_path / "sweep"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=880,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["n_turns"] == counts["n_calls"] > 20
