"""Repair: what is derived comes back as it was; what is not is named, and left alone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.faults import MENDS, FaultKind, Mend
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY, CatalogRow, ImageRow
from dvo.partition.store import Store
from dvo.reshape.repair import repair
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests.planted import PAIRS, make_catalog, spoil, spoil_measures
from tests.synth import add_images, assert_same, contents, filled_database, ordered


@pytest.fixture
def catdir(tmp_path: Path) -> Path:
    return filled_database(tmp_path / "sky", n_images=2)


@pytest.fixture
def with_catalog(catdir: Path) -> Path:
    """A database with two images and a catalog that gives motions, number 3."""
    with Store(catdir, writable=True) as store:
        for name in ("REF.g", "REF.r"):
            table = store.view().photcodes.add(name, PhotClass.REF, filter_name=name[-1])
            put_photcodes(store, table, "photcode", {})
        add_images(store, [make_catalog(u_ra=200.0, u_dec=100.0)])
    return catdir


def said(catdir: Path) -> dict[str, Any]:
    """All that the newest state says; the order of rows and where they lie do not count."""
    with Store(catdir) as store:
        return ordered(contents(store.view()))


def assert_mends(catdir: Path, wanted: dict[str, Any], *kinds: FaultKind) -> None:
    """A dry run changes nothing; a repair brings back what was, and has nothing left to do."""
    files = {p: p.read_bytes() for p in catdir.rglob("*") if p.is_file() and p.name != "lock"}
    would = repair(catdir, dry_run=True)
    left = {p: p.read_bytes() for p in catdir.rglob("*") if p.is_file() and p.name != "lock"}
    assert {k: v for k, v in left.items() if "-" not in k.suffix} == {
        k: v for k, v in files.items() if "-" not in k.suffix
    }
    done = repair(catdir)
    assert done.left == []
    assert would.mended == done.mended
    assert {FaultKind(name) for name in done.mended} >= set(kinds)
    assert all(n > 0 for n in done.mended.values())
    assert check(catdir, deep=True).faults == []
    assert_same(said(catdir), wanted)
    with Store(catdir) as store:
        last = store.manifest.log()[-1]
        assert last.command == "repair"
        assert last.params["mended"]
    again = repair(catdir)
    assert (again.found, again.mended, again.left, again.notes) == (0, {}, [], [])
    with Store(catdir) as store:
        assert store.manifest.log()[-1] == last


def test_a_sound_database_is_left_alone(catdir: Path) -> None:
    with Store(catdir) as store:
        before = store.manifest.log()
    done = repair(catdir)
    assert (done.found, done.mended, done.left) == (0, {}, [])
    with Store(catdir) as store:
        assert store.manifest.log() == before


def test_every_kind_of_fault_has_its_rule() -> None:
    assert set(MENDS) == set(FaultKind)
    for rule in MENDS.values():
        assert rule.mends
        assert (Mend.NEVER in rule.mends) == (rule.mends == (Mend.NEVER,))


@pytest.mark.parametrize("compacted", [False, True], ids=["loose", "sorted"])
@pytest.mark.parametrize(
    ("table", "column", "value", "kind"),
    [
        ("Measure", "ave_ref", 10**6, FaultKind.LOST),
        ("Measure", "obj_id", 10**6, FaultKind.LINK),
        ("Measure", "cat_id", 3, FaultKind.LINK),
        ("Average", "nmeasure", 99, FaultKind.N_MEASURE),
        ("Average", "dec", 14.0, FaultKind.MEAN_POSITION),
        ("Average", "ra", float("nan"), FaultKind.MEAN_POSITION),
        ("Average", "mean_epoch", 0, FaultKind.MEAN_POSITION),
        ("Average", "number_pos", 99, FaultKind.MEAN_POSITION),
        ("Average", "ra_err", float("nan"), FaultKind.MEAN_POSITION),
        ("SecFilt", "ncode", 7, FaultKind.MEAN_MAGNITUDE),
        ("SecFilt", "nused", 7, FaultKind.MEAN_MAGNITUDE),
        ("SecFilt", "mag", float("inf"), FaultKind.MEAN_MAGNITUDE),
    ],
)
def test_a_wrong_value_comes_back(
    catdir: Path, table: str, column: str, value: float, kind: FaultKind, compacted: bool
) -> None:
    if compacted:
        with Store(catdir, writable=True) as store:
            resort(store)
    wanted = said(catdir)
    spoil(catdir, table, column, 1, value)
    assert_mends(catdir, wanted, kind)


def test_a_link_to_the_object_beside(catdir: Path) -> None:
    """By ave_ref a measure is of one object, by its ids of another: counts tell."""
    wanted = said(catdir)
    with Store(catdir) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        ref = view.read(MEASURE, region, ["ave_ref"])["ave_ref"]
    spoil(catdir, "Measure", "ave_ref", 1, int(ref[0]))
    assert_mends(catdir, wanted, FaultKind.LINK)


def test_a_link_that_nothing_tells_of_is_left(catdir: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        ref = view.read(MEASURE, region, ["ave_ref"])["ave_ref"]
        other = view.read(AVERAGE, region, ["nmeasure"])["nmeasure"]
    spoil(catdir, "Measure", "ave_ref", 1, int(ref[0]))
    for row in (int(ref[0]), int(ref[1])):
        spoil(catdir, "Average", "nmeasure", row, int(other[row]) + 5)
    done = repair(catdir)
    assert FaultKind.LINK in {fault.kind for fault in done.left}
    assert "link" not in done.mended


def test_an_object_that_is_gone_is_made_anew(with_catalog: Path) -> None:
    wanted = said(with_catalog)
    with Store(with_catalog, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        found = {s.name: view.read(s, region, s.stored_names) for s in PAIRS}
        # The last objects go; their measures name rows that are not there.
        n, n_left = len(found["Average"]), len(found["Average"]) - 3
        row = view.catalog(region)
        tables = [found["Average"].take(slice(0, n_left)),
                  found["SecFilt"].take(slice(0, n_left * 2))]  # fmt: skip
        assert n > 3
        with store.begin("spoil", {}) as change:
            change.put_catalog(region, tables, level="fast")
            change.set_catalogs(
                [CatalogRow(region, n_left, row.next_obj_id, row.n_measure, row.is_sorted)]
            )
            change.commit()
    assert_mends(with_catalog, wanted, FaultKind.LOST)


def test_a_detection_that_is_there_twice(catdir: Path) -> None:
    wanted = said(catdir)
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        measure = view.read(MEASURE, region, MEASURE.stored_names)
        row = view.catalog(region)
        twice = measure.take(np.array([*range(len(measure)), 2, 5]))
        with store.begin("spoil", {}) as change:
            change.put_catalog(region, [twice], level="fast")
            change.set_catalogs(
                [CatalogRow(region, row.n_average, row.next_obj_id, len(twice), is_sorted=False)]
            )
            change.commit()
    assert_mends(catdir, wanted, FaultKind.REPEATED_DETECTION)


def test_detections_of_one_number_that_differ_are_left(catdir: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        m = view.read(MEASURE, region, ["image_id", "det_id"])
        other = int(np.flatnonzero(m["image_id"][1:] == m["image_id"][0])[0]) + 1
    spoil(catdir, "Measure", "det_id", other, int(m["det_id"][0]))
    before = said(catdir)
    done = repair(catdir)
    assert {fault.kind for fault in done.left} == {FaultKind.REPEATED_DETECTION}
    assert done.mended == {}
    assert_same(said(catdir), before)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [("u_ra", 101.0, FaultKind.MOTION), ("u_dec", float("inf"), FaultKind.MOTION),
     ("u_ra", float("nan"), FaultKind.MOTION)],
)  # fmt: skip
def test_a_motion_that_a_catalog_gives(
    with_catalog: Path, column: str, value: float, kind: FaultKind
) -> None:
    wanted = said(with_catalog)
    with Store(with_catalog) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        row = int(np.flatnonzero(np.isfinite(view.read(AVERAGE, region)["u_ra"]))[0])
    spoil(with_catalog, "Average", column, row, value)
    assert_mends(with_catalog, wanted, kind)


STATEMENTS = [
    ("DELETE FROM image WHERE image_id < 0", FaultKind.SOURCE),
    ("UPDATE image SET match_mjd = NULL WHERE image_id < 0", FaultKind.IMAGE_LIST),
    ("UPDATE image SET identity = 'survey' WHERE image_id < 0", FaultKind.IMAGE_LIST),
    ("UPDATE image SET identity = 'ref:REF.r:survey' WHERE image_id < 0", FaultKind.UNLIKE_SOURCE),
    ("UPDATE image SET content = '00' WHERE image_id = 1", FaultKind.IMAGE_LIST),
    ("UPDATE snapshot SET reach = json_set(reach, '$.max_motion_arcsec_yr', 0.1)",
     FaultKind.REACH),
    ("UPDATE file SET columns = '[\"ra\"]' WHERE tab = 'Average'", FaultKind.COLUMNS),
    ("UPDATE file SET tab = 'SecFilt' WHERE tab = 'Average'", FaultKind.COLUMNS),
    ("UPDATE meta SET value = '1' WHERE key = 'last_image'", FaultKind.NUMBERS),
    ("DELETE FROM meta WHERE key = 'last_part'", FaultKind.NUMBERS),
    ("UPDATE snapshot SET level = 3", FaultKind.LEVEL),
    ("UPDATE catalog SET n_measure = n_measure + 1 WHERE removed = 2147483647", FaultKind.COUNTS),
    ("UPDATE catalog SET n_largest = n_largest + 1 WHERE removed = 2147483647", FaultKind.ROWS),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "kind"), STATEMENTS)
def test_what_the_records_of_commits_say_counts(
    with_catalog: Path, statement: str, kind: FaultKind
) -> None:
    wanted = said(with_catalog)
    with sqlite3.connect(with_catalog / "dvo.sqlite") as db:
        assert db.execute(statement).rowcount > 0
    db.close()
    assert_mends(with_catalog, wanted, kind)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [s for s in STATEMENTS if Mend.ROWS in MENDS[s[1]].mends and "snapshot" not in s[0]],
)
def test_without_the_records_rows_say_it(
    with_catalog: Path, statement: str, kind: FaultKind
) -> None:
    """A record is lost, so the manifest cannot be made anew: what rows tell is mended."""
    wanted = said(with_catalog)
    lost = sorted(with_catalog.glob("log/*.fits"))[1]
    lost.unlink()
    with sqlite3.connect(with_catalog / "dvo.sqlite") as db:
        assert db.execute(statement).rowcount > 0
    db.close()
    done = repair(with_catalog)
    assert [f.kind for f in done.left] == [FaultKind.RECORD]
    assert kind.value in done.mended
    assert_same(said(with_catalog), wanted)
    assert repair(with_catalog).mended == {}


@pytest.mark.parametrize("how", ["lost", "a wrong number"])
def test_a_damaged_file_does_not_cost_its_commit(catdir: Path, how: str) -> None:
    """The manifest is mended, the file is named, and the newest commit stays the newest."""
    with Store(catdir) as store:
        newest = store.view().snapshot
        path = catdir / max(p.path for p in store.manifest.parts(newest.id, table="Measure"))
    data = bytearray(path.read_bytes())
    data[-3000] ^= 4
    path.write_bytes(data)
    if how == "lost":
        (catdir / "dvo.sqlite").unlink()
    else:
        with sqlite3.connect(catdir / "dvo.sqlite") as db:
            db.execute("UPDATE meta SET value = '1' WHERE key = 'last_image'")
        db.close()
    done = repair(catdir)
    assert FaultKind.FILE in {fault.kind for fault in done.left}
    assert sum(done.mended.values()) == 1
    with Store(catdir) as store:
        assert store.view().snapshot.counts == newest.counts


def test_a_lost_manifest(catdir: Path) -> None:
    wanted = said(catdir)
    (catdir / "dvo.sqlite").unlink()
    assert_mends(catdir, wanted, FaultKind.MANIFEST)


def test_a_damaged_manifest(catdir: Path) -> None:
    wanted = said(catdir)
    path = catdir / "dvo.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    assert_mends(catdir, wanted, FaultKind.MANIFEST)


def test_the_table_of_regions(catdir: Path) -> None:
    path = catdir / "SkyTable.fits"
    before = path.read_bytes()
    spoilt = bytearray(before)
    spoilt[-4000] ^= 1
    path.write_bytes(spoilt)
    assert "written anew" in repair(catdir).notes[0]
    assert path.read_bytes() == before
    for lost in (lambda: path.write_bytes(before[:3000]), path.unlink):
        lost()
        assert repair(catdir).notes == []  # every writer looks at it first
        assert path.read_bytes() == before


def test_stars_of_images_are_counted(catdir: Path) -> None:
    wanted = said(catdir)
    with Store(catdir, writable=True) as store:
        images = store.view().read(IMAGE, ALL_SKY)
        images["nstar"] = images["nstar"] + np.array([0, 3], np.uint32)
        with store.begin("spoil", {}) as change:
            change.put_global(images, "Images", replace_all=True)
            change.commit()
    assert_mends(catdir, wanted, FaultKind.N_STAR)


def test_a_number_that_would_be_given_twice(catdir: Path) -> None:
    wanted = said(catdir)
    with Store(catdir, writable=True) as store:
        view = store.view()
        old = view.catalog(view.regions()[0])
        row = CatalogRow(old.region, old.n_average, 0, old.n_measure, is_sorted=False)
        with store.begin("spoil", {}) as change:
            change.set_catalogs([row])
            change.commit()
    assert_mends(catdir, wanted, FaultKind.NEXT_ID)
    with Store(catdir) as store:
        assert store.view().catalog(old.region).next_obj_id == old.next_obj_id


def test_a_catalog_that_claims_to_be_sorted(catdir: Path) -> None:
    wanted = said(catdir)
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        old = view.catalog(region)
        row = CatalogRow(region, old.n_average, old.next_obj_id, old.n_measure, is_sorted=True)
        with store.begin("spoil", {}) as change:
            change.set_catalogs([row])
            change.commit()
    assert_mends(catdir, wanted, FaultKind.ORDER)


def test_mean_magnitudes_that_do_not_fit_objects(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        resort(store)
    wanted = said(catdir)
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        means = view.read(PAIRS[1], region, PAIRS[1].stored_names)
        with store.begin("spoil", {}) as change:
            change.put_catalog(region, [means.take(slice(0, len(means) - 3))], level="fast")
            change.commit()
    assert_mends(catdir, wanted, FaultKind.FILTER_ROWS)


@pytest.mark.parametrize("how", ["lost", "cut short", "a bit"])
def test_a_file_is_named_with_what_to_do(catdir: Path, how: str) -> None:
    """Data are never guessed; the advice to go back works."""
    with Store(catdir) as store:
        newest = store.view().snapshot
        path = catdir / max(p.path for p in store.manifest.parts(newest.id, table="Measure"))
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "cut short":
        path.write_bytes(data[:-2880])
    elif how == "a bit":
        data[-3000] ^= 4
        path.write_bytes(data)
    done = repair(catdir)
    assert done.mended == {}
    fault = next(f for f in done.left if f.kind is FaultKind.FILE)
    assert fault.path == f"shared/{path.name}"
    assert fault.remedy.endswith(f"dvo rollback {catdir} {newest.id - 1}")
    with Store(catdir, writable=True) as store:
        rollback(store, newest.id - 1)
    left = repair(catdir).left
    assert {f.kind for f in left} == {FaultKind.FILE}
    assert "dvo vacuum" in left[0].remedy


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"dec": 14.0}, FaultKind.VALUE), ({"time": 10**12}, FaultKind.VALUE),
     ({"photcode": 99}, FaultKind.VALUE), ({"photcode": 4}, FaultKind.UNLIKE_SOURCE),
     ({"image_id": 77}, FaultKind.SOURCE)],
)  # fmt: skip
def test_measures_are_never_made_up(
    catdir: Path, values: dict[str, float], kind: FaultKind
) -> None:
    spoil_measures(catdir, False, **values)
    with Store(catdir) as store:
        tables = contents(store.view())
    before = {k: v["ra"] for k, v in tables.items() if k.endswith("Measure")}
    done = repair(catdir)
    assert kind in {fault.kind for fault in done.left}
    with Store(catdir) as store:
        tables = contents(store.view())
    for key, ra in before.items():
        np.testing.assert_array_equal(np.sort(tables[key]["ra"]), np.sort(ra))


def test_a_shadow_of_a_lost_folder_is_none(tmp_path: Path) -> None:
    from dvo.errors import NotACatdirError

    with pytest.raises(NotACatdirError):
        repair(tmp_path, dry_run=True)
    shutil.rmtree(tmp_path)


def test_an_image_that_the_list_lacks(catdir: Path) -> None:
    """A commit said so itself: its record agrees, so nothing tells the truth."""
    with Store(catdir, writable=True) as store, store.begin("spoil", {}) as change:
        change.set_images([ImageRow(9, "name:ghost", "x")], [1])
        change.commit()
    done = repair(catdir)
    assert {f.kind for f in done.left} == {FaultKind.IMAGE_LIST}
    assert done.mended == {"last-number": 1}


def test_patches_past_the_end(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        region = store.view().regions()[0]
        n = store.view().catalog(region).n_average
        table = ColumnTable(AVERAGE, {"flags": np.zeros(1, np.uint32)})
        with store.begin("spoil", {}) as change:
            change.patch_rows(np.array([n]), table, [region], np.array([0, 1]))
            change.commit()
        before = store.manifest.log()
    done = repair(catdir)
    assert FaultKind.PARTS in {f.kind for f in done.left}
    assert done.mended == {}
    with Store(catdir) as store:
        assert store.manifest.log() == before
