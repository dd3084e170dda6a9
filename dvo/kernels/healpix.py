"""HEALPix (Gorski et al. 2005, ApJ 622, 759): pixels of positions, nested scheme."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = ["nested_pixels"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@kernel_part
def _spread(v: np.int64) -> np.int64:
    """Bits of a number of 32 bits, with a zero bit behind each."""
    v = (v | (v << 16)) & 0x0000FFFF0000FFFF
    v = (v | (v << 8)) & 0x00FF00FF00FF00FF
    v = (v | (v << 4)) & 0x0F0F0F0F0F0F0F0F
    v = (v | (v << 2)) & 0x3333333333333333
    return (v | (v << 1)) & 0x5555555555555555


@kernel
def nested_pixels(ra: F64, dec: F64, order: int, out: I64) -> None:
    """Pixel of each position.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg]; dec in [-90, 90].
    order : int
        Order of the pixels, 0 to 29.
    out : ndarray of int64, shape (n,)
        Filled; -1 where a coordinate is not finite or dec is outside.
    """
    n_side = np.int64(1) << order
    for i in range(len(ra)):
        if not (math.isfinite(ra[i]) and abs(dec[i]) <= 90.0):
            out[i] = -1
            continue
        quarter = (ra[i] % 360.0) / 90.0  # in [0, 4], 4 by rounding
        if quarter >= 4.0:
            quarter = 0.0
        z = math.sin(math.radians(dec[i]))
        if abs(z) <= 2.0 / 3.0:
            # The belt: lines that rise and fall to the east cut it into squares.
            middle, shift = n_side * (0.5 + quarter), n_side * 0.75 * z
            rising, falling = np.int64(middle - shift), np.int64(middle + shift)
            east, west = rising >> order, falling >> order
            if east == west:
                face = (east & 3) + 4
            elif east < west:
                face = east
            else:
                face = west + 8
            x = falling & (n_side - 1)
            y = n_side - (rising & (n_side - 1)) - 1
        else:
            # The caps: squares that are pulled together towards the pole.
            corner = np.int64(min(3.0, math.floor(quarter)))
            across = quarter - corner
            # 1 - |z| without the digits that are lost near the pole
            half = math.sin(0.5 * math.radians(90.0 - abs(dec[i])))
            far = n_side * math.sqrt(6.0) * half
            a = min(np.int64(across * far), n_side - 1)
            b = min(np.int64((1.0 - across) * far), n_side - 1)
            if z > 0.0:
                face, x, y = corner, n_side - b - 1, n_side - a - 1
            else:
                face, x, y = corner + 8, a, b
        out[i] = (face << 2 * order) | _spread(x) | (_spread(y) << 1)
