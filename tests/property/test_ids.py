"""Identifiers are exact, in order, and never overflow into one another."""

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from dvo import ids

U32 = st.integers(0, 2**32 - 1)
RA = st.floats(-720, 720, allow_nan=False)
DEC = st.floats(-90, 90, allow_nan=False)


@given(U32, U32)
def test_pack_is_exact(cat: int, obj: int) -> None:
    packed = int(ids.pack_id(cat, obj))
    assert packed == cat << 32 | obj
    assert [int(v) for v in ids.unpack_id(packed)] == [cat, obj]


@given(RA, DEC)
@example(360.0, 90.0)
@example(-1e-300, -90.0)
@example(359.99999999999994, 0.0)
def test_ext_id_has_its_digits_in_their_places(ra: float, dec: float) -> None:
    made = int(ids.ext_id(ra, dec))
    zone, rest = divmod(made, 10**13)
    micro_ra, fraction = divmod(rest, 10**4)
    assert zone == int(ids.zone_id(dec))
    assert 0 <= micro_ra < 360_000_000
    turned = Fraction(ra) % 360
    off = abs(turned * 10**6 - micro_ra)
    assert min(off, 360 * 10**6 - off) <= 1 + Fraction(1, 10**4)
    assert abs(
        (zone + Fraction(fraction, 10**4)) * Fraction("0.0083333") - 90 - Fraction(dec)
    ) < Fraction(1, 10**6)


@given(st.floats(54101.0, 146100.0), st.integers(0, 99), st.integers(0, 10**7 - 1))
def test_detect_id(mjd: float, ccd: int, det: int) -> None:
    made = int(ids.detect_id(mjd, ccd, det))
    assert made % 10**7 == det
    assert made // 10**7 % 100 == ccd
    assert made < 2**63


@given(
    st.lists(st.tuples(st.integers(0, 126), st.integers(0, 2**28 - 1), st.integers(0, 2**28 - 1)))
)
def test_stack_detect_id(rows: list[tuple[int, int, int]]) -> None:
    source, image, det = np.array(rows, np.int64).reshape(-1, 3).T
    made = ids.stack_detect_id(source, image, det)
    assert [int(m) for m in made] == [s << 56 | i << 28 | d for s, i, d in rows]
