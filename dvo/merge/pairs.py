"""Which object of ours each object of a source is.

Objects are matched as the detections of one image are: within the match radius, in order
of distance, each at most once. They are matched against the objects as they were before
the merge began, so that it does not matter where a batch ends. If other commands have changed
the database since, they are matched against those of now that this merge has not touched,
and objects of the source that are in are no rivals any more: what is left of a matching in
order of distance is such a matching of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.match import match_objects
from dvo.ingest.objects import ObjectSet
from dvo.merge.source import SourceBatch
from dvo.partition.nearby import regions_near
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE

__all__ = ["Matching", "find_pairs"]

Array = NDArray[Any]

# Rivals of rivals of rivals … matter; so many radii away they no longer do.
_HALO_RADII = 20.0


@dataclass(frozen=True, slots=True)
class Matching:
    """How objects are matched.

    Parameters
    ----------
    base : View or None
        The database before the merge began; None if others have changed it since. Then the
        newest counts, without what this merge has done.
    numbers : (int, int)
        First and last number of the images of this merge.
    radius_arcsec : float
        Match radius.
    epoch : float
        Time at which objects are compared [s since 1970].
    """

    base: View | None
    numbers: tuple[int, int]
    radius_arcsec: float
    epoch: float

    @property
    def halo_deg(self) -> float:
        """How far away an object may be to decide what another is matched to [deg]."""
        return _HALO_RADII * self.radius_arcsec / 3600.0


def find_pairs(
    batch: SourceBatch, rule: Matching, view: View, kinds: list[str]
) -> tuple[ObjectSet, NDArray[np.int32]]:
    """Find the objects of ours that the objects of a batch are.

    Parameters
    ----------
    batch : SourceBatch
        The batch.
    rule : Matching
        How objects are matched.
    view : View
        The newest snapshot of the database.
    kinds : list of str
        Mean magnitudes that will be needed (psf, ap, kron).

    Returns
    -------
    objects : ObjectSet
        Objects of the newest snapshot near the batch.
    rows : ndarray of int32, shape (n_objects of the batch,)
        Row in `objects` of each; -1 for one that is not there yet.
    """
    ra, dec = batch.ra, batch.dec
    reach_deg = rule.radius_arcsec / 3600.0 + view.pad_deg
    reach_deg += view.motion_pad_deg(np.array([rule.epoch]))
    near = regions_near(ra, dec, view.partition.locate(ra, dec), view, reach_deg)
    objects = ObjectSet(view)
    objects.load(near, kinds)
    before = _as_before(objects, near, rule, view)
    found = match_objects(ra, dec, rule.epoch, rule.radius_arcsec, before)[: len(batch.average)]
    return objects, found if before is objects else _rows_now(found, before, objects)


def _as_before(now: ObjectSet, regions: list[int], rule: Matching, view: View) -> ObjectSet:
    """Objects that the source may be matched to: those of before the merge began."""
    if rule.base is None:
        before = ObjectSet(view)
        before.copy(now, regions, ~_touched(now, regions, rule.numbers, view))
        return before
    changed = _changed(regions, rule.base, view)
    if not changed:
        return now
    # Most are as they are now.
    before = ObjectSet(rule.base)
    before.copy(now, sorted(set(regions) - changed), np.ones(now.n, np.bool_))
    before.load(changed, [])
    return before


def _changed(regions: list[int], base: View, view: View) -> set[int]:
    """Regions whose objects have changed."""
    pairs = []
    for each in (base, view):
        parts = each.part_table(regions)
        parts = parts.take(parts.are(table=AVERAGE.name))
        pairs.append(set(zip(parts.regions.tolist(), parts.ids.tolist(), strict=True)))
    return {region for region, _ in pairs[0] ^ pairs[1]}


def _touched(
    now: ObjectSet, regions: list[int], numbers: tuple[int, int], view: View
) -> NDArray[np.bool_]:
    """Which objects have measures of this merge: they are spoken for."""
    out = np.zeros(now.n, np.bool_)
    filled = [r for r in regions if now.catalogs[r].n_average > 0]
    if not filled:
        return out
    measure, edges = view.read_many(MEASURE, filled, ["image_id", "ref_id", "ave_ref"])
    number = measure["image_id"].astype(np.int64) + measure["ref_id"]
    is_mine = (number >= numbers[0]) & (number <= numbers[1])
    # The objects of a region lie together, in the order of their catalog.
    slots = np.repeat(now.slots(np.array(filled)), np.diff(edges))[is_mine]
    first = np.zeros(len(now.regions), np.int64)
    first[now.slot[: now.n][::-1]] = np.arange(now.n)[::-1]
    out[first[slots] + measure["ave_ref"][is_mine]] = True
    return out


def _rows_now(found: Array, before: ObjectSet, now: ObjectSet) -> NDArray[np.int32]:
    """Rows in one set of objects that were found in an older one: ids stay, rows may not."""
    out = np.full(len(found), -1, np.int32)
    picked = np.flatnonzero(found >= 0)
    if len(picked) == 0 or now.n == 0:
        return out
    keys = _keys(now, slice(0, now.n))
    order = np.argsort(keys)
    wanted = _keys(before, found[picked])
    at = np.minimum(np.searchsorted(keys, wanted, sorter=order), now.n - 1)
    rows = order[at]
    is_there = keys[rows] == wanted
    out[picked[is_there]] = rows[is_there]
    return out


def _keys(objects: ObjectSet, rows: Array | slice) -> Array:
    cat_id = objects.cat_id[rows].astype(np.uint64)
    return np.asarray((cat_id << np.uint64(32)) | objects.obj_id[rows])
