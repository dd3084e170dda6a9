"""Check: a sound database has no faults, and each kind of damage is named with its place."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from dvo.errors import NotACatdirError
from dvo.ingest.detections import BandColumns
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY, CatalogRow, ImageRow
from dvo.partition.repeats import RepeatFinder
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import TableFile
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests.planted import PAIRS, make_catalog, spoil, spoil_measures
from tests.synth import add_images, filled_database, make_database, make_images


@pytest.fixture
def catdir(tmp_path):
    return filled_database(tmp_path / "sky", n_images=2)


def messages(catdir, **options):
    report = check(catdir, **options)
    assert not report.ok
    return [str(fault) for fault in report.faults]


@pytest.mark.parametrize("field", ["middle", "pole", "wrap", "edge"])
@pytest.mark.parametrize("level", [0, 3, 4])
def test_a_sound_database_has_no_faults(tmp_path, field, level):
    catdir = make_database(tmp_path / "sky", level)
    images = make_images(5, 40, 4, field)
    assert check(catdir, deep=True).faults == []
    with Store(catdir, writable=True) as store:
        add_images(store, images[:3], batch_rows=50, compact_parts=2)
        resort(store)
        add_images(store, images[3:])
        report = check(store, deep=True)
    assert report.faults == []
    assert report.notes == []
    assert report.counts["measures"] == sum(len(i.detections) for i in images)
    assert report.counts["images"] == 4
    assert check(catdir).ok


def test_replaced_images_leave_a_sound_database(catdir):
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(2, 60, 2), replace=True)
        assert check(store, deep=True).faults == []


def test_no_database(tmp_path):
    with pytest.raises(NotACatdirError):
        check(tmp_path)


def test_a_lost_manifest(catdir):
    (catdir / "dvo.sqlite").unlink()
    (text,) = messages(catdir)
    assert text.startswith("dvo.sqlite: ")
    assert "--rebuild" in text


def test_a_damaged_manifest(catdir):
    path = catdir / "dvo.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 3 :] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    assert "--rebuild" in messages(catdir)[0]


def test_a_file_is_missing(catdir):
    path = next(catdir.glob("shared/*.cpm"))
    path.unlink()
    for deep in (False, True):
        (text,) = messages(catdir, deep=deep)
        assert text.startswith(f"shared/{path.name}: is missing")


def test_a_file_is_cut_short(catdir):
    path = next(catdir.glob("shared/*.cpt"))
    path.write_bytes(path.read_bytes()[:-2880])
    (text,) = messages(catdir)
    assert text.startswith(f"shared/{path.name}: has ")


def test_a_bit_has_flipped(catdir):
    path = next(catdir.glob("shared/*.cpm"))
    data = bytearray(path.read_bytes())
    data[-3000] ^= 4
    path.write_bytes(data)
    assert check(catdir).ok
    found = messages(catdir, deep=True)
    assert found[0].startswith(f"shared/{path.name}: its digest is ")
    assert "backup" in found[0]


def test_a_record_is_missing(catdir):
    path = sorted(catdir.glob("log/*.fits"))[1]
    path.unlink()
    (text,) = messages(catdir)
    assert text.startswith(f"log/{path.name}: record of commit 2")


def test_a_stranger_with_the_right_bytes(catdir, tmp_path):
    """A file of another database cannot slip in, even if the manifest were to name it."""
    other = filled_database(tmp_path / "other", seed=9, n_images=2)
    strange = min(other.glob("shared/*.cpm"))
    with Store(other) as store:
        row = next(f for f in store.manifest.files() if f.path == f"shared/{strange.name}")
    path = min(catdir.glob("shared/*.cpm"))
    path.write_bytes(strange.read_bytes())
    with sqlite3.connect(catdir / "dvo.sqlite") as db:
        db.execute(
            "UPDATE file SET n_bytes = ?, digest = ? WHERE path = ?",
            (row.n_bytes, row.digest, f"shared/{path.name}"),
        )
    db.close()
    assert "belongs to database" in messages(catdir, deep=True)[0]


def test_counts_of_the_manifest(catdir):
    with sqlite3.connect(catdir / "dvo.sqlite") as db:
        db.execute("UPDATE catalog SET n_measure = n_measure + 1 WHERE removed = 2147483647")
    db.close()
    assert "measures, its catalogs have" in messages(catdir)[0]
    assert any("the manifest counts" in text for text in messages(catdir, deep=True))


def test_counts_of_parts(catdir):
    """They say which catalogs are in need of compaction."""
    with sqlite3.connect(catdir / "dvo.sqlite") as db:
        db.execute("UPDATE catalog SET n_largest = n_largest + 1 WHERE removed = 2147483647")
    db.close()
    assert check(catdir).ok
    assert any("the largest of" in text for text in messages(catdir, deep=True))


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("Measure", "ave_ref", 10**6, "ave_ref 1000000, but"),
        ("Measure", "obj_id", 10**6, "obj_id 1000000, but its object"),
        ("Measure", "cat_id", 3, "cat_id 3, but its object"),
        ("Measure", "image_id", 77, "image_id 77 is no image; 1 such row"),
        ("Measure", "photcode", 99, "photcode 99 is not in the table"),
        ("Measure", "photcode", 4, "but its image"),
        ("Measure", "dec", 14.0, "arcsec outside"),
        ("Measure", "ra", float("nan"), "is none"),
        ("Average", "nmeasure", 99, "nmeasure 99, but"),
        ("Average", "dec", 14.0, "arcsec outside"),
        ("Average", "ra", float("nan"), "is none"),
        ("Measure", "image_id", 0, "image_id 0 and ref_id 0: a measure has one of them"),
        ("Measure", "ref_id", 9, "and ref_id 9: a measure has one of them"),
        ("Measure", "time", 0, "time 0, but that of its image"),
        ("Measure", "time", 10**12, "time 1000000000000 is not between"),
        ("Measure", "time_msec", 1000, "time_msec is 1000"),
        ("Average", "u_ra", 101.0, "is none, or faster than 100"),
        ("Average", "u_dec", float("inf"), "is none, or faster than 100"),
        ("Average", "mean_epoch", 0, "mean_epoch 0 is not between"),
        ("Average", "number_pos", 99, "number_pos 99 of"),
        ("Average", "ra_err", float("nan"), "ra_err is nan"),
        ("Average", "dec_err", 0.0, "dec_err is 0.0"),
        ("SecFilt", "ncode", 7, "ncode 7, but"),
        ("SecFilt", "nused", 7, "nused 7 of"),
        ("SecFilt", "mag", float("inf"), "mag is inf"),
    ],
)
def test_a_wrong_value_is_found_where_it_is(catdir, table, column, value, words):
    name = spoil(catdir, table, column, 1, value)
    assert check(catdir).ok
    report = check(catdir, deep=True)
    (fault,) = (f for f in report.faults if words in f.message)
    assert (fault.table, fault.region, fault.row) == (table, name, 1)
    ending = {"Measure": "cpm", "Average": "cpt", "SecFilt": "cps"}[table]
    assert fault.path.endswith(ending) or not fault.path
    assert "rollback" in fault.remedy


@pytest.mark.parametrize("column", ["ra", "dec"])
@pytest.mark.parametrize("field", ["middle", "wrap"])
def test_a_mean_beside_all_its_measures(tmp_path, column, field):
    catdir = make_database(tmp_path / "sky")
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(3, 40, 3, field))
    for sign in (1, -1):
        with Store(catdir, writable=True) as store:
            view = store.view()
            region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
            average = view.read(AVERAGE, region, AVERAGE.stored_names)
            values = average[column].copy()
            values[2] += sign * 0.5 / 3600
            average[column] = values
            with store.begin("spoil", {}) as change:
                change.put_catalog(region, [average], level="fast")
                change.commit()
            (fault,) = check(store, deep=True).faults
            assert "is outside its" in fault.message
            assert (fault.table, fault.row) == ("Average", 2)
            rollback(store, view.snapshot.id)


@pytest.fixture
def with_catalog(catdir):
    """A database with two images and a catalog that gives motions, number 3."""
    with Store(catdir, writable=True) as store:
        for name in ("REF.g", "REF.r"):
            table = store.view().photcodes.add(name, PhotClass.REF, filter_name=name[-1])
            put_photcodes(store, table, "photcode", {})
        add_images(store, [make_catalog(u_ra=200.0, u_dec=100.0)])
        assert check(store, deep=True).faults == []
    return catdir


@pytest.mark.parametrize(
    ("from_catalog", "values", "words"),
    [
        (True, {"ref_id": 77}, "ref_id 77 is no reference catalog"),
        (True, {"ref_id": 1}, "ref_id 1 is no reference catalog"),
        (True, {"ref_id": 0}, "image_id 0 and ref_id 0"),
        (True, {"image_id": 1}, "image_id 1 and ref_id 3"),
        (True, {"photcode": 3}, "photcode 3 is not that of a band of its reference catalog 3"),
        (True, {"photcode": 6}, "photcode 6 is not that of a band of its reference catalog 3"),
        (False, {"image_id": 3}, "image_id 3 is no image"),
    ],
)
def test_measures_are_of_one_image_or_catalog(with_catalog, from_catalog, values, words):
    spoil_measures(with_catalog, from_catalog, **values)
    assert check(with_catalog).ok
    found = [text for text in messages(with_catalog, deep=True) if words in text]
    assert len(found) == 1


def test_a_catalog_of_several_bands_has_the_photcodes_of_these(with_catalog):
    with Store(with_catalog, writable=True) as store:
        source = make_catalog("two bands", "01")
        every = np.ones(20, np.bool_)
        mag = {"mag": np.full(20, 16.0, np.float32)}
        source.detections.bands = [BandColumns(f"REF.{b}", every, dict(mag)) for b in "gr"]
        add_images(store, [source])
        assert check(store, deep=True).faults == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM image WHERE image_id < 0", "ref_id 3 is no reference catalog"),
        ("UPDATE image SET match_mjd = NULL WHERE image_id < 0", "has no time of its positions"),
        ("UPDATE image SET identity = 'survey' WHERE image_id < 0", "not as ref:<photcode>"),
        ("UPDATE image SET identity = 'ref:REF.r:survey' WHERE image_id < 0", "not that of a band"),
        ("UPDATE image SET identity = 'name:a' WHERE image_id = 1", "knows it as name:a"),
        ("UPDATE image SET identity = 'extern:0:7' WHERE image_id = 1", "knows it as extern:0:7"),
        ("UPDATE image SET identity = 'plane:synth-0000' WHERE image_id = 1", "knows it as plane"),
        ("UPDATE image SET identity = 'name:a' WHERE image_id > 0", "2 images or catalogs are"),
        ("UPDATE image SET content = '00' WHERE image_id = 1", "(content 00)"),
        ("UPDATE snapshot SET reach = json_set(reach, '$.max_motion_arcsec_yr', 0.1)",
         "moves 0.223607 arcsec/yr, but the snapshot says 0.1 at most"),
        ("UPDATE snapshot SET reach = json_set(reach, '$.first_motion_epoch_s', 1.5e9)",
         "but the snapshot says 1500000000 to"),
        ("UPDATE snapshot SET reach = json_set(reach, '$.last_motion_epoch_s', 1.2e9)",
         "to 1200000000 for such objects"),
        ("UPDATE file SET columns = '[\"ra\"]' WHERE tab = 'Average'", "its columns are not those"),
        ("UPDATE file SET tab = 'SecFilt' WHERE tab = 'Average'", "has DVO_TAB Average, not"),
    ],
)  # fmt: skip
def test_what_the_manifest_says_of_sources_reach_and_files(with_catalog, statement, words):
    with sqlite3.connect(with_catalog / "dvo.sqlite") as db:
        assert db.execute(statement).rowcount > 0
    db.close()
    assert check(with_catalog).ok
    assert any(words in text for text in messages(with_catalog, deep=True))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET value = '1' WHERE key = 'last_image'", "last_image is 1, but 2 is"),
        ("DELETE FROM meta WHERE key = 'last_part'", "last_part is 0, but"),
        ("UPDATE snapshot SET level = 3 WHERE kept", "none of the partition (level 3"),
    ],
)  # fmt: skip
def test_what_would_be_given_twice_or_filed_elsewhere(catdir, statement, words):
    with sqlite3.connect(catdir / "dvo.sqlite") as db:
        assert db.execute(statement).rowcount > 0
    db.close()
    assert any(words in text for text in messages(catdir))


def test_records_that_have_changed_places(catdir):
    one, two = sorted(catdir.glob("log/*.fits"))[1:3]
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    assert check(catdir).ok
    found = messages(catdir, deep=True)
    assert any(f"{one.name}: record of commit 2 has DVO_SNAP 3, not 2" in text for text in found)


def test_a_region_that_cannot_be_read_hides_nothing_of_others(catdir):
    """Regions are read many at once; a damaged file is named, and the rest looked at."""
    with Store(catdir, writable=True) as store:
        resort(store, own_file_rows=1)
        view = store.view()
        one, two = sorted(view.regions(), key=lambda r: -view.catalog(r).n_measure)[:2]
        path = catdir / view.parts(MEASURE, one)[0].path
        measure = view.read(MEASURE, two, MEASURE.stored_names)
        measure["time_msec"] = np.full(len(measure), 1000, np.uint16)
        with store.begin("spoil", {}) as change:
            change.put_catalog(two, [measure], level="fast")
            change.commit()
    path.write_bytes(path.read_bytes()[:-2880])
    found = messages(catdir, deep=True)
    assert any(path.name in text for text in found)
    assert any("time_msec is 1000" in text for text in found)


def test_a_sky_table_that_cannot_be_read_is_worth_a_note(catdir):
    (catdir / "SkyTable.fits").write_bytes(b"x")
    report = check(catdir, deep=True)
    assert report.ok
    assert any("does without it" in note for note in report.notes)


def test_repeated_numbers_of_objects_in_one_region(catdir):
    with Store(catdir) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        first = view.read(AVERAGE, region, ["obj_id", "ext_id"])
    spoil(catdir, "Average", "ext_id", 1, first["ext_id"][0])
    assert any("public object id" in text for text in messages(catdir, deep=True))
    spoil(catdir, "Average", "obj_id", 1, first["obj_id"][0])
    assert any("object (" in text for text in messages(catdir, deep=True))


def test_repeats_in_two_regions_are_found(catdir):
    """The same detection, and the same public id, once in each of two regions."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        one, two = sorted(view.regions(), key=lambda r: -view.catalog(r).n_average)[:2]
        a, m = (view.read(s, one) for s in (AVERAGE, MEASURE))
        found = {s.name: view.read(s, two) for s in PAIRS}
        for table, source, columns in (
            ("Average", a, ("ext_id",)),
            ("Measure", m, ("image_id", "det_id", "photcode")),
        ):
            for column in columns:
                values = found[table][column].copy()
                values[0] = source[column][0]
                found[table][column] = values
        with store.begin("spoil", {}) as change:
            change.put_catalog(two, found.values(), level="fast")
            change.commit()
        faults = check(store, deep=True).faults
        names = {view.sky.region(r).name for r in (one, two)}
    for words in ("public object id", "detection ("):
        (fault,) = (f for f in faults if f.message.startswith(words))
        assert fault.region in names
        assert f"and in region {(names - {fault.region}).pop()}, row 0" in fault.message


