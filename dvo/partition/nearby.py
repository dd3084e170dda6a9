"""Which regions hold what is near some positions: many positions, and a reach of arcseconds.

For one position and any radius there is `Partition.cone`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition import kernels
from dvo.partition.view import View

__all__ = ["marked", "regions_near"]

Array = NDArray[Any]

_STEP_DEG = 0.04


def marked(regions: Array, n_regions: int) -> list[int]:
    """List the different regions among many, ascending; cheaper than sorting them.

    Parameters
    ----------
    regions : ndarray of int
        Regions, each any number of times.
    n_regions : int
        Regions that there can be.

    Returns
    -------
    list of int
        The regions.
    """
    mark = np.zeros(n_regions, np.bool_)
    mark[regions] = True
    return [int(r) for r in np.flatnonzero(mark)]


def regions_near(ra: Array, dec: Array, own: Array, view: View, reach_deg: float) -> list[int]:
    """Find the regions that hold, or may hold, objects near some positions.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    own : ndarray of int, shape (n,)
        Region of each, as `Partition.locate` gives it.
    view : View
        A snapshot of the database.
    reach_deg : float
        How near [deg].

    Returns
    -------
    list of int
        The regions, ascending.
    """
    regions = marked(own, len(view.sky))
    index = np.empty(len(view.sky), np.int32)
    index[regions] = np.arange(len(regions))
    bounds = view.sky.bounds(regions)
    is_near = kernels.near_edge(ra, dec, index[own], bounds, reach_deg)
    found = set(regions)
    if reach_deg > _STEP_DEG:
        # Far: by regions, which takes in some too many, not by positions.
        wide = np.zeros(len(regions), np.bool_)
        wide[index[own[is_near]]] = True
        return sorted(found.union(view.partition.near_boxes(bounds[wide], reach_deg).tolist()))
    ra, dec = ra[is_near], dec[is_near]
    is_polar = np.abs(dec) + 2 * reach_deg > 89.0
    points = np.stack([ra, ra, dec, dec], axis=1)[is_polar]
    if len(points):
        found.update(view.partition.near_boxes(points, reach_deg).tolist())
    ra, dec = ra[~is_polar], dec[~is_polar]
    # The corners and sides of a square around each; no region is narrower (0.09 deg, level 5).
    step_ra = reach_deg / np.cos(np.radians(np.abs(dec) + reach_deg))
    for dx in (-1.01, 0.0, 1.01):
        for dy in (-1.01, 0.0, 1.01):
            a = (ra + dx * step_ra) % 360.0
            d = np.clip(dec + dy * reach_deg, -90.0, 90.0)
            found.update(marked(view.partition.locate(a, d), len(view.sky)))
    return sorted(found)
