"""Tables: written, read back whole or in part, and refused where they make no sense."""

import errno
import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest

from dvo.errors import CorruptTableError, SchemaError, StorageError
from dvo.tables.fits import (
    Field,
    TableFile,
    TableHDU,
    choose_codecs,
    choose_packing,
    codecs,
    describe,
    write_fits,
)
from dvo.tables.schema import Codec
from tests.unit.tables.fits.all_types import all_columns, all_fields, all_table, assert_same


@pytest.mark.parametrize("tile_rows", [None, 1, 97, 1000, 5000])
@pytest.mark.parametrize("codec", [None, *Codec])
def test_all_types_come_back(tmp_path, rng, tile_rows, codec):
    n = 30 if tile_rows == 1 else 1001
    table = all_table(rng, n, tile_rows=tile_rows, codec=codec)
    write_fits(tmp_path / "t.fits", [table], threads=2)
    with TableFile(tmp_path / "t.fits") as file:
        assert file.n_rows == n
        assert file.compressed == (tile_rows is not None)
        assert_same(file.read(), dict(table.columns))
        assert_same(file.read(threads=3), dict(table.columns))
        file.verify()
        assert [f.name for f in file.fields] == list(file.names)
        assert file.fields[0].meaning == "Column f4"
        assert file.fields[0].unit == "mag"


@pytest.mark.parametrize("tile_rows", [None, 64])
@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (60, 70), (0, 64), (64, 128), (190, 200), (5, 5), (150, 9999), (-3, None)],
)
def test_ranges_of_rows(tmp_path, rng, tile_rows, start, stop):
    table = all_table(rng, 200, tile_rows=tile_rows)
    write_fits(tmp_path / "t.fits", [table])
    with TableFile(tmp_path / "t.fits") as file:
        found = file.read(["v_f4", "text", "b1", "u8"], start=start, stop=stop)
    wanted = {name: table.columns[name][start:stop] for name in ("v_f4", "text", "b1", "u8")}
    assert_same(found, wanted)


def test_only_what_is_asked_for_is_read(tmp_path, rng, monkeypatch):
    columns = {f"c{i}": rng.normal(size=80_000) for i in range(10)}
    fields = all_fields(columns)
    write_fits(tmp_path / "t.fits", [TableHDU("T", fields, columns)])
    taken = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: taken.append(n) or pread(fd, n, at))
    with TableFile(tmp_path / "t.fits") as file:
        assert len(taken) == 1  # headers
        file.read(["c3"], start=9000, stop=9010)
    assert len(taken) <= 3  # descriptors, one tile
    assert sum(taken[1:]) < 80_000


def test_no_rows_and_no_columns(tmp_path):
    table = all_table(np.random.default_rng(0), 0)
    write_fits(tmp_path / "t.fits", [table, TableHDU("EMPTY", (), {})])
    with TableFile(tmp_path / "t.fits") as file:
        assert not file.compressed
        assert_same(file.read(), dict(table.columns))
    with TableFile(tmp_path / "t.fits", "empty") as file:
        assert file.read() == {}


def test_columns_of_no_width(tmp_path):
    columns = {"a": np.arange(5000, dtype="i4"), "none": np.zeros((5000, 0), "f4")}
    fields = (Field("A", "J"), Field("NONE", "E", 0))
    for tile_rows in (None, 1000):
        path = tmp_path / f"{tile_rows}.fits"
        write_fits(path, [TableHDU("T", fields, columns, tile_rows=tile_rows)])
        with TableFile(path) as file:
            assert_same(file.read(), columns)


def test_scaled_columns(tmp_path):
    values = np.array([20.0, 20.001, -3.5, np.nan])
    field = Field("SC", "I", scale=0.001, zero=20.0, null=-32768)
    path = tmp_path / "t.fits"
    write_fits(path, [TableHDU("T", (field,), {"sc": values})])
    with TableFile(path) as file:
        np.testing.assert_allclose(file.read()["sc"], values, atol=1e-12)
    with pytest.raises(SchemaError, match="SC"):
        write_fits(tmp_path / "u.fits", [TableHDU("T", (field,), {"sc": values + 100})])


def test_bits(tmp_path, rng):
    bits = rng.random((300, 11)) < 0.5
    for tile_rows in (None, 100):
        path = tmp_path / f"{tile_rows}.fits"
        table = TableHDU("T", (Field("BITS", "X", 11),), {"bits": bits}, tile_rows=tile_rows)
        write_fits(path, [table])
        with TableFile(path) as file:
            np.testing.assert_array_equal(file.read()["bits"], bits)