def test_an_obj_id_that_was_not_given_yet(catdir):
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = view.regions()[0]
        old = view.catalog(region)
        row = CatalogRow(region, old.n_average, 0, old.n_measure, is_sorted=False)
        with store.begin("spoil", {}) as change:
            change.set_catalogs([row])
            change.commit()
    assert "is not below 0, the next to be given" in messages(catdir, deep=True)[0]


def test_patches_past_the_end_and_overlays_of_nothing(catdir):
    with Store(catdir, writable=True) as store:
        region = store.view().regions()[0]
        n = store.view().catalog(region).n_average
        with store.begin("spoil", {}) as change:
            table = ColumnTable(AVERAGE, {"flags": np.zeros(1, np.uint32)})
            change.patch_rows(np.array([n]), table, [region], np.array([0, 1]))
            change.commit()
        assert f"patch of row {n}, but the table has {n} rows" in messages(catdir, deep=True)[0]


def test_a_catalog_that_claims_to_be_sorted(catdir):
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        old = view.catalog(region)
        row = CatalogRow(region, old.n_average, old.next_obj_id, old.n_measure, is_sorted=True)
        with store.begin("spoil", {}) as change:
            change.set_catalogs([row])
            change.commit()
    assert any("sorted catalog" in text for text in messages(catdir, deep=True))


