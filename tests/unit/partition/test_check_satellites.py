"""What a deep check finds of satellite tables: every fault planted is named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.faults import FaultKind
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.missing import MISSING
from dvo.tables.starpar import STARPAR
from tests.synth import filled_database
from tests.synth_satellites import add_to_measures


@pytest.fixture(scope="module", params=["loose", "sorted"])
def sound(tmp_path_factory, request):
    """A database with satellite tables and without faults; tests spoil copies of it."""
    path = filled_database(tmp_path_factory.mktemp("sound") / "sky", n_images=4)
    with Store(path, writable=True) as store:
        for schema in (GALPHOT, LENSING, STARPAR):
            add_to_measures(store, schema, [1, 2, 3])
        if request.param == "sorted":
            resort(store)
        assert check(store, deep=True).faults == []
    return path


@pytest.fixture
def store(tmp_path, sound):
    with Store(shutil.copytree(sound, tmp_path / "sky"), writable=True) as found:
        yield found


def spoil(store, schema, change_table):
    """Write a table of one region as it is after a change."""
    view = store.view()
    region = max(view.regions(), key=lambda r: view.catalog(r).n_measure)
    table = view.read(schema, region, schema.stored_names)
    copy = ColumnTable(schema, {n: v.copy() for n, v in table.columns.items()}, len(table))
    spoilt = change_table(copy)
    with store.begin("spoil", {}) as change:
        change.put_catalog(region, [copy if spoilt is None else spoilt], level="fast")
        change.set_catalogs([view.catalog(region)])
        change.commit()


def set_value(name, value, row=3):
    def change_table(table):
        column = table[name]
        column[row] = value
        table[name] = column

    return change_table


@pytest.mark.parametrize(
    ("schema", "change_table", "kind", "words"),
    [
        (GALPHOT, set_value("ave_ref", 5000), FaultKind.SATELLITE, "ave_ref 5000: no such object"),
        (GALPHOT, set_value("obj_id", 5000), FaultKind.SATELLITE, "obj_id 5000, but its object"),
        (STARPAR, set_value("cat_id", 7), FaultKind.SATELLITE, "cat_id 7, but its object has"),
        (LENSING, set_value("image_id", 99), FaultKind.SATELLITE, "image_id 99 is no image"),
        (GALPHOT, set_value("photcode", 1), FaultKind.SATELLITE, "photcode 1, but its image"),
        (AVERAGE, set_value("ngalphot", 9), FaultKind.SATELLITE_LINK, "ngalphot 9, but"),
        (AVERAGE, set_value("nmissing", 1), FaultKind.SATELLITE_LINK, "nmissing 1, but 0 rows"),
        (LENSOBJ, set_value("flux_ap_r5", 77), FaultKind.LENSING_MEAN, "flux_ap_r5 77.0 is not"),
        (LENSOBJ, set_value("x11_sm_obj", np.nan), FaultKind.LENSING_MEAN, "x11_sm_obj nan is not"),
        (LENSOBJ, set_value("nmeas", 9), FaultKind.LENSING_MEAN, "nmeas 9 is not"),
        (LENSOBJ, set_value("photcode", 9), FaultKind.LENSING_MEAN, "in filter 9"),
        (LENSOBJ, lambda t: t.take(np.arange(len(t)) > 0), FaultKind.LENSING_MEAN, "no means in"),
        (
            GALPHOT,
            lambda t: t.take(np.append(np.arange(len(t)), 0)),
            FaultKind.SATELLITE_REPEAT,
            "of its object is there twice",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else getattr(v, "name", ""),
)
def test_faults_of_rows_are_named(store, schema, change_table, kind, words):
    spoil(store, schema, change_table)
    assert check(store).ok
    found = check(store, deep=True).faults
    assert [f for f in found if f.kind is kind and words in f.message]
    assert all(f.table in (schema.name, "Average", "Lensing", "LensObj") for f in found)


@pytest.mark.parametrize("own", [True, False])
def test_links_of_sorted_catalogs(tmp_path, own):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as store:
        add_to_measures(store, LENSING, [1, 2, 3])
        resort(store)
        if own:
            spoil(store, AVERAGE, set_value("off_lensing", 0))
            words = "off_lensing 0 is not where its rows begin"
        else:
            spoil(store, LENSING, lambda t: t.take(np.arange(len(t))[::-1]))
            words = "out of the order of objects"
        found = [f for f in check(store, deep=True).faults if words in f.message]
        assert [f.kind for f in found] == [FaultKind.SATELLITE_LINK]


def test_patches_beyond_the_rows_are_found(store):
    view = store.view()
    region = view.regions()[0]
    patch = ColumnTable(LENSOBJ, {"nmeas": np.array([1], np.uint32)})
    with store.begin("spoil", {}) as change:
        change.patch_rows(np.array([10**6]), patch, [region], np.array([0, 1]), label="s")
        change.commit()
    found = check(store, deep=True).faults
    assert any("patch of row 1000000" in f.message and f.kind is FaultKind.PARTS for f in found)


def test_what_is_missing_is_of_images(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as store:
        add_to_measures(store, MISSING, [2])
        assert check(store, deep=True).faults == []
        spoil(store, MISSING, set_value("image_id", 50))
        assert any("image_id 50" in f.message for f in check(store, deep=True).faults)
