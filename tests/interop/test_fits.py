"""CFITSIO's fpack and funpack, rustfits, astropy and fitsio read what we write, and the reverse."""

import shutil
import subprocess

import astropy.io.fits as astropy_fits
import fitsio
import numpy as np
import pytest
import rustfits

from dvo.tables.fits import Field, TableFile, TableHDU, pack, unpack, write_fits
from dvo.tables.schema import Codec
from tests.unit.tables.fits.all_types import GOLDEN, all_table, data_unit

needs_cfitsio = pytest.mark.skipif(
    not (shutil.which("fpack") and shutil.which("funpack")),
    reason="issue 2: fpack and funpack are absent (Debian: apt-get install libcfitsio-bin)",
)
PLAIN = ["all_gzip1", "all_gzip2", "onerow", "rice_ints", "small_tiles", "zerorows", "complex"]


def tool(folder, *words):
    """Run fpack or funpack in a folder of copies: they have been seen to delete input."""
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=60)


@needs_cfitsio
@pytest.mark.parametrize("tile_rows", [1, 64, 1001, 5000])
@pytest.mark.parametrize("codec", [None, *Codec])
@pytest.mark.parametrize("level", ["fast", "small"])
def test_funpack_restores_what_we_write(tmp_path, rng, tile_rows, codec, level):
    n = 40 if tile_rows == 1 else 1001
    table = all_table(rng, n, tile_rows=tile_rows, codec=codec)
    write_fits(tmp_path / "z.fits", [table], level=level, primary={"ORIGIN": "dvo"})
    unpack(tmp_path / "z.fits", tmp_path / "ours.fits")
    tool(tmp_path, "funpack", "-O", "theirs.fits", "z.fits")
    # Header, checksums and all: CFITSIO finds them right and leaves them alone.
    assert (tmp_path / "theirs.fits").read_bytes() == (tmp_path / "ours.fits").read_bytes()


@needs_cfitsio
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("options", [{}, {"tile_rows": 77}, {"codecs": "best"}])
def test_funpack_restores_what_we_pack(tmp_path, name, options):
    original = GOLDEN / f"{name}.fits"
    pack(original, tmp_path / "p.fz", **options)
    # -C: otherwise funpack adds sums with the time of day where the original has none.
    tool(tmp_path, "funpack", "-C", "-O", "o.fits", "p.fz")
    assert (tmp_path / "o.fits").read_bytes() == original.read_bytes()


@needs_cfitsio
def test_the_tile_index_survives_funpack(tmp_path, rng):
    source = all_table(rng, 3000)
    table = TableHDU("ALL", source.fields, source.columns, tile_rows=500, index=("f8", "u8"))
    write_fits(tmp_path / "z.fits", [table])
    unpack(tmp_path / "z.fits", tmp_path / "ours.fits")
    tool(tmp_path, "funpack", "-O", "theirs.fits", "z.fits")
    assert (tmp_path / "theirs.fits").read_bytes() == (tmp_path / "ours.fits").read_bytes()


@pytest.fixture
def arrays_file(tmp_path, rng):
    """A file with arrays of variable length in every type that CFITSIO can restore."""
    columns = [astropy_fits.Column("ID", "J", array=np.arange(500))]
    kinds = {"B": "u1", "I": "i2", "J": "i4", "K": "i8", "E": "f4", "D": "f8", "C": "c8"}
    for pointer in "PQ":
        for letter, kind in kinds.items():
            rows = [rng.integers(0, 99, rng.integers(0, 60)).astype(kind) for _ in range(500)]
            array = np.empty(500, object)
            array[:] = rows
            columns.append(
                astropy_fits.Column(f"{pointer}{letter}", f"{pointer}{letter}()", array=array)
            )
    table = astropy_fits.BinTableHDU.from_columns(columns, name="ARRAYS")
    table.header["FZTILELN"] = 128
    path = tmp_path / "arrays.fits"
    table.writeto(path, checksum=True)
    return path


@needs_cfitsio
def test_arrays_from_fpack(arrays_file, tmp_path):
    tool(tmp_path, "fpack", "-table", "-O", "a.fz", "arrays.fits")
    unpack(tmp_path / "a.fz", tmp_path / "o.fits", threads=2)
    assert data_unit((tmp_path / "o.fits").read_bytes()) == data_unit(arrays_file.read_bytes())
    with TableFile(tmp_path / "a.fz") as packed, TableFile(arrays_file) as plain:
        found, wanted = packed.read(threads=2), plain.read()
        part = packed.read(["pj"], start=100, stop=300)["pj"]
    with astropy_fits.open(arrays_file) as hdus:
        for name, values in wanted.items():
            for a, b, c in zip(values, found[name], hdus[1].data[name.upper()], strict=True):
                np.testing.assert_array_equal(a, b)
                np.testing.assert_array_equal(a, c)
    for a, b in zip(part, wanted["pj"][100:300], strict=True):
        np.testing.assert_array_equal(a, b)


