"""Rebuild: the records of commits give the manifest back, row for row."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from dvo.errors import (
    CatdirLockedError,
    CorruptTableError,
    FormatVersionError,
    NotACatdirError,
)
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import rollback, vacuum
from dvo.partition.rebuild import rebuild
from dvo.partition.store import Store
from tests.synth import add_images, assert_same, contents, filled_database, make_images

TABLES = ("meta", "snapshot", "file", "part", "catalog", "image", "tag", "pending")


def rows(catdir):
    db = sqlite3.connect(catdir / "dvo.sqlite")
    found = {t: sorted(map(repr, db.execute(f"SELECT * FROM {t}"))) for t in TABLES}
    db.close()
    return found


@pytest.fixture
def catdir(tmp_path):
    """A database with a past: ingest, compaction, rollback, replacement and vacuum."""
    path = filled_database(tmp_path / "sky", n_images=3)
    with Store(path, writable=True) as store:
        resort(store)
        rollback(store, 3)
        add_images(store, make_images(7, 60, 2), replace=True)
        vacuum(store, 3)
        add_images(store, make_images(1, 60, 5)[3:], batch_rows=1)
    return path


def test_the_manifest_comes_back_row_for_row(catdir):
    before = rows(catdir)
    with Store(catdir) as store:
        state = contents(store.view())
    report = rebuild(catdir)
    assert report.n_commits == len(before["snapshot"])
    assert report.skipped == report.damaged == []
    assert rows(catdir) == before
    with Store(catdir) as store:
        assert_same(contents(store.view()), state)
    assert (catdir / report.moved[-1]).is_file()
    assert check(catdir, deep=True).faults == []


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_lost_or_strange_manifest(catdir, ending):
    before = rows(catdir)
    for path in catdir.glob("dvo.sqlite*"):
        path.unlink()
    if ending:
        (catdir / f"dvo.sqlite{ending}").write_bytes(b"left over from something else" * 99)
    assert not check(catdir).ok
    report = rebuild(catdir)
    assert len(report.moved) == bool(ending)
    assert rows(catdir) == before
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 6)[5:])
        assert check(store, deep=True).ok


@pytest.fixture
def last_file(catdir):
    """A database with one more commit: what was before it, the commit, and a file of it."""
    before = rows(catdir)
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 6)[5:])
        last = store.view().snapshot
    return before, last, catdir / f"shared/{last.token}.cpm"


def lose_manifest(catdir):
    for path in catdir.glob("dvo.sqlite*"):
        path.unlink()


def test_a_commit_whose_files_are_missing_is_left_out(catdir, last_file):
    before, last, path = last_file
    path.unlink()
    lose_manifest(catdir)
    report = rebuild(catdir)
    assert report.skipped == [f"{last.token}: shared/{last.token}.cpm is missing"]
    assert rows(catdir) == before
    found = check(catdir, deep=True)
    assert found.ok
    assert "belong to no snapshot" in found.notes[0]


@pytest.mark.parametrize(
    ("harm", "lost"),
    [("cut", True), ("changed", True), ("cut", False), ("changed", False), ("missing", False)],
)
def test_a_commit_whose_files_are_damaged_stays(catdir, last_file, harm, lost):
    """Files are whole before their commit is recorded: what is not so now is damage."""
    _, last, path = last_file
    wanted = rows(catdir)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if harm != "missing":
        path.write_bytes(data if harm == "changed" else data[:-100])
    if lost:
        lose_manifest(catdir)
    report = rebuild(catdir)
    assert report.skipped == []
    assert report.damaged == [f"shared/{last.token}.cpm"]
    assert rows(catdir) == wanted
    assert not check(catdir, deep=True).ok


def test_a_last_record_that_cannot_be_read_is_left_out(catdir):
    last = max((catdir / "log").glob("*.fits"))
    last.write_bytes(last.read_bytes()[:3000])
    with Store(catdir) as store:
        newest = store.view().snapshot.id
        state = contents(store.view(newest - 1))
    report = rebuild(catdir)
    assert last.name in report.skipped[0]
    with Store(catdir) as store:
        assert store.view().snapshot.id == newest - 1
        assert_same(contents(store.view()), state)


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_gap_in_the_records_is_refused(catdir, damage):
    path = sorted((catdir / "log").glob("*.fits"))[2]
    before = rows(catdir)
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CorruptTableError, match=r"record of commit 3 .*backup"):
        rebuild(catdir)
    assert rows(catdir) == before


def test_damaged_files_of_older_commits_are_told(catdir):
    path = min(catdir.glob("shared/*.cpm"))
    path.write_bytes(b"SIMPLE")
    assert rebuild(catdir).damaged == [f"shared/{path.name}"]


@pytest.fixture
def cut_short(catdir):
    """A database with the files of a commit that was cut short; their note went with the power.

    Gives the database, the commit that was cut short and the one in its place.
    """
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 6)[5:])
        cut = store.view().snapshot
        stale = {
            p: p.read_bytes() for p in catdir.rglob("*") if p.is_file() and cut.token in p.name
        }
    for path in [*catdir.glob("dvo.sqlite*"), *stale]:
        path.unlink()
    rebuild(catdir)
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 7)[6:])
        made = store.view().snapshot
    for path, data in stale.items():
        path.write_bytes(data)
    return catdir, cut, made


def test_of_two_last_records_the_later_counts(cut_short):
    catdir, cut, made = cut_short
    before = rows(catdir)
    assert cut.id == made.id
    report = rebuild(catdir)
    assert report.skipped == [f"{cut.token}: was cut short"]
    assert rows(catdir) == before


def test_the_commit_that_others_build_on_counts_whatever_the_clock(cut_short, monkeypatch):
    """The clock was set back between the two: the one cut short has the later time."""
    import dvo.partition.rebuild as module

    catdir, cut, _ = cut_short
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 8)[7:])
    before = rows(catdir)
    real = module.read_record

    def with_a_wrong_clock(path):
        snapshot, *rest = real(path)
        is_cut = snapshot.token == cut.token
        return replace(snapshot, time="2999-01-01") if is_cut else snapshot, *rest

    monkeypatch.setattr(module, "read_record", with_a_wrong_clock)
    assert rebuild(catdir).skipped == [f"{cut.token}: was cut short"]
    assert rows(catdir) == before


def test_records_of_another_format_are_told(catdir, monkeypatch):
    before = rows(catdir)
    monkeypatch.setattr("dvo.partition.records.FORMAT", 99)
    with pytest.raises(FormatVersionError, match=r"has format 3, .*reads format 99.*new database"):
        rebuild(catdir)
    assert rows(catdir) == before


def test_records_of_two_databases_are_refused(catdir, tmp_path):
    other = filled_database(tmp_path / "other", n_images=1)
    stranger = min((other / "log").glob("*.fits"))
    (catdir / "log" / stranger.name).write_bytes(stranger.read_bytes())
    with pytest.raises(CorruptTableError, match="records of 2 databases"):
        rebuild(catdir)


def test_no_rebuild_without_records_or_lock(catdir, tmp_path):
    with pytest.raises(NotACatdirError, match="no records"):
        rebuild(tmp_path)
    with Store(catdir, writable=True), pytest.raises(CatdirLockedError):
        rebuild(catdir)
