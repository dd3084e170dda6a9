"""Fits of places, motions and parallaxes against truth, numpy's least squares and ERFA."""

from __future__ import annotations

from dataclasses import replace

import erfa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvo.calib.astrometry.motions import (
    MotionLimits,
    MotionModel,
    ObjectMeasures,
    fit_motions,
)
from dvo.calib.astrometry.parallax import EarthPath

YEAR_S = 31557600.0
START_S = 38.0 * YEAR_S  # 2008


def to_sky(ra0, dec0, x, y):
    """Offsets [arcsec] from a place to positions, along great circles' tangents (SIN)."""
    a, d = np.radians(ra0), np.radians(dec0)
    xi, eta = np.radians(x / 3600), np.radians(y / 3600)
    out = np.sqrt(1 - xi**2 - eta**2)
    east = np.stack([-np.sin(a), np.cos(a), 0 * a])
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    to = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    p = xi * east + eta * north + out * to
    return np.degrees(np.arctan2(p[1], p[0])) % 360, np.degrees(np.arctan2(p[2], np.hypot(*p[:2])))


class Sky:
    """Objects that move and have parallaxes, and measures of them."""

    def __init__(self, rng, n, per_object, *, sigma=0.02, years=6.0, parallax=0.05, around=None):
        self.n, self.per_object = n, per_object
        ra, dec = around or (rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))))
        self.ra, self.dec = np.broadcast_to(ra, n).copy(), np.broadcast_to(dec, n).copy()
        self.pm = rng.normal(0, 0.1, (2, n))
        self.par = np.abs(rng.normal(0, parallax, n))
        at = np.repeat(np.arange(n), per_object)
        time = np.sort(rng.uniform(0, years * YEAR_S, (n, per_object)), axis=1).ravel() + START_S
        self.epoch = START_S + years * YEAR_S / 2
        edges = np.arange(n + 1, dtype=np.int64) * per_object
        path = EarthPath(START_S, START_S + years * YEAR_S)
        fx, fy = path.factors(edges, self.ra, self.dec, time, np.ones(len(at), bool))
        t = (time - self.epoch) / YEAR_S
        self.x = self.pm[0, at] * t + self.par[at] * fx + rng.normal(0, sigma, len(at))
        self.y = self.pm[1, at] * t + self.par[at] * fy + rng.normal(0, sigma, len(at))
        self.at, self.time, self.t, self.fx, self.fy = at, time, t, fx, fy
        self.sigma = np.full(len(at), sigma)

    def measures(self):
        ra, dec = to_sky(self.ra[self.at], self.dec[self.at], self.x, self.y)
        edges = np.arange(self.n + 1, dtype=np.int64) * self.per_object
        seen = np.ones(len(self.at), bool)
        return ObjectMeasures(edges, ra, dec, self.sigma, self.time, seen)

    def fit(self, highest, limits=None, **options):
        return fit_motions(self.measures(), highest, limits or MotionLimits(), **options)


@pytest.fixture
def sky(rng):
    return Sky(rng, 3000, 20)


def test_full_fits_are_those_of_least_squares_where_no_measure_is_far_off(rng):
    # Directions turn a little from the first measure, where the plane is, to the object.
    around = rng.uniform(0, 360, 40), rng.uniform(-60, 60, 40)
    sky = Sky(rng, 40, 14, sigma=1e-9, around=around)
    sky.sigma[:] = 0.02
    fits = sky.fit(MotionModel.PARALLAX)
    assert (fits.model == MotionModel.PARALLAX).all()
    for g in range(sky.n):
        of = sky.at == g
        t = sky.t[of] - (fits.epoch_s[g] - sky.epoch) / YEAR_S
        zero, one = np.zeros(of.sum()), np.ones(of.sum())
        design = np.concatenate([
            np.column_stack([one, t, zero, zero, sky.fx[of]]),
            np.column_stack([zero, zero, one, t, sky.fy[of]]),
        ])  # fmt: skip
        values = np.linalg.lstsq(design, np.concatenate([sky.x[of], sky.y[of]]), rcond=None)[0]
        errors = 0.02 * np.sqrt(np.linalg.inv(design.T @ design).diagonal())
        np.testing.assert_allclose(fits.values[g, [1, 3, 4]], values[[1, 3, 4]], atol=2e-6)
        ra, dec = to_sky(sky.ra[[g]], sky.dec[[g]], *values[[0, 2], None])
        np.testing.assert_allclose(fits.dec[g], dec[0], atol=1e-8 / 3600)
        cos_dec = np.cos(np.radians(dec[0]))
        np.testing.assert_allclose(fits.ra[g], ra[0], atol=1e-8 / 3600 / cos_dec)
        assert (fits.used[of] == 2).all()
        np.testing.assert_allclose(fits.values[g, 5:10], errors, rtol=1e-5)


