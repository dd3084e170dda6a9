"""SkyTable: tiling, pointers, names, and look-ups at edges, poles and the seam."""

import os

import numpy as np
import pytest

from dvo.errors import PartitionError, ShapeError, UnknownRegionError
from dvo.partition.sky_table import SkyTable
from tests import reference

SKY = SkyTable.standard()
LEVELS = range(6)
# Without compiled code a million positions would take a minute a level.
N_SKY = 20_000 if os.environ.get("NUMBA_DISABLE_JIT") == "1" else 1_000_000


def level_bounds(level: int) -> np.ndarray:
    return SKY.bounds(np.asarray(SKY.at_level(level)))


@pytest.mark.parametrize("level", LEVELS)
def test_positions_lie_in_exactly_one_region(level: int, rng: np.random.Generator) -> None:
    ra, dec = reference.uniform_sky(rng, N_SKY)
    found = SKY.locate(ra, dec, level)
    limits = SKY.bounds(found)
    assert (limits[:, 0] <= ra).all()
    assert (ra < limits[:, 1]).all()
    assert (limits[:, 2] <= dec).all()
    assert (dec < limits[:, 3]).all()
    # Uniqueness: areas add up to the sphere, and brute force finds one region only.
    everywhere = level_bounds(level)
    a, d = np.radians(everywhere[:, :2]), np.sin(np.radians(everywhere[:, 2:]))
    assert ((a[:, 1] - a[:, 0]) * (d[:, 1] - d[:, 0])).sum() == pytest.approx(4 * np.pi, rel=1e-9)
    for i in range(20):
        want = reference.regions_holding(everywhere, ra[i], dec[i]) + SKY.at_level(level).start
        assert want.tolist() == [found[i]]


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_corners_belong_to_the_region_they_open(level: int) -> None:
    rows = np.asarray(SKY.at_level(level))
    limits = SKY.bounds(rows)
    assert (SKY.locate(limits[:, 0], limits[:, 2], level) == rows).all()
    # And the last float below the upper limits is still inside.
    ra, dec = np.nextafter(limits[:, 1], 0), np.nextafter(limits[:, 3], -91)
    assert (SKY.locate(ra, dec, level) == rows).all()


def test_deepest_corners_belong_to_the_region_they_open(rng: np.random.Generator) -> None:
    rows = rng.choice(np.asarray(SKY.at_level(5)), 200_000)
    limits = SKY.bounds(rows)
    assert (SKY.locate(limits[:, 0], limits[:, 2], 5) == rows).all()
    ra, dec = np.nextafter(limits[:, 1], 0), np.nextafter(limits[:, 3], -91)
    assert (SKY.locate(ra, dec, 5) == rows).all()


@pytest.mark.parametrize("level", [2, 3, 4])
def test_neighbours_share_their_edges_to_the_bit(level: int) -> None:
    limits = level_bounds(level)
    west, east = limits[:, 0][limits[:, 0] > 0], limits[:, 1][limits[:, 1] < 360]
    assert set(west.tolist()) == set(east.tolist())
    south, north = limits[:, 2][limits[:, 2] > -90], limits[:, 3][limits[:, 3] < 90]
    assert set(south.tolist()) == set(north.tolist())


@pytest.mark.parametrize("level", LEVELS)
def test_poles_and_seam(level: int) -> None:
    ra = [0.0, 360.0, -1e-20, 720.0, 123.0, 123.0]
    dec = [10.0, 10.0, 10.0, 10.0, 90.0, -90.0]
    found = SKY.locate(ra, dec, level)
    assert len(set(found[:4].tolist())) == 1
    assert SKY.region(int(found[4])).dec_max == 90.0
    assert SKY.region(int(found[5])).dec_min == -90.0
    assert SKY.region(int(found[4])).contains(123.0, 90.0)


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_no_position_has_no_region(level: int) -> None:
    ra = [np.nan, 0.0, np.inf, 10.0, 10.0]
    dec = [0.0, np.nan, 0.0, 90.0001, -90.0001]
    assert SKY.locate(ra, dec, level).tolist() == [-1] * 5
    assert SKY.locate([], [], level).size == 0


def test_levels_nest(rng: np.random.Generator) -> None:
    ra, dec = reference.uniform_sky(rng, 100_000)
    for level in range(5, 0, -1):
        deeper = SKY.locate(ra, dec, level)
        assert (SKY.parents(deeper) == SKY.locate(ra, dec, level - 1)).all()
        assert (SKY.depths(deeper) == level).all()


def test_pointers_agree() -> None:
    for level in range(4):
        next_row = SKY.at_level(level + 1).start
        for row in SKY.at_level(level):
            children = SKY.children(row)
            assert children.start == next_row
            assert (SKY.parents(np.asarray(children)) == row).all()
            next_row = children.stop
        assert next_row == SKY.at_level(level + 1).stop


