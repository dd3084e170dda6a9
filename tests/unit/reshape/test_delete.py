"""Deleting measures, parts of the sky and catalogs: as if they had never been."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import QueryError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import BandColumns, InputImage
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.merge.selection import Selection
from dvo.partition.bounds import Box, Cone
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.reshape.delete import delete_catalogs, delete_images, delete_measures, delete_region
from dvo.reshape.sources import ImageChoice, choose_images, image_names
from dvo.tables.average import AVERAGE
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests import synth
from tests.synth_objects import J2000, YEAR, add, compact, database, exposure, objects, survey
from tests.synth_satellites import add_to_measures, rows_by_object

Facts = dict[frozenset[tuple[str, int]], dict[str, Any]]


def facts(path: Path) -> Facts:
    with Store(path) as store:
        found = check(store, deep=True)
        assert found.faults == []
        return objects(store.view())


def assert_same_facts(found: Facts, wanted: Facts) -> None:
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        for name, value in values.items():
            np.testing.assert_array_equal(found[key][name], value, err_msg=f"{name} of {key}")


def exposures(n: int = 5) -> list[InputImage]:
    stars = synth.make_stars(np.random.default_rng(5), 60)
    return [exposure(stars, k) for k in range(n)]


@pytest.mark.parametrize("compacted", [False, True], ids=["loose", "sorted"])
def test_measures_of_a_photcode_leave_no_trace(tmp_path: Path, compacted: bool) -> None:
    """Means are those of a database that never had them, to the bit; images stay."""
    images, tidy = exposures(), [compact] if compacted else []
    path = database(tmp_path / "sky", [add(*images), *tidy])
    with Store(path, writable=True) as store:
        code = store.view().photcodes.get("SYNTH.r.C00").code
        would = delete_measures(store, Selection(photcodes=(code,)), dry_run=True)
        before = store.view().snapshot
        assert would.snapshot == before.id
        done = delete_measures(store, Selection(photcodes=(code,)))
        assert (done.n_measures, done.n_objects) == (would.n_measures, would.n_objects)
        after = store.view().snapshot
        assert before.counts["measures"] - after.counts["measures"] == done.n_measures
        assert before.counts["objects"] - after.counts["objects"] == done.n_objects
        assert before.counts["images"] == after.counts["images"] == len(images)
        nstar = dict(zip(*(store.view().images[c].tolist() for c in ("name", "nstar")),
                         strict=True))  # fmt: skip
        assert [nstar[i.meta.name.encode()] for i in images[1::2]] == [0, 0]
    assert_same_facts(facts(path), facts(database(tmp_path / "one", [add(*images[::2])])))


def test_what_was_deleted_comes_back_by_rollback_alone(tmp_path: Path) -> None:
    images = exposures(3)
    path = database(tmp_path / "sky", [add(*images)])
    with Store(path, writable=True) as store:
        before, wanted = store.view().snapshot.id, synth.contents(store.view())
        name = images[1].meta.name
        delete_measures(store, Selection(images=(2,)))
        n = store.view().snapshot.counts["measures"]
        # The image is known, with its content: its measures do not come again.
        addstar(store, [partial(synth._copies, images[1])], AddstarOptions(compact_parts=0))
        assert store.view().snapshot.counts["measures"] == n
        rollback(store, before)
        synth.assert_same(synth.contents(store.view()), wanted)
        delete_images(store, ImageChoice((name,)))
        addstar(store, [partial(synth._copies, images[1])], AddstarOptions(compact_parts=0))
        assert store.view().snapshot.counts["measures"] == sum(len(i.detections) for i in images)
        assert check(store, deep=True).faults == []


@pytest.mark.parametrize("field", ["middle", "pole", "wrap", "edge"])
@pytest.mark.parametrize("level", [1, 4])
def test_a_part_of_the_sky(tmp_path: Path, field: str, level: int) -> None:
    path = synth.make_database(tmp_path / "sky", level)
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(3, 60, 3, field))
    before = facts(path)
    area = Cone(*synth.FIELDS[field], 0.15)
    with Store(path, writable=True) as store:
        done = delete_region(store, area)
    after = facts(path)
    stays = {
        key: f for key, f in before.items()
        if not area.holds(np.array([f["ra"]]), np.array([f["dec"]]))[0]
    }  # fmt: skip
    assert_same_facts(after, stays)
    assert 0 < done.n_objects == len(before) - len(stays) < len(before)
    assert done.n_measures == sum(map(len, before)) - sum(map(len, stays))


@pytest.mark.parametrize(
    "motions",
    [(0.5, 0.7), *(pytest.param(m, marks=pytest.mark.slow) for m in ((1.0, 1.0), (0.0, 0.6)))],
)
@pytest.mark.parametrize("match_mjd", [None, J2000 + 15 * YEAR], ids=["own epoch", "2015"])
def test_a_catalog_leaves_no_trace(tmp_path: Path, motions, match_mjd) -> None:
    """Motions that it gave are those of the next catalog, or gone; it can be added again."""
    stars = synth.make_stars(np.random.default_rng(5), 60)
    faint = survey(stars, "one", 1991.25, 1, motions[0])
    exact = survey(stars, "two", 2016.0, 2, motions[1])
    first, *rest = exposures(4)
    epoch = {"match_epoch_mjd": match_mjd}
    steps = [add(first), add(faint, **epoch), *(add(i) for i in rest[:1]), add(exact, **epoch),
             *(add(i) for i in rest[1:])]  # fmt: skip
    path = database(tmp_path / "sky", steps)
    never = database(tmp_path / "never", [*steps[:1], *steps[2:]])
    with Store(path, writable=True) as store:
        assert delete_catalogs(store, ["one"], dry_run=True).n_measures == len(stars)
        done = delete_catalogs(store, ["one"])
        assert done.names == ["CAT.V:one"]
        assert [c.identity for c in store.view().reference_catalogs()] == ["ref:CAT.V:two"]
    assert_same_facts(facts(path), facts(never))
    for place in (path, never):
        with Store(place, writable=True) as store:
            add(faint, **epoch)(store)
    assert_same_facts(facts(path), facts(never))


def test_all_bands_of_a_catalog_go(tmp_path: Path) -> None:
    stars = synth.make_stars(np.random.default_rng(5), 60)
    bands = survey(stars, "bands", 2000.0, 3, 0.0)
    columns = bands.detections.columns
    mag = {"mag": columns.pop("mag")}
    every = np.ones(len(stars), np.bool_)
    bands.detections.bands = [BandColumns(f"CAT.{b}", every, dict(mag)) for b in "VJ"]
    images = exposures(2)
    path = database(tmp_path / "sky", [add(*images)])
    before = facts(path)
    with Store(path, writable=True) as store:
        table = store.view().photcodes.add("CAT.J", PhotClass.REF)
        put_photcodes(store, table, "photcode", {})
        addstar(store, [lambda: [bands]], AddstarOptions(compact_parts=0))
        assert len(store.view().reference_catalogs()) == 2
        with pytest.raises(QueryError, match=r"there are .*CAT\.J:bands, CAT\.V:bands"):
            delete_catalogs(store, ["gaia"])
        done = delete_catalogs(store, ["CAT.J:b*"])
        assert sorted(done.names) == ["CAT.J:bands", "CAT.V:bands"]
        assert done.n_measures == 2 * len(stars)
        assert store.view().reference_catalogs() == []
    assert_same_facts(facts(path), before)


def test_satellites_of_what_goes_go_with_it(tmp_path: Path) -> None:
    path = database(tmp_path / "sky", [add(*exposures(3))])
    with Store(path, writable=True) as store:
        for schema in (LENSING, GALPHOT):
            rows = add_to_measures(store, schema, [1, 2])
        names = ["cat_id", "obj_id", *(n for n in GALPHOT.stored_names if n != "ave_ref")]
        place = names.index("image_id")
        delete_measures(store, Selection(images=(2,)))
        left = {key for key in rows if key[place] == "1"}
        assert 0 < len(left) < len(rows)
        assert rows_by_object(store.view(), GALPHOT).keys() == left
        compact(store)
        view = store.view()
        assert rows_by_object(view, GALPHOT).keys() == left
        counted = sum(int(view.read(AVERAGE, r, ["nlensing"])["nlensing"].sum())
                      for r in view.regions())  # fmt: skip
        assert counted == len(left)


def test_conditions_all_have_to_hold(tmp_path: Path) -> None:
    path = database(tmp_path / "sky", [add(*exposures(4))])
    with Store(path, writable=True) as store:
        view = store.view()
        code = view.photcodes.get("SYNTH.g.C00").code
        area = Box(112.4, 112.6, 14.9, 15.1)
        selection = Selection(area, (57200.0, 57446.0), (code,), (0.0, 20.0), 0)
        wanted = 0
        for region in view.regions():
            a, m = view.read(AVERAGE, region), view.read(MEASURE, region)
            mags = view.read(synth.SECFILT, region)["mag"][::2]
            ref = m["ave_ref"]
            mjd = 40587 + (m["time"] + m["time_msec"] / 1000) / 86400
            wanted += int(np.count_nonzero(
                (m["photcode"] == code) & (mjd <= 57446) & (mjd >= 57200) & (mags[ref] <= 20)
                & area.holds(a["ra"], a["dec"])[ref]
            ))  # fmt: skip
        assert wanted > 0
        assert delete_measures(store, selection).n_measures == wanted
        assert delete_measures(store, selection).n_measures == 0
        with pytest.raises(QueryError, match="say which measures"):
            delete_measures(store, Selection())


def test_brackets_in_names_are_letters(tmp_path: Path) -> None:
    """Chips are called exposure[chip], and no other image answers to that."""
    path = synth.make_database(tmp_path / "sky")
    images = [
        replace(image, meta=replace(image.meta, name=name))
        for image, name in zip(exposures(3), ("o1[XY01]", "o1[XY02]", "o1X"), strict=True)
    ]
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
        view = store.view()
        chosen = [
            image_names(view, choose_images(view, ImageChoice((name,))))
            for name in ("o1[XY01]", "o1[*]", "*]", "o1?")
        ]
    assert chosen == [["o1[XY01]"], ["o1[XY01]", "o1[XY02]"], ["o1[XY01]", "o1[XY02]"], ["o1X"]]


def test_flags(tmp_path: Path) -> None:
    images = exposures(2)
    found = images[0].detections
    found.columns["phot_flags"] = np.zeros(len(found), np.uint32)
    found.columns["phot_flags"][::3] = 0x10
    path = database(tmp_path / "sky", [add(*images)])
    with Store(path, writable=True) as store:
        assert delete_measures(store, Selection(flags=0x8)).n_measures == 0
        assert delete_measures(store, Selection(flags=0x18)).n_measures == len(found.ra[::3])
        assert check(store, deep=True).faults == []
