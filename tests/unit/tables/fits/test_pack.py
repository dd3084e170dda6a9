"""pack and unpack restore files byte for byte; bad files give one error and nothing else."""

import resource
import time

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from click.testing import CliRunner

from dvo.cli.fits import fits as command
from dvo.errors import CorruptTableError, StorageError
from dvo.tables.fits import TableFile, TableHDU, describe, pack, unpack, verify, write_fits
from dvo.tables.schema import Codec
from tests.unit.tables.fits.all_types import GOLDEN, all_fields, all_table, data_unit
from tests.unit.tables.fits.hostile import hostile_files

GOOD = sorted(p.stem for p in GOLDEN.glob("*.fits.fz") if not p.name.startswith("bad_"))
BAD = sorted(p.name for p in GOLDEN.glob("bad_*"))
HOSTILE = hostile_files()


@pytest.mark.parametrize("name", GOOD)
def test_what_fpack_made_is_restored(tmp_path, name):
    unpack(GOLDEN / f"{name}.fz", tmp_path / "o.fits", threads=2)
    restored = (tmp_path / "o.fits").read_bytes()
    assert data_unit(restored) == data_unit((GOLDEN / name).read_bytes())
    verify(GOLDEN / f"{name}.fz")


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("options", [{}, {"tile_rows": 50}, {"codecs": "best", "level": "fast"}])
def test_what_we_pack_is_restored_to_the_last_byte(tmp_path, name, options):
    pack(GOLDEN / name, tmp_path / "p.fz", threads=2, **options)
    unpack(tmp_path / "p.fz", tmp_path / "o.fits")
    assert (tmp_path / "o.fits").read_bytes() == (GOLDEN / name).read_bytes()
    verify(tmp_path / "p.fz")


