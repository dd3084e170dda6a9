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
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, DuplicateImageError
from dvo.ingest import kernels
from dvo.ingest.admission import Admission, Admitted
from dvo.ingest.associate import Associated, associate_batch
from dvo.ingest.bands import Spread, spread_bands
from dvo.ingest.batch import Batch
from dvo.ingest.detections import InputImage, RefSource
from dvo.ingest.image_rows import ImageNames, image_rows
from dvo.ingest.limits import widen_motion, widen_pad
from dvo.ingest.measures import (
    add_means,
    add_motions,
    changed_catalogs,
    measure_rows,
)
from dvo.ingest.object_rows import write_objects
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.ingest.removal import remove_images
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.ingest.satellite_rows import add_satellites
from dvo.ingest.satellites.link import has_satellites, linked_rows
from dvo.ingest.sources import Source
from dvo.partition.compact import compact_busy
from dvo.partition.manifest import ImageRow
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.lensing import LENSING

__all__ = ["AddstarOptions", "AddstarReport", "addstar"]

log = logging.getLogger(__name__)

Array = NDArray[Any]
_KEPT = "objects of addstar"
_READ_AHEAD = 4
_MOST_BYTES = 512 * 2**20  # of objects kept in memory from batch to batch


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
        If a file is malformed, unless such files are to be left out; batches committed
        before it stay.
    DuplicateImageError
        If an image is in with other content, unless it is to be replaced.
    """
    began = time.perf_counter()
    run = _Run(store, options, params or {})
    with ThreadPoolExecutor(2, thread_name_prefix="dvo-read") as pool:
        left_out = run.report.left_out if options.skip_bad else None
        for admitted in run.batches(_read_ahead(pool, sources, left_out)):
            run.commit(admitted)
            run.report.seconds = time.perf_counter() - began
            if progress is not None:
                progress(run.report)
    run.report.seconds = time.perf_counter() - began
    store.kept[_KEPT] = (run.view.snapshot.id, run.objects)
    return run.report


def _read_ahead(
    pool: ThreadPoolExecutor, sources: Sequence[Source], left_out: list[str] | None
) -> Iterator[list[InputImage]]:
    """Read files in threads, a few ahead, in order; bad ones stop it or are noted and left out."""
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
            try:
                images = waiting.popleft().result()
            except BadCatalogError as error:
                if left_out is None:
                    raise
                left_out.append(str(error))
                continue
            yield images
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
        self.admission = Admission(store.manifest, options, self.report, ImageNames(self.view))
        # Objects that an earlier run left in memory are good if nothing has changed since;
        # they are taken out, for they are wrong as soon as a batch fails half-way.
        known: tuple[int, ObjectSet] | None = store.kept.pop(_KEPT, None)
        if known is not None and known[0] == self.view.snapshot.id:
            self.objects = known[1]
            self.objects.follow(self.view)
        else:
            self.objects = ObjectSet(self.view)

    def batches(self, files: Iterable[list[InputImage]]) -> Iterator[Admitted]:
        """Gather images that are to be added into batches."""
        return self.admission.batches(files, self.view.photcodes)

    def commit(self, admitted: Admitted) -> None:
        """Associate, write and commit a batch."""
        batch = Batch(admitted.images)
        n_before = self.view.snapshot.counts["measures"]
        with self.store.begin("addstar", self._log_params(admitted), self.view) as change:
            if admitted.replaced:
                self.view = remove_images(change, self.view, admitted.replaced)
                self.objects = ObjectSet(self.view)
            n_added = self.report.n_measures
            n_new = self._add(change, batch, may_rewrite=not admitted.replaced)
            n_added = self.report.n_measures - n_added
            self._write_images(change, admitted)
            change.commit()
        self.report.n_images += sum(i.meta is not None for i in admitted.images)
        self.report.n_detections += batch.n
        self.report.n_new += n_new
        self.report.n_matched += batch.n - n_new
        self.report.n_commits += 1
        self._follow_up()
        n_after = self.view.snapshot.counts["measures"]
        self.report.n_removed += n_before + n_added - n_after

    def _add(self, change: Transaction, batch: Batch, *, may_rewrite: bool) -> int:
        """Give the detections of a batch their objects and write the rows; counts new objects."""
        objects, kinds = self.objects, _kinds(batch)
        found = associate_batch(
            batch, objects, self.view, one_to_one=self.options.one_to_one, kinds=kinds
        )
        has_motion = add_motions(batch, found, objects)
        filters = add_means(batch, found, objects, self.view.photcodes, kinds)
        spread = spread_bands(batch, self.view.photcodes)
        if spread is not None:
            found, filters = spread.objects_of(found), filters.take(spread.entry)
        kernels.count_rows(found.objects, objects.n_measure)
        self.report.n_measures += len(found.objects)
        if batch.n:
            groups = objects.group(found.objects)
            # Gathering the rows is most of the rest; it lets go of the interpreter's lock.
            change.do(partial(self._write_measures, change, batch, found, groups, spread))
            change.do(
                partial(
                    write_objects, change, objects, found, groups, filters,
                    with_motion=has_motion, may_rewrite=may_rewrite,
                )
            )  # fmt: skip
            change.set_catalogs(changed_catalogs(groups, objects))
        if has_satellites(batch):
            self._write_satellites(change, batch, found)
        widen_pad(change, found.pad_deg)
        if has_motion:
            times = np.array([i.match_time_s for i in batch.images])
            widen_motion(change, objects, times)
        return objects.n - found.n_known

    def _follow_up(self) -> None:
        """Compact what has become slow to read, and go on from the newest snapshot."""
        at_least = self.options.compact_parts
        n_compacted = compact_busy(self.store, at_least=at_least) if at_least else 0
        self.view = self.store.view()
        if n_compacted:
            # Compaction put rows in another order: load them anew when they are needed.
            self.objects = ObjectSet(self.view)
        else:
            self.objects.follow(self.view)
            self.objects.shed(_MOST_BYTES)

    def _write_measures(
        self,
        change: Transaction,
        batch: Batch,
        found: Associated,
        groups: Grouped,
        spread: Spread | None,
    ) -> None:
        rows = measure_rows(batch, found, self.objects, groups, spread)
        change.add_rows(rows, groups.regions, groups.edges)

    def _write_satellites(self, change: Transaction, batch: Batch, found: Associated) -> None:
        counts, dropped = self.report.n_satellites, self.report.n_dropped
        for rows in linked_rows(batch, found, self.objects):
            name, regions = rows.table.schema.name, rows.groups.regions
            # LensObj is averaged by the filters of images, which are not stored yet.
            codes = rows.photcodes if name == LENSING.name else None
            add_satellites(
                change, self.view, rows.table, regions, rows.groups.edges, photcodes=codes
            )
            counts[name] = counts.get(name, 0) + len(rows.table)
            if rows.n_lost:
                reason = f"rows of {name} whose detection is not in"
                dropped[reason] = dropped.get(reason, 0) + rows.n_lost

    def _write_images(self, change: Transaction, admitted: Admitted) -> None:
        rows = image_rows(admitted.images, admitted.parents)
        if len(rows):
            change.put_global(rows, "Images", replace_all=False)
        n_more = sum(i.meta is not None for i in admitted.images)
        change.set_images([*admitted.manifest_rows(), *self._other_bands(admitted)], n_more=n_more)
        change.set_meta("last_image", str(self.admission.last_number))

    def _other_bands(self, admitted: Admitted) -> list[ImageRow]:
        """How a catalog is recognised by the photcodes of its bands after the first."""
        rows = []
        for image in admitted.images:
            meta = image.source.meta
            if not isinstance(meta, RefSource):
                continue
            for band in image.source.detections.bands[1:]:
                self.admission.last_number += 1
                number = -self.admission.last_number
                identity = meta.identity(band.photcode)
                if self.store.manifest.image(self.view.snapshot.id, identity) is not None:
                    raise DuplicateImageError(
                        f"reference catalog {meta.name} is in the database with its "
                        f"{band.photcode} already; take its other bands alone (--bands), or roll "
                        "back to before it (dvo log, dvo rollback)"
                    )
                rows.append(ImageRow(number, identity, meta.content, image.match_mjd))
        return rows

    def _log_params(self, admitted: Admitted) -> dict[str, Any]:
        inputs = [[i.source.meta.name, i.source.meta.content] for i in admitted.images]
        return self.params | {"radius_arcsec": self.options.radius_arcsec, "images": inputs}


def _kinds(batch: Batch) -> list[str]:
    names = batch.names
    found = {"psf": "mag", "ap": "m_aper", "kron": "m_kron"}
    return [kind for kind, column in found.items() if column in names]