@pytest.mark.parametrize(
    ("highest", "names"),
    [(MotionModel.MOTION, ["ux", "uy"]), (MotionModel.PARALLAX, ["ux", "uy", "par"])],
)
def test_errors_are_those_seen(rng, highest, names):
    sky = Sky(rng, 6000, 20, parallax=0.05 if highest is MotionModel.PARALLAX else 0.0)
    fits = sky.fit(highest)
    truth = {"ux": sky.pm[0], "uy": sky.pm[1], "par": sky.par}
    for name in names:
        pull = (fits.of(name) - truth[name]) / fits.of(f"{name}_err")
        assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
        assert 0.95 < pull.std() < 1.10
    ra, dec = to_sky(sky.ra, sky.dec, *(u * (fits.epoch_s - sky.epoch) / YEAR_S for u in sky.pm))
    east = (fits.ra - ra) * np.cos(np.radians(dec)) * 3600
    assert 0.95 < (east / fits.of("x_err")).std() < 1.10
    assert 0.95 < ((fits.dec - dec) * 3600 / fits.of("y_err")).std() < 1.10


def test_parallax_factors_are_those_of_erfa(rng):
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-89, 89, 50)
    time = START_S + rng.uniform(0, 10, 50) * YEAR_S
    seen = np.ones(50, bool)
    path = EarthPath(time.min(), time.max())
    east, north = path.factors(np.arange(51), ra, dec, time, seen)
    assert not any(f.any() for f in path.factors(np.arange(51), ra, dec, time, ~seen))
    _, earth = erfa.epv00(2400000.5, 40587.0 + time / 86400.0)
    par = 0.1
    a, d = np.radians(ra), np.radians(dec)
    where = np.array([erfa.pmpx(a[i], d[i], 0, 0, par, 0, 0, earth["p"][i]) for i in range(50)])
    to = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], 1)
    along_east = np.stack([-np.sin(a), np.cos(a), 0 * a], 1)
    along_north = np.cross(to, along_east)
    arcsec = np.degrees(1) * 3600
    np.testing.assert_allclose((where * along_east).sum(1) * arcsec, par * east, atol=2e-6)
    np.testing.assert_allclose((where * along_north).sum(1) * arcsec, par * north, atol=2e-6)


@pytest.mark.parametrize(
    ("n", "years", "model"),
    [
        (1, 5.0, MotionModel.MEAN),
        (4, 5.0, MotionModel.MEAN),
        (5, 0.2499, MotionModel.MEAN),
        (5, 0.2501, MotionModel.MOTION),
        (6, 5.0, MotionModel.MOTION),
        (7, 5.0, MotionModel.PARALLAX),
    ],
)
def test_fits_give_way_where_measures_do_not_suffice(rng, n, years, model):
    sky = Sky(rng, 30, n, years=5.0)
    sky.time = np.tile(START_S + np.linspace(0, years, n) * YEAR_S, 30)
    sky.x, sky.y = rng.normal(0, 0.01, (2, 30 * n))
    assert (sky.fit(MotionModel.PARALLAX).model == model).all()


def test_parallax_needs_factors_that_range(rng):
    sky = Sky(rng, 1, 8, around=(120.0, 40.0))
    for share, model in ((0.99, MotionModel.MOTION), (1.01, MotionModel.PARALLAX)):
        reach = max(np.ptp(sky.fx), np.ptp(sky.fy))
        limits = replace(MotionLimits(), factor_range=reach / share)
        assert sky.fit(MotionModel.PARALLAX, limits).model[0] == model


