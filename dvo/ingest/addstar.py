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
from typing import Any

from numpy.typing import NDArray

from dvo.errors import BadCatalogError, DuplicateImageError
from dvo.ingest.add_batch import Added, add_batch
from dvo.ingest.add_elsewhere import add_elsewhere
from dvo.ingest.admission import Admission, Admitted
from dvo.ingest.batch import Batch
from dvo.ingest.detections import InputImage, RefSource
from dvo.ingest.image_rows import ImageNames, image_rows
from dvo.ingest.objects import ObjectSet
from dvo.ingest.removal import remove_images
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.ingest.sources import Source
from dvo.partition.compact import compact_busy
from dvo.partition.manifest import ImageRow
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Runner

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
    engine: Runner | None = None,
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
    engine : Runner, optional
        Where detections are associated, and rows written and compacted; None for the threads
        of this process, which also do the batches that replace images.
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
    run = _Run(store, options, params or {}, engine)
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

    def __init__(
        self,
        store: Store,
        options: AddstarOptions,
        params: dict[str, Any],
        engine: Runner | None,
    ) -> None:
        self.store = store
        self.engine = engine
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
        n_before = self.view.snapshot.counts["measures"]
        with self.store.begin("addstar", self._log_params(admitted), self.view) as change:
            if admitted.replaced:
                self.view = remove_images(change, self.view, admitted.replaced)
                self.objects = ObjectSet(self.view)
            added = self._add(change, admitted)
            self._write_images(change, admitted)
            change.commit()
        self._count(admitted, added)
        self._follow_up()
        n_after = self.view.snapshot.counts["measures"]
        self.report.n_removed += n_before + added.n_measures - n_after

    def _add(self, change: Transaction, admitted: Admitted) -> Added:
        """Add the detections of a batch, here or where the engine works."""
        one_to_one = self.options.one_to_one
        # What is left after images were taken out is known to this process alone.
        if self.engine is not None and not admitted.replaced:
            return add_elsewhere(change, admitted.images, one_to_one=one_to_one, engine=self.engine)
        return add_batch(
            change, self.view, self.objects, Batch(admitted.images),
            one_to_one=one_to_one, may_rewrite=not admitted.replaced,
        )  # fmt: skip

    def _count(self, admitted: Admitted, added: Added) -> None:
        report = self.report
        n_detections = sum(len(i.source.detections) for i in admitted.images)
        report.n_images += sum(i.meta is not None for i in admitted.images)
        report.n_detections += n_detections
        report.n_new += added.n_new
        report.n_matched += n_detections - added.n_new
        report.n_measures += added.n_measures
        report.n_commits += 1
        for name, n in added.n_satellites.items():
            report.n_satellites[name] = report.n_satellites.get(name, 0) + n
        for name, n in (+added.n_lost).items():
            reason = f"rows of {name} whose detection is not in"
            report.n_dropped[reason] = report.n_dropped.get(reason, 0) + n

    def _follow_up(self) -> None:
        """Compact what has become slow to read, and go on from the newest snapshot."""
        at_least = self.options.compact_parts
        n_compacted = 0
        if at_least:
            n_compacted = compact_busy(self.store, at_least=at_least, engine=self.engine)
        self.view = self.store.view()
        if n_compacted or self.engine is not None:
            # Rows are in another order, or others have added some: load them when needed.
            self.objects = ObjectSet(self.view)
        else:
            self.objects.follow(self.view)
            self.objects.shed(_MOST_BYTES)

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
