"""Merging carries satellite tables: the same rows as if all had been added to one database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.merge.merge import MergeOptions, merge
from dvo.merge.selection import Selection
from dvo.partition.bounds import Cone
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store, create_store
from dvo.reshape.extract import extract
from dvo.tables.galphot import GALPHOT
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.measure import MEASURE
from dvo.tables.missing import MISSING
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.starpar import STARPAR
from tests import synth
from tests.synth_satellites import add_to_measures, assert_means

GIVEN = (GALPHOT, LENSING, MISSING)


def database(path: Path, images: list[Any], level: int = 4, *, starpar: int = 0) -> Path:
    """Exposures with a row of each table for each measure; StarPar for those of one exposure."""
    synth.make_database(path, level)
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
        ids = store.view().images["image_id"].tolist()
        for schema in GIVEN:
            add_to_measures(store, schema, ids)
        if starpar:
            add_to_measures(store, STARPAR, [starpar])
    return path


def rows_by_detections(path: Path, schema: Any) -> dict[Any, Any]:
    """Rows of a table by the detections of their object, with values and without numbers."""
    with Store(path) as store:
        found = check(store, deep=True)
        assert found.faults == []
        view = store.view()
        assert_means(view)
        images = view.read(IMAGE, -1)
        names = dict(zip(images["image_id"].tolist(), images["name"].tolist(), strict=True))
        names[0] = b""
        codes = {p.code: p.name for p in view.photcodes}
        own = [n for n in schema.stored_names if n not in
               ("ave_ref", "obj_id", "cat_id", "old_im_id")]  # fmt: skip
        out: dict[Any, Any] = {}
        for region in view.regions():
            measure, table = view.read(MEASURE, region), view.read(schema, region)
            members: dict[int, set[Any]] = {}
            for ref, image, det in zip(
                *(measure[n].tolist() for n in ("ave_ref", "image_id", "det_id")), strict=True
            ):
                members.setdefault(ref, set()).add((names[image], det))
            for k in range(len(table)):
                values = {n: table[n][k] for n in own}
                if "image_id" in values:
                    values["image_id"] = names[int(values["image_id"])]
                if "photcode" in values:
                    values["photcode"] = codes[int(values["photcode"])]
                key = frozenset(members[int(table["ave_ref"][k])])
                out.setdefault(key, []).append(tuple(map(str, values.values())))
    return {key: sorted(rows) for key, rows in out.items()}


def take_in(target: Path, *sources: Path, **options: Any) -> None:
    with Store(target, writable=True) as store:
        for path in sources:
            with Store(path) as source:
                assert merge(store, source, MergeOptions(**options)).finished


@pytest.mark.parametrize(
    "field", ["edge", *(pytest.param(f, marks=pytest.mark.slow) for f in ("pole", "wrap"))]
)
def test_merged_rows_are_those_of_one_database(tmp_path: Path, field: str) -> None:
    images = synth.make_images(1, 60, 6, field)
    one = database(tmp_path / "one", images)
    parts = [database(tmp_path / str(k), images[k::2], 3 + k) for k in range(2)]
    for order in ((0, 1), (1, 0)):
        target = synth.make_database(tmp_path / f"m{order[0]}")
        take_in(target, *(parts[k] for k in order), batch_rows=50)
        for schema in GIVEN:
            assert rows_by_detections(target, schema) == rows_by_detections(one, schema)
        take_in(target, *parts)
        for schema in (*GIVEN, LENSOBJ):
            found, wanted = (rows_by_detections(p, schema) for p in (target, one))
            assert found.keys() == wanted.keys()
            assert all(len(found[k]) == len(v) for k, v in wanted.items())


def test_a_source_that_has_grown_brings_what_is_new(tmp_path: Path) -> None:
    images = synth.make_images(1, 60, 4)
    source = database(tmp_path / "a", images[:2])
    target = synth.make_database(tmp_path / "m")
    take_in(target, source)
    with Store(target, writable=True) as store:
        resort(store)
    with Store(source, writable=True) as store:
        synth.add_images(store, images[2:])
        for schema in GIVEN:
            add_to_measures(store, schema, [3, 4])
    take_in(target, source)
    for schema in GIVEN:
        assert rows_by_detections(target, schema) == rows_by_detections(source, schema)


def test_rows_without_image_come_once(tmp_path: Path) -> None:
    images = synth.make_images(1, 60, 4)
    one = database(tmp_path / "a", images[:2], starpar=1)
    two = database(tmp_path / "b", images[2:], starpar=2)
    target = synth.make_database(tmp_path / "m")
    take_in(target, one, two, one)
    rows = rows_by_detections(target, STARPAR)
    assert {len(found) for found in rows.values()} == {1}
    first = rows_by_detections(one, STARPAR)
    # The first database says what counts; the second has stars that it lacks.
    assert sum(any(r in found for found in first.values()) for (r,) in rows.values()) == len(first)
    assert len(rows) > len(first)


def test_numbers_become_those_of_the_database(tmp_path: Path) -> None:
    images = synth.make_images(1, 40, 4)
    source = database(tmp_path / "a", images[2:])
    target = synth.make_database(tmp_path / "m")
    with Store(target, writable=True) as store:
        synth.add_images(store, images[:2])
    take_in(target, source)
    with Store(target) as store:
        view = store.view()
        for region in view.regions():
            table = view.read(LENSING, region)
            assert set(table["image_id"].tolist()) <= {3, 4}
            assert (table["old_im_id"] == table["image_id"] - 2).all()


def test_means_are_in_filters_of_photcodes_that_are_new(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 40, 2))
    target = tmp_path / "m"
    create_store(target, level=4, photcodes=PhotcodeTable(synth.photcodes().sec))
    take_in(target, source)
    assert rows_by_detections(target, LENSOBJ) == rows_by_detections(source, LENSOBJ)


def test_a_part_has_the_rows_of_its_measures(tmp_path: Path) -> None:
    source = database(tmp_path / "a", synth.make_images(1, 60, 4), starpar=1)
    area = Cone(*synth.FIELDS["edge"], 0.2)
    with Store(source) as store:
        codes = tuple(p.code for p in store.view().photcodes if p.name == "SYNTH.g.C00")
        extract(store, tmp_path / "part", Selection(area=area, photcodes=codes))
        extract(store, tmp_path / "all", Selection())
    for schema in (GALPHOT, LENSING, LENSOBJ, MISSING, STARPAR):
        assert rows_by_detections(tmp_path / "all", schema) == rows_by_detections(source, schema)
    assert rows_by_detections(tmp_path / "part", MISSING) == {}
    with Store(tmp_path / "part") as store:
        view = store.view()
        n = sum(view.n_rows(MEASURE, r) for r in view.regions())
        assert n > 0
        for schema in (GALPHOT, LENSING):
            assert sum(view.n_rows(schema, r) for r in view.regions()) == n
            for region in view.regions():
                ours = np.sort(view.read(schema, region)["det_id"])
                assert ours.tolist() == np.sort(view.read(MEASURE, region)["det_id"]).tolist()
