"""Compiled loops of results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["join_words", "word_ends"]

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]


@kernel
def word_ends(chars: U8, ends: I32) -> bool:
    """Where each word ends when they are put one behind the other.

    Parameters
    ----------
    chars : ndarray of uint8, shape (n, width)
        Characters of the words, filled up with NULs.
    ends : ndarray of int32, shape (n + 1,)
        Filled: 0, then the end of each word.

    Returns
    -------
    bool
        Whether all characters are ASCII.
    """
    n, width = chars.shape
    seen = np.uint8(0)
    total = 0
    ends[0] = 0
    for i in range(n):
        length = width
        while length > 0 and chars[i, length - 1] == 0:
            length -= 1
        for j in range(length):
            seen |= chars[i, j]
        total += length
        ends[i + 1] = total
    return bool(seen < 128)


@kernel
def join_words(chars: U8, ends: I32, out: U8) -> None:
    """Put words one behind the other.

    Parameters
    ----------
    chars : ndarray of uint8, shape (n, width)
        Characters of the words.
    ends : ndarray of int32, shape (n + 1,)
        From `word_ends`.
    out : ndarray of uint8, shape (ends[n],)
        Filled.
    """
    for i in range(len(chars)):
        start = ends[i]
        for j in range(ends[i + 1] - start):
            out[start + j] = chars[i, j]
