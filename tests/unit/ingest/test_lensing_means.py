"""LensObj: means of Lensing for each object and filter, kept in step with every change."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import lensing_means
from dvo.tables.lensobj import LENSOBJ
from tests.synth import filled_database
from tests.synth_satellites import add_to_measures

MEANS = ("x11_sm_obj", "e2_sh_psf", "flux_ap_r5", "flux_fil_ap_r7")


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=5), writable=True) as found:
        yield found


def expected(view: View) -> dict[tuple[int, int, int], dict[str, float]]:
    """Means of every object and filter, row by row."""
    images = view.read(IMAGE, -1)
    band = {
        int(i): view.photcodes.get_code(int(c)).equiv
        for i, c in zip(images["image_id"], images["photcode"], strict=True)
    }
    rows: dict[tuple[int, int, int], list[dict[str, float]]] = {}
    for region in view.regions():
        table = view.read(LENSING, region)
        for k in range(len(table)):
            key = (table["cat_id"][k], table["obj_id"][k], band[int(table["image_id"][k])])
            row = {n: float(table[n][k]) for n in LENSING.names}
            rows.setdefault(tuple(int(v) for v in key), []).append(row)
    out = {}
    for key, some in rows.items():
        facts: dict[str, float] = {"nmeas": len(some)}
        for name in MEANS:
            facts[name] = np.mean([r[name] for r in some])
        flux = [r["flux_ap_r6"] for r in some]
        facts["flux_std_ap_r6"] = np.std(flux, ddof=1) if len(flux) > 1 else np.nan
        errors = [r["flux_err_ap_r6"] for r in some]
        facts["flux_err_ap_r6"] = np.sqrt(np.sum(np.square(errors))) / len(errors)
        out[key] = facts
    return out


def stored(view: View) -> dict[tuple[int, int, int], dict[str, float]]:
    out = {}
    for region in view.regions():
        table, average = view.read(LENSOBJ, region), view.read(AVERAGE, region)
        for k in range(len(table)):
            key = tuple(int(table[n][k]) for n in ("cat_id", "obj_id", "photcode"))
            assert key not in out
            out[key] = {n: float(table[n][k]) for n in LENSOBJ.names}
            own = int(table["ave_ref"][k])
            assert (average["cat_id"][own], average["obj_id"][own]) == key[:2]
        counts = np.bincount(table["ave_ref"], minlength=len(average))
        assert average["nlensobj"].tolist() == counts.tolist()
    return out


def assert_true(view: View) -> None:
    found, wanted = stored(view), expected(view)
    assert found.keys() == wanted.keys()
    assert wanted
    for key, facts in wanted.items():
        for name, value in facts.items():
            assert found[key][name] == pytest.approx(value, rel=1e-5, nan_ok=True), (key, name)


def test_means_are_true_after_every_commit(store):
    for images in ([1], [3, 4], [2], [5]):
        add_to_measures(store, LENSING, images)
        assert_true(store.view())
    resort(store)
    assert_true(store.view())


def test_means_go_on_in_a_sorted_catalog(store):
    add_to_measures(store, LENSING, [1, 2])
    resort(store)
    add_to_measures(store, LENSING, [3, 4, 5])
    assert_true(store.view())


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
