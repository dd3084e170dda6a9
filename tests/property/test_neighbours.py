"""Positions near positions: the grid finds what brute force finds, anywhere on the sky."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dvo.errors import QueryError
from dvo.neighbours import SkyGrid
from dvo.sphere import separation
from tests import reference

CENTRES = [
    (0.0, 0.0),
    (359.9999, -1e-5),
    (180.0, 90.0),
    (40.0, 89.9999),
    (300.0, -90.0),
    (12.0, 60),
]


def positions(rng, centre, width_arcsec, n):
    """Positions about a centre, some of them twice, some at the pole itself."""
    angle = np.radians(width_arcsec / 3600.0) * np.sqrt(rng.random(n))
    turn = rng.uniform(0, 2 * np.pi, n)
    up = reference.unit_vector(*centre)
    side = np.cross(up, [0.3, -0.5, 0.8])
    side /= np.linalg.norm(side)
    sideways = np.outer(np.cos(turn), side) + np.outer(np.sin(turn), np.cross(up, side))
    vectors = np.cos(angle)[:, None] * up + np.sin(angle)[:, None] * sideways
    ra, dec = reference.positions(vectors)
    if n > 3:
        ra[0], dec[0] = ra[1], dec[1]
        ra[2], dec[2] = np.nan, 0.0
        ra[3], dec[3] = centre[0] + 360.0, centre[1]
    return ra, dec


def all_distances(one, two):
    """Distances of all pairs, shape (len(two), len(one)) [arcsec]; NaN for no position."""
    n, m = len(one[0]), len(two[0])
    left = [np.tile(x, m) for x in one]
    right = [np.repeat(x, n) for x in two]
    return separation(*left, *right).reshape(m, n) * 3600.0


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    centre=st.sampled_from(CENTRES),
    radius=st.sampled_from([0.5, 1.0, 30.0, 600.0, 3600.0]),
    spread=st.sampled_from([0.7, 3.0, 20.0]),
    n=st.integers(0, 80),
    m=st.integers(0, 80),
)
@example(seed=1, centre=(180.0, 90.0), radius=3600.0, spread=20.0, n=80, m=80)
def test_the_grid_finds_what_brute_force_finds(seed, centre, radius, spread, n, m):
    rng = np.random.default_rng(seed)
    one = positions(rng, centre, radius * spread, n)
    two = positions(rng, centre, radius * spread, m)
    far = all_distances(one, two)
    # Whether a pair on the very edge counts is left to rounding.
    edge = np.abs(far - radius) < 1e-8 * radius
    inside = (far <= radius) & ~edge
    grid = SkyGrid(*one, radius)

    i, j, apart = grid.within(*two)
    found = np.zeros_like(inside)
    found[i, j] = True
    assert found.sum() == len(i), "a pair came twice"
    assert not (inside & ~found).any()
    assert not (found & ~inside & ~edge).any()
    np.testing.assert_allclose(apart, far[i, j], rtol=1e-8, atol=2e-9)
    assert (np.diff(i) >= 0).all()
    assert (np.diff(apart)[np.diff(i) == 0] >= 0).all()

    row, apart = grid.nearest(*two)
    assert ((row >= 0) == np.isfinite(apart)).all()
    nearest = np.fmin.reduce(far, axis=1, initial=np.inf)
    assert (row >= 0)[nearest < radius * (1 - 1e-8)].all()
    assert not (row >= 0)[nearest > radius * (1 + 1e-8)].any()
    hit = np.flatnonzero(row >= 0)
    np.testing.assert_allclose(apart[hit], nearest[hit], rtol=1e-8, atol=2e-9)
    np.testing.assert_allclose(far[hit, row[hit]], nearest[hit], rtol=1e-8, atol=2e-9)


def test_of_equally_near_positions_the_lower_one_is_taken():
    step = 2.0**-12  # degrees, so that both are exactly as far
    grid = SkyGrid([10.0, 10.0, 10.0, 10.0], [step, -step, step, -step], 3600.0)
    row, _ = grid.nearest([10.0], [0.0])
    assert row.tolist() == [1]
    _, rows, _ = grid.within([10.0], [0.0])
    assert rows.tolist() == [1, 3, 0, 2]


def test_many_positions_in_one_place_get_smaller_cells():
    rng = np.random.default_rng(5)
    ra, dec = 150.0 + rng.uniform(0, 0.008, 20_000), 2.0 + rng.uniform(0, 0.008, 20_000)
    row, apart = SkyGrid(ra, dec, 0.1).nearest(ra, dec)
    assert (row == np.arange(len(ra))).all()
    assert (apart == 0.0).all()


@pytest.mark.parametrize("radius", [0.0, -1.0, 3600.1, float("nan")])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(QueryError, match="match radius"):
        SkyGrid([0.0], [0.0], radius)
