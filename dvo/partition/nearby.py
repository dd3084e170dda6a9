"""Which regions hold what is near some positions: many positions, and a reach of arcseconds.

For one position and any radius there is `Partition.cone`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition import kernels
from dvo.partition.view import View

__all__ = ["marked", "regions_near", "regions_near_each"]

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
    for around in _regions_around(ra[~is_polar], dec[~is_polar], view, reach_deg):
        found.update(marked(around, len(view.sky)))
    return sorted(found)


def regions_near_each(
    ra: Array, dec: Array, stops: Array, view: View, reach_deg: float
) -> list[set[int]]:
    """Find the regions near each of many runs of positions, as `regions_near` does near one.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    stops : ndarray of int64, shape (n_run,)
        Where each run ends.
    view : View
        A snapshot of the database.
    reach_deg : float
        How near [deg].

    Returns
    -------
    list of set of int
        The regions of each run.
    """
    own = view.partition.locate(ra, dec)
    if reach_deg > _STEP_DEG or (np.abs(dec) + 2 * reach_deg > 89.0).any():
        runs = [slice(a, b) for a, b in itertools.pairwise([0, *stops.tolist()])]
        return [set(regions_near(ra[i], dec[i], own[i], view, reach_deg)) for i in runs]
    of = np.repeat(np.arange(len(stops)), np.diff(stops, prepend=0))
    regions = np.array(marked(own, len(view.sky)), np.int64)
    index = np.empty(len(view.sky), np.int32)
    index[regions] = np.arange(len(regions))
    is_there = np.zeros((len(stops), len(regions)), np.bool_)
    is_there[of, index[own]] = True
    runs_of, places = np.nonzero(is_there)
    pairs = [(runs_of, regions[places])]
    is_near = kernels.near_edge(ra, dec, index[own], view.sky.bounds(regions), reach_deg)
    of = of[is_near]
    for around in _regions_around(ra[is_near], dec[is_near], view, reach_deg):
        keys = np.unique(of * len(view.sky) + around)
        pairs.append(np.divmod(keys, len(view.sky)))
    found: list[set[int]] = [set() for _ in stops]
    for some, near in pairs:
        for run, region in zip(some.tolist(), near.tolist(), strict=True):
            found[run].add(region)
    return found


def _regions_around(ra: Array, dec: Array, view: View, reach_deg: float) -> Iterator[Array]:
    """Regions of the middle, the corners and the sides of a square around each position.

    No region is narrower (0.09 deg, level 5), and none of the positions is near a pole.
    """
    step_ra = reach_deg / np.cos(np.radians(np.abs(dec) + reach_deg))
    for dx in (-1.01, 0.0, 1.01):
        for dy in (-1.01, 0.0, 1.01):
            a = (ra + dx * step_ra) % 360.0
            yield view.partition.locate(a, np.clip(dec + dy * reach_deg, -90.0, 90.0))
