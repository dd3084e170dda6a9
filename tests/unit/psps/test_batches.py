"""Batches: what is in them, when they are made, and that they are the same when made again."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from dvo.errors import CatdirLockedError, CorruptTableError, StorageError
from dvo.ids import ext_id_position
from dvo.partition.lock import WriterLock
from dvo.partition.store import Store
from dvo.psps import make_batches as making
from dvo.psps.batch_file import find_manifests, read_batch, read_manifest
from dvo.psps.batch_states import BatchState, BatchStates
from dvo.psps.make_batches import BatchOptions, make_batches
from dvo.psps.schema.batches import BATCH_TABLES, TABLES, BatchType
from dvo.psps.schema.objects import BANDS, MEAN_OBJECT, OBJECT_THIN
from dvo.psps.schema.table import PublicColumn, PublicTable, SqlType
from dvo.query.session import Database
from dvo.reshape.delete import delete_images
from dvo.reshape.sources import ImageChoice
from dvo.tables.flags import AverageFlag, SecFiltFlag
from tests.synth import add_images, filled_database, make_images

ALL = BatchOptions(tuple(BatchType), threads=2)
OBJECTS = BatchOptions((BatchType.OB,))


@pytest.fixture
def catdir(tmp_path):
    return filled_database(tmp_path / "sky", n_stars=200)


def make(catdir, folder, options=ALL):
    with Store(catdir) as store:
        return make_batches(store.view(), folder, options)


def rows_of(folder, table):
    """All rows of a table in the batches of a folder, as astropy reads them."""
    pieces = [
        Table.read(folder / read_manifest(path).file, hdu=table, unit_parse_strict="silent")
        for path in find_manifests(folder)
        if table in read_manifest(path).tables
    ]
    return {
        name: np.concatenate([np.asarray(p[name]) for p in pieces]) for name in pieces[0].colnames
    }


def test_names_and_types_are_those_of_dr2():
    # As the archive lists them (MAST, DR2): the first and last ones, and how many there are.
    assert len(OBJECT_THIN.columns) == 46
    assert len(MEAN_OBJECT.columns) == 2 + 5 * 16
    assert OBJECT_THIN.names[:8] == (
        "objName", "objPSOName", "objAltName1", "objAltName2", "objAltName3", "objPopularName",
        "objID", "uniquePspsOBid",
    )  # fmt: skip
    assert OBJECT_THIN.names[-8:] == (
        "nStackObjectRows",
        "nStackDetections",
        "nDetections",
        "ng",
        "nr",
        "ni",
        "nz",
        "ny",
    )
    assert MEAN_OBJECT.names[2:18] == (
        "gQfPerfect", "gMeanPSFMag", "gMeanPSFMagErr", "gMeanPSFMagStd", "gMeanPSFMagNpt",
        "gMeanPSFMagMin", "gMeanPSFMagMax", "gMeanKronMag", "gMeanKronMagErr", "gMeanKronMagStd",
        "gMeanKronMagNpt", "gMeanApMag", "gMeanApMagErr", "gMeanApMagStd", "gMeanApMagNpt",
        "gFlags",
    )  # fmt: skip
    assert OBJECT_THIN["skyCellID"].default == 255


def test_schemas_that_contradict_themselves_are_refused():
    from dvo.errors import SchemaError

    number = PublicColumn("a", SqlType.INT, "a number")
    with pytest.raises(SchemaError, match="twice"):
        PublicTable("T", "a table", (number, PublicColumn("A", SqlType.INT, "again")), ("a",))
    with pytest.raises(SchemaError, match="keys"):
        PublicTable("T", "a table", (number,), ("b",))
    with pytest.raises(SchemaError, match="length"):
        PublicColumn("a", SqlType.VARCHAR, "a text")
    with pytest.raises(SchemaError, match="default"):
        number.filled(3)


def test_objects_are_those_of_the_database(catdir, tmp_path):
    report = make(catdir, tmp_path / "out")
    with Database(catdir) as db:
        ours = db.sql("SELECT * FROM object").to_pandas()
        pairs = db.sql(
            "SELECT a.ext_id, p.name, COUNT(*) AS n FROM measure m JOIN average a "
            "ON m.cat_id = a.cat_id AND m.obj_id = a.obj_id JOIN photcode c ON c.code = m.photcode "
            "JOIN photcode p ON p.code = c.equiv GROUP BY a.ext_id, p.name"
        ).to_pandas()
    ours = ours.set_index(ours["ext_id"].astype(np.int64)).sort_index()
    thin, mean = rows_of(tmp_path / "out", "ObjectThin"), rows_of(tmp_path / "out", "MeanObject")
    order = np.argsort(thin["objID"])
    thin = {n: v[order] for n, v in thin.items()}
    np.testing.assert_array_equal(mean["objID"][order], thin["objID"])
    mean = {n: v[order] for n, v in mean.items()}
    assert report.n_rows == len(ours) + 2  # and two filters
    np.testing.assert_array_equal(thin["objID"], ours.index)
    np.testing.assert_array_equal(thin["raMean"], ours["ra"])
    np.testing.assert_array_equal(thin["decMean"], ours["dec"])
    ra, dec = ext_id_position(thin["objID"].astype(np.uint64))
    assert np.max(np.abs(thin["decMean"] - dec)) < 1 / 3600
    assert np.max(np.abs((thin["raMean"] - ra + 180) % 360 - 180)) < 2 / 3600
    np.testing.assert_array_equal(
        thin["ippObjID"], ours["cat_id"].astype(np.int64) * 10**9 + ours["obj_id"]
    )
    np.testing.assert_array_equal(thin["objInfoFlag"], ours["flags"])
    np.testing.assert_array_equal(thin["qualityFlag"], (ours["flags"].to_numpy() >> 24) & 0xFF)
    assert np.all(thin["raStack"] == -999)
    assert np.all(thin["skyCellID"] == 255)
    assert len(set(thin["uniquePspsOBid"])) == len(ours)
    np.testing.assert_array_equal(thin["uniquePspsOBid"] // 10**9, thin["batchID"])
    assert np.all((thin["randomID"] >= 0) & (thin["randomID"] < 1))
    assert abs(np.mean(thin["randomID"]) - 0.5) < 5 / np.sqrt(12 * len(ours))
    counts = pairs.pivot_table(index="ext_id", columns="name", values="n", fill_value=0)
    for band in BANDS:
        there = f"{band}_mag" in ours
        wanted = ours[f"{band}_mag"].fillna(-999) if there else np.full(len(ours), -999.0)
        np.testing.assert_array_equal(mean[f"{band}MeanPSFMag"], np.asarray(wanted, np.float32))
        expected = counts.get(band)
        expected = 0 if expected is None else expected.reindex(ours["ext_id"]).fillna(0).to_numpy()
        np.testing.assert_array_equal(thin[f"n{band}"], np.broadcast_to(expected, len(ours)))
    total = sum(thin[f"n{band}"].astype(int) for band in BANDS)
    np.testing.assert_array_equal(thin["nDetections"], total)


def test_files_match_the_schema_column_for_column(catdir, tmp_path):
    make(catdir, tmp_path / "out")
    for path in find_manifests(tmp_path / "out"):
        manifest = read_manifest(path)
        with fits.open(tmp_path / "out" / manifest.file, checksum=True) as hdus:
            tables = BATCH_TABLES[manifest.batch_type]
            assert [h.name for h in hdus[1:]] == [t.name for t in tables]
            assert hdus[0].header["BATCHID"] == manifest.batch_id
            for hdu, table in zip(hdus[1:], tables, strict=True):
                assert tuple(hdu.columns.names) == table.names
                assert [c.unit or "" for c in hdu.columns] == [c.unit for c in table.columns]
                for column in table.columns:
                    assert hdu.data.dtype[column.name].newbyteorder("=") == column.dtype


def test_flags_are_told_bit_by_bit(catdir, tmp_path):
    make(catdir, tmp_path / "out", BatchOptions((BatchType.IN,)))
    info = rows_of(tmp_path / "out", "ObjectInfoFlags")
    assert dict(zip(info["name"].astype(str), info["value"], strict=True)) == {
        flag.name: int(flag) for flag in AverageFlag
    }
    assert all(info["description"])
    quality = rows_of(tmp_path / "out", "ObjectQualityFlags")
    assert "GOOD" in set(quality["name"].astype(str))
    assert quality["value"].max() < 256
    filters = rows_of(tmp_path / "out", "ObjectFilterFlags")
    names = set(filters["name"].astype(str))
    assert SecFiltFlag.STACK_PRIMARY.name in names
    assert SecFiltFlag.OBJ_EXT.name not in names


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".fits", ".json")}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_snapshot_gives_the_same_bytes(catdir, tmp_path, threads):
    make(catdir, tmp_path / "one")
    make(catdir, tmp_path / "two", BatchOptions(tuple(BatchType), threads=threads))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_only_what_has_changed_is_made_again(catdir, tmp_path):
    first = make(catdir, tmp_path / "out")
    again = make(catdir, tmp_path / "out")
    assert (again.n_batches, again.n_there) == (0, first.n_batches)
    with Store(catdir, writable=True) as store:
        before = {r: store.view().catalog(r) for r in store.view().regions()}
        add_images(store, make_images(1, 200, 1, first=9))
        after = {r: store.view().catalog(r) for r in store.view().regions()}
    changed = [r for r, row in after.items() if before.get(r) != row]
    assert len(changed) > 0
    third = make(catdir, tmp_path / "out")
    assert third.n_batches == len(changed)
    scopes = {read_manifest(p).scope for p in find_manifests(tmp_path / "out")[first.n_batches :]}
    assert scopes == {f"region {r}" for r in changed}


def test_regions_without_objects_take_the_place_of_what_was(catdir, tmp_path):
    make(catdir, tmp_path / "out", OBJECTS)
    with Store(catdir, writable=True) as store:
        delete_images(store, ImageChoice(("*",)))
        assert sum(store.view().catalog(r).n_average for r in store.view().regions()) == 0
    report = make(catdir, tmp_path / "out", OBJECTS)
    assert report.n_batches > 0
    assert report.n_rows == 0
    assert make(catdir, tmp_path / "out", OBJECTS).n_batches == 0


def test_what_failed_is_tried_again_under_its_number(catdir, tmp_path, monkeypatch):
    right = making.object_rows
    failing = []

    def object_rows(view, region, facts):
        failing.append(facts.batch_id)
        if len(failing) == 2:
            raise StorageError("no disk")
        return right(view, region, facts)

    monkeypatch.setattr(making, "object_rows", object_rows)
    report = make(catdir, tmp_path / "out", OBJECTS)
    assert report.failures == {failing[1]: "no disk"}
    with BatchStates(tmp_path / "out") as states:
        (row,) = states.rows([BatchState.FAILED])
        assert (row.batch_id, row.error, row.n_attempts) == (failing[1], "no disk", 1)
    monkeypatch.undo()
    assert make(catdir, tmp_path / "out", OBJECTS).n_batches == 1
    make(catdir, tmp_path / "whole", OBJECTS)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_one_at_a_time_and_one_database_a_folder(catdir, tmp_path):
    make(catdir, tmp_path / "out")
    lock = WriterLock(tmp_path / "out", "somebody")
    with pytest.raises(CatdirLockedError):
        make(catdir, tmp_path / "out")
    lock.release()
    from tests.synth import make_database

    other = make_database(tmp_path / "other")
    with pytest.raises(StorageError, match="another folder"):
        make(other, tmp_path / "out")


def damage_bytes(path, manifest):
    data = bytearray((path.parent / manifest.file).read_bytes())
    data[-3000] ^= 1
    (path.parent / manifest.file).write_bytes(data)


def damage_missing(path, manifest):
    (path.parent / manifest.file).unlink()


def damage_count(path, manifest):
    found = json.loads(path.read_text())
    found["tables"][TABLES["ObjectThin"].name]["n_rows"] += 1
    path.write_text(json.dumps(found))


def damage_form(path, manifest):
    path.write_text(path.read_text().replace('"form": 1', '"form": 2'))


def damage_text(path, manifest):
    path.write_text("{")


def damage_name(path, manifest):
    path.write_text(path.read_text().replace(manifest.file, "../" + manifest.file))


@pytest.mark.parametrize(
    "damage", [damage_bytes, damage_missing, damage_count, damage_form, damage_text, damage_name]
)
def test_damaged_batches_are_refused(catdir, tmp_path, damage):
    make(catdir, tmp_path / "out", OBJECTS)
    path = find_manifests(tmp_path / "out")[0]
    manifest = read_manifest(path)
    read_batch(tmp_path / "out", manifest)
    damage(path, manifest)
    with pytest.raises((CorruptTableError, StorageError), match="OB0000000001"):
        read_batch(tmp_path / "out", read_manifest(path))


def test_no_folder_no_batches(tmp_path):
    with pytest.raises(StorageError, match="ipptopsps"):
        find_manifests(tmp_path / "nowhere")
    shutil.rmtree(tmp_path)
