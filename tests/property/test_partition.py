"""Cones, boxes and polygons never miss a region, wherever they lie, split or not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dvo.partition.partition import Partition
from dvo.partition.sky_table import SkyTable
from dvo.projection import tan_deproject
from tests import reference

SKY = SkyTable.standard()
N_SAMPLES = 4000

ras = st.floats(-10, 370) | st.sampled_from([0.0, 360.0, 180.0, 2.5])
decs = st.floats(-90, 90) | st.sampled_from([-90.0, -86.25, 0.0, 7.5, 88.125, 90.0])
radii = st.floats(0, 3) | st.sampled_from([0.0, 1e-4, 30.0, 100.0])
levels = st.integers(0, 4)
seeds = st.integers(0, 2**32)


@given(ras, decs, radii, levels, seeds)
def test_cone_misses_nothing(ra: float, dec: float, radius: float, level: int, seed: int) -> None:
    found = SKY.cone(ra, dec, radius, level)
    inside = reference.cone_positions(np.random.default_rng(seed), ra, dec, radius, N_SAMPLES)
    assert np.isin(SKY.locate(*inside, level), found).all()
    assert (np.diff(found) > 0).all()


@given(ras, decs, st.floats(0, 3), st.integers(3, 4))
def test_cone_is_not_generous(ra: float, dec: float, radius: float, level: int) -> None:
    found = SKY.cone(ra, dec, radius, level)
    for limits in SKY.bounds(found)[:30]:
        # A fine grid of the rectangle comes as near as its own spacing.
        a, d = np.meshgrid(np.linspace(*limits[:2], 60), np.linspace(*limits[2:], 60))
        near = min(
            reference.separation(ra, dec, x, y)
            for x, y in zip(a.ravel()[::7], d.ravel()[::7], strict=True)
        )
        assert near <= radius + 0.2 * np.ptp(limits[2:]) + 0.2 * np.ptp(limits[:2])


@given(ras, st.floats(0, 360), decs, st.floats(0, 20), levels, seeds)
def test_box_misses_nothing(
    ra: float, width: float, dec: float, height: float, level: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    top = min(90.0, dec + height)
    found = SKY.box(ra, ra + width, dec, top, level)
    inside = (
        ra + width * np.clip(rng.uniform(-0.1, 1.1, N_SAMPLES), 0, 1),
        np.clip(dec + (top - dec) * rng.uniform(-0.1, 1.1, N_SAMPLES), dec, top),
    )
    if width < 359.999:
        # Adding a start of -10 can round the far edge up by a bit or two.
        inside = (np.minimum(inside[0], ra + width), inside[1])
    assert np.isin(SKY.locate(*inside, level), found).all()


@given(ras, decs, st.floats(0.01, 40), st.integers(3, 8), levels, seeds)
def test_polygon_misses_nothing(
    ra: float, dec: float, size: float, n_corners: int, level: int, seed: int
) -> None:
    # A star-shaped polygon, concave as a rule, about its centre in the gnomonic plane:
    # points between the centre and its sides are inside.
    rng = np.random.default_rng(seed)
    turn = (np.arange(n_corners) + rng.uniform(0, 0.2, n_corners)) * 2 * np.pi / n_corners
    reach = size * rng.uniform(0.2, 1.0, n_corners)
    x, y = reach * np.cos(turn), reach * np.sin(turn)
    found = SKY.polygon(np.stack(tan_deproject(x, y, ra, dec), axis=1), level)
    side, along, outward = rng.integers(0, n_corners, N_SAMPLES), *rng.uniform(0, 1, (2, N_SAMPLES))
    after = (side + 1) % n_corners
    px = outward * (x[side] * (1 - along) + x[after] * along)
    py = outward * (y[side] * (1 - along) + y[after] * along)
    assert np.isin(SKY.locate(*tan_deproject(px, py, ra, dec), level), found).all()


@st.composite
def partitions(draw: st.DrawFn) -> Partition:
    """Partitions of some level with splits around two places, one of them often a hard one."""
    level = draw(st.integers(0, 3))
    places = draw(st.lists(st.tuples(ras, decs), min_size=1, max_size=2))
    depths = draw(st.lists(st.integers(0, 5 - level), min_size=2, max_size=2))
    splits: set[int] = set()
    for (ra, dec), deeper in zip(places, depths, strict=False):
        splits |= {int(SKY.locate([ra], [dec], level + k)[0]) for k in range(deeper)}
    return Partition(SKY, level).with_splits(splits)


def brute_leaves(cut: Partition) -> set[int]:
    """Leaves by going down the tree one region at a time."""
    out, left = set(), list(SKY.at_level(cut.level))
    while left:
        row = left.pop()
        if row in cut.splits:
            left += SKY.children(row)
        else:
            out.add(row)
    return out


@given(partitions(), ras, decs, st.floats(0, 3), seeds)
def test_look_ups_of_any_partition(
    cut: Partition, ra: float, dec: float, radius: float, seed: int
) -> None:
    leaves = brute_leaves(cut)
    assert set(cut.leaves.tolist()) == leaves
    inside = reference.cone_positions(np.random.default_rng(seed), ra, dec, radius, 500)
    own = cut.locate(*inside)
    assert set(own.tolist()) <= leaves
    limits = SKY.bounds(own)
    a, d = inside[0] % 360.0, inside[1]
    assert ((limits[:, 0] <= a) & (a < limits[:, 1]) & (limits[:, 2] <= d)).all()
    assert ((d < limits[:, 3]) | (d == 90.0)).all()
    for found in (
        cut.cone(ra, dec, radius),
        cut.near_boxes(np.array([[ra, ra, dec, dec]]), radius),
    ):
        assert np.isin(own, found).all()
        assert set(found.tolist()) <= leaves
        assert (np.diff(found) > 0).all()
    west, east = a.min(), a.max()
    box = cut.box(west, east, d.min(), d.max())
    assert np.isin(own, box).all()
    assert set(box.tolist()) <= leaves


@given(partitions(), ras, decs, st.floats(0.1, 20), seeds)
def test_polygons_in_any_partition(
    cut: Partition, ra: float, dec: float, size: float, seed: int
) -> None:
    turn = np.radians([0, 130, 240])
    corners = tan_deproject(size * np.cos(turn), size * np.sin(turn), ra, dec)
    found = cut.polygon(np.stack(corners, axis=1))
    shares = np.random.default_rng(seed).dirichlet([1, 1, 1], 500)
    inside = tan_deproject(shares @ (size * np.cos(turn)), shares @ (size * np.sin(turn)), ra, dec)
    assert np.isin(cut.locate(*inside), found).all()
    assert cut.is_leaf(found).all()


@given(partitions(), ras, decs, st.floats(0, 2), seeds)
def test_what_is_near_regions(
    cut: Partition, ra: float, dec: float, reach: float, seed: int
) -> None:
    region = cut.locate([ra], [dec])
    rng = np.random.default_rng(seed)
    west, east, low, high = SKY.bounds(region)[0]
    along = rng.uniform(west, east, 20), rng.uniform(low, high, 20)
    found = cut.near_boxes(SKY.bounds(region), reach)
    for a, d in zip(*along, strict=True):
        near = reference.cone_positions(rng, a, min(d, 90.0), reach, 30)
        assert np.isin(cut.locate(*near), found).all()
    assert cut.is_leaf(found).all()
