"""Compiled loops of the FITS codec: Rice coding, byte shuffling, checksums.

Bit streams are read and written through arrays of 64-bit words whose most significant
bit comes first; the wrappers in ``codecs`` convert from and to bytes. Every kernel checks
its bounds itself and reports by a status code, never by raising.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = [
    "BAD_CODE",
    "OK",
    "RICE_BLOCK",
    "TRUNCATED",
    "is_noise",
    "noisy_planes",
    "rice_decode",
    "rice_encode",
    "shuffle2",
    "shuffle4",
    "shuffle8",
    "strip_strings",
    "sum_column",
    "sum_words",
    "unshuffle2",
    "unshuffle4",
    "unshuffle8",
]

OK = 0
TRUNCATED = -1
BAD_CODE = -2

RICE_BLOCK = 32  # elements that share one Rice parameter, as CFITSIO writes tables

Unsigned = NDArray[Any]  # u1, u2, u4 or u8
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

# Leading zeros of a byte. Most unary codes end within 8 bits, so that a look-up beats
# counting; there is no portable way to ask numba for the machine's instruction.
_LEADING = np.array([8] + [8 - n.bit_length() for n in range(1, 256)], dtype=np.int64)


@kernel
def _window(words: U64, at: int) -> np.uint64:
    """64 bits from bit ``at`` on; the caller keeps ``at`` two words clear of the end."""
    k = at >> 6
    shift = np.uint64(at & 63)
    # In two steps: a shift by 64 is undefined.
    low = (words[k + 1] >> np.uint64(1)) >> (np.uint64(63) - shift)
    return np.uint64((words[k] << shift) | low)


@kernel
def rice_decode(
    words: U64, start: int, end: int, item_bits: int, fs_bits: int, fs_max: int, out: Unsigned
) -> int:
    """Decode one Rice stream.

    Parameters
    ----------
    words : ndarray of uint64
        The stream, and at least three words more after bit ``end``.
    start, end : int
        First bit of the stream, and first bit behind it.
    item_bits, fs_bits, fs_max : int
        Bits of an element; bits of a block's parameter; parameter of a raw block.
    out : ndarray of uint8, uint16 or uint32
        Receives the elements.

    Returns
    -------
    int
        First bit not used; TRUNCATED if the stream ends too early, BAD_CODE if a
        parameter is wrong.
    """
    n = out.size
    if n == 0:
        return start
    if start < 0 or end - start < item_bits or (end >> 6) + 3 > words.size:
        return TRUNCATED
    one = np.uint64(1)
    mask = (1 << item_bits) - 1
    item_shift = np.uint64(64 - item_bits)
    at = start
    last = np.int64(_window(words, at) >> item_shift)
    at += item_bits
    first = 0
    while first < n:
        stop = min(first + RICE_BLOCK, n)
        if at + fs_bits > end:
            return TRUNCATED
        fs = np.int64(_window(words, at) >> np.uint64(64 - fs_bits)) - 1
        at += fs_bits
        if fs > fs_max:
            return BAD_CODE
        if fs < 0:  # all differences are zero
            for i in range(first, stop):
                out[i] = last
        elif fs == fs_max:  # differences stand as they are
            if at + (stop - first) * item_bits > end:
                return TRUNCATED
            for i in range(first, stop):
                code = np.int64(_window(words, at) >> item_shift)
                at += item_bits
                last = (last + ((code >> 1) ^ -(code & 1))) & mask
                out[i] = last
        else:  # unary high part, 1, low part of fs bits
            low_shift = np.uint64(63 - fs)
            for i in range(first, stop):
                if at >= end:
                    return TRUNCATED
                window = _window(words, at)
                top = np.int64(window >> np.uint64(56))
                if top != 0:
                    zeros = _LEADING[top]
                    low = ((window << np.uint64(zeros + 1)) >> one) >> low_shift
                    at += zeros + 1 + fs
                else:
                    zeros = np.int64(0)
                    while window == np.uint64(0):
                        zeros += 64
                        at += 64
                        if at >= end:
                            return TRUNCATED
                        window = _window(words, at)
                    while window >> np.uint64(56) == np.uint64(0):
                        window = window << np.uint64(8)
                        zeros += 8
                        at += 8
                    more = _LEADING[np.int64(window >> np.uint64(56))]
                    zeros += more
                    at += more + 1
                    if at + fs > end:
                        return TRUNCATED
                    low = (_window(words, at) >> one) >> low_shift
                    at += fs
                code = (zeros << fs) | np.int64(low)
                last = (last + ((code >> 1) ^ -(code & 1))) & mask
                out[i] = last
            if at > end:
                return TRUNCATED
        first = stop
    return at


@kernel
def _put(
    words: U64, k: int, word: np.uint64, free: int, bits: np.uint64, n: int
) -> tuple[int, np.uint64, int]:
    """Append the ``n`` (1 to 64) low bits of ``bits``; ``free`` (1 to 64) bits are open."""
    if n < free:
        free -= n
        return k, np.uint64(word | (bits << np.uint64(free))), free
    rest = n - free
    words[k] = word | (bits >> np.uint64(rest))
    if rest == 0:
        return k + 1, np.uint64(0), 64
    return k + 1, np.uint64(bits << np.uint64(64 - rest)), 64 - rest


@kernel
def rice_encode(values: Unsigned, item_bits: int, fs_bits: int, fs_max: int, words: U64) -> int:
    """Encode elements as one Rice stream, bit for bit as CFITSIO does.

    Parameters
    ----------
    values : ndarray of uint8, uint16 or uint32
        At least one element; the bits of signed ones.
    item_bits, fs_bits, fs_max : int
        As in `rice_decode`.
    words : ndarray of uint64
        Receives the stream.

    Returns
    -------
    int
        Bits written; TRUNCATED if ``words`` is too short.
    """
    n = values.size
    mask = (1 << item_bits) - 1
    half = 1 << (item_bits - 1)
    codes = np.empty(RICE_BLOCK, np.int64)
    k, word, free = 0, np.uint64(0), 64
    last = np.int64(values[0])
    k, word, free = _put(words, k, word, free, np.uint64(last), item_bits)
    for first in range(0, n, RICE_BLOCK):
        size = min(RICE_BLOCK, n - first)
        total = np.int64(0)
        for i in range(size):
            value = np.int64(values[first + i])
            step = (value - last) & mask
            last = value
            code = ((step << 1) & mask) ^ (mask if step & half else 0)
            codes[i] = code
            total += code
        mean = max(0.0, (total - size // 2 - 1) / size)
        rest = (np.int64(mean) & mask) >> 1
        fs = 0
        while rest > 0:
            fs += 1
            rest >>= 1
        if (words.size - k - 2) * 64 < (total >> fs) + size * (item_bits + 1) + fs_bits:
            return TRUNCATED
        if fs >= fs_max:
            k, word, free = _put(words, k, word, free, np.uint64(fs_max + 1), fs_bits)
            for i in range(size):
                k, word, free = _put(words, k, word, free, np.uint64(codes[i]), item_bits)
        elif total == 0:
            k, word, free = _put(words, k, word, free, np.uint64(0), fs_bits)
        else:
            k, word, free = _put(words, k, word, free, np.uint64(fs + 1), fs_bits)
            low_mask = (1 << fs) - 1
            for i in range(size):
                zeros = codes[i] >> fs
                low = np.uint64((1 << fs) | (codes[i] & low_mask))
                while zeros + fs + 1 > 64:
                    skip = min(int(zeros), 64)
                    k, word, free = _put(words, k, word, free, np.uint64(0), skip)
                    zeros -= skip
                k, word, free = _put(words, k, word, free, low, int(zeros) + fs + 1)
    if free < 64:
        words[k] = word
    return k * 64 + 64 - free


@kernel
def shuffle2(values: Unsigned, flip: np.uint16, tile: int, planes: U8) -> None:
    """Write 16-bit values as two planes of bytes, most significant first, for each tile.

    One call for several tiles: each lets go of the GIL, and to get it back in the midst
    of other threads takes longer than the work on one tile.

    Parameters
    ----------
    values : ndarray of uint16, shape (n,)
        Values.
    flip : uint16
        Bits to turn over on the way (the sign bit, for unsigned columns).
    tile : int
        Values in a tile; the last may have fewer.
    planes : ndarray of uint8, shape (2 n,)
        Receives the bytes.
    """
    for first in range(0, values.size, tile):
        part = values[first : first + tile]
        n = part.size
        out = planes[2 * first : 2 * (first + n)]
        p0, p1 = out[:n], out[n:]
        for i in range(n):
            v = part[i] ^ flip
            p0[i] = v >> 8
            p1[i] = v & 255


@kernel
def shuffle4(values: Unsigned, flip: np.uint32, tile: int, planes: U8) -> None:
    """Write 32-bit values as four planes of bytes for each tile; see `shuffle2`.

    Parameters
    ----------
    values : ndarray of uint32, shape (n,)
        Values.
    flip : uint32
        Bits to turn over.
    tile : int
        Values in a tile.
    planes : ndarray of uint8, shape (4 n,)
        Receives the bytes.
    """
    for first in range(0, values.size, tile):
        part = values[first : first + tile]
        n = part.size
        out = planes[4 * first : 4 * (first + n)]
        p0, p1, p2, p3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n :]
        for i in range(n):
            v = part[i] ^ flip
            p0[i] = v >> 24
            p1[i] = (v >> 16) & 255
            p2[i] = (v >> 8) & 255
            p3[i] = v & 255


@kernel
def shuffle8(values: Unsigned, flip: np.uint64, tile: int, planes: U8) -> None:
    """Write 64-bit values as eight planes of bytes for each tile; see `shuffle2`.

    Parameters
    ----------
    values : ndarray of uint64, shape (n,)
        Values.
    flip : uint64
        Bits to turn over.
    tile : int
        Values in a tile.
    planes : ndarray of uint8, shape (8 n,)
        Receives the bytes.
    """
    for first in range(0, values.size, tile):
        part = values[first : first + tile]
        n = part.size
        out = planes[8 * first : 8 * (first + n)]
        p0, p1, p2, p3 = out[:n], out[n : 2 * n], out[2 * n : 3 * n], out[3 * n : 4 * n]
        p4, p5, p6 = out[4 * n : 5 * n], out[5 * n : 6 * n], out[6 * n : 7 * n]
        p7 = out[7 * n :]
        # Halves of 32 bits: twice as fast as shifting 64-bit values.
        for i in range(n):
            v = part[i] ^ flip
            high, low = np.uint32(v >> np.uint64(32)), np.uint32(v & np.uint64(0xFFFFFFFF))
            p0[i] = high >> 24
            p1[i] = (high >> 16) & 255
            p2[i] = (high >> 8) & 255
            p3[i] = high & 255
            p4[i] = low >> 24
            p5[i] = (low >> 16) & 255
            p6[i] = (low >> 8) & 255
            p7[i] = low & 255


@kernel
def unshuffle2(planes: U8, flip: np.uint16, tile: int, out: Unsigned) -> int:
    """Put 16-bit values together from two planes of bytes, tile by tile.

    Parameters
    ----------
    planes : ndarray of uint8, shape (2 n,)
        Bytes, most significant plane first.
    flip : uint16
        Bits to turn over on the way.
    tile : int
        Values in a tile; the last may have fewer.
    out : ndarray of uint16, shape (n,)
        Receives the values.

    Returns
    -------
    int
        OK, or TRUNCATED if ``planes`` is too short.
    """
    if planes.size < 2 * out.size:
        return TRUNCATED
    for first in range(0, out.size, tile):
        part = out[first : first + tile]
        n = part.size
        raw = planes[2 * first : 2 * (first + n)]
        p0, p1 = raw[:n], raw[n : 2 * n]
        for i in range(n):
            part[i] = ((np.uint16(p0[i]) << np.uint16(8)) | np.uint16(p1[i])) ^ flip
    return OK


@kernel
def unshuffle4(planes: U8, flip: np.uint32, tile: int, out: Unsigned) -> int:
    """Put 32-bit values together from four planes of bytes for each tile; see `unshuffle2`.

    Parameters
    ----------
    planes : ndarray of uint8, shape (4 n,)
        Bytes, most significant plane first.
    flip : uint32
        Bits to turn over.
    tile : int
        Values in a tile.
    out : ndarray of uint32, shape (n,)
        Receives the values.

    Returns
    -------
    int
        OK, or TRUNCATED if ``planes`` is too short.
    """
    if planes.size < 4 * out.size:
        return TRUNCATED
    for first in range(0, out.size, tile):
        part = out[first : first + tile]
        n = part.size
        raw = planes[4 * first : 4 * (first + n)]
        p0, p1, p2, p3 = raw[:n], raw[n : 2 * n], raw[2 * n : 3 * n], raw[3 * n : 4 * n]
        for i in range(n):
            high = (np.uint32(p0[i]) << np.uint32(24)) | (np.uint32(p1[i]) << np.uint32(16))
            low = (np.uint32(p2[i]) << np.uint32(8)) | np.uint32(p3[i])
            part[i] = (high | low) ^ flip
    return OK


@kernel
def unshuffle8(planes: U8, flip: np.uint64, tile: int, out: Unsigned) -> int:
    """Put 64-bit values together from eight planes of bytes for each tile; see `unshuffle2`.

    Parameters
    ----------
    planes : ndarray of uint8, shape (8 n,)
        Bytes, most significant plane first.
    flip : uint64
        Bits to turn over.
    tile : int
        Values in a tile.
    out : ndarray of uint64, shape (n,)
        Receives the values.

    Returns
    -------
    int
        OK, or TRUNCATED if ``planes`` is too short.
    """
    if planes.size < 8 * out.size:
        return TRUNCATED
    for first in range(0, out.size, tile):
        part = out[first : first + tile]
        n = part.size
        raw = planes[8 * first : 8 * (first + n)]
        p0, p1, p2, p3 = raw[:n], raw[n : 2 * n], raw[2 * n : 3 * n], raw[3 * n : 4 * n]
        p4, p5, p6 = raw[4 * n : 5 * n], raw[5 * n : 6 * n], raw[6 * n : 7 * n]
        p7 = raw[7 * n : 8 * n]
        for i in range(n):
            high = (np.uint32(p0[i]) << np.uint32(24)) | (np.uint32(p1[i]) << np.uint32(16))
            high |= (np.uint32(p2[i]) << np.uint32(8)) | np.uint32(p3[i])
            low = (np.uint32(p4[i]) << np.uint32(24)) | (np.uint32(p5[i]) << np.uint32(16))
            low |= (np.uint32(p6[i]) << np.uint32(8)) | np.uint32(p7[i])
            part[i] = ((np.uint64(high) << np.uint64(32)) | np.uint64(low)) ^ flip
    return OK


@kernel
def _is_even(plane: U8, step: int, limit: float) -> bool:
    """Whether byte values are about equally frequent: pairs of equal ones are rare."""
    counts = np.zeros(256, np.int64)
    n = 0
    for i in range(0, plane.size, step):
        counts[plane[i]] += 1
        n += 1
    pairs = 0.0
    for c in range(256):
        pairs += counts[c] * (counts[c] - 1.0)
    return pairs * 256.0 < limit * n * (n - 1.0)


@kernel
def is_noise(plane: U8) -> bool:
    """Tell whether deflate would gain nothing on a plane of bytes.

    Parameters
    ----------
    plane : ndarray of uint8
        Bytes of one significance.

    Returns
    -------
    bool
        True where no byte value is more frequent than another (to 0.1 bit of entropy)
        and no sequences of four bytes come back.
    """
    n = plane.size
    if n < 1024:
        return False
    # A look at a few bytes finds most planes that are not; 1.5 leaves room for chance.
    if not _is_even(plane, n // 512, 1.5) or not _is_even(plane, max(1, n // 4096), 1.07):
        return False
    seen = np.full(1024, -1, np.int64)
    again = 0
    for i in range(min(n, 2048) - 3):
        slot = (np.int64(plane[i]) * 5 + np.int64(plane[i + 1]) * 77) & 1023
        j = seen[slot]
        if (
            j >= 0
            and plane[j] == plane[i]
            and plane[j + 1] == plane[i + 1]
            and plane[j + 2] == plane[i + 2]
            and plane[j + 3] == plane[i + 3]
        ):
            again += 1
        seen[slot] = i
    return again < 16


@kernel
def noisy_planes(data: U8, tile: int, n_planes: int, noisy: NDArray[np.int64]) -> None:
    """Count the last planes of each tile that deflate cannot shrink.

    Parameters
    ----------
    data : ndarray of uint8
        Shuffled bytes of several tiles.
    tile : int
        Bytes in a tile; the last may have fewer.
    n_planes : int
        Planes in a tile.
    noisy : ndarray of int64, shape (n_tiles,)
        Receives the counts.
    """
    for k in range(noisy.size):
        part = data[k * tile : (k + 1) * tile]
        size = part.size // n_planes
        n = 0
        while n < n_planes and is_noise(part[(n_planes - 1 - n) * size : (n_planes - n) * size]):
            n += 1
        noisy[k] = n


@kernel
def strip_strings(chars: U8) -> None:
    """Replace the blanks behind strings by NULs, which NumPy leaves out.

    Parameters
    ----------
    chars : ndarray of uint8, shape (n, width)
        Characters; changed in place.
    """
    n, width = chars.shape
    for i in range(n):
        j = width - 1
        while j >= 0 and (chars[i, j] == 32 or chars[i, j] == 0):
            chars[i, j] = 0
            j -= 1


@kernel
def sum_words(words: NDArray[np.uint32]) -> int:
    """Sum little-endian words of a byte stream as the big-endian numbers they are.

    Parameters
    ----------
    words : ndarray of uint32, shape (n,), n < 2**31
        The stream, seen as native little-endian words.

    Returns
    -------
    int
        The sum, not yet folded into 32 bits.
    """
    total = np.uint64(0)
    for i in range(words.size):
        w = np.uint32(words[i])
        swapped = (
            (w >> np.uint32(24))
            | ((w >> np.uint32(8)) & np.uint32(0xFF00))
            | ((w << np.uint32(8)) & np.uint32(0xFF0000))
            | (w << np.uint32(24))
        )
        total += np.uint64(swapped & np.uint32(0xFFFFFFFF))
    return np.int64(total)  # type: ignore[return-value]


@kernel
def sum_column(
    words: Unsigned, flip: np.uint64, n_words: int, row_bytes: int, offset: int, sums: U64
) -> None:
    """Add what a column contributes to the DATASUM of the row-major table.

    Parameters
    ----------
    words : ndarray of uint8, uint16, uint32 or uint64
        Native words of some rows.
    flip : int
        Bits to turn over.
    n_words : int
        Words in each row.
    row_bytes, offset : int
        Bytes of a row; place of the first word in the data unit, modulo 4 at least.
    sums : ndarray of uint64, shape (4,)
        Added to: sums of what begins at bytes 0, 1, 2 and 3 of a 32-bit word, as if it
        began at byte 0.
    """
    size = words.itemsize
    shift = np.uint64(0 if size > 4 else 32 - 8 * size)
    low = np.uint64(0xFFFFFFFF)
    if n_words == 1:
        for first in range(min(4, words.size)):  # the place repeats after four rows
            total = np.uint64(0)
            for i in range(first, words.size, 4):
                v = np.uint64(words[i]) ^ flip
                if size == 8:
                    total += (v >> np.uint64(32)) + (v & low)
                else:
                    total += v << shift
            sums[(offset + first * row_bytes) & 3] += total
        return
    n_rows = words.size // n_words
    for i in range(n_rows):
        at = offset + i * row_bytes
        for j in range(n_words):
            v = np.uint64(words[i * n_words + j]) ^ flip
            if size == 8:
                sums[at & 3] += (v >> np.uint64(32)) + (v & low)
            else:
                sums[at & 3] += v << shift
            at += size
