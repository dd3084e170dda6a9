"""Check: does a database keep its own rules?

The quick check asks the manifest and the names and sizes of files. The deep one reads:
digests and FITS sums of all files, the tables of every region, and identifiers over the
whole database. Nothing is written and no lock is taken; one snapshot is looked at, while
others may write newer ones.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import (
    FormatVersionError,
    NotACatdirError,
    StorageError,
    UnknownSnapshotError,
)
from dvo.ids import pack_id, unpack_id
from dvo.partition import layout
from dvo.partition.catalog_batch import CatalogBatch, read_batch
from dvo.partition.catalog_rules import find_catalog_faults
from dvo.partition.faults import CheckReport, Fault, FaultKind
from dvo.partition.file_rules import find_content_faults, find_record_faults, find_size_faults
from dvo.partition.image_rules import ImageRules
from dvo.partition.link_rules import find_link_faults, find_lost_measures
from dvo.partition.manifest import FileRow
from dvo.partition.part_rules import find_part_faults
from dvo.partition.region_batches import region_batches
from dvo.partition.repeats import RepeatFinder
from dvo.partition.satellite_rules import find_satellite_faults
from dvo.partition.sky_file import is_sky_file_of
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.fits import verify
from dvo.tables.measure import MEASURE

__all__ = ["CheckReport", "Fault", "check"]

U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_CACHE_BYTES = 1 << 28
_REPEATS_SHOWN = 5


def check(
    where: Store | str | os.PathLike[str],
    *,
    snapshot: SnapshotName | None = None,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Check a database.

    Parameters
    ----------
    where : Store or path
        An open database, or its folder.
    snapshot : int, str or datetime, optional
        State whose tables are looked at: number, tag or time; None for the newest.
    deep : bool
        Whether to read all files, not only their names and sizes.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    CheckReport
        What was found.

    Raises
    ------
    NotACatdirError
        If the folder holds no database, nor the records of one.
    UnknownSnapshotError
        If there is no such snapshot.
    """
    if isinstance(where, Store):
        return _Checker(where).run(snapshot, deep=deep, progress=progress)
    try:
        with Store(where, cache_bytes=_CACHE_BYTES) as store:
            return _Checker(store).run(snapshot, deep=deep, progress=progress)
    except (FormatVersionError, UnknownSnapshotError):
        raise
    except NotACatdirError as err:
        if not any(Path(where, layout.LOG).glob("*.fits")):
            raise
        return _without_manifest(Path(where), err)
    except StorageError as err:
        return _without_manifest(Path(where), err)


def _without_manifest(catdir: Path, err: StorageError) -> CheckReport:
    return CheckReport([_manifest_fault(catdir, _first_clause(err))])


def _manifest_fault(catdir: Path, message: str) -> Fault:
    remedy = f"make it anew with: dvo check {catdir} --rebuild"
    return Fault(FaultKind.MANIFEST, message, layout.MANIFEST, remedy=remedy)


def _first_clause(err: Exception) -> str:
    return re.split(r"; (?:try|make)", str(err))[0]


