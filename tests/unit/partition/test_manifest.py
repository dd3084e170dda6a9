"""The manifest: what a snapshot sees, what is remembered, and reading without permission."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from dvo.errors import FormatVersionError, NotACatdirError, StorageError, UnknownSnapshotError
from dvo.partition.manifest import (
    CatalogRow,
    Change,
    FileRow,
    ImageRow,
    Manifest,
    PartRun,
    Reach,
    SnapshotRow,
    build_manifest,
    place_manifest,
)
from dvo.partition.manifest.schema import SCHEMA

COUNTS = {"images": 0, "objects": 0, "measures": 0, "catalogs": 0}
META = {"db_id": "a"}


def snapshot(number: int) -> SnapshotRow:
    return SnapshotRow(number, f"{number:08d}-abcd", "2026-01-01", "test", {}, "0", COUNTS, 4)


def file(path: str) -> FileRow:
    return FileRow(path, "Measure", "rows", ("ra", "dec"), 1, "x")


def part(number: int, path: str, region: int = 7) -> PartRun:
    return PartRun(path, *(np.array([n]) for n in (number, region, 0, 5, 0)))


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
            files=[file("a")],
            parts=[part(1, "a")],
            catalogs=[CatalogRow(7, 3, 3, 5, is_sorted=False)],
            images=[ImageRow(4, "name:four", "c")],
        ),
    )
    manifest.apply(
        snapshot(3),
        Change(
            files=[file("b")],
            parts=[part(2, "b")],
            removed_parts=np.array([[7, 1]]),
            catalogs=[CatalogRow(7, 2, 9, 5, is_sorted=True)],
            dropped_images=[4],
            meta={"last_image": "4"},
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
    gone = Change(removed_parts=np.array([[7, 2]]), forgotten=[1, 2, 3])
    manifest.apply(snapshot(4), gone)
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
        manifest.apply(snapshot(3), Change(files=[file("c")]))
    assert [f.path for f in manifest.files()] == ["a", "b"]
    manifest.apply(snapshot(4), Change())
    assert manifest.latest() == 4


def test_numbers_of_files_are_never_given_twice(manifest):
    """What an open reader knows of a file by its number must stay true."""
    add_parts(manifest)
    last = max(f.id for f in manifest.files())
    everything = Change(removed_parts=np.array([[7, 2]]), forgotten=[1, 2, 3])
    manifest.apply(snapshot(4), everything)
    assert manifest.files() == []
    manifest.apply(snapshot(5), Change(files=[file("c")], parts=[part(3, "c")]))
    assert [f.id for f in manifest.files()] == [last + 1]


def test_busy_catalogs_are_those_that_have_grown(manifest):
    """So many parts, and the loose rows half of the largest part; or very many parts."""
    rows = [(1, 40, 30, 30), (2, 40, 24, 20), (3, 40, 2, 20), (4, 130, 128, 2), (5, 30, 1, 30)]
    catalogs = [
        CatalogRow(region, 1, 1, n, is_sorted=False, n_parts=parts, n_largest=largest)
        for region, n, parts, largest in rows
    ]
    manifest.apply(snapshot(2), Change(catalogs=catalogs))
    assert manifest.busy_catalogs(24) == [2, 4]
    assert manifest.busy_catalogs(2) == [2, 3, 4]
    assert manifest.busy_catalogs(200) == []
    compacted = CatalogRow(2, 1, 1, 40, is_sorted=True, n_parts=1, n_largest=40)
    manifest.apply(snapshot(3), Change(catalogs=[compacted]))
    assert manifest.busy_catalogs(24) == [4]
    asked = []
    manifest._db.set_trace_callback(asked.append)
    manifest.busy_catalogs(24)
    manifest._db.set_trace_callback(None)
    assert "USING INDEX catalog_busy" in str(manifest._query(f"EXPLAIN QUERY PLAN {asked[0]}"))


def test_the_newest_snapshot_is_found_without_its_history(manifest):
    """What a region costs to look up does not grow with the commits that changed it."""
    add_parts(manifest)
    asked = []
    manifest._db.set_trace_callback(asked.append)
    manifest.part_table(3, [7])
    manifest.catalogs(3, [7])
    manifest._db.set_trace_callback(None)
    for table in ("part", "catalog"):
        (sql,) = (text for text in asked if f"CROSS JOIN {table} " in text)
        plan = str(manifest._query(f"EXPLAIN QUERY PLAN {sql}"))
        assert f"SEARCH {table} USING PRIMARY KEY (region=? AND removed>?)" in plan


def test_parts_of_old_snapshots_come_in_order(manifest):
    """Also where the earlier one was removed later."""
    runs = [part(1, "a"), part(2, "b")]
    manifest.apply(snapshot(2), Change(files=[file("a"), file("b")], parts=runs))
    for number, gone in ((3, 2), (4, 1)):
        manifest.apply(snapshot(number), Change(removed_parts=np.array([[7, gone]])))
    assert [p.path for p in manifest.parts(2, region=7)] == ["a", "b"]
    assert [p.path for p in manifest.parts(3, region=7)] == ["a"]


def test_reach_covers_what_is_joined():
    still, slow = Reach(0.5), Reach(0.1, 1.0, 10.0, 20.0)
    fast = Reach(0.2, 9.0, 15.0, 40.0)
    assert still.joined(slow) == slow.joined(still) == Reach(0.5, 1.0, 10.0, 20.0)
    assert slow.joined(fast) == Reach(0.2, 9.0, 10.0, 40.0)
    assert still.motion_deg(-1e9, 1e9) == 0.0
    year = 31557600.0
    assert Reach(0.0, 3600.0, 0.0, year).motion_deg(-year, year) == pytest.approx(2.0)


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
    with pytest.raises(FormatVersionError, match=r"format 99.*into a new database"):
        Manifest(tmp_path)


def test_a_lost_manifest_is_not_taken_for_no_database(tmp_path):
    """Where commits have left their records, `dvo init` is no advice."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "00000001-abcd.fits").touch()
    with pytest.raises(NotACatdirError, match=r"is gone; make it anew .*--rebuild"):
        Manifest(tmp_path)


def test_where_no_database_can_be_made_none_is_advised(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NotACatdirError, match="but other files") as found:
        Manifest(tmp_path)
    assert "dvo init" not in str(found.value)
    with pytest.raises(NotACatdirError, match="is a file; a DVO database is a folder"):
        Manifest(tmp_path / "notes.txt")


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


def test_a_vacuum_passes_over_no_forgotten_snapshot():
    """Between tags there may be thousands of them."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in SCHEMA:
            db.execute(statement)
        plan = db.execute(
            "EXPLAIN QUERY PLAN DELETE FROM part WHERE NOT EXISTS (SELECT 1 "
            "FROM snapshot WHERE kept AND snapshot.id >= added AND snapshot.id < removed)"
        ).fetchall()
    assert any("snapshot_kept" in str(row) for row in plan)
