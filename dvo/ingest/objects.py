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

from dvo.ingest.kernels import group_rows
from dvo.ingest.position_error import DEFAULT_POS_ERR_ARCSEC
from dvo.partition.manifest import CatalogRow
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.secfilt import SECFILT

__all__ = ["MEAN_STEMS", "Grouped", "MeanSet", "ObjectSet", "SkyIndex"]

Array = NDArray[Any]

_MEAN_EPOCH_NULL = AVERAGE["mean_epoch"].null

# Columns of Average that association reads and writes, besides the ids.
_FLOATS = ("u_ra", "u_dec", "u_ra_err", "u_dec_err", "par", "par_err")

MEAN_STEMS = {"psf": "mag", "ap": "mag_ap", "kron": "mag_kron"}
"""Running means that SecFilt keeps, and the stem of their columns."""

_COUNTS = {"psf": "nused", "ap": "nused_ap", "kron": "nused_kron"}


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


class MeanSet:
    """Running mean magnitudes, a row for each object and filter.

    Parameters
    ----------
    kind : str
        Which magnitudes: psf, ap or kron.
    n_rows : int
        Number of rows; all are empty at first.
    """

    __slots__ = ("chi", "err", "kind", "least", "mean", "most", "n_used", "stdev")

    def __init__(self, kind: str, n_rows: int) -> None:
        self.kind = kind
        self.mean = np.full(n_rows, np.nan, np.float32)
        self.err = np.full(n_rows, np.nan, np.float32)
        self.chi = np.full(n_rows, np.nan, np.float32)
        self.stdev = np.full(n_rows, np.nan, np.float32)
        self.least = np.full(n_rows, np.nan, np.float32)
        self.most = np.full(n_rows, np.nan, np.float32)
        self.n_used = np.zeros(n_rows, np.uint32)

    def columns(self) -> dict[str, Array]:
        """The means under the names that they have in SecFilt."""
        stem = MEAN_STEMS[self.kind]
        out: dict[str, Array] = {
            stem: self.mean,
            f"{stem}_err": self.err,
            f"{stem}_stdev": self.stdev,
        }
        out[_COUNTS[self.kind]] = self.n_used
        if self.kind == "psf":
            out |= {"mag_chi": self.chi, "mag_min": self.least, "mag_max": self.most}
        return out

    def grow(self, size: int, n_used: int) -> None:
        """Make room for `size` rows, of which the first `n_used` are kept."""
        for name in ("mean", "err", "chi", "stdev", "least", "most"):
            setattr(self, name, _grown(getattr(self, name), size, n_used, np.nan))
        self.n_used = _grown(self.n_used, size, n_used, 0)


