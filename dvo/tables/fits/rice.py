"""Undo Rice compression for many tiles in one call that does not hold the GIL.

A tile is soon done; threads that wait for the GIL after each of thousands take longer to hand
it over than to decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel
from dvo.tables.fits import kernels

__all__ = ["BAD_CODE", "TRUNCATED", "unpack"]

I64 = NDArray[np.int64]
Words = NDArray[Any]  # u1, u2 or u4, flat and contiguous

TRUNCATED = kernels.TRUNCATED
BAD_CODE = kernels.BAD_CODE

_SPARE_WORDS = 4  # that the decoder may look at behind the last stream


def unpack(
    data: bytes | memoryview,
    sizes: Sequence[int],
    out: Words,
    step: int,
    parameters: tuple[int, int],
) -> I64:
    """Undo Rice compression for streams that lie one behind the other.

    Parameters
    ----------
    data : bytes-like
        The streams, one a tile.
    sizes : sequence of int
        Bytes of each.
    out : ndarray of uint8, uint16 or uint32
        Receives the values.
    step : int
        Values of each stream; the last has what is left of ``out``.
    parameters : tuple of int
        Bits of the parameter of a block, and the one that stands for a raw block.

    Returns
    -------
    ndarray of int64, shape (k,)
        Bits that each stream has used, up to the first that is damaged: TRUNCATED if it ends
        too early, BAD_CODE if it has a parameter that no encoder writes.

    Raises
    ------
    ValueError
        If ``data`` or ``out`` is not of the size that the streams take.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    n = len(ends)
    if (
        not n
        or min(sizes) < 0
        or ends[-1] > len(data)
        or not (n - 1) * step <= out.size <= n * step
    ):
        raise ValueError(f"{n} streams do not go from {len(data)} bytes into {out.size}")
    words = np.zeros(len(data) // 8 + _SPARE_WORDS, np.uint64)
    words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    if np.little_endian:
        words.byteswap(inplace=True)
    used = np.empty(n, np.int64)
    return used[: _unpack(words, ends, 8 * out.dtype.itemsize, *parameters, out, step, used)]


@kernel
def _unpack(
    words: NDArray[np.uint64],
    ends: I64,
    item_bits: int,
    fs_bits: int,
    fs_max: int,
    out: Words,
    step: int,
    used: I64,
) -> int:
    """Decode the streams, as far as the first that is damaged; gives their number."""
    begin = 0
    for k in range(ends.size):
        part = out[k * step : min((k + 1) * step, out.size)]
        at = kernels.rice_decode(words, 8 * begin, 8 * ends[k], item_bits, fs_bits, fs_max, part)
        if at < 0:
            used[k] = at
            return k + 1
        used[k] = at - 8 * begin
        begin = ends[k]
    return ends.size
