"""The scheme of the original: good nights, exposures of poor ones, images of poor exposures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.cli.relphot import relphot as command
from dvo.ingest.detections import InputImage
from dvo.partition.check import check
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from tests.synth import add_images, make_database, make_images

N = 24
NIGHT = np.arange(N) // 12  # six exposures in each of two filters
OPTIONS = RelphotOptions(("g", "r"), loops=30, is_classic=True)


def shifts() -> np.ndarray:
    """Two nights with a zero point each; in the second one clouds come and go in filter g."""
    clouds = np.random.default_rng(5).uniform(0.2, 1.0, N)
    is_cloudy = (NIGHT == 1) & (np.arange(N) % 2 == 0)
    return np.array([0.05, -0.08])[NIGHT] + np.where(is_cloudy, clouds, 0.0)


def shifted(image: InputImage, k: int) -> InputImage:
    """An image of its night, as bright as it was then."""
    found = image.detections
    mag = (found.columns["mag"] + shifts()[k]).astype(np.float32)
    when = 57000.0 + NIGHT[k] + (k % 12) / 100.0
    return replace(image, meta=replace(image.meta, mjd=when),
                   detections=replace(found, columns={**found.columns, "mag": mag}))  # fmt: skip


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    path = make_database(tmp_path_factory.mktemp("classic") / "sky")
    images = make_images(3, 150, N)
    with Store(path, writable=True) as store:
        add_images(store, [shifted(image, k) for k, image in enumerate(images)])
    return path


def test_nights_own_what_is_clear_and_exposures_the_rest(catdir):
    with Store(catdir, writable=True) as store:
        report = relphot(store, OPTIONS)
        image = store.view().read(IMAGE, ALL_SKY)
    assert len(report.each_round) == 30
    assert not report.is_converged
    assert report.n_images == N
    is_cloudy = (NIGHT == 1) & (np.arange(N) % 2 == 0)
    of_night = (image["flags"] & np.uint32(ImageFlag.TGROUP_PHOTCAL)) != 0
    np.testing.assert_array_equal(of_night, ~is_cloudy)
    owned = (ImageFlag.TGROUP_PHOTCAL, ImageFlag.MOSAIC_PHOTCAL, ImageFlag.IMAGE_PHOTCAL)
    counts = sum((image["flags"] & np.uint32(flag)) != 0 for flag in owned)
    assert (counts == 1).all()  # each image has one level
    for k in (0, 1):
        off = (image["mcal_psf"] - shifts())[k::2]
        assert np.abs(off - np.median(off)).max() < 0.02
    for night in (0, 1):  # a night is one number
        some = (night == NIGHT) & of_night & (np.arange(N) % 2 == 1)
        assert np.ptp(image["mcal_psf"][some]) < 1e-6
    assert check(catdir, deep=True).ok


def test_few_loops_leave_all_images_to_their_nights(catdir):
    with Store(catdir) as store:
        few = relphot(store, replace(OPTIONS, loops=5, dry_run=True))
        many = relphot(store, replace(OPTIONS, dry_run=True))
    assert len(few.each_round) == 5
    assert few.chi2_dof > 2 * many.chi2_dof


def test_the_scheme_goes_with_its_solver(catdir):
    words = [str(catdir), "--filters", "g", "--dry-run", "--json", "--scheme", "classic"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 2
    assert "--solver alternate" in done.output
    done = CliRunner().invoke(command, [*words, "--solver", "alternate"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert (said["rounds"], said["n_images"]) == (20, N // 2)
