"""Flat fields against a lookup written out for one measure after the other."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.photometry.flats import ALWAYS, FlatFields
from dvo.errors import SchemaError
from dvo.tables.column_table import ColumnTable
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE

CODES = np.array([3, 3, 7])
SEASONS = np.array([[1000, 2000], [2000, 3000], ALWAYS])
SIZES = np.array([[10, 20], [10, 20], [10, 20]])


@pytest.fixture
def grids(rng):
    found = rng.normal(0, 0.02, (3, 4, 5))
    found[rng.random(found.shape) < 0.2] = np.nan
    return found


@pytest.fixture
def flats(grids):
    return FlatFields.of_grids(CODES, SEASONS, SIZES, grids)


def by_hand(grids, code, time, x, y):
    for k in range(3):
        if CODES[k] == code and SEASONS[k, 0] <= time < SEASONS[k, 1]:
            if not (np.isfinite(x) and np.isfinite(y)):
                return 0.0
            value = grids[k, min(max(int(y // 20), 0), 3), min(max(int(x // 10), 0), 4)]
            return 0.0 if np.isnan(value) else value
    return 0.0


def test_offsets_are_those_of_a_lookup_by_hand(rng, flats, grids):
    n = 3000
    code = rng.choice([2, 3, 7, 9], n).astype(np.uint16)
    time = rng.choice([999, 1000, 1999, 2000, 2999, 3000, -5, 2**40], n)
    x, y = (rng.uniform(-15, 95, n).astype(np.float32) for _ in range(2))
    x[:50], y[25:75] = np.nan, np.nan
    found = flats.offsets(code, time, x, y)
    expected = [by_hand(grids, *row) for row in zip(code, time, x, y, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert (found != 0).sum() > 500
    assert flats.has_photcode(code).tolist() == np.isin(code, [3, 7]).tolist()


def test_new_ones_take_the_places_of_old_ones(rng, flats, grids):
    other = rng.normal(0, 0.02, (2, 3, 2))
    new = FlatFields.of_grids(np.array([3, 4]), np.array([[2000, 3000], [0, 10]]),
                              np.array([[25, 25], [1, 1]]), other)  # fmt: skip
    both = flats.with_new(new)
    assert len(both) == 4
    assert both.corrections["id"].tolist() == [1, 3, 2, 4]  # the new one of code 3 is the old 2
    x, y = np.float32(26), np.float32(51)
    code = np.array([3, 3, 7, 4], np.uint16)
    found = both.offsets(code, np.array([1500, 2500, 0, 9]), np.full(4, x), np.full(4, y))
    # Cells of (26, 51): the old grids are 10 by 20 pixels, the new ones 25 and 1.
    expected = [np.nan_to_num(grids[0, 2, 2]), other[0, 2, 1], np.nan_to_num(grids[2, 2, 2]),
                other[1, 2, 1]]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_none_say_nothing():
    none = FlatFields(
        ColumnTable(FLAT_CORRECTION_IMAGE, {}, 0), ColumnTable(FLAT_CORRECTION, {}, 0)
    )
    code, time = np.array([3, 4], np.uint16), np.array([0, 0])
    assert none.offsets(code, time, np.ones(2), np.ones(2)).tolist() == [0, 0]
    assert not none.has_photcode(code).any()
    grids = np.zeros((1, 1, 1))
    one = FlatFields.of_grids(np.array([3]), np.array([[0, 9]]), np.array([[5, 5]]), grids)
    assert len(none.with_new(one)) == 1


@pytest.mark.parametrize(
    ("season", "size", "words"),
    [
        ([[0, 10], [9, 20]], [[1, 1], [1, 1]], "overlaps the next one"),
        ([[0, 10], [20, 20]], [[1, 1], [1, 1]], "ends before it begins"),
        ([[0, 10], [10, 20]], [[1, 1], [0, 1]], "sizes are positive"),
    ],
)
def test_what_cannot_be_is_refused(season, size, words):
    with pytest.raises(SchemaError, match=words):
        FlatFields.of_grids(np.array([3, 3]), np.array(season), np.array(size), np.zeros((2, 2, 2)))


def test_cells_outside_of_their_grid_are_refused(flats):
    cells = {n: flats.cells[n].copy() for n in FLAT_CORRECTION.names}
    cells["x"][0] = 5
    with pytest.raises(SchemaError, match=r"cell \(5, .*is in no grid"):
        FlatFields(flats.corrections, ColumnTable(FLAT_CORRECTION, cells))
    cells["x"][0], cells["id"][0] = 0, 12
    with pytest.raises(SchemaError, match="of flat field 12 is in no grid"):
        FlatFields(flats.corrections, ColumnTable(FLAT_CORRECTION, cells))
    with pytest.raises(SchemaError, match="overlaps"):
        flats.with_new(FlatFields.of_grids(np.array([3]), np.array([[1500, 1600]]), SIZES[:1],
                                           np.zeros((1, 1, 1))))  # fmt: skip
