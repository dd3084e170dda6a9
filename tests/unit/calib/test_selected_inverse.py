"""Errors of many parameters against those of dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import splu

from dvo.calib import solution
from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointOptions, solve_jointly
from dvo.calib.selected_inverse import SelectedInverse
from tests.unit.calib.test_joint import Survey, with_images


@pytest.mark.parametrize(("n", "density"), [(1, 1.0), (6, 0.5), (200, 0.01), (300, 0.2)])
def test_entries_are_those_of_the_inverse(rng, n, density):
    some = sparse.random_array((n, n), density=density, rng=rng, format="csc")
    matrix = (some @ some.T + 0.01 * sparse.eye_array(n)).tocsc()
    order = splu(matrix, permc_spec="MMD_AT_PLUS_A").perm_c
    found = SelectedInverse.of(matrix, order)
    whole = np.linalg.inv(matrix.toarray())
    np.testing.assert_allclose(found.diagonal, whole.diagonal(), rtol=1e-8)
    row, column = matrix.nonzero()
    entries = (rng.normal(size=2 * len(row)), (np.tile(np.arange(len(row)), 2), np.r_[row, column]))
    sums = sparse.csr_array(entries, shape=(len(row), n))
    expected = np.einsum("ij,ij->i", sums @ whole, sums.toarray())
    np.testing.assert_allclose(found.quadratic(sums), expected, rtol=1e-6, atol=1e-9)


def test_entries_that_are_not_known_are_told():
    found = SelectedInverse.of(sparse.eye_array(3, format="csc") * 2.0, np.arange(3))
    sums = sparse.csr_array(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(found.quadratic(sums), [0.5, np.nan])


@pytest.mark.parametrize("frozen", [False, True])
def test_errors_do_not_depend_on_how_the_inverse_is_made(rng, monkeypatch, frozen):
    """Where stars alone tie images, their errors go together over all of the sky."""
    survey = Survey(rng, n_stars=3000, n_images=150)
    night, over = survey.night[survey.image], survey.airmass[survey.image] - 1
    known = (np.arange(6) == 0) if frozen else None
    sums = sparse.csr_array(
        (np.r_[np.ones(300), survey.airmass - 1],
         (np.tile(np.arange(150), 3), np.r_[survey.night, 12 + np.arange(150), 6 + survey.night])),
        shape=(150, 162),
    )  # fmt: skip
    found = []
    for limit in (6000, 0):
        monkeypatch.setattr(solution, "_DENSE", limit)
        parameters = Parameters([
            Block("night", np.zeros(6), is_level=True, frozen=known),
            Block("slope", np.zeros(6), prior=np.full(6, 0.04)),
            Block("image", np.zeros(150), prior=np.full(150, 0.05)),
        ])  # fmt: skip
        terms = [(night, 1.0), (6 + night, over), (12 + survey.image, 1.0)]
        batches = survey.batches(with_images(survey, survey.noise), terms)
        result = solve_jointly(parameters, batches, JointOptions(is_robust=False))
        found.append((result.error, result.variance_of(sums)))
        alone = Parameters([Block("image", np.zeros(150), is_level=True)])
        batches = survey.batches(with_images(survey, survey.noise), [(survey.image, 1.0)])
        found[-1] += (solve_jointly(alone, batches).error,)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
