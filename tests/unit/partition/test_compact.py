"""Compaction: the same rows in fewer, sorted files."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.ingest.detections import InputImage
from dvo.partition.check import check
from dvo.partition.compact import compact_busy, resort
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, assert_same, filled_database, make_database, make_images


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=4), writable=True) as found:
        yield found


def by_object(view):
    """Positions, magnitudes and measures of all objects, by their numbers."""
    out = {}
    for region in view.regions():
        a, m, s = (view.read(t, region) for t in (AVERAGE, MEASURE, SECFILT))
        for i in range(len(a)):
            mine = np.flatnonzero(m["ave_ref"] == i)
            pairs = np.column_stack([m["image_id"][mine], m["det_id"][mine]])
            dets = sorted(map(tuple, pairs.tolist()))
            key = (int(a["cat_id"][i]), int(a["obj_id"][i]))
            mags = [str(v) for v in s["mag"][2 * i : 2 * i + 2]]
            out[key] = (a["ra"][i], a["dec"][i], int(a["ext_id"][i]), mags, dets)
    return out


def test_resort_keeps_every_row_and_link(store):
    before = by_object(store.view())
    done = []
    n = len(store.view().regions())
    assert resort(store, progress=lambda k, of: done.append((k, of))) == n
    assert done[-1] == (n, n)
    assert by_object(store.view()) == before
    assert check(store, deep=True).faults == []


def test_each_region_gets_files_of_its_own_in_order(store):
    resort(store, own_file_rows=1)
    view = store.view()
    for region in view.regions():
        assert view.catalog(region).is_sorted
        name = view.sky.region(region).name
        for schema in (AVERAGE, SECFILT, MEASURE):
            (part,) = view.parts(schema, region)
            assert part.path.startswith(f"{name}.")
            assert part.path.endswith(f".{schema.suffix}")
        measure = view.read(MEASURE, region, ["ave_ref", "time"])
        ref = measure["ave_ref"].astype(int)
        assert (np.diff(ref) >= 0).all()
        same = np.diff(ref) == 0
        assert (np.diff(measure["time"])[same] >= 0).all()


def test_what_is_compact_is_left_alone(store):
    resort(store)
    newest = store.view().snapshot.id
    assert resort(store) == 0
    assert store.view().snapshot.id == newest
    add_images(store, make_images(1, 60, 5)[4:])
    assert resort(store) > 0


def test_one_region_only(store):
    one, *others = store.view().regions()
    assert resort(store, [one]) == 1
    view = store.view()
    assert view.catalog(one).is_sorted
    assert not any(view.catalog(r).is_sorted for r in others)


def test_busy_catalogs_only(store):
    before = by_object(store.view())
    assert compact_busy(store, at_least=5) == 0
    assert compact_busy(store, at_least=4) > 0
    assert by_object(store.view()) == before
    assert compact_busy(store, at_least=4) == 0
    assert check(store, deep=True).faults == []


def test_ingest_goes_on_after_compaction_as_without(tmp_path):
    images = make_images(3, 60, 8)
    found = []
    for compact_parts in (0, 2):
        path = make_database(tmp_path / str(compact_parts))
        with Store(path, writable=True) as store:
            add_images(store, images, batch_rows=1, compact_parts=compact_parts)
            assert check(store, deep=True).faults == []
            found.append(by_object(store.view()))
    assert found[0] == found[1]


def test_small_catalogs_share_their_files(store):
    before = by_object(store.view())
    resort(store)
    view = store.view()
    tables = (AVERAGE, SECFILT, MEASURE)
    paths = {p.path for r in view.regions() for t in tables for p in view.parts(t, r)}
    assert len(view.regions()) > 1
    assert len(paths) == len(tables)
    assert by_object(view) == before
    assert check(store, deep=True).faults == []


def sizes_of_images(store):
    return [p.n_rows for p in store.view().parts(IMAGE, ALL_SKY)]


def test_the_image_table_is_compacted_by_and_by(tmp_path):
    """Parts are few, in order, and no row is written again more often than halving allows."""
    images = make_images(1, 4, 40)
    written = 0
    with Store(make_database(tmp_path / "sky"), writable=True) as store:
        for image in images:
            before = store.view().parts(IMAGE, ALL_SKY)
            add_images(store, [image], compact_parts=4)
            now = store.view().parts(IMAGE, ALL_SKY)
            written += sum(p.n_rows for p in now if p.id not in {q.id for q in before})
        sizes = sizes_of_images(store)
        assert sum(sizes) == 40
        assert len(sizes) < 8
        assert written < 40 * 5
        table = store.view().read(IMAGE, ALL_SKY, ["image_id", "name"])
        assert table["image_id"].tolist() == list(range(1, 41))
        assert table["name"][16] == b"synth-0016"
        assert check(store, deep=True).faults == []


def test_resort_makes_the_image_table_one(store):
    assert sizes_of_images(store) == [1, 1, 1, 1]
    before = store.view().images
    resort(store)
    assert sizes_of_images(store) == [4]
    assert_same({"images": before.columns}, {"images": store.view().images.columns})
    rollback(store, 5)
    assert sizes_of_images(store) == [1, 1, 1, 1]
    assert check(store, deep=True).faults == []


def test_images_are_compacted_where_no_catalog_is(store):
    """Exposures of empty sky leave no measures, yet their rows."""
    newest = store.view().snapshot.id
    resort(store)
    empty = [InputImage(i.meta, i.detections.take(np.zeros(len(i.detections), bool)))
             for i in make_images(1, 60, 20, first=10)]  # fmt: skip
    for image in empty:
        add_images(store, [image], compact_parts=6)
    assert len(sizes_of_images(store)) <= 6
    assert store.view().snapshot.counts["images"] == 24
    assert check(store, deep=True).faults == []
    rollback(store, newest)
    assert sizes_of_images(store) == [1, 1, 1, 1]


def test_overlays_of_images_outlast_compaction(store):
    parts = store.view().parts(IMAGE, ALL_SKY)
    table = ColumnTable(IMAGE, {"mcal_psf": np.array([0.25], np.float32)})
    with store.begin("calibrate", {}) as change:
        change.overlay(IMAGE, [(parts[1], table)])
        change.commit()
    before = store.view().images["mcal_psf"]
    assert before[1] == 0.25
    compact_busy(store, at_least=2)
    assert sizes_of_images(store) == [4]
    np.testing.assert_array_equal(store.view().images["mcal_psf"], before)


def test_counts_of_parts_follow_what_is_added_and_taken(store):
    def counted():
        view = store.view()
        rows = view.catalogs(view.regions())
        for region, row in rows.items():
            sizes = [p.n_rows for p in view.parts(MEASURE, region) if p.kind == "rows"]
            assert (row.n_parts, row.n_largest) == (len(sizes), max(sizes))
        return max(row.n_parts for row in rows.values())

    assert counted() == 4
    rollback(store, 3)
    assert counted() == 2
    resort(store)
    assert counted() == 1
    add_images(store, make_images(1, 60, 8)[4:], batch_rows=1)
    assert counted() == 5
    add_images(store, make_images(2, 60, 5)[4:5], replace=True)
    counted()
    assert check(store, deep=True).faults == []
