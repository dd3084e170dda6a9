"""Extracting a part, deleting images, adding and dropping filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import CatdirExistsError, PhotcodeError, QueryError
from dvo.ingest.detections import InputImage
from dvo.merge.selection import Selection
from dvo.partition.bounds import Cone
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.reshape.delete import delete_images
from dvo.reshape.extract import extract
from dvo.reshape.filters import add_filter, drop_filter
from dvo.reshape.sources import ImageChoice
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT
from tests import synth


def images(n: int = 6) -> list[InputImage]:
    return synth.make_images(2, 60, n)


def database(path: Path, found: list[InputImage], level: int = 4) -> Path:
    synth.make_database(path, level)
    with Store(path, writable=True) as store:
        synth.add_images(store, found)
    return path


def rows(path: Path, schema: TableSchema, names: list[str]) -> ColumnTable:
    with Store(path) as store:
        found = check(store, deep=True)
        assert found.ok, found.faults[:3]
        view = store.view()
        return ColumnTable.concatenate(
            schema, [view.read(schema, r, names) for r in view.regions()]
        )


def contents(path: Path) -> dict[str, Any]:
    with Store(path) as store:
        return synth.ordered(synth.contents(store.view()))


@pytest.fixture
def sky(tmp_path: Path) -> Path:
    return database(tmp_path / "sky", images())


def test_a_copy_at_another_level_says_the_same(sky: Path, tmp_path: Path) -> None:
    with Store(sky) as source:
        report = extract(source, tmp_path / "copy", Selection(), level=2)
    assert report.finished
    assert report.n_images == 6
    for schema, key in ((AVERAGE, "ext_id"), (MEASURE, "det_id")):
        names = ["ra", "dec", key]
        one, two = rows(sky, schema, names), rows(tmp_path / "copy", schema, names)
        order = [np.lexsort((t["dec"], t["ra"])) for t in (one, two)]
        for name in names:
            assert one[name][order[0]].tolist() == two[name][order[1]].tolist()


def test_a_circle_has_its_objects_whole(sky: Path, tmp_path: Path) -> None:
    average = rows(sky, AVERAGE, ["ra", "dec", "nmeasure"])
    area = Cone(float(average["ra"][0]), float(average["dec"][0]), 0.1)
    with Store(sky) as source:
        extract(source, tmp_path / "part", Selection(area))
    wanted = area.holds(average["ra"], average["dec"])
    found = rows(tmp_path / "part", AVERAGE, ["ra", "dec", "nmeasure"])
    assert sorted(found["ra"].tolist()) == sorted(average["ra"][wanted].tolist())
    assert found["nmeasure"].sum() == average["nmeasure"][wanted].sum()


def test_a_time_is_a_database_of_its_images(sky: Path, tmp_path: Path) -> None:
    # Exposures are a day apart, the first at 57000.25.
    with Store(sky) as source:
        report = extract(source, tmp_path / "part", Selection(mjd=(57000.0, 57003.0)))
    assert report.n_images == 3
    one = database(tmp_path / "one", images()[:3])
    for schema, names in ((AVERAGE, ["ra", "ra_err", "number_pos", "nmeasure"]),
                          (SECFILT, ["mag", "mag_err", "nused", "ncode", "mag_min"])):  # fmt: skip
        expected, found = rows(one, schema, names), rows(tmp_path / "part", schema, names)
        for name in names:
            a, b = np.sort(expected[name]), np.sort(found[name])
            assert a == pytest.approx(b, rel=1e-6, nan_ok=True)


def test_magnitudes_and_photcodes(sky: Path, tmp_path: Path) -> None:
    mags = rows(sky, SECFILT, ["mag"])["mag"][::2]  # filter g
    with Store(sky) as source:
        code = source.view().photcodes.get("SYNTH.g.C00").code
        extract(source, tmp_path / "bright", Selection(mag=(0, 18), mag_filter=0))
        report = extract(source, tmp_path / "green", Selection(photcodes=(code,)))
    assert len(rows(tmp_path / "bright", AVERAGE, ["ra"])) == np.count_nonzero(mags <= 18)
    assert report.n_images == 3
    assert set(rows(tmp_path / "green", MEASURE, ["photcode"])["photcode"].tolist()) == {code}


def test_a_database_is_not_extracted_into(sky: Path, tmp_path: Path) -> None:
    with Store(sky) as source:
        extract(source, tmp_path / "part", Selection())
        with pytest.raises(CatdirExistsError, match="is a database already"):
            extract(source, tmp_path / "part", Selection())


def test_deleted_images_might_never_have_been(sky: Path, tmp_path: Path) -> None:
    with Store(sky, writable=True) as store:
        before = store.view().snapshot.id
        done = delete_images(store, ImageChoice(names=("synth-0003", "*-0005")))
        assert done.names == ["synth-0003", "synth-0005"]
    kept = [i for k, i in enumerate(images()) if k not in (3, 5)]
    one = database(tmp_path / "one", kept)
    for schema, names in ((AVERAGE, ["ra", "dec", "ra_err", "nmeasure", "ext_id"]),
                          (SECFILT, ["mag", "mag_err", "nused", "ncode"])):  # fmt: skip
        expected, found = rows(one, schema, names), rows(sky, schema, names)
        for name in names:
            assert np.sort(expected[name]).tolist() == pytest.approx(
                np.sort(found[name]).tolist(), nan_ok=True
            )
    with Store(sky, writable=True) as store:
        rollback(store, before)
    synth.assert_same(contents(sky), contents(database(tmp_path / "again", images())))


def test_deleting_needs_a_condition(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        with pytest.raises(QueryError, match="name the images"):
            delete_images(store, ImageChoice())
        before = store.view().snapshot
        assert delete_images(store, ImageChoice(photcode="SYNTH.g.C00", mjd=(1, 2))).names == []
        assert store.view().snapshot == before


def test_a_filter_comes_and_goes(sky: Path) -> None:
    before = contents(sky)
    with Store(sky, writable=True) as store:
        snapshot = store.view().snapshot.id
        add_filter(store, "z", after="g")
        view = store.view()
        assert [p.name for p in view.photcodes.sec] == ["g", "z", "r"]
        assert check(store, deep=True).ok
        for region in view.regions():
            mags = view.read(SECFILT, region, ["mag"])["mag"].reshape(-1, 3)
            old = before[f"{region} SecFilt"]["mag"].reshape(-1, 2)
            assert np.isnan(mags[:, 1]).all()
            assert np.sort(mags[:, 0]).tolist() == pytest.approx(
                np.sort(old[:, 0]).tolist(), nan_ok=True
            )
        synth.add_images(store, synth.make_images(2, 60, 2, first=6))
        assert check(store, deep=True).ok
        drop_filter(store, "z")
        assert [p.name for p in store.view().photcodes.sec] == ["g", "r"]
        rollback(store, snapshot)
        assert check(store, deep=True).ok
    synth.assert_same(before, contents(sky))


def test_filters_that_cannot_be_added_or_dropped(sky: Path) -> None:
    with Store(sky, writable=True) as store:
        with pytest.raises(PhotcodeError, match="photcode 'g' already"):
            add_filter(store, "g")
        with pytest.raises(PhotcodeError, match="no average filter"):
            drop_filter(store, "y")
        drop_filter(store, "r")
        with pytest.raises(PhotcodeError, match="only average filter"):
            drop_filter(store, "g")
