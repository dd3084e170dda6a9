"""Satellite rows go where the measures of their detections go, in the same commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dvo.errors import ShapeError
from dvo.ingest.detections import InputImage
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.selection import Selection
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from tests.synth import add_images, make_database, make_images
from tests.synth_satellites import assert_links, assert_means, with_satellites

Row = tuple[int, int, int, float]


def stored(view: View, schema: TableSchema, value: str) -> list[Row]:
    """Image, detection, model and value of every row, each checked against its measure."""
    out: list[Row] = []
    for region in view.regions():
        table, measure = view.read(schema, region), view.read(MEASURE, region)
        names = ("cat_id", "obj_id", "ave_ref")
        object_of = dict(zip(
            zip(measure["image_id"].tolist(), measure["det_id"].tolist(), strict=True),
            zip(*(measure[n].tolist() for n in names), measure["photcode"].tolist(), strict=True),
            strict=True,
        ))  # fmt: skip
        for k in range(len(table)):
            image, det = int(table["image_id"][k]), int(table["det_id"][k])
            own = object_of[image, det]
            assert tuple(int(table[n][k]) for n in names) == own[:3]
            if "photcode" in schema:
                assert int(table["photcode"][k]) == own[3]
            model = int(table["model_type"][k]) if "model_type" in schema else 0
            out.append((image, det, model, float(table[value][k])))
    return sorted(out)


def expected(images: Sequence[InputImage], numbers: Sequence[int], k: int) -> list[Row]:
    """The rows of the input, those of detections that are there."""
    out: list[Row] = []
    for image, number in zip(images, numbers, strict=True):
        rows = image.satellites[k]
        value = rows.columns["mag" if k == 0 else "x11_sm_obj"].tolist()
        model = rows.columns["model_type"].tolist() if k == 0 else [0] * len(rows)
        known = set(image.detections.columns["det_id"].tolist())
        out += [
            (number, d, m, v)
            for d, m, v in zip(rows.det_id.tolist(), model, value, strict=True)
            if d in known
        ]
    return sorted(out)


def assert_sound(store: Store) -> None:
    """Links, counts and means of Lensing are right, and `dvo check` agrees."""
    for satellite in SATELLITES:
        assert_links(store.view(), satellite)
    assert_means(store.view())
    assert not check(store, deep=True).faults


@pytest.fixture
def images() -> list[InputImage]:
    """Four exposures at a corner of regions."""
    return [with_satellites(i, k) for k, i in enumerate(make_images(5, 60, 4))]


@pytest.mark.parametrize("batch_rows", [1, 90, 1000])
@pytest.mark.parametrize("compact_parts", [0, 2])
def test_rows_belong_to_the_objects_of_their_detections(
    tmp_path: Path, images: list[InputImage], batch_rows: int, compact_parts: int
) -> None:
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        report = add_images(store, images, batch_rows=batch_rows, compact_parts=compact_parts)
        view = store.view()
        assert len(view.regions()) > 1
        assert stored(view, GALPHOT, "mag") == expected(images, [1, 2, 3, 4], 0)
        assert stored(view, LENSING, "x11_sm_obj") == expected(images, [1, 2, 3, 4], 1)
        assert report.n_satellites == {
            name: sum(len(i.satellites[k]) for i in images)
            for k, name in enumerate(("GalPhot", "Lensing"))
        }
        assert report.n_dropped == {}
        assert_sound(store)


@pytest.mark.parametrize("field", ["pole", "wrap"])
def test_rows_do_not_depend_on_the_partition(tmp_path: Path, field: str) -> None:
    images = [with_satellites(i, k) for k, i in enumerate(make_images(5, 60, 3, field))]
    found = []
    for level in (0, 2, 4, 5):
        with Store(make_database(tmp_path / str(level), level), writable=True) as store:
            add_images(store, images)
            found.append((stored(store.view(), GALPHOT, "mag"),
                          stored(store.view(), LENSING, "x11_sm_obj")))  # fmt: skip
            assert_sound(store)
    assert all(rows == found[0] for rows in found)
    assert found[0][0] == expected(images, [1, 2, 3], 0)


def test_counts_stay_when_catalogs_are_written_whole(tmp_path: Path) -> None:
    """Catalogs with many patches are written anew by addstar, with the columns it knows."""
    images = make_images(5, 30, 30)
    mixed = [with_satellites(i, k) if k % 5 == 0 else i for k, i in enumerate(images)]
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        add_images(store, mixed, batch_rows=1, compact_parts=0)
        assert_sound(store)


def test_rows_of_detections_that_are_not_there_are_counted(
    tmp_path: Path, images: list[InputImage]
) -> None:
    image = with_satellites(images[0], 7, lost=[5000, 5001, 5001])
    # And a selection takes others away.
    flags = (image.detections.columns["det_id"] % 2).astype(np.uint32)
    image.detections.columns["phot_flags"] = flags
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        report = add_images(store, [image], selection=Selection(exclude_flags=1))
        kept = set(image.detections.columns["det_id"][flags == 0].tolist())
        for k, (schema, value) in enumerate([(GALPHOT, "mag"), (LENSING, "x11_sm_obj")]):
            rows = [row for row in expected([image], [1], k) if row[1] in kept]
            assert stored(store.view(), schema, value) == rows
            reason = f"rows of {schema.name} whose detection is not in"
            assert report.n_dropped[reason] == len(image.satellites[k]) - len(rows)


def test_images_without_rows_beside_images_with(tmp_path: Path, images: list[InputImage]) -> None:
    mixed = [replace(images[0], satellites=[]), images[1],
             replace(images[2], satellites=images[2].satellites[:1])]  # fmt: skip
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        add_images(store, mixed)
        view = store.view()
        assert stored(view, GALPHOT, "mag") == expected([images[1], images[2]], [2, 3], 0)
        assert stored(view, LENSING, "x11_sm_obj") == expected([images[1]], [2], 1)


def test_skipped_images_add_nothing(tmp_path: Path, images: list[InputImage]) -> None:
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        add_images(store, images)
        before = stored(store.view(), GALPHOT, "mag")
        report = add_images(store, images)
        assert (report.n_skipped, report.n_satellites) == (4, {})
        assert stored(store.view(), GALPHOT, "mag") == before


def test_a_replaced_image_brings_its_own(tmp_path: Path, images: list[InputImage]) -> None:
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        add_images(store, images)
        other = with_satellites(make_images(6, 60, 2)[1], 11)
        report = add_images(store, [other], replace=True)
        assert report.n_replaced == 1
        kept = [images[0], images[2], images[3], other]
        for k, (schema, value) in enumerate([(GALPHOT, "mag"), (LENSING, "x11_sm_obj")]):
            assert stored(store.view(), schema, value) == expected(kept, [1, 3, 4, 5], k)
        assert_sound(store)


def test_a_column_that_images_give_in_part(tmp_path: Path, images: list[InputImage]) -> None:
    first = images[0].satellites[1]
    other = {"e1_psf": np.ones(len(first), np.float32)}
    mixed = [
        replace(images[0], satellites=[SatelliteRows(LENSING, first.det_id, other)]),
        images[1],
    ]
    with Store(make_database(tmp_path / "db"), writable=True) as store:
        add_images(store, mixed)
        tables = [store.view().read(LENSING, r) for r in store.view().regions()]
        from_first = np.concatenate([t["image_id"] == 1 for t in tables])
        values = {n: np.concatenate([t[n] for t in tables]) for n in ("e1_psf", "x11_sm_obj")}
        assert np.array_equal(np.isnan(values["x11_sm_obj"]), from_first)
        assert np.array_equal(np.isnan(values["e1_psf"]), ~from_first)


def test_readers_give_only_what_is_theirs() -> None:
    ids = np.arange(3, dtype=np.uint32)
    ok = np.zeros(3, np.float32)
    assert len(SatelliteRows(GALPHOT, ids, {"mag": ok})) == 3
    for columns in ({"obj_id": ids}, {"nonsense": ok}, {"mag": ok[:2]}, {"mag": ok.astype("f8")}):
        with pytest.raises(ShapeError):
            SatelliteRows(GALPHOT, ids, columns)
    with pytest.raises(ShapeError):
        SatelliteRows(GALPHOT, ids.astype(np.int64), {})
