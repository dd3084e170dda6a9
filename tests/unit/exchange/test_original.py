"""The original's file layout: names, widths and values as its programs expect them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from dvo.errors import ConfigError, StorageError
from dvo.exchange.original.encode import encode
from dvo.exchange.original.export import export_catdir
from dvo.exchange.original.formats import (
    AVERAGE_V6,
    IMAGE_V6,
    MEASURE_V6,
    SECFILT_V6,
    OldColumn,
    OldTable,
)
from dvo.partition.bounds import Box
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from dvo.tables.schema import Column
from dvo.tables.secfilt import SECFILT
from tests import synth

MOST = 2**31 - 1
WIDTHS = {"J": 4, "I": 2, "U": 4, "H": 2, "B": 1, "K": 8, "D": 8, "E": 4, "A": 1}


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("original") / "sky", n_stars=200)


@pytest.fixture(scope="module")
def folder(catdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("old") / "sky"
    with Store(catdir) as store:
        export_catdir(store, store.view(), target)
    return target


def table(path: Path) -> tuple[Any, Any, Any]:
    """Primary header, table header and rows of a file."""
    with fits.open(path) as hdus:
        hdus.verify("exception")
        return hdus[0].header, hdus[1].header, np.array(hdus[1].data)


@pytest.mark.parametrize(
    ("old", "schema"), [(AVERAGE_V6, AVERAGE), (SECFILT_V6, SECFILT), (MEASURE_V6, MEASURE),
                        (IMAGE_V6, IMAGE)],
)  # fmt: skip
def test_formats_hold_our_columns(old: OldTable, schema: Any) -> None:
    width = 0
    for column in old.columns:
        assert not column.source or column.source in schema, column.name
        width += int(column.form[:-1] or 1) * WIDTHS[column.form[-1]]
    assert width == old.row_bytes
    names = [c.name for c in old.columns]
    assert len(names) == len(set(names))


def test_files_are_where_the_original_looks_for_them(catdir: Path, folder: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        names = [view.sky.region(r).name for r in view.regions()]
    expected = {f"{n}.{s}" for n in names for s in ("cpt", "cps", "cpm")}
    expected |= {"SkyTable.fits", "Images.dat", "Photcodes.dat"}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == expected
    assert len(names) > 2


def test_catalogs_hold_objects_means_and_measures(catdir: Path, folder: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        for region in view.regions():
            path = folder / f"{view.sky.region(region).name}.cpt"
            head, about, average = table(path)
            _, about_means, secfilt = table(path.with_name(head["SECFILT"]))
            _, about_measures, measure = table(path.with_name(head["MEASURE"]))
            assert about["EXTNAME"] == "DVO_AVERAGE_PS1_V6"
            assert about_means["EXTNAME"] == "DVO_SECFILT_PS1_V6"
            assert about_measures["EXTNAME"] == "DVO_MEASURE_PS1_V6"
            widths = [h["NAXIS1"] for h in (about, about_means, about_measures)]
            assert widths == [192, 176, 240]
            _check_counts(head, average, secfilt, measure, region)
            _check_values(view, region, average, secfilt, measure)


def _check_counts(head: Any, average: Any, secfilt: Any, measure: Any, region: int) -> None:
    assert (head["NSTARS"], head["NMEAS"], head["NMISS"]) == (len(average), len(measure), 0)
    assert len(secfilt) == head["NSECFILT"] * len(average) == 2 * len(average)
    assert head["SORTED"] is True
    assert head["CATID"] == region
    assert head["OBJID"] > average["OBJ_ID"].max()
    assert head["RA0"] <= average["RA"].min() <= average["RA"].max() <= head["RA1"]
    assert head["DEC0"] <= average["DEC"].min() <= average["DEC"].max() <= head["DEC1"]
    # measures of an object lie together, where its offset says
    np.testing.assert_array_equal(
        average["OFF_MEASURE"], np.cumsum(average["NMEASURE"]) - average["NMEASURE"]
    )
    np.testing.assert_array_equal(
        measure["AVE_REF"], np.repeat(np.arange(len(average)), average["NMEASURE"])
    )
    for name in ("OBJ_ID", "CAT_ID"):
        np.testing.assert_array_equal(measure[name], average[name][measure["AVE_REF"]])


def _check_values(view: Any, region: int, average: Any, secfilt: Any, measure: Any) -> None:
    ours = view.read(MEASURE, region)
    order = np.lexsort((ours["det_id"], ours["image_id"]))
    rank = np.lexsort((measure["DET_ID"], measure["IMAGE_ID"]))
    for old in ("RA", "DEC", "MAG", "TIME", "EXT_ID", "PHOTCODE", "AIRMASS", "MCAL_APER"):
        name = old.lower()
        np.testing.assert_array_equal(measure[old][rank], ours[name][order], old)
    objects = view.read(AVERAGE, region)
    order, rank = np.argsort(objects["obj_id"]), np.argsort(average["OBJ_ID"])
    for old, name in {"RA": "ra", "MEAN_EPOCH": "mean_epoch", "EXT_ID": "ext_id"}.items():
        np.testing.assert_array_equal(average[old][rank], objects[name][order], old)
    means = view.read(SECFILT, region)
    for old, name in {"MAG": "mag", "MAG_STDEV": "mag_stdev", "NUSED": "nused"}.items():
        np.testing.assert_array_equal(
            secfilt[old].reshape(-1, 2)[rank], means[name].reshape(-1, 2)[order], old
        )


def test_images_and_photcodes(catdir: Path, folder: Path) -> None:
    with Store(catdir) as store:
        view, db_id = store.view(), store.db_id
        images, photcodes = view.images, view.photcodes
    head, about, rows = table(folder / "Images.dat")
    assert (head["NIMAGES"], head["ZERO_PT"], head["FORMAT"]) == (len(images), 25.0, "PS1_V6")
    assert head["DVO_DBID"] == db_id
    assert (about["EXTNAME"], about["NAXIS1"]) == ("DVO_IMAGE_PS1_V6", 368)
    np.testing.assert_array_equal(rows["IMAGE_ID"], images["image_id"])
    np.testing.assert_array_equal(rows["TZERO"], images["time"])
    np.testing.assert_array_equal(rows["EXPTIME"], images["exptime"])
    assert rows["NAME"].tolist() == images["name"].tolist()
    head, about, rows = table(folder / "Photcodes.dat")
    assert (about["EXTNAME"], about["NAXIS1"]) == ("DVO_PHOTCODE_PS1_V6", 112)
    assert rows["NAME"].astype(str).tolist() == [p.name for p in photcodes]
    assert rows["CODE"].tolist() == [p.code for p in photcodes]
    assert rows["TYPE"].tolist() == [int(p.kind) for p in photcodes]
    assert rows["C_LAM"].tolist() == [round(1000 * p.zero_point) for p in photcodes]
    assert (rows["C1"] == 0).all(), "a code that is not given is 0"


def test_the_sky_table_is_a_tree(catdir: Path, folder: Path) -> None:
    head, about, rows = table(folder / "SkyTable.fits")
    assert head["HOSTS"] == "HostTable.dat"
    assert (about["EXTNAME"], about["NAXIS1"]) == ("SKY_REGION", 56)
    assert len(rows) == 1 + 24 + 734 + 9499 + 151984
    assert np.count_nonzero(rows["TABLE"]) == 151984
    for i in (0, 7, 300, 5000):
        row = rows[i]
        children = rows[row["CHILD_S"] : row["CHILD_E"]]
        assert (children["PARENT"] == i).all()
        assert (children["DEPTH"] == row["DEPTH"] + 1).all()
    with Store(catdir) as store:
        view = store.view()
        for region in view.regions():
            assert rows["NAME"][region].decode().strip() == view.sky.region(region).name
            assert rows["TABLE"][region] == 1
    assert (rows["HOST_ID"] == 0).all()


@pytest.mark.parametrize(
    ("form", "scale", "like", "values", "stored"),
    [
        ("I", 100.0, Column("w", "f4", ""), [1.234, np.nan, -3.0, 1e9], [123, 32767, -300, 32766]),
        ("B", 10.0, Column("m", "f4", ""), [21.4, np.nan, -1.0, 99.0], [214, 255, 0, 254]),
        ("J", 1.0, Column("t", "i8", "", null=-(2**63)), [5, -(2**63), 2**40], [5, MOST, MOST]),
        ("J", 1.0, Column("n", "i4", "", null=-1), [7, -1, 0], [7, MOST, 0]),
        ("H", 1.0, Column("n", "u4", ""), [7, 70000, 40000], [7, -1, 40000 - 65536]),
        ("I", 1.0, Column("n", "u4", ""), [7, 70000, 40000], [7, 32767, 32767]),
        ("U", 1.0, Column("f", "u4", ""), [1, 2**31, 2**32 - 1], [1, -(2**31), -1]),
        ("K", 1.0, Column("i", "u8", ""), [1, 2**63], [1, -(2**63)]),
        ("J", 1.0, Column("c", "u2", "", null=0), [0, 3], [0, 3]),
        ("E", -1.0, Column("k", "f8", ""), [0.12, np.nan], [np.float32(-0.12), np.nan]),
        ("4A", 1.0, Column("s", "S8", ""), [b"GPC1.r", b""], [b"GPC1", b""]),
    ],
)  # fmt: skip
def test_values_in_the_types_of_the_original(
    form: str, scale: float, like: Column, values: list[Any], stored: list[Any]
) -> None:
    found = encode(OldColumn("X", form, like.name, scale), np.array(values, like.dtype), like)
    np.testing.assert_array_equal(found, np.array(stored, found.dtype))
    assert found.dtype.itemsize == int(form[:-1] or 1) * WIDTHS[form[-1]]


def test_offsets_to_nothing_are_minus_one() -> None:
    column = next(c for c in AVERAGE_V6.columns if c.name == "OFF_GALPHOT")
    assert encode(column, np.array([-1, 4]), AVERAGE["off_galphot"]).tolist() == [-1, 4]


def test_photcodes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    from dvo.partition.store import create_store

    codes = synth.photcodes().add("BIG", PhotClass.DEP, filter_name="g", zero_point=33.0)
    create_store(tmp_path / "sky", level=2, photcodes=codes)
    with (
        Store(tmp_path / "sky") as store,
        pytest.raises(ConfigError, match="BIG: zero point"),
    ):
        export_catdir(store, store.view(), tmp_path / "old")
    assert [p.name for p in tmp_path.iterdir()] == ["sky"]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_every_level_has_its_names(tmp_path: Path, level: int) -> None:
    catdir = synth.make_database(tmp_path / "sky", level)
    with Store(catdir, writable=True) as store:
        synth.add_images(store, synth.make_images(1, 40, 2))
        report = export_catdir(store, store.view(), tmp_path / "old")
        names = [store.sky.region(r).name for r in store.view().regions()]
    old = tmp_path / "old"
    found = sorted(p.relative_to(old).as_posix() for p in old.rglob("*.cpt"))
    assert found == sorted(f"{n}.cpt" for n in names)
    assert report.more == {"catalogs": len(names), "images": 2}


def test_a_region_takes_the_catalogs_that_it_touches(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        area = Box(112.3, 112.45, 15.1, 15.2)
        report = export_catdir(store, view, tmp_path / "old", area)
        assert 0 < report.more["catalogs"] == len(view.regions(area)) < len(view.regions())


def test_only_folders_of_this_kind_are_replaced(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        export_catdir(store, view, tmp_path / "old")
        with pytest.raises(StorageError, match="say --overwrite"):
            export_catdir(store, view, tmp_path / "old")
        export_catdir(store, view, tmp_path / "old", overwrite=True)
        with pytest.raises(StorageError, match="is no earlier export"):
            export_catdir(store, view, catdir, overwrite=True)
    assert (catdir / "dvo.sqlite").exists()
