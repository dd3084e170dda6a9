"""Satellite tables in the store: appended, read, compacted, linked to their objects."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.errors import SchemaError, StorageError
from dvo.ingest.satellite_rows import add_satellites
from dvo.partition.compact import resort
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.starpar import STARPAR
from tests.synth import add_images, filled_database, make_images
from tests.synth_satellites import add_to_measures, assert_links, rows_by_object


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


def test_every_satellite_table_is_linked_by_columns_of_average():
    for satellite in SATELLITES:
        assert {satellite.count, satellite.offset} <= set(AVERAGE.names)
        assert {"ave_ref", "obj_id", "cat_id", *satellite.key} <= set(satellite.schema.names)
    assert len({s.schema.suffix for s in SATELLITES}) == len(SATELLITES)


GIVEN = [s for s in SATELLITES if s.schema is not LENSOBJ]  # which is made of Lensing


@pytest.mark.parametrize("satellite", GIVEN, ids=lambda s: s.schema.name)
def test_rows_of_two_commits_come_back_after_one_another(store, satellite):
    schema = satellite.schema
    first = add_to_measures(store, schema, images=[1])
    second = add_to_measures(store, schema, images=[2])
    view = store.view()
    assert rows_by_object(view, schema) == first | second
    regions = view.regions()
    many, edges = view.read_many(schema, regions, schema.stored_names)
    for region, start, stop in zip(regions, edges[:-1], edges[1:], strict=True):
        one = view.read(schema, region)
        assert view.n_rows(schema, region) == len(one) == stop - start
        for name in schema.stored_names:
            np.testing.assert_array_equal(one[name], many[name][start:stop])


@pytest.mark.parametrize("satellite", GIVEN, ids=lambda s: s.schema.name)
@pytest.mark.parametrize("own_file_rows", [1, 10_000])
def test_compaction_sorts_by_object_and_renews_links(store, satellite, own_file_rows):
    expected = add_to_measures(store, satellite.schema, images=[1])
    resort(store, own_file_rows=own_file_rows)
    assert_links(store.view(), satellite)
    expected |= add_to_measures(store, satellite.schema, images=[2, 3])
    assert_links(store.view(), satellite)
    assert not all(store.view().catalog(r).is_sorted for r in store.view().regions())
    resort(store, own_file_rows=own_file_rows)
    view = store.view()
    assert_links(view, satellite)
    assert rows_by_object(view, satellite.schema) == expected
    for region in view.regions():
        assert len(view.parts(satellite.schema, region)) <= 1
        assert (np.diff(view.read(satellite.schema, region)["ave_ref"].astype(int)) >= 0).all()
    assert resort(store) == 0


def test_links_are_true_when_objects_come_after_them(store):
    add_to_measures(store, GALPHOT, images=[1])
    add_images(store, make_images(1, 60, 5)[3:], compact_parts=2)
    galphot = next(s for s in SATELLITES if s.schema is GALPHOT)
    assert_links(store.view(), galphot)


def test_rollback_takes_them_back(store):
    newest = store.view().snapshot.id
    add_to_measures(store, STARPAR, images=[1])
    rollback(store, newest)
    view = store.view()
    assert rows_by_object(view, STARPAR) == {}
    assert all((view.read(AVERAGE, r)["nstarpar"] == 0).all() for r in view.regions())


@pytest.mark.parametrize(
    ("schema", "words"),
    [(MEASURE, "Measure is no satellite table"), (LENSOBJ, "LensObj is made of Lensing")],
)
def test_other_tables_are_refused(store, schema, words):
    with store.begin("test", {}) as change, pytest.raises(SchemaError, match=words):
        add_satellites(change, store.view(), ColumnTable(schema, {}, 0), [], np.array([0]))


def test_compaction_refuses_rows_of_no_object(store):
    view = store.view()
    region = view.regions()[0]
    columns = {n: np.array([v], np.uint32) for n, v in (("obj_id", 10**6), ("cat_id", region))}
    with store.begin("test", {}) as change:
        change.add_rows(ColumnTable(STARPAR, columns), [region], np.array([0, 1]))
        change.commit()
    with pytest.raises(StorageError, match="object 1000000"):
        resort(store)
