"""Where objects are at some time, by the proper motions that are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.proper_motion import move_to_epoch
from dvo.tables.column_table import ColumnTable

__all__ = ["PLACE_COLUMNS", "places_at"]

F64 = NDArray[np.float64]

PLACE_COLUMNS = ("ra", "dec", "u_ra", "u_dec", "mean_epoch")
"""Columns of Average that `places_at` needs."""

_YEAR_S = 31557600.0


def places_at(average: ColumnTable, epoch: float) -> tuple[F64, F64]:
    """Positions of objects at some time; those without known motion stay where they are.

    Parameters
    ----------
    average : ColumnTable
        Rows of Average with `PLACE_COLUMNS`.
    epoch : float
        The time [s since 1970].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].
    """
    ra, dec = average["ra"], average["dec"]
    u_ra, u_dec = average["u_ra"], average["u_dec"]
    rows = np.flatnonzero(np.isfinite(u_ra) & np.isfinite(u_dec))
    if len(rows) == 0:
        return ra, dec
    ra, dec = ra.copy(), dec.copy()
    start = 1970.0 + average["mean_epoch"][rows] / _YEAR_S
    ra[rows], dec[rows] = move_to_epoch(
        ra[rows], dec[rows], u_ra[rows] * 1000.0, u_dec[rows] * 1000.0,
        start, 1970.0 + epoch / _YEAR_S,
    )  # fmt: skip
    return ra, dec
