"""The objects are those of the stated rule, whatever the partition and the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dvo.ingest.detections import Detections, ImageMeta, InputImage
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.measure import MEASURE
from tests import reference, synth

Groups = set[frozenset[tuple[int, int]]]

# A corner of four level-4 regions, a place on RA 0 at an edge in declination, both poles.
PLACES = {
    "corner": (112.5, 15.0),
    "wrap": (0.0, 7.5),
    "north": (17.0, 90.0),
    "south": (200.0, -90.0),
    "cap": (90.0, 88.125),
}


def crowd(seed: int, place: str, n_stars: int = 60, n_images: int = 6) -> list[InputImage]:
    """Exposures of a crowd so dense that chains of near neighbours cross all edges."""
    rng = np.random.default_rng(seed)
    ra0, dec0 = PLACES[place]
    half = 6 / 3600
    stars = rng.uniform(-half, half, (n_stars, 2))
    images = []
    for k in range(n_images):
        seen = rng.permutation(np.flatnonzero(rng.random(n_stars) < 0.8))
        xy = stars[seen] + rng.normal(0, 0.25 / 3600, (len(seen), 2))
        ra, dec = synth.to_sky(ra0, dec0, xy[:, 0], xy[:, 1])
        columns = {"det_id": np.arange(len(seen), dtype=np.uint32)}
        meta = ImageMeta(
            f"crowd-{k}", "SYNTH.g.C00", 57000.0 + k, 30.0, 1.0, f"{seed:016d}{k:016d}"
        )
        images.append(InputImage(meta, Detections(ra, dec, columns), {}))
    return images


def groups_of(view: View) -> Groups:
    """Which (image, detection) pairs belong together."""
    out: Groups = set()
    for region in view.regions():
        table = view.read(MEASURE, region, ["ave_ref", "image_id", "det_id"])
        members: dict[int, list[tuple[int, int]]] = {}
        for row in range(len(table)):
            key = (int(table["image_id"][row]), int(table["det_id"][row]))
            members.setdefault(int(table["ave_ref"][row]), []).append(key)
        out |= {frozenset(m) for m in members.values()}
    return out


def ingest(folder: Path, images: list[InputImage], level: int, n_batches: int) -> Groups:
    """Objects of a new database made of the images in so many runs of addstar."""
    catdir = synth.make_database(folder, level)
    for part in np.array_split(np.arange(len(images)), n_batches):
        with Store(catdir, writable=True) as store:
            synth.add_images(store, [images[i] for i in part], batch_rows=100)
    with Store(catdir) as store:
        return groups_of(store.view())


def expected(images: list[InputImage]) -> Groups:
    """Objects by the plain twin of the rule."""
    positions = [(i.detections.ra, i.detections.dec) for i in images]
    members: dict[int, list[tuple[int, int]]] = {}
    for k, objects in enumerate(reference.associate(positions, 1.0), start=1):
        for det, number in enumerate(objects):
            members.setdefault(number, []).append((k, det))
    return {frozenset(m) for m in members.values()}


@pytest.mark.parametrize("place", PLACES)
def test_objects_are_those_of_the_rule_at_every_level(tmp_path: Path, place: str) -> None:
    images = crowd(3, place)
    wanted = expected(images)
    assert max(len(g) for g in wanted) > 3
    for level, n_batches in ((0, 1), (2, 3), (3, 1), (4, 6)):
        found = ingest(tmp_path / f"{level}-{n_batches}", images, level, n_batches)
        assert found == wanted, f"level {level} in {n_batches} batches"


@pytest.mark.slow
def test_level_5_is_no_exception(tmp_path: Path) -> None:
    images = crowd(5, "corner", n_stars=30, n_images=3)
    assert ingest(tmp_path / "five", images, 5, 2) == expected(images)


@pytest.mark.parametrize("seed", range(5))
def test_crowds_do_not_depend_on_the_partition(tmp_path: Path, seed: int) -> None:
    images = crowd(100 + seed, "corner", n_stars=150, n_images=8)
    one = ingest(tmp_path / "one", images, 0, 1)
    assert ingest(tmp_path / "two", images, 4, 8) == one
    assert len(one) > 150


def test_order_of_detections_inside_an_image_does_not_matter(tmp_path: Path) -> None:
    images = crowd(7, "wrap")
    turned = []
    for image in images:
        found = image.detections
        rows = np.arange(len(found))[::-1].copy()
        turned.append(InputImage(image.meta, found.take(rows), {}))
    assert ingest(tmp_path / "a", images, 4, 1) == ingest(tmp_path / "b", turned, 4, 1)


def test_an_object_takes_one_detection_of_an_image_at_most(tmp_path: Path) -> None:
    images = crowd(11, "corner", n_stars=200)
    for group in ingest(tmp_path / "a", images, 3, 1):
        in_image = [image for image, _ in group]
        assert len(in_image) == len(set(in_image))


def test_the_originals_rule_lets_objects_take_several(tmp_path: Path) -> None:
    images = crowd(11, "corner", n_stars=200)
    catdir = synth.make_database(tmp_path / "a")
    with Store(catdir, writable=True) as store:
        synth.add_images(store, images, one_to_one=False)
        groups = groups_of(store.view())
    assert any(len(g) > len({image for image, _ in g}) for g in groups)
