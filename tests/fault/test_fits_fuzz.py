"""Damaged FITS files: an answer or one CorruptTableError, soon, and in little memory."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dvo.errors import CorruptTableError
from dvo.tables.fits import Field, TableFile, TableHDU, unpack, verify, write_fits
from dvo.tables.schema import Codec
from tests.unit.tables.fits.all_types import GOLDEN, all_fields
from tests.unit.tables.fits.hostile import without_sums

SHARDS = 10
INPUTS = 11_000  # of each shard: more than 100,000 in all
LIMIT_S = 1.0
LIMIT_KB = 300_000
WORDS = [
    b"0",
    b"1",
    b"-1",
    b"4294967296",
    b"4611686018427387904",
    b"1000000000000",
    b"T",
    b"'1D      '",
]
WORDS += [b"'99999999J'", b"'RICE_1  '", b"'GZIP_1  '", b"'1PJ(9)  '", b"'1QE     '", b"'0A      '"]
KEYS = [b"NAXIS1", b"NAXIS2", b"PCOUNT", b"GCOUNT", b"TFIELDS", b"ZTILELEN", b"ZNAXIS1", b"ZNAXIS2"]
KEYS += [b"ZPCOUNT", b"ZFORM1", b"ZFORM2", b"ZCTYP1", b"ZCTYP3", b"TFORM1", b"THEAP", b"TZERO2"]
KEYS += [b"NAXIS", b"BITPIX", b"TTYPE1", b"ZTABLE", b"XTENSION", b"ZFORM3", b"END"]


def seeds(folder: Path) -> list[bytes]:
    """Small files of every kind, without sums."""
    rng = np.random.default_rng(5)
    columns = {
        "a": np.cumsum(rng.integers(-9, 9, 200)).astype("i4"),
        "b": rng.normal(size=200),
        "c": rng.integers(0, 9, 200).astype("i2"),
        "d": rng.integers(0, 9, 200).astype("u1"),
        "e": np.full(200, b"text"),
        "f": rng.random(200) < 0.5,
    }
    files = []
    for codec, tile_rows in ((Codec.RICE_1, 50), (Codec.GZIP_2, 200), (None, None)):
        path = folder / f"{codec}.fits"
        fields = all_fields(columns, codec)
        write_fits(path, [TableHDU("T", fields, columns, tile_rows=tile_rows, index=("a",))])
        files.append(without_sums(path.read_bytes()))
    wide = {"v": rng.integers(0, 5, (60, 7)).astype("u1"), "w": rng.random((60, 3)) < 0.5}
    fields = (Field("V", "B", 7, codec=Codec.RICE_1), Field("W", "X", 3))
    write_fits(folder / "wide.fits", [TableHDU("T", fields, wide, tile_rows=16)])
    files.append(without_sums((folder / "wide.fits").read_bytes()))
    files.append(without_sums((GOLDEN / "vla_string.fits.fz").read_bytes()))
    return files


def mutate(rng: np.random.Generator, file: bytes) -> bytes:
    """Change a few things, most often where it hurts: counts, types, descriptors, streams."""
    data = bytearray(file)
    table = data.find(b"XTENSION")
    end = data.find(b"END".ljust(80), table)
    start = (end // 2880 + 1) * 2880
    for _ in range(int(rng.integers(1, 4))):
        how = rng.integers(0, 8)
        if how == 0:  # a keyword's value
            key = KEYS[rng.integers(len(KEYS))]
            at = data.find(key.ljust(8) + b"=", table)
            if at >= 0:
                data[at + 10 : at + 30] = WORDS[rng.integers(len(WORDS))].rjust(20)[-20:]
        elif how == 1:  # a byte of the header
            data[rng.integers(0, start)] = rng.integers(0, 256)
        elif how == 2:  # a digit of the header
            at = int(rng.integers(table, start))
            if chr(data[at]).isdigit():
                data[at] = 48 + int(rng.integers(10))
        elif how == 3 and len(data) > start + 64:  # descriptors
            at = start + int(rng.integers(0, 64)) // 8 * 8
            value = int(rng.choice([0, 1, 7, 100, 5000, 2**31, 2**62])) * int(rng.choice([1, -1]))
            data[at : at + 8] = value.to_bytes(8, "big", signed=True)
        elif how == 4 and len(data) > start + 1:  # bytes of data
            for _ in range(int(rng.integers(1, 9))):
                data[rng.integers(start, len(data))] ^= 1 << int(rng.integers(8))
        elif how == 5 and len(data) > start + 1:  # a run of one value
            at, n = int(rng.integers(start, len(data))), int(rng.integers(1, 200))
            data[at : at + n] = bytes([int(rng.choice([0, 255]))]) * len(data[at : at + n])
        elif how == 6:  # cut short
            del data[int(rng.integers(0, len(data) + 1)) :]
        else:  # bytes moved
            a, b, n = (int(k) for k in rng.integers(0, max(1, len(data) - 100), 3))
            data[a : a + n % 100] = data[b : b + n % 100]
        if len(data) <= start:
            break
    return bytes(data)


def attempt(path: Path, how: int) -> None:
    """Do with a file what users do; damage must show as the one error it has."""
    try:
        if how == 0:
            unpack(path, path.with_suffix(".out"), overwrite=True)
        elif how == 1:
            verify(path)
        else:
            with TableFile(path) as file:
                file.read(file.names, start=int(how == 2) * 60)
                file.tile_bounds("a")
    except CorruptTableError:
        pass


def fuzz(folder: Path, seed: int, n: int) -> float:
    """Try many damaged files; return the longest time one took."""
    (folder / str(seed)).mkdir()
    files = seeds(folder / str(seed))
    rng = np.random.default_rng(seed)
    path = folder / "fuzz.fits"
    slowest = 0.0
    for i in range(n):
        data = mutate(rng, files[i % len(files)])
        path.write_bytes(data)
        begin = time.perf_counter()
        try:
            attempt(path, i % 20)
        except BaseException:
            (folder / "crash.fits").write_bytes(data)
            print(f"seed {seed}, input {i}: see {folder / 'crash.fits'}", file=sys.stderr)
            raise
        slowest = max(slowest, time.perf_counter() - begin)
    return slowest


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SHARDS))
def test_damaged_files(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # no power is lost here
    fuzz(tmp_path, 1000 + seed, 20)  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(tmp_path, seed, INPUTS) < LIMIT_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LIMIT_KB
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.timeout(900)
def test_kernels_stay_inside_their_arrays(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "os.fsync = lambda fd: None\n"
        "from tests.fault.test_fits_fuzz import fuzz\n"
        f"fuzz(pathlib.Path({str(tmp_path)!r}), 77, 3000)"
    )
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | checked,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
