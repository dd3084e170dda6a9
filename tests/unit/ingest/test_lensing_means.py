"""LensObj: means of Lensing for each object and filter, kept in step with every change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import joined_means, lensing_means
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


def terms(tensor: str, *values: float) -> dict[str, list[float]]:
    """The five terms of a tensor, all the same."""
    return {f"{t}_{tensor}": list(values) for t in ("x11", "x12", "x22", "e1", "e2")}


def test_a_tensor_counts_where_all_of_its_terms_are_known():
    table = lensing(**(terms("sm_obj", 1, 2, 4) | terms("sh_psf", 5, 5, 8)))
    table["e1_sm_obj"] = np.array([1, np.nan, 4], np.float32)
    table["x22_sh_psf"] = np.array([np.nan, np.inf, np.nan], np.float32)
    found, of = lensing_means(table, np.array([2, 2, 2]), np.array([1, 1, 1], np.uint16))
    assert of.tolist() == [2]
    assert found["x11_sm_obj"].tolist() == [2.5]
    assert np.isnan(found["x11_sh_psf"]).all()
    counts = [int(found[n][0]) for n in ("n_sm_obj", "n_sh_psf", "n_sm_psf", "nmeas")]
    assert counts == [2, 0, 0, 2]


def test_a_flux_counts_where_it_is_known():
    table = lensing(
        flux_ap_r5=[2, np.nan, 4, np.inf], flux_err_ap_r5=[3, np.nan, 4, 1],
        flux_fil_ap_r5=[1, 1, np.nan, 1], flux_ap_r6=[np.nan, 7, np.nan, np.nan],
    )  # fmt: skip
    found, _ = lensing_means(table, np.zeros(4, int), np.ones(4, np.uint16))
    assert found["flux_ap_r5"].tolist() == [3]
    assert found["flux_err_ap_r5"].tolist() == [2.5]
    assert found["flux_std_ap_r5"].tolist() == [np.float32(np.sqrt(2))]
    assert np.isnan(found["flux_fil_ap_r5"]).all()  # of one flux that counts it is not known
    assert found["flux_ap_r6"].tolist() == [7]
    assert np.isnan(found["flux_std_ap_r6"]).all()
    counts = [int(found[n][0]) for n in ("n_ap_r5", "n_ap_r6", "n_ap_r7", "nmeas")]
    assert counts == [2, 1, 0, 3]


@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), cut=st.integers(0, 12))
def test_means_of_parts_join_to_those_of_the_whole(seed: int, n: int, cut: int):
    rng = np.random.default_rng(seed)
    names = [c.name for c in LENSING.columns if c.dtype == "f4"]
    columns = {m: rng.normal(5, 2, n).astype(np.float32) for m in names}
    for values in columns.values():
        values[rng.random(n) < 0.1] = np.nan
    table, cut = lensing(**columns), min(cut, n)
    ones = np.ones(n, np.uint16)
    whole, _ = lensing_means(table, np.zeros(n, int), ones)
    parts = [
        lensing_means(table.take(slice(a, b)), np.zeros(b - a, int), ones[a:b])[0]
        for a, b in ((0, cut), (cut, n))
    ]
    if not all(len(part) for part in parts):
        return
    joined = joined_means(*parts)
    assert set(joined) == set(whole)
    for name in whole:
        np.testing.assert_allclose(joined[name], whole[name], rtol=2e-5, atol=1e-5, err_msg=name)


def test_many_commits_leave_few_patches_and_true_means(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=24), writable=True) as store:
        most = 0
        for image in range(1, 25):
            add_to_measures(store, LENSING, [image])
            view = store.view()
            kinds = [[p.kind for p in view.parts(LENSOBJ, r)] for r in view.regions()]
            most = max(most, *(k.count("patch") for k in kinds))
        assert 4 < most <= 8
        assert_means(store.view())
        assert check(store, deep=True).faults == []


def test_objects_and_filters_are_kept_apart_in_any_order():
    table = lensing(**terms("sm_obj", 1, 2, 3, 4, 5))
    objects, filters = np.array([7, 3, 7, 3, 3]), np.array([2, 1, 1, 1, 0], np.uint16)
    found, of = lensing_means(table, objects, filters)
    assert list(zip(of.tolist(), found["photcode"].tolist(), strict=True)) == [
        (3, 1), (7, 1), (7, 2)
    ]  # fmt: skip
    assert found["e1_sm_obj"].tolist() == [3, 3, 1]


def test_nothing_gives_nothing():
    found, of = lensing_means(ColumnTable(LENSING, {}, 0), np.empty(0, int), np.empty(0, "u2"))
    assert len(found) == len(of) == 0
