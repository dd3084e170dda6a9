"""Copies of databases: the same in every state, whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dvo.partition.copy as module
from dvo.errors import CatdirExistsError, ConfigError, CorruptTableError, StorageError
from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.copy import copy_database
from dvo.partition.history import put_tag, rollback, vacuum
from dvo.partition.rebuild import rebuild
from dvo.partition.store import Store
from tests.synth import add_images, assert_same, contents, filled_database, make_images


@pytest.fixture
def catdir(tmp_path: Path) -> Path:
    return filled_database(tmp_path / "sky", n_images=3)


def assert_sound(path: Path) -> None:
    report = check(path, deep=True)
    assert report.faults == []
    assert report.notes == []


@pytest.mark.parametrize("link", [False, True])
def test_a_copy_has_every_state(catdir: Path, tmp_path: Path, link: bool) -> None:
    new = tmp_path / "new"
    with Store(catdir) as source:
        report = copy_database(source, new, link=link)
        assert report.counts == source.view().snapshot.counts
        with Store(new) as copy:
            assert copy.db_id == source.db_id
            assert copy.manifest.log() == source.manifest.log()
            for row in source.manifest.log():
                assert_same(contents(copy.view(row.id)), contents(source.view(row.id)))
    assert_sound(new)
    rebuild(new)
    files = [p for p in new.rglob("*") if p.is_file() and "sqlite" not in p.name]
    same = [p.stat().st_ino == (catdir / p.relative_to(new)).stat().st_ino for p in files
            if (catdir / p.relative_to(new)).exists() and p.suffix.startswith(".cp")]  # fmt: skip
    assert same
    assert all(s == link for s in same)


def test_copies_go_ways_of_their_own(catdir: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with Store(catdir) as source:
        copy_database(source, new, link=True)
    with Store(catdir) as store:
        before = contents(store.view())
    with Store(new, writable=True) as store:
        add_images(store, make_images(1, 60, 1, first=7))
        rollback(store, 2)
        vacuum(store, 1)
    assert_sound(new)
    with Store(catdir, writable=True) as store:
        assert_same(contents(store.view()), before)
        with Store(new) as other, pytest.raises(ConfigError, match="a copy of it"):
            merge(store, other, MergeOptions())
    assert_sound(catdir)


def test_an_older_state(catdir: Path, tmp_path: Path) -> None:
    """Only its files come, and those of tagged states."""
    new = tmp_path / "new"
    with Store(catdir, writable=True) as store:
        put_tag(store, "first", 2)
    with Store(catdir) as source:
        report = copy_database(source, new, snapshot=3)
        with Store(new) as copy:
            assert_same(contents(copy.view()), contents(source.view(3)))
            assert_same(contents(copy.view("first")), contents(source.view(2)))
            paths = {f.path for f in copy.manifest.files()}
            assert paths < {f.path for f in source.manifest.files()}
            assert report.snapshot == copy.view().snapshot.id
    assert_sound(new)
    assert_sound(catdir)


def test_nothing_is_copied_over(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as source:
        with pytest.raises(CatdirExistsError, match="exists already"):
            copy_database(source, tmp_path)
        with pytest.raises(StorageError, match="no folder"):
            copy_database(source, tmp_path / "none" / "sky")
        with pytest.raises(CatdirExistsError, match="inside the database itself"):
            copy_database(source, catdir / "sub")


def test_leftovers_of_other_copies_stay(catdir: Path, tmp_path: Path) -> None:
    """A name is no pattern: what a copy to b[1] left is not that of a copy to b1."""
    other, own = (tmp_path / f".{name}.0123456789ab.part" for name in ("b1", "b[1]"))
    other.mkdir()
    own.mkdir()
    with Store(catdir) as source:
        copy_database(source, tmp_path / "b[1]")
    assert other.exists()
    assert not own.exists()


@pytest.mark.parametrize("link", [False, True])
def test_a_damaged_file_is_not_copied(catdir: Path, tmp_path: Path, link: bool) -> None:
    path = next(catdir.glob("shared/*.cpm"))
    data = bytearray(path.read_bytes())
    data[-3000] ^= 4
    path.write_bytes(data)
    with Store(catdir) as source:
        with pytest.raises(CorruptTableError, match=path.name):
            copy_database(source, tmp_path / "new", link=link)
        path.unlink()
        with pytest.raises(StorageError, match="is missing"):
            copy_database(source, tmp_path / "new", link=link)
    assert [p.name for p in tmp_path.iterdir()] == ["sky"]


def test_what_a_killed_copy_left_goes(catdir: Path, tmp_path: Path) -> None:
    left = tmp_path / ".new.0123456789ab.part"
    left.mkdir()
    (left / "dvo.sqlite").write_bytes(b"x")
    with Store(catdir) as source:
        copy_database(source, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "sky"]


def test_others_go_on_while_it_is_copied(
    catdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit and a vacuum in the midst: the copy is of the moment when it began."""
    with Store(catdir) as store:
        before = {row.id: contents(store.view(row.id)) for row in store.manifest.log()}
    real = module._copy_files

    def late(*args: object) -> list[int]:
        with Store(catdir, writable=True) as store:
            add_images(store, make_images(1, 60, 1, first=7))
            vacuum(store, 1)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_copy_files", late)
    with Store(catdir) as source:
        copy_database(source, tmp_path / "new")
    assert_sound(tmp_path / "new")
    with Store(tmp_path / "new") as copy:
        for number, wanted in before.items():
            assert_same(contents(copy.view(number)), wanted)
    assert os.path.lexists(catdir)
