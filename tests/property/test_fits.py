"""Any table comes back bit for bit, compressed or not, and others read it the same way."""

import tempfile
from pathlib import Path

import astropy.io.fits as astropy_fits
import fitsio
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dvo.tables.fits import Field, TableFile, TableHDU, pack, unpack, write_fits
from dvo.tables.fits.codecs import decode, encode
from dvo.tables.schema import Codec
from tests.unit.tables.fits import rice_reference
from tests.unit.tables.fits.all_types import assert_same

KINDS = ("f4", "f8", "i2", "i4", "i8", "u1", "i1", "u2", "u4", "u8", "b1", "S1", "S7", "c8")


@st.composite
def column(draw, n_rows):
    """Values of any type, drawn as raw bytes: NaN payloads and -0.0 among them."""
    kind = draw(st.sampled_from(KINDS))
    width = 1 if kind.startswith("S") else draw(st.sampled_from([1, 1, 1, 2, 5]))
    shape = (n_rows,) if width == 1 else (n_rows, width)
    dtype = np.dtype(kind)
    size = n_rows * width * dtype.itemsize
    period = draw(st.sampled_from([1, 4, 8, 24, max(size, 1)]))
    raw = draw(st.binary(min_size=min(period, 200), max_size=min(period, 200)))
    raw = (raw * (size // len(raw) + 1))[:size]
    if kind == "b1":
        return (np.frombuffer(raw, "u1") & 1).astype("?").reshape(shape)
    values = np.frombuffer(raw, dtype).reshape(shape).copy()
    if kind.startswith("S"):
        chars = values.view("u1")
        chars &= 127
        chars[chars == 32] = 33  # blanks behind text are not kept
    return values


@st.composite
def tables(draw):
    """A few columns of one length, with codecs and a tile length."""
    n_rows = draw(st.integers(0, 130))
    columns, fields = {}, []
    for i in range(draw(st.integers(1, 4))):
        name = f"c{i}"
        columns[name] = draw(column(n_rows))
        codec = draw(st.sampled_from([None, *Codec]))
        fields.append(Field.from_array(name.upper(), columns[name], codec=codec))
    tile_rows = draw(st.sampled_from([1, 7, 32, 33, 1000]))
    return TableHDU("T", tuple(fields), columns, tile_rows=tile_rows)


@given(tables(), st.integers(0, 140), st.integers(0, 140), st.sampled_from(["fast", "small"]))
def test_tables_come_back(table, start, stop, level):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.fits"
        write_fits(path, [table], level=level, fsync=False)
        with TableFile(path) as file:
            assert_same(file.read(), dict(table.columns))
            part = {name: values[start:stop] for name, values in table.columns.items()}
            assert_same(file.read(start=start, stop=stop), part)
            file.verify()


@given(tables(), st.integers(1, 200))
def test_plain_packed_and_unpacked_agree(table, tile_rows):
    plain = TableHDU("T", table.fields, table.columns, tile_rows=None)
    with tempfile.TemporaryDirectory() as folder:
        one, two, three = (Path(folder) / name for name in ("p.fits", "p.fz", "o.fits"))
        write_fits(one, [plain], fsync=False)
        pack(one, two, tile_rows=tile_rows)
        unpack(two, three)
        assert one.read_bytes() == three.read_bytes()
        with TableFile(two) as file:
            assert_same(file.read(), dict(table.columns))


@given(tables())
def test_astropy_and_fitsio_read_the_same(table):
    plain = TableHDU("T", table.fields, table.columns, tile_rows=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.fits"
        write_fits(path, [plain], fsync=False)
        with astropy_fits.open(path, checksum=True) as hdus:
            hdus[1].verify("exception")
            for name, values in table.columns.items():
                found = np.asarray(hdus[1].data[name.upper()])
                if values.dtype.kind == "S":
                    found = np.array([bytes(v, "latin-1") for v in found], values.dtype)
                same_type = found.astype(values.dtype)
                assert same_type.tobytes() == values.tobytes() or same_as_numbers(found, values)
        if not len(values):
            return
        with fitsio.FITS(str(path)) as file:
            for name, values in table.columns.items():
                if values.dtype.kind in "fi":
                    found = file[1][name.upper()].read()
                    native = found.astype(found.dtype.newbyteorder("="))
                    assert native.tobytes() == values.tobytes()


def same_as_numbers(found, values):
    """Equal where converting types lost a NaN's payload on the way."""
    return found.shape == values.shape and np.array_equal(
        found, values, equal_nan=values.dtype.kind in "fc"
    )


@given(
    st.sampled_from([1, 2, 4]),
    st.lists(st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31, 2**32 - 1]), min_size=1),
    st.integers(0, 40),
)
def test_rice_is_the_reference(size, values, more):
    words = np.array([v % 2 ** (8 * size) for v in values + values[:1] * more], f"u{size}")
    (tile,) = encode(words, Codec.RICE_1)
    assert tile == rice_reference.encode(words.tolist(), size)
    out = np.empty_like(words)
    decode(tile, [len(tile)], Codec.RICE_1, out)
    np.testing.assert_array_equal(out, words)
    np.testing.assert_array_equal(rice_reference.decode(tile, len(words), size), words)
