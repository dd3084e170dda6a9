"""Arrays of variable length in compressed tables.

Each array is compressed by itself; the tile of the column holds, gzipped, the descriptors
of the original table and those of the compressed arrays. CFITSIO puts the original ones
first, FITS 4.0 says the opposite: it is told apart by which order makes sense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.fits import codecs
from dvo.tables.fits.codecs import MAX_EXPANSION, CodecError, Level
from dvo.tables.fits.field import Field
from dvo.tables.fits.ztable import CompressedTable
from dvo.tables.schema import Codec

__all__ = ["ArrayTile", "array_bytes", "descriptor_type", "pack_array", "read_tile", "to_native"]

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ArrayTile:
    """One tile of a variable-length column.

    Parameters
    ----------
    descriptors : ndarray of int64, shape (n_rows, 2)
        Lengths and heap offsets, as in the uncompressed table.
    arrays : list of bytes
        Big-endian contents of each row's array.
    """

    descriptors: I64
    arrays: list[bytes]


def descriptor_type(field: Field) -> np.dtype[Any]:
    """Type of one number of a column's descriptors.

    Parameters
    ----------
    field : Field
        A variable-length column.

    Returns
    -------
    dtype
        Big-endian 32-bit (P) or 64-bit (Q) integer.
    """
    return np.dtype(">i4" if field.pointer == "P" else ">i8")


def array_bytes(field: Field, length: int) -> int:
    """Bytes of an array.

    Parameters
    ----------
    field : Field
        A variable-length column.
    length : int
        Number of elements.

    Returns
    -------
    int
        Bytes in the heap.
    """
    return (length + 7) // 8 if field.letter == "X" else length * field.item_bytes


def _shuffled_bytes(field: Field) -> int:
    """Bytes of the units that GZIP_2 shuffles in arrays; CFITSIO takes 8 for C, none for M."""
    return 1 if field.letter == "M" else field.item_bytes


def pack_array(field: Field, raw: bytes, level: Level = "fast") -> bytes:
    """Compress one array.

    Parameters
    ----------
    field : Field
        The column.
    raw : bytes
        Its contents, big-endian.
    level : {"fast", "small"}
        Speed before size, or size before speed.

    Returns
    -------
    bytes
        Compressed contents, or ``raw`` itself where that is not longer.
    """
    if not raw:
        return b""
    size = _shuffled_bytes(field)
    codec = field.zctyp if size > 1 or field.zctyp is Codec.RICE_1 else Codec.GZIP_1
    words = np.frombuffer(raw, f">u{size}").astype(f"u{size}")
    packed = codecs.encode(words, codec, level=level)[0]
    return packed if len(packed) < len(raw) else raw


def _unpack_array(field: Field, blob: bytes, size: int) -> bytes:
    if len(blob) == size:
        return blob
    if size > MAX_EXPANSION * len(blob) + 64:
        raise CodecError(f"{len(blob)} bytes cannot hold an array of {size} bytes")
    unit = _shuffled_bytes(field)
    codec = field.codec or Codec.GZIP_2
    words = np.empty(size // unit, f"u{unit}")
    if unit == 1 and codec is not Codec.RICE_1:
        codec = Codec.GZIP_1
    codecs.decode(blob, [len(blob)], codec, words)
    return words.astype(f">u{unit}").tobytes()


def _orders(field: Field, raw: codecs.Bytes, rows: int) -> list[tuple[I64, I64]]:
    kind = descriptor_type(field)
    size = rows * 2 * kind.itemsize
    old, new = slice(0, size), slice(size, None)
    swapped_new, swapped_old = slice(0, 16 * rows), slice(16 * rows, None)
    return [
        (
            np.frombuffer(raw[a], kind).astype(np.int64).reshape(rows, 2),
            np.frombuffer(raw[b], ">i8").astype(np.int64).reshape(rows, 2),
        )
        for a, b in ((old, new), (swapped_old, swapped_new))
    ]


def _sensible(field: Field, table: CompressedTable, original: I64, packed: I64) -> bool:
    """Whether descriptors can be what they are taken for."""
    lengths, sizes, offsets = original[:, 0], packed[:, 0], packed[:, 1]
    heap = table.heap_bytes
    if (original < 0).any() or (packed < 0).any() or (offsets > heap).any():
        return False
    used = lengths > 0
    if (sizes > heap - np.minimum(offsets, heap)).any() or (sizes[used] == 0).any():
        return False
    if (lengths > float(MAX_EXPANSION) * heap).any():
        return False
    # An array is stored as it is where compression does not help: never longer.
    raw = (lengths + 7) // 8 if field.letter == "X" else lengths * field.item_bytes
    return bool((sizes <= raw).all() and float(sizes.sum(dtype=np.float64)) <= heap)


def read_tile(
    table: CompressedTable, number: int, field: Field, tile: int, size: int, offset: int
) -> ArrayTile:
    """Read and decompress one tile of a variable-length column.

    Parameters
    ----------
    table : CompressedTable
        The table.
    number, field : int, Field
        The column.
    tile : int
        Number of the tile.
    size, offset : int
        Its place in the heap, checked.

    Returns
    -------
    ArrayTile
        The arrays.

    Raises
    ------
    CorruptTableError
        If it is damaged.
    """
    rows = table.rows_of(tile)
    width = 2 * descriptor_type(field).itemsize + 16
    try:
        if rows * width > MAX_EXPANSION * size + 64:
            raise CodecError(f"{size} bytes cannot hold the descriptors of {rows} arrays")
        blob = table.file.read(table.heap + offset, size)
        raw = codecs.inflate(blob, rows * width)
        choices = [o for o in _orders(field, raw, rows) if _sensible(field, table, *o)]
        if not choices:
            raise CodecError("descriptors of its arrays point outside the heap")
        original, packed = choices[0]
        arrays = []
        for (length, _), (n_bytes, at) in zip(original.tolist(), packed.tolist(), strict=True):
            if length == 0:
                arrays.append(b"")
                continue
            data = table.file.read(table.heap + at, n_bytes)
            arrays.append(_unpack_array(field, data, array_bytes(field, length)))
    except CodecError as error:
        raise table.tile_error(number, field, tile, error) from error
    return ArrayTile(original, arrays)


def to_native(field: Field, raw: bytes, length: int) -> NDArray[Any]:
    """Turn one array into values.

    Parameters
    ----------
    field : Field
        The column.
    raw : bytes
        Big-endian contents.
    length : int
        Number of elements.

    Returns
    -------
    ndarray
        Native values; for text one string of shape ().
    """
    if field.letter == "A":
        return np.array(raw.rstrip(b" \0"))
    if field.letter == "X":
        return np.unpackbits(np.frombuffer(raw, np.uint8), count=length).view(np.bool_)
    if field.letter == "L":
        return np.asarray(np.frombuffer(raw, np.uint8) == ord("T"))
    kind = field.stored_dtype
    values: NDArray[Any] = np.frombuffer(raw, kind.newbyteorder(">")).astype(kind)
    if field.is_offset:
        sign = np.array(1 << (8 * values.itemsize - 1), f"u{values.itemsize}")
        words: NDArray[Any] = values.view(sign.dtype) ^ sign
        return words.view(f"{'i' if field.letter == 'B' else 'u'}{values.itemsize}")
    if field.is_scaled:
        scale = 1.0 if field.scale is None else field.scale
        return np.asarray(values * scale + float(field.zero or 0.0))
    return values
