"""LensObj: means of Lensing for each object and filter, kept in step with every change."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import lensing_means
from dvo.tables.lensobj import LENSOBJ
from tests.synth import filled_database
from tests.synth_satellites import add_to_measures, assert_means


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=5), writable=True) as found:
        yield found


def test_means_are_true_after_every_commit(store):
    for images in ([1], [3, 4], [2], [5]):
        add_to_measures(store, LENSING, images)
        assert_means(store.view())
    resort(store)
    assert_means(store.view())


def test_means_go_on_in_a_sorted_catalog(store):
    add_to_measures(store, LENSING, [1, 2])
    resort(store)
    add_to_measures(store, LENSING, [3, 4, 5])
    assert_means(store.view())


def test_only_what_is_touched_is_written(store):
    add_to_measures(store, LENSING, [1])
    n_before = sum(len(store.view().read(LENSOBJ, r)) for r in store.view().regions())
    add_to_measures(store, LENSING, [2])  # of the other filter
    view = store.view()
    parts = [p for r in view.regions() for p in view.parts(LENSOBJ, r)]
    assert {p.kind for p in parts} == {"rows"}
    assert sum(p.n_rows for p in parts) > n_before


def lensing(**columns: list[float]) -> ColumnTable:
    n = len(next(iter(columns.values())))
    arrays = {k: np.array(v, np.float32) for k, v in columns.items()}
    ids = np.arange(n, dtype=np.uint32)
    return ColumnTable(LENSING, arrays | {"image_id": ids + 1, "det_id": ids})


def test_unknown_values_count_in_their_column_only():
    table = lensing(x11_sm_obj=[1, np.nan, 4], flux_ap_r5=[np.nan, np.nan, 7])
    found, of = lensing_means(table, np.array([2, 2, 2]), np.array([1, 1, 1], np.uint16))
    assert of.tolist() == [2]
    assert found["x11_sm_obj"].tolist() == [2.5]
    assert found["flux_ap_r5"].tolist() == [7]
    assert np.isnan(found["flux_std_ap_r5"]).all()
    assert np.isnan(found["flux_ap_r6"]).all()
    assert found["nmeas"].tolist() == [2]  # one of the three says nothing


def test_infinite_values_are_unknown():
    found, _ = lensing_means(lensing(e1_sm_obj=[np.inf, 2]), np.zeros(2, int), np.ones(2, "u2"))
    assert found["e1_sm_obj"].tolist() == [2]


def test_objects_and_filters_are_kept_apart_in_any_order():
    table = lensing(e1_sm_obj=[1, 2, 3, 4, 5])
    objects, filters = np.array([7, 3, 7, 3, 3]), np.array([2, 1, 1, 1, 0], np.uint16)
    found, of = lensing_means(table, objects, filters)
    assert list(zip(of.tolist(), found["photcode"].tolist(), strict=True)) == [
        (3, 1), (7, 1), (7, 2)
    ]  # fmt: skip
    assert found["e1_sm_obj"].tolist() == [3, 3, 1]


def test_nothing_gives_nothing():
    found, of = lensing_means(ColumnTable(LENSING, {}, 0), np.empty(0, int), np.empty(0, "u2"))
    assert len(found) == len(of) == 0
