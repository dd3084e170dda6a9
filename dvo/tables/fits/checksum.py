"""DATASUM and CHECKSUM: the 32-bit ones' complement sum of FITS and its ASCII form.

Sums are commutative, so a sum over a file can be put together from sums over its pieces,
each turned by its place in a word; threads sum their own pieces.
"""

from __future__ import annotations

import sys

import numpy as np

from dvo.tables.fits.header import CARD, format_card
from dvo.tables.fits.kernels import sum_words

__all__ = ["add_sums", "checksum_cards", "encode_checksum", "place_sum", "sum_bytes"]

_MASK = 0xFFFFFFFF
_CHUNK = 1 << 28


def sum_bytes(data: bytes | bytearray | memoryview) -> int:
    """Ones' complement sum of bytes, taken as big-endian 32-bit words.

    Parameters
    ----------
    data : bytes-like
        Bytes; the last word is filled up with zeros.

    Returns
    -------
    int
        Sum in [0, 2**32).
    """
    view = memoryview(data).cast("B")
    total = 0
    whole = len(view) // 4 * 4
    for start in range(0, whole, _CHUNK):
        words = np.frombuffer(view[start : min(start + _CHUNK, whole)], np.uint32)
        if sys.byteorder == "big":
            part = int(words.sum(dtype=np.uint64))
        else:
            part = int(sum_words(words if words.flags.aligned else words.copy()))
        total = add_sums(total, part)
    rest = bytes(view[whole:]).ljust(4, b"\0")
    return add_sums(total, int.from_bytes(rest, "big"))


def add_sums(*sums: int) -> int:
    """Add sums with end-around carry.

    Parameters
    ----------
    *sums : int
        Sums to add.

    Returns
    -------
    int
        Sum in [0, 2**32).
    """
    total = sum(sums)
    while total > _MASK:
        total = (total & _MASK) + (total >> 32)
    return total


def place_sum(total: int, offset: int) -> int:
    """Sum that a piece contributes where it starts at some offset in the stream.

    Parameters
    ----------
    total : int
        Sum of the piece by itself.
    offset : int
        Its first byte in the stream.

    Returns
    -------
    int
        Its share of the stream's sum.
    """
    turn = offset % 4 * 8
    return ((total >> turn) | (total << (32 - turn))) & _MASK if turn else total


def encode_checksum(total: int) -> str:
    """Make the 16 characters that bring an HDU's sum to minus zero (FITS 4.0, J.2).

    Parameters
    ----------
    total : int
        Sum of the HDU with CHECKSUM set to sixteen zeros.

    Returns
    -------
    str
        Value of CHECKSUM.
    """
    value = ~total & _MASK
    columns = []
    for shift in (24, 16, 8, 0):
        byte = value >> shift & 0xFF
        quotient, remainder = divmod(byte, 4)
        chars = [quotient + 48 + remainder, quotient + 48, quotient + 48, quotient + 48]
        # Pairs move apart until none is punctuation; their sum stays.
        while any(58 <= c <= 64 or 91 <= c <= 96 for c in chars):
            for i in (0, 2):
                if any(58 <= c <= 64 or 91 <= c <= 96 for c in chars[i : i + 2]):
                    chars[i] += 1
                    chars[i + 1] -= 1
        columns.append(chars)
    text = "".join(chr(columns[j][i]) for i in range(4) for j in range(4))
    return text[-1] + text[:-1]


def checksum_cards(cards: list[str], data_sum: int) -> list[str]:
    """Add DATASUM and CHECKSUM to the cards of an HDU.

    Parameters
    ----------
    cards : list of str
        All other cards, without END.
    data_sum : int
        Sum of the data unit.

    Returns
    -------
    list of str
        Cards with both keywords at the end.
    """
    blank = [*cards, format_card("CHECKSUM", "0" * 16), format_card("DATASUM", str(data_sum))]
    text = "".join(blank).encode("latin-1")
    # The blanks that fill the last block count too; they are whole words.
    size = len(text) + CARD
    n_blank = (-size % 2880) // 4
    total = add_sums(sum_bytes(text), sum_bytes(b"END".ljust(CARD)), n_blank * 0x20202020)
    blank[-2] = format_card("CHECKSUM", encode_checksum(add_sums(total, data_sum)))
    return blank
