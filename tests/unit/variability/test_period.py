"""Periods against what was put in, astropy's own numbers, and noise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from click.testing import CliRunner

import dvo
from dvo.cli.lightcurve import lightcurve as command
from dvo.database.period_plot import period_figure
from dvo.errors import QueryError
from dvo.partition.store import Store
from dvo.variability.period import false_alarm, find_period
from tests.synth import add_images, make_database, make_images

_TRUE_D = 0.61234


def curve(rng, n=150, *, half=0.15, sigma=0.03):
    """A sine of another phase and size in each of three filters."""
    mjd = 57000 + np.sort(rng.uniform(0, 200, n))
    band = np.array(["g", "r", "i"])[rng.integers(0, 3, n)]
    size = {"g": half, "r": 0.7 * half, "i": 0.5 * half}
    shift = {"g": 0.0, "r": 0.03, "i": 0.06}
    mag = np.array([
        15 + size[b] * np.cos(2 * np.pi * ((t - 57000.2) / _TRUE_D - 0.5 - shift[b]))
        for t, b in zip(mjd, band, strict=True)
    ])  # fmt: skip
    return mjd, mag + rng.normal(0, sigma, n), np.full(n, sigma), band


def test_period_and_amplitudes_are_those_put_in(rng):
    mjd, mag, error, band = curve(rng)
    found = find_period(mjd, mag, error, band)
    assert abs(found.period_d - _TRUE_D) < 3 * found.error_d < 3e-4
    assert found.false_alarm < 1e-12
    for name, size in (("g", 0.3), ("r", 0.21), ("i", 0.15)):
        assert found.amplitude[name] == pytest.approx(size, abs=0.03)
    # Phase 0 is where g is brightest.
    off = (found.start_mjd - 57000.2) / _TRUE_D % 1.0
    assert min(off, 1 - off) < 0.03
    assert (found.phase(mjd) >= 0).all()
    assert (found.phase(mjd) < 1).all()


def test_errors_hold(rng):
    pulls = []
    for _ in range(40):
        found = find_period(*curve(rng, 90, sigma=0.05), shortest_d=0.4, longest_d=2.0)
        pulls.append((found.period_d - _TRUE_D) / found.error_d)
    assert 0.6 < np.std(pulls) < 1.4


def test_one_filter_is_astropys_periodogram(rng):
    mjd, mag, error, _ = curve(rng, 80, half=0.02)
    found = find_period(mjd, mag, error, np.full(80, "g"))
    own = LombScargle(mjd, mag, error)
    np.testing.assert_allclose(found.powers, own.power(found.frequency), atol=1e-6)
    for power in (0.05, 0.2, 0.35, found.power):
        expected = own.false_alarm_probability(power, maximum_frequency=10.0, method="baluev")
        width = np.sqrt(4 * np.pi * np.var(mjd)) * 10.0
        assert false_alarm(power, width, 80, 1) == pytest.approx(float(expected), rel=1e-3)


def test_noise_gives_no_false_alarms(rng):
    mjd, _, error, band = curve(rng, 60)
    found = [
        find_period(mjd, rng.normal(15, error), error, band, shortest_d=1.0).false_alarm
        for _ in range(150)
    ]
    # From above: rarer than it says, but not by orders of magnitude.
    assert np.mean(np.array(found) < 0.1) < 0.16
    assert np.mean(np.array(found) < 0.5) > 0.1


def test_several_filters_find_what_one_does_not(rng):
    mjd, mag, error, band = curve(rng, 120, half=0.06, sigma=0.03)
    g = band == "g"
    together = find_period(mjd, mag, error, band)
    alone = find_period(mjd[g], mag[g], error[g], band[g])
    assert together.false_alarm < alone.false_alarm


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_measures_are_told(n):
    with pytest.raises(QueryError, match="too few"):
        find_period(np.arange(n, dtype=float), np.zeros(n), np.ones(n), np.full(n, "g"))


def test_ranges_that_are_none_are_told(rng):
    data = curve(rng)
    for shortest, longest in ((2.0, 1.0), (0.0, 1.0), (-1.0, 2.0), (1.0, np.inf)):
        with pytest.raises(QueryError, match="no periods lie between"):
            find_period(*data, shortest_d=shortest, longest_d=longest)
    with pytest.raises(QueryError, match="raise the shortest"):
        find_period(*data, shortest_d=1e-6)


def test_a_constant_has_no_period():
    mjd = np.arange(10.0)
    found = find_period(mjd, np.full(10, 15.0), np.full(10, 0.1), np.full(10, "g"))
    assert found.false_alarm == 1.0
    assert np.isfinite(found.period_d)


@pytest.fixture
def sky(tmp_path, rng):
    """30 exposures at odd times of stars that all pulsate."""
    made = make_database(tmp_path / "sky")
    images = []
    for image in make_images(5, 20, 30):
        mjd = image.meta.mjd + rng.uniform(0, 0.4)
        image.detections.columns["mag"] += np.float32(0.2 * np.sin(2 * np.pi * mjd / _TRUE_D))
        images.append(replace(image, meta=replace(image.meta, mjd=mjd)))
    with Store(made, writable=True) as store:
        add_images(store, images)
    return made


def test_objects_have_periods(sky, tmp_path):
    with dvo.open(sky) as db:
        star = db.variability(least_measures=8).to_pylist()[0]
        found = db.period(star["ra"], star["dec"], shortest_d=0.3)
        table = db.lightcurve(star["ra"], star["dec"])
        kron = db.lightcurve(star["ra"], star["dec"], kind="kron")
        with pytest.raises(QueryError, match="psf, ap, kron"):
            db.lightcurve(star["ra"], star["dec"], kind="petro")
        with pytest.raises(QueryError, match="no object"):
            db.period(star["ra"] + 1.0, star["dec"])
        axes = period_figure(table, found, photcodes=db.photcodes).axes
    assert found.period_d == pytest.approx(_TRUE_D, abs=0.002)
    assert found.n_measures == star["n"]
    assert "mag:rel:kron" in kron.column_names
    drawn = sum(len(c.lines[0].get_xdata()) for c in axes[0].containers)
    assert drawn == 2 * len(table)
    place = [str(sky), f"{star['ra']}", f"{star['dec']}", "--period", "--period-range", "0.3", "5"]
    picture = tmp_path / "folded.png"
    run = CliRunner().invoke(command, [*place, "-f", "json", "--plot", str(picture)])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.stdout)
    assert "period 0.612" in run.stderr
    assert picture.stat().st_size > 10_000
    phase = (rows[3]["mjd"] - found.start_mjd) / found.period_d % 1.0
    assert rows[3]["phase"] == pytest.approx(phase, abs=1e-2)
    run = CliRunner().invoke(command, [str(sky), "1", "2", "--filters", "g"])
    assert run.exit_code == 2