class _Checker:
    """A check of one snapshot."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.report = CheckReport()

    def run(
        self,
        snapshot: SnapshotName | None,
        *,
        deep: bool,
        progress: Callable[[int, int], None] | None,
    ) -> CheckReport:
        # Listed first: what a commit adds meanwhile is no orphan.
        listed = layout.data_files(self.store.catdir)
        self._add(
            _manifest_fault(self.store.catdir, line) for line in self.store.manifest.find_damage()
        )
        if self.report.faults:
            return self.report
        view = self.store.view(snapshot)
        self.report.snapshot = view.snapshot.id
        self._check_counts(view)
        files = self.store.manifest.files()
        self._check_numbers(view)
        bad = self._check_files(files, deep=deep)
        self._check_records(view, deep=deep)
        self._note_orphans(listed)
        if deep:
            self._check_tables(view, bad, progress)
        self.report.counts |= {"files": len(files), "bytes": sum(f.n_bytes for f in files)}
        return self.report

    def _add(self, faults: Iterable[Fault]) -> None:
        self.report.faults += faults

    # ---- quick

    def _check_counts(self, view: View) -> None:
        rows = self.store.manifest.catalogs(view.snapshot.id)
        images = self.store.manifest.images(view.snapshot.id)
        counts = view.snapshot.counts
        found = {
            "objects": sum(r.n_average for r in rows),
            "measures": sum(r.n_measure for r in rows),
            "catalogs": sum(r.n_average > 0 for r in rows),
        }
        self.report.counts |= found | {"images": counts.get("images", 0)}
        for name, n in found.items():
            if counts.get(name) != n:
                self._add([Fault(FaultKind.COUNTS, f"snapshot {view.snapshot.id} counts "
                                 f"{counts.get(name)} {name}, its catalogs have {n}",
                                 layout.MANIFEST)])  # fmt: skip
        # Focal planes are known too, so there may be more of them than images.
        if len(images) < counts.get("images", 0):
            self._add([Fault(FaultKind.COUNTS, f"snapshot {view.snapshot.id} counts "
                             f"{counts['images']} images, {len(images)} are known",
                             layout.MANIFEST)])  # fmt: skip

    def _check_numbers(self, view: View) -> None:
        """Numbers that are never given twice, and the partition that says where rows are."""
        for key, last, used in self.store.manifest.last_numbers():
            if last < used:
                self._add([Fault(FaultKind.NUMBERS, f"{key} is {last}, but {used} is in use: what "
                                 "comes next would be given its number",
                                 layout.MANIFEST)])  # fmt: skip
        regions = np.array(view.regions(), np.int64)
        wrong = regions[~view.partition.is_leaf(regions)]
        if len(wrong):
            name = view.sky.names(wrong[:1])[0]
            self._add([Fault(FaultKind.LEVEL, f"{len(wrong)} regions with rows are none of the "
                             f"partition (level {view.partition.level}, "
                             f"{len(view.partition.splits)} regions split), such as {name}",
                             layout.MANIFEST)])  # fmt: skip

    def _check_files(self, files: list[FileRow], *, deep: bool) -> set[str]:
        """Look at all files; gives those with faults."""
        db_id, catdir = self.store.db_id, self.store.catdir

        def look(file: FileRow) -> list[Fault]:
            found = find_size_faults(catdir, file)
            if deep and not found:
                found = find_content_faults(catdir, file, db_id)
            return found

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = [fault for faults in pool.map(look, files) for fault in faults]
        if found:
            # A vacuum may have taken files away since they were listed.
            still = {f.path for f in self.store.manifest.files()}
            found = [fault for fault in found if fault.path in still]
        self._add(found)
        return {fault.path for fault in found}

    def _check_records(self, view: View, *, deep: bool) -> None:
        base = ""
        for snapshot in self.store.manifest.log():
            self._add(find_record_faults(self.store.catdir, snapshot, base, self.store.db_id,
                                         deep=deep))  # fmt: skip
            base = snapshot.token
        sky = self.store.catdir / layout.SKY_TABLE
        if not sky.is_file():
            self.report.notes.append(f"{layout.SKY_TABLE}: is missing; dvo does without it")
        elif deep:
            try:
                verify(sky)
                if not is_sky_file_of(self.store.catdir, view.partition):
                    self.report.notes.append(
                        f"{layout.SKY_TABLE}: is of another partition than the newest snapshot; "
                        "the next command that changes the database writes it anew"
                    )
            except StorageError as err:
                self.report.notes.append(f"{err}; dvo does without it")

    def _note_orphans(self, listed: list[str]) -> None:
        known = self.store.known_paths() | set(self.store.manifest.pending())
        orphans = [path for path in listed if path not in known]
        shown = ", ".join(orphans[:3]) + (", ..." if len(orphans) > 3 else "")
        if orphans:
            self.report.notes.append(
                f"{len(orphans)} files belong to no snapshot ({shown}): a commit was cut short; "
                "dvo vacuum removes them"
            )

    # ---- deep

    def _check_tables(
        self, view: View, bad: set[str], progress: Callable[[int, int], None] | None
    ) -> None:
        try:
            images = ImageRules(view, self.store.manifest.images(view.snapshot.id))
            self._add(images.find_faults())
        except StorageError as err:
            self._add_unread(err, bad)
            return
        with ExitStack() as stack:
            repeats = {what: stack.enter_context(RepeatFinder()) for what in _NUMBERS}
            regions, done = view.regions(), 0
            is_whole = True
            for some, read in _read_ahead(view, regions):
                is_whole &= self._check_regions(view, some, read, bad, images, repeats)
                done += len(some)
                if progress is not None:
                    progress(done, len(regions))
            for what, finder in repeats.items():
                self._add_repeats(view, what, finder.find())
            if is_whole:
                self._add(images.find_wrong_counts())

    def _check_regions(
        self,
        view: View,
        regions: list[int],
        read: Callable[[], _Read],
        bad: set[str],
        images: ImageRules,
        repeats: dict[str, RepeatFinder],
    ) -> bool:
        """Check the tables of some regions; tells whether all of them could be read."""
        try:
            faults, batch = read()
        except UnknownSnapshotError:
            raise
        except StorageError as err:
            if len(regions) > 1:
                # One damaged file must not keep the others from being looked at.
                each = [
                    self._check_regions(view, [r], partial(_read, view, [r]), bad, images, repeats)
                    for r in regions
                ]
                return all(each)
            self._add_unread(err, bad, view.sky.region(regions[0]).name)
            return False
        self._add(faults)
        if batch is not None:
            self._check_batch(batch, images, repeats)
        return not faults

    def _check_batch(
        self, batch: CatalogBatch, images: ImageRules, repeats: dict[str, RepeatFinder]
    ) -> None:
        lost = list(find_lost_measures(batch))
        # What measures say of objects that are not there could not be followed.
        self._add(lost or find_link_faults(batch))
        self._add(find_catalog_faults(batch, images.times))
        self._add(images.count(batch))
        self._add(find_satellite_faults(batch, images))
        for what, numbers_of in _NUMBERS.items():
            numbers, is_one = numbers_of(batch)
            repeats[what].add(numbers if is_one.all() else numbers[is_one])

    def _add_unread(self, err: StorageError, bad: set[str], name: str = "") -> None:
        # A damaged file is named once, not again for every region with rows in it.
        if not any(path in str(err) for path in bad):
            self._add([Fault(FaultKind.UNREAD, _first_clause(err), region=name)])

    def _add_repeats(self, view: View, what: str, repeats: U64) -> None:
        if len(repeats) == 0:
            return
        shown = repeats[:_REPEATS_SHOWN]
        for number in shown:
            self._add([_locate(view, what, number, len(repeats))])


_Read = tuple[list[Fault], CatalogBatch | None]


def _read(view: View, regions: list[int]) -> _Read:
    """Faults of the parts of some regions, and the tables of those whose parts fit together."""
    found = list(find_part_faults(view, regions))
    unfit = {region for region, _ in found}
    fit = [region for region in regions if region not in unfit]
    return [fault for _, fault in found], read_batch(view, fit) if fit else None


def _read_ahead(view: View, regions: list[int]) -> Iterator[tuple[list[int], Callable[[], _Read]]]:
    """Batches of regions, each with what gives its tables; read while those before are checked."""
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[tuple[list[int], Future[_Read]]] = deque()
        for some in region_batches(view, regions):
            waiting.append((some, reader.submit(_read, view, some)))
            if len(waiting) > 1:
                first, read = waiting.popleft()
                yield first, read.result
        for last, read in waiting:
            yield last, read.result


def _objects(batch: CatalogBatch) -> tuple[U64, Bool]:
    a = batch.average
    return pack_id(a["cat_id"], a["obj_id"]), np.ones(len(a), np.bool_)


def _public_objects(batch: CatalogBatch) -> tuple[U64, Bool]:
    return batch.average["ext_id"], np.ones(len(batch.average), np.bool_)


def _detections(batch: CatalogBatch) -> tuple[U64, Bool]:
    m = batch.measure
    return pack_id(m["image_id"], m["det_id"]), m["image_id"] > 0


_NUMBERS: dict[str, Callable[[CatalogBatch], tuple[U64, Bool]]] = {
    "object": _objects,
    "public object id": _public_objects,
    "detection": _detections,
}
"""Numbers that are there once in the whole database, with the rows that have one."""


def _locate(view: View, what: str, number: np.uint64, n_repeats: int) -> Fault:
    """Find where a number that should be there once is twice."""
    places: list[Fault] = []
    schema, kind = AVERAGE, FaultKind.REPEATED_OBJECT
    if what == "detection":
        schema, kind = MEASURE, FaultKind.REPEATED_DETECTION
    text = f"{int(number)}"
    if what != "public object id":
        high, low = (int(part) for part in unpack_id(number))
        text = f"({high}, {low})"
    for some in region_batches(view, view.regions()):
        batch = read_batch(view, some)
        numbers, is_one = _NUMBERS[what](batch)
        for row in np.flatnonzero((numbers == number) & is_one):
            places += batch.faults(kind, schema, np.array([row]), lambda _: "")
        if len(places) > 1:
            break
    also = f" and in region {places[1].region}, row {places[1].row}" if len(places) > 1 else ""
    return replace(
        places[0], message=f"{what} {text} is here{also}; {n_repeats} {what}s are there twice"
    )
