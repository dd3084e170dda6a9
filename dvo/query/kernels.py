"""Compiled loops of queries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel

__all__ = ["keep_rows_between", "rows_between"]

Array = NDArray[Any]
I32 = NDArray[np.int32]


@kernel
def rows_between(values: Array, low: Any, high: Any, rows: I32) -> int:
    """Find the rows whose values lie in a range.

    Parameters
    ----------
    values : ndarray of numbers, shape (n,), n < 2**31
        Values.
    low, high : numbers of the same type
        The range, ends included; NaN lies in none.
    rows : ndarray of int32, shape (n,)
        Receives the rows, ascending.

    Returns
    -------
    int
        How many there are.
    """
    n = 0
    for i in range(values.size):
        # Without a branch, which would be guessed wrong half of the time.
        rows[n] = i
        n += (values[i] >= low) & (values[i] <= high)
    return n


@kernel
def keep_rows_between(values: Array, low: Any, high: Any, rows: I32, n_rows: int) -> int:
    """Keep those of some rows whose values lie in a range.

    Parameters
    ----------
    values : ndarray of numbers, shape (n,)
        Values.
    low, high : numbers of the same type
        The range, ends included; NaN lies in none.
    rows : ndarray of int32
        The rows; those that are kept move to the front.
    n_rows : int
        How many there are.

    Returns
    -------
    int
        How many are kept.
    """
    n = 0
    for k in range(n_rows):
        i = rows[k]
        rows[n] = i
        n += (values[i] >= low) & (values[i] <= high)
    return n
