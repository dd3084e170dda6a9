"""One tile of one column to compressed bytes and back: RICE_1, GZIP_1, GZIP_2.

Values come as flat arrays of unsigned words. ``deflate`` (libdeflate) inflates and
``isal`` deflates where they are installed, the standard library's zlib otherwise; the
bytes are good for any reader of gzip. Errors are :class:`CodecError`; callers say where.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dvo.tables.fits import gunzip, kernels, rice
from dvo.tables.schema import Codec

__all__ = [
    "MAX_EXPANSION",
    "CodecError",
    "Level",
    "decode",
    "encode",
    "gzip_pack",
    "inflate",
    "rice_pack",
    "rice_unpack",
]


def _import(name: str) -> Any:
    """Import a module that may not be installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_libdeflate = _import("deflate")
_isal = _import("isal.isal_zlib")

Level = Literal["fast", "small"]
Words = NDArray[Any]  # u1, u2, u4 or u8, flat and contiguous
Bytes = bytes | memoryview

MAX_EXPANSION = 1040  # no deflate stream, and no Rice stream, expands further

_RICE = {1: (3, 6), 2: (4, 14), 4: (5, 25)}  # bytes: bits of a parameter, raw parameter
_WORD_TYPE = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_SHUFFLE: dict[int, Any] = {2: kernels.shuffle2, 4: kernels.shuffle4, 8: kernels.shuffle8}
_UNSHUFFLE: dict[int, Any] = {2: kernels.unshuffle2, 4: kernels.unshuffle4, 8: kernels.unshuffle8}
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\x03"
_MAX_STORED = 65535
_LEAST_SAVING = 256  # part of the data that slower ways to compress have to save
_MAX_PADDING = 8  # bytes an encoder may leave behind a Rice stream; CFITSIO leaves none
_STORED = struct.Struct("<?HH")
_TRAILER = struct.Struct("<II")


class CodecError(ValueError):
    """Compressed bytes are not what they should be."""

    tile = 0  # which of the tiles given


def inflate(blob: Bytes, size: int) -> Bytes:
    """Undo gzip, for a size known beforehand.

    Parameters
    ----------
    blob : bytes-like
        One gzip member.
    size : int
        Bytes it must yield; memory for no more is taken.

    Returns
    -------
    bytes-like
        Exactly ``size`` bytes.

    Raises
    ------
    CodecError
        If it is no gzip stream, its check value is wrong, or its size differs.
    """
    if _libdeflate is not None:
        try:
            raw: Bytes = _libdeflate.gzip_decompress(blob, max(size, 1))
        except _libdeflate.DeflateError:
            raise CodecError(f"its gzip stream is damaged or not of {size} bytes") from None
    else:
        stream = zlib.decompressobj(31)
        try:
            raw = stream.decompress(blob, size + 1)
        except zlib.error as error:
            raise CodecError(f"its gzip stream is damaged ({error})") from None
        if len(raw) == size and not stream.eof:
            raise CodecError("its gzip stream is cut short")
    if len(raw) != size:
        raise CodecError(f"its gzip stream yields not {size} bytes")
    return raw


def gzip_pack(data: NDArray[np.uint8], level: Level = "fast", n_stored: int = 0) -> bytes:
    """Compress bytes to one gzip member.

    Parameters
    ----------
    data : ndarray of uint8
        Bytes.
    level : {"fast", "small"}
        Speed before size, or size before speed.
    n_stored : int
        Bytes at the end that are noise and are stored as they are.

    Returns
    -------
    bytes
        The member.

    Notes
    -----
    The last bytes of floats are mostly noise. Such planes go into stored blocks behind
    the deflated ones: twice as fast to write, nearly three times as fast to read, and
    smaller by up to 8 % because the Huffman codes then fit the other planes.

    For "small", libdeflate's level 6 is tried too. Higher levels of it, and levels 2 and
    3 of isal, were measured: slower, and not smaller on columns of a catalogue. It has to
    save something: of columns that repeat themselves it makes 60 bytes a tile instead of
    110, by copies that overlap themselves so closely that undoing them takes nine times as long.
    """
    packed = _gzip_split(data, n_stored) if n_stored or _isal is None else _gzip_whole(data)
    if level == "small":
        other = _gzip_slow(data)
        return other if len(other) + data.size // _LEAST_SAVING < len(packed) else packed
    return packed


