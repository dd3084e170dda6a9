"""Readers in other processes, and a vacuum: what they read stays, what the dead read goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dvo.partition.check import check
from dvo.partition.history import KeptState, vacuum
from dvo.partition.store import Store
from tests.fault.test_permissions import open_catdir, readable, stranger  # noqa: F401 - fixtures
from tests.synth import contents

ROOT = Path(__file__).resolve().parents[2]

READ_LATER = """
import sys
import dvo
with dvo.open(sys.argv[1], snapshot=int(sys.argv[2])) as db:
    print("open", flush=True)
    sys.stdin.readline()
    print(sum(batch.num_rows for batch in db.scan("measure")), flush=True)
    sys.stdin.readline()
"""

VACUUM_WHEN_ASKED = """
import json, sys
from dataclasses import asdict
from dvo.partition.history import vacuum
from dvo.partition.store import Store
open(sys.argv[2]).close()
with Store(sys.argv[1], writable=True) as store:
    print(json.dumps(asdict(vacuum(store, 1))))
open(sys.argv[3], "w").close()
"""

VACUUM_AND_DIE = """
import os, sys
from dvo.partition.history import vacuum
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
Transaction.commit = lambda change: os.kill(os.getpid(), 9)
vacuum(Store(sys.argv[1], writable=True), 1)
"""

READ_AS_A_STRANGER = """
import sys
from dvo.partition.store import Store
from dvo.tables.measure import MEASURE
with Store(sys.argv[1]) as store:
    view = store.view(2)
    open(sys.argv[2], "w").close()
    open(sys.argv[3]).close()
    rows = sum(len(view.read(MEASURE, r, ["mag"])) for r in view.regions())
    print(rows == view.snapshot.counts["measures"], store.view().snapshot.id)
"""


@pytest.fixture
def reader(catdir):
    """Starts readers of a snapshot; each says when it has it open."""
    started = []

    def start(snapshot):
        process = subprocess.Popen(
            [sys.executable, "-c", READ_LATER, catdir, str(snapshot)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_reader_in_another_process(catdir, reader):
    other = reader(2)
    with Store(catdir, writable=True) as store:
        n = store.view(2).snapshot.counts["measures"]
        report = vacuum(store, 1)
        assert (report.forgotten, report.kept) == ([1, 3], [KeptState(2, [])])
        other.stdin.write("go on\n")
        other.stdin.flush()
        assert int(other.stdout.readline()) == n
        other.communicate("end\n")
        assert other.returncode == 0
        assert vacuum(store, 1).forgotten == [2]
    assert check(catdir, deep=True).faults == []


def test_a_reader_that_is_killed_holds_nothing(catdir, reader):
    dead, alive = reader(2), reader(3)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    with Store(catdir, writable=True) as store:
        state = contents(store.view(3))
        report = vacuum(store, 1)
        assert (report.forgotten, report.kept) == ([1, 2], [KeptState(3, [])])
        assert len(contents(store.view(3))) == len(state)
    alive.communicate("go on\n")
    assert sorted(p.name for p in catdir.iterdir() if "pin" in p.name) == ["pins"]


def test_a_vacuum_that_is_killed_holds_nothing(catdir):
    """Its locks go with it: what it did not forget can be opened again."""
    killed = subprocess.run([sys.executable, "-c", VACUUM_AND_DIE, catdir], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    with Store(catdir) as store:
        assert [store.view(n).snapshot.id for n in (1, 2, 3)] == [1, 2, 3]


def test_a_reader_without_permission_to_write_pins_too(open_catdir, stranger):  # noqa: F811
    """Also one that has to look at a copy of the manifest, as no writer is there."""
    folder = open_catdir.parent
    ready, go = folder / "ready", folder / "go"
    for path in (ready, go):
        os.mkfifo(path)
        path.chmod(0o666)
    cleaner = subprocess.Popen(
        [sys.executable, "-c", VACUUM_WHEN_ASKED, open_catdir, ready, go],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, umask=0o022,
    )  # fmt: skip
    readable(open_catdir)
    try:
        code, text = stranger(READ_AS_A_STRANGER, open_catdir, ready, go)
        report = json.loads(cleaner.communicate(timeout=60)[0])
    finally:
        cleaner.kill()
    assert (code, text.split()) == (0, ["True", "5"])
    assert report["forgotten"] == [1, 3]
    assert report["kept"] == [{"snapshot": 2, "tags": []}]
