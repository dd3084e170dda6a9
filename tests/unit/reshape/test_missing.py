"""dvo missing against brute force: astropy's WCS, one object and image after the other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from click.testing import CliRunner

from dvo.astrometry.coords import AstromCoords
from dvo.cli.main import dvo_command
from dvo.errors import QueryError
from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.store import Store
from dvo.proper_motion import move_to_epoch
from dvo.reshape.delete import delete_images
from dvo.reshape.missing import MissingOptions, find_missing
from dvo.reshape.sources import ImageChoice
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.missing import MISSING
from dvo.tables.photcode import PhotClass
from dvo.tables.secfilt import SECFILT
from tests import synth

SIZE, SCALE = 1200, 1.0 / 3600  # of images [pix] and pixels [deg]


def field_image(stars: synth.Stars, k: int, field: str, limit: float = 20.0) -> InputImage:
    """Exposure k of part of the stars, with astrometry, a little off the one before."""
    image = synth.make_image(np.random.default_rng(k), stars, k, seen=0.7, band="gr"[k % 2])
    ra0, dec0 = synth.FIELDS[field]
    shift = 0.02 * k
    coords = AstromCoords("RA---TAN", (ra0, min(90.0, dec0 + shift)),
                          (SIZE / 2 + 0.5, SIZE / 2 + 0.5), (-SCALE, SCALE))  # fmt: skip
    meta = replace(image.meta, nx=SIZE, ny=SIZE, coords=coords, detection_limit=limit)
    return InputImage(meta, image.detections, {})


def wcs_of(image: InputImage) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = image.meta.coords.crval
    wcs.wcs.crpix = image.meta.coords.crpix
    wcs.wcs.cdelt = [-SCALE, SCALE]
    return wcs


@pytest.fixture(params=["edge", "pole", "wrap"])
def made(request, tmp_path: Path) -> tuple[Path, list[InputImage]]:
    field = request.param
    stars = synth.make_stars(np.random.default_rng(8), 250, field)
    images = [field_image(stars, k, field) for k in range(5)]
    path = synth.make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
    return path, images


def expected(store: Store, images: list[InputImage], *, least: int = 2, border: float = 10.0,
             limit: float = 20.0) -> dict[tuple[int, int, int], tuple[float, float]]:  # fmt: skip
    """Image and object of every row that should be, with the place on the image."""
    view = store.view()
    table = view.read(IMAGE, -1)
    ids = {n.decode().rstrip(): int(i) for n, i in zip(table["name"], table["image_id"],
                                                       strict=True)}  # fmt: skip
    out = {}
    for region in view.regions():
        average, secfilt, measure = (view.read(t, region) for t in (AVERAGE, SECFILT, MEASURE))
        for image in images:
            number = ids[image.meta.name]
            k = "gr".index(image.meta.photcode.split(".")[1])
            seen = set(measure["ave_ref"][measure["image_id"] == number].tolist())
            for i in range(len(average)):
                mag, n = secfilt["mag"][2 * i + k], secfilt["ncode"][2 * i + k]
                if i in seen or not mag < limit or n < least:
                    continue
                ra, dec = average["ra"][i], average["dec"][i]
                x, y = (float(v) for v in wcs_of(image).wcs_world2pix(ra, dec, 1))
                if all(0.5 + border <= v <= SIZE + 0.5 - border for v in (x, y)):
                    key = (number, int(average["cat_id"][i]), int(average["obj_id"][i]))
                    out[key] = (x, y)
    return out


def rows(store: Store) -> dict[tuple[int, int, int], dict[str, Any]]:
    view, out = store.view(), {}
    for region in view.regions():
        table = view.read(MISSING, region)
        for k in range(len(table)):
            key = tuple(int(table[n][k]) for n in ("image_id", "cat_id", "obj_id"))
            assert key not in out
            out[key] = {n: table[n][k] for n in MISSING.names}
    return out


def test_rows_are_those_of_brute_force(made) -> None:
    path, images = made
    with Store(path, writable=True) as store:
        wanted = expected(store, images)
        report = find_missing(store)
        found = rows(store)
        assert found.keys() == wanted.keys()
        assert len(found) > 20
        for key, (x, y) in wanted.items():
            assert (found[key]["x_ccd"], found[key]["y_ccd"]) == pytest.approx((x, y), abs=2e-3)
            assert found[key]["mag"] < found[key]["mag_limit"] == 20.0
        assert (report.n_images, report.n_rows) == (5, len(found))
        assert check(store, deep=True).faults == []


def test_options_choose_objects_and_images(made) -> None:
    path, images = made
    with Store(path, writable=True) as store:
        wanted = expected(store, images[1:2], least=1, border=150.0, limit=18.0)
        options = MissingOptions(
            ImageChoice(names=("synth-0001",)), min_measures=1, border_pix=150.0, limit_mag=18.0
        )
        report = find_missing(store, options)
        assert rows(store).keys() == wanted.keys()
        assert report.n_images == 1


def test_images_are_looked_at_once_in_any_batches(made) -> None:
    path, images = made
    with Store(path, writable=True) as store:
        wanted = expected(store, images)
        first = find_missing(store, MissingOptions(batch_images=2))
        assert rows(store).keys() == wanted.keys()
        newest = store.view().snapshot.id
        again = find_missing(store)
        assert (again.n_images, again.left_out) == (0, {"looked at before": 5})
        assert store.view().snapshot.id == newest == first.snapshot
        rollback(store, newest - 3)
        assert rows(store) == {}
        find_missing(store)
        assert rows(store).keys() == wanted.keys()


def test_rows_go_with_their_image(made) -> None:
    path, _ = made
    with Store(path, writable=True) as store:
        find_missing(store)
        delete_images(store, ImageChoice(names=("synth-0002",)))
        assert {key[0] for key in rows(store)} <= {1, 2, 4, 5}
        assert check(store, deep=True).faults == []


def test_instrumental_limits_are_brought_to_the_level_of_means(tmp_path: Path) -> None:
    """What psphot states is below 0: 30 s, zero point 25.1 where 25.0 is nominal."""
    stars = synth.make_stars(np.random.default_rng(8), 150)
    images = [field_image(stars, k, "edge") for k in range(6)]
    limit = 19.0 - 25.1 - 2.5 * np.log10(30.0)
    metas = [replace(i.meta, detection_limit=limit, zero_point=25.1) for i in images]
    images = [replace(i, meta=m) for i, m in zip(images, metas, strict=True)]
    with Store(synth.make_database(tmp_path / "sky"), writable=True) as store:
        synth.add_images(store, images)
        find_missing(store)
        found = rows(store)
        assert found
        assert all(r["mag_limit"] == pytest.approx(19.0, abs=1e-4) for r in found.values())
        assert found.keys() == expected(store, images, limit=19.0).keys()


def test_objects_are_looked_for_where_they_have_moved_to(tmp_path: Path) -> None:
    stars = synth.make_stars(np.random.default_rng(8), 60)
    images = [field_image(stars, k, "edge") for k in range(6)]
    n = len(stars)
    motion = {"u_ra": np.full(n, 300.0, np.float32), "u_dec": np.full(n, -200.0, np.float32)}
    columns = motion | {
        "det_id": np.arange(n, dtype=np.uint32),
        "mag": stars.mag.astype(np.float32),
    }
    survey = InputImage(RefSource("CAT.V", 57000.0, "survey", "0" * 32),
                        Detections(stars.ra, stars.dec, columns), {})  # fmt: skip
    with Store(synth.make_database(tmp_path / "sky"), writable=True) as store:
        put_photcodes(store, store.view().photcodes.add("CAT.V", PhotClass.REF), "photcode", {})
        synth.add_images(store, [survey, *images])
        find_missing(store)
        found = rows(store)
        assert found
        view = store.view()
        for region in view.regions():
            average = view.read(AVERAGE, region)
            for i in range(len(average)):
                keys = [k for k in found if k[1:] == (average["cat_id"][i], average["obj_id"][i])]
                for key in keys:
                    epochs = [2000 + (s / 86400 + 40587 - 51544.5) / 365.25
                              for s in (average["mean_epoch"][i], found[key]["time"])]  # fmt: skip
                    ra, dec = move_to_epoch(
                        *(average[c][i : i + 1] for c in ("ra", "dec")), np.array([300.0]),
                        np.array([-200.0]), *epochs,
                    )  # fmt: skip
                    assert found[key]["ra"] == pytest.approx(ra[0], abs=1e-8)
                    assert found[key]["dec"] == pytest.approx(dec[0], abs=1e-8)


def test_images_that_cannot_be_looked_at_are_named(tmp_path: Path) -> None:
    stars = synth.make_stars(np.random.default_rng(8), 60)
    images = [field_image(stars, k, "edge") for k in range(3)]
    images[0] = replace(images[0], meta=replace(images[0].meta, coords=None))
    images[1] = replace(images[1], meta=replace(images[1].meta, detection_limit=float("nan")))
    path = synth.make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        synth.add_images(store, images)
    words = ["missing", str(path), "--min-measures", "1", "--json"]
    done = CliRunner().invoke(dvo_command, words)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["n_images"] == 1
    assert report["left_out"] == {
        "without astrometry or size": 1,
        "without a detection limit": 1,
    }
    done = CliRunner().invoke(dvo_command, ["missing", str(path), "--limit", "19"])
    assert "1 image looked at" in done.output
    assert "left out: 1 image looked at before" in done.output


@pytest.mark.parametrize(
    ("options", "words"),
    [({"min_measures": 0}, "0 measures"), ({"border_pix": -1.0}, "border of -1.0"),
     ({"limit_mag": float("nan")}, "limit of nan")],
)  # fmt: skip
def test_senseless_options_are_refused(options, words) -> None:
    with pytest.raises(QueryError, match=words):
        MissingOptions(**options)
