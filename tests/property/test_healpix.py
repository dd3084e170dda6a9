"""HEALPix pixels are those of healpy, to the last one of order 29."""

import healpy
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from dvo.errors import ShapeError
from dvo.healpix import nested_pixels

EDGES = [0.0, 45.0, 90.0, 180.0, 270.0, 360.0, 359.9999999999, 1e-12]
BELT = float(np.degrees(np.arcsin(2 / 3)))
ANGLES = st.one_of(st.sampled_from(EDGES), st.floats(0, 360))
HEIGHTS = st.one_of(
    st.sampled_from([0.0, 90.0, -90.0, BELT, -BELT, 89.9999999, -89.9999999]), st.floats(-90, 90)
)


@given(st.lists(st.tuples(ANGLES, HEIGHTS), min_size=1), st.integers(0, 26))
def test_pixels_are_those_of_healpy(positions, order):
    ra, dec = np.array(positions).T
    theirs = healpy.ang2pix(1 << order, ra, dec, nest=True, lonlat=True)
    ours = nested_pixels(ra, dec, order)
    # On an edge, where rounding decides, the pixels touch.
    differ = ours != theirs
    near = healpy.get_all_neighbours(1 << order, theirs[differ], nest=True) if order else None
    assert near is None or (near == ours[differ]).any(axis=0).all()
    assert np.count_nonzero(differ) <= sum(
        r in EDGES or abs(abs(d) - BELT) < 1e-9 or d == 0 for r, d in positions
    )


def test_pixels_of_many_positions(rng):
    n = 100_000
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:1000] = 90 - 10 ** rng.uniform(-9, 0, 1000)
    dec[1000:2000] = -90 + 10 ** rng.uniform(-9, 0, 1000)
    for order in (0, 3, 14, 29):
        theirs = healpy.ang2pix(1 << order, ra, dec, nest=True, lonlat=True)
        np.testing.assert_array_equal(nested_pixels(ra, dec, order), theirs)


def test_right_ascension_may_go_round():
    dec = [10.0, 10.0, 10.0]
    assert len(set(nested_pixels([350.0, -10.0, 710.0], dec, 20).tolist())) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_position_has_no_pixel(bad):
    found = nested_pixels([bad, 1.0, 1.0, 1.0], [1.0, bad, 90.1, 1.0], 5)
    assert found[:3].tolist() == [-1, -1, -1]
    assert found[3] >= 0


def test_orders_and_shapes_are_checked():
    with pytest.raises(ShapeError, match="orders are 0 to 29"):
        nested_pixels([1.0], [1.0], 30)
    with pytest.raises(ShapeError, match="differ in shape"):
        nested_pixels([1.0, 2.0], [1.0], 3)
    assert nested_pixels([], [], 29).shape == (0,)