def test_children_fill_their_parent(rng: np.random.Generator) -> None:
    for row in rng.integers(0, SKY.at_level(4).stop, 200).tolist():
        limits, parent = SKY.bounds(np.asarray(SKY.children(row))), SKY.bounds([row])[0]
        assert limits[:, 0].min() == parent[0]
        assert limits[:, 1].max() == parent[1]
        assert limits[:, 2].min() == parent[2]
        assert limits[:, 3].max() == parent[3]


def test_descendants() -> None:
    pole = SKY.parents([SKY.by_name("n8230/pole.0").index])[0]
    assert len(SKY.descendants(int(pole), 4)) == 80
    assert len(SKY.descendants(0, 5)) == SKY.count(5)
    assert SKY.descendants(7, 1) == range(7, 8)
    with pytest.raises(PartitionError, match="level 3"):
        SKY.descendants(SKY.at_level(3).start, 2)


def test_names_are_unique_and_lead_back(rng: np.random.Generator) -> None:
    names = SKY.names(np.arange(SKY.at_level(4).stop))
    assert len(set(names)) == len(names)
    for row in [*rng.integers(0, len(SKY), 200).tolist(), 0, 1, 25, 759, len(SKY) - 1]:
        region = SKY.region(row)
        assert SKY.by_name(region.name) == region
        assert region.index == row


def test_names_of_the_original() -> None:
    assert SKY.names([0, 1, 24]) == ["fullsky", "n0000", "s8230"]
    first = SKY.at_level(3).start
    assert SKY.names([first, first + 1]) == ["n0000/0001", "n0000/0002"]
    region = SKY.by_name("s8230/pole.4.00")
    assert (region.depth, region.dec_min, region.dec_max) == (4, -90.0, -89.53125)
    assert SKY.by_name("n8230/pole.3").ra_min == 270.0
    assert SKY.by_name("n0000/0001.05").ra_min == 0.625


@pytest.mark.parametrize("name", ["", "n9999", "n0000/0000", "n0000/0001.16", "n0000.05", "x.y"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownRegionError, match="names are like"):
        SKY.by_name(name)


def test_misuse_is_refused() -> None:
    with pytest.raises(UnknownRegionError, match="index -1"):
        SKY.region(-1)
    with pytest.raises(PartitionError, match="level 6"):
        SKY.locate([1.0], [1.0], 6)
    with pytest.raises(ShapeError):
        SKY.locate([1.0, 2.0], [1.0], 3)
    with pytest.raises(PartitionError, match="radius"):
        SKY.cone(1.0, 1.0, -1.0, 3)
    with pytest.raises(PartitionError, match="dec_min <= dec_max"):
        SKY.box(0, 1, 5, 4, 3)
    with pytest.raises(ShapeError, match="three rows"):
        SKY.polygon([(0, 0), (1, 1)], 3)
    with pytest.raises(ShapeError, match="split it"):
        SKY.polygon([(0, 0), (120, 0), (240, 0)], 3)


def test_whole_sky() -> None:
    for level in (0, 2, 4):
        everything = list(SKY.at_level(level))
        assert SKY.cone(10, 20, 180, level).tolist() == everything
        assert SKY.box(0, 360, -90, 90, level).tolist() == everything


def test_cone_on_the_pole_and_the_seam() -> None:
    assert SKY.names(SKY.cone(77.0, 90.0, 0.1, 3)) == ["n8230/pole.4"]
    assert SKY.names(SKY.cone(0.0, 1.0, 0.1, 3)) == ["n0000/0001", "n0000/0587"]
    assert SKY.names(SKY.cone(360.0, 1.0, 0.1, 3)) == ["n0000/0001", "n0000/0587"]


def test_box_over_the_seam() -> None:
    names = SKY.names(SKY.box(359.9, 0.1, 1.0, 1.1, 3))
    assert names == ["n0000/0001", "n0000/0587"]
    assert len(SKY.box(10.0, 10.0, 5.0, 5.0, 4)) == 1


def test_names_of_whole_levels() -> None:
    names = SKY.names(np.arange(SKY.at_level(4).stop))
    assert SKY.names_down_to(4).tolist() == [name.encode() for name in names]
    assert SKY.names_down_to(1)[-1] == b"s8230"


def test_a_shallow_table_ends_above() -> None:
    shallow = SkyTable(3)
    assert len(shallow) == 10258
    assert shallow.region(10257).child_end == 0
    with pytest.raises(UnknownRegionError):
        shallow.by_name("n0000/0001.05")
