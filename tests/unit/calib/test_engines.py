"""Calibration by engines, and by other partitions of the sky: the same parameters and rows."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from dvo.calib.astrometry.motions import MotionLimits, MotionModel
from dvo.calib.astrometry.objects import ObjectOptions
from dvo.calib.astrometry.relastro import RelastroOptions, relastro
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.calib.photometry.levels import Level
from dvo.calib.photometry.reaverage import reaverage
from dvo.calib.photometry.reference_points import PhotcodeReference, TableReference
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.setphot import setphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.calib.photometry.uniphot import UniphotOptions, uniphot
from dvo.ingest.photcodes import put_photcodes
from dvo.partition import region_batches
from dvo.partition.bounds import Box
from dvo.partition.check import check
from dvo.partition.deal import deal_out
from dvo.partition.engines import open_engine
from dvo.partition.layout import STAGED
from dvo.partition.manifest import ALL_SKY
from dvo.partition.partition import Partition
from dvo.partition.store import Store
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotClass
from tests.hosts import MODULES, Hosts
from tests.synth import FIELDS, add_images, assert_same, contents, make_database, make_images

ENGINES = {
    "inline": ("inline", 1),
    "one process": ("processes", 1),
    "two processes": ("processes", 2),
    "seven processes": ("processes", 7),
    "one host": ("hosts", 1),
    "two hosts": ("hosts", 2),
}
N_STARS = 60
SHIFTS = np.random.default_rng(3).normal(0, 0.1, 24)


def exposures():
    """Exposures of four fields on chips of known size, each with a zero point of its own."""
    images = [image for n, field in enumerate(FIELDS)
              for image in make_images(3, N_STARS, 6, field, first=6 * n)]  # fmt: skip
    for k, image in enumerate(images):
        found = image.detections
        rng = np.random.default_rng(k)
        place = {n: rng.uniform(0, 999, len(found)).astype("f4") for n in ("x_ccd", "y_ccd")}
        mag = (found.columns["mag"] + SHIFTS[k]).astype("f4")
        columns = {**found.columns, **place, "mag": mag}
        yield replace(
            image,
            meta=replace(image.meta, nx=1000, ny=1000, airmass=1.0 + 0.1 * (k % 5)),
            detections=replace(found, columns=columns),
        )


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """Four fields in many small regions."""
    path = make_database(tmp_path_factory.mktemp("calib") / "sky", level=5)
    with Store(path, writable=True) as store:
        add_images(store, list(exposures()))
    return path


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(region_batches, "_MOST_ROWS", 100)


def reference():
    """Stars of one field 0.1 mag brighter, by place."""
    stars = make_images(3, N_STARS, 1)[0].detections
    mags = {0: (stars.columns["mag"].astype(float) - 0.1, np.full(len(stars), 0.01))}
    return TableReference(stars.ra, stars.dec, mags, {0: "stars"}, 1.0)


def work(store, folder, engine=None):
    """All programs one after the other; what they said, and what is in the database then."""
    nights = folder / "nights.txt"
    nights.write_text("".join(f"{band} 2000-01-01 2030-01-01 yes\n" for band in "gr"))
    said = [ubercal(store, UbercalOptions(("g",), periods=nights), engine=engine)]
    options = RelphotOptions(("g", "r"), (Level.NIGHT, Level.IMAGE))
    said.append(relphot(store, replace(options, filters=("r",)), engine=engine))
    said.append(relphot(store, RelphotOptions(("g", "r")), engine=engine))
    points = {"image_id": np.array([2, 4]), "mcal": np.array([0.1, -0.2])}
    flat = {"photcode": np.array(["SYNTH.g.C00"]), "x": np.array([0]), "y": np.array([0]),
            "dx": np.array([500]), "dy": np.array([900]), "offset": np.array([0.01])}  # fmt: skip
    given = GivenColumns("points", points), GivenColumns("flats", flat)
    said.append(setphot(store, *given, engine=engine))
    everywhere = Box(0, 360, -90, 90)
    limits = UniphotOptions(colour="g-r", mag=(10.0, 25.0), least_stars=5, area=everywhere)
    said.append(uniphot(store, reference(), limits, engine=engine))
    said.append(uniphot(store, reference(), UniphotOptions(least_stars=5),
                        engine=engine))  # fmt: skip
    any_motion = MotionLimits(3, 3, 0.001, 0.001, 1e-6, 90.0, 2.0)
    fits = ObjectOptions(MotionModel.PARALLAX, any_motion, 20)
    said.append(relastro(store, RelastroOptions(fits), engine=engine))
    said.append(reaverage(store, ("g",), engine=engine))
    reports = [report.as_dict() for report in said]
    for report in reports:
        del report["seconds"]
    return reports


@pytest.fixture(scope="module")
def expected(sky, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    catdir = shutil.copytree(sky, folder / "sky")
    with pytest.MonkeyPatch.context() as patch, Store(catdir, writable=True) as store:
        patch.setattr(region_batches, "_MOST_ROWS", 100)
        assert len(list(region_batches.region_batches(store.view(), store.view().regions()))) > 5
        return work(store, folder), contents(store.view())


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_calibrates_as_this_process_does(name, sky, expected, tmp_path):
    kind, workers = ENGINES[name]
    catdir = shutil.copytree(sky, tmp_path / "sky")
    with ExitStack() as stack:
        if kind == "hosts":
            stack.enter_context(Hosts(catdir, workers, private=True))
        store = stack.enter_context(Store(catdir, writable=True))
        engine = stack.enter_context(open_engine(kind, store, workers=workers, modules=MODULES))
        reports = work(store, tmp_path, engine)
        found = contents(store.view())
    ubercal_said, _, relphot_said, setphot_said, uniphot_said, _, relastro_said, _ = reports
    assert relastro_said["n_pm"] > 10
    assert ubercal_said["n_photometric"] == 1
    assert ubercal_said["n_flats"] == 1
    assert relphot_said["n_frozen"] == 12
    assert setphot_said["n_images"] == 2
    assert uniphot_said["filters"][0]["n_stars"] > 20
    assert reports == expected[0]
    assert_same(found, expected[1])
    assert check(catdir, deep=True).ok
    assert not any((catdir / STAGED).iterdir())


@pytest.mark.parametrize("level", [0, 2, 4])
def test_zero_points_do_not_depend_on_the_level(level, sky, expected, tmp_path):
    catdir = shutil.copytree(sky, tmp_path / "sky")
    with Store(catdir, writable=True) as store:
        view = store.view()
        deal_out(store, view, Partition(view.sky, level), "relevel", {})
        assert store.view().regions() != view.regions()
        reports = work(store, tmp_path)
        image = store.view().read(IMAGE, ALL_SKY)
    for name in ("mcal_psf", "mcal_aper", "dmcal"):
        np.testing.assert_allclose(image[name], expected[1]["images"][name], rtol=0, atol=1e-7)
    for report, was in zip(reports[:3], expected[0][:3], strict=True):
        for name in ("n_images", "n_stars", "n_measures", "rounds", "components"):
            assert report[name] == was[name]
        assert abs(report["median_error"] - was["median_error"]) < 1e-10
    for period, was in zip(reports[0]["periods"], expected[0][0]["periods"], strict=True):
        for name in ("zero_point", "zero_point_err", "slope", "slope_err", "scatter"):
            assert abs(period[name] - was[name]) < 1e-10


def test_a_reference_in_the_database_is_compared_by_engines_too(sky, tmp_path):
    catdir = shutil.copytree(sky, tmp_path / "sky")
    with Store(catdir, writable=True) as store:
        relphot(store, RelphotOptions(("g", "r")))
        codes = store.view().photcodes.add("REF.g", PhotClass.REF, filter_name="g")
        put_photcodes(store, codes, "photcode add", {})
        found = PhotcodeReference.of_words(store.view().photcodes, ["REF.g"])
        options = UniphotOptions(dry_run=True)
        here = uniphot(store, found, options).as_dict()
        with open_engine("processes", store, workers=2, modules=MODULES) as engine:
            there = uniphot(store, found, options, engine=engine).as_dict()
    assert {**here, "seconds": 0} == {**there, "seconds": 0}
