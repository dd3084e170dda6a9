"""Which object of ours each object of a source is.

Objects are matched as the detections of one image are: within the match radius, in order
of distance, each at most once. They are matched against the objects as they were before
the merge began, so that it does not matter where a batch ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.associate import regions_near
from dvo.ingest.match import match_objects
from dvo.ingest.objects import ObjectSet
from dvo.merge.source import SourceBatch
from dvo.partition.view import View
from dvo.tables.average import AVERAGE

__all__ = ["Matching", "find_pairs"]

Array = NDArray[Any]

# Rivals of rivals of rivals … matter; so many radii away they no longer do.
_HALO_RADII = 20.0


@dataclass(frozen=True, slots=True)
class Matching:
    """How objects are matched.

    Parameters
    ----------
    base : View
        The database before the merge began.
    radius_arcsec : float
        Match radius.
    epoch : float
        Time at which objects are compared [s since 1970].
    """

    base: View
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
    near = regions_near(ra, dec, view.sky.locate(ra, dec, view.level), view, reach_deg)
    objects = ObjectSet(view)
    objects.load(near, kinds)
    before = _as_before(objects, near, rule.base, view)
    found = match_objects(ra, dec, rule.epoch, rule.radius_arcsec, before)[: len(batch.average)]
    return objects, found if before is objects else _rows_now(found, before, objects)


def _as_before(now: ObjectSet, regions: list[int], base: View, view: View) -> ObjectSet:
    """Objects of some regions as they were; most are as they are now."""
    is_same = [base.parts(AVERAGE, r) == view.parts(AVERAGE, r) for r in regions]
    if all(is_same):
        return now
    before = ObjectSet(base)
    for region, same in zip(regions, is_same, strict=True):
        if same:
            before.copy_region(now, region)
        else:
            before.load([region], [])
    return before


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