@dataclass(slots=True)
class SkyIndex:
    """Chains of objects by their place on the sky; see `kernels.association`.

    Parameters
    ----------
    height : float
        Height of a zone [deg].
    n_cells, first : ndarray of int64
        Cells of each zone, and the first of them.
    head : ndarray of int32
        First object of each slot.
    after, slots : ndarray of int32
        Next object in the chain, and slot, of each object.
    n_linked : int
        Objects that are in the chains.
    """

    height: float
    n_cells: Array
    first: Array
    head: Array
    after: Array
    slots: Array
    n_linked: int = 0

    def reserve(self, room: int) -> None:
        """Make room for so many objects."""
        if len(self.after) < room:
            self.after = _grown(self.after, room, self.n_linked)
            self.slots = _grown(self.slots, room, self.n_linked)

    def arrays(self) -> tuple[Array, Array, Array, Array, Array]:
        """The arrays in the order that the kernels take them."""
        return self.n_cells, self.first, self.head, self.after, self.slots


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
        self._slot_of: dict[int, int] = {}
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
        rows += [self.ra, self.dec, self.time, self.pos_err, self.n_pos, self.n_measure, self.slot]
        rows += [self.ave_ref, self.obj_id, self.cat_id, self.ext_id, self.ncode]
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
        for name in ("ra", "dec", "time", "pos_err"):
            setattr(self, name, _grown(getattr(self, name), size, self.n))
        for name in ("u_ra", "u_dec"):
            self.motion[name] = _grown(self.motion[name], size, self.n)
        self.n_pos = _grown(self.n_pos, size, self.n)

    def _fill_up(self, n: int) -> None:
        """Bring the other columns up to `n` objects, empty for those that are new."""
        if n <= len(self.slot):
            return
        size = max(n, len(self.slot) + len(self.slot) // 2)
        for name in ("n_measure", "slot", "ave_ref", "obj_id", "cat_id", "ext_id"):
            setattr(self, name, _grown(getattr(self, name), size, self.n, 0))
        for name in _FLOATS[2:]:
            self.motion[name] = _grown(self.motion[name], size, self.n, np.nan)
        k = self.n_secfilt
        self.ncode = _grown(self.ncode, size * k, self.n * k, 0)
        for means in self.means.values():
            means.grow(size * k, self.n * k)

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
                self._load_means(kind, list(self.catalogs))
        for region in sorted(set(regions) - self.catalogs.keys()):
            self._load_region(region)

    def _load_region(self, region: int) -> None:
        row = self.catalogs[region] = self._view.catalog(region)
        self._slot_of[region] = len(self.regions)
        self.regions.append(region)
        if row.n_average == 0:
            return
        names = ["ra", "dec", "ra_err", "mean_epoch", "number_pos", "nmeasure", "obj_id",
                 "cat_id", "ext_id", *_FLOATS]  # fmt: skip
        table = self._view.read(AVERAGE, region, names)
        n = len(table)
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
        self.slot[at], self.ave_ref[at] = self._slot_of[region], np.arange(n)
        self.obj_id[at], self.cat_id[at] = table["obj_id"], table["cat_id"]
        self.ext_id[at] = table["ext_id"]
        self.n += n
        self._load_secfilt(region, self.n - n, list(self.means))

    def _load_means(self, kind: str, regions: list[int]) -> None:
        for region in regions:
            mine = np.flatnonzero(self.slot[: self.n] == self._slot_of[region])
            if len(mine):
                self._load_secfilt(region, int(mine[0]), [kind], counts=False)

    def _load_secfilt(
        self, region: int, first: int, kinds: list[str], *, counts: bool = True
    ) -> None:
        """Read the means of a region whose objects begin at row `first` and lie together."""
        names = [n for kind in kinds for n in self.means[kind].columns()]
        table = self._view.read(SECFILT, region, [*names, "ncode"])
        at = slice(first * self.n_secfilt, first * self.n_secfilt + len(table))
        for kind in kinds:
            for name, values in self.means[kind].columns().items():
                values[at] = table[name]
        if counts:
            self.ncode[at] = table["ncode"]

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
        table = np.full(int(regions.max(initial=0)) + 1, -1, np.int32)
        for region, slot in self._slot_of.items():
            if region < len(table):
                table[region] = slot
        return table[regions]

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
        by_region = np.argsort(self.regions)
        sizes = np.array([self.catalogs[self.regions[s]].n_average for s in by_region], np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        start_of_slot = np.empty(len(self.regions), np.int64)
        start_of_slot[by_region] = starts[:-1]
        key = start_of_slot.take(self.slot.take(rows)) + self.ave_ref.take(rows)
        order, edges = group_rows(key, int(starts[-1]))
        edges = edges[starts]
        used = np.flatnonzero(np.diff(edges))
        regions = [self.regions[s] for s in by_region[used]]
        return Grouped(order, regions, np.append(edges[used], len(order)))

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

    def secfilt_names(self) -> list[str]:
        """Columns of SecFilt that this set holds."""
        return list(self.secfilt_patch(np.empty(0, np.int64)))


def _grown(values: Array, size: int, n_used: int, fill: float | None = None) -> Array:
    """A longer copy; what is new holds `fill`, or nothing in particular."""
    out = np.empty(size, values.dtype)
    out[:n_used] = values[:n_used]
    if fill is not None:
        out[n_used:] = fill
    return out
