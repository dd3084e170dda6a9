"""The robust fit against the truth, least squares, and the scatter of many fits."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.robust_fit import fit_robustly

TRUTH = np.array([0.3, -0.05])


def points(rng, n=400, extra=0.0):
    x = rng.normal(0, 0.5, n)
    design = np.column_stack([np.ones(n), x])
    sigma = 0.01 * rng.uniform(0.5, 3, n)
    return design, design @ TRUTH + rng.normal(0, 1, n) * np.hypot(sigma, extra), sigma


def test_clean_points_give_nearly_what_least_squares_give(rng):
    design, y, sigma = points(rng)
    fit = fit_robustly(design, y, sigma)
    plain = np.linalg.lstsq(design / sigma[:, None], y / sigma, rcond=None)[0]
    error = np.sqrt(np.linalg.inv((design / sigma[:, None] ** 2).T @ design).diagonal())
    assert (np.abs(fit.values - plain) < 0.6 * error).all()
    np.testing.assert_allclose(fit.error, error, rtol=0.2)
    exact = fit_robustly(design, design @ TRUTH, sigma)
    np.testing.assert_allclose(exact.values, TRUTH, atol=1e-9)
    assert exact.intrinsic == 0


@pytest.mark.parametrize("extra", [0.0, 0.03])
def test_errors_and_intrinsic_scatter_are_those_of_many_fits(rng, extra):
    fits = [fit_robustly(*points(rng, extra=extra)) for _ in range(300)]
    pulls = np.array([(fit.values - TRUTH) / fit.error for fit in fits])
    np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.12)  # 300 pulls: 0.04
    assert np.abs(pulls.mean(axis=0)).max() < 0.2
    found = np.median([fit.intrinsic for fit in fits])
    assert found < 0.005 if extra == 0 else abs(found - extra) < 0.002


def test_a_fifth_of_outliers_to_one_side_does_little(rng):
    off = []
    for _ in range(50):
        design, y, sigma = points(rng)
        bad = rng.random(len(y)) < 0.2
        y[bad] += rng.uniform(0.1, 3, bad.sum())
        fit = fit_robustly(design, y, sigma)
        assert fit.n_kept < 0.9 * len(y)
        assert fit.scatter < 0.04
        off.append(fit.values - TRUTH)
    assert np.abs(np.mean(off, axis=0)).max() < 0.003


def test_what_groups_have_in_common_is_in_the_errors(rng):
    pulls, plain = [], []
    for _ in range(200):
        design, y, sigma = points(rng)
        group = rng.integers(0, 25, len(y))
        y = y + rng.normal(0, 0.02, 25)[group]
        fit = fit_robustly(design, y, sigma, group)
        pulls.append((fit.values[0] - TRUTH[0]) / fit.error[0])
        plain.append((fit.values[0] - TRUTH[0]) / np.sqrt(fit.covariance[0, 0]))
    assert 0.85 < np.std(pulls) < 1.15
    assert np.std(plain) > 2


def test_many_points_with_outliers_to_one_side_are_fitted_within_their_errors(rng):
    design, y, sigma = points(rng, 200_000, extra=0.01)
    bad = rng.random(len(y)) < 0.05
    fit = fit_robustly(design, y + np.where(bad, 0.5, 0.0), sigma)
    assert np.abs((fit.values - TRUTH) / fit.error).max() < 4
    assert fit.error.max() < 1.4 * 0.02 / np.sqrt(200_000 / 4)
    assert abs(fit.intrinsic - 0.01) < 0.0005
    assert abs(fit.n_kept - (~bad).sum()) < 400


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_points_say_nothing(rng, n):
    design, y, sigma = points(rng, n)
    fit = fit_robustly(design, y, sigma)
    assert np.isnan(fit.values).all()
    assert np.isnan(fit.error).all()
    assert fit.n_kept == 0


def test_terms_that_are_alike_say_nothing(rng):
    design, y, sigma = points(rng)
    design[:, 1] = 0.7
    assert np.isnan(fit_robustly(design, y, sigma).values).all()
