"""Tiles: what goes in comes out, other programs agree, and damage is noticed."""

import gzip
import zlib

import numpy as np
import pytest

from dvo.tables.fits import codecs, gunzip, kernels
from dvo.tables.fits.codecs import CodecError, decode, encode
from dvo.tables.schema import Codec
from tests.unit.tables.fits import rice_reference


def columns(rng, size, n=3000):
    """Words of kinds that codecs treat differently."""
    limit = 2 ** (8 * size)
    smooth = np.cumsum(rng.integers(-9, 9, n)).astype(f"u{size}")
    spikes = np.where(rng.random(n) < 0.02, limit - 1, 7).astype(f"u{size}")
    random = rng.integers(0, limit, n, dtype=f"u{size}")
    steps = rng.integers(0, 2, n).astype(f"u{size}") << np.array(8 * size - 1, f"u{size}")
    return [smooth, spikes, random, steps, np.zeros(n, f"u{size}"), random[:1], smooth[:33]]


@pytest.mark.parametrize(
    ("codec", "size"), [(c, n) for c in Codec for n in (1, 2, 4, 8) if (c, n) != (Codec.RICE_1, 8)]
)
@pytest.mark.parametrize("level", ["fast", "small"])
def test_words_come_back(rng, size, codec, level):
    flip = 1 << (8 * size - 1)
    for values in columns(rng, size):
        for turned, shuffle, tile in ((0, True, None), (flip, True, 700), (flip, False, 1)):
            if tile == 1:
                values = values[:50]
            options = {"flip": turned, "shuffle": shuffle, "tile": tile}
            tiles = encode(values, codec, level=level, **options)
            assert len(tiles) == -(-len(values) // (tile or len(values)))
            out = np.empty_like(values)
            decode(b"".join(tiles), list(map(len, tiles)), codec, out, **options)
            np.testing.assert_array_equal(out, values)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_rice_streams_are_those_of_the_reference(rng, size):
    for values in columns(rng, size, 500):
        stream = codecs.rice_pack(values)
        assert stream == rice_reference.encode(values.tolist(), size)
        np.testing.assert_array_equal(rice_reference.decode(stream, len(values), size), values)


def test_gzip_2_sorts_bytes_by_significance():
    values = np.array([0x01020304, 0x11121314], "u4")
    (tile,) = encode(values, Codec.GZIP_2)
    assert gzip.decompress(tile) == bytes.fromhex("01110212031304 14".replace(" ", ""))
    (tile,) = encode(values, Codec.GZIP_1)
    assert gzip.decompress(tile) == bytes.fromhex("0102030411121314")


def test_noise_is_stored_and_still_gzip(rng):
    values = rng.normal(20, 1, 50_000).astype("f4").view("u4")
    (tile,) = encode(values, Codec.GZIP_2)
    planes = gzip.decompress(tile)
    assert planes[: len(values)] == values.astype(">u4").tobytes()[::4]
    assert len(tile) < 0.7 * values.nbytes


def test_noise_is_told_from_order(rng):
    noise = rng.integers(0, 256, 8192).astype("u1")
    assert kernels.is_noise(noise)
    for ordered in (
        np.arange(8192).astype("u1"),
        np.repeat(noise[:1024], 8),
        np.tile(noise[:64], 128),
        rng.integers(0, 128, 8192).astype("u1"),
        np.zeros(8192, "u1"),
        noise[:500],
    ):
        assert not kernels.is_noise(ordered)


def test_damage_is_noticed(rng):
    values = rng.integers(0, 1000, 500).astype("u4")
    out = np.empty_like(values)
    for codec in Codec:
        (tile,) = encode(values, codec)
        for bad in (b"", tile[:3], tile[: len(tile) // 2], b"\xff" * 50, tile[: len(tile) - 9]):
            with pytest.raises(CodecError):
                decode(bad, [len(bad)], codec, out)
    with pytest.raises(CodecError, match="8 bytes"):
        decode(tile, [len(tile)], Codec.RICE_1, np.empty(5, "u8"))


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("codec", list(Codec))
def test_the_damaged_one_of_many_tiles_is_named(rng, monkeypatch, at_once, codec):
    monkeypatch.setattr(gunzip, "is_there", gunzip.is_there and at_once)
    values = rng.integers(0, 1000, 950).astype("u4")
    tiles, out = encode(values, codec, tile=100), np.empty_like(values)
    decode(b"".join(tiles), [len(t) for t in tiles], codec, out, tile=100)
    np.testing.assert_array_equal(out, values)
    for bad in (0, 4, 9):
        other = [t[: len(t) // 2] if k == bad else t for k, t in enumerate(tiles)]
        with pytest.raises(CodecError) as caught:
            decode(b"".join(other), [len(t) for t in other], codec, out, tile=100)
        assert caught.value.tile == bad
    # One row less, or more, than the last tile has; a Rice stream may have padding behind it.
    for n in () if codec is Codec.RICE_1 else (949, 951):
        with pytest.raises(CodecError) as caught:
            decode(b"".join(tiles), [len(t) for t in tiles], codec, np.empty(n, "u4"), tile=100)
        assert caught.value.tile == 9


@pytest.mark.skipif(not gunzip.is_there, reason="the package deflate is not installed")
def test_tiles_stay_inside_their_arrays():
    data = np.frombuffer(gzip.compress(bytes(100)) * 2, "u1")
    n = len(data) // 2
    assert gunzip.gunzip(data, [n, n], np.ones(200, "u1"), 100) == -1
    for sizes, n_out, step in (([n, n + 1], 200, 100), ([n, n], 201, 100), ([n, n], 99, 100),
                               ([n, -n], 200, 100), ([], 0, 100)):  # fmt: skip
        with pytest.raises(ValueError, match="tiles do not go"):
            gunzip.gunzip(data, sizes, np.ones(n_out, "u1"), step)


@pytest.mark.parametrize("wanted", [1, 99, 101, 10_000])
def test_sizes_must_agree(wanted):
    with pytest.raises(CodecError, match=f"{wanted} bytes|cut short"):
        codecs.inflate(gzip.compress(bytes(100)), wanted)


def test_a_bomb_is_not_inflated():
    bomb = zlib.compress(bytes(50_000_000), 9, 31)
    with pytest.raises(CodecError, match="776 bytes"):
        codecs.inflate(bomb, 776)


@pytest.mark.parametrize("absent", ["_libdeflate", "_isal"])
def test_the_standard_library_is_enough(monkeypatch, rng, absent):
    values = rng.normal(20, 1, 5000).astype("f4").view("u4")
    fast = encode(values, Codec.GZIP_2) + encode(values, Codec.GZIP_1, level="small")
    monkeypatch.setattr(codecs, absent, None)
    slow = encode(values, Codec.GZIP_2) + encode(values, Codec.GZIP_1, level="small")
    for tiles in (fast, slow):
        for tile, codec in zip(tiles, (Codec.GZIP_2, Codec.GZIP_1), strict=True):
            out = np.empty_like(values)
            decode(tile, [len(tile)], codec, out)
            np.testing.assert_array_equal(out, values)
            with pytest.raises(CodecError):
                codecs.inflate(tile[:-12], values.nbytes)
            with pytest.raises(CodecError):
                codecs.inflate(tile, values.nbytes - 1)


def test_rice_never_reads_past_its_words(rng):
    # Whatever the bits say, the kernel must report and stay inside: it is run with bounds
    # checks by NUMBA_BOUNDSCHECK=1, and without numba NumPy checks them itself.
    for _ in range(300):
        blob = rng.integers(0, 256, int(rng.integers(0, 60))).astype("u1").tobytes()
        blob = blob if rng.random() < 0.5 else bytes(len(blob))
        for size in (1, 2, 4):
            out = np.zeros(int(rng.integers(1, 200)), f"u{size}")
            try:
                codecs.rice_unpack(blob, [len(blob)], out, out.size)
            except CodecError:
                continue
