"""Points in polygons of a plane, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["in_polygon"]

F64 = NDArray[np.float64]


@kernel
def in_polygon(x: F64, y: F64, corner_x: F64, corner_y: F64, out: NDArray[np.bool_]) -> None:
    """Tell which points are inside a polygon, by counting its sides to their right."""
    n = corner_x.size
    for i in range(x.size):
        inside = False
        k = n - 1
        for j in range(n):
            if (corner_y[j] > y[i]) != (corner_y[k] > y[i]):
                slope = (corner_x[k] - corner_x[j]) / (corner_y[k] - corner_y[j])
                if x[i] < corner_x[j] + slope * (y[i] - corner_y[j]):
                    inside = not inside
            k = j
        out[i] = inside
