"""Flat fields of many cells by relphot, on a simulated survey whose chips are known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.flats import ALWAYS, FlatFields
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.cli.relphot import relphot as command
from dvo.errors import ConfigError
from dvo.partition.check import check
from dvo.partition.engines import open_engine
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests.calibrated_sky import PLAN, make_sky
from tests.hosts import MODULES
from tests.synth import assert_same, contents

N = 4
FINE = RelphotOptions(("g",), flat_cells=N)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One season of chips with flat fields of 4 by 4 cells."""
    plan = replace(PLAN, flat_cells=N, n_seasons=1, density_per_deg2=400, n_exposures=100)
    return make_sky(tmp_path_factory.mktemp("flat"), plan)


@pytest.fixture
def sky(made, tmp_path):
    shutil.copytree(made.catdir, tmp_path / "sky")
    return replace(made, catdir=tmp_path / "sky")


def grids(flats):
    """Cells of each photcode, in order; about the mean of each."""
    order = np.argsort(flats.corrections["photcode"])
    ids = flats.corrections["id"][order]
    values = np.array([flats.cells["offset"][flats.cells["id"] == i] for i in ids], float)
    return values - values.mean(axis=1, keepdims=True)


def about_means(sky):
    return sky.flats[0] - sky.flats[0].mean(axis=1, keepdims=True)


def error_of_cells(measure, flats):
    """Root mean square error of cells from the stated errors of their measures."""
    good = (measure["mag_err"] < 0.1) & (measure["psf_qf"] > 0.95)
    some = measure.take(np.flatnonzero(good & flats.has_photcode(measure["photcode"])))
    size = flats.corrections["dx"][0], flats.corrections["dy"][0]
    x, y = (np.clip(some[n] // d, 0, N - 1).astype(int)
            for n, d in zip(("x_ccd", "y_ccd"), size, strict=True))  # fmt: skip
    weight = np.bincount((some["photcode"].astype(int) * N + y) * N + x, some["mag_err"] ** -2.0)
    return np.sqrt(np.mean(1 / weight[weight > 0]))


def test_cells_come_out_and_measures_and_images_follow(sky):
    with Store(sky.catdir, writable=True) as store:
        plain = relphot(store, replace(FINE, flat_cells=0, dry_run=True))
        report = relphot(store, FINE)
        view = store.view()
        flats = FlatFields.read(view)
        image = view.read(IMAGE, ALL_SKY)
        measure, _ = view.read_many(MEASURE, view.regions(), MEASURE.names)
    true = about_means(sky)
    off = grids(flats) - true
    assert true.std() > 0.008
    # What the photons of a cell allow, were all stars and zero points known.
    least = error_of_cells(measure, flats)
    assert least < 0.35 * true.std()
    assert off.std() < 1.5 * least
    assert report.is_flat_converged
    assert (report.n_flats, report.n_flat_cells) == (len(true), len(true) * N * N)
    assert plain.n_flats == 0
    assert report.chi2_dof < plain.chi2_dof
    assert 0.7 < report.chi2_dof < 1.4
    # All times, one number a chip; measures have what their cell says.
    assert set(flats.corrections["tstart"].tolist()) == {ALWAYS[0]}
    of_chips = image["photcode"] > 0
    number = dict(zip(flats.corrections["photcode"].tolist(), flats.corrections["id"].tolist(),
                      strict=True))  # fmt: skip
    assert all(number.get(code, 0) == at for code, at in
               zip(image["photcode"][of_chips].tolist(), image["photom_map_id"][of_chips].tolist(),
                   strict=True))  # fmt: skip
    said = flats.offsets(measure["photcode"], measure["time"], measure["x_ccd"], measure["y_ccd"])
    np.testing.assert_array_equal(measure["m_flat"], said)
    assert len(np.unique(said)) > N * N
    assert check(sky.catdir, deep=True).faults == []


def test_again_little_moves_and_it_can_be_taken_back(sky):
    with Store(sky.catdir, writable=True) as store:
        before = contents(store.view())
        relphot(store, FINE)
        first = grids(FlatFields.read(store.view()))
        snapshot = store.view().snapshot.id
        report = relphot(store, FINE)
        again = grids(FlatFields.read(store.view()))
        assert report.flat_turns <= 2
        assert np.abs(again - first).max() < 3e-4  # a tenth of their errors
        assert len(FlatFields.read(store.view())) == report.n_flats
        assert store.view().snapshot.id == snapshot + 1
        rollback(store, snapshot - 1)
        assert_same(contents(store.view()), before)


def test_it_makes_the_flat_fields_of_ubercal_finer(sky):
    with Store(sky.catdir, writable=True) as store:
        ubercal(store, UbercalOptions(("g",)))
        coarse = FlatFields.read(store.view())
        uber = store.view().read(IMAGE, ALL_SKY)
        report = relphot(store, FINE)
        fine = FlatFields.read(store.view())
        after = store.view().read(IMAGE, ALL_SKY)
    assert report.n_frozen > 0
    frozen = uber["ubercal_dist"] == 0
    np.testing.assert_array_equal(after["mcal_psf"][frozen], uber["mcal_psf"][frozen])
    for name in ("photcode", "tstart", "tstop", "id"):
        np.testing.assert_array_equal(np.sort(fine.corrections[name]),
                                      np.sort(coarse.corrections[name]))  # fmt: skip
    assert set(fine.corrections["nx"].tolist()) == {N}
    assert (grids(fine) - about_means(sky)).std() < 0.4 * about_means(sky).std()


def test_an_engine_finds_the_same(sky):
    with Store(sky.catdir, writable=True) as store:
        here = relphot(store, replace(FINE, dry_run=True)).as_dict()
        with open_engine("processes", store, workers=2, modules=MODULES) as engine:
            there = relphot(store, replace(FINE, dry_run=True), engine=engine).as_dict()
    assert {**here, "seconds": 0} == {**there, "seconds": 0}


def test_the_command_says_what_was_done(sky):
    run = CliRunner().invoke
    found = run(command, [str(sky.catdir), "--filters", "g", "--flat-cells", "4", "--dry-run",
                          "--json"])  # fmt: skip
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["n_flat_cells"] > 0
    for more in (["--time", "55000,55010"], ["--solver", "alternate"]):
        refused = run(command, [str(sky.catdir), "--filters", "g", "--flat-cells", "4", *more])
        assert isinstance(refused.exception, ConfigError) or refused.exit_code != 0
