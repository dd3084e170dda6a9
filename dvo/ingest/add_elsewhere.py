"""Batches added where an engine works: in partition hosts, in other processes.

A batch is cut into groups of images that have nothing to do with each other: no region that may
hold an object of one group may hold one of another. So each group can be associated by itself,
and the objects, their numbers and their means come out as if the batch had been one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dvo.errors import OperationError
from dvo.ingest.add_batch import Added, add_batch
from dvo.ingest.batch import Batch, BatchImage, matching_positions
from dvo.ingest.batch_file import pack_images, unpack_images
from dvo.ingest.objects import ObjectSet
from dvo.partition.nearby import regions_near_each
from dvo.partition.staged import read_lent
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Runner, register_write, write_groups
from dvo.partition.writing import Writing

__all__ = ["GROUP_ROWS", "add_elsewhere", "sky_groups"]

GROUP_ROWS = 200_000
"""Detections from which a group gets no more images: each group writes files of its own."""

_OPERATION = "add"


def add_elsewhere(
    change: Transaction,
    images: Sequence[BatchImage],
    *,
    one_to_one: bool,
    engine: Runner,
) -> Added:
    """Have the detections of some images added by an engine.

    Parameters
    ----------
    change : Transaction
        The change; the images themselves are not added.
    images : sequence of BatchImage
        The images, in the order in which they are to be associated.
    one_to_one : bool
        Whether an object takes at most one detection of an image.
    engine : Runner
        What does it.

    Returns
    -------
    Added
        What came of it.
    """
    groups, inputs = [], {}
    for regions, some in sky_groups(images, change.base):
        groups.append((regions, sum(len(i.source.detections) for i in some)))
        inputs[str(regions[0])] = change.lend(pack_images(some))
    request = {"one_to_one": one_to_one, "inputs": inputs}
    total = Added()
    for found in write_groups(change, _OPERATION, request, groups, engine=engine):
        total.n_new += found["n_new"]
        total.n_measures += found["n_measures"]
        total.n_satellites.update(found["n_satellites"])
        total.n_lost.update(found["n_lost"])
    return total


def sky_groups(
    images: Sequence[BatchImage], view: View, *, least_rows: int | None = None
) -> Iterator[tuple[list[int], list[BatchImage]]]:
    """Cut a batch into groups of images that have no region in common.

    Parameters
    ----------
    images : sequence of BatchImage
        The images; those without detections are in no group.
    view : View
        The snapshot.
    least_rows : int, optional
        Detections from which a group gets no more images; None for `GROUP_ROWS`.

    Yields
    ------
    regions : list of int
        Regions near the images of the group, ascending.
    some : list of BatchImage
        Its images, in the order of the batch.
    """
    enough = GROUP_ROWS if least_rows is None else least_rows
    filled = [image for image in images if len(image.source.detections)]
    near = _regions_of(filled, view)
    pieces: list[tuple[set[int], list[int]]] = []
    for k, regions in enumerate(near):
        # What touches the regions of an image is one with it, and with all that touches these.
        touched = [p for p in pieces if not p[0].isdisjoint(regions)]
        pieces = [p for p in pieces if p[0].isdisjoint(regions)]
        joined = sorted([k, *(i for p in touched for i in p[1])])
        pieces.append((regions.union(*(p[0] for p in touched)), joined))
    some: list[int] = []
    of: set[int] = set()
    for regions, numbers in sorted(pieces, key=lambda piece: piece[1][0]):
        some, of = [*some, *numbers], of | regions
        if sum(len(filled[i].source.detections) for i in some) >= enough:
            yield sorted(of), [filled[i] for i in sorted(some)]
            some, of = [], set()
    if some:
        yield sorted(of), [filled[i] for i in sorted(some)]


def _regions_of(images: Sequence[BatchImage], view: View) -> list[set[int]]:
    """Regions that may hold objects of the detections of each image."""
    if not images:
        return []
    times = np.array([image.match_time_s for image in images])
    radius = max(image.radius_arcsec for image in images)
    reach_deg = radius / 3600.0 + view.pad_deg + view.motion_pad_deg(times)
    ra, dec = (np.concatenate(c) for c in zip(*map(matching_positions, images), strict=True))
    stops = np.cumsum([len(image.source.detections) for image in images])
    return regions_near_each(ra, dec, stops, view, reach_deg)


def _add(change: Writing, regions: Sequence[int], request: Mapping[str, Any]) -> dict[str, Any]:
    """Add the images of a group: a write operation."""
    view = change.base
    name = request["inputs"].get(str(regions[0]) if regions else "")
    if not isinstance(name, str):
        raise OperationError(f"no detections were given for the group of regions {regions[:3]}")
    data = read_lent(view.catdir, change.token, name)
    batch = Batch(unpack_images(data, view.photcodes))
    added = add_batch(
        change, view, ObjectSet(view), batch,
        one_to_one=bool(request["one_to_one"]), may_rewrite=True,
    )  # fmt: skip
    return {
        "n_new": added.n_new,
        "n_measures": added.n_measures,
        "n_satellites": dict(added.n_satellites),
        "n_lost": dict(added.n_lost),
    }


register_write(_OPERATION, _add)
