"""The joint solve for images on a simulated sky, against truth, least squares, and itself."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import sparse

from dvo.astrometry.legendre import legendre_basis
from dvo.calib.astrometry.image_solve import AstromBatch, ImageOptions, solve_images
from dvo.calib.astrometry.image_terms import CorrectionTerms, TermPriors
from ipp_pipeline.sim.flat_sky import SCALE, flat_sky

SMALL = {"n_exposures": 25, "n_stars": 6000, "patch_deg": 1.4}
EXACT = ImageOptions(close=1e-12, still=0.0, most_products=3000, most_rounds=40)


def solved(sky, options=None, priors=None, batches=None):
    terms = CorrectionTerms.of(sky.places, priors or TermPriors())
    return solve_images(batches or [sky.batch], terms, options or ImageOptions())


def parts(batch, cuts):
    """The same stars in several batches."""
    out = []
    for first, last in zip([0, *cuts], [*cuts, len(batch.edges) - 1], strict=True):
        low, high = batch.edges[first], batch.edges[last]
        columns = {}
        for field in fields(batch):
            value = getattr(batch, field.name)
            of_stars = field.name in ("prior", "expected", "is_known", "is_held")
            columns[field.name] = value[first:last] if of_stars else value[low:high]
        columns["edges"] = batch.edges[first : last + 1] - low
        out.append(AstromBatch(**columns))
    return out


@pytest.mark.parametrize(("share", "most_mas"), [(0.5, 1.6), (0.01, 3.2)])
def test_what_images_do_to_places_is_found(rng, share, most_mas):
    sky = flat_sky(rng, reference_share=share, **SMALL)
    result = solved(sky)
    assert result.is_converged
    before = np.sqrt(np.mean(sky.distortion[sky.batch.image >= 0] ** 2))
    assert before > 0.15
    assert sky.distortion_error(result) < most_mas
    last = result.rounds[-1]
    assert 0.6 < last.chi2_dof < 1.05


def test_without_noise_nothing_is_left(rng):
    sky = flat_sky(rng, noisy=False, air_mas=0.0, **SMALL)
    options = replace(EXACT, close=1e-6, most_rounds=12)
    priors = TermPriors(chip=1e3, exposure=1e3, image=0.0)
    exact = replace(sky.batch, expected=np.repeat(sky.truth, 1, axis=0))
    found = solved(replace(sky, batch=exact), options, priors)
    assert sky.distortion_error(found) < 1e-2


def test_stars_may_come_in_any_batches(rng):
    sky = flat_sky(rng, **SMALL)
    options = replace(EXACT, most_rounds=3)
    whole = solved(sky, options)
    for cuts in ([2500], [100, 101, 3000, 5999]):
        cut = solved(sky, options, batches=parts(sky.batch, cuts))
        np.testing.assert_allclose(cut.corrections, whole.corrections, atol=1e-10 / SCALE)


def test_one_round_is_least_squares(rng):
    """All unknowns at once, stars and images, by a sparse solver."""
    sky = flat_sky(rng, n_exposures=4, n_stars=900, patch_deg=1.2)
    terms = CorrectionTerms.of(sky.places, TermPriors())
    found = solve_images([sky.batch], terms, replace(EXACT, most_rounds=1))
    expected = least_squares(sky.batch, terms)
    np.testing.assert_allclose(found.parameters, expected, atol=2e-9)


def least_squares(batch, terms):
    star = np.repeat(np.arange(len(batch.edges) - 1), np.diff(batch.edges))
    counts = np.diff(batch.edges)[star]
    some = np.flatnonzero(counts > 1)
    n, n_stars = len(some), len(batch.edges) - 1
    basis = legendre_basis(batch.s[some], batch.t[some])
    w = 1 / batch.sigma[some]
    rows, ones = np.arange(n), np.ones(n)
    blocks = []
    for axis, (values, factor) in enumerate(((batch.x, batch.fx), (batch.y, batch.fy))):
        unknowns = (axis, 2 + axis, 4)
        columns = batch.image[some][:, None] * 20 + axis * 10 + np.arange(10)
        seen = sparse.csr_array(
            ((basis * SCALE).ravel(), (np.repeat(rows, 10), columns.ravel())),
            shape=(n, terms.matrix.shape[0]),
        )
        of_stars = sparse.csr_array(
            (
                np.concatenate([ones, batch.years[some], factor[some]]),
                (np.tile(rows, 3), np.concatenate([star[some] * 5 + k for k in unknowns])),
            ),
            shape=(n, n_stars * 5),
        )  # fmt: skip
        design = sparse.hstack([seen @ terms.matrix, -of_stars])
        blocks.append((sparse.diags_array(w) @ design, -w * values[some]))
    told = np.unique(star[some])
    prior = np.zeros((n_stars, 5))
    prior[told] = batch.prior[told]
    # Stars that are not there get a place, so that the matrix can be solved.
    prior[np.setdiff1d(np.arange(n_stars), told)] = 1.0
    root = np.concatenate([np.sqrt(terms.weight), np.sqrt(prior).ravel()])
    middle = np.concatenate([np.zeros(len(terms)), -batch.expected.ravel()])
    design = sparse.vstack([b for b, _ in blocks] + [sparse.diags_array(root)])
    right = np.concatenate([r for _, r in blocks] + [-root * middle])
    # Unknowns of stars stand with a minus sign: so do what is expected of them.
    normal = sparse.csc_array(design.T @ design)
    return sparse.linalg.spsolve(normal, design.T @ right)[: len(terms)]


def test_outliers_do_little(rng):
    sky = flat_sky(rng, **SMALL)
    clean = sky.distortion_error(solved(sky))
    bad = rng.random(len(sky.batch.x)) < 0.02
    sky.batch.x[bad] += rng.normal(0, 0.5, bad.sum())
    assert sky.distortion_error(solved(sky)) < 1.15 * clean


def test_stars_kept_from_the_solve_tell_good_images_from_bad(rng):
    sky = flat_sky(rng, held_share=0.1, **SMALL)
    # On one image the stars of the solve are moved, and those that judge are not.
    batch, image = sky.batch, int(np.bincount(sky.batch.image).argmax())
    moved = (batch.image == image) & ~batch.of_held
    batch.x[moved] += 0.5
    result = solved(sky)
    judged = np.isfinite(result.before)
    is_better = result.after < result.before
    assert not is_better[image]
    assert is_better[judged].mean() > 0.97


def test_how_large_corrections_are_is_found(rng):
    # Of the air there is none: its terms do not follow the noise.
    calm = flat_sky(rng, air_mas=0.0, **SMALL)
    with_air = solved(calm)
    without = solved(calm, priors=TermPriors(image=0.0))
    assert calm.distortion_error(with_air) < 1.1 * calm.distortion_error(without)


def test_images_that_are_not_free_stay(rng):
    sky = flat_sky(rng, **SMALL)
    sky.places.is_free[::7] = False
    result = solved(sky)
    assert not result.corrections[::7].any()
    assert result.corrections[1::7].any()
