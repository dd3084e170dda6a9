"""Identifiers against exact integer arithmetic, and their limits."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from dvo import ids
from dvo.errors import ShapeError


def test_worked_example_of_a_real_object() -> None:
    # PSPS 162340003927854012 was made at about 0.392785, 45.286136.
    assert int(ids.ext_id(0.3927854, 45.286136)) == 162340003927854012
    assert int(ids.zone_id(45.286136)) == 16234


def decode(identifier: int) -> tuple[float, float]:
    zone, rest = divmod(identifier, 10**13)
    micro_ra, fraction = divmod(rest, 10**4)
    return micro_ra / 1e6, (zone + fraction / 1e4) * ids.ZONE_HEIGHT_DEG - 90


def test_identifiers_decode_to_the_position_within_their_resolution() -> None:
    r = np.random.default_rng(1)
    ra = r.uniform(0, 360, 10_000)
    dec = np.degrees(np.arcsin(r.uniform(-1, 1, 10_000)))
    made = ids.ext_id(ra, dec)
    assert made.dtype == np.uint64
    back = np.array([decode(int(i)) for i in made])
    assert np.all(np.abs(back[:, 0] - ra) <= 1.0001e-6)
    assert np.all(np.abs(back[:, 1] - dec) <= 0.84e-6)  # 3 mas


def test_whole_products_are_exact() -> None:
    # In float64 the zone's 10^13 would lose the last digits of every northern object.
    ra, dec = 359.9999994, 89.9
    zone = (dec + 90) / 0.0083333
    izone = int(zone)
    wanted = izone * 10**13 + int(ra * 1e6) * 10**4 + int((zone - izone) * 1e4)
    assert int(ids.ext_id(ra, dec)) == wanted


@pytest.mark.parametrize("dec", [-90.0, 90.0])
@pytest.mark.parametrize("ra", [0.0, 360.0, 720.0, -1e-20])
def test_poles_and_the_ra_seam(ra: float, dec: float) -> None:
    assert int(ids.ext_id(ra, dec)) == int(ids.ext_id(0.0, dec))


def test_ra_of_any_turn_is_the_same_object() -> None:
    assert int(ids.ext_id(-0.25, 10.0)) == int(ids.ext_id(359.75, 10.0))


@pytest.mark.parametrize(
    ("ra", "dec"), [(np.nan, 0), (0, np.nan), (np.inf, 0), (0, 90.1), (0, -91)]
)
def test_no_identifier_for_no_position(ra: float, dec: float) -> None:
    with pytest.raises(ShapeError):
        ids.ext_id([0.0, ra], [0.0, dec])


def test_empty_and_scalar_shapes() -> None:
    assert ids.ext_id([], []).shape == (0,)
    assert ids.ext_id(1.0, 2.0).shape == ()
    assert ids.detect_id([], [], []).shape == (0,)
    assert ids.pack_id([], []).shape == (0,)


def test_detect_id() -> None:
    assert int(ids.detect_id(55197.5, 42, 1234)) == 109650000_42_0001234
    r = np.random.default_rng(2)
    mjd = r.uniform(54101, 70000, 1000)
    ccd = r.integers(0, 100, 1000)
    det = r.integers(0, 10**7, 1000)
    made = ids.detect_id(mjd, ccd, det)
    for m, c, d, i in zip(mjd, ccd, det, made, strict=True):
        ticks = int(np.floor(1e5 * (m - 54101.0)))
        assert int(i) == ticks * 10**9 + int(c) * 10**7 + int(d)


@pytest.mark.parametrize(
    ("mjd", "ccd", "det"),
    [(54000.0, 1, 1), (55000.0, 100, 1), (55000.0, -1, 1), (55000.0, 1, 10**7), (np.nan, 1, 1)],
)
def test_detect_id_refuses_what_has_no_room(mjd: float, ccd: int, det: int) -> None:
    with pytest.raises(ShapeError):
        ids.detect_id(mjd, ccd, det)


def test_stack_detect_id() -> None:
    made = int(ids.stack_detect_id(126, 2**28 - 1, 2**28 - 1))
    assert made == 126 << 56 | (2**28 - 1) << 28 | (2**28 - 1)
    for bad in [(127, 0, 0), (0, 2**28, 0), (0, 0, 2**28)]:
        with pytest.raises(ShapeError):
            ids.stack_detect_id(*bad)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64])
def test_pack_and_unpack(kind: type[np.generic]) -> None:
    cat = np.array([0, 1, 2**31 - 1], kind)
    obj = np.array([2**31 - 1, 0, 7], kind)
    packed = ids.pack_id(cat, obj)
    assert [int(p) for p in packed] == [
        int(c) << 32 | int(o) for c, o in zip(cat, obj, strict=True)
    ]
    back_cat, back_obj = ids.unpack_id(packed)
    assert np.array_equal(back_cat, cat)
    assert np.array_equal(back_obj, obj)


def test_pack_of_all_bits() -> None:
    top = 2**32 - 1
    assert int(ids.pack_id(top, top)) == 2**64 - 1
    assert [int(v) for v in ids.unpack_id(2**64 - 1)] == [top, top]
    assert [int(v) for v in ids.unpack_id(np.array([2**64 - 1], np.uint64))[0]] == [top]
    with pytest.raises(ShapeError):
        ids.pack_id(2**32, 0)
    with pytest.raises(ShapeError):
        ids.pack_id(0, -1)


def test_floats_are_no_identifiers() -> None:
    with pytest.raises(ShapeError, match="integers"):
        ids.pack_id(1.0, 2)


def test_ipp_obj_id() -> None:
    assert int(ids.ipp_obj_id(2**32 - 1, 999_999_999)) == (2**32 - 1) * 10**9 + 999_999_999
    with pytest.raises(ShapeError, match="obj_id"):
        ids.ipp_obj_id(1, 10**9)


def test_the_frozen_constant() -> None:
    # 1/120 deg would give other identifiers: zone 21600 begins below the pole here.
    assert Decimal(repr(ids.ZONE_HEIGHT_DEG)) == Decimal("0.0083333")
    assert Fraction(180) / Fraction("0.0083333") > 21600
