"""Views: tables put together from rows, patches and overlays; old snapshots stay."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.errors import QueryError, StorageError, UnknownSnapshotError
from dvo.partition.bounds import Box, Cone
from dvo.partition.history import vacuum
from dvo.partition.manifest import Reach
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, assert_same, contents, filled_database, make_images


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


def test_tables_have_the_lengths_that_are_counted(store):
    view = store.view()
    for region in view.regions():
        row = view.catalog(region)
        assert len(view.read(AVERAGE, region)) == view.n_rows(AVERAGE, region) == row.n_average
        assert len(view.read(SECFILT, region)) == 2 * row.n_average
        assert len(view.read(MEASURE, region, ["mag"])) == row.n_measure


def test_counts_as_columns_are_those_of_the_catalogs(store, monkeypatch):
    view = store.view()
    every = view.counts()
    assert every.regions.tolist() == view.regions()
    rows = [view.catalog(r) for r in view.regions()]
    assert every.n_average.tolist() == [row.n_average for row in rows]
    assert every.n_measure.tolist() == [row.n_measure for row in rows]
    ra, dec = view.sky.bounds(every.regions[:1])[0, [0, 2]].tolist()
    whole = Box(0.0, 360.0, -90.0, 90.0)
    areas = [[Cone(ra, dec, 0.01)], [Cone(ra + 180.0, -dec, 1.0)], [whole, Cone(ra, dec, 0.5)]]
    few = [view.counts(found) for found in areas]
    assert [len(found) for found in few][1] == 0
    assert 0 < len(few[0]) <= len(few[2]) <= len(every)
    monkeypatch.setattr("dvo.partition.view._FEW_REGIONS", 0)
    for one, two in zip(few, map(view.counts, areas), strict=True):
        for name in ("regions", "n_average", "n_measure"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_sizes_of_parts_are_those_of_the_parts(store):
    view = store.view()
    for regions in (view.regions(), view.regions()[:2], []):
        parts = view.part_table(regions)
        for schema in (AVERAGE, MEASURE):
            own = parts.take(parts.are(table=schema.name))
            files = {own.rows_of_files[f] for f in own.files.tolist()}
            found = view.part_sizes(schema, regions)
            assert (found.n_parts, found.n_rows) == (len(own), own.sizes.sum())
            assert (found.n_files, found.n_bytes) == (len(files), sum(f.n_bytes for f in files))


def test_columns_that_nobody_stored_are_null(store):
    view = store.view()
    table = view.read(MEASURE, view.regions()[0])
    assert np.isnan(table["flux_psf"]).all()
    assert (table["psf_npix"] == -1).all()
    assert not np.isnan(table["mag"]).any()


def test_an_old_view_does_not_change(store):
    old = store.view()
    before = contents(old)
    add_images(store, make_images(1, 60, 5))
    again = store.view(old.snapshot.id)
    assert_same(contents(again), before)
    assert_same(contents(old), before)
    assert store.view().snapshot.counts["images"] == 5


def put(store, patches, overlays):
    """One commit: a patch of Average rows, or an overlay of Measure.mag."""
    with store.begin("test", {}) as change:
        for region, rows, columns in patches:
            table = ColumnTable(AVERAGE, columns, len(rows))
            change.patch_rows(np.array(rows), table, [region], np.array([0, len(rows)]))
        if overlays:
            change.overlay(MEASURE, overlays)
        change.commit()


def test_the_newest_patch_of_a_row_counts(store):
    region = store.view().regions()[0]
    before = store.view().read(AVERAGE, region)
    put(store, [(region, [0, 2], {"flags": np.array([7, 8], np.uint32)})], [])
    put(store, [(region, [2], {"flags": np.array([9], np.uint32)})], [])
    after = store.view().read(AVERAGE, region)
    assert after["flags"][[0, 1, 2]].tolist() == [7, 0, 9]
    np.testing.assert_array_equal(after["ra"], before["ra"])


def test_overlays_change_columns_of_one_part(store):
    view = store.view()
    region = max(view.regions(), key=lambda r: view.catalog(r).n_measure)
    parts = [p for p in view.parts(MEASURE, region) if p.kind == "rows"]
    assert len(parts) > 1
    before = view.read(MEASURE, region, ["m_cal", "mag"])
    values = np.full(parts[1].n_rows, 0.25, np.float32)
    for factor in (1, 2):
        put(store, [], [(parts[1], ColumnTable(MEASURE, {"m_cal": values * factor}))])
    after = store.view().read(MEASURE, region, ["m_cal", "mag"])
    expected = before["m_cal"].copy()
    expected[parts[0].n_rows : parts[0].n_rows + parts[1].n_rows] = 0.5
    np.testing.assert_array_equal(after["m_cal"], expected)
    np.testing.assert_array_equal(after["mag"], before["mag"])


def test_overlays_and_patches_apply_in_order(store):
    region = store.view().regions()[0]
    view = store.view()
    n = view.catalog(region).n_average
    with store.begin("test", {}) as change:
        change.put_catalog(region, [view.read(AVERAGE, region)], level="fast")
        change.commit()
    (part,) = store.view().parts(AVERAGE, region)
    put(store, [(region, [0], {"flags": np.array([5], np.uint32)})], [])
    with store.begin("test", {}) as change:
        table = ColumnTable(AVERAGE, {"flags": np.full(n, 6, np.uint32)})
        change.overlay(AVERAGE, [(part, table)])
        change.commit()
    put(store, [(region, [1], {"flags": np.array([7], np.uint32)})], [])
    found = store.view().read(AVERAGE, region, ["flags"])["flags"]
    assert found.tolist() == [6, 7] + [6] * (n - 2)


@pytest.mark.parametrize("area", [Cone(112.5, 15.0, 0.1), Box(112.4, 112.6, 14.9, 15.05)])
@pytest.mark.parametrize("schema", [AVERAGE, MEASURE], ids=lambda s: s.name)
def test_areas_give_the_rows_inside(store, area, schema):
    view = store.view()
    found, expected = [], []
    for region in view.regions():
        table = view.read(schema, region, ["ra", "dec", "obj_id"])
        keep = area.holds(table["ra"], table["dec"])
        expected += [(region, i) for i in table["obj_id"][keep].tolist()]
    for region in view.regions(area):
        table = view.read_area(schema, region, ["obj_id"], area)
        found += [(region, i) for i in table["obj_id"].tolist()]
    assert found == expected
    assert found


def test_a_view_notices_that_it_was_vacuumed_away(store):
    (store.catdir / "pins").unlink()  # nothing holds a vacuum back then
    with Store(store.catdir) as reader:
        view = reader.view(2)
        region = reader.view().regions()[0]
        assert vacuum(store, 1).forgotten == [1, 2, 3]
        with pytest.raises(UnknownSnapshotError, match="vacuumed away"):
            view.read(AVERAGE, region)
        assert len(reader.view().read(AVERAGE, region)) > 0


def test_a_file_that_is_gone_is_named(store):
    view = store.view()
    region = view.regions()[0]
    path = view.parts(MEASURE, region)[0].path
    (store.catdir / path).unlink()
    with pytest.raises(StorageError, match=rf"{path}: is gone.*dvo check"):
        view.read(MEASURE, region)


def test_how_far_rows_reach_belongs_to_the_snapshot(store):
    """A view that is open keeps its own bounds, a new one has those of its rows."""
    with Store(store.catdir) as reader:
        old = reader.view()
        with store.begin("test", {}) as change:
            change.widen(Reach(0.125, 2.0, 1e9, 1.1e9))
            change.commit()
        assert reader.view().pad_deg == 0.125
        year = 31557600.0
        far = np.array([1.1e9 + 10 * year])
        assert reader.view().motion_pad_deg(far) > 20 / 3600
        assert reader.view().motion_pad_deg(far[:0]) == 0.0
        for view in (old, reader.view(old.snapshot.id)):
            assert view.pad_deg < 0.125
            assert view.motion_pad_deg(far) == 0.0


def test_many_regions_read_at_once_are_as_one_by_one(store):
    """Rows, patches and overlays of several commits; with and without regions left out."""
    view = store.view()
    first, *others = view.regions()
    part = next(p for p in view.parts(MEASURE, first) if p.kind == "rows")
    put(store, [(first, [0], {"flags": np.array([5], np.uint32)})], [])
    table = ColumnTable(MEASURE, {"m_cal": np.full(part.n_rows, 0.5, np.float32)})
    put(store, [], [(part, table)])
    with store.begin("test", {}) as change:
        change.put_catalog(others[0], [store.view().read(AVERAGE, others[0])], level="fast")
        change.commit()
    put(store, [(others[0], [1], {"flags": np.array([7], np.uint32)})], [])
    view = store.view()
    empty = max(view.regions()) + 1
    for regions in ([first, *others], [others[0]], [first, others[-1], empty], []):
        for schema in (AVERAGE, SECFILT, MEASURE):
            found, edges = view.read_many(schema, regions, schema.stored_names)
            assert len(edges) == len(regions) + 1
            for k, region in enumerate(regions):
                expected = view.read(schema, region, schema.stored_names)
                assert edges[k + 1] - edges[k] == len(expected)
                for name in schema.stored_names:
                    np.testing.assert_array_equal(
                        found[name][edges[k] : edges[k + 1]], expected[name], err_msg=name
                    )


def test_what_is_foreseen_is_what_is_found(store):
    regions = store.view().regions()
    one, many = store.view(), store.view()
    many.foresee([*regions[1:], 10**6])
    for region in [*regions, 10**6]:
        assert many.catalog(region) == one.catalog(region)
        for schema in (AVERAGE, SECFILT, MEASURE):
            assert many.parts(schema, region) == one.parts(schema, region)


@pytest.mark.parametrize(
    ("box", "same"),
    [
        ((-10.0, 10.0, -1.0, 1.0), (350.0, 10.0, -1.0, 1.0)),
        ((350.0, 370.0, -1.0, 1.0), (350.0, 10.0, -1.0, 1.0)),
        ((-180.0, 180.0, -1.0, 1.0), (0.0, 360.0, -1.0, 1.0)),
        ((370.0, 380.0, -1.0, 1.0), (10.0, 20.0, -1.0, 1.0)),
    ],
)
def test_right_ascensions_of_a_box_go_round(box, same):
    """As those of a cone do: -10 is 350."""
    assert Box(*box) == Box(*same)


def test_a_box_without_numbers():
    with pytest.raises(QueryError, match="right ascension nan is not a number"):
        Box(float("nan"), 1.0, 0.0, 1.0)
