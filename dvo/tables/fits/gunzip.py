"""Inflate many tiles in one call that does not hold the GIL.

The package ``deflate`` inflates one tile a call. A call is soon done, and threads that wait
for the GIL after each of thousands take longer to hand it over than to inflate. The library
in that package, libdeflate, offers its functions to others: a kernel calls them. Where they
are not to be found, `is_there` is False, and tiles are inflated one by one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dvo.jit import foreign_function, kernel, make_known

__all__ = ["gunzip", "is_there"]

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

_NO_MEMORY = -2
_ALL_GOOD = -1

# As libdeflate.h declares them.
_alloc = foreign_function("libdeflate_alloc_decompressor", "uintp()")
_free = foreign_function("libdeflate_free_decompressor", "void(uintp)")
_decompress = foreign_function(
    "libdeflate_gzip_decompress", "int32(uintp, uintp, uintp, uintp, uintp, uintp)"
)

is_there = make_known("deflate._deflate", _alloc, _free, _decompress)
"""Whether `gunzip` can be used."""


def gunzip(data: U8, sizes: Sequence[int], out: U8, step: int) -> int:
    """Undo gzip for tiles that lie one behind the other.

    Parameters
    ----------
    data : ndarray of uint8
        Gzip members, one a tile.
    sizes : sequence of int
        Bytes of each.
    out : ndarray of uint8
        Receives what they yield.
    step : int
        Bytes that each has to yield; the last what is left of ``out``.

    Returns
    -------
    int
        Number of the first tile that is damaged or yields another number of bytes; -1 if
        there is none.

    Raises
    ------
    MemoryError
        If there is no memory to work in.
    ValueError
        If ``data`` or ``out`` is not of the size that the tiles take.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    n = len(ends)
    if (
        not n
        or min(sizes) < 0
        or ends[-1] > data.size
        or not (n - 1) * step <= out.size <= n * step
    ):
        raise ValueError(f"{n} tiles do not go from {data.size} bytes into {out.size}")
    found = _gunzip(data, ends, out, step)
    if found == _NO_MEMORY:
        raise MemoryError("no memory to inflate a tile")
    return found


@kernel
def _gunzip(data: U8, ends: I64, out: U8, step: int) -> int:
    decompressor = _alloc()
    if decompressor == 0:
        return _NO_MEMORY
    bad = _ALL_GOOD
    source, target = data.ctypes.data, out.ctypes.data
    begin = 0
    for k in range(ends.size):
        size = min(step, out.size - k * step)
        # Without a place for the number of bytes it wants to find exactly as many.
        status = _decompress(
            decompressor, source + begin, ends[k] - begin, target + k * step, size, 0
        )
        if status != 0:
            bad = k
            break
        begin = ends[k]
    _free(decompressor)
    return bad
