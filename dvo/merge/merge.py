"""dvomerge: one database taken into another, in commits that can be gone on with.

A merge makes one commit for each batch of regions; the first also makes photcodes and images
known. Each records how far the merge has got; after a kill the next run goes on there.
Images that the database has are passed over, with their measures: merging again does
nothing, and merging a source that has grown adds what is new.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dvo.errors import ConfigError, UnknownSnapshotError
from dvo.ingest.admission import PLANE
from dvo.ingest.image_rows import ImageNames, add_to_nstar
from dvo.ingest.limits import widen_motion, widen_pad
from dvo.merge.add_elsewhere import add_elsewhere
from dvo.merge.images import ImageMap, image_table, map_images
from dvo.merge.pairs import Matching, find_pairs
from dvo.merge.photcodes import map_photcodes
from dvo.merge.progress import COMMAND, Progress, find_progress, is_undisturbed
from dvo.merge.rows import Added, Translation, add_batch, coming_measures, kinds_of
from dvo.merge.satellites import any_comes
from dvo.merge.selection import Selection
from dvo.merge.soundness import require_sound
from dvo.merge.source import SourceBatch, common_epoch, in_batches, read_batch
from dvo.partition.compact import compact_busy
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Runner
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PHOTCODE

__all__ = ["MergeOptions", "MergeReport", "merge"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MergeOptions:
    """How to merge.

    Parameters
    ----------
    radius_arcsec : float
        Match radius.
    batch_rows : int
        Measures of a commit, about.
    regions : tuple of int or None
        Regions of the source to merge now; None for all. The rest can follow later, but for
        that of a selection.
    selection : Selection or None
        Which rows are to come; None for all. Images of which nothing comes are left out.
    dry_run : bool
        Find out what would come, and change nothing.
    snapshot : int, str or datetime, optional
        State of the source that is taken: number, tag or time; None for the newest. A merge
        that was cut short goes on with the state that it began with.
    compact_parts : int
        Parts of a catalog at which it is compacted at the end; 0 for never.
    """

    radius_arcsec: float = 1.0
    batch_rows: int = 1_000_000
    regions: tuple[int, ...] | None = None
    selection: Selection | None = None
    dry_run: bool = False
    snapshot: SnapshotName | None = None
    compact_parts: int = 24

    def __post_init__(self) -> None:
        if not 0 < self.radius_arcsec < 3600:
            raise ConfigError(f"match radius {self.radius_arcsec} arcsec; give more than 0")


@dataclass(slots=True)
class MergeReport:
    """What a merge did.

    Parameters
    ----------
    n_images : int
        Images that came.
    skipped : int
        Images and reference catalogs of the source that the database has already; like
        `n_images`, without the focal planes of mosaics.
    n_measures : int
        Measures that came.
    n_matched, n_new : int
        Objects that were in the database and got measures, and objects that are new.
    n_commits : int
        Commits.
    n_regions, n_regions_done : int
        Regions of the source, and how many of them have been gone through.
    finished : bool
        Whether all of the source is in.
    seconds : float
        Time taken [s].
    notes : list of str
        What the user should know.
    """

    n_images: int = 0
    skipped: int = 0
    n_measures: int = 0
    n_matched: int = 0
    n_new: int = 0
    n_commits: int = 0
    n_regions: int = 0
    n_regions_done: int = 0
    finished: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return asdict(self)


def merge(
    store: Store,
    source: Store,
    options: MergeOptions,
    *,
    engine: Runner | None = None,
    progress: Callable[[MergeReport], None] | None = None,
) -> MergeReport:
    """Take a database into another.

    Parameters
    ----------
    store : Store
        The database that grows; open for writing.
    source : Store
        The database that is taken in; only read.
    options : MergeOptions
        How.
    engine : Runner, optional
        Where rows are read, averaged and written; None for this process. It has to reach the
        files of both databases.
    progress : callable, optional
        Called with the report after every commit.

    Returns
    -------
    MergeReport
        What was done in this run.

    Raises
    ------
    PhotcodeError
        If a photcode means something else in the source, or a filter is missing.
    DuplicateImageError
        If an image is in the database with other content.
    ConfigError
        If the two are the same database, or the source has gone on in the midst of a merge; or
        if an engine is to make a dry run, or take a selection.
    StorageError
        If a file of the source is damaged or gone; then nothing was taken of it by this run. Or
        if the engine cannot open the source.
    """
    if engine is not None and (options.dry_run or options.selection is not None):
        what = "a dry run, which writes nothing" if options.dry_run else "a selection of rows"
        raise ConfigError(f"engines do not merge {what}; leave the engine out")
    began = time.perf_counter()
    if store.db_id == source.db_id:
        raise ConfigError(f"{source.catdir} is the database {store.catdir} itself, or a copy of it")
    run = _Run(store, source, options, engine)
    batches = run.batches()
    if batches and not options.dry_run:
        require_sound(source.catdir, run.source, [r for regions in batches for r in regions])
    # The next batch is read while one is at work; only this thread reads the source.
    with ThreadPoolExecutor(1, thread_name_prefix="dvo-read") as pool:
        for batch in _read_ahead(pool, run.read, batches):
            run.add(batch)
            run.report.seconds = time.perf_counter() - began
            if progress is not None:
                progress(run.report)
    run.finish()
    run.report.seconds = time.perf_counter() - began
    return run.report


def _read_ahead(
    pool: ThreadPoolExecutor,
    read: Callable[[list[int]], SourceBatch],
    batches: Sequence[list[int]],
) -> Iterator[SourceBatch]:
    """Read batches one ahead of what is asked for, in order."""
    waiting = [pool.submit(read, regions) for regions in batches[:1]]
    for regions in [*batches[1:], None]:
        if not waiting:
            return
        found = waiting.pop().result()
        if regions is not None:
            waiting.append(pool.submit(read, regions))
        yield found


class _Run:
    """One run: the state that lasts from batch to batch."""

    def __init__(
        self, store: Store, source: Store, options: MergeOptions, engine: Runner | None
    ) -> None:
        self.store = store
        self.options = options
        self.engine = engine
        self.source_name = str(source.catdir)
        self.report = MergeReport()
        self.view = store.view()
        state = find_progress(store.manifest.log(), source.db_id)
        is_open = state is not None and not state.finished
        self.source = _open_source(source, state) if is_open else source.view(options.snapshot)
        images = self._map_images(source, state if is_open else None)
        photcodes = map_photcodes(self.view.photcodes, self.source.photcodes, self.source_name)
        self.names = Translation(images, photcodes)
        self.regions = self._extent() if images.comes.any() else []
        self.report.n_regions = len(self.regions)
        if is_open and state is not None:
            self.state = state
        else:
            first = images.last + 1 - len(images.new)
            epoch = common_epoch(self.source, self.view) if self.regions else 0.0
            self.state = Progress(
                source.db_id, self.source.snapshot.id, self.view.snapshot.id, first, images.last,
                epoch,
            )  # fmt: skip
        is_alone = is_undisturbed(store.manifest.log(), self.state)
        base = store.view(self.state.base) if is_alone else None
        numbers = (self.state.first, self.state.last)
        self.rule = Matching(base, numbers, options.radius_arcsec, self.state.epoch)
        # Regions whose objects are no rivals any more, if what they took is passed over.
        self._settled = {r for r in self.regions if self.state.is_done(r)}
        # Photcodes and images come with the first batch.
        self._is_begun = is_open

    def _map_images(self, source: Store, state: Progress | None) -> ImageMap:
        ours = self.store.manifest.images(self.view.snapshot.id)
        theirs = source.manifest.images(self.source.snapshot.id)
        last = int(self.store.manifest.meta.get("last_image", "0"))
        coming = None if state is None else (state.first, state.last)
        names = ImageNames(self.source)
        images = map_images(ours, theirs, last, coming, self.source_name, names)
        if state is None:
            self.report.skipped = _n_without_planes(theirs) - _n_without_planes(images.new)
        self.report.finished = not images.comes.any()
        if self.options.dry_run:
            self.report.n_images = _n_without_planes([r for r in images.new if r.image_id > 0])
        return images

    def _begin(self, change: Transaction, per_image: Any) -> None:
        """Make photcodes and images known."""
        images, photcodes = self.names.images, self.names.photcodes
        if photcodes.n_new:
            columns = {n.lower(): v for n, v in photcodes.table.to_columns().items()}
            change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        rows = image_table(
            self.source, images, photcodes.codes, per_image,
            is_selection=self._is_selection,
        )  # fmt: skip
        if len(rows):
            change.put_global(rows, "Images", replace_all=False)
        n_chips = int(np.count_nonzero(rows["photcode"]))
        change.set_images(images.new, n_more=n_chips)
        change.set_meta("last_image", str(images.last))
        self.report.n_images = n_chips
        self._is_begun = True

    def _extent(self) -> list[int]:
        """Regions of the source that are to be merged, now or later."""
        found = self.source.regions()
        if self.options.selection is None or self.options.regions is None:
            return found
        wanted = set(self.options.regions)
        return [region for region in found if region in wanted]

    def batches(self) -> list[list[int]]:
        """Regions that are to be gone through, in batches."""
        wanted = None if self.options.regions is None else set(self.options.regions)
        left = [
            r for r in self.regions
            if not self.state.is_done(r) and (wanted is None or r in wanted)
        ]  # fmt: skip
        return list(in_batches(self.source, left, self.options.batch_rows))

    def read(self, regions: list[int]) -> SourceBatch:
        """Read a batch of regions of the source."""
        settled = self._settled if self.rule.base is None else set[int]()
        found = read_batch(
            self.source, regions, self.rule.epoch, self.rule.halo_deg, settled,
            is_outline=self.engine is not None,
        )  # fmt: skip
        self._settled.update(regions)
        return found

    def add(self, batch: SourceBatch) -> None:
        """Add a batch of the source, in one commit."""
        coming = coming_measures(batch, self.names)
        if self.options.selection is not None:
            wanted = self.options.selection.measures(
                batch.average, batch.secfilt, batch.measure, self.source.n_secfilt
            )
            coming = coming[wanted[coming]]
        state = self.state.with_regions(batch.regions, self.regions)
        if self.options.dry_run:
            self._count(batch, coming)
        else:
            with self._change() as change:
                added = self._add(change, batch, coming)
                if self._is_begun:
                    add_to_nstar(change, self.view, added.per_image)
                else:
                    self._begin(change, added.per_image)
                change.commit(**state.as_params())
            self.report.n_measures += added.n_measures
            self.report.n_matched += added.n_matched
            self.report.n_new += added.n_new
            self._follow()
        self.state = state
        self.report.n_regions_done += len(batch.regions)
        self.report.finished = state.finished

    def _add(self, change: Transaction, batch: SourceBatch, coming: Any) -> Added:
        if len(coming) == 0 and not self._satellites_come(batch):
            return Added(0, 0, 0, np.zeros(0, np.int64), 0.0, has_motion=False)
        if self.engine is not None:
            return add_elsewhere(
                change, batch, coming, self.names, self.rule, self.source, self.engine
            )
        kinds = kinds_of(batch.measure)
        objects, rows = find_pairs(batch, self.rule, self.view, kinds)
        added = add_batch(
            change, self.view, objects, batch, coming, rows, self.names,
            is_selection=self._is_selection,
        )  # fmt: skip
        widen_pad(change, added.pad_deg)
        if added.has_motion:
            widen_motion(change, objects, np.array([self.rule.epoch]))
        return added

    @property
    def _is_selection(self) -> bool:
        """Whether some rows stay behind."""
        return self.options.selection not in (None, Selection())

    def _satellites_come(self, batch: SourceBatch) -> bool:
        """Whether rows come of images that have no measure here, as rows of Missing may."""
        return not self._is_selection and any_comes(batch.satellites, self.names.images)

    def _count(self, batch: SourceBatch, coming: Any) -> None:
        """Count what a batch would add."""
        wanted = np.unique(batch.measure["ave_ref"][coming])
        if len(wanted):
            _, rows = find_pairs(batch, self.rule, self.view, [])
            self.report.n_matched += int(np.count_nonzero(rows[wanted] >= 0))
            self.report.n_new += int(np.count_nonzero(rows[wanted] < 0))
        self.report.n_measures += len(coming)

    def _change(self) -> Transaction:
        params = {"source": self.source_name, "radius_arcsec": self.options.radius_arcsec}
        return self.store.begin(COMMAND, params, self.view)

    def _follow(self) -> None:
        self.report.n_commits += 1
        self.view = self.store.view()

    def finish(self) -> None:
        """Take in images without any measure; compact what has become slow to read."""
        is_left = not self._is_begun and bool(self.names.images.new)
        if is_left and not self.regions and not self.options.dry_run:
            with self._change() as change:
                self._begin(change, np.zeros(0, np.int64))
                change.commit(**self.state.with_regions([], []).as_params())
            self.report.finished = True
            self._follow()
        if self._is_selection and self.report.finished:
            self._drop_unused_images()
        if self.report.n_commits and self.options.compact_parts:
            at_least = self.options.compact_parts
            compact_busy(self.store, at_least=at_least, engine=self.engine)

    def _drop_unused_images(self) -> None:
        """Leave out images of this merge of which no measure was wanted."""
        images = self.view.read(IMAGE, ALL_SKY)
        ids = images["image_id"].astype(np.int64)
        mine = (ids >= self.state.first) & (ids <= self.state.last)
        used = (images["nstar"] > 0) | (images["photcode"] == 0)
        # A focal plane stays as long as one of its chips does.
        planes = np.isin(ids, images["parent_id"][used & (images["photcode"] != 0)])
        stays = ~mine | (used & ((images["photcode"] != 0) | planes))
        if stays.all():
            return
        gone = ids[~stays].tolist()
        n_chips = int(np.count_nonzero(~stays & (images["photcode"] != 0)))
        with self._change() as change:
            change.put_global(images.take(stays), "Images.kept", replace_all=True)
            change.set_images(dropped=gone, n_more=-n_chips)
            change.commit(**self.state.as_params())
        self.report.n_images -= n_chips
        self._follow()


def _n_without_planes(rows: Sequence[ImageRow]) -> int:
    """Number of images and catalogs, not counting the focal planes of mosaics."""
    return sum(not row.identity.startswith(PLANE) for row in rows)


def _open_source(source: Store, state: Progress | None) -> View:
    """The state of the source that an unfinished merge began with."""
    assert state is not None
    try:
        return source.view(state.snapshot)
    except UnknownSnapshotError as err:
        raise ConfigError(
            f"{source.catdir} was merged in part as of its snapshot {state.snapshot}, which it has "
            f"no longer. Take the database back to before that (dvo rollback CATDIR {state.base}) "
            "and merge again"
        ) from err