@needs_cfitsio
def test_arrays_to_funpack(arrays_file, tmp_path):
    pack(arrays_file, tmp_path / "p.fz")
    unpack(tmp_path / "p.fz", tmp_path / "o.fits")
    assert (tmp_path / "o.fits").read_bytes() == arrays_file.read_bytes()
    tool(tmp_path, "funpack", "-O", "theirs.fits", "p.fz")
    # The header may differ: funpack puts the longest array it sees into TFORMn.
    theirs = (tmp_path / "theirs.fits").read_bytes()
    assert data_unit(theirs) == data_unit(arrays_file.read_bytes())


@needs_cfitsio
@pytest.mark.parametrize("directive", [None, "GZIP_1", "GZIP_2", "RICE_1"])
def test_fpack_makes_what_we_read(tmp_path, rng, directive):
    source = all_table(rng, 1500, tile_rows=None)
    keep = [f for f in source.fields if f.letter != "C"]  # CFITSIO cannot restore them
    header = {"FZTILELN": 333} | ({"FZALGOR": directive} if directive else {})
    columns = {f.name: source.columns[f.name] for f in keep}
    table = TableHDU("T", tuple(keep), columns, header=header, tile_rows=None)
    write_fits(tmp_path / "x.fits", [table])
    tool(tmp_path, "fpack", "-table", "-O", "x.fz", "x.fits")
    with TableFile(tmp_path / "x.fz") as file:
        found = file.read(threads=2)
        file.verify()
    for name, values in columns.items():
        assert found[name].tobytes() == values.tobytes()
    tool(tmp_path, "funpack", "-O", "theirs.fits", "x.fz")
    unpack(tmp_path / "x.fz", tmp_path / "ours.fits")
    assert (tmp_path / "theirs.fits").read_bytes() == (tmp_path / "ours.fits").read_bytes()
    assert (tmp_path / "ours.fits").read_bytes() == (tmp_path / "x.fits").read_bytes()


def test_rustfits_reads_what_we_write(tmp_path, rng):
    names = ["f4", "f8", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "v_f4", "v_i2", "smooth"]
    source = all_table(rng, 1001)
    fields = tuple(f for f in source.fields if f.name in names)
    columns = {name: source.columns[name] for name in names}
    write_fits(tmp_path / "z.fits", [TableHDU("T", fields, columns, tile_rows=128)])
    with rustfits.FITS(str(tmp_path / "z.fits")) as file:
        data = file[1].read()
    for name, values in columns.items():
        found = data[name.upper()]
        native = found.astype(found.dtype.newbyteorder("="))
        assert native.tobytes() == values.tobytes(), name


def test_we_read_what_rustfits_writes(tmp_path, rng):
    n = 1000
    data = np.zeros(n, [("A", "i4"), ("B", "f8"), ("C", "i2"), ("D", "f4"), ("E", "u1")])
    for name in data.dtype.names:
        data[name] = rng.integers(0, 100, n)
    with rustfits.FITS(str(tmp_path / "r.fits"), "w+") as file:
        file.write_table(data, compress=True, ztilelen=128)
    with TableFile(tmp_path / "r.fits") as file:
        assert file.compressed
        found = file.read()
    for name in data.dtype.names:
        np.testing.assert_array_equal(found[name.lower()], data[name])


def test_astropy_and_fitsio_read_the_unpacked_file(tmp_path, rng):
    table = all_table(rng, 777)
    write_fits(tmp_path / "z.fits", [table])
    unpack(tmp_path / "z.fits", tmp_path / "o.fits")
    with astropy_fits.open(tmp_path / "o.fits", checksum=True) as hdus:
        hdus[1].verify("exception")
        for name, values in table.columns.items():
            found = np.asarray(hdus[1].data[name.upper()])
            if values.dtype.kind == "S":
                found = np.char.encode(found, "latin-1")
                values = np.array([v.split(b"\0")[0] for v in values])
                found = np.array([v.split(b"\0")[0] for v in found])
            np.testing.assert_array_equal(found, values)
        assert hdus[1].columns["F4"].unit == "mag"
    with fitsio.FITS(str(tmp_path / "o.fits")) as file:
        found = file[1].read()
    for name in ("f4", "f8", "i2", "i4", "i8", "u2", "u4", "v_f4", "v_i2"):
        np.testing.assert_array_equal(found[name.upper()], table.columns[name])


def test_we_read_plain_tables_of_others(tmp_path, rng):
    data = np.zeros(50, [("RA", "f8"), ("N", "i4"), ("NAME", "S6"), ("V", "f4", 3)])
    data["RA"], data["N"], data["NAME"] = rng.random(50), np.arange(50), b"ab"
    data["V"] = rng.random((50, 3))
    fitsio.write(str(tmp_path / "f.fits"), data, extname="CAT")
    with TableFile(tmp_path / "f.fits", "cat") as file:
        found = file.read()
    for name in data.dtype.names:
        np.testing.assert_array_equal(found[name.lower()], data[name])
    assert Field.from_array("X", found["v"]).form == "3E"
