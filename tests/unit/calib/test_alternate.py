"""The original's alternating loop against the joint solve: the same end, on another way."""

from __future__ import annotations

import numpy as np

from dvo.calib.alternate import solve_alternately
from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointOptions, solve_jointly
from tests.unit.calib.test_joint import Survey, with_images


def parameters_of(survey, frozen=None):
    start = survey.zero_point if frozen is not None else np.zeros_like(survey.zero_point)
    start = np.where(frozen if frozen is not None else False, start, 0.0)
    return Parameters([Block("image", start, frozen=frozen, is_level=True)])


def test_in_the_end_it_comes_to_the_joint_solution(rng):
    survey = Survey(rng, n_stars=300, n_images=24)
    batches = survey.batches(with_images(survey, survey.noise), [(survey.image, 1.0)], n=2)
    joint = solve_jointly(parameters_of(survey), batches, JointOptions(is_robust=False))
    turns = solve_alternately(parameters_of(survey), batches, loops=3000, is_robust=False)
    one, two = joint.parameters.values, turns.parameters.values
    np.testing.assert_allclose(one - one.mean(), two - two.mean(), atol=1e-6)
    assert not turns.is_converged
    # Its errors do not know of those of the stars.
    assert (turns.error < joint.error).mean() > 0.9


def test_twenty_loops_are_far_from_it_where_nothing_is_known(rng):
    survey = Survey(rng, n_stars=2000, n_images=60)
    batches = survey.batches(with_images(survey, survey.noise), [(survey.image, 1.0)])
    joint = solve_jointly(parameters_of(survey), batches).parameters.values
    turns = solve_alternately(parameters_of(survey), batches, loops=20).parameters.values
    off = [np.std(found - survey.zero_point) for found in (joint, turns)]
    assert off[1] > 3 * off[0]


def test_known_images_stay_and_outliers_count_little(rng):
    survey = Survey(rng, n_stars=600, n_images=12)
    frozen = np.arange(12) % 2 == 0
    noise = survey.noise.copy()
    noise[rng.random(len(noise)) < 0.03] += 0.5
    batches = survey.batches(with_images(survey, noise), [(survey.image, 1.0)])
    found = solve_alternately(parameters_of(survey, frozen), batches, loops=200)
    np.testing.assert_array_equal(found.parameters.values[frozen], survey.zero_point[frozen])
    assert np.abs(found.parameters.values - survey.zero_point).max() < 0.01
    assert (found.error[frozen] == 0).all()
    plain = solve_alternately(parameters_of(survey, frozen), batches, loops=200, is_robust=False)
    assert np.abs(plain.parameters.values - survey.zero_point).max() > 0.012
