"""Commits: all or nothing, and what one leaves behind when it fails."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.errors import SchemaError, StorageError
from dvo.partition.check import check
from dvo.partition.manifest import CatalogRow, Manifest
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, assert_same, contents, filled_database, make_images


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=2), writable=True) as found:
        yield found


def files(store):
    return sorted(p for p in store.catdir.rglob("*") if p.is_file() and "sqlite" not in p.name)


def some_rows(n=5):
    return ColumnTable(MEASURE, {"mag": np.arange(n, dtype=np.float32)})


def commit_rows(store):
    with store.begin("test", {}) as change:
        change.add_rows(some_rows(), [3], np.array([0, 5]))
        change.commit()


def fail_amid(store):
    with store.begin("test", {}) as change:
        change.add_rows(some_rows(), [3], np.array([0, 5]))
        raise ZeroDivisionError


@pytest.mark.parametrize("n", [0, 5])
def test_no_file_is_made_of_nothing_but_nulls(store, n):
    """Readers know how many rows there are from the number of objects."""
    (region, *_) = store.view().regions()
    n_rows = store.view().n_rows(SECFILT, region)
    n_files = len(list(store.catdir.rglob("*.cps")))
    table = ColumnTable(SECFILT, {"mag": SECFILT["mag"].nulls(n)}, n)
    with store.begin("test", {}) as change:
        change.add_rows(table, [region], np.array([0, n]))
        change.commit()
    assert [p for p in store.view().parts(SECFILT, region) if p.kind == "rows"] == []
    assert len(list(store.catdir.rglob("*.cps"))) == n_files
    with store.begin("test", {}) as change:
        change.put_catalog(region, [store.view().read(AVERAGE, region), table], level="fast")
        change.commit()
    view = store.view()
    assert [p.table for p in view.parts(AVERAGE, region)] == ["Average"]
    assert view.parts(SECFILT, region) == []
    assert np.isnan(view.read(SECFILT, region)["mag"]).tolist() == [True] * n_rows


def test_leaving_without_commit_leaves_nothing(store):
    before, state = files(store), contents(store.view())
    with store.begin("test", {}) as change:
        change.add_rows(some_rows(), [3], np.array([0, 5]))
        change.wait()
        assert files(store) != before
    assert files(store) == before
    assert store.manifest.pending() == []
    assert_same(contents(store.view()), state)


def test_an_error_in_the_block_leaves_nothing(store):
    before = files(store)
    with pytest.raises(ZeroDivisionError):
        fail_amid(store)
    assert files(store) == before


def test_a_file_that_cannot_be_written_stops_the_commit(store, monkeypatch):
    import dvo.partition.writing as module

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    before, number = files(store), store.view().snapshot.id
    monkeypatch.setattr(module, "write_fits", fail)
    with pytest.raises(StorageError, match=r"No space left.*nothing has changed"):
        commit_rows(store)
    assert files(store) == before
    assert store.view().snapshot.id == number


def test_a_manifest_that_cannot_be_written_stops_the_commit(store, monkeypatch):
    def fail(*_, **__):
        raise StorageError("the disk is gone")

    before, number = files(store), store.view().snapshot.id
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "apply", fail)
        with pytest.raises(StorageError, match="disk is gone"):
            commit_rows(store)
    assert files(store) == before
    assert store.view().snapshot.id == number
    add_images(store, make_images(1, 60, 3))
    assert check(store, deep=True).ok


def test_files_stay_where_sqlite_may_have_the_commit_after_all(store, monkeypatch):
    def fail(*_, **__):
        raise StorageError("the disk is gone")

    before = files(store)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "apply", fail)
        patch.setattr(Manifest, "settle", fail)
        with pytest.raises(StorageError, match="disk is gone"):
            commit_rows(store)
    assert len(files(store)) == len(before) + 2
    assert store.sweep() == 2
    assert files(store) == before


def test_an_interrupt_after_the_commit_takes_nothing_away(store, monkeypatch):
    """Ctrl-C between SQLite's commit and the end of ours: the files are needed by then."""
    real = Manifest.apply

    def interrupted(*args):
        real(*args)
        raise KeyboardInterrupt

    number = store.view().snapshot.id
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "apply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add_images(store, make_images(1, 60, 3))
    assert store.view().snapshot.id == number + 1
    assert check(store, deep=True).faults == []
    assert check(store).notes == []


def interrupt_amid(manifest):
    with manifest.transaction() as db:
        db.execute("DELETE FROM part")
        raise KeyboardInterrupt


def test_an_interrupt_amid_a_transaction_leaves_the_manifest_free(store):
    with pytest.raises(KeyboardInterrupt):
        interrupt_amid(store.manifest)
    add_images(store, make_images(1, 60, 3))
    assert check(store, deep=True).faults == []


def test_a_writer_that_cannot_open_lets_go_of_the_lock(store, monkeypatch):
    def fail(*_):
        raise StorageError("the disk is gone")

    catdir = store.catdir
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "sweep", fail)
        with pytest.raises(StorageError, match="disk is gone") as kept:
            Store(catdir, writable=True)
    assert kept.value is not None  # with it its frames, and what is in them
    with Store(catdir, writable=True) as again:
        add_images(again, make_images(1, 60, 3))


def test_the_log_says_what_was_done(store):
    rows = store.manifest.log()
    assert [r.command for r in rows] == ["init", "addstar", "addstar"]
    assert rows[1].params["images"][0][0] == "synth-0000"
    assert rows[1].params["radius_arcsec"] == 1.0
    assert rows[2].counts["images"] == 2


def test_counts_follow_the_catalogs(store):
    region = store.view().regions()[0]
    before = store.view().snapshot.counts
    old = store.view().catalog(region)
    with store.begin("test", {}) as change:
        change.set_catalogs([CatalogRow(region, 0, 99, 0, is_sorted=True)])
        change.commit()
    after = store.view().snapshot.counts
    assert after["objects"] == before["objects"] - old.n_average
    assert after["measures"] == before["measures"] - old.n_measure
    assert after["catalogs"] == before["catalogs"] - 1
    assert store.view().regions() == [r for r in store.view().regions() if r != region]


def test_an_overlay_needs_whole_parts(store):
    view = store.view()
    part = view.parts(MEASURE, view.regions()[0])[0]
    with store.begin("test", {}) as change, pytest.raises(SchemaError, match="one for one"):
        change.overlay(MEASURE, [(part, some_rows(part.n_rows + 1))])


def test_reading_only_means_reading_only(tmp_path):
    filled_database(tmp_path / "sky", n_images=1)
    with Store(tmp_path / "sky") as store, pytest.raises(StorageError, match="reading only"):
        store.begin("test", {})
