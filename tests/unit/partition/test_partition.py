"""Partition: leaves of one level or of several cover the sky once."""

import numpy as np
import pytest

from dvo.errors import PartitionError, ShapeError
from dvo.partition.partition import Partition, overhang_deg
from dvo.partition.sky_table import SkyTable
from tests import reference

SKY = SkyTable.standard()
PLAIN = Partition(SKY, 3)


def index(name: str) -> int:
    return SKY.by_name(name).index


MIXED = PLAIN.with_splits(
    map(index, ["n0000/0001", "n0000/0001.00", "n8230/pole.4", "n4500/3281", "n0000/0587"])
)


def test_leaves_cover_the_sky_once() -> None:
    bounds = SKY.bounds(MIXED.leaves)
    a, d = np.radians(bounds[:, :2]), np.sin(np.radians(bounds[:, 2:]))
    areas = (a[:, 1] - a[:, 0]) * (d[:, 1] - d[:, 0])
    assert areas.sum() == pytest.approx(4 * np.pi, rel=1e-9)
    assert len(MIXED.leaves) == 9499 - 4 + 4 * 16 - 1 + 25
    assert MIXED.is_leaf(MIXED.leaves).all()


def test_is_leaf_knows_all_levels() -> None:
    names = ["n0000/0001", "n0000/0001.00", "n0000/0001.01", "n0000/0001.00.03", "n0000/0002"]
    names += ["n0000/0002.01", "n0000", "fullsky", "n0000/0001.01.00"]
    found = MIXED.is_leaf([index(n) for n in names])
    assert found.tolist() == [False, False, True, True, True, False, False, False, False]


def test_positions_lie_in_the_one_leaf_that_holds_them(rng: np.random.Generator) -> None:
    ra, dec = reference.uniform_sky(rng, 50_000)
    ra[:4000], dec[:4000] = rng.uniform(-1, 3, 4000), rng.uniform(0, 2, 4000)
    dec[4000:8000] = rng.uniform(87, 90, 4000)
    found = MIXED.locate(ra, dec)
    limits = SKY.bounds(found)
    assert (limits[:, 0] <= ra % 360).all()
    assert (ra % 360 < limits[:, 1]).all()
    assert (limits[:, 2] <= dec).all()
    assert (dec < limits[:, 3]).all()
    assert MIXED.is_leaf(found).all()
    assert set(SKY.depths(found).tolist()) == {3, 4, 5}


def test_what_is_no_position_has_no_leaf() -> None:
    assert MIXED.locate([np.nan, 1.0], [0.0, 91.0]).tolist() == [-1, -1]
    assert MIXED.locate([], []).size == 0
    with pytest.raises(ShapeError):
        MIXED.locate([1.0, 2.0], [1.0])


def test_without_splits_it_is_the_sky_table(rng: np.random.Generator) -> None:
    ra, dec = reference.uniform_sky(rng, 1000)
    assert (PLAIN.locate(ra, dec) == SKY.locate(ra, dec, 3)).all()
    assert PLAIN.leaves.tolist() == list(SKY.at_level(3))
    assert PLAIN.cone(10, 20, 5).tolist() == SKY.cone(10, 20, 5, 3).tolist()
    corners = [(10, 10), (20, 10), (15, 20)]
    assert PLAIN.polygon(corners).tolist() == SKY.polygon(corners, 3).tolist()


@pytest.mark.parametrize(
    "names",
    [["n0000/0001.00"], ["n0000"], ["n0000/0001", "n0000/0001.00", "n0000/0001.00.00"]],
    ids=["no parent", "above", "no children"],
)
def test_what_cannot_be_split_is_refused(names: list[str]) -> None:
    with pytest.raises(PartitionError, match="cannot have"):
        PLAIN.with_splits(map(index, names))
    with pytest.raises(PartitionError, match="out of order"):
        Partition(SKY, 3, (index("n0000/0002"), index("n0000/0001")))


def test_values_are_equal_by_what_they_say() -> None:
    again = Partition(SKY, 3).with_splits(MIXED.splits)
    assert again == MIXED
    assert hash(again) == hash(MIXED)
    assert MIXED != PLAIN
    assert MIXED.with_splits([]) == MIXED


def test_overlapping_finds_parts_and_wholes() -> None:
    def names(*given: str) -> list[str]:
        return SKY.names(MIXED.overlapping([index(n) for n in given]))

    assert names("n0000/0002.03.04", "n0000/0002") == ["n0000/0002"]
    assert names("n0000/0001.01.07") == ["n0000/0001.01"]
    assert len(names("n0000/0001")) == 15 + 25
    assert len(names("fullsky")) == len(MIXED.leaves)
    assert names() == []


def test_near_boxes_over_seam_and_pole() -> None:
    seam = SKY.bounds([index("n0000/0001.12")])
    names = SKY.names(MIXED.near_boxes(seam, 0.01))
    assert "n0000/0587.15" in names
    assert "n0000/0001.12" in names
    pole = np.array([[40.0, 40.0, 89.999, 89.999]])
    assert SKY.names(MIXED.near_boxes(pole, 0.01)) == [
        f"n8230/pole.4.{k}" for k in (12, 13, 14, 15)
    ]
    assert len(PLAIN.near_boxes(np.empty((0, 4)), 1.0)) == 0
    assert len(MIXED.near_boxes(pole, 180.0)) == len(MIXED.leaves)


def test_columns_of_a_file_point_to_its_own_rows() -> None:
    columns = MIXED.columns()
    rows = columns["INDEX"]
    assert rows[columns["TABLE"]].tolist() == MIXED.leaves.tolist()
    assert (columns["TABLE"] != columns["CHILD"]).all()
    assert [n.decode() for n in columns["NAME"]] == SKY.names(rows)
    assert columns["PARENT"][0] == -1
    for k in np.flatnonzero(columns["CHILD"]):
        children = range(columns["CHILD_S"][k], columns["CHILD_E"][k])
        assert rows[children].tolist() == list(SKY.children(int(rows[k])))
        assert (columns["PARENT"][children] == k).all()
    assert (columns["CHILD_E"][columns["TABLE"]] == 0).all()


def test_overhang() -> None:
    bounds = np.array([[359.0, 360.0, -10.0, -9.0]] * 4)
    out = overhang_deg(bounds, np.array([359.5, 0.25, 359.5, 358.0]), np.array([-9.5, 0, -8, -10]))
    assert out[0] == 0
    assert out[1] == pytest.approx(np.hypot(0.25, 9))
    assert out[2] == pytest.approx(1)
    assert out[3] == pytest.approx(np.cos(np.radians(10)))


def test_digests_tell_partitions_apart() -> None:
    assert PLAIN.digest != MIXED.digest != Partition(SKY, 4).digest
    assert MIXED.digest == PLAIN.with_splits(MIXED.splits).digest