def test_other_byte_order_and_strides_are_taken(tmp_path, rng):
    values = rng.normal(size=2000)
    fields = (Field("A", "D"), Field("B", "D"))
    columns = {"a": values[::2], "b": values[:1000].astype(">f8")}
    write_fits(tmp_path / "t.fits", [TableHDU("T", fields, columns)])
    with TableFile(tmp_path / "t.fits") as file:
        found = file.read()
    np.testing.assert_array_equal(found["a"], values[::2])
    np.testing.assert_array_equal(found["b"], values[:1000])


def test_the_index_bounds_each_tile(tmp_path):
    mag = np.array([1.0, np.nan, 3.0, np.nan, np.nan, -5.0], "f4")
    ids = np.array([7, 2**64 - 1, 0, 4, 5, 6], "u8")
    columns = {"mag": mag, "ids": ids}
    table = TableHDU("T", all_fields(columns), columns, tile_rows=3, index=("mag", "ids"))
    write_fits(tmp_path / "t.fits", [table, all_table(np.random.default_rng(1), 9)])
    with TableFile(tmp_path / "t.fits") as file:
        least, greatest = file.tile_bounds("mag")
        np.testing.assert_array_equal(least, np.array([1, -5], "f4"))
        np.testing.assert_array_equal(greatest, np.array([3, -5], "f4"))
        assert file.tile_bounds("ids")[1].tolist() == [2**64 - 1, 6]
        assert file.tile_bounds("x") is None
    with TableFile(tmp_path / "t.fits", "ALL") as file:
        assert file.tile_bounds("f4") is None
    all_nan = {"mag": np.full(4, np.nan, "f4")}
    table = TableHDU("T", all_fields(all_nan), all_nan, tile_rows=3, index=("mag",))
    write_fits(tmp_path / "u.fits", [table])
    with TableFile(tmp_path / "u.fits") as file:
        assert np.isnan(file.tile_bounds("mag")[0]).all()


def test_headers_and_digest(tmp_path, rng):
    table = TableHDU(
        "T",
        all_fields({"a": np.arange(3)}),
        {"a": np.arange(3)},
        header={"REGION": ("n0000/0001", "region"), "LEVEL": 4},
    )
    path = tmp_path / "t.fits"
    done = write_fits(path, [table], primary={"COMMIT": 42}, fsync=False)
    data = path.read_bytes()
    assert done.n_bytes == len(data)
    assert done.digest == hashlib.blake2b(data, digest_size=16).hexdigest()
    with TableFile(path, "t") as file:
        assert file.header["REGION"] == "n0000/0001"
        assert file.header.comment("REGION") == "region"
        assert file.primary["COMMIT"] == 42
    big = {"a": rng.normal(size=(400_000, 2))}
    done = write_fits(tmp_path / "big.fits", [TableHDU("T", all_fields(big), big)], threads=2)
    data = (tmp_path / "big.fits").read_bytes()
    assert done.digest == hashlib.blake2b(data, digest_size=16).hexdigest()


def test_threads_do_not_change_a_byte(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(codecs, "_isal", None)  # it is not the same twice, see _gzip_whole
    table = all_table(rng, 3000)
    digests = {
        write_fits(tmp_path / f"{threads}.fits", [table], threads=threads).digest
        for threads in (1, 2, 5)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {}}, "no values for column"),
        ({"columns": {"a": np.arange(3), "b": np.arange(3)}}, "without a field: b"),
        ({"fields": (Field("A", "K"), Field("a", "K"))}, "named twice: a"),
        ({"index": ("z",)}, "unknown column.* z"),
        ({"tile_rows": 0}, "tile_rows = 0"),
        ({"fields": (Field("A", "J", pointer="P"),)}, "variable length"),
    ],
)
def test_tables_that_make_no_sense(changes, message):
    good = {"extname": "T", "fields": (Field("A", "K"),), "columns": {"a": np.arange(3)}}
    with pytest.raises(SchemaError, match=message):
        TableHDU(**(good | changes))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(3, dtype="i4"), "int32"),
        (np.arange(3.0), "float64"),
        (np.zeros((3, 2), "i8"), "shape"),
        (np.array(["a", "b", "c"]), "<U1"),
    ],
)
def test_values_that_do_not_fit_leave_no_file(tmp_path, values, message):
    table = TableHDU("T", (Field("A", "K"),), {"a": values})
    with pytest.raises(SchemaError, match=message):
        write_fits(tmp_path / "t.fits", [table])
    assert list(tmp_path.iterdir()) == []


def test_lengths_must_agree():
    with pytest.raises(SchemaError, match="differ in length: a 3, b 4"):
        TableHDU("T", (Field("A", "K"), Field("B", "K")), {"a": np.arange(3), "b": np.arange(4)})


