"""How fast objects move, as a snapshot has to know so that a query by place finds them."""

from __future__ import annotations

import numpy as np

from dvo.partition.manifest import Reach
from dvo.tables.column_table import ColumnTable

__all__ = ["moving_reach"]


def moving_reach(average: ColumnTable) -> Reach:
    """Find how fast objects move, and between which times their positions are.

    Parameters
    ----------
    average : ColumnTable
        Rows of Average.

    Returns
    -------
    Reach
        What the snapshot has to say of them at least.
    """
    speed = np.hypot(average["u_ra"].astype(np.float64), average["u_dec"])
    moving = np.flatnonzero(speed > 0)
    if len(moving) == 0:
        return Reach()
    epochs = average["mean_epoch"][moving]
    return Reach(0.0, float(speed[moving].max()), float(epochs.min()), float(epochs.max()))
