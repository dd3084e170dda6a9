"""The joint solve against least squares with every star written out, and against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointOptions, solve_jointly
from dvo.calib.normal import StarBatch
from dvo.errors import ShapeError

PLAIN = JointOptions(is_robust=False)


class Survey:
    """Stars on a line, images that each see a stretch of it, nights, airmasses, and a flat."""

    def __init__(self, rng, n_stars=400, n_images=30, n_nights=6, n_cells=4, noise=0.01):
        self.x = np.sort(rng.random(n_stars))
        centre = np.repeat(np.linspace(0.1, 0.9, n_images // 3), 3) + rng.normal(0, 0.02, n_images)
        self.night = rng.integers(0, n_nights, n_images)
        self.airmass = rng.uniform(1, 2, n_images)
        sees = np.abs(self.x[:, None] - centre) < 0.1
        self.star, self.image = np.nonzero(sees & (rng.random(sees.shape) < 0.9))
        self.cell = rng.integers(0, n_cells, len(self.star))
        self.zero_point = rng.normal(0, 0.05, n_images)
        self.night_point = rng.normal(0, 0.03, n_nights)
        self.slope = rng.normal(0, 0.02, n_nights)
        self.flat = rng.normal(0, 0.02, n_cells)
        self.mag = 15 + 4 * rng.random(n_stars)
        self.sigma = noise * rng.uniform(0.5, 2, len(self.star))
        self.noise = rng.normal(0, 1, len(self.star)) * self.sigma
        self.edges = np.searchsorted(self.star, np.arange(n_stars + 1)).astype(np.int64)

    def batches(self, y, terms, n=1):
        """The measures, in n batches of stars."""
        index = np.column_stack([i for i, _ in terms]).astype(np.int32)
        factor = np.column_stack([np.broadcast_to(c, len(y)) for _, c in terms]).astype(float)
        out = []
        for first, last in zip(*(np.linspace(0, len(self.x), n + 1).astype(int)[k:len(self.x) + k]
                                 for k in (0, 1)), strict=False):  # fmt: skip
            here = slice(self.edges[first], self.edges[last])
            out.append(StarBatch(self.edges[first : last + 1] - self.edges[first], y[here],
                                 self.sigma[here], index[here], factor[here]))  # fmt: skip
        return lambda: out


def with_images(survey, noise):
    return survey.mag[survey.star] + survey.zero_point[survey.image] + noise


def by_least_squares(survey, y, terms, parameters):
    """All parameters and all stars written out, priors as measures; minimum norm if free."""
    n, n_stars = len(parameters), len(survey.x)
    design = np.zeros((len(y), n + n_stars))
    for index, factor in terms:
        rows = np.flatnonzero(index >= 0)
        np.add.at(design, (rows, index[rows]), np.broadcast_to(factor, len(y))[rows])
    design[np.arange(len(y)), n + survey.star] = 1.0
    weight = np.sqrt(parameters.weight)
    prior = np.zeros((n, n + n_stars))
    prior[np.arange(n), np.arange(n)] = weight
    known = parameters.frozen
    right = np.concatenate([y / survey.sigma, weight * parameters.expected])
    design = np.vstack([design / survey.sigma[:, None], prior])
    right = right - design[:, :n][:, known] @ parameters.values[known]
    free = np.concatenate([~known, np.ones(n_stars, bool)])
    found = np.concatenate([parameters.values, np.zeros(n_stars)])
    found[free] = np.linalg.lstsq(design[:, free], right, rcond=None)[0]
    covariance = np.linalg.pinv(design[:, free].T @ design[:, free], hermitian=True)
    error = np.zeros(n + n_stars)
    error[free] = np.sqrt(covariance.diagonal())
    return found[:n], error[:n]


@pytest.mark.parametrize("n_batches", [1, 2, 7])
def test_image_zero_points_are_those_of_least_squares(rng, n_batches):
    survey = Survey(rng)
    y = with_images(survey, survey.noise)
    terms = [(survey.image, 1.0)]
    parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
    expected, _ = by_least_squares(survey, y, terms, parameters)
    result = solve_jointly(parameters, survey.batches(y, terms, n_batches), PLAIN)
    np.testing.assert_allclose(parameters.values, expected - expected.mean(), atol=1e-10)
    assert result.solution.n_components == 1
    assert result.solution.n_floating == 1


def test_blocks_with_priors_and_frozen_ones_are_those_of_least_squares(rng):
    """Nights with slopes, a flat field and images about them; some images are known."""
    survey = Survey(rng)
    night, over = survey.night[survey.image], survey.airmass[survey.image] - 1
    y = with_images(survey, survey.noise) + survey.night_point[night] + survey.slope[night] * over
    y += survey.flat[survey.cell]
    frozen = np.arange(6) < 2
    start = np.where(frozen, survey.night_point, 0.0)
    parameters = Parameters([
        Block("night", start, frozen=frozen, is_level=True),
        Block("slope", np.zeros(6), prior=np.full(6, 0.04)),
        Block("flat", np.zeros(4), prior=np.full(4, 0.1), expected=np.full(4, 0.01)),
        Block("image", np.zeros(30), prior=np.full(30, 0.05)),
    ])  # fmt: skip
    terms = [(night, 1.0), (6 + night, over), (12 + survey.cell, 1.0), (16 + survey.image, 1.0)]
    expected, error = by_least_squares(survey, y, terms, parameters)
    result = solve_jointly(parameters, survey.batches(y, terms, 3), PLAIN)
    np.testing.assert_allclose(parameters.values, expected, atol=1e-9)
    np.testing.assert_array_equal(parameters.of("night")[:2], survey.night_point[:2])
    assert result.solution.n_floating == 0
    scale = result.rounds[-1].chi2_dof
    np.testing.assert_allclose(result.error, error * np.sqrt(scale), rtol=1e-6)


def test_errors_under_a_gauge_are_those_of_least_squares(rng):
    """The least-squares solution of least length has its mean at 0, as the gauge does."""
    survey = Survey(rng)
    y = with_images(survey, survey.noise)
    parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
    design = np.zeros((len(y), 30))
    design[np.arange(len(y)), survey.image] = 1 / survey.sigma
    stars = np.zeros((len(y), len(survey.x)))
    stars[np.arange(len(y)), survey.star] = 1 / survey.sigma
    seen = stars.any(axis=0)
    stars = stars[:, seen]
    left = design - stars @ np.linalg.solve(stars.T @ stars, stars.T @ design)
    error = np.sqrt(np.linalg.pinv(design.T @ left, rcond=1e-10, hermitian=True).diagonal())
    result = solve_jointly(parameters, survey.batches(y, [(survey.image, 1.0)]), PLAIN)
    scale = result.rounds[-1].chi2_dof
    np.testing.assert_allclose(result.error, error * np.sqrt(scale), rtol=1e-6)


def test_without_noise_the_truth_comes_out(rng):
    survey = Survey(rng)
    y = with_images(survey, 0.0)
    parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
    solve_jointly(parameters, survey.batches(y, [(survey.image, 1.0)]))
    truth = survey.zero_point - survey.zero_point.mean()
    np.testing.assert_allclose(parameters.values, truth, atol=1e-9)


def test_errors_are_honest_with_and_without_robust_weights(rng):
    """Pulls of many skies; the robust fit gives 5 % of the precision away."""
    for options in (PLAIN, JointOptions()):
        pulls = []
        for _ in range(40):
            survey = Survey(rng, n_stars=300)
            y = with_images(survey, survey.noise)
            parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
            result = solve_jointly(parameters, survey.batches(y, [(survey.image, 1.0)]), options)
            truth = survey.zero_point - survey.zero_point.mean()
            pulls.append((parameters.values - truth) / result.error)
            assert result.is_converged
        assert 0.94 < np.std(pulls) < 1.06  # 1,200 pulls: 0.02


def test_outliers_and_variable_stars_do_little_harm(rng):
    clean, dirty = [], []
    for _ in range(10):
        survey = Survey(rng)
        bad = rng.random(len(survey.star)) < 0.02
        wild = survey.noise + np.where(bad, rng.standard_t(2, len(bad)) * 0.08 - 0.03, 0.0)
        varies = rng.random(len(survey.x)) < 0.03
        wild += np.where(varies[survey.star], rng.normal(0, 0.15, len(wild)), 0.0)
        truth = survey.zero_point - survey.zero_point.mean()
        for noise, errors in ((survey.noise, clean), (wild, dirty)):
            parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
            batches = survey.batches(with_images(survey, noise), [(survey.image, 1.0)])
            result = solve_jointly(parameters, batches)
            errors.append(parameters.values - truth)
            assert 0.8 < result.rounds[-1].chi2_dof < 1.2
    assert np.std(dirty) < 1.15 * np.std(clean)


def test_pieces_without_common_stars_have_a_level_each(rng):
    survey = Survey(rng)
    apart = (survey.x[survey.star] < 0.5) == (survey.image < 15)
    y = np.where(apart, with_images(survey, survey.noise), np.nan)
    parameters = Parameters([Block("image", np.zeros(31), is_level=True)])
    result = solve_jointly(parameters, survey.batches(y, [(survey.image, 1.0)]))
    assert result.solution.n_components == result.solution.n_floating == 2
    for some in (slice(0, 15), slice(15, 30)):
        assert abs(parameters.values[some].mean()) < 1e-12
        truth = survey.zero_point[some] - survey.zero_point[some].mean()
        assert np.abs(parameters.values[some] - truth).max() < 0.02
    # The last image has no star at all.
    assert parameters.values[30] == 0
    assert np.isnan(result.error[30])
    assert result.n_measures[30] == 0


@pytest.mark.parametrize("what", ["nothing", "one measure a star", "nothing finite"])
def test_what_says_nothing_changes_nothing(rng, what):
    survey = Survey(rng)
    y = with_images(survey, survey.noise)
    if what == "nothing":
        batches = list
    elif what == "nothing finite":
        batches = survey.batches(np.full_like(y, np.nan), [(survey.image, 1.0)])
    else:
        first = np.diff(survey.star, prepend=-1) > 0
        batches = survey.batches(np.where(first, y, np.nan), [(survey.image, 1.0)])
    parameters = Parameters([Block("image", np.full(30, 0.2), is_level=True)])
    result = solve_jointly(parameters, batches)
    np.testing.assert_array_equal(parameters.values, 0.2)
    assert np.isnan(result.error).all()
    assert result.solution.n_components == 0


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="there are 3 parameters"):
        Block("image", np.zeros(3), prior=np.ones(2))
    with pytest.raises(ShapeError, match="freeze"):
        Block("image", np.zeros(3), prior=np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ShapeError, match="one name"):
        Parameters([Block("image", np.zeros(3)), Block("image", np.zeros(3))])


def test_stars_that_vary_are_left_out_and_those_with_an_outlier_are_not(rng):
    survey = Survey(rng)
    noise, star = survey.noise.copy(), survey.star
    n = np.bincount(star, minlength=len(survey.x))
    many = np.flatnonzero(n >= 8)
    varies, hit = many[::2][:20], many[1::2][:20]
    noise[np.isin(star, varies)] += rng.normal(0, 0.4, np.isin(star, varies).sum())
    noise[survey.edges[hit]] += 3.0
    parameters = Parameters([Block("image", np.zeros(30), is_level=True)])
    batches = survey.batches(with_images(survey, noise), [(survey.image, 1.0)])
    result = solve_jointly(parameters, batches)
    assert result.rounds[-1].n_stars == (n >= 2).sum() - len(varies)
