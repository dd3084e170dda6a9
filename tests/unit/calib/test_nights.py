"""Which nights are photometric, and where flat fields change, on numbers made for it."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.photometry.nights import (
    NightLimits,
    NightRule,
    PeriodScatter,
    exposure_residuals,
)
from dvo.calib.photometry.seasons import find_changes


@pytest.mark.parametrize("n_sets", [1, 3])
def test_exposures_are_compared_within_nights_whatever_the_level_of_their_set(rng, n_sets):
    """Sets of exposures without common stars have levels of their own, nights go across them."""
    n_nights, per_night = 20, 12
    period = np.repeat(np.arange(n_nights), per_night).astype(np.int32)
    n = len(period)
    component = (np.arange(n) % n_sets).astype(np.int32)
    airmass = rng.uniform(0, 1, n)
    cloudy = np.isin(period, [2, 3, 7, 11, 12, 19])
    cloud = np.where(cloudy, rng.exponential(0.3, n), 0.0)
    level, night, slope = rng.normal(0, 1, n_sets), rng.normal(0, 0.1, 20), rng.normal(0, 0.03, 20)
    noise = rng.normal(0, 0.002, n)
    offset = level[component] + night[period] + slope[period] * airmass + cloud + noise
    offset[5] = np.nan
    found = exposure_residuals(offset, np.full(n, 0.002), component, period, airmass, 0.04)
    assert np.isnan(found[5])
    clear = ~cloudy & (np.arange(n) != 5)
    assert np.std(found[clear]) < 0.003
    assert np.abs(found[clear]).max() < 0.012
    spread = [np.std(found[period == k]) for k in np.unique(period[cloudy])]
    assert min(spread) > 0.03


def test_exposures_of_no_night_say_nothing():
    none = exposure_residuals(np.zeros(3), np.ones(3), np.zeros(3, np.int32),
                              np.full(3, -1, np.int32), np.zeros(3), 0.04)  # fmt: skip
    assert np.isnan(none).all()


def seen(chi2, scatter, n_exposures=10, n_measures=1000, cloud=0.0):
    shape = np.shape(chi2)
    return PeriodScatter(
        np.broadcast_to(n_exposures, shape), np.broadcast_to(n_measures, shape),
        np.array(chi2, float), np.array(scatter, float), np.broadcast_to(cloud, shape),
    )  # fmt: skip


def test_the_rule_of_the_original():
    """The limit lies between twice the first median and the bound, and follows the worst tenth."""
    used = np.ones(20, bool)
    chi2 = np.where(np.arange(20) == 3, 2.1, np.where(np.arange(20) == 4, 1.9, 1.0))
    rule = NightRule(NightLimits())
    np.testing.assert_array_equal(rule.poor(seen(chi2, np.full(20, 0.01)), used),
                                  np.arange(20) == 3)  # fmt: skip
    # Later medians do not count: what was bearable at first is so still.
    assert not rule.poor(seen(np.full(20, 1.99), np.full(20, 0.02)), used).any()
    assert rule.poor(seen(np.full(20, 2.01), np.full(20, 0.02)), used).sum() == 0  # the tenth
    worse = np.where(np.arange(20) == 0, 11.0, 2.5)
    assert rule.poor(seen(worse, np.full(20, 0.02)), used).tolist() == [True] + [False] * 19


def test_nights_with_little_or_with_clouds_are_poor():
    rule = NightRule(NightLimits())
    n_exposures, n_measures = np.array([3, 4, 9, 9]), np.array([500, 99, 100, 500])
    cloud = np.array([0.0, 0.0, 0.0, 0.021])
    poor = rule.poor(seen([1.0] * 4, [0.01] * 4, n_exposures, n_measures, cloud), np.ones(4, bool))
    assert poor.tolist() == [True, True, False, True]
    # Those that were left out before are no news.
    used = np.array([False, True, True, True])
    poor = rule.poor(seen([1.0] * 4, [0.01] * 4, n_exposures, n_measures, cloud), used)
    assert poor.tolist() == [False, True, False, True]
    assert not rule.poor(seen([np.nan] * 2, [np.nan] * 2, 0, 0), np.zeros(2, bool)).any()


@pytest.mark.parametrize("noise", [0.0005, 0.003])
def test_changes_of_flat_fields_are_found_where_they_are(rng, noise):
    n_nights, n_cells = 60, 32
    flats = rng.normal(0, 0.01, (3, n_cells))
    season = np.searchsorted([17, 44], np.arange(n_nights), side="right")
    weight = np.full((n_nights, n_cells), noise**-2.0)
    weight[rng.random(weight.shape) < 0.2] = 0.0
    mean = np.where(weight > 0, flats[season] + rng.normal(0, noise, weight.shape), 0.0)
    assert find_changes(weight, mean) == [17, 44]


def test_there_are_no_changes_in_noise_or_below_what_matters(rng):
    for _ in range(50):
        weight = np.full((40, 32), 0.002**-2.0)
        noise = rng.normal(0, 0.002, weight.shape)
        assert find_changes(weight, noise) == []
        # Twice the noise that weights say, as variable stars make it.
        assert find_changes(weight, 2 * noise) == []
    step = np.where(np.arange(40) < 20, 0.0, 1.0)[:, None] * rng.choice([-1, 1], 32)
    sure = np.full((40, 32), 1e-5**-2.0)
    tiny = rng.normal(0, 1e-5, sure.shape)
    assert find_changes(sure, 0.0015 * step + tiny) == []
    assert find_changes(sure, 0.003 * step + tiny) == [20]
    assert find_changes(sure[:1], tiny[:1]) == find_changes(sure[:0], tiny[:0]) == []