def test_the_format_s_own_keywords_are_not_free(tmp_path):
    table = TableHDU("T", (Field("A", "K"),), {"a": np.arange(3)}, header={"ZNAXIS2": 1})
    with pytest.raises(SchemaError, match="ZNAXIS2"):
        write_fits(tmp_path / "t.fits", [table])


def test_an_existing_file_is_not_touched(tmp_path, rng):
    path = tmp_path / "t.fits"
    path.write_text("precious")
    with pytest.raises(StorageError, match="exists already"):
        write_fits(path, [all_table(rng, 10)])
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["write", "fsync"])
def test_a_full_disk_leaves_nothing(tmp_path, rng, monkeypatch, name):
    calls = []

    def fail(*args):
        calls.append(args)
        if name == "write" and len(calls) == 1:
            return os.pwrite(args[0], bytes(args[1][:100]), 0)  # a partial write comes first
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(StorageError, match="No space left"):
        write_fits(tmp_path / "t.fits", [all_table(rng, 1000)], threads=2)
    assert calls
    assert list(tmp_path.iterdir()) == []


def test_partial_writes_go_on(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(codecs, "_isal", None)
    table = all_table(rng, 1000)
    whole = write_fits(tmp_path / "a.fits", [table])
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:777]))
    assert write_fits(tmp_path / "b.fits", [table]) == whole
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


def test_absent_things_are_named(tmp_path, rng):
    path = tmp_path / "t.fits"
    write_fits(path, [all_table(rng, 10)])
    with pytest.raises(StorageError, match=r"none\.fits"):
        TableFile(tmp_path / "none.fits")
    with pytest.raises(CorruptTableError, match="HDU 'X'"):
        TableFile(path, "X")
    with pytest.raises(CorruptTableError, match="no binary table"):
        TableFile(path, 0)
    with TableFile(path) as file, pytest.raises(SchemaError, match="no column 'zz'"):
        file.read(["zz"])
    (tmp_path / "text").write_text("hello")
    with pytest.raises(CorruptTableError, match="no FITS file"):
        TableFile(tmp_path / "text")


def test_codecs_are_chosen_by_size(rng):
    n = 30_000
    exposure = rng.integers(0, 60, n)
    columns = {
        "smooth": np.cumsum(rng.integers(-99, 99, n)).astype("i4"),
        "repeated": rng.normal(size=60).astype("f4")[exposure],
        "noisy": rng.normal(20, 1, n).astype("f4"),
        "flags": np.array([0x10, 0x10000010, 0x8010], "u4")[exposure % 3],
        "text": np.full(n, b"abc"),
    }
    fields = all_fields(columns)
    chosen = {f.name: f.zctyp for f in choose_codecs(fields, columns)}
    assert chosen["smooth"] is Codec.RICE_1
    assert chosen["repeated"] is Codec.GZIP_1
    assert chosen["noisy"] is Codec.GZIP_2
    assert chosen["flags"] is not Codec.RICE_1
    assert chosen["text"] is Codec.GZIP_1


def test_more_time_is_spent_only_where_it_makes_a_column_smaller(tmp_path, rng):
    n = 30_000
    columns = {
        "noisy": rng.normal(20, 1, n).astype("f4"),
        "rows": np.repeat(np.arange(n // 20), 20).astype("u4"),
    }
    fields = all_fields(columns)
    codecs, levels = choose_packing(fields, columns)
    assert codecs == {f.name: f.codec for f in choose_codecs(fields, columns)}
    assert levels == {"noisy": "fast", "rows": "small"}
    fields = tuple(replace(f, codec=codecs[f.name]) for f in fields)
    table = TableHDU("T", fields, columns, tile_rows=8192)
    n_bytes = {
        str(level): write_fits(tmp_path / f"{i}.fits", [table], level=level).n_bytes
        for i, level in enumerate(["fast", "small", levels])
    }
    assert n_bytes[str(levels)] < n_bytes["fast"]
    assert n_bytes[str(levels)] < 1.01 * n_bytes["small"]
    with TableFile(tmp_path / "2.fits") as file:
        for name, values in file.read(columns).items():
            np.testing.assert_array_equal(values, columns[name])


def test_describe(tmp_path, rng):
    table = all_table(rng, 1000)
    write_fits(tmp_path / "t.fits", [table])
    primary, described = describe(tmp_path / "t.fits")
    assert primary["kind"] == "image"
    assert described["kind"] == "compressed table"
    assert (described["n_rows"], described["n_tiles"], described["tile_rows"]) == (1000, 10, 100)
    assert [c["name"] for c in described["columns"]] == [n.upper() for n in all_columns(rng, 1)]
    assert described["columns"][0]["codec"] == "GZIP_2"
