"""How far measures and moving objects may be from where their region says they are.

These limits widen what a cone looks at, so they must never be too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.objects import ObjectSet
from dvo.partition.transaction import Transaction

__all__ = ["widen_motion", "widen_pad"]

Array = NDArray[Any]


def widen_pad(change: Transaction, meta: Mapping[str, str], pad_deg: float) -> None:
    """Note how far measures lie outside the region of their object.

    Parameters
    ----------
    change : Transaction
        The change that adds them.
    meta : mapping of str to str
        Properties of the database as they are.
    pad_deg : float
        The greatest distance [deg].
    """
    if pad_deg > float(meta.get("pad_deg", "0")):
        change.set_meta("pad_deg", repr(pad_deg))


def widen_motion(
    change: Transaction, meta: Mapping[str, str], objects: ObjectSet, times: Array
) -> None:
    """Note how fast objects move, and between which times.

    Parameters
    ----------
    change : Transaction
        The change that gives objects motions.
    meta : mapping of str to str
        Properties of the database as they are.
    objects : ObjectSet
        The objects as they are now.
    times : ndarray of float64
        Times at which they were measured or matched [s since 1970]; at least one.
    """
    moving = objects.moving
    speed = np.hypot(*(objects.motion[name][moving] for name in ("u_ra", "u_dec")))
    fastest = float(speed.max(initial=0.0))
    # A motion may be given to an object whose position is of long before.
    epochs = np.concatenate([objects.time[moving], times])
    first, last = float(epochs.min()), float(epochs.max())
    if "max_motion_arcsec_yr" in meta:
        fastest = max(fastest, float(meta["max_motion_arcsec_yr"]))
        first = min(first, float(meta["first_motion_epoch_s"]))
        last = max(last, float(meta["last_motion_epoch_s"]))
    change.set_meta("max_motion_arcsec_yr", repr(fastest))
    change.set_meta("first_motion_epoch_s", repr(first))
    change.set_meta("last_motion_epoch_s", repr(last))
