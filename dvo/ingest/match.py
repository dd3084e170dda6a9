"""The match of a batch: image after image, each against the objects as they are by then.

Within an image the pairs within the match radius are taken in order of distance, each
detection and each object at most once: the closer pair wins, and who loses takes the next
nearest. What is left over becomes new objects. Then the objects take up their detections,
and the next image sees the new means.

The search for nearest objects changes nothing, and the means of different objects have
nothing to do with each other, so a large image is cut in pieces for threads; the outcome
is the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.batch import Batch
from dvo.ingest.objects import ObjectSet
from dvo.ingest.sky_index import SkyIndex

__all__ = ["match_batch", "match_objects"]

Array = NDArray[Any]

_YEAR_S = 31557600.0
# Objects that move less than this over the times of a batch stay in their cell of the index.
_SLACK_ARCSEC = 0.25
_LEAST_CELL_DEG = 30.0 / 3600.0
# Below this many detections a thread costs more than it saves.
_PIECE_ROWS = 8192


def match_batch(
    batch: Batch, objects: ObjectSet, times: Array, radii: Array, *, one_to_one: bool
) -> tuple[NDArray[np.int32], int]:
    """Give every detection of a batch an object, making new objects as needed.

    Parameters
    ----------
    batch : Batch
        The detections, image after image.
    objects : ObjectSet
        The objects near them, with room for as many more as there are detections; the
        arrays are changed in place, the number of objects is not.
    times : ndarray of float64, shape (n_image,)
        Time of each image [s since 1970].
    radii : ndarray of float64, shape (n_image,)
        Match radius of each image [arcsec].
    one_to_one : bool
        False keeps the original's rule: several detections may take one object.

    Returns
    -------
    found : ndarray of int32, shape (n_det,)
        Row of the object of each detection.
    n_objects : int
        Objects there are now.
    """
    n_threads = os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads, thread_name_prefix="dvo-match") as pool:
        matcher = _Matcher(batch, objects, times, radii, pool if n_threads > 1 else None)
        for k in range(len(batch.images)):
            matcher.match_image(k, one_to_one=one_to_one)
    objects.linked(matcher.n_objects)
    return matcher.found, matcher.n_objects


def match_objects(
    ra: Array, dec: Array, time: float, radius_arcsec: float, objects: ObjectSet
) -> NDArray[np.int32]:
    """Find for each of some positions the object that is its own, at most one each.

    Pairs are taken in order of distance, as within an image; nothing is changed.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg], near ones near each other for speed.
    time : float
        Time of all of them, to which moving objects are brought [s since 1970].
    radius_arcsec : float
        Match radius.
    objects : ObjectSet
        The objects near them.

    Returns
    -------
    ndarray of int32, shape (n,)
        Row of the object, or -1.
    """
    index = _make_index(objects, len(ra), radius_arcsec / 3600.0)
    arrays, chains = objects.kernel_arrays(), index.arrays()
    kernels.move_objects(objects.moving, time, arrays, chains)
    found, found2 = np.full(len(ra), -1, np.int32), np.zeros(len(ra))
    asked = (ra, dec, time, (radius_arcsec / 3600.0, 0.0), arrays, chains)
    kernels.search_objects(0, len(ra), *asked, False, found, found2)
    kernels.settle_rivals(0, len(ra), *asked, index.holder, found, found2)
    return found


class _Matcher:
    """A batch and the index of the objects near it."""

    def __init__(
        self,
        batch: Batch,
        objects: ObjectSet,
        times: Array,
        radii: Array,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._pool = pool
        self._batch = batch
        self._times = times
        self._radii = radii / 3600.0
        self._starts = np.concatenate([[0], batch.stops[:-1]])
        self._dets = (batch.ra, batch.dec)
        self._err = batch.pos_err
        self._objects = objects.kernel_arrays()
        self._pos_err, self._n_pos = objects.pos_err, objects.n_pos
        self.n_objects = objects.n
        self.found = np.full(batch.n, -1, np.int32)
        self._found2 = np.zeros(batch.n)
        index = _make_index(objects, batch.n, float(self._radii.max(initial=0.0)))
        self._index, self._holder = index.arrays(), index.holder
        moving, self._fast, self._slack = _movers(objects, times)
        # The index has them where an earlier batch had use for them.
        epoch = float(times.mean()) if len(times) else 0.0
        kernels.move_objects(moving, epoch, self._objects, self._index)
        self._linked_at = math.nan

    def match_image(self, k: int, *, one_to_one: bool) -> None:
        """Match image number k."""
        start, stop, time = int(self._starts[k]), int(self._batch.stops[k]), self._times[k]
        # The chips of an exposure share their time: one move serves them all.
        if len(self._fast) and time != self._linked_at:
            kernels.move_objects(self._fast, time, self._objects, self._index)
            self._linked_at = time
        reach = (self._radii[k], self._slack)
        asked = (*self._dets, time, reach, self._objects, self._index)
        taken = (*self._dets, self._err, time)
        means = (self._objects, self._pos_err, self._n_pos)

        def search(first: int, last: int) -> None:
            kernels.search_objects(first, last, *asked, False, self.found, self._found2)

        def absorb(first: int, last: int) -> None:
            kernels.absorb_detections(first, last, *taken, *means, self.found)

        self._in_pieces(start, stop, search)
        if one_to_one:
            kernels.settle_rivals(start, stop, *asked, self._holder, self.found, self._found2)
            self._in_pieces(start, stop, absorb)
        else:
            absorb(start, stop)  # one object may take several: their order counts
        self.n_objects = kernels.link_detections(
            start, stop, *taken, self.n_objects, *means, self._index, self.found
        )

    def _in_pieces(self, start: int, stop: int, work: Callable[[int, int], None]) -> None:
        """Do the work for a run of detections, in threads if it is long."""
        n_pieces = min(os.cpu_count() or 1, (stop - start) // _PIECE_ROWS)
        if self._pool is None or n_pieces < 2:
            work(start, stop)
            return
        edges = np.linspace(start, stop, n_pieces + 1).astype(int).tolist()
        for done in [self._pool.submit(work, a, b) for a, b in pairwise(edges)]:
            done.result()


def _make_index(objects: ObjectSet, n_detections: int, radius_deg: float) -> SkyIndex:
    """An index with the known objects in it and room for new ones.

    The index stays with the objects from batch to batch, and only what is new is linked.
    """
    room = len(objects.ra)
    height = max(_LEAST_CELL_DEG, 4.0 * radius_deg)
    # About one object a cell: fuller cells cost distances, emptier ones cache misses.
    n_slots = 1 << max(10, math.ceil(math.log2(max(1, objects.n + n_detections // 4))))
    old = objects.index
    if old is None or len(old.head) * 2 < n_slots or old.height != height:
        n_cells, first = kernels.sky_cells(height)
        head = np.full(n_slots, -1, np.int32)
        none = np.empty(0, np.int32)
        old = SkyIndex(height, n_cells, first, head, none, none, none)
    old.reserve(room)
    kernels.link_objects(old.n_linked, objects.n, objects.ra, objects.dec, old.arrays())
    old.n_linked = objects.n
    objects.index = old
    return old


def _movers(objects: ObjectSet, times: Array) -> tuple[NDArray[np.int32], NDArray[np.int32], float]:
    """Objects that move, those to be moved image by image, and the motion [deg] of the others."""
    moving = objects.moving
    if len(moving) == 0 or len(times) == 0:
        return moving, np.empty(0, np.int32), 0.0
    # They are linked where they are in the middle of the batch, or at one of its images.
    span = float(times.max() - times.min()) / _YEAR_S
    speed = np.hypot(objects.motion["u_ra"][moving], objects.motion["u_dec"][moving])
    is_fast = speed * span > _SLACK_ARCSEC
    return moving, moving[is_fast], _SLACK_ARCSEC / 3600.0
