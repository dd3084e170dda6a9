"""Faults while partition hosts write: the old snapshot or the new one, nothing between.

After each the same command again ends as if nothing had been.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dvo.errors import HostLostError, NotAuthorisedError, StorageError
from dvo.partition.check import check
from dvo.partition.hosts.calling import call_host
from dvo.partition.layout import STAGED
from dvo.partition.store import Store
from tests.fault.hosts.asking import until
from tests.fault.hosts.writers import COMMANDS, SETTINGS, Work, through_hosts
from tests.hosts import Hosts
from tests.synth import assert_same, contents, filled_database

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param


@pytest.fixture
def wanted(command, tmp_path_factory):
    """What the database says when the command was run without any host."""
    catdir = filled_database(tmp_path_factory.mktemp("wanted") / "sky", n_images=3)
    with Store(catdir, writable=True) as store:
        COMMANDS[command](store, None)
        return contents(store.view())


@pytest.fixture
def place(tmp_path, monkeypatch, wanted):
    """A folder with a database, whose hosts do as the files beside it tell.

    What is wanted is made before, without that.
    """
    assert wanted
    filled_database(tmp_path / "sky", n_images=3)
    (tmp_path / "full").touch()
    for module, name, value in SETTINGS:
        monkeypatch.setattr(module, name, value)
    return tmp_path


def expect_old(catdir):
    """Nothing has changed."""
    with Store(catdir) as store:
        assert store.view().snapshot.id == 4
    report = check(catdir, deep=True)
    assert (report.ok, report.notes) == (True, [])


def expect_new(catdir, wanted):
    """One commit, all is as it would be without hosts, and nothing is left."""
    with Store(catdir) as store:
        assert store.view().snapshot.id == 5
        assert_same(contents(store.view()), wanted)
    report = check(catdir, deep=True)
    assert (report.ok, report.notes) == (True, [])
    assert not any((catdir / STAGED).iterdir())


def db_id_of(catdir):
    with Store(catdir) as store:
        return store.db_id


def begun(place):
    """A process that has written its files and waits; 0 if there is none."""
    marks = list(place.glob("begun-*"))
    return int(marks[0].read_text() or 0) if marks else 0


@pytest.mark.parametrize("backups", [True, False], ids=["backups", "no backups"])
def test_a_host_that_dies_at_its_write(place, command, wanted, backups):
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, backups=backups, private=True) as hosts:
        work = Work(command, catdir)
        until(lambda: begun(place))
        victim = begun(place)
        os.kill(victim, signal.SIGKILL)
        (place / "go").touch()
        error = work.end()
        if backups:
            assert error is None
        else:
            assert isinstance(error, HostLostError)
            expect_old(catdir)
            (number,) = (k for k, h in hosts.running.items() if h.process.pid == victim)
            hosts.restart(number)
            through_hosts(command, catdir)
    expect_new(catdir, wanted)


@pytest.mark.parametrize("backups", [True, False], ids=["backups", "no backups"])
def test_a_host_that_dies_in_the_middle_of_a_file(
    place, command, wanted, shim, monkeypatch, backups
):
    catdir = place / "sky"
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    with Hosts(catdir, 2, backups=backups, private=True) as hosts:
        monkeypatch.delenv("LD_PRELOAD")
        (place / "dying").touch()
        if not backups:
            with pytest.raises(HostLostError):
                through_hosts(command, catdir)
            expect_old(catdir)
            (number,) = (k for k, h in hosts.running.items() if h.process.poll() is not None)
            hosts.restart(number)
        through_hosts(command, catdir)
        assert not (place / "dying").exists()
    expect_new(catdir, wanted)


def test_a_host_that_wakes_up_too_late(place, command, wanted):
    """Taken for dead with its files written, it goes on after the commit."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True) as hosts:
        work = Work(command, catdir)
        until(lambda: begun(place))
        sleeper = begun(place)
        os.kill(sleeper, signal.SIGSTOP)
        try:
            (place / "go").touch()
            assert work.end() is None
        finally:
            os.kill(sleeper, signal.SIGCONT)
        (entry,) = (e for e in hosts.entries if hosts[e.number].process.pid == sleeper)
        db_id = db_id_of(catdir)
        until(lambda: call_host(entry, "hello", db_id).header["running"] == 0)
        expect_new(catdir, wanted)


@pytest.mark.parametrize("n_full", [1, 2])
def test_a_disk_that_is_full(place, command, wanted, shim, monkeypatch, n_full):
    """If one host has no room, the other one writes; if none has, it is one clear error."""
    catdir = place / "sky"
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    with Hosts(catdir, 2, private=True) as hosts:
        monkeypatch.delenv("LD_PRELOAD")
        pids = [hosts[k].process.pid for k in range(1, n_full + 1)]
        (place / "full").write_text(" ".join(map(str, pids)))
        if n_full == 2:
            with pytest.raises(StorageError, match="No space left") as caught:
                through_hosts(command, catdir)
            assert str(catdir) in str(caught.value)
            expect_old(catdir)
            assert not any((catdir / STAGED).iterdir())
            (place / "full").write_text("")
        through_hosts(command, catdir)
    expect_new(catdir, wanted)


def test_a_master_that_dies(place, command, wanted):
    """What hosts have written for it is nobody's; the next writer removes it."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True):
        words = ["-m", "tests.fault.hosts.writers", command, str(catdir)]
        master = subprocess.Popen([sys.executable, *words], cwd=ROOT)
        try:
            until(lambda: begun(place))
        finally:
            master.kill()
            master.wait()
        assert any((catdir / STAGED).glob("*/*.fits"))
        expect_old(catdir)
        (place / "wait").unlink()
        with Store(catdir, writable=True):  # as any command does that writes
            assert not any((catdir / STAGED).iterdir())
        # The hosts go on with what nobody wants any more while others write.
        (place / "go").touch()
        through_hosts(command, catdir)
    expect_new(catdir, wanted)


def test_two_masters(place, command, wanted):
    """The second one is told at once, and the first one commits."""
    catdir = place / "sky"
    (place / "wait").touch()
    with Hosts(catdir, 2, private=True):
        work = Work(command, catdir)
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
        assert work.end() is None
    expect_new(catdir, wanted)


def test_those_who_may_only_read(place, command, wanted):
    catdir = place / "sky"
    with Hosts(catdir, 1), pytest.raises(NotAuthorisedError, match="role ingest"):
        through_hosts(command, catdir)
    expect_old(catdir)
    with Hosts(catdir, 1, private=True):
        through_hosts(command, catdir)
    expect_new(catdir, wanted)


@pytest.mark.parametrize("backups", [True, False], ids=["backups", "no backups"])
def test_a_host_of_a_copy(place, command, wanted, tmp_path_factory, backups):
    """Files on its disk would be of no use to the master."""
    catdir = place / "sky"
    copy = filled_database(tmp_path_factory.mktemp("copy") / "sky", n_images=3)
    (copy.parent / "full").touch()
    copies = dict.fromkeys((2,) if backups else (1, 2), copy)
    with Hosts(catdir, 2, backups=backups, copies=copies, private=True):
        if backups:
            through_hosts(command, catdir)
            expect_new(catdir, wanted)
        else:
            with pytest.raises(StorageError, match="is a copy of the database on another disk"):
                through_hosts(command, catdir)
            expect_old(catdir)
    assert not (copy / STAGED).exists()
