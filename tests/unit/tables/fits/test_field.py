"""Columns of a schema, and the keywords they become."""

import numpy as np
import pytest

from dvo.errors import CorruptTableError, SchemaError
from dvo.tables.fits import Field, stored_columns
from dvo.tables.fits.header import Header
from dvo.tables.schema import Codec, Column


@pytest.mark.parametrize(
    ("dtype", "form", "zero", "null"),
    [
        ("f8", "1D", None, None),
        ("f4", "1E", None, None),
        ("i8", "1K", None, -1),
        ("u8", "1K", 2**63, None),
        ("i4", "1J", None, -1),
        ("u4", "1J", 2**31, None),
        ("i2", "1I", None, -1),
        ("u2", "1I", 2**15, None),
        ("u1", "1B", None, -1),
        ("b1", "1L", None, None),
        ("S12", "12A", None, None),
    ],
)
def test_from_column(dtype, form, zero, null):
    is_integer = dtype[0] in "iu"
    column = Column(
        "some_name", dtype, "What it says", "deg", "pos.eq.ra", -1 if is_integer else None
    )
    field = Field.from_column(column)
    assert (field.ttype, field.form, field.zero, field.null) == ("SOME_NAME", form, zero, null)
    assert field.dtype == column.numpy_dtype
    assert field.codec is column.codec
    text = "".join(field.cards(3))
    back = Field.from_header(Header(text), 3)
    assert (back.unit, back.ucd, back.meaning) == ("deg", "pos.eq.ra", "What it says")
    assert back.dtype == field.dtype
    assert back.null == field.null


def test_vectors():
    field = Field.from_column(Column("psf", "f4", "Widths", shape=3))
    assert field.form == "3E"
    assert field.shape(7) == (7, 3)


def test_a_long_meaning_goes_on():
    meaning = "long " * 30 + "end"
    field = Field("X", "E", meaning=meaning)
    assert Field.from_header(Header("".join(field.cards(1))), 1).meaning == meaning


def test_the_comment_of_the_name_is_a_meaning():
    header = Header(
        "TTYPE1  = 'X       '           / an angle".ljust(80) + "TFORM1  = 'E'".ljust(80)
    )
    assert Field.from_header(header, 1).meaning == "an angle"
    assert Field.from_header(header, 1).repeat == 1


@pytest.mark.parametrize(
    "form", ["", "Z", "1Z", "-1J", "99999999999999J", "1P", "1PZ", "2PJ", "x1J"]
)
def test_bad_forms_are_errors(form):
    with pytest.raises(CorruptTableError, match="TFORM1"):
        Field.from_header(Header(f"TFORM1  = '{form}'".ljust(80)), 1)


@pytest.mark.parametrize(
    ("letter", "asked", "used"),
    [
        ("E", Codec.RICE_1, Codec.GZIP_2),
        ("K", Codec.RICE_1, Codec.GZIP_2),
        ("J", None, Codec.RICE_1),
        ("I", None, Codec.GZIP_2),
        ("B", Codec.RICE_1, Codec.RICE_1),
        ("B", Codec.GZIP_2, Codec.GZIP_1),
        ("A", Codec.GZIP_2, Codec.GZIP_1),
        ("L", Codec.RICE_1, Codec.GZIP_1),
        ("C", Codec.GZIP_2, Codec.GZIP_1),
        ("D", Codec.GZIP_1, Codec.GZIP_1),
    ],
)
def test_codecs_that_a_type_allows(letter, asked, used):
    assert Field("X", letter, codec=asked).zctyp is used


def test_from_array_takes_what_fits_can_hold():
    assert Field.from_array("X", np.zeros((3, 4), "u2")).form == "4I"
    for values in (np.zeros(3, "f2"), np.zeros(3, "U4"), np.zeros((2, 2, 2))):
        with pytest.raises(SchemaError, match="column X"):
            Field.from_array("X", values)


def test_wholly_null_columns_are_not_stored():
    schema = (
        Column("ra", "f8", "RA"),
        Column("flags", "u4", "Bits"),
        Column("mag", "f4", "Magnitude"),
        Column("name", "S4", "Name"),
        Column("ref", "i4", "Reference", null=-1),
        Column("absent", "f4", "Not given"),
    )
    columns = {
        "ra": np.array([1.0, np.nan]),
        "flags": np.zeros(2, "u4"),
        "mag": np.full(2, np.nan, "f4"),
        "name": np.array([b"", b""]),
        "ref": np.array([-1, -1], "i4"),
    }
    assert [c.name for c in stored_columns(columns, schema)] == ["ra", "flags"]
