"""Replacing an image: as if the one before had never been, and at the cost of its own sky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.secfilt import SECFILT
from tests import synth

J2000, YEAR = 51544.5, 365.25
OWN_IDS = {"obj_id", "cat_id", "ext_id", "off_measure"}

Step = Callable[[Store], None]


def exposure(stars: synth.Stars, k: int, *, version: int = 0) -> InputImage:
    """Exposure k, at no orderly time, with apertures, airmass, zero point and errors."""
    rng = np.random.default_rng([k, version])
    made = synth.make_image(rng, stars, k, band="gr"[k % 2])
    meta, found = made.meta, made.detections
    assert isinstance(meta, ImageMeta)
    n = len(found)
    columns = found.columns | {
        "m_aper": found.columns["mag"] + np.float32(0.3),
        "m_aper_err": np.full(n, 0.03, np.float32),
    }
    errors = rng.uniform(0.02, 0.08, n).astype(np.float32)
    airmass, zero_point = rng.uniform(1, 2), rng.uniform(24.9, 25.1)
    mjd = 57000.0 + rng.uniform(0, 500)
    meta = replace(meta, mjd=mjd, airmass=airmass, zero_point=zero_point if k % 3 else np.nan)
    return InputImage(meta, Detections(found.ra, found.dec, columns, errors, errors.copy()), {})


def survey(stars: synth.Stars, name: str, epoch: float, seed: int, share: float) -> InputImage:
    """A reference catalog; a share of its rows have proper motions, most some epoch of their own.

    Stars have moved by then from where exposures of 2015 see them, if they are said to move.
    """
    rng = np.random.default_rng(seed)
    n = len(stars)
    moves = rng.random(n) < share
    u_ra, u_dec = (np.where(moves, rng.normal(0, 6, n), np.nan) for _ in range(2))
    own = np.where(rng.random(n) < 0.7, J2000 + (epoch - 2000 + rng.uniform(-1, 1, n)) * YEAR,
                   np.nan)  # fmt: skip
    years = np.where(np.isnan(own), epoch, 2000 + (own - J2000) / YEAR) - 2015.0
    ra = stars.ra + np.nan_to_num(u_ra) * years / 3.6e6 / np.cos(np.radians(stars.dec))
    dec = stars.dec + np.nan_to_num(u_dec) * years / 3.6e6
    errors = rng.uniform(0.01, 0.05, n).astype(np.float32)
    columns = {
        "det_id": np.arange(n, dtype=np.uint32),
        "mag": stars.mag.astype(np.float32),
        "u_ra": u_ra.astype(np.float32),
        "u_dec": u_dec.astype(np.float32),
        "par": np.full(n, 3.0, np.float32),
        "epoch_mjd": own,
    }
    source = RefSource("CAT.V", J2000 + (epoch - 2000) * YEAR, name, name.rjust(32, "0"))
    return InputImage(source, Detections(ra, dec, columns, errors, errors.copy()), {})


def add(*images: InputImage, **options: Any) -> Step:
    def step(store: Store) -> None:
        sources = [partial(synth._copies, image) for image in images]
        addstar(store, sources, AddstarOptions(compact_parts=0, **options))

    return step


def compact(store: Store) -> None:
    resort(store)


def database(path: Path, steps: list[Step], level: int = 4) -> Path:
    """A database to which this was done, one run of a program after the other."""
    synth.make_database(path, level)
    with Store(path, writable=True) as store:
        table = store.view().photcodes.add("CAT.V", PhotClass.REF)
        model = {"astrom_err_sys": 0.01, "astrom_err_scale": 1.3, "astrom_err_mag_scale": 0.5,
                 "airmass_slope": 0.13}  # fmt: skip
        odd = [replace(p, **model) if p.kind is PhotClass.DEP else p for p in table]
        put_photcodes(store, PhotcodeTable(odd), "photcode add", {})
    for step in steps:
        with Store(path, writable=True) as store:
            step(store)
    return path


def objects(view: View) -> dict[frozenset[tuple[str, int]], dict[str, Any]]:
    """All that is said of every object but its own numbers, by the detections it is made of."""
    names = dict(zip(view.images["image_id"].tolist(), view.images["name"].tolist(), strict=True))
    names |= {-c.image_id: c.identity for c in view.reference_catalogs()}
    out = {}
    for region in view.regions():
        average, secfilt, measure = (view.read(t, region) for t in (AVERAGE, SECFILT, MEASURE))
        n = view.n_secfilt
        for row in range(len(average)):
            mine = np.flatnonzero(measure["ave_ref"] == row)
            key = frozenset(
                (str(names[image or ref]), det)
                for image, ref, det in zip(
                    *(measure[c][mine].tolist() for c in ("image_id", "ref_id", "det_id")),
                    strict=True,
                )
            )
            facts = {c: average[c][row] for c in AVERAGE.names if c not in OWN_IDS}
            facts |= {c: secfilt[c][row * n : row * n + n] for c in SECFILT.names}
            out[key] = facts
    return out


def assert_same_objects(one: Path, two: Path) -> None:
    with Store(one) as a, Store(two) as b:
        found, wanted = objects(a.view()), objects(b.view())
        assert found.keys() == wanted.keys()
        for key, facts in wanted.items():
            for name, value in facts.items():
                np.testing.assert_array_equal(found[key][name], value, err_msg=f"{name} of {key}")
        assert check(a, deep=True).faults == []


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
    real = View.read

    def read(view: View, schema: Any, region: int, columns: Any = None) -> Any:
        if schema.name == MEASURE.name:
            seen.add(region)
        return real(view, schema, region, columns)

    monkeypatch.setattr(View, "read", read)
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
