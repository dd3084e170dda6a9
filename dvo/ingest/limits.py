"""How far measures and moving objects may be from where their region says they are.

These limits widen what a cone looks at, so they must never be too small.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.objects import ObjectSet
from dvo.partition.manifest import Reach
from dvo.partition.writing import Writing

__all__ = ["motion_reach", "widen_motion", "widen_pad"]

Array = NDArray[Any]


def widen_pad(change: Writing, pad_deg: float) -> None:
    """Note how far measures lie outside the region of their object.

    Parameters
    ----------
    change : Writing
        The change that adds them.
    pad_deg : float
        The greatest distance [deg].
    """
    change.widen(Reach(pad_deg))


def widen_motion(change: Writing, objects: ObjectSet, times: Array) -> None:
    """Note how fast objects move, and between which times.

    Parameters
    ----------
    change : Writing
        The change that gives objects motions.
    objects : ObjectSet
        The objects as they are now.
    times : ndarray of float64
        Times at which they were measured or matched [s since 1970]; at least one.
    """
    change.widen(motion_reach(objects, objects.moving, times))


def motion_reach(objects: ObjectSet, moving: Array, times: Array) -> Reach:
    """Find how fast some objects move, and between which times.

    Parameters
    ----------
    objects : ObjectSet
        The objects as they are now.
    moving : ndarray of int
        Rows of those of them that are of interest; they have motions.
    times : ndarray of float64
        Times at which they were measured or matched [s since 1970]; at least one.

    Returns
    -------
    Reach
        What the snapshot has to say of them at least.
    """
    speed = np.hypot(*(objects.motion[name][moving] for name in ("u_ra", "u_dec")))
    # A motion may be given to an object whose position is of long before.
    epochs = np.concatenate([objects.time[moving], times])
    fastest = float(speed.max(initial=0.0))
    return Reach(0.0, fastest, float(epochs.min()), float(epochs.max()))
