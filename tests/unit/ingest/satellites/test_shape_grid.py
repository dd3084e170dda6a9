"""The minimum of a grid of trials, against plain least squares row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.satellites.shape_grid import BestTrials, ShapeGrid, best_trials
from dvo.tables.galphot import GalPhotFlag

F64 = NDArray[np.float64]


def grids(rng: np.random.Generator, n: int, size: tuple[int, int] = (5, 5)) -> ShapeGrid:
    """Noisy paraboloids whose minima lie in and near the grid."""
    low = rng.uniform(0.5, 0.9, (2, n))
    step = rng.uniform(0.02, 0.2, (2, n))
    i, j = np.indices(size, dtype=np.float64)
    at = rng.uniform(-1.0, np.array(size)[:, None], (2, n))
    p, q = i[None] - at[0][:, None, None], j[None] - at[1][:, None, None]
    a, b = rng.uniform(5, 50, (2, n, 1, 1))
    c = rng.uniform(-0.9, 0.9, (n, 1, 1)) * 2 * np.sqrt(a * b)
    total = 700 + a * p**2 + b * q**2 + c * p * q + rng.normal(0, 0.5, p.shape)
    n_pix = rng.uniform(100, 900, n)
    flux = 1e4 * (1 + 0.1 * p - 0.05 * q)
    return ShapeGrid(
        low[0], step[0], low[1], step[1], total / n_pix[:, None, None], flux, 0.01 * flux, n_pix
    )


def by_hand(grid: ShapeGrid, k: int) -> tuple[F64, F64] | None:
    """Minimum and errors of one grid, in the fractions themselves, by lstsq."""
    n_major, n_minor = grid.chisq.shape[1:]
    x = grid.major_min[k] + grid.major_step[k] * np.arange(n_major)
    y = grid.minor_min[k] + grid.minor_step[k] * np.arange(n_minor)
    x, y = (v.ravel() for v in np.meshgrid(x, y, indexing="ij"))
    z = grid.chisq[k].ravel() * grid.n_pix[k]
    good = np.isfinite(z)
    if good.sum() < 6:
        return None
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)[good]
    terms, *_ = np.linalg.lstsq(design, z[good], rcond=None)
    hessian = np.array([[2 * terms[3], terms[4]], [terms[4], 2 * terms[5]]])
    return np.linalg.solve(hessian, -terms[1:3]), 1 / np.sqrt(terms[[3, 5]])


def one(found: BestTrials, k: int) -> dict[str, Any]:
    return {name: getattr(found, name)[k] for name in BestTrials.__slots__}


def test_minima_are_those_of_plain_least_squares() -> None:
    rng = np.random.default_rng(1)
    grid = grids(rng, 300, (5, 7))
    chisq = grid.chisq
    chisq[::3, 2, 3] = np.nan  # a trial that failed
    found = best_trials(grid)
    n_inside = 0
    for k in range(300):
        expected = by_hand(grid, k)
        assert expected is not None
        row = one(found, k)
        assert row["chisq"] == np.nanmin(chisq[k])
        if row["flags"]:
            continue
        n_inside += 1
        assert np.allclose([row["major"], row["minor"]], expected[0], rtol=1e-6)
        assert np.allclose([row["major_err"], row["minor_err"]], expected[1], rtol=1e-5)
        # The flux is linear in the axes, so it is exact between the trials and beyond.
        u = (row["major"] - grid.major_min[k]) / grid.major_step[k]
        v = (row["minor"] - grid.minor_min[k]) / grid.minor_step[k]
        corner = grid.flux[k, 0, 0]
        slopes = grid.flux[k, 1, 0] - corner, grid.flux[k, 0, 1] - corner
        assert np.isclose(row["flux"], corner + u * slopes[0] + v * slopes[1])
        assert np.isclose(row["flux_err"], 0.01 * row["flux"])
    assert n_inside > 200


def test_far_outside_the_best_trial_is_taken() -> None:
    rng = np.random.default_rng(2)
    grid = grids(rng, 20)
    i, j = np.indices((5, 5))
    chisq = 3.0 + ((i - 9.0) ** 2 + (j - 2.0) ** 2) / 100.0  # the minimum is at step 9
    grid = ShapeGrid(
        grid.major_min, grid.major_step, grid.minor_min, grid.minor_step,
        np.repeat(chisq[None], 20, axis=0), grid.flux, grid.flux_err, grid.n_pix,
    )  # fmt: skip
    found = best_trials(grid)
    assert (found.flags == GalPhotFlag.OUT_OF_RANGE).all()
    assert np.allclose(found.major, grid.major_min + 4 * grid.major_step)
    assert np.allclose(found.minor, grid.minor_min + 2 * grid.minor_step)
    assert np.allclose(found.major_err, grid.major_step)
    assert np.array_equal(found.flux, grid.flux[:, 4, 2])


def flat(chisq: F64) -> ShapeGrid:
    n = len(chisq)
    ones = np.ones(n)
    return ShapeGrid(ones, 0.1 * ones, ones, 0.1 * ones, chisq, 5 + 0 * chisq, 1 + 0 * chisq, ones)


def test_what_cannot_be_fitted_is_flagged() -> None:
    nan = np.nan
    few = np.full((5, 5), nan)
    few[1, 3], few[2, 2] = 4.0, 3.0
    line = np.full((5, 5), nan)
    line[:, 0] = [3, 2, 1, 2, 3]
    line[0, 1] = 9.0  # six trials, of which five lie on a line
    saddle = np.fromfunction(lambda i, j: (i - 2.0) ** 2 - (j - 2.0) ** 2, (5, 5))
    none = np.full((5, 5), nan)
    found = best_trials(flat(np.stack([few, line, saddle, none])))
    expected = [GalPhotFlag.TOO_FEW_POINTS, GalPhotFlag.FIT_FAILED, GalPhotFlag.BAD_ERROR,
                GalPhotFlag.TOO_FEW_POINTS]  # fmt: skip
    assert found.flags.tolist() == expected
    assert np.allclose(found.major[:2], [1.2, 1.2])
    assert np.allclose(found.minor[:2], [1.2, 1.0])
    for name in BestTrials.__slots__:
        if name != "flags":
            assert np.isnan(getattr(found, name)[3])


def test_a_wild_grid_leaves_the_others_alone() -> None:
    grid = grids(np.random.default_rng(5), 40)
    alone = best_trials(grid)
    grid.chisq[7] = 1e38
    grid.chisq[7, 2, 2] = -1e38
    grid.n_pix[7] = 1e308
    found = best_trials(grid)
    others = np.arange(40) != 7
    for name in BestTrials.__slots__:
        values = getattr(alone, name)[others], getattr(found, name)[others]
        assert np.array_equal(*values, equal_nan=name != "flags")


def test_one_axis_and_no_trials() -> None:
    found = best_trials(flat(np.ones((2, 1, 7))))
    assert (found.flags == GalPhotFlag.FIT_FAILED).all()
    assert np.allclose(found.flux, 5.0)
    assert len(best_trials(flat(np.ones((0, 5, 5)))).flags) == 0


def test_wild_values_give_no_warning() -> None:
    rng = np.random.default_rng(3)
    values = np.array([0.0, -1.0, 1e38, -1e38, np.nan, np.inf, 1e-38, 3.0])
    grid = ShapeGrid(*rng.choice(values, (4, 200)), *rng.choice(values, (3, 200, 3, 3)),
                     rng.choice(values, 200))  # fmt: skip
    found = best_trials(grid)
    assert len(found.flags) == 200
