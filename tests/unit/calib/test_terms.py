"""The photometric model: which parameters a measure has, and what nothing tells of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dvo.calib.blocks import Block
from dvo.calib.joint import JointOptions, solve_jointly
from dvo.calib.normal import StarBatch
from dvo.calib.photometry.terms import (
    ChipCells,
    PhotModel,
    Term,
    exposures_of_images,
    image_term,
    over_airmass,
)
from dvo.errors import ShapeError
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE

PLAIN = JointOptions(is_robust=False)


def test_cells_of_places_on_chips():
    cells = ChipCells(2, 3, np.array([10.0, 0.0]), np.array([30.0, 30.0]))
    x = np.array([0.0, 4.9, 5.0, 9.9, 10.0, -3.0, np.nan, 5.0])
    y = np.array([0.0, 9.9, 10.0, 29.0, 31.0, -1.0, 5.0, 5.0])
    image = np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int32)
    np.testing.assert_array_equal(cells.of(image, x, y), [0, 0, 3, 5, 5, 0, -1, -1])


def test_columns_are_counted_through_all_blocks():
    night = Term(Block("night", np.zeros(2)), np.array([0, 1, -1], np.int32))
    slope = Term(Block("slope", np.zeros(2)), night.of_image, np.array([0.5, 0.25, 9.0]))
    cells = ChipCells(2, 1, np.full(3, 10.0), np.full(3, 10.0))
    flat = Term(Block("flat", np.zeros(4)), np.array([0, 2, 2], np.int32), cells=cells)
    model = PhotModel([night, slope, flat])
    image = np.array([0, 1, 2, 1], np.int32)
    x, y = np.array([1.0, 6.0, 1.0, np.nan]), np.zeros(4)
    index, coefficient = model.columns(image, x, y)
    expected = [[0, 2, 4], [1, 3, 7], [-1, -1, 6], [1, 3, -1]]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(coefficient[:2], [[1, 0.5, 1], [1, 0.25, 1]])
    np.testing.assert_array_equal(model.flat_of_images(), [True, True, True])
    assert model.has_cells
    assert len(model.parameters()) == 8


def test_a_model_of_images_needs_no_places():
    model = PhotModel([image_term(Block("image", np.zeros(5)))])
    index, coefficient = model.columns(np.array([3, 0], np.int32))
    np.testing.assert_array_equal(index, [[3], [0]])
    np.testing.assert_array_equal(coefficient, 1.0)
    assert not model.has_cells


def test_a_term_with_more_parameters_than_its_block_is_refused():
    cells = ChipCells(2, 2, np.ones(2), np.ones(2))
    with pytest.raises(ShapeError, match="parameter 4 and 4 cells"):
        Term(Block("flat", np.zeros(7)), np.array([0, 4], np.int32), cells=cells)


def test_exposures_and_airmasses_of_images():
    images = ColumnTable(IMAGE, {
        "image_id": np.array([1, 2, 3, 4, 5, 6], "u4"),
        "parent_id": np.array([0, 1, 1, 0, 0, 5], "u4"),
        "secz": np.array([1.0, 1.5, 1.5, np.nan, 2.0, 2.0], "f4"),
    })  # fmt: skip
    wanted = np.array([False, True, True, True, False, True])
    np.testing.assert_array_equal(exposures_of_images(images, wanted), [-1, 0, 0, 1, -1, 2])
    np.testing.assert_array_equal(over_airmass(images), [0, 0.5, 0.5, 0, 1, 1])


class Nights:
    """Stars in two seasons of nights, each image on one of two chips of two by two cells."""

    def __init__(self, rng, n_stars=300, n_nights=10, per_night=6, n_patches=1):
        n_images = n_nights * per_night
        self.night = np.repeat(np.arange(n_nights), per_night)
        self.season = (self.night >= n_nights // 2).astype(int)
        self.airmass = rng.uniform(1, 2, n_images)
        self.chip = rng.integers(0, 2, n_images)
        self.patch_of_night = np.arange(n_nights) % n_patches
        patch = rng.integers(0, n_patches, n_stars)
        seen = rng.random((n_stars, n_images)) < 0.3
        seen &= patch[:, None] == self.patch_of_night[self.night]
        self.star, self.image = np.nonzero(seen)
        n = len(self.star)
        self.x, self.y = rng.uniform(0, 10, n), rng.uniform(0, 10, n)
        self.zero_point = rng.normal(0, 0.05, n_nights)
        self.slope = rng.normal(0, 0.03, n_nights)
        self.flat = rng.normal(0, 0.02, (2, 8))
        # Only the flat of both seasons about their means, of equal weight for all cells.
        self.flat -= self.flat.mean(axis=1, keepdims=True)
        self.edges = np.searchsorted(self.star, np.arange(n_stars + 1)).astype(np.int64)
        self.mag = 15 + rng.random(n_stars)
        self.cells = ChipCells(2, 2, np.full(n_images, 10.0), np.full(n_images, 10.0))

    def model(self, *, slope_prior=np.inf, flat_prior=np.inf):
        n_nights = len(self.zero_point)
        seasons = (np.arange(n_nights) >= n_nights // 2).astype(np.int32)
        night = self.night.astype(np.int32)
        flat_of = (self.season * 8 + self.chip * 4).astype(np.int32)
        return PhotModel([
            Term(Block("night", np.zeros(n_nights), is_level=True, takes_up=seasons), night),
            Term(Block("slope", np.zeros(n_nights), prior=np.full(n_nights, slope_prior)),
                 night, self.airmass - 1),
            Term(Block("flat", np.zeros(16), prior=np.full(16, flat_prior),
                       zero_mean=np.repeat([0, 1], 8).astype(np.int32)), flat_of,
                 cells=self.cells),
        ])  # fmt: skip

    def batch(self, model, sigma, rng=None):
        index, coefficient = model.columns(self.image.astype(np.int32), self.x, self.y)
        truth = np.concatenate([self.zero_point, self.slope, self.flat.ravel()])
        y = self.mag[self.star] + (coefficient * truth[index]).sum(axis=1)
        if rng is not None:
            y += rng.normal(0, sigma, len(y))
        return StarBatch(self.edges, y, np.full(len(y), sigma), index, coefficient)


@pytest.mark.parametrize("n_patches", [1, 2])
def test_without_noise_zero_points_slopes_and_flats_come_out(rng, n_patches):
    nights = Nights(rng, n_patches=n_patches)
    model = nights.model()
    batch = nights.batch(model, 0.01)
    parameters = model.parameters()
    result = solve_jointly(parameters, lambda: [batch], PLAIN)
    off = parameters.of("night") - nights.zero_point
    for patch in range(n_patches):  # each has a level of its own
        own = off[nights.patch_of_night == patch]
        np.testing.assert_allclose(own, own[0], atol=1e-9)
        values = parameters.of("night")[nights.patch_of_night == patch]
        assert abs(values.mean()) < 1e-12
    np.testing.assert_allclose(parameters.of("slope"), nights.slope, atol=1e-9)
    np.testing.assert_allclose(parameters.of("flat"), nights.flat.ravel(), atol=1e-9)
    solution = result.solution
    # Two seasons: the flat of each could as well be brighter, and its nights fainter.
    assert (solution.n_components, solution.n_floating) == (n_patches, n_patches)
    assert solution.n_null == n_patches + 2


@pytest.mark.parametrize("flat_prior", [np.inf, 0.1])
def test_errors_of_all_kinds_are_those_of_least_squares_with_the_rules(rng, flat_prior):
    nights = Nights(rng, n_stars=80)
    model = nights.model(slope_prior=0.04, flat_prior=flat_prior)
    batch = nights.batch(model, 0.01, rng)
    parameters = model.parameters()
    result = solve_jointly(parameters, lambda: [batch], PLAIN)
    # All stars written out; the rules (mean of nights 0, means of flats 0) as certain measures.
    n, n_stars = len(parameters), len(nights.mag)
    design = np.zeros((len(batch.y), n + n_stars))
    for k in range(3):
        np.add.at(design, (np.arange(len(batch.y)), batch.index[:, k]), batch.coefficient[:, k])
    design[np.arange(len(batch.y)), n + nights.star] = 1
    rules = np.zeros((3, n + n_stars))
    rules[0, :10], rules[1, 20:28], rules[2, 28:36] = 0.1, 1 / 8, 1 / 8
    prior = np.diag(np.concatenate([np.zeros(10), np.full(10, 1 / 0.04),
                                    np.full(16, 1 / flat_prior), np.zeros(n_stars)]))  # fmt: skip
    normal = design.T @ design / 0.01**2 + prior**2
    whole = np.block([[normal, rules.T], [rules, np.zeros((3, 3))]])
    right = np.concatenate([design.T @ batch.y / 0.01**2, np.zeros(3)])
    used = np.abs(whole).sum(axis=0) > 0
    inverse = np.linalg.inv(whole[np.ix_(used, used)])
    np.testing.assert_allclose(parameters.values, (inverse @ right[used])[:n], atol=1e-8)
    error = np.sqrt(inverse.diagonal()[:n] * result.rounds[-1].chi2_dof)
    np.testing.assert_allclose(result.error, error, rtol=1e-5)


def test_a_known_night_tells_the_mean_of_the_flat_field(rng):
    """Not the rule, where the measures do."""
    nights = Nights(rng)
    nights.flat += 0.1
    model = nights.model()
    frozen = np.isin(np.arange(10), [4, 5])
    block = model.terms[0].block
    known = Block("night", np.where(frozen, nights.zero_point, 0.0), frozen=frozen,
                  is_level=True, takes_up=block.takes_up)  # fmt: skip
    model = PhotModel([Term(known, model.terms[0].of_image), *model.terms[1:]])
    batch = nights.batch(model, 0.01)
    parameters = model.parameters()
    result = solve_jointly(parameters, lambda: [batch], PLAIN)
    # A constant in both flats is in the stars, their difference is told.
    flat = parameters.of("flat").reshape(2, 8)
    np.testing.assert_allclose(flat - flat.mean(), nights.flat - nights.flat.mean(), atol=1e-8)
    assert result.solution.n_floating == 0


@pytest.mark.parametrize("n_batches", [2, 7])
def test_how_stars_are_cut_into_batches_changes_nothing(rng, n_batches):
    nights = Nights(rng)
    model = nights.model(slope_prior=0.04, flat_prior=0.1)
    whole = nights.batch(model, 0.01, rng)
    cuts = np.linspace(0, len(whole.edges) - 1, n_batches + 1).astype(int)
    parts = [
        StarBatch(whole.edges[a : b + 1] - whole.edges[a],
                  *(getattr(whole, n)[whole.edges[a] : whole.edges[b]]
                    for n in ("y", "sigma", "index", "coefficient")))
        for a, b in pairwise(cuts)
    ]  # fmt: skip
    found = []
    for batches in ([whole], parts):
        parameters = model.parameters()
        solve_jointly(parameters, lambda some=batches: some)
        found.append(parameters.values)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("options", [PLAIN, JointOptions()], ids=["plain", "robust"])
def test_errors_of_zero_points_slopes_and_flats_are_honest(rng, options):
    """Pulls of many surveys: their width is 1 for each kind, and so is chi-square."""
    pulls = {"night": [], "slope": [], "flat": []}
    chi2 = []
    for _ in range(400):  # 4,000 pulls of zero points: their width to 0.012
        nights = Nights(rng, n_stars=150)
        nights.zero_point -= nights.zero_point.mean()
        model = nights.model()
        batch = nights.batch(model, 0.01, rng)
        parameters = model.parameters()
        result = solve_jointly(parameters, lambda one=batch: [one], options)
        chi2.append(result.rounds[-1].chi2_dof)
        truth = {"night": nights.zero_point, "slope": nights.slope, "flat": nights.flat.ravel()}
        for block, where in parameters.places():
            off = parameters.values[where] - truth[block.name]
            pulls[block.name] += (off / result.error[where]).tolist()
    for name, values in pulls.items():
        assert 0.95 < np.std(values) < 1.05, name
        assert abs(np.mean(values)) < 0.1, name
    if options is PLAIN:
        assert abs(np.mean(chi2) - 1) < 0.02
