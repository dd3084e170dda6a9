"""A batch of detections added to a change: objects found or made, rows written, counts stated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.associate import Associated, associate_batch
from dvo.ingest.bands import Spread, spread_bands
from dvo.ingest.batch import Batch
from dvo.ingest.limits import widen_motion, widen_pad
from dvo.ingest.measures import add_means, add_motions, changed_catalogs, measure_rows
from dvo.ingest.object_rows import write_objects
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.ingest.satellite_rows import add_satellites
from dvo.ingest.satellites.link import has_satellites, linked_rows
from dvo.partition.view import View
from dvo.partition.writing import Writing
from dvo.tables.lensing import LENSING

__all__ = ["Added", "add_batch"]

Array = NDArray[Any]


@dataclass(slots=True)
class Added:
    """What came of a batch.

    Parameters
    ----------
    n_new : int
        Objects that were made.
    n_measures : int
        Measures that were added.
    n_satellites : Counter of str
        Rows of satellite tables that were added, by table.
    n_lost : Counter of str
        Rows of satellite tables whose detection is not in the batch, by table.
    """

    n_new: int = 0
    n_measures: int = 0
    n_satellites: Counter[str] = field(default_factory=Counter)
    n_lost: Counter[str] = field(default_factory=Counter)


def add_batch(
    change: Writing,
    view: View,
    objects: ObjectSet,
    batch: Batch,
    *,
    one_to_one: bool,
    may_rewrite: bool,
) -> Added:
    """Give the detections of a batch their objects, and write the rows.

    Parameters
    ----------
    change : Writing
        Where to write; some of it may be written later, in a thread.
    view : View
        The state that the batch is added to.
    objects : ObjectSet
        Objects in memory; those near the batch are loaded and changed.
    batch : Batch
        The detections.
    one_to_one : bool
        Whether an object takes at most one detection of an image.
    may_rewrite : bool
        Whether catalogs with many patches may be written whole.

    Returns
    -------
    Added
        What came of it.
    """
    kinds = _kinds(batch)
    found = associate_batch(batch, objects, view, one_to_one=one_to_one, kinds=kinds)
    added = Added(n_new=objects.n - found.n_known)
    has_motion = add_motions(batch, found, objects)
    filters = add_means(batch, found, objects, view.photcodes, kinds)
    spread = spread_bands(batch, view.photcodes)
    if spread is not None:
        found, filters = spread.objects_of(found), filters.take(spread.entry)
    kernels.count_rows(found.objects, objects.n_measure)
    added.n_measures = len(found.objects)
    if batch.n:
        groups = objects.group(found.objects)
        # Gathering the rows is most of the rest; it lets go of the interpreter's lock.
        change.do(partial(_write_measures, change, batch, found, objects, groups, spread))
        change.do(
            partial(
                write_objects, change, objects, found, groups, filters,
                with_motion=has_motion, may_rewrite=may_rewrite,
            )
        )  # fmt: skip
        change.set_catalogs(changed_catalogs(groups, objects))
    if has_satellites(batch):
        _write_satellites(change, view, batch, found, objects, added)
    widen_pad(change, found.pad_deg)
    if has_motion:
        widen_motion(change, objects, np.array([i.match_time_s for i in batch.images]))
    return added


def _kinds(batch: Batch) -> list[str]:
    names = batch.names
    found = {"psf": "mag", "ap": "m_aper", "kron": "m_kron"}
    return [kind for kind, column in found.items() if column in names]


def _write_measures(
    change: Writing,
    batch: Batch,
    found: Associated,
    objects: ObjectSet,
    groups: Grouped,
    spread: Spread | None,
) -> None:
    rows = measure_rows(batch, found, objects, groups, spread)
    change.add_rows(rows, groups.regions, groups.edges)


def _write_satellites(
    change: Writing,
    view: View,
    batch: Batch,
    found: Associated,
    objects: ObjectSet,
    added: Added,
) -> None:
    for rows in linked_rows(batch, found, objects):
        name, regions = rows.table.schema.name, rows.groups.regions
        # LensObj is averaged by the filters of images, which are not stored yet.
        codes = rows.photcodes if name == LENSING.name else None
        add_satellites(change, view, rows.table, regions, rows.groups.edges, photcodes=codes)
        added.n_satellites[name] += len(rows.table)
        added.n_lost[name] += rows.n_lost
