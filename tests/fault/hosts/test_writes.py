"""Faults while partition hosts write: the old snapshot or the new one, nothing between.

After each the same command again ends as if nothing had been.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest

from dvo.errors import HostLostError, NotAuthorisedError, StorageError
from dvo.partition import compact
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.hosts.client import call_host
from dvo.partition.layout import STAGED
from dvo.partition.store import Store
from tests.fault.hosts.asking import QUICK, until
from tests.hosts import Hosts
from tests.synth import assert_same, contents, filled_database

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def place(tmp_path, monkeypatch, wanted):
    """A folder with a database in loose pieces, compacted as `tests.engine_operations` says.

    What is wanted is made before, without that.
    """
    assert wanted
    filled_database(tmp_path / "sky", n_images=3)
    (tmp_path / "full").touch()
    monkeypatch.setattr(compact, "_OPERATION", "test-write")
    monkeypatch.setattr(compact, "GROUP_ROWS", 1)
    return tmp_path


@pytest.fixture
def wanted(tmp_path_factory):
    """What the database says when it has been compacted without any host."""
    with Store(filled_database(tmp_path_factory.mktemp("wanted") / "sky", n_images=3),
               writable=True) as store:  # fmt: skip
        resort(store)
        return contents(store.view())


@contextmanager
def writer(catdir):
    with (
        Store(catdir, writable=True, command="the master") as store,
        HostEngine(store, store.view().snapshot.id, times=QUICK) as engine,
    ):
        yield store, engine


def compact_through_hosts(catdir):
    with writer(catdir) as (store, engine):
        return resort(store, engine=engine)


def expect_old(catdir):
    """Nothing has changed, and nothing is left."""
    with Store(catdir) as store:
        assert store.view().snapshot.id == 4
    report = check(catdir, deep=True)
    assert (report.ok, report.notes) == (True, [])


def expect_new(catdir, wanted):
    """One commit, and all is as it would be without hosts."""
    with Store(catdir) as store:
        assert store.view().snapshot.id == 5
        assert_same(contents(store.view()), wanted)
    report = check(catdir, deep=True)
    assert (report.ok, report.notes) == (True, [])
    assert not any((catdir / STAGED).iterdir())


class Compaction(threading.Thread):
    """A compaction in a thread: its result, or its error."""

    def __init__(self, catdir):
        super().__init__(daemon=True)
        self._catdir = catdir
        self.start()

    def run(self):
        try:
            self.result = compact_through_hosts(self._catdir)
        except Exception as err:  # noqa: BLE001 - the test looks at it
            self.result = err

    def end(self):
        self.join(60)
        return self.result


def begun(place):
    """A process that has written its files and waits, and how many there are."""
    marks = list(place.glob("begun-*"))
    return int(marks[0].read_text() or 0) if marks else 0


@pytest.mark.parametrize("backups", [True, False], ids=["backups", "no backups"])
def test_a_host_that_dies_at_its_write(place, wanted, backups):
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, backups=backups, private=True) as hosts:
        work = Compaction(catdir)
        until(lambda: begun(place))
        victim = begun(place)
        os.kill(victim, signal.SIGKILL)
        (place / "go").touch()
        found = work.end()
        if backups:
            assert found == 4
        else:
            assert isinstance(found, HostLostError)
            expect_old(catdir)
            (number,) = (k for k, h in hosts.running.items() if h.process.pid == victim)
            hosts.restart(number)
            assert compact_through_hosts(catdir) == 4
    expect_new(catdir, wanted)


def test_a_host_that_wakes_up_too_late(place, wanted):
    """Taken for dead with its files written, it goes on after the commit."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True) as hosts:
        work = Compaction(catdir)
        until(lambda: begun(place))
        sleeper = begun(place)
        os.kill(sleeper, signal.SIGSTOP)
        try:
            (place / "go").touch()
            assert work.end() == 4
        finally:
            os.kill(sleeper, signal.SIGCONT)
        (entry,) = (e for e in hosts.entries if hosts[e.number].process.pid == sleeper)
        until(lambda: call_host(entry, "hello").header["running"] == 0)
        expect_new(catdir, wanted)


