"""Times of the tables, in seconds and thousandths, as modified Julian dates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MJD_1970", "mjd_of"]

MJD_1970 = 40587.0
"""MJD of 1970-01-01."""

_MS_OF_DAY = 86_400_000


def mjd_of(seconds: NDArray[Any], thousandths: NDArray[Any]) -> NDArray[np.float64]:
    """Make modified Julian dates of times.

    One division of whole numbers is all that is rounded, so that a time that was given with few
    digits comes back with these.

    Parameters
    ----------
    seconds : ndarray of int64
        Whole seconds since 1970.
    thousandths : ndarray of int
        The rest [ms].

    Returns
    -------
    ndarray of float64
        MJD [d]; of no meaning where seconds are null.

    Examples
    --------
    >>> mjd_of(np.array([1577859264]), np.array([0])).tolist()
    [58849.26]
    """
    ms = seconds.astype(np.int64) * 1000 + thousandths + int(MJD_1970) * _MS_OF_DAY
    return np.asarray(ms / _MS_OF_DAY)
