"""Rollback, vacuum and diff."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dvo.errors import ConfigError, UnknownSnapshotError
from dvo.partition import layout
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import rollback, vacuum
from dvo.partition.manifest import Reach
from dvo.partition.sky_table import SkyTable
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from tests.synth import add_images, assert_same, contents, filled_database, make_images


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


def states(store):
    return {row.id: contents(store.view(row.id)) for row in store.manifest.log() if row.kept}


def test_every_snapshot_can_be_gone_back_to(store):
    resort(store)
    add_images(store, make_images(1, 60, 5), batch_rows=1)
    before = states(store)
    for number, state in before.items():
        row = rollback(store, number)
        assert row.counts == store.manifest.snapshot(number).counts
        assert_same(contents(store.view()), state)
        assert check(store, deep=True).faults == []


def test_a_rollback_that_changes_nothing_is_no_commit(store):
    newest = store.view().snapshot.id
    assert rollback(store, newest).id == newest
    first = rollback(store, 2)
    assert first.id == newest + 1
    assert rollback(store, 2).id == first.id
    assert rollback(store, first.id).id == first.id


def test_numbers_are_never_given_again(store):
    def used():
        view = store.view()
        return {
            (region, int(i))
            for region in view.regions()
            for i in view.read(AVERAGE, region, ["obj_id"])["obj_id"]
        }, {i.image_id for i in store.manifest.images(view.snapshot.id)}

    objects, images = used()
    rollback(store, 1)
    assert used() == (set(), set())
    assert check(store, deep=True).ok
    add_images(store, make_images(1, 60, 3), batch_rows=1)
    objects_again, images_again = used()
    assert len(objects_again) == len(objects)
    assert not objects & objects_again
    assert not images & images_again
    assert check(store, deep=True).ok
    rollback(store, 4)
    assert used() == (objects, images)
    assert check(store, deep=True).ok


def test_a_rollback_takes_back_how_far_rows_reach(store):
    """A catalogue of fast stars makes cones wide; gone back to before it they are narrow."""
    before = store.view().snapshot
    far = Reach(0.5, 100.0, 0.0, 2e9)
    with store.begin("test", {}) as change:
        change.widen(far)
        change.commit()
    add_images(store, make_images(1, 60, 5))
    assert store.view().pad_deg == 0.5
    rollback(store, before.id)
    assert store.view().snapshot.reach == before.reach
    assert store.view().motion_pad_deg(np.array([2e9])) == 0.0
    rollback(store, before.id + 2)
    assert store.view().snapshot.reach == far
    assert check(store, deep=True).faults == []


def test_only_what_differs_is_gone_back_to(store):
    """A rollback touches the regions that changed, not the database."""
    before = store.view()
    region = before.regions()[0]
    old = {r: [p.id for p in before.parts(AVERAGE, r)] for r in before.regions()}
    with store.begin("test", {}) as change:
        table = ColumnTable(AVERAGE, {"flags": np.array([7], np.uint32)})
        change.patch_rows(np.array([0]), table, [region], np.array([0, 1]))
        change.commit()
    rollback(store, before.snapshot.id)
    after = store.view()
    new = {r: [p.id for p in after.parts(AVERAGE, r)] for r in after.regions()}
    assert {r for r in new if new[r] != old[r]} == {region}
    assert_same(contents(after), contents(store.view(before.snapshot.id)))


def test_a_rollback_to_nothing_that_was(store):
    with pytest.raises(UnknownSnapshotError, match="no snapshot 99"):
        rollback(store, 99)


def test_vacuum_keeps_the_newest_states(store):
    resort(store)
    state = states(store)
    report = vacuum(store, 2)
    assert report.forgotten == [1, 2, 3]
    kept = states(store)
    assert sorted(kept) == [4, 5, 6]
    for number in (4, 5):
        assert_same(kept[number], state[number])
    assert_same(kept[6], state[5])
    assert check(store, deep=True).faults == []
    assert vacuum(store, 2).forgotten == []
    assert store.view().snapshot.id == 6


def test_vacuum_frees_room(store):
    resort(store, own_file_rows=1)
    before = {f.path: f.n_bytes for f in store.manifest.files()}
    report = vacuum(store, 1)
    after = {f.path for f in store.manifest.files()}
    gone = before.keys() - after
    assert report.n_files == len(gone) > 0
    assert report.n_bytes == sum(before[path] for path in gone)
    assert not any((store.catdir / path).exists() for path in gone)
    assert all((store.catdir / path).exists() for path in after)
    assert store.manifest.pending() == []
    # Rows of the shared files are in the regions' own now.
    assert all(not path.startswith("shared/") for path in after)


def test_vacuum_sweeps_what_nobody_knows(store):
    orphans = ["shared/00000009-beef.cpm", "n0000/0001.05.00000009-beef.cpt"]
    for path in orphans:
        (store.catdir / path).parent.mkdir(parents=True, exist_ok=True)
        (store.catdir / path).write_bytes(b"orphan")
    own = store.catdir / "README.txt"
    own.write_text("mine")
    report = check(store)
    assert report.ok
    assert "2 files belong to no snapshot" in report.notes[0]
    assert vacuum(store, 5).n_files == 2
    assert check(store).notes == []
    assert own.exists()


def test_a_rolled_back_state_survives_the_vacuum_of_its_origin(store):
    state = contents(store.view(2))
    rollback(store, 2)
    vacuum(store, 1)
    assert_same(contents(store.view()), state)
    assert check(store, deep=True).faults == []
    with pytest.raises(UnknownSnapshotError):
        rollback(store, 4)


def test_vacuum_of_everything_is_refused(store):
    with pytest.raises(ConfigError, match="at least 1"):
        vacuum(store, 0)


def test_a_database_inside_another_is_none_of_its_business(tmp_path):
    """Its files have the names of ours; neither a vacuum nor a check may take them for such."""
    path = filled_database(tmp_path / "sky")
    shutil.copytree(path, tmp_path / "other")
    shutil.copytree(tmp_path / "other", path / "sub")
    with Store(path, writable=True) as store:
        resort(store, own_file_rows=1)
        (path / "n0000").mkdir(exist_ok=True)
        shutil.copytree(tmp_path / "other", path / "n0000" / "deep")
        assert vacuum(store, 1).n_files > 0
        assert check(store).notes == []
    for inner in ("sub", "n0000/deep"):
        report = check(path / inner, deep=True)
        assert report.ok
        assert report.notes == []


def test_every_file_of_a_region_is_a_data_file(rng):
    sky = SkyTable.standard()
    some = np.concatenate([np.arange(3000), rng.integers(0, len(sky), 3000)])
    for name in sky.names(np.unique(some)):
        path = layout.catalog_path(name, layout.make_token(7), "u.cpt")
        assert layout.is_data_path(Path(path)), path