@pytest.mark.parametrize("n_full", [1, 2])
def test_a_disk_that_is_full(place, wanted, shim, monkeypatch, n_full):
    """If one host has no room, the other one writes; if none has, it is one clear error."""
    catdir = place / "sky"
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    with Hosts(catdir, 2, private=True) as hosts:
        monkeypatch.delenv("LD_PRELOAD")
        pids = [hosts[k].process.pid for k in range(1, n_full + 1)]
        (place / "full").write_text(" ".join(map(str, pids)))
        if n_full == 2:
            with pytest.raises(StorageError, match="No space left") as caught:
                compact_through_hosts(catdir)
            assert str(catdir) in str(caught.value)
            expect_old(catdir)
            assert not any((catdir / STAGED).iterdir())
            (place / "full").write_text("")
        assert compact_through_hosts(catdir) == 4
    expect_new(catdir, wanted)


MASTER = """
import sys
from dvo.partition import compact
from dvo.partition.engines import open_engine
from dvo.partition.store import Store
compact._OPERATION, compact.GROUP_ROWS = "test-write", 1
with Store(sys.argv[1], writable=True) as store, open_engine("hosts", store) as engine:
    compact.resort(store, engine=engine)
"""


def test_a_master_that_dies(place, wanted):
    """What hosts have written for it is nobody's; the next writer removes it."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True):
        master = subprocess.Popen([sys.executable, "-c", MASTER, catdir])
        try:
            until(lambda: begun(place))
        finally:
            master.kill()
            master.wait()
        assert any((catdir / STAGED).glob("*/*.fits"))
        expect_old(catdir)
        (place / "wait").unlink()
        with Store(catdir, writable=True):  # as any command does that writes
            assert not any(catdir.glob(f"{STAGED}/*/*"))
        # The hosts go on with what nobody wants any more while others write.
        (place / "go").touch()
        assert compact_through_hosts(catdir) == 4
    expect_new(catdir, wanted)


def test_two_masters(place, wanted):
    """The second one is told at once, and the first one commits."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True):
        work = Compaction(catdir)
        until(lambda: begun(place))
        done = subprocess.run(
            [sys.executable, "-c", "from dvo.cli.main import main; main()", "resort", str(catdir),
             "--engine", "hosts"],
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 3
        assert "is being written by the master (pid " in done.stderr
        assert len(done.stderr.splitlines()) == 1
        (place / "go").touch()
        assert work.end() == 4
    expect_new(catdir, wanted)


def test_those_who_may_only_read(place, wanted):
    catdir = place / "sky"
    with Hosts(catdir, 1), pytest.raises(NotAuthorisedError, match="role ingest"):
        compact_through_hosts(catdir)
    expect_old(catdir)
    with Hosts(catdir, 1, private=True):
        assert compact_through_hosts(catdir) == 4
    expect_new(catdir, wanted)


@pytest.mark.parametrize("backups", [True, False], ids=["backups", "no backups"])
def test_a_host_of_a_copy(place, wanted, tmp_path_factory, backups):
    """Files on its disk would be of no use to the master."""
    catdir = place / "sky"
    copy = filled_database(tmp_path_factory.mktemp("copy") / "sky", n_images=3)
    (copy.parent / "full").touch()
    with ExitStack() as stack:
        stack.enter_context(Hosts(catdir, 2, backups=backups, copies={2: copy}, private=True))
        if backups:
            assert compact_through_hosts(catdir) == 4
        else:
            with pytest.raises(StorageError, match="is a copy of the database on another disk"):
                compact_through_hosts(catdir)
    if backups:
        expect_new(catdir, wanted)
    else:
        expect_old(catdir)
    assert not (copy / STAGED).exists()
