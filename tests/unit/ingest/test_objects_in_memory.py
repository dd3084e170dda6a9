"""Objects that addstar keeps in memory from batch to batch: none of it shows in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.ingest import addstar as addstar_module
from dvo.ingest import object_rows
from dvo.ingest.detections import InputImage
from dvo.ingest.objects import ObjectSet
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from tests import synth

FIELD = "edge"  # where four regions meet, so that objects of several are mixed


def exposures(n: int) -> list[InputImage]:
    """Exposures of which every third, from the fourth on, has aperture magnitudes."""
    rng = np.random.default_rng(5)
    stars = synth.make_stars(rng, 60, FIELD)
    # Half of the stars are seen: several are new in each of the first exposures.
    images = [synth.make_image(rng, stars, k, seen=0.5, band="gr"[k % 2]) for k in range(n)]
    for image in images[3::3]:
        columns = image.detections.columns
        columns["m_aper"] = columns["mag"] + np.float32(0.5)
        columns["m_aper_err"] = columns["mag_err"].copy()
    return images


def database(path: Path, runs: list[list[InputImage]], **options: Any) -> dict[str, Any]:
    """What a database holds after some runs, each in a process of its own as it were."""
    synth.make_database(path)
    for images in runs:
        with Store(path, writable=True) as store:
            synth.add_images(store, images, **options)
    with Store(path) as store:
        assert check(store, deep=True).ok
        return synth.ordered(synth.contents(store.view()))


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    """The database of one run."""
    return database(tmp_path / "whole", [exposures(8)], batch_rows=1)


def test_forgetting_objects_after_every_batch_changes_nothing(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addstar_module, "_MOST_BYTES", 1)
    synth.assert_same(whole, database(tmp_path / "cat", [exposures(8)], batch_rows=1))


@pytest.mark.parametrize("first", [1, 2, 5])
def test_magnitudes_that_come_late_in_a_run_find_their_objects(
    tmp_path: Path, whole: dict[str, Any], first: int
) -> None:
    # In the second run objects of stored catalogs and new ones are in memory, in the order
    # of loading and of making, when the first aperture magnitudes come.
    images = exposures(8)
    found = database(tmp_path / "cat", [images[:first], images[first:]], batch_rows=1)
    synth.assert_same(whole, found)


def test_a_catalog_with_many_patches_is_written_whole_with_means_not_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_rows, "_MOST_PATCHES", 3)
    images = exposures(16)
    no_apertures = [i for i in images[8:] if "m_aper" not in i.detections.columns]
    path = tmp_path / "cat"
    found = database(path, [images[:8], no_apertures], batch_rows=1)
    with Store(path) as store:
        view = store.view()
        n_patches = [sum(p.kind == "patch" for p in view.parts(AVERAGE, r)) for r in view.regions()]
    monkeypatch.setattr(object_rows, "_MOST_PATCHES", 1000)
    synth.assert_same(
        database(tmp_path / "patched", [images[:8], no_apertures], batch_rows=1), found
    )
    assert max(n_patches) <= 6  # two for each batch since the last time


def test_the_regions_used_last_stay_in_memory(tmp_path: Path) -> None:
    path = synth.make_database(tmp_path / "cat")
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(1, 60, 1, FIELD))
        view = store.view()
        objects = ObjectSet(view)
        regions = view.regions()
        objects.load(regions[:-1], ["psf"])
        objects.load(regions[-1:], ["psf"])
        expected = view.read(AVERAGE, regions[-1])
        objects.shed(1)
        assert objects.regions == regions[-1:]
        assert objects.n == len(expected)
        assert objects.ra[: objects.n].tolist() == expected["ra"].tolist()
        assert objects.slots(np.array(regions)).tolist() == [-1] * (len(regions) - 1) + [0]
