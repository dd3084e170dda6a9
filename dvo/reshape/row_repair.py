"""The rows and counts of a database mended where others say what they have to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvo.errors import StorageError
from dvo.ids import pack_id
from dvo.ingest.image_rows import add_to_nstar
from dvo.ingest.replay import Replay
from dvo.ingest.whole_catalogs import (
    WholeCatalogs,
    read_catalogs,
    sorted_catalogs,
    write_catalogs,
)
from dvo.partition.catalog_batch import read_batch
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.image_rules import ImageRules
from dvo.partition.manifest import ALL_SKY, CatalogRow
from dvo.partition.moving import moving_reach
from dvo.partition.part_rules import count_rows, find_part_faults
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.reshape.row_mends import FaultRows, Mending, find_fault_rows
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE

__all__ = ["RowRepair"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Done = Counter[FaultKind]

# Faults of measures by which nstar cannot be told any more.
_UNCOUNTABLE = {FaultKind.FILE, FaultKind.UNREAD, FaultKind.ROWS, FaultKind.PARTS, FaultKind.SOURCE}


class RowRepair:
    """One pass over all regions.

    Parameters
    ----------
    store : Store
        Open for writing.
    faults : sequence of Fault
        What the check found.
    progress : callable or None
        Called with regions done and regions in all.
    """

    def __init__(
        self,
        store: Store,
        faults: Sequence[Fault],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.store, self.faults, self.progress = store, faults, progress
        self.kinds = {fault.kind for fault in faults}
        self.done: Done = Counter()
        self.view = store.view()
        self.rows: dict[int, CatalogRow] = {}  # catalogs with other counts than before
        self.per_image = np.zeros(1, np.int64)
        self.is_whole = True

    def run(self) -> Done:
        """Mend; gives the rows mended, none if no commit was made."""
        regions = self.view.regions()
        spoilt = self._recount_parts(regions)
        try:
            self.images = ImageRules(self.view, self.store.manifest.images(self.view.snapshot.id))
            self.replay = Replay.of(self.view)
        except StorageError:
            return self.done
        taken = self._ids_of_lost() if FaultKind.LOST in self.kinds else {}
        rewritten = self._regions_of_files(FaultKind.TILE_INDEX)
        with self.store.begin("repair", {}, self.store.view()) as change:
            n_done = 0
            for label, some in enumerate(region_batches(self.view, regions)):
                fit = [r for r in some if spoilt.get(r) is None]
                self._mend_some(change, fit, rewritten, taken, f"b{label}")
                for region in sorted(set(some) - set(fit)):
                    self._mend_spoilt(change, region, spoilt[region], f"s{region}")
                n_done += len(some)
                if self.progress is not None:
                    self.progress(n_done, len(regions))
            self._mend_counts(change)
            if self.done:
                change.commit(mended={kind.value: n for kind, n in sorted(self.done.items())})
        return self.done

    # ---- what the manifest says of parts

    def _recount_parts(self, regions: list[int]) -> dict[int, FaultKind]:
        """Count the rows of regions whose parts do not fit; gives why they do not."""
        spoilt: dict[int, FaultKind] = {}
        if not self.kinds & {FaultKind.ROWS, FaultKind.FILTER_ROWS, FaultKind.PARTS}:
            return spoilt
        for some in region_batches(self.view, regions):
            for region, fault in find_part_faults(self.view, some):
                if spoilt.get(region) is not FaultKind.PARTS:
                    spoilt[region] = max(spoilt.get(region, fault.kind), fault.kind, key=_weight)
        wrong = sorted(r for r, kind in spoilt.items() if kind is not FaultKind.PARTS)
        counted = count_rows(self.view, wrong)
        self.rows |= {row.region: row for row in counted}
        self.view = self.view.changed({}, counted)
        return spoilt

    def _mend_spoilt(self, change: Transaction, region: int, kind: FaultKind, label: str) -> None:
        """Write a region anew, so that its rows are counted; means, if they do not fit."""
        if kind is FaultKind.PARTS:
            self.is_whole = False
            return
        try:
            found = read_catalogs(self.view, [region], with_secfilt=kind is FaultKind.ROWS)
        except StorageError:
            self.is_whole = False
            return
        if len(found.measure) and int(found.measure["ave_ref"].max()) >= len(found.average):
            self.is_whole = False  # there are rows that nothing else tells of
            return
        if kind is FaultKind.FILTER_ROWS:
            batch = FaultRows.empty(self.view, [region])
            mending = Mending(found, batch, self.replay, self.view.photcodes)
            mending.redo_means(all_magnitudes=True)
            found = mending.found
        self.done[kind] += 1
        self._write(change, found, label)

    # ---- rows

    def _mend_some(
        self,
        change: Transaction,
        regions: list[int],
        rewritten: set[int],
        taken: dict[int, NDArray[np.uint64]],
        label: str,
    ) -> None:
        if not regions:
            return
        try:
            batch = read_batch(self.view, regions)
            faults = find_fault_rows(batch, self.images)
            lost = np.unique(faults.regions_of(MEASURE, np.flatnonzero(faults.is_lost)))
            if len(regions) > 1 and len(lost):
                # A region whose measures cannot be linked must not keep others from it.
                for k, region in enumerate(regions):
                    self._mend_some(change, [region], rewritten, taken, f"{label}.{k}")
                return
            self._mend_batch(change, faults, regions, rewritten, taken, label)
        except StorageError:
            if len(regions) == 1:
                self.is_whole = False
                return
            for k, region in enumerate(regions):
                self._mend_some(change, [region], rewritten, taken, f"{label}.{k}")

    def _mend_batch(
        self,
        change: Transaction,
        faults: FaultRows,
        regions: list[int],
        rewritten: set[int],
        taken: dict[int, NDArray[np.uint64]],
        label: str,
    ) -> None:
        forced = np.isin(regions, sorted(rewritten))
        is_repeated = FaultKind.REPEATED_DETECTION in self.kinds
        if not faults.rows_of and not forced.any() and not is_repeated:
            self._count_images(faults.measure["image_id"])
            return
        found = read_catalogs(self.view, regions)
        mending = Mending(found, faults, self.replay, self.view.photcodes)
        elsewhere = taken.get(regions[0], np.empty(0, np.uint64))
        if not mending.find_objects(self._limits(faults), elsewhere):
            self.is_whole = False
            return
        mending.choose_links()
        if is_repeated:
            mending.drop_repeats()
        mending.redo_means()
        self.done += mending.done
        self.done[FaultKind.TILE_INDEX] += int(np.count_nonzero(forced))
        self.done = +self.done
        found = mending.found
        if faults.of(FaultKind.REACH, AVERAGE).size or mending.done[FaultKind.MOTION]:
            change.widen(moving_reach(found.average))
            self.done[FaultKind.REACH] += len(faults.of(FaultKind.REACH, AVERAGE))
        self._set_next_ids(change, faults, found)
        self._count_images(found.measure["image_id"])
        touched = mending.touched | forced
        if touched.any():
            change.wait()  # for the batch before: what is held in memory stays bounded
            self._write(change, found.of_regions(touched), label)

    def _write(self, change: Transaction, found: WholeCatalogs, label: str) -> None:
        write_catalogs(change, sorted_catalogs(found), label=label, is_sorted=True)
        for region, objects, measures in zip(
            found.regions, np.diff(found.edges).tolist(), np.diff(found.runs).tolist(), strict=True
        ):
            row = self.rows.get(region, self.view.catalog(region))
            self.rows[region] = replace(row, n_average=objects, n_measure=measures, is_sorted=True)
            change.set_catalogs([self.rows[region]])

    def _limits(self, faults: FaultRows) -> dict[int, int]:
        """Number of the next object of the catalogs that lost measures name."""
        cats = np.unique(faults.measure["cat_id"][faults.is_lost]).tolist()
        return {cat: self.view.catalog(cat).next_obj_id for cat in cats}

    def _ids_of_lost(self) -> dict[int, NDArray[np.uint64]]:
        """By region: ids of its lost measures that objects of other regions have."""
        wanted: dict[int, NDArray[np.uint64]] = {}
        lost_in = {fault.region for fault in self.faults if fault.kind is FaultKind.LOST}
        regions = self.view.regions()
        for some in region_batches(self.view, regions):
            for region, name in zip(some, self.view.sky.names(some), strict=True):
                if name in lost_in:
                    m = self.view.read(MEASURE, region, ["cat_id", "obj_id", "ave_ref"])
                    m = m.take(m["ave_ref"] >= self.view.catalog(region).n_average)
                    wanted[region] = np.unique(pack_id(m["cat_id"], m["obj_id"]))
        out: dict[int, NDArray[np.uint64]] = {r: np.empty(0, np.uint64) for r in wanted}
        for some in region_batches(self.view, regions):
            table, edges = self.view.read_many(AVERAGE, some, ["cat_id", "obj_id"])
            ids = pack_id(table["cat_id"], table["obj_id"])
            for region, mine in wanted.items():
                hits = np.flatnonzero(np.isin(ids, mine))
                at = np.searchsorted(edges, hits, side="right") - 1
                elsewhere = hits[np.array(some)[at] != region]
                out[region] = np.union1d(out[region], ids[elsewhere])
        return out

    # ---- counts

    def _count_images(self, image_ids: NDArray[np.uint32]) -> None:
        counts = np.bincount(image_ids, minlength=len(self.per_image))
        counts[: len(self.per_image)] += self.per_image
        self.per_image = counts

    def _set_next_ids(self, change: Transaction, faults: FaultRows, found: WholeCatalogs) -> None:
        rows = faults.of(FaultKind.NEXT_ID, AVERAGE)
        places = np.unique(np.searchsorted(faults.edges, rows, side="right") - 1)
        for k in places.tolist():
            region = found.regions[k]
            average = found.average.take(slice(int(found.edges[k]), int(found.edges[k + 1])))
            own = average["obj_id"][average["cat_id"] == region]
            row = self.rows.get(region, self.view.catalog(region))
            self.rows[region] = replace(row, next_obj_id=int(own.max()) + 1)
            change.set_catalogs([self.rows[region]])
            self.done[FaultKind.NEXT_ID] += 1

    def _mend_counts(self, change: Transaction) -> None:
        """Count the measures of images, and what the snapshot has."""
        images = self.view.read(IMAGE, ALL_SKY, ["image_id", "nstar", "photcode"])
        n_images = int(np.count_nonzero(images["photcode"]))
        if self.is_whole and not self.kinds & _UNCOUNTABLE:
            ids = images["image_id"].astype(np.int64)
            found = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
            n = min(len(found), len(self.per_image))
            found[:n] = self.per_image[:n]
            stated = np.zeros(len(found), np.int64)
            stated[ids] = images["nstar"]
            more = np.where(np.isin(np.arange(len(found)), ids), found - stated, 0)
            if more.any():
                add_to_nstar(change, self.view, more)
                self.done[FaultKind.N_STAR] += int(np.count_nonzero(more))
        rows = {row.region: row for row in self.store.manifest.catalogs(self.view.snapshot.id)}
        rows |= self.rows
        counts = {
            "images": n_images,
            "objects": sum(row.n_average for row in rows.values()),
            "measures": sum(row.n_measure for row in rows.values()),
            "catalogs": sum(row.n_average > 0 for row in rows.values()),
        }
        change.set_counts(counts)
        if FaultKind.COUNTS in self.kinds:
            self.done[FaultKind.COUNTS] += 1
        self.done = +self.done

    def _regions_of_files(self, kind: FaultKind) -> set[int]:
        """Regions with rows in the files that a kind of fault names."""
        paths = {fault.path for fault in self.faults if fault.kind is kind}
        if not paths:
            return set()
        parts = self.store.manifest.part_table(self.view.snapshot.id)
        wanted = [n for n, file in parts.rows_of_files.items() if file.path in paths]
        found = parts.regions[np.isin(parts.files, np.array(wanted, np.int64))]
        return set(np.unique(found[found >= 0]).tolist())


def _weight(kind: FaultKind) -> int:
    """Which of several faults of a region tells what has to be done."""
    return (FaultKind.ROWS, FaultKind.FILTER_ROWS, FaultKind.PARTS).index(kind)
