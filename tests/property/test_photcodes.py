"""Any photcode table survives its text form and its columns."""

import string

from hypothesis import given
from hypothesis import strategies as st

from dvo.ingest.photcode_text import format_photcodes, parse_photcodes
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)
MASKS = st.integers(0, 2**32 - 1)
NAMES = st.text(string.ascii_letters + string.digits + "._+", min_size=1, max_size=30).map(
    lambda s: f"P{s}"
)


@st.composite
def tables(draw: st.DrawFn) -> PhotcodeTable:
    n = draw(st.integers(0, 8))
    names = draw(st.lists(NAMES, min_size=n, max_size=n, unique=True))
    codes = draw(st.lists(st.integers(1, 65535), min_size=n, max_size=n, unique=True))
    n_sec = draw(st.integers(0, n))
    made = []
    for i, (name, code) in enumerate(zip(names, codes, strict=True)):
        kind = PhotClass.SEC if i < n_sec else draw(st.sampled_from([PhotClass.DEP, PhotClass.REF]))
        own = {}
        if kind is not PhotClass.REF:
            own = {
                "zero_point": draw(NUMBERS),
                "airmass_slope": draw(NUMBERS),
                "zero_point_offset": draw(NUMBERS),
                "color_offset": draw(NUMBERS),
                "color_terms": tuple(draw(st.lists(NUMBERS, max_size=4))),
                "color_codes": (
                    draw(st.sampled_from([0, *codes])),
                    draw(st.sampled_from([0, *codes])),
                ),
            }
        made.append(
            Photcode(
                code=code,
                name=name,
                kind=kind,
                equiv=draw(st.sampled_from([0, *codes[:n_sec]]))
                if kind is not PhotClass.SEC
                else 0,
                astrom_err_sys=draw(NUMBERS),
                astrom_err_scale=draw(NUMBERS),
                astrom_err_mag_scale=draw(NUMBERS),
                photom_err_sys=draw(NUMBERS),
                astrom_poor_mask=draw(MASKS),
                astrom_bad_mask=draw(MASKS),
                photom_poor_mask=draw(MASKS),
                photom_bad_mask=draw(MASKS),
                **own,
            )
        )
    return PhotcodeTable(tuple(made))


@given(tables())
def test_text_round_trip(table: PhotcodeTable) -> None:
    assert parse_photcodes(format_photcodes(table)) == table


@given(tables())
def test_column_round_trip(table: PhotcodeTable) -> None:
    assert PhotcodeTable.from_columns(table.to_columns()) == table


@given(tables())
def test_order_of_averages(table: PhotcodeTable) -> None:
    for k, photcode in enumerate(table.sec):
        assert table.sec_index_of_code[photcode.code] == k
        assert table.get(photcode.name) is photcode
