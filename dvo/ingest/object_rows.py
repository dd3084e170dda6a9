"""What a batch writes of its objects: patches of those it touched, or whole tables anew.

A patch is cheap to write, but each one a catalog has makes it dearer to read. So a catalog
that has gathered several gets its Average and SecFilt whole, in files shared with others,
and its patches are done with: what a batch costs does not grow with the batches before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.associate import Associated
from dvo.ingest.mean_set import MEAN_COLUMNS
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.secfilt import SECFILT

__all__ = ["write_objects"]

Array = NDArray[Any]

_MOST_PATCHES = 12
_FORCED_PATCHES = 48


def write_objects(
    change: Writing,
    objects: ObjectSet,
    found: Associated,
    groups: Grouped,
    filters: NDArray[np.int64],
    *,
    with_motion: bool,
    may_rewrite: bool,
) -> None:
    """Write what a batch changed of its objects and of their mean magnitudes.

    Parameters
    ----------
    change : Writing
        Where to write.
    objects : ObjectSet
        The objects as they are now.
    found : Associated
        Object of each detection.
    groups : Grouped
        Detections in the order of regions and objects.
    filters : ndarray of int64, shape (n_det,)
        Filter whose mean magnitudes each detection changed; -1 for none.
    with_motion : bool
        Whether motions changed.
    may_rewrite : bool
        Whether catalogs with many patches may be written whole.
    """
    of = found.objects.take(groups.order)
    # The measures of an object lie together: its first one stands for it.
    is_first = np.empty(len(of), np.bool_)
    is_first[:1] = True
    np.not_equal(of[1:], of[:-1], out=is_first[1:])
    edges = _count_before(is_first)[groups.edges]
    rows = of[is_first].astype(np.int64)
    i, k = kernels.distinct_pairs(of, filters.take(groups.order), objects.n_secfilt)
    whole = _due(change, objects, groups.regions) if may_rewrite else []
    if whole:
        _write_whole(change, objects, whole)
        stays = ~np.isin(groups.regions, whole)
        keep = np.repeat(stays, np.diff(edges))
        i, k = _count_before(keep)[i[keep[i]]], k[keep[i]]
        rows, edges = rows[keep], _count_before(keep)[edges]
    is_new = rows >= found.n_known
    for label, mask in (("", is_new), ("u", ~is_new)):
        picked = rows[mask]
        if len(picked):
            patch = objects.average_patch(picked, with_ids=not label, with_motion=with_motion)
            place = objects.ave_ref.take(picked)
            change.patch_rows(place, patch, groups.regions, _count_before(mask)[edges], label=label)
    if len(i):
        n = objects.n_secfilt
        changed = rows.take(i)
        table = objects.secfilt_patch(changed * n + k)
        place = objects.ave_ref.take(changed) * n + k
        change.patch_rows(place, table, groups.regions, np.searchsorted(i, edges))


def _count_before(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true before each place, and in all."""
    out = np.empty(len(mask) + 1, np.int64)
    out[0] = 0
    np.cumsum(mask, out=out[1:])
    return out


def _due(change: Writing, objects: ObjectSet, regions: Sequence[int]) -> list[int]:
    """Regions with many patches and no column that is not in memory; loads missing means."""
    # Offsets are those of a sorted catalog; with new rows it is sorted no more.
    held = {*objects.average_names(), "off_measure"}
    due, stored_means = [], set[str]()
    change.base.foresee(regions)
    for region in regions:
        parts = change.base.parts(AVERAGE, region)
        sizes = [p.n_rows for p in parts if p.kind == "patch"]
        # What is written anew should not be far more than what was patched.
        is_much = sum(sizes) * 2 >= objects.catalogs[region].n_average
        if len(sizes) < _MOST_PATCHES or not (is_much or len(sizes) >= _FORCED_PATCHES):
            continue
        means = change.base.parts(SECFILT, region)
        kinds = {p.kind for p in (*parts, *means)}
        names = {name for p in means for name in p.columns}
        stored = {name for p in parts for name in p.columns}
        if "overlay" not in kinds and stored <= held and names <= {"ncode", *MEAN_COLUMNS}:
            due.append(region)
            stored_means |= names
    objects.load((), sorted({MEAN_COLUMNS[name] for name in stored_means - {"ncode"}}))
    return due


def _write_whole(change: Writing, objects: ObjectSet, regions: list[int]) -> None:
    """Write Average and SecFilt of some regions whole, in place of all their parts."""
    is_wanted = np.isin(objects.regions, regions)
    rows = np.flatnonzero(is_wanted[objects.slot[: objects.n]])
    groups = objects.group(rows)
    rows = rows.take(groups.order)
    for region in regions:
        change.drop_parts(change.base.parts(AVERAGE, region))
        change.drop_parts(change.base.parts(SECFILT, region))
    average = objects.average_patch(rows, with_ids=True, with_motion=True)
    change.add_rows(average, groups.regions, groups.edges, label="w")
    n = objects.n_secfilt
    every = (rows[:, None] * n + np.arange(n)).ravel()
    change.add_rows(objects.secfilt_patch(every), groups.regions, groups.edges * n, label="w")