def _gzip_whole(data: NDArray[np.uint8]) -> bytes:
    # isal leaves its hash table as malloc gave it: which of several possible matches it
    # takes, and so the size by a byte or two, depends on what ran before. The data do not.
    whole: bytes = _isal.compress(data, 1, 31)
    return whole


def _gzip_slow(data: NDArray[np.uint8]) -> bytes:
    if _libdeflate is not None:
        return bytes(_libdeflate.gzip_compress(data, 6))
    return zlib.compress(data.data, 6, 31)


def _gzip_split(data: NDArray[np.uint8], n_stored: int) -> bytes:
    """Deflate all but the last bytes; these follow in stored blocks."""
    cut = data.size - n_stored
    if _isal is not None:
        stream = _isal.compressobj(1, _isal.DEFLATED, -15)
        crc = _isal.crc32(data)
    else:
        stream = zlib.compressobj(1, zlib.DEFLATED, -15)
        crc = zlib.crc32(data.data)
    flush = zlib.Z_FULL_FLUSH if n_stored else zlib.Z_FINISH
    parts: list[Bytes] = [_GZIP_HEADER, stream.compress(data[:cut].data), stream.flush(flush)]
    for start in range(cut, data.size, _MAX_STORED):
        piece = data[start : start + _MAX_STORED]
        is_last = start + _MAX_STORED >= data.size
        parts.append(_STORED.pack(is_last, piece.size, piece.size ^ 0xFFFF))
        parts.append(piece.data)
    parts.append(_TRAILER.pack(crc, data.size & 0xFFFFFFFF))
    return b"".join(parts)


