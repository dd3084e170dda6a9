"""Cards: parsed as FITS says, written so that others can parse them."""

import pytest
from astropy.io import fits as astropy_fits

from dvo.errors import CorruptTableError, SchemaError
from dvo.tables.fits.header import (
    Header,
    find_end,
    format_card,
    format_cards,
    header_bytes,
    parse_card,
)

CARDS = [
    ("T", "SIMPLE", True, "conforms"),
    ("int", "NAXIS1", -2147483648, ""),
    ("big", "TZERO1", 2**63, "unsigned"),
    ("float", "EXPTIME", 1.5e-300, "[s] exposure"),
    ("whole float", "GAIN", 3.0, ""),
    ("text", "OBJECT", "M 31", "a / slash"),
    ("quote", "OBSERVER", "O'Neill / x", "it''s"),
    ("empty", "NOTHING", "", ""),
    ("blank", "UNDEF", None, "no value"),
]


@pytest.mark.parametrize(("_", "key", "value", "comment"), CARDS, ids=[c[0] for c in CARDS])
def test_cards_come_back(_, key, value, comment):
    card = format_card(key, value, comment)
    assert len(card) == 80
    assert parse_card(card) == (value, comment)
    other = astropy_fits.Card.fromstring(card)
    other.verify("exception")
    if value is not None:
        assert other.value == value
    assert other.comment == comment


def test_long_strings_go_on():
    text = "it's " * 40 + "end"
    cards = format_card("HISTCMD", text)
    assert len(cards) % 80 == 0
    assert Header(cards)["HISTCMD"] == text
    assert astropy_fits.Header.fromstring(cards)["HISTCMD"] == text


def test_hierarch_is_read_and_written():
    header = Header("".join(format_cards({"ESO DET DIT": 3.5, "FOO": (1, "one")})))
    assert header["ESO DET DIT"] == 3.5
    assert header["FOO"] == 1
    assert list(header) == ["ESO DET DIT", "FOO"]


def test_header_is_a_mapping():
    text = "".join(format_cards([("A", 1), ("COMMENT", "x"), ("B", "two"), ("A", 3)]))
    header = Header(text, "file, HDU 1")
    assert dict(header) == {"A": 1, "B": "two"}
    assert "B" in header
    assert "C" not in header
    assert header.get("C", 7) == 7
    assert len(header.cards()) == 4
    with pytest.raises(KeyError):
        header["C"]


@pytest.mark.parametrize("value", ["'text'", "1.5", "T", "-1", "99999999999999999999999", ""])
def test_bad_counts_are_errors(value):
    header = Header(f"NAXIS1  = {value:>20}".ljust(80), "x.fits, HDU 1")
    with pytest.raises(CorruptTableError, match=r"x\.fits, HDU 1: NAXIS1"):
        header.integer("NAXIS1")
    with pytest.raises(CorruptTableError, match="NAXIS2 = None"):
        header.integer("NAXIS2")


def test_strings_must_be_strings():
    with pytest.raises(CorruptTableError, match="TFORM1 = 3"):
        Header(format_card("TFORM1", 3)).string("TFORM1")


def test_odd_characters_are_escaped():
    assert Header(format_card("AUTHOR", "Ångström\n"))["AUTHOR"] == "\\xc5ngstr\\xf6m\\x0a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], 10**80])
def test_what_fits_cannot_hold_is_an_error(value):
    with pytest.raises(SchemaError, match="KEY"):
        format_cards({"KEY": value})


def test_end_is_found_only_at_a_card():
    block = header_bytes([format_card("COMMENT", "END" + " " * 77), format_card("A", 1)])
    assert len(block) == 2880
    assert find_end(block) % 80 == 0
    assert find_end(block[:160]) == -1
    assert find_end(b"x" + b"END".ljust(80)) == -1
