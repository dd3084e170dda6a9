"""Satellite rows go with their measures, images and objects, and means of Lensing follow."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.ids import pack_id
from dvo.ingest.satellite_removal import Gone
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.reshape.delete import delete_images
from dvo.reshape.filters import drop_filter
from dvo.reshape.photcodes import set_photcode
from dvo.reshape.sources import ImageChoice
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.missing import MISSING
from dvo.tables.satellites import SATELLITES, find_satellite
from dvo.tables.starpar import STARPAR
from tests.synth import add_images, filled_database, make_database, make_images
from tests.synth_satellites import (
    add_to_measures,
    assert_links,
    assert_means,
    rows_by_object,
    with_satellites,
)

GIVEN = (GALPHOT, LENSING, MISSING, STARPAR)


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=4), writable=True) as found:
        for schema in GIVEN:
            add_to_measures(found, schema, [1, 2, 3, 4])
        yield found


def facts(view, schema):
    """Image, object and values of every row."""
    out = []
    for region in view.regions():
        t = view.read(schema, region)
        image = t["image_id"] if "image_id" in schema else np.zeros(len(t), int)
        out += zip(image.tolist(), t["cat_id"].tolist(), t["obj_id"].tolist(), strict=True)
    return out


def objects(view):
    tables = [view.read(AVERAGE, r) for r in view.regions()]
    return {k for t in tables for k in zip(t["cat_id"].tolist(), t["obj_id"].tolist(), strict=True)}


def assert_sound(store):
    view = store.view()
    for satellite in SATELLITES:
        assert_links(view, satellite)
    assert_means(view)
    assert check(store, deep=True).faults == []


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_go_with_their_image_and_with_objects(store, compacted):
    if compacted:
        resort(store)
    before = {s.name: facts(store.view(), s) for s in GIVEN}
    delete_images(store, ImageChoice(names=("synth-0001", "synth-0002", "synth-0003")))
    view = store.view()
    left = objects(view)
    assert len(left) < len({row[1:] for row in before["StarPar"]})
    for schema in GIVEN:
        wanted = [r for r in before[schema.name] if r[0] in (0, 1) and r[1:] in left]
        assert sorted(facts(view, schema)) == sorted(wanted)
    assert_sound(store)
    resort(store)
    assert_sound(store)


def test_a_replaced_image_begins_without_rows(store):
    add_images(store, [make_images(9, 60, 2)[1]], replace=True)
    view = store.view()
    for schema in (GALPHOT, LENSING, MISSING):
        assert {row[0] for row in facts(view, schema)} == {1, 3, 4}
    assert_sound(store)


def test_rows_of_an_image_without_measures_there_are_found(tmp_path):
    """Missing says of objects that their image has no measure of them."""
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as store:
        add_to_measures(store, MISSING, [1])
        view = store.view()
        region = view.regions()[0]
        table = view.read(MISSING, region)
        table["image_id"] = np.full(len(table), 3, np.uint32)
        rows = rows_by_object(view, MISSING)
        with store.begin("test", {}) as change:
            change.put_catalog(region, [table], level="fast")
            change.commit()
        delete_images(store, ImageChoice(names=("synth-0002",)))
        assert len(rows_by_object(store.view(), MISSING)) <= len(rows) - len(table)


def test_single_measures_take_their_rows_along():
    ids = np.array([1, 1, 2, 0], np.uint32)
    dets = np.array([5, 6, 5, 5], np.uint32)
    none, nobody = np.zeros(0, np.bool_), np.zeros(0, np.uint64)
    gone = Gone(none, np.atleast_1d(pack_id(1, 5)))
    table = ColumnTable(GALPHOT, {"image_id": ids, "det_id": dets})
    assert gone.rows(find_satellite("GalPhot"), table).tolist() == [True, False, False, False]
    table = ColumnTable(MISSING, {"image_id": ids})
    assert not gone.rows(find_satellite("Missing"), table).any()
    whole = Gone(none, nobody, ids[:1])
    assert whole.rows(find_satellite("Missing"), table).tolist() == [True, True, False, False]
    assert (
        not Gone(none, nobody, ids)
        .rows(find_satellite("StarPar"), ColumnTable(STARPAR, {}, 4))
        .any()
    )


@pytest.mark.parametrize("compacted", [False, True])
def test_means_of_lensing_go_with_their_filter(store, compacted):
    if compacted:
        resort(store)
    before = store.view()
    codes = {p.name: p.code for p in before.photcodes}
    rows = [r for r in before.regions() if before.n_rows(LENSOBJ, r)]
    wanted = sum(int((before.read(LENSOBJ, r)["photcode"] == codes["r"]).sum()) for r in rows)
    drop_filter(store, "g")
    view = store.view()
    tables = [view.read(LENSOBJ, r) for r in rows]
    assert {int(c) for t in tables for c in t["photcode"]} == {codes["r"]}
    assert sum(len(t) for t in tables) == wanted
    assert_sound(store)
    resort(store)
    assert_sound(store)


def test_rows_come_in_the_change_that_takes_others_out(tmp_path):
    """An image with lensing terms is replaced where LensObj has many patches."""
    images = [with_satellites(image, k) for k, image in enumerate(make_images(3, 16, 20))]
    with Store(make_database(tmp_path / "sky"), writable=True) as store:
        add_images(store, images, batch_rows=1)
        view = store.view()
        parts = [[p.kind for p in view.parts(LENSOBJ, r)] for r in view.regions()]
        add_images(store, [with_satellites(make_images(4, 16, 3)[2], 30)], replace=True)
        assert max(k.count("patch") for k in parts) >= 2
        assert_sound(store)


@pytest.mark.parametrize("primary", ["r", "-"])
def test_means_are_in_the_filter_that_images_belong_to_now(store, primary):
    set_photcode(store, "SYNTH.g.C00", {"primary": primary})
    view = store.view()
    code = {p.name: p.code for p in view.photcodes}["r"]
    tables = [view.read(LENSOBJ, r) for r in view.regions()]
    assert {int(c) for t in tables for c in t["photcode"]} == {code}
    assert_sound(store)
