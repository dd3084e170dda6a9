"""Arrays that grow while objects are added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["grown"]

Array = NDArray[Any]


def grown(values: Array, size: int, n_used: int, fill: float | None = None) -> Array:
    """Make a longer copy of an array.

    Parameters
    ----------
    values : ndarray
        One-dimensional.
    size : int
        Elements of the copy.
    n_used : int
        How many are copied.
    fill : float, optional
        What the rest holds; None for nothing in particular.

    Returns
    -------
    ndarray
        The copy.
    """
    out = np.empty(size, values.dtype)
    out[:n_used] = values[:n_used]
    if fill is not None:
        out[n_used:] = fill
    return out