def rice_pack(values: Words) -> bytes:
    """Compress integers to one Rice stream.

    Parameters
    ----------
    values : ndarray of uint8, uint16 or uint32
        At least one element.

    Returns
    -------
    bytes
        The stream.
    """
    size = values.dtype.itemsize
    fs_bits, fs_max = _RICE[size]
    words = np.empty(values.size * size // 4 + values.size // 64 + 64, np.uint64)
    n_bits = kernels.rice_encode(values, 8 * size, fs_bits, fs_max, words)
    if n_bits < 0:
        raise CodecError("it does not fit the buffer of a Rice stream")
    n_bytes = (n_bits + 7) // 8
    return words[: n_bits // 64 + 1].astype(">u8").tobytes()[:n_bytes]


def rice_unpack(data: Bytes, sizes: Sequence[int], out: Words, step: int) -> None:
    """Undo `rice_pack` for some streams.

    Parameters
    ----------
    data : bytes-like
        The streams, one behind the other.
    sizes : sequence of int
        Bytes of each.
    out : ndarray of uint8, uint16 or uint32
        Receives the values.
    step : int
        Values of each stream; the last has what is left of ``out``.

    Raises
    ------
    CodecError
        If a stream is damaged or too short; ``tile`` of the error is its number.
    """
    size = out.dtype.itemsize
    if size not in _RICE:
        raise CodecError(f"RICE_1 cannot hold words of {size} bytes")
    used = rice.unpack(data, sizes, out, step, _RICE[size])
    # There is no check value; that the stream is used up is the next best thing.
    left = np.asarray(sizes[: len(used)]) - used // 8
    bad = np.flatnonzero((used < 0) | (left > _MAX_PADDING))
    if not len(bad):
        return
    k = int(bad[0])
    stream = f"its Rice stream of {sizes[k]} bytes"
    if used[k] == rice.TRUNCATED:
        error = CodecError(f"{stream} ends too early")
    elif used[k] == rice.BAD_CODE:
        error = CodecError("its Rice stream has a parameter that no encoder writes")
    else:
        error = CodecError(f"{stream} ends after {used[k] // 8}")
    error.tile = k
    raise error


def encode(
    values: Words,
    codec: Codec,
    *,
    flip: int = 0,
    shuffle: bool = True,
    level: Level = "fast",
    tile: int | None = None,
) -> list[bytes]:
    """Compress some tiles of a column.

    Parameters
    ----------
    values : ndarray of uint8, uint16, uint32 or uint64
        Native words, flat and contiguous, at least one.
    codec : Codec
        How to compress.
    flip : int
        Bits to turn over first (the sign bit, for unsigned columns).
    shuffle : bool
        Whether GZIP_2 sorts bytes by significance; CFITSIO does not for complex columns.
    level : {"fast", "small"}
        Speed before size, or size before speed.
    tile : int, optional
        Words in a tile; all if left out. The last may have fewer.

    Returns
    -------
    list of bytes
        The tiles.
    """
    size = values.dtype.itemsize
    word = _WORD_TYPE[size]
    tile = values.size if tile is None else tile
    starts = range(0, values.size, tile)
    if codec is Codec.RICE_1:
        turned = values ^ word(flip) if flip else values
        return [rice_pack(turned[at : at + tile]) for at in starts]
    is_shuffled = size > 1 and codec is Codec.GZIP_2 and shuffle
    if is_shuffled:
        data = np.empty(values.nbytes, np.uint8)
        _SHUFFLE[size](values, word(flip), tile, data)
    else:
        turned = values ^ word(flip) if flip else values
        data = turned.astype(turned.dtype.newbyteorder(">"), copy=False).view(np.uint8)
    step = tile * size
    noisy = np.zeros(len(starts), np.int64)
    if is_shuffled or size == 1:  # in whole words the noise is spread out
        kernels.noisy_planes(data, step, size, noisy)
    tiles = []
    for k, n in enumerate(noisy.tolist()):
        part = data[k * step : (k + 1) * step]
        tiles.append(gzip_pack(part, level, part.size // size * n))
    return tiles


def decode(
    data: Bytes,
    sizes: Sequence[int],
    codec: Codec,
    out: Words,
    *,
    flip: int = 0,
    shuffle: bool = True,
    tile: int | None = None,
) -> None:
    """Undo `encode`.

    Parameters
    ----------
    data : bytes-like
        The tiles, one behind the other.
    sizes : sequence of int
        Bytes of each.
    codec : Codec
        How they are compressed.
    out : ndarray of uint8, uint16, uint32 or uint64
        Receives the values; flat, contiguous and native.
    flip, shuffle, tile : int, bool, int
        As in `encode`.

    Raises
    ------
    CodecError
        If a tile is damaged; ``tile`` of the error is its number.
    """
    size = out.dtype.itemsize
    word = _WORD_TYPE[size]
    tile = max(out.size, 1) if tile is None else tile
    if codec is Codec.RICE_1:
        rice_unpack(data, sizes, out, tile)
        if flip:
            out ^= word(flip)
        return
    is_shuffled = size > 1 and codec is Codec.GZIP_2 and shuffle
    raw = np.empty(out.nbytes, np.uint8) if is_shuffled else out.view(np.uint8)
    _inflate_tiles(data, sizes, raw, tile * size)
    if is_shuffled:
        _UNSHUFFLE[size](raw, word(flip), tile, out)
        return
    if size > 1 and np.little_endian:
        out.byteswap(inplace=True)
    if flip:
        out ^= word(flip)


def _paired(
    data: Bytes, sizes: Sequence[int], out: NDArray[Any], step: int
) -> Iterator[tuple[Bytes, NDArray[Any]]]:
    """Each tile, and where it goes."""
    view, at = memoryview(data), 0
    for k, size in enumerate(sizes):
        yield view[at : at + size], out[k * step : (k + 1) * step]
        at += size


def _inflate_tiles(data: Bytes, sizes: Sequence[int], out: NDArray[np.uint8], step: int) -> None:
    """Inflate tiles of ``step`` bytes each."""
    if gunzip.is_there and len(sizes) > 1:
        bad = gunzip.gunzip(np.frombuffer(data, np.uint8), sizes, out, step)
        if bad >= 0:
            n_bytes = min(step, out.size - bad * step)
            error = CodecError(f"its gzip stream is damaged or not of {n_bytes} bytes")
            error.tile = bad
            raise error
        return
    for k, (blob, part) in enumerate(_paired(data, sizes, out, step)):
        try:
            part[:] = np.frombuffer(inflate(blob, part.size), np.uint8)
        except CodecError as error:
            error.tile = k
            raise
