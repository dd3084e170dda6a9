"""The objects near what is being ingested, in memory while a run lasts.

Loaded region by region from the newest snapshot, changed by association, and read back
by nothing: what a batch changed is written as patches, and stays here for the next batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.growing import grown
from dvo.ingest.kernels import group_rows
from dvo.ingest.mean_set import MeanSet
from dvo.ingest.sky_index import SkyIndex
from dvo.partition.manifest import CatalogRow
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.position_error import DEFAULT_POS_ERR_ARCSEC
from dvo.tables.secfilt import SECFILT

__all__ = ["Grouped", "ObjectSet"]

Array = NDArray[Any]

_MEAN_EPOCH_NULL = AVERAGE["mean_epoch"].null

# Columns of Average that association reads and writes, besides the ids.
_FLOATS = ("u_ra", "u_dec", "u_ra_err", "u_dec_err", "par", "par_err")
# Columns of a set that matching fills in place, besides motions, and those filled after it.
_MATCHED = ("ra", "dec", "time", "pos_err", "n_pos")
_FILLED = ("n_measure", "slot", "ave_ref", "obj_id", "cat_id", "ext_id")


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows of many regions, those of a region together.

    Parameters
    ----------
    order : ndarray of int64
        Which row comes where: region after region, object after object.
    regions : list of int
        The regions, ascending.
    edges : ndarray of int64, shape (len(regions) + 1,)
        Where the rows of each region begin, and where the last ones end.
    """

    order: Array
    regions: list[int]
    edges: Array


