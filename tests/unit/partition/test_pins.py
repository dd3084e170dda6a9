"""Pins: what a reader has open no vacuum takes away, and nothing is held longer than it is read."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

import dvo
from dvo.errors import CatdirLockedError, StorageError, UnknownSnapshotError
from dvo.partition.check import check
from dvo.partition.history import KeptState, put_tag, vacuum
from dvo.partition.pins import ForgetLock, ReaderPins
from dvo.partition.store import Store
from tests.synth import add_images, assert_same, contents, filled_database, make_images


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


def test_what_a_reader_has_open_stays(store):
    put_tag(store, "dr1", 1)
    with Store(store.catdir) as reader:
        view = reader.view(2)
        before = contents(reader.view(2))
        report = vacuum(store, 1)
        assert report.forgotten == [3]
        assert report.kept == [KeptState(1, ["dr1"]), KeptState(2, [])]
        assert [state.reason for state in report.kept] == ["tag dr1", "being read"]
        reader.cache.close()
        assert_same(contents(view), before)
    assert vacuum(store, 1).forgotten == [2]
    assert check(store, deep=True).faults == []


def test_a_view_that_is_dropped_holds_nothing(store):
    with Store(store.catdir) as reader:
        one, two = reader.view(2), reader.view(2)
        changed = one.changed({}, [])
        del one, two
        assert vacuum(store, 2).forgotten == [1]
        del changed
        assert vacuum(store, 1).forgotten == [2, 3]
        with pytest.raises(UnknownSnapshotError, match="vacuumed away"):
            reader.view(2)


def test_a_pin_that_is_collected_while_another_is_made(store):
    """Python may collect a view at any moment: also when the same snapshot is just pinned."""
    pins = ReaderPins(store.catdir)
    old = [pins.pin(2)]

    class Collecting(dict):
        def get(self, key, default=None):
            found = super().get(key, default)
            old.clear()
            return found

    pins._held = Collecting(pins._held)
    new = pins.pin(2)
    assert old == []
    assert vacuum(store, 1).forgotten == [1, 3]
    del new
    assert vacuum(store, 1).forgotten == [2]
    pins.close()


def test_an_open_database_holds_its_snapshot(store):
    with dvo.open(store.catdir, snapshot=3) as db:
        n = db.scan("measure", ["ra"])
        first = next(n)
        assert vacuum(store, 1).forgotten == [1, 2]
        assert first.num_rows + sum(batch.num_rows for batch in n) == db.snapshot.counts["measures"]
    assert vacuum(store, 1).forgotten == [3]


def test_the_newest_is_never_asked_about(store):
    """A writer commits and vacuums behind a reader that opens the newest over and over."""
    with Store(store.catdir) as reader:
        for k in range(3, 6):
            view = reader.view()
            add_images(store, make_images(1, 60, k + 1)[k:])
            assert vacuum(store, 1).kept == [KeptState(view.snapshot.id, [])]
            assert contents(view).keys() > {"images"}


def test_a_snapshot_that_is_just_forgotten_cannot_be_opened(store):
    with Store(store.catdir) as reader, ForgetLock(store.catdir) as lock:
        assert lock.take([1, 2]) == [1, 2]
        with pytest.raises(
            CatdirLockedError, match="a vacuum is just forgetting snapshot 2"
        ) as err:
            reader.view(2)
        assert err.value.retryable
        assert reader.view().snapshot.id == 4
        lock.take([3])
    with Store(store.catdir) as reader:
        assert reader.view(2).snapshot.id == 2


def test_a_newest_that_is_forgotten_before_it_is_pinned(store, monkeypatch):
    """Then the reader gets what is the newest after that."""
    pin = ReaderPins.pin
    done = []

    def late(pins, snapshot):
        if not done:
            done.append(snapshot)
            add_images(store, make_images(1, 60, 4)[3:])
            assert snapshot in vacuum(store, 1).forgotten
        return pin(pins, snapshot)

    monkeypatch.setattr(ReaderPins, "pin", late)
    with Store(store.catdir) as reader:
        assert reader.view().snapshot.id == 6
    assert done == [4]


def test_a_forked_child_does_not_let_go_for_its_parent(store):
    with Store(store.catdir) as reader:
        view = reader.view(2)
        pid = os.fork()
        if pid == 0:
            try:
                del view
                reader._pins.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert vacuum(store, 1).kept == [KeptState(2, [])]
        assert view.snapshot.id == 2


@pytest.mark.parametrize("reason", ["no file", "no locks"])
def test_readers_read_where_there_are_no_pins(store, monkeypatch, caplog, reason):
    """Nothing holds a vacuum back then; a reader that it overtakes is told."""

    def no_locks(fd, what, request):
        raise OSError(errno.ENOLCK, "No locks available")

    if reason == "no file":
        (store.catdir / "pins").unlink()
    else:
        monkeypatch.setattr(fcntl, "fcntl", no_locks)
    caplog.set_level("INFO", logger="dvo.partition.pins")
    with Store(store.catdir) as reader:
        view = reader.view(2)
        monkeypatch.undo()
        assert "without" in caplog.text
        assert vacuum(store, 1).forgotten == [1, 2, 3]
        with pytest.raises(UnknownSnapshotError, match="snapshot 2 has been vacuumed away"):
            contents(view)
    assert (store.catdir / "pins").is_file()


def test_a_vacuum_without_locks_changes_nothing(store, monkeypatch):
    def no_locks(fd, what, request):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "fcntl", no_locks)
    with pytest.raises(StorageError, match=r"pins: cannot be locked \(No locks available\)"):
        vacuum(store, 1)
    monkeypatch.undo()
    assert len(store.manifest.log()) == 4
    assert check(store, deep=True).ok
