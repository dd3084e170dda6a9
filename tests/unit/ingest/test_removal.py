"""Replacing an image: as if the one before had never been, and at the cost of its own sky."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.ingest.detections import InputImage
from dvo.partition.check import check
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests import synth
from tests.synth_objects import (
    J2000,
    YEAR,
    add,
    assert_same_objects,
    compact,
    database,
    exposure,
    objects,
    survey,
)


@pytest.mark.parametrize("compacted", [False, True], ids=["loose", "sorted"])
@pytest.mark.parametrize("match_mjd", [None, J2000 + 15 * YEAR], ids=["own epoch", "2015"])
def test_a_replaced_image_leaves_no_trace(tmp_path: Path, compacted: bool, match_mjd) -> None:
    """Means, errors, epochs and motions are those of a database that never had it, to the bit."""
    stars = synth.make_stars(np.random.default_rng(5), 60)
    faint = survey(stars, "one", 1991.25, 1, 0.5)
    exact = survey(stars, "two", 2016.0, 2, 0.7)
    images = [exposure(stars, k) for k in range(6)]
    better = exposure(stars, 2, version=1)
    tidy = [compact] if compacted else []
    # Motions become known in the midst; the image comes back after all others.
    before = [add(*images[:2]), add(faint, match_epoch_mjd=match_mjd)]
    after = [add(images[3]), *tidy, add(exact, match_epoch_mjd=match_mjd), add(*images[4:]), *tidy]
    with_it = [*before, add(images[2]), *after, add(better, replace=True)]
    without = [*before, *after, add(better)]
    one, two = database(tmp_path / "one", with_it), database(tmp_path / "two", without)
    assert_same_objects(one, two)
    with Store(two) as store:
        (u_ra,) = {np.isfinite(f["u_ra"]) for f in objects(store.view()).values()} - {False}
        assert u_ra


def test_the_first_image_of_objects_leaves_their_place_only(tmp_path: Path) -> None:
    """What an image has made keeps its numbers; its means rest on the others."""
    stars = synth.make_stars(np.random.default_rng(6), 40)
    images = [exposure(stars, k) for k in range(3)]
    empty = images[0].detections.take(np.empty(0, np.int64))
    gone = InputImage(replace(images[0].meta, content="f" * 32), empty, {})
    one = database(tmp_path / "one", [add(*images), add(gone, replace=True)])
    two = database(tmp_path / "two", [add(gone), add(*images[1:])])
    assert_same_objects(one, two)


@pytest.mark.parametrize("field", ["middle", "pole", "wrap", "edge"])
@pytest.mark.parametrize("level", [0, 3, 4])
def test_images_are_replaced_anywhere(tmp_path: Path, field: str, level: int) -> None:
    images = synth.make_images(3, 50, 3, field)
    other = synth.make_images(4, 50, 2, field)[1]
    path = synth.make_database(tmp_path / "sky", level)
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
        synth.add_images(store, [other], replace=True)
        assert check(store, deep=True).faults == []
        counts = store.view().snapshot.counts
        sizes = [len(i.detections) for i in (images[0], images[2], other)]
        assert (counts["measures"], counts["images"]) == (sum(sizes), 3)


def regions_read(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Regions whose Measure table is read from now on."""
    seen: set[int] = set()
    real = View.read_many

    def read_many(view: View, schema: Any, regions: Any, columns: Any, **how: Any) -> Any:
        if schema.name == MEASURE.name:
            seen.update(regions)
        return real(view, schema, regions, columns, **how)

    monkeypatch.setattr(View, "read_many", read_many)
    return seen


def far_and_near(path: Path) -> tuple[Path, set[int]]:
    """A database of two fields far apart; gives the regions of the first."""
    synth.make_database(path)
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(1, 60, 3))
        near = set(store.view().regions())
        synth.add_images(store, synth.make_images(2, 400, 3, "middle", first=10))
        assert len(store.view().regions()) > len(near)
    return path, near


def test_only_the_sky_of_the_image_is_read(tmp_path: Path, monkeypatch) -> None:
    path, near = far_and_near(tmp_path / "sky")
    with Store(path, writable=True) as store:
        seen = regions_read(monkeypatch)
        synth.add_images(store, synth.make_images(3, 60, 1), replace=True)
        assert seen
        assert seen <= near
        assert check(store, deep=True).faults == []


def test_measures_are_found_where_the_circle_is_wrong(tmp_path: Path) -> None:
    """Not all that an image is said to have lies where it should: the whole sky is asked."""
    path, _ = far_and_near(tmp_path / "sky")
    with Store(path, writable=True) as store:
        images = store.view().read(IMAGE, ALL_SKY)
        images["radius"] = np.full(len(images), 1e-6, np.float32)
        images["ra_center"] = images["ra_center"] + np.where(images["image_id"] == 1, np.nan, 0.0)
        with store.begin("spoil", {}) as change:
            change.put_global(images, "Images", replace_all=True)
            change.commit()
        synth.add_images(store, synth.make_images(3, 60, 2), replace=True)
        assert check(store, deep=True).faults == []
        assert store.view().snapshot.counts["images"] == 6


def test_images_that_stay_are_not_written_again(tmp_path: Path) -> None:
    path, _ = far_and_near(tmp_path / "sky")
    with Store(path, writable=True) as store:
        before = store.view().parts(IMAGE, ALL_SKY)
        assert [p.n_rows for p in before] == [3, 3]
        names = store.view().images["name"].tolist()
        last = synth.make_images(7, 400, 3, "middle", first=10)[2]
        synth.add_images(store, [last], replace=True)
        after = store.view().parts(IMAGE, ALL_SKY)
        assert after[0] == before[0]
        assert [p.n_rows for p in after] == [3, 2, 1]
        assert store.view().images["name"].tolist() == names