def test_images_and_the_list_of_them(catdir):
    with Store(catdir, writable=True) as store:
        with store.begin("spoil", {}) as change:
            change.set_images([ImageRow(9, "name:ghost", "x")], [1])
            change.commit()
        found = messages(catdir, deep=True)
    assert any("image 1 is not in the manifest's list" in text for text in found)
    assert any("image 9 of the manifest's list is not there" in text for text in found)


def test_an_image_with_fewer_measures_than_were_added(catdir):
    with Store(catdir, writable=True) as store:
        images = store.view().read(IMAGE, ALL_SKY)
        nstar = images["nstar"].copy()
        nstar[1] += 3
        images["nstar"] = nstar
        with store.begin("spoil", {}) as change:
            change.put_global(images, "Images", replace_all=True)
            change.commit()
    (text,) = messages(catdir, deep=True)
    assert f"image 2 has {nstar[1] - 3} measures, but nstar says {nstar[1]}" in text


def test_a_wrong_tile_index(tmp_path, monkeypatch):
    import dvo.partition.writing as module

    catdir = make_database(tmp_path / "sky")
    monkeypatch.setattr(module, "TILE_ROWS", 16)
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 2))
    assert check(catdir, deep=True).ok
    real = TableFile.tile_bounds

    def shifted(table, name):
        found = real(table, name)
        return None if found is None else (found[0] + 1, found[1] + 1)

    monkeypatch.setattr(TableFile, "tile_bounds", shifted)
    assert any("its index says" in text for text in messages(catdir, deep=True))


def test_a_check_takes_no_lock_and_writes_nothing(catdir):
    before = {p: p.stat().st_mtime_ns for p in catdir.rglob("*") if "sqlite" not in p.name}
    with Store(catdir, writable=True):
        assert check(catdir, deep=True).ok
    assert before.keys() == {p for p in catdir.rglob("*") if "sqlite" not in p.name}


@pytest.mark.parametrize("most", [10, 100, 10**6])
def test_repeats_in_bounded_memory(rng, most):
    numbers = rng.integers(0, 2**64, 1000, dtype=np.uint64)
    twice = np.sort(rng.choice(numbers, 7, replace=False))
    with RepeatFinder(most) as finder:
        for piece in np.array_split(np.concatenate([numbers, twice, twice]), 13):
            finder.add(piece)
        np.testing.assert_array_equal(finder.find(), twice)
    with RepeatFinder() as finder:
        assert len(finder.find()) == 0