@pytest.mark.parametrize("name", GOOD)
def test_columns_are_those_of_the_original(name):
    with TableFile(GOLDEN / name) as plain, TableFile(GOLDEN / f"{name}.fz") as packed:
        wanted, found = plain.read(), packed.read(threads=2)
    for key, values in wanted.items():
        if values.dtype == object:
            for a, b in zip(values, found[key], strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            assert found[key].dtype == values.dtype
            assert found[key].tobytes() == values.tobytes()


def assert_refused(path, folder):
    before = path.read_bytes()
    begin = time.perf_counter()
    with pytest.raises(CorruptTableError) as caught:
        unpack(path, folder / "o.fits", threads=2)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    with pytest.raises(CorruptTableError):
        verify(path)
    assert time.perf_counter() - begin < 2
    assert not (folder / "o.fits").exists()
    assert [p for p in folder.iterdir() if p.name.endswith(".part")] == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", BAD)
def test_golden_bad_files(tmp_path, name):
    assert_refused(GOLDEN / name, tmp_path)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    path = tmp_path / "bad.fits.fz"
    path.write_bytes(HOSTILE[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_refused(path, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_other_hdus_stay_as_they_are(tmp_path, rng):
    image = astropy_fits.ImageHDU(rng.normal(size=(50, 60)), name="IMAGE")
    lists = np.array([np.arange(k % 5, dtype="i4") for k in range(900)], object)
    columns = [
        astropy_fits.Column("A", "J", array=np.arange(900)),
        astropy_fits.Column("NONE", "0E", array=np.zeros((900, 0))),
        astropy_fits.Column("LIST", "PJ()", array=lists),
    ]
    table = astropy_fits.BinTableHDU.from_columns(columns, name="TABLE")
    table.header["LONG"] = "x" * 100
    table.header["HIERARCH ESO FOO"] = 3
    table.header.add_history("history")
    small = astropy_fits.BinTableHDU.from_columns(columns[:1], name="SMALL")
    path = tmp_path / "x.fits"
    hdus = astropy_fits.HDUList([astropy_fits.PrimaryHDU(), table, image, small])
    hdus.writeto(path, checksum=True)
    pack(path, tmp_path / "p.fz", tile_rows=100)
    kinds = [hdu["kind"] for hdu in describe(tmp_path / "p.fz")]
    assert kinds == ["image", "compressed table", "image", "compressed table"]
    unpack(tmp_path / "p.fz", tmp_path / "o.fits")
    assert (tmp_path / "o.fits").read_bytes() == path.read_bytes()
    with TableFile(tmp_path / "p.fz") as file:
        for found, wanted in zip(file.read()["list"], lists, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_what_cfitsio_leaves_is_left(tmp_path, rng):
    columns = {"a": np.arange(500, dtype="i4")}
    small = TableHDU("SMALL", all_fields(columns), columns, tile_rows=None)
    columns = {"a": np.arange(900, dtype="i4")}
    asked = TableHDU(
        "ASKED", all_fields(columns), columns, tile_rows=None, header={"FZALGOR": "NONE"}
    )
    big = TableHDU("BIG", all_fields(columns), columns, tile_rows=None, header={"FZTILELN": 7})
    path = tmp_path / "x.fits"
    write_fits(path, [small, asked, big])
    pack(path, tmp_path / "p.fz")
    described = describe(tmp_path / "p.fz")
    assert [h["kind"] for h in described[1:]] == ["table", "table", "compressed table"]
    assert described[3]["tile_rows"] == 7
    pack(tmp_path / "p.fz", tmp_path / "again.fz")  # what is packed stays packed
    assert (tmp_path / "again.fz").read_bytes() == (tmp_path / "p.fz").read_bytes()


def test_directives_choose_codecs(tmp_path, rng):
    columns = {"a": rng.integers(0, 9, 2000).astype("i4"), "b": rng.normal(size=2000)}
    directives = {"FZALGOR": "GZIP_1", "FZALG2": "GZIP_2"}
    table = TableHDU("T", all_fields(columns), columns, tile_rows=None, header=directives)
    write_fits(tmp_path / "x.fits", [table])
    pack(tmp_path / "x.fits", tmp_path / "p.fz")
    codecs = [c["codec"] for c in describe(tmp_path / "p.fz")[1]["columns"]]
    assert codecs == ["GZIP_1", "GZIP_2"]
    pack(tmp_path / "x.fits", tmp_path / "q.fz", codecs={"a": Codec.RICE_1})
    codecs = [c["codec"] for c in describe(tmp_path / "q.fz")[1]["columns"]]
    assert codecs == ["RICE_1", "GZIP_2"]


def test_unpacking_our_table_gives_our_plain_table(tmp_path, rng):
    table = all_table(rng, 1001)
    plain = all_table(rng, 1001, tile_rows=None)
    plain = TableHDU("ALL", table.fields, table.columns, tile_rows=None)
    write_fits(tmp_path / "z.fits", [table])
    write_fits(tmp_path / "p.fits", [plain])
    unpack(tmp_path / "z.fits", tmp_path / "o.fits")
    assert (tmp_path / "o.fits").read_bytes() == (tmp_path / "p.fits").read_bytes()


def test_targets_are_not_replaced_unless_asked(tmp_path):
    source, target = GOLDEN / "small_tiles.fits.fz", tmp_path / "o.fits"
    target.write_text("precious")
    for convert in (pack, unpack):
        with pytest.raises(StorageError, match="exists already"):
            convert(source, target)
        assert target.read_text() == "precious"
    bad = GOLDEN / "bad_truncated.fits.fz"
    with pytest.raises(CorruptTableError):
        unpack(bad, target, overwrite=True)
    assert target.read_text() == "precious"
    unpack(source, target, overwrite=True)
    assert target.read_bytes().startswith(b"SIMPLE")
    with pytest.raises(StorageError, match="the input itself"):
        unpack(target, target, overwrite=True)


def test_commands(tmp_path):
    run = CliRunner().invoke
    packed, plain = str(tmp_path / "p.fz"), str(tmp_path / "o.fits")
    original = GOLDEN / "small_tiles.fits"
    assert run(command, ["pack", str(original), packed, "--best", "--fast"]).exit_code == 0
    assert run(command, ["unpack", packed, plain]).exit_code == 0
    assert (tmp_path / "o.fits").read_bytes() == original.read_bytes()
    assert "2 HDUs" in run(command, ["verify", packed]).output
    assert "tiles of 97" in run(command, ["info", packed]).output
    assert '"compressed table"' in run(command, ["info", "--json", packed]).output
    failed = run(command, ["unpack", str(GOLDEN / "bad_bitrot.fits.fz"), str(tmp_path / "x")])
    assert isinstance(failed.exception, CorruptTableError)
    for name in ("pack", "unpack", "verify", "info"):
        assert "Example" in run(command, [name, "--help"]).output