def test_motions_that_cannot_be_give_way_and_are_flagged(rng):
    sky = Sky(rng, 20, 10, parallax=0.0)
    sky.x += 5.0 * sky.t
    fits = sky.fit(MotionModel.PARALLAX)
    assert (fits.model == MotionModel.MEAN).all()
    assert (fits.of("fitted").astype(int) & 8).all()


def test_measures_without_end_of_error_do_not_count(sky):
    sky.sigma[::2] = np.inf
    sky.x[::2] += 1e4
    fits = sky.fit(MotionModel.MEAN)
    assert (fits.used[::2] == 0).all()
    assert (fits.of("n_used") <= 10).all()
    none = replace(sky.measures(), sigma=np.full(len(sky.at), np.inf))
    fits = fit_motions(none, MotionModel.PARALLAX)
    assert (fits.model == -1).all()
    assert np.isnan(fits.ra).all()


def test_mean_places_of_known_motions_have_no_trail(rng):
    sky = Sky(rng, 500, 9, parallax=0.0)
    known = (sky.pm[0].copy(), sky.pm[1].copy())
    known[0][:100] = np.nan
    fits = sky.fit(MotionModel.MEAN, known=known)
    reduced = fits.of("chi2_ave") / (2 * sky.per_object - 2)
    assert 0.8 < np.median(reduced[100:]) < 1.1
    assert np.median(reduced[:100]) > 3


@given(st.floats(0, 359.99), st.floats(-89.9999, 89.9999), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_places_come_back_anywhere_on_the_sky(ra, dec, seed):
    rng = np.random.default_rng(seed)
    sky = Sky(rng, 1, 8, sigma=1e-9, parallax=0.0, around=(ra, dec))
    fits = sky.fit(MotionModel.MOTION)
    back = (fits.epoch_s - sky.epoch) / YEAR_S * sky.pm[:, 0]
    true_ra, true_dec = to_sky(sky.ra, sky.dec, *back[:, None])
    apart = erfa.seps(*np.radians([fits.ra[0], fits.dec[0], true_ra[0], true_dec[0]]))
    assert np.degrees(apart) * 3600 < 1e-6


def motions_with_outliers(rng, n_bad):
    """Scatter of motions from 100 good measures and some bad ones: robust, and least squares."""
    sky = Sky(rng, 400, 100 + n_bad, parallax=0.0)
    bad = rng.permuted(np.tile(np.arange(100 + n_bad) >= 100, (sky.n, 1)), axis=1).ravel()
    for offsets in (sky.x, sky.y):
        offsets[bad] += rng.normal(0, 14.6 * 0.02, bad.sum())
    t, x = sky.t.reshape(sky.n, -1), sky.x.reshape(sky.n, -1)
    dt = t - t.mean(1, keepdims=True)
    plain = (dt * x).sum(1) / (dt**2).sum(1)
    return np.std(sky.fit(MotionModel.MOTION).of("ux") - sky.pm[0]), np.std(plain - sky.pm[0])


def test_as_many_outliers_as_good_measures_do_little_harm(rng):
    # The figures of the original's author: least squares 7.3 times worse, robust fits 1.33 times.
    robust, plain = motions_with_outliers(rng, 100)
    clean, of_least_squares = motions_with_outliers(rng, 0)
    assert 0.9 * 7.3 < plain / of_least_squares < 1.1 * 7.3
    assert robust / clean < 1.1 * 1.33


def test_bootstrap_finds_errors_that_are_not_as_stated(rng):
    sky = Sky(rng, 2000, 40, parallax=0.0)
    seeds = rng.integers(0, 2**63, sky.n).astype(np.uint64)
    honest = sky.fit(MotionModel.MOTION, n_resamples=100, seeds=seeds)
    formal = sky.fit(MotionModel.MOTION)
    assert np.median(honest.of("ux_err") / formal.of("ux_err")) < 1.1
    sky.sigma /= 3  # stated too small
    found = sky.fit(MotionModel.MOTION, n_resamples=100, seeds=seeds)
    pull = (found.of("ux") - sky.pm[0]) / found.of("ux_err")
    assert 0.85 < pull.std() < 1.35
    again = sky.fit(MotionModel.MOTION, n_resamples=100, seeds=seeds)
    assert (again.values[:, 5:10] == found.values[:, 5:10]).all()
