"""The manifest: what a snapshot sees, what is remembered, and reading without permission."""

from __future__ import annotations

import sqlite3

import pytest

from dvo.errors import FormatVersionError, NotACatdirError, StorageError, UnknownSnapshotError
from dvo.partition.manifest import (
    CatalogRow,
    Change,
    FileRow,
    ImageRow,
    Manifest,
    Part,
    SnapshotRow,
    build_manifest,
    place_manifest,
)

COUNTS = {"images": 0, "objects": 0, "measures": 0, "catalogs": 0}
META = {"db_id": "a", "level": "4", "n_secfilt": "1"}


def snapshot(number: int) -> SnapshotRow:
    return SnapshotRow(number, f"{number:08d}-abcd", "2026-01-01", "test", {}, "0", COUNTS)


def part(number: int, path: str, region: int = 7, kind: str = "rows") -> Part:
    return Part(path, "Measure", region, kind, 0, 5, None, ("ra", "dec"), number)


@pytest.fixture
def manifest(tmp_path):
    build_manifest(tmp_path, META, [(snapshot(1), Change(meta=META))])
    place_manifest(tmp_path)
    found = Manifest(tmp_path, writable=True)
    yield found
    found.close()


def add_parts(manifest: Manifest) -> None:
    manifest.apply(
        snapshot(2),
        Change(
            files=[FileRow("a", 1, "x")],
            parts=[part(1, "a")],
            catalogs=[CatalogRow(7, 3, 3, 5, is_sorted=False)],
            images=[ImageRow(4, "name:four", "c")],
        ),
    )
    manifest.apply(
        snapshot(3),
        Change(
            files=[FileRow("b", 1, "y")],
            parts=[part(2, "b")],
            removed_parts=[1],
            catalogs=[CatalogRow(7, 2, 9, 5, is_sorted=True)],
            dropped_images=[4],
            meta={"pad_deg": "0.5"},
        ),
    )


def test_each_snapshot_sees_its_own(manifest):
    add_parts(manifest)
    assert manifest.latest() == 3
    assert [p.path for p in manifest.parts(2)] == ["a"]
    assert [p.path for p in manifest.parts(3, region=7, table="Measure")] == ["b"]
    assert manifest.parts(1) == manifest.parts(3, region=8) == []
    assert manifest.catalog(2, 7).next_obj_id == 3
    assert manifest.catalog(3, 7) == CatalogRow(7, 2, 9, 5, is_sorted=True)
    assert manifest.catalog(1, 7) == CatalogRow(7, 0, 0, 0, is_sorted=True)
    assert manifest.image(2, "name:four") == ImageRow(4, "name:four", "c")
    assert manifest.image(3, "name:four") is None
    assert [s.id for s in manifest.log()] == [1, 2, 3]


def test_part_numbers_are_never_given_twice(manifest):
    add_parts(manifest)
    manifest.apply(snapshot(4), Change(removed_parts=[2], forgotten=[1, 2, 3]))
    assert manifest.last_part() == 2


def test_forgotten_snapshots_are_refused_and_their_files_announced(manifest):
    add_parts(manifest)
    manifest.apply(snapshot(4), Change(forgotten=[1, 2]))
    assert manifest.pending() == ["a"]
    assert [f.path for f in manifest.files()] == ["b"]
    for number in (1, 2):
        with pytest.raises(UnknownSnapshotError, match="vacuumed away"):
            manifest.snapshot(number)
        with pytest.raises(UnknownSnapshotError, match="vacuumed away"):
            manifest.parts(number)
        with pytest.raises(UnknownSnapshotError, match="vacuumed away"):
            manifest.catalog(number, 7)
    assert [s.kept for s in manifest.log()] == [False, False, True, True]
    with pytest.raises(UnknownSnapshotError, match="newest is 4"):
        manifest.snapshot(5)


def test_a_transaction_that_fails_leaves_no_trace(manifest):
    add_parts(manifest)
    with pytest.raises(StorageError, match="cannot be written"):
        manifest.apply(snapshot(3), Change(files=[FileRow("c", 1, "z")]))
    assert [f.path for f in manifest.files()] == ["a", "b"]
    manifest.apply(snapshot(4), Change())
    assert manifest.latest() == 4


def test_a_reader_sees_new_bounds_after_refresh(manifest):
    reader = Manifest(manifest.catdir)
    add_parts(manifest)
    assert "pad_deg" not in reader.meta
    reader.refresh()
    assert reader.meta["pad_deg"] == "0.5"
    reader.close()


def test_no_manifest_half_made_and_other_formats(tmp_path):
    with pytest.raises(NotACatdirError, match="dvo init"):
        Manifest(tmp_path)
    build_manifest(tmp_path, META, [(snapshot(1), Change(meta=META))])
    with pytest.raises(NotACatdirError):
        Manifest(tmp_path)
    place_manifest(tmp_path)
    with sqlite3.connect(tmp_path / "dvo.sqlite") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    db.close()
    with pytest.raises(FormatVersionError, match="format 99"):
        Manifest(tmp_path)


def test_commits_that_do_not_follow_make_no_manifest(tmp_path):
    lost = Change(parts=[part(1, "never-made")])
    with pytest.raises(StorageError, match="cannot be made"):
        build_manifest(tmp_path, META, [(snapshot(1), lost)])
    assert list(tmp_path.iterdir()) == []


def test_damage_is_one_clear_error(manifest):
    add_parts(manifest)
    manifest.close()
    path = manifest.catdir / "dvo.sqlite"
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(range(256)) * 100)
    with pytest.raises(StorageError, match="--rebuild"):
        Manifest(manifest.catdir)
    path.write_bytes(b"not a database at all, but long enough to look at" * 100)
    with pytest.raises(StorageError, match="--rebuild"):
        Manifest(manifest.catdir)


def test_find_damage_of_a_sound_file(manifest):
    assert manifest.find_damage() == []
