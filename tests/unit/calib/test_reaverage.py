"""Means made anew alone, of all catalogs and of changed ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.images import ImageSelection
from dvo.calib.photometry.levels import Level
from dvo.calib.photometry.reaverage import reaverage
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.cli.relphot import relphot as command
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, assert_same, contents, make_database, make_images

BOTH = ("g", "r")


@pytest.fixture
def catdir(tmp_path):
    path = make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        add_images(store, make_images(3, 120, 8))
    return path


def test_after_a_calibration_nothing_is_left_to_average(catdir):
    with Store(catdir, writable=True) as store:
        relphot(store, RelphotOptions(BOTH))
        before = contents(store.view())
        report = reaverage(store, BOTH)
        assert_same(contents(store.view()), before)
        assert report.n_means > 0
        assert reaverage(store, BOTH, since=report.snapshot).n_regions == 0


def test_what_was_added_since_is_averaged_as_a_whole_calibration_would(catdir):
    with Store(catdir, writable=True) as store:
        relphot(store, RelphotOptions(BOTH))
        tag = store.view().snapshot.id
        add_images(store, make_images(5, 60, 2, first=9))
        some = reaverage(store, BOTH, since=tag)
        means = {r: store.view().read(SECFILT, r)["mag"] for r in store.view().regions()}
        assert 0 < some.n_regions <= len(means)
        assert reaverage(store, BOTH).n_regions == len(means)
        for region, mag in means.items():
            np.testing.assert_array_equal(store.view().read(SECFILT, region)["mag"], mag)


def test_a_selection_changes_its_images_only_and_takes_the_level_of_the_others(catdir):
    with Store(catdir, writable=True) as store:
        relphot(store, RelphotOptions(BOTH))
        view = store.view()
        before = view.read(IMAGE, ALL_SKY)
        time = before["time"]
        later = ImageSelection(first=float(np.sort(time)[5]))
        report = relphot(store, RelphotOptions(BOTH, selection=later))
        after = store.view().read(IMAGE, ALL_SKY)
        chosen = later.holds(before)
        assert 0 < chosen.sum() < len(chosen)
        assert (report.n_images, report.n_frozen) == (chosen.sum(), (~chosen).sum())
        assert report.floating == 0
        for name in ("mcal_psf", "dmcal", "flags", "n_fit_photom", "ubercal_dist"):
            np.testing.assert_array_equal(after[name][~chosen], before[name][~chosen])
        np.testing.assert_allclose(after["mcal_psf"], before["mcal_psf"], atol=0.02)
        for region in store.view().regions():
            measure = store.view().read(MEASURE, region)
            of = measure["image_id"].astype(int) - 1
            np.testing.assert_array_equal(measure["m_cal"], after["mcal_psf"][of])


def test_a_selection_by_place_reads_the_catalogs_of_its_images_only(catdir):
    with Store(catdir, writable=True) as store:
        images = store.view().read(IMAGE, ALL_SKY)
        here = Cone(float(images["ra_center"][0]), float(images["dec_center"][0]), 0.01)
        report = relphot(store, RelphotOptions(BOTH, selection=ImageSelection(here)))
        assert report.n_images >= 1
        nowhere = ImageSelection(Cone(10.0, -80.0, 0.1))
        report = relphot(store, RelphotOptions(BOTH, selection=nowhere))
        assert (report.n_images, report.n_measures, report.n_means) == (0, 0, 0)


def test_levels_and_averages_by_command(catdir):
    def run(*words):
        done = CliRunner().invoke(command, [str(catdir), "--filters", "g,r", *words])
        return done.exit_code, done.output

    for levels in ("exposures", "nights", "nights,images"):
        code, text = run("--solve", levels, "--json")
        assert code == 0, text
        assert json.loads(text)["n_images"] == 8
    assert json.loads(run("--solver", "alternate", "--loops", "30", "--json")[1])["rounds"] == 30
    assert json.loads(run("--averages", "--json")[1])["n_means"] > 0
    assert "made anew" in run("--averages", "--since", "1")[1]
    code, text = run("--solve", "weeks")
    assert code == 2
    assert "there are nights, exposures, images" in text
    assert run("--since", "1")[0] == 2
    assert Level("nights") is Level.NIGHT
