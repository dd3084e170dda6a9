"""Association: which object each detection of a batch belongs to.

A batch is matched in one pass over its part of the sky, across region edges, so that the
partition cannot change the outcome. The rule is in `match`; here the objects
near the batch are brought together, and new ones get their place and ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo import ids
from dvo.errors import IngestError
from dvo.ingest import kernels
from dvo.ingest.batch import Batch
from dvo.ingest.match import match_batch
from dvo.ingest.objects import ObjectSet
from dvo.partition.view import View

__all__ = [
    "Associated",
    "associate_batch",
    "marked",
    "overhang_deg",
    "regions_near",
    "unique_ext_ids",
]

Array = NDArray[Any]

_STEP_DEG = 0.04


@dataclass(frozen=True, slots=True)
class Associated:
    """What association found.

    Parameters
    ----------
    objects : ndarray of int32, shape (n_det,)
        Row in the ObjectSet of each detection's object.
    n_known : int
        Rows of the ObjectSet below this are older than the batch.
    pad_deg : float
        How far detections lie outside the region of their object, at most [deg].
    """

    objects: NDArray[np.int32]
    n_known: int
    pad_deg: float


def associate_batch(
    batch: Batch, objects: ObjectSet, view: View, *, one_to_one: bool, kinds: list[str]
) -> Associated:
    """Give every detection of a batch its object.

    Parameters
    ----------
    batch : Batch
        The detections, image after image.
    objects : ObjectSet
        Objects in memory; regions near the batch are loaded, new objects are added and
        the means of those found are moved.
    view : View
        The newest snapshot.
    one_to_one : bool
        Whether an object takes at most one detection of an image.
    kinds : list of str
        Mean magnitudes that will be needed (psf, ap, kron).

    Returns
    -------
    Associated
        The objects found.
    """
    times = np.array([i.match_time_s for i in batch.images])
    radii = np.array([i.radius_arcsec for i in batch.images])
    own = view.sky.locate(batch.ra, batch.dec, view.level)
    reach_deg = radii.max(initial=0.0) / 3600.0 + view.pad_deg + view.motion_pad_deg(times)
    near = regions_near(batch.ra, batch.dec, own, view, reach_deg)
    objects.load(near, kinds)
    objects.reserve(batch.n)
    n_known = objects.n
    found, n_now = match_batch(batch, objects, times, radii, one_to_one=one_to_one)
    # A new object lives where it was first seen; its mean may have moved since.
    first_seen = _first_rows(found, n_known, n_now)
    created_ra, created_dec = batch.ra[first_seen], batch.dec[first_seen]
    regions = own[first_seen]
    slots = objects.slots(regions)
    known_ids = objects.ext_ids_near(objects.slots(np.array(near, np.int64)), n_known)
    ext_ids = unique_ext_ids(ids.ext_id(created_ra, created_dec), known_ids)
    objects.add(n_known, slots, ext_ids)
    homes = np.array(objects.regions, np.int64)[objects.slot[found]]
    pad = overhang_deg(batch.ra, batch.dec, own, homes, view)
    if batch.measured_ra is not batch.ra:
        # What is stored, and found by cones, is the place measured.
        ra, dec = batch.measured_ra, batch.measured_dec
        there = view.sky.locate(ra, dec, view.level)
        pad = max(pad, overhang_deg(ra, dec, there, homes, view))
    return Associated(found, n_known, pad)


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
        Region of each, at the level of the database.
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
        for row in np.unique(index[own[is_near]]):
            found.update(_around(bounds[row], reach_deg, view))
        return sorted(found)
    ra, dec = ra[is_near], dec[is_near]
    is_polar = np.abs(dec) + 2 * reach_deg > 89.0
    for a, d in zip(ra[is_polar], dec[is_polar], strict=True):
        found.update(view.sky.cone(a, d, 1.01 * reach_deg, view.level).tolist())
    ra, dec = ra[~is_polar], dec[~is_polar]
    # The corners and sides of a square around each; no region is narrower (0.09 deg, level 5).
    step_ra = reach_deg / np.cos(np.radians(np.abs(dec) + reach_deg))
    for dx in (-1.01, 0.0, 1.01):
        for dy in (-1.01, 0.0, 1.01):
            a = (ra + dx * step_ra) % 360.0
            d = np.clip(dec + dy * reach_deg, -90.0, 90.0)
            found.update(marked(view.sky.locate(a, d, view.level), len(view.sky)))
    return sorted(found)


def _around(bounds: Array, reach_deg: float, view: View) -> list[int]:
    """Regions within reach of a region with such bounds."""
    ra_min, ra_max, dec_min, dec_max = bounds.tolist()
    ra, dec = 0.5 * (ra_min + ra_max), 0.5 * (dec_min + dec_max)
    half_ra = 0.5 * (ra_max - ra_min) * math.cos(math.radians(min(abs(dec_min), abs(dec_max))))
    if dec_min < 0 < dec_max:
        half_ra = 0.5 * (ra_max - ra_min)
    # Along the parallel, then along the meridian: never shorter than straight.
    radius = half_ra + 0.5 * (dec_max - dec_min) + reach_deg
    return [int(r) for r in view.sky.cone(ra, dec, min(180.0, radius), view.level)]


def _first_rows(found: NDArray[np.int32], n_known: int, n_now: int) -> Array:
    """The detection that made each new object: the first one given to it."""
    first = np.full(n_now - n_known, -1, np.int64)
    new = np.flatnonzero(found >= n_known)
    # Written in reverse, so that the first detection is what remains.
    first[found[new[::-1]] - n_known] = new[::-1]
    return first


def unique_ext_ids(new: Array, known: Array) -> Array:
    """Move public ids apart that would be equal: objects made within 3 mas of each other.

    The last four digits count 3 mas steps of declination in a zone, so one more is the
    nearest place that is free.

    Parameters
    ----------
    new : ndarray of uint64
        Ids of new objects.
    known : ndarray of uint64
        Ids that are taken.

    Returns
    -------
    ndarray of uint64
        The new ids, all different.

    Raises
    ------
    IngestError
        If there is no free id near.
    """
    out = new.copy()
    for _ in range(1000):
        order = np.argsort(out, kind="stable")
        ranked = out[order]
        is_repeated = np.zeros(len(out), dtype=np.bool_)
        is_repeated[order[1:]] = ranked[1:] == ranked[:-1]
        if len(known) and len(out):
            place = np.minimum(np.searchsorted(ranked, known), len(out) - 1)
            taken = known[ranked[place] == known]
            if len(taken):
                is_repeated |= np.isin(out, taken)
        if not is_repeated.any():
            return out
        out[is_repeated] += np.uint64(1)
    raise IngestError(
        f"no free public id near {int(new[is_repeated][0])}: over 1000 objects within 3 arcsec; "
        "look for an input that repeats one position"
    )


def overhang_deg(ra: Array, dec: Array, own: Array, regions: Array, view: View) -> float:
    """Tell how far positions lie outside the region of their object.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    own : ndarray of int, shape (n,)
        Region of each position.
    regions : ndarray of int, shape (n,)
        Region of the object of each.
    view : View
        A snapshot of the database.

    Returns
    -------
    float
        The greatest distance, or a little more [deg].
    """
    out = np.flatnonzero(own != regions)
    if len(out) == 0:
        return 0.0
    bounds = view.sky.bounds(regions[out])
    ra, dec = ra[out], dec[out]
    centre = 0.5 * (bounds[:, 0] + bounds[:, 1])
    half = 0.5 * (bounds[:, 1] - bounds[:, 0])
    off = np.abs((ra - centre + 180.0) % 360.0 - 180.0) - half
    over_ra = np.maximum(off, 0.0) * np.cos(np.radians(dec))
    over_dec = np.maximum(np.maximum(bounds[:, 2] - dec, dec - bounds[:, 3]), 0.0)
    return float(np.hypot(over_ra, over_dec).max())
