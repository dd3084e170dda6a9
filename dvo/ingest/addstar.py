"""addstar: catalogs in, measures and objects out, in atomic commits.

Files are read ahead in threads; their images are gathered into batches, in the order in
which they were given; each batch is associated, written and committed as a whole. A run
that was cut short goes on where it stopped, because images that are in are skipped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import DuplicateImageError
from dvo.ingest import kernels
from dvo.ingest.associate import Associated, associate_batch
from dvo.ingest.batch import MJD_1970, Batch, BatchImage
from dvo.ingest.detections import ImageMeta, InputImage
from dvo.ingest.image_rows import image_rows
from dvo.ingest.measures import (
    add_means,
    add_motions,
    changed_catalogs,
    group_measures,
)
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.ingest.removal import remove_images
from dvo.ingest.selection import Selection, select_detections
from dvo.ingest.sources import Source
from dvo.partition.compact import compact_busy
from dvo.partition.manifest import ImageRow
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View

__all__ = ["AddstarOptions", "AddstarReport", "addstar"]

log = logging.getLogger(__name__)

Array = NDArray[Any]
_READ_AHEAD = 4
_BATCH_IMAGES = 2000
_MOST_OBJECTS = 8_000_000


@dataclass(frozen=True, slots=True)
class AddstarOptions:
    """What addstar does with its input.

    Parameters
    ----------
    radius_arcsec : float
        Match radius.
    one_to_one : bool
        Whether an object takes at most one detection of an image (else, as in the
        original, any number).
    replace : bool
        Whether an image that is in with other content is replaced, not refused.
    batch_rows : int
        Detections after which a batch is committed.
    compact_parts : int
        Parts of a catalog at which it is compacted after a commit; 0 for never.
    match_epoch_mjd : float or None
        For reference catalogs: time to which rows with proper motions are brought for
        matching; None for the epoch of the catalog.
    selection : Selection
        Which detections and images to take.
    """

    radius_arcsec: float = 1.0
    one_to_one: bool = True
    replace: bool = False
    batch_rows: int = 1_000_000
    compact_parts: int = 24
    match_epoch_mjd: float | None = None
    selection: Selection = field(default_factory=Selection)


@dataclass(slots=True)
class AddstarReport:
    """What a run of addstar did.

    Parameters
    ----------
    n_images, n_skipped, n_replaced : int
        Images added, passed over because they are in, and put in the place of others.
    n_detections, n_matched, n_new : int
        Detections added; those of known objects, and those that made new ones.
    n_commits : int
        Commits made.
    n_dropped : dict of str to int
        Detections left out, by reason.
    notes : list of str
        Anything else worth telling.
    seconds : float
        Time taken [s].
    """

    n_images: int = 0
    n_skipped: int = 0
    n_replaced: int = 0
    n_detections: int = 0
    n_matched: int = 0
    n_new: int = 0
    n_commits: int = 0
    n_dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return asdict(self)


def addstar(
    store: Store,
    sources: Sequence[Source],
    options: AddstarOptions,
    *,
    params: dict[str, Any] | None = None,
    progress: Callable[[AddstarReport], None] | None = None,
) -> AddstarReport:
    """Add catalogs to a database.

    Parameters
    ----------
    store : Store
        Open for writing.
    sources : sequence of callable
        Each reads one file; images are associated in this order.
    options : AddstarOptions
        What to do with them.
    params : dict, optional
        More to record in the log of the database.
    progress : callable, optional
        Called after every commit with the report so far.

    Returns
    -------
    AddstarReport
        What was done in this run.

    Raises
    ------
    BadCatalogError
        If a file is malformed; batches committed before it stay.
    DuplicateImageError
        If an image is in with other content, unless it is to be replaced.
    """
    began = time.perf_counter()
    run = _Run(store, options, params or {})
    with ThreadPoolExecutor(2, thread_name_prefix="dvo-read") as pool:
        for images in run.batches(_read_ahead(pool, sources)):
            run.commit(images)
            run.report.seconds = time.perf_counter() - began
            if progress is not None:
                progress(run.report)
    run.report.seconds = time.perf_counter() - began
    return run.report


def _read_ahead(pool: ThreadPoolExecutor, sources: Sequence[Source]) -> Iterator[list[InputImage]]:
    """Read files in threads, a few ahead of what is asked for, in order."""
    waiting: deque[Future[list[InputImage]]] = deque()
    rest = iter(sources)
    try:
        while True:
            while len(waiting) < _READ_AHEAD:
                source = next(rest, None)
                if source is None:
                    break
                waiting.append(pool.submit(_read_all, source))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _read_all(source: Source) -> list[InputImage]:
    return list(source())


class _Run:
    """One run: the state that lasts from batch to batch."""

    def __init__(self, store: Store, options: AddstarOptions, params: dict[str, Any]) -> None:
        self.store = store
        self.options = options
        self.params = params
        self.report = AddstarReport()
        self.view: View = store.view()
        self.objects = ObjectSet(self.view)
        self._next_image = int(store.manifest.meta.get("last_image", "0")) + 1
        self._replaced: list[int] = []
        self._identities: dict[int, str] = {}
        self._parents: dict[str, tuple[int, ImageMeta]] = {}
        self._known_parents: dict[str, int] = {}
        self._this_batch: dict[str, str] = {}

    # ---- what goes in

    def batches(self, files: Iterable[list[InputImage]]) -> Iterator[list[BatchImage]]:
        """Gather images that are to be added into batches."""
        batch: list[BatchImage] = []
        n_rows = 0
        for images in files:
            for source in images:
                image = self._admit(source)
                if image is None:
                    continue
                batch.append(image)
                n_rows += len(image.source.detections)
                if n_rows >= self.options.batch_rows or len(batch) >= _BATCH_IMAGES:
                    yield batch
                    batch, n_rows = [], 0
        if batch:
            yield batch

    def _admit(self, source: InputImage) -> BatchImage | None:
        """Number an image that is to be added; None if it is in already."""
        meta = source.meta
        identity = _identity(meta)
        known = self.store.manifest.image(self.view.snapshot.id, identity)
        content = known.content if known else self._this_batch.get(identity)
        if content == meta.content:
            self.report.n_skipped += 1
            return None
        if content is not None:
            self._refuse(source, known)
        photcode = self.view.photcodes.get(meta.photcode)
        source = select_detections(source, self.options.selection)
        dropped = source.report.get("dropped", {})
        for reason, n in dropped.items() if isinstance(dropped, dict) else ():
            self.report.n_dropped[reason] = self.report.n_dropped.get(reason, 0) + n
        parent_id = self._parent(meta.parent) if isinstance(meta, ImageMeta) and meta.parent else 0
        image_id = self._number()
        self._identities[image_id] = identity
        self._this_batch[identity] = meta.content
        mjd = meta.mjd if isinstance(meta, ImageMeta) else meta.epoch_mjd
        if not isinstance(meta, ImageMeta) and self.options.match_epoch_mjd is not None:
            mjd = self.options.match_epoch_mjd
        return BatchImage(source, photcode, image_id, self.options.radius_arcsec, mjd, parent_id)

    def _refuse(self, source: InputImage, known: ImageRow | None) -> None:
        name = source.meta.name
        if known is None:
            raise DuplicateImageError(
                f"image {name} is given twice with different content; give one of them"
            )
        if not self.options.replace:
            raise DuplicateImageError(
                f"image {name} is in the database with other content "
                f"({known.content}, not {source.meta.content}); to replace it use --replace"
            )
        self._replaced.append(known.image_id)
        self.report.n_replaced += 1

    def _number(self) -> int:
        self._next_image += 1
        return self._next_image - 1

    def _parent(self, meta: ImageMeta) -> int:
        """Number of the focal plane of an exposure, giving it one if it is new."""
        identity = f"plane:{meta.name}"
        if identity in self._known_parents:
            return self._known_parents[identity]
        known = self.store.manifest.image(self.view.snapshot.id, identity)
        if known is not None and known.content == meta.content:
            number = known.image_id
        else:
            if known is not None:
                self._replaced.append(known.image_id)
            number = self._number()
            self._parents[identity] = (number, meta)
        self._known_parents[identity] = number
        return number

    # ---- what comes out

    def commit(self, images: list[BatchImage]) -> None:
        """Associate, write and commit a batch."""
        batch = Batch(images)
        kinds = _kinds(batch)
        with self.store.begin("addstar", self._log_params(images), self.view) as change:
            if self._replaced:
                self.view = remove_images(change, self.view, self._replaced)
                self.objects = ObjectSet(self.view)
            objects = self.objects
            found = associate_batch(
                batch, objects, self.view, one_to_one=self.options.one_to_one, kinds=kinds
            )
            has_motion = add_motions(batch, found, objects)
            means = add_means(batch, found, objects, self.view.photcodes, kinds)
            self._count_measures(found.objects)
            table, groups = group_measures(batch, found, objects)
            if batch.n:
                change.add_rows(table, groups.regions, groups.edges)
                self._write_objects(change, found, groups, means, kinds, has_motion)
            self._write_images(change, images)
            change.set_catalogs(changed_catalogs(groups, objects))
            self._write_meta(change, found.pad_deg, has_motion, images)
            change.commit()
        self.report.n_images += sum(i.meta is not None for i in images)
        self.report.n_detections += batch.n
        new = objects.n - found.n_known
        self.report.n_new += new
        self.report.n_matched += batch.n - new
        self.report.n_commits += 1
        self._forget_batch()
        at_least = self.options.compact_parts
        n_compacted = compact_busy(self.store, at_least=at_least) if at_least else 0
        self.view = self.store.view()
        if n_compacted or self.objects.n > _MOST_OBJECTS:
            # Compaction put rows in another order: load them anew when they are needed.
            self.objects = ObjectSet(self.view)
        else:
            self.objects.follow(self.view)

    def _forget_batch(self) -> None:
        self._parents.clear()
        self._known_parents.clear()
        self._this_batch.clear()
        self._identities.clear()
        self._replaced.clear()

    def _count_measures(self, objects: Array) -> None:
        n = np.bincount(objects, minlength=self.objects.n).astype(np.uint32)
        self.objects.n_measure[: self.objects.n] += n

    def _write_objects(
        self,
        change: Transaction,
        found: Associated,
        groups: Grouped,
        means: Array,
        kinds: list[str],
        has_motion: bool,
    ) -> None:
        """Write what changed of the objects that got measures, and of their means."""
        objects = self.objects
        of = found.objects[groups.order]
        # The measures of an object lie together: its first one stands for it.
        is_first = np.empty(len(of), np.bool_)
        is_first[:1] = True
        np.not_equal(of[1:], of[:-1], out=is_first[1:])
        rows = of[is_first].astype(np.int64)
        edges = np.concatenate([[0], np.cumsum(is_first)])[groups.edges]
        is_new = rows >= found.n_known
        for label, mask in (("", is_new), ("u", ~is_new)):
            picked = rows[mask]
            if len(picked):
                patch = objects.average_patch(picked, with_ids=not label, with_motion=has_motion)
                some = np.concatenate([[0], np.cumsum(mask)])[edges]
                change.patch_rows(objects.ave_ref[picked], patch, groups.regions, some, label=label)
        i, k = kernels.true_pairs(rows, means)
        if len(i) == 0:
            return
        n = objects.n_secfilt
        table = objects.secfilt_patch(rows[i] * n + k, kinds)
        place = objects.ave_ref[rows[i]] * n + k
        change.patch_rows(place, table, groups.regions, np.searchsorted(i, edges))

    def _write_images(self, change: Transaction, images: list[BatchImage]) -> None:
        rows = image_rows(images, self._parents)
        if len(rows):
            change.put_global(rows, "Images", replace_all=False)
        known = [
            ImageRow(
                i.image_id if i.meta is not None else -i.image_id,
                self._identities[i.image_id],
                i.source.meta.content,
            )
            for i in images
        ]
        known += [ImageRow(n, key, m.content) for key, (n, m) in self._parents.items()]
        n_more = sum(i.meta is not None for i in images)
        change.set_images(known, n_more=n_more)
        change.set_meta("last_image", str(self._next_image - 1))

    def _write_meta(
        self, change: Transaction, pad_deg: float, has_motion: bool, images: list[BatchImage]
    ) -> None:
        meta = self.store.manifest.meta
        if pad_deg > float(meta.get("pad_deg", "0")):
            change.set_meta("pad_deg", repr(pad_deg))
        if has_motion:
            speed = np.hypot(self.objects.motion["u_ra"], self.objects.motion["u_dec"])
            fastest = float(np.nanmax(speed[: self.objects.n]))
            times = [(i.match_mjd - MJD_1970) * 86400.0 for i in images]
            first, last = min(times), max(times)
            if "max_motion_arcsec_yr" in meta:
                fastest = max(fastest, float(meta["max_motion_arcsec_yr"]))
                first = min(first, float(meta["first_motion_epoch_s"]))
                last = max(last, float(meta["last_motion_epoch_s"]))
            change.set_meta("max_motion_arcsec_yr", repr(fastest))
            change.set_meta("first_motion_epoch_s", repr(first))
            change.set_meta("last_motion_epoch_s", repr(last))

    def _log_params(self, images: list[BatchImage]) -> dict[str, Any]:
        inputs = [[i.source.meta.name, i.source.meta.content] for i in images]
        return self.params | {"radius_arcsec": self.options.radius_arcsec, "images": inputs}


def _kinds(batch: Batch) -> list[str]:
    names = batch.names
    found = {"psf": "mag", "ap": "m_aper", "kron": "m_kron"}
    return [kind for kind, column in found.items() if column in names]


def _identity(meta: Any) -> str:
    """What an image is known by: its number in the system it came from, or its name."""
    if not isinstance(meta, ImageMeta):
        return f"ref:{meta.photcode}:{meta.name}"
    if meta.extern_id is not None:
        return f"extern:{meta.source_id}:{meta.extern_id}"
    return f"name:{meta.name}"
