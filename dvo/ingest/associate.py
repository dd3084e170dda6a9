"""Association: which object each detection of a batch belongs to.

A batch is matched in one pass over its part of the sky, across region edges, so that the
partition cannot change the outcome. The rule is in `match`; here the objects
near the batch are brought together, and new ones get their place and ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo import ids
from dvo.errors import IngestError
from dvo.ingest.batch import Batch
from dvo.ingest.match import match_batch
from dvo.ingest.objects import ObjectSet
from dvo.partition.nearby import regions_near
from dvo.partition.partition import overhang_deg
from dvo.partition.view import View

__all__ = [
    "Associated",
    "associate_batch",
    "greatest_overhang_deg",
    "unique_ext_ids",
]

Array = NDArray[Any]


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
    own = view.partition.locate(batch.ra, batch.dec)
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
    pad = greatest_overhang_deg(batch.ra, batch.dec, own, homes, view)
    if batch.measured_ra is not batch.ra:
        # What is stored, and found by cones, is the place measured.
        ra, dec = batch.measured_ra, batch.measured_dec
        there = view.partition.locate(ra, dec)
        pad = max(pad, greatest_overhang_deg(ra, dec, there, homes, view))
    return Associated(found, n_known, pad)


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


def greatest_overhang_deg(ra: Array, dec: Array, own: Array, regions: Array, view: View) -> float:
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
    return float(overhang_deg(view.sky.bounds(regions[out]), ra[out], dec[out]).max())