class ObjectSet:
    """Objects of some regions, with all that association needs and changes.

    Row numbers of this set are good for one run only; ``region`` and ``ave_ref`` say
    which row of which catalog an object is.

    Parameters
    ----------
    view : View
        Snapshot to load from; the newest.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self.n_secfilt = view.n_secfilt
        self.n = 0
        self.catalogs: dict[int, CatalogRow] = {}
        self.ra = np.empty(0)
        self.dec = np.empty(0)
        self.time = np.empty(0)  # epoch of the position, s since 1970
        self.motion = {name: np.empty(0, np.float32) for name in _FLOATS}
        self.pos_err = np.empty(0, np.float32)
        self.n_pos = np.empty(0, np.uint32)
        self.n_measure = np.empty(0, np.uint32)
        self.slot = np.empty(0, np.int32)
        self.regions: list[int] = []
        self._slot_of = np.full(len(view.sky), -1, np.int32)
        self._last_use: list[int] = []  # of each slot: the number of the call of `load`
        self._n_loads = 0
        self._moving = [np.empty(0, np.int32)]
        self.ave_ref = np.empty(0, np.int64)
        self.obj_id = np.empty(0, np.uint32)
        self.cat_id = np.empty(0, np.uint32)
        self.ext_id = np.empty(0, np.uint64)
        self.ncode = np.empty(0, np.uint32)
        self.means: dict[str, MeanSet] = {}
        self.index: SkyIndex | None = None

    @property
    def n_bytes(self) -> int:
        """Memory that the objects take, about."""
        rows = [v for means in self.means.values() for v in means.columns().values()]
        rows += [getattr(self, name) for name in (*_MATCHED, *_FILLED, "ncode")]
        if self.index is not None:
            rows += self.index.arrays()
        return sum(v.nbytes for v in [*rows, *self.motion.values()])

    def linked(self, n: int) -> None:
        """Note that matching has put the first `n` objects into the index."""
        if self.index is not None:
            self.index.n_linked = n

    def follow(self, view: View) -> None:
        """Load from a newer snapshot from now on; what is in memory is as new already."""
        self._view = view

    def reserve(self, n: int) -> None:
        """Make room for `n` more objects in the columns that matching fills in place."""
        if self.n + n <= len(self.ra):
            return
        size = max(self.n + n, self.n + self.n // 2)
        for name in _MATCHED:
            setattr(self, name, grown(getattr(self, name), size, self.n))
        for name in ("u_ra", "u_dec"):
            self.motion[name] = grown(self.motion[name], size, self.n)

    def _fill_up(self, n: int) -> None:
        """Bring the other columns up to `n` objects, empty for those that are new."""
        if n <= len(self.slot):
            return
        size = max(n, len(self.slot) + len(self.slot) // 2)
        for name in _FILLED:
            setattr(self, name, grown(getattr(self, name), size, self.n, 0))
        for name in _FLOATS[2:]:
            self.motion[name] = grown(self.motion[name], size, self.n, np.nan)
        k = self.n_secfilt
        self.ncode = grown(self.ncode, size * k, self.n * k, 0)
        for means in self.means.values():
            means.change(lambda v: grown(v, size * k, self.n * k, 0 if v.dtype == "u4" else np.nan))

    def load(self, regions: Iterable[int], kinds: Iterable[str]) -> None:
        """Bring regions into memory that are not there yet.

        Parameters
        ----------
        regions : iterable of int
            Which regions.
        kinds : iterable of str
            Which mean magnitudes will be needed: psf, ap, kron.
        """
        for kind in kinds:
            if kind not in self.means:
                self.means[kind] = MeanSet(kind, len(self.slot) * self.n_secfilt)
                self._load_means(kind)
        wanted = sorted(set(regions))
        self._n_loads += len(wanted) > 0
        self._load_regions([r for r in wanted if r not in self.catalogs])
        for region in wanted:
            self._last_use[self._slot_of[region]] = self._n_loads

    def _load_regions(self, regions: list[int]) -> None:
        known = self._view.catalogs(regions)
        for region in regions:
            self.catalogs[region] = known.get(region, CatalogRow(region, 0, 0, 0, is_sorted=True))
            self._slot_of[region] = len(self.regions)
            self.regions.append(region)
            self._last_use.append(0)
        filled = [r for r in regions if self.catalogs[r].n_average > 0]
        if not filled:
            return
        names = ["ra", "dec", "ra_err", "mean_epoch", "number_pos", "nmeasure", "obj_id",
                 "cat_id", "ext_id", *_FLOATS]  # fmt: skip
        table, edges = self._view.read_many(AVERAGE, filled, names)
        n, sizes = len(table), np.diff(edges)
        self.reserve(n)
        self._fill_up(self.n + n)
        at = slice(self.n, self.n + n)
        self.ra[at], self.dec[at] = table["ra"], table["dec"]
        epoch = table["mean_epoch"]
        self.time[at] = np.where(epoch == _MEAN_EPOCH_NULL, 0, epoch)
        for name in _FLOATS:
            self.motion[name][at] = table[name]
        error = table["ra_err"]
        self.pos_err[at] = np.where(np.isnan(error), np.float32(DEFAULT_POS_ERR_ARCSEC), error)
        self.n_pos[at], self.n_measure[at] = table["number_pos"], table["nmeasure"]
        self.slot[at] = np.repeat(self._slot_of[filled], sizes)
        self.ave_ref[at] = np.arange(n) - np.repeat(edges[:-1], sizes)
        self.obj_id[at], self.cat_id[at] = table["obj_id"], table["cat_id"]
        self.ext_id[at] = table["ext_id"]
        rows = np.arange(self.n, self.n + n)
        self.n += n
        self.note_motions(rows)
        self._load_secfilt(filled, rows, list(self.means))

    def copy(self, other: ObjectSet, regions: list[int], wanted: NDArray[np.bool_]) -> None:
        """Take objects of some regions from another set, without mean magnitudes.

        Parameters
        ----------
        other : ObjectSet
            A set that has the regions.
        regions : list of int
            Regions that this set has not.
        wanted : ndarray of bool
            Which objects of the other set to take.
        """
        for region in regions:
            self.catalogs[region] = other.catalogs[region]
            self._slot_of[region] = len(self.regions)
            self.regions.append(region)
            self._last_use.append(self._n_loads)
        is_asked = np.zeros(len(other.regions), np.bool_)
        is_asked[other._slot_of[regions]] = True
        rows = np.flatnonzero(is_asked[other.slot[: other.n]] & wanted[: other.n])
        self.reserve(len(rows))
        self._fill_up(self.n + len(rows))
        at = slice(self.n, self.n + len(rows))
        for name in (*_MATCHED, *_FILLED):
            getattr(self, name)[at] = getattr(other, name)[rows]
        for name, values in self.motion.items():
            values[at] = other.motion[name][rows]
        self.slot[at] = self._slot_of[np.array(other.regions)[other.slot[rows]]]
        self.n += len(rows)
        self.note_motions(np.arange(self.n - len(rows), self.n))

    def _load_means(self, kind: str) -> None:
        regions = np.array(self.regions, np.int64)[self.slot[: self.n]]
        stored = self._view.catalogs(self.regions)
        n_stored = np.zeros(len(self._slot_of), np.int64)
        n_stored[list(stored)] = [row.n_average for row in stored.values()]
        # Objects made by the batch at work have nothing stored.
        rows = np.flatnonzero(self.ave_ref[: self.n] < n_stored[regions])
        rows = rows[np.lexsort((self.ave_ref[rows], regions[rows]))]
        self._load_secfilt(np.unique(regions[rows]).tolist(), rows, [kind], counts=False)

    def _load_secfilt(
        self, regions: list[int], rows: Array, kinds: list[str], *, counts: bool = True
    ) -> None:
        """Read the means of regions; `rows` are their objects in the order of the catalogs."""
        names = [n for kind in kinds for n in self.means[kind].columns()]
        table, _ = self._view.read_many(SECFILT, regions, [*names, "ncode"])
        at = self._filter_rows(rows)
        for kind in kinds:
            for name, values in self.means[kind].columns().items():
                values[at] = table[name]
        if counts:
            self.ncode[at] = table["ncode"]

    def _filter_rows(self, rows: Array) -> Array:
        """Rows of the mean magnitudes of some objects."""
        k = self.n_secfilt
        return np.asarray((rows.astype(np.int64)[:, None] * k + np.arange(k)).ravel())

    def note_motions(self, rows: Array) -> None:
        """Note that objects have been given their proper motions.

        Parameters
        ----------
        rows : ndarray of int
            Rows of this set; none of them had a motion before.
        """
        u_ra, u_dec = self.motion["u_ra"][rows], self.motion["u_dec"][rows]
        moves = (u_ra != 0) | (u_dec != 0)
        moves &= np.isfinite(u_ra) & np.isfinite(u_dec)
        self._moving.append(rows[moves].astype(np.int32))

    @property
    def moving(self) -> NDArray[np.int32]:
        """Rows of the objects that are known to move."""
        self._moving = [np.concatenate(self._moving)]
        return self._moving[0]

    def shed(self, most_bytes: int) -> None:
        """Forget regions that have not been used for longest, if there is too much in memory.

        Half of the room is made free, so that this happens seldom; what the last call of
        `load` was for stays in any case.

        Parameters
        ----------
        most_bytes : int
            Memory that may be taken.
        """
        if self.n == 0 or self.n_bytes <= most_bytes:
            return
        sizes = np.bincount(self.slot[: self.n], minlength=len(self.regions))
        newest_first = np.argsort(self._last_use, kind="stable")[::-1]
        n_up_to = np.cumsum(sizes[newest_first])
        most = self.n * most_bytes / self.n_bytes / 2
        stays = np.zeros(len(self.regions), np.bool_)
        stays[newest_first[n_up_to <= most]] = True
        stays |= np.array(self._last_use) == self._n_loads
        self._keep(np.flatnonzero(stays))

    def _keep(self, slots: Array) -> None:
        """Keep the objects of some slots only."""
        new_slot = np.full(len(self.regions), -1, np.int32)
        new_slot[slots] = np.arange(len(slots))
        rows = np.flatnonzero(new_slot[self.slot[: self.n]] >= 0)
        at = self._filter_rows(rows)
        for name in (*_MATCHED, *_FILLED):
            setattr(self, name, getattr(self, name).take(rows))
        self.motion = {name: values.take(rows) for name, values in self.motion.items()}
        self.ncode = self.ncode.take(at)
        for means in self.means.values():
            means.change(lambda v: v.take(at))
        self.slot = new_slot.take(self.slot)
        self.n = len(rows)
        self.regions = [self.regions[s] for s in slots]
        self._last_use = [self._last_use[s] for s in slots]
        self.catalogs = {region: self.catalogs[region] for region in self.regions}
        self._slot_of[:] = -1
        self._slot_of[self.regions] = np.arange(len(slots))
        self._moving = []
        self.note_motions(np.arange(self.n))
        self.index = None

    def kernel_arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """Positions, motions and epochs in the order that the kernels take them."""
        return self.ra, self.dec, self.motion["u_ra"], self.motion["u_dec"], self.time

    def slots(self, regions: Array) -> NDArray[np.int32]:
        """Find the slots, that is the places in `regions`, of regions that have been loaded.

        Parameters
        ----------
        regions : ndarray of int64, shape (n,)
            Region numbers.

        Returns
        -------
        ndarray of int32, shape (n,)
            Their slots; -1 for a region that has not been loaded.
        """
        return self._slot_of.take(regions)

    def ext_ids_near(self, slots: NDArray[np.int32], n: int) -> Array:
        """Public ids of the first objects, as far as they are in some slots.

        Parameters
        ----------
        slots : ndarray of int32
            The slots, each any number of times.
        n : int
            How many of the first objects to look at.

        Returns
        -------
        ndarray of uint64
            The ids.
        """
        is_near = np.zeros(len(self.regions), np.bool_)
        is_near[slots] = True
        return self.ext_id[:n][is_near[self.slot[:n]]]

    def add(self, first: int, slots: NDArray[np.int32], ext_ids: Array) -> None:
        """Give objects that association made their place and ids, in order of creation.

        Parameters
        ----------
        first : int
            First new row; the rows up to its end are new.
        slots : ndarray of int32
            Slot of the region of each new object.
        ext_ids : ndarray of uint64
            Public id of each new object.
        """
        stop = first + len(slots)
        self._fill_up(stop)
        order, edges = group_rows(slots.astype(np.int64), len(self.regions))
        for slot in np.flatnonzero(np.diff(edges)):
            rows = first + order[edges[slot] : edges[slot + 1]]
            region = self.regions[slot]
            old = self.catalogs[region]
            size = len(rows)
            numbers = np.arange(size)
            self.slot[rows] = slot
            self.ave_ref[rows] = old.n_average + numbers
            self.obj_id[rows] = old.next_obj_id + numbers
            self.cat_id[rows] = region
            self.catalogs[region] = CatalogRow(
                region, old.n_average + size, old.next_obj_id + size, old.n_measure, False
            )
        self.ext_id[first:stop] = ext_ids
        self.n = stop

    def group(self, rows: Array) -> Grouped:
        """Order objects, which may repeat, by region and by row in their catalog.

        Parameters
        ----------
        rows : ndarray of int
            Rows of this set.

        Returns
        -------
        Grouped
            The order; equal objects keep theirs.
        """
        slot = self.slot.take(rows)
        is_used = np.zeros(len(self.regions), np.bool_)
        is_used[slot] = True
        used = np.flatnonzero(is_used)
        used = used[np.argsort(np.take(self.regions, used))]
        regions = [self.regions[s] for s in used]
        sizes = [self.catalogs[region].n_average for region in regions]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        start_of_slot = np.empty(len(self.regions), np.int64)
        start_of_slot[used] = starts[:-1]
        key = start_of_slot.take(slot) + self.ave_ref.take(rows)
        order, edges = group_rows(key, int(starts[-1]))
        return Grouped(order, regions, edges[starts])

    def average_patch(self, rows: Array, *, with_ids: bool, with_motion: bool) -> ColumnTable:
        """Average columns of some objects as they are now.

        Parameters
        ----------
        rows : ndarray of int
            Rows of this set.
        with_ids : bool
            Whether to include the ids, which never change once they are written.
        with_motion : bool
            Whether to include proper motions and parallaxes.

        Returns
        -------
        ColumnTable
            One row an object.
        """
        error = self.pos_err.take(rows)
        columns: dict[str, Array] = {
            "ra": self.ra.take(rows),
            "dec": self.dec.take(rows),
            "ra_err": error,
            "dec_err": error,
            "mean_epoch": self.time.take(rows).astype(np.int64),
            "number_pos": self.n_pos.take(rows),
            "nmeasure": self.n_measure.take(rows),
        }
        if with_ids:
            columns["obj_id"] = self.obj_id.take(rows)
            columns["cat_id"] = self.cat_id.take(rows)
            columns["ext_id"] = self.ext_id.take(rows)
        if with_motion:
            columns |= {name: values.take(rows) for name, values in self.motion.items()}
        return ColumnTable(AVERAGE, columns)

    def secfilt_patch(self, rows: Array) -> ColumnTable:
        """SecFilt columns of some rows of this set (object * n_secfilt + k) as they are now."""
        columns: dict[str, Array] = {"ncode": self.ncode.take(rows)}
        for means in self.means.values():
            columns |= {n: v.take(rows) for n, v in means.columns().items()}
        return ColumnTable(SECFILT, columns)

    def average_names(self) -> list[str]:
        """Columns of Average that this set holds."""
        return list(self.average_patch(np.empty(0, np.int64), with_ids=True, with_motion=True))
