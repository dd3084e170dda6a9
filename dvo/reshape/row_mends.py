"""Rows that break a rule, made anew of those that do not, where there is but one way.

What is wrong is told by the rules of `dvo check` themselves: `FaultRows` is a batch of
regions that keeps the rows they name.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ids import ext_id, pack_id
from dvo.ingest.associate import unique_ext_ids
from dvo.ingest.remaking import (
    count_measures,
    gives_motion,
    redo_magnitudes,
    redo_motions,
    redo_positions,
)
from dvo.ingest.replay import Replay
from dvo.ingest.whole_catalogs import WholeCatalogs, fresh
from dvo.partition.catalog_batch import CatalogBatch
from dvo.partition.catalog_rules import find_catalog_faults
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.image_rules import ImageRules
from dvo.partition.link_rules import find_link_faults, find_lost_measures
from dvo.partition.satellite_rules import find_satellite_faults
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["FaultRows", "Mending", "find_fault_rows"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FaultRows(CatalogBatch):
    """A batch that keeps the rows with faults, and makes none known.

    Parameters
    ----------
    rows_of : dict
        Rows of the batch by kind of fault and name of the table.
    """

    rows_of: dict[tuple[FaultKind, str], I64] = field(default_factory=dict)

    def faults(
        self, kind: FaultKind, schema: TableSchema, wrong: I64 | Bool, words: Any
    ) -> Iterator[Fault]:
        """See `CatalogBatch`; gives no faults."""
        del words
        rows = np.flatnonzero(wrong) if wrong.dtype == np.bool_ else wrong.astype(np.int64)
        if len(rows):
            key = kind, schema.name
            self.rows_of[key] = np.union1d(self.rows_of.get(key, _NONE), rows)
        return iter(())

    @classmethod
    def empty(cls, view: View, regions: list[int]) -> FaultRows:
        """No faults, of regions that cannot be read as a batch."""
        n = len(regions)
        none = {s: ColumnTable(s, {}, 0) for s in (AVERAGE, SECFILT, MEASURE)}
        starts = np.zeros(n + 1, np.int64)
        return cls(
            view, np.array(regions, np.int64), [view.catalog(r) for r in regions],
            none[AVERAGE], none[SECFILT], none[MEASURE], starts, starts, _NONE,
            np.zeros(0, np.bool_), {},
        )  # fmt: skip

    def of(self, kind: FaultKind, schema: TableSchema) -> I64:
        """Find the rows of a table with a kind of fault.

        Parameters
        ----------
        kind : FaultKind
            Which kind.
        schema : TableSchema
            Which table.

        Returns
        -------
        ndarray of int64
            Rows of the batch, ascending.
        """
        return self.rows_of.get((kind, schema.name), _NONE)


def find_fault_rows(batch: CatalogBatch, images: ImageRules) -> FaultRows:
    """Find all rows of some regions that break a rule.

    Parameters
    ----------
    batch : CatalogBatch
        The regions.
    images : ImageRules
        What is known of the images.

    Returns
    -------
    FaultRows
        The same regions, with the rows.
    """
    found = FaultRows(**{f.name: getattr(batch, f.name) for f in fields(CatalogBatch)})
    rules = [find_lost_measures(found), find_catalog_faults(found, images.times)]
    if not found.is_lost.any():
        rules += [find_link_faults(found), find_satellite_faults(found, images)]
    for rule in rules:
        deque(rule, maxlen=0)
    return found


class Mending:
    """Catalogs on their way from broken to whole.

    Parameters
    ----------
    found : WholeCatalogs
        The catalogs.
    faults : FaultRows
        What is wrong with them: of the same regions.
    replay : Replay
        The images and reference catalogs.
    codes : PhotcodeTable
        The photcodes.

    Attributes
    ----------
    done : Counter
        Rows that were mended, by kind of fault.
    """

    def __init__(
        self, found: WholeCatalogs, faults: FaultRows, replay: Replay, codes: PhotcodeTable
    ) -> None:
        self.found, self.faults = found, faults
        self.replay, self.codes = replay, codes
        self.done: Counter[FaultKind] = Counter()
        self.touched = np.zeros(len(found.regions), np.bool_)
        # Regions with a link that nothing decides: to count by it would be to decide.
        self._is_open = np.zeros(len(found.regions), np.bool_)
        n = len(found.average)
        self._positions = np.zeros(n, np.bool_)  # objects whose means are to be made anew
        self._magnitudes = np.zeros(n, np.bool_)

    # ---- steps, in this order

    def find_objects(self, limits: dict[int, int], taken: NDArray[np.uint64]) -> bool:
        """Link lost measures by their ids; objects that are gone are made anew.

        Parameters
        ----------
        limits : dict of int to int
            Number of the next object of each catalog: ids from there on were never given.
        taken : ndarray of uint64
            Ids of lost measures whose objects are in other regions, by ``pack_id``.

        Returns
        -------
        bool
            Whether all measures have objects now; if not, nothing else can be mended.
        """
        lost = np.flatnonzero(self.faults.is_lost)
        if len(lost) == 0:
            return True
        found = self.found
        wanted = _ids(found.measure)[lost]
        place = np.searchsorted(found.runs, lost, side="right") - 1
        at = self._objects_called(wanted, place)
        cat, obj = (found.measure[name][lost] for name in ("cat_id", "obj_id"))
        given = np.array([limits.get(c, 0) for c in cat.tolist()], np.int64)
        is_new = (at < 0) & (obj < given) & ~np.isin(wanted, taken)
        if not (is_new | (at >= 0)).all():
            return False
        ref = found.measure["ave_ref"].astype(np.int64)
        ref[lost] = at
        self._link(ref)
        self._make_objects(lost[is_new], wanted[is_new], place[is_new])
        self._count(FaultKind.LOST, place)
        return True

    def choose_links(self) -> None:
        """Of the two objects that a measure names take that by which all counts are right.

        A region where that is neither or both is left as it is.
        """
        found, faults = self.found, self.faults
        rows = faults.of(FaultKind.LINK, MEASURE)
        if len(rows) == 0:
            return
        ref = found.measure["ave_ref"].astype(np.int64)
        place = np.searchsorted(found.runs, rows, side="right") - 1
        other = self._objects_called(_ids(found.measure)[rows], place)
        by_ids = ref.copy()
        by_ids[rows[other >= 0]] = other[other >= 0]
        stated = found.average["nmeasure"]
        is_right = [np.bincount(r, minlength=len(stated)) == stated for r in (ref, by_ids)]
        first = ref[rows]
        second = np.where(other >= 0, other, first)
        ok = [right[first] & right[second] for right in is_right]
        keep = (ok[0] & ~ok[1]) | (ok[0] & (other < 0))
        move = ok[1] & ~ok[0] & (other >= 0)
        for name in ("obj_id", "cat_id"):
            values = found.measure[name].copy()
            values[rows[keep]] = found.average[name][first[keep]]
            found.measure[name] = values
        ref[rows[move]] = other[move]
        self._link(ref)
        self._is_open[place[~keep & ~move]] = True
        self._count(FaultKind.LINK, place[keep | move])

    def drop_repeats(self) -> None:
        """Of detections that are there twice, the same in all columns, leave one."""
        found = self.found
        ids = pack_id(found.measure["image_id"], found.measure["det_id"])
        order = np.argsort(ids, kind="stable")
        same = ids[order[1:]] == ids[order[:-1]]
        same &= found.measure["image_id"][order[1:]] > 0
        if not same.any():
            return
        first, second = order[:-1][same], order[1:][same]
        for values in found.measure.columns.values():
            equal = values[first] == values[second]
            if values.dtype.kind == "f":
                equal |= np.isnan(values[first]) & np.isnan(values[second])
            is_alike = equal if equal.ndim == 1 else equal.all(axis=1)
            first, second = first[is_alike], second[is_alike]
        if len(second) == 0:
            return
        stays = np.ones(len(found.measure), np.bool_)
        stays[second] = False
        objects = found.measure["ave_ref"][second]
        self._positions[objects] = self._magnitudes[objects] = True
        place = np.searchsorted(found.runs, second, side="right") - 1
        every = np.ones(len(found.average), np.bool_)
        self.found = found.kept(every, stays, found.satellites)
        self._count(FaultKind.REPEATED_DETECTION, place)

    def redo_means(self, *, all_magnitudes: bool = False) -> None:
        """Make motions, positions, magnitudes and counts of objects anew, where they are wrong.

        Parameters
        ----------
        all_magnitudes : bool
            Whether mean magnitudes of all objects are to be made: there are none that count.
        """
        found, faults = self.found, self.faults
        average, measure = fresh(found.average), found.measure
        n = np.bincount(measure["ave_ref"], minlength=len(average))
        for kind, mask in (
            (FaultKind.MEAN_POSITION, self._positions),
            (FaultKind.MEAN_MAGNITUDE, self._magnitudes),
        ):
            schema = AVERAGE if kind is FaultKind.MEAN_POSITION else SECFILT
            rows = faults.of(kind, schema) // (1 if schema is AVERAGE else found.n_secfilt)
            mask[rows] = True
            self._count(kind, self._places(np.unique(rows)[n[np.unique(rows)] > 0]))
        self._magnitudes |= all_magnitudes
        moving = self._redo_motions(average)
        for mask in (self._positions, self._magnitudes):
            mask &= n > 0
        order = self.replay.order(measure, np.arange(len(measure)))
        ref = measure["ave_ref"]
        ours = measure.take(order[(self._positions | moving)[ref[order]]])
        redo_positions(average, ours, self._positions | moving, self.replay, self.codes)
        secfilt = fresh(found.secfilt)
        ours = measure.take(order[self._magnitudes[ref[order]]])
        if self._magnitudes.any():
            redo_magnitudes(secfilt, ours, self._magnitudes, found.n_secfilt, self.codes)
        self._count(FaultKind.N_MEASURE, self._places(faults.of(FaultKind.N_MEASURE, AVERAGE)))
        count_measures(average, measure)
        self.found = replace(found, average=average, secfilt=secfilt)
        for kind in (FaultKind.ORDER, FaultKind.SATELLITE_LINK):
            for (found_kind, table), rows in faults.rows_of.items():
                if found_kind is kind:
                    starts = found.edges if table == AVERAGE.name else found.runs
                    self._count(kind, np.searchsorted(starts, rows, side="right") - 1)

    # ---- inside

    def _objects_called(self, wanted: NDArray[np.uint64], place: I64) -> I64:
        """Objects of the same region by their ids; -1 where there is none."""
        ids = _ids(self.found.average)
        if len(ids) == 0:
            return np.full(len(wanted), -1, np.int64)
        order = np.argsort(ids, kind="stable")
        at = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
        is_there = (ids[at] == wanted) & (self._places(at) == place)
        return np.where(is_there, at, -1)

    def _places(self, objects: I64) -> I64:
        return np.asarray(np.searchsorted(self.found.edges, objects, side="right") - 1)

    def _link(self, ref: I64) -> None:
        # What is not linked yet must be a number, too.
        self.found.measure["ave_ref"] = np.maximum(ref, 0).astype(np.uint32)

    def _count(self, kind: FaultKind, places: I64) -> None:
        places = places[~self._is_open[places]]
        if len(places):
            self.done[kind] += len(places)
            self.touched[places] = True

    def _make_objects(self, rows: I64, ids: NDArray[np.uint64], place: I64) -> None:
        """Make the objects of some measures, with the ids that these say."""
        if len(rows) == 0:
            return
        found, n_old = self.found, len(self.found.average)
        new, which = np.unique(ids, return_inverse=True)
        first = np.array([rows[which == k][0] for k in range(len(new))], np.int64)
        region = np.array([place[which == k][0] for k in range(len(new))], np.int64)
        columns = {name: found.measure[name][first] for name in ("obj_id", "cat_id")}
        average = ColumnTable.concatenate(AVERAGE, [found.average, ColumnTable(AVERAGE, columns)])
        secfilt = ColumnTable.concatenate(
            SECFILT, [found.secfilt, ColumnTable(SECFILT, {}, len(new) * found.n_secfilt)]
        )
        ref = found.measure["ave_ref"].astype(np.int64)
        ref[rows] = n_old + which
        order = np.argsort(np.concatenate([self._places(np.arange(n_old)), region]), kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        every = (order[:, None] * found.n_secfilt + np.arange(found.n_secfilt)).ravel()
        sizes = np.diff(found.edges) + np.bincount(region, minlength=len(found.regions))
        measure = fresh(found.measure)
        measure["ave_ref"] = rank[ref].astype(np.uint32)
        for _, table, _ in found.satellites:
            table["ave_ref"] = rank[table["ave_ref"]].astype(np.uint32)
        average = average.take(order)
        self.found = replace(
            found, average=average, secfilt=secfilt.take(every), measure=measure,
            edges=np.cumsum([0, *sizes]),
        )  # fmt: skip
        made = rank[n_old:]
        for name in ("_positions", "_magnitudes"):
            mask = np.concatenate([getattr(self, name), np.ones(len(new), np.bool_)])[order]
            setattr(self, name, mask)
        self._renumber(rank)
        self._name_objects(made)
        redo_motions(average, self._taken_up(made), np.isin(np.arange(len(average)), made))

    def _renumber(self, rank: I64) -> None:
        """Let what is known of faults of objects follow these."""
        n = self.found.n_secfilt
        for (kind, table), rows in list(self.faults.rows_of.items()):
            if table == AVERAGE.name:
                self.faults.rows_of[kind, table] = rank[rows]
            elif table == SECFILT.name:
                self.faults.rows_of[kind, table] = rank[rows // n] * n + rows % n

    def _taken_up(self, objects: I64) -> ColumnTable:
        """Measures of objects in the order in which association took them up."""
        measure = self.found.measure
        rows = np.flatnonzero(np.isin(measure["ave_ref"], objects))
        return measure.take(self.replay.order(measure, rows))

    def _name_objects(self, made: I64) -> None:
        """Give objects the public id of the place where their first detection was."""
        measure = self._taken_up(made)
        objects, first = np.unique(measure["ave_ref"], return_index=True)
        _, ra, dec = self.replay.places(measure.take(first))
        ids = self.found.average["ext_id"].copy()
        others = np.delete(ids, objects)
        ids[objects] = unique_ext_ids(ext_id(ra, dec), others)
        self.found.average["ext_id"] = ids

    def _redo_motions(self, average: ColumnTable) -> Bool:
        """Make motions anew that cannot be, where measures give others; tells of which."""
        moving = np.zeros(len(average), np.bool_)
        rows = self.faults.of(FaultKind.MOTION, AVERAGE)
        if len(rows):
            ours = self._taken_up(rows)
            told = np.intersect1d(rows, ours["ave_ref"][gives_motion(ours)])
            moving[told] = True
            redo_motions(average, ours, moving)
            self._count(FaultKind.MOTION, self._places(told))
        return moving


def _ids(table: ColumnTable) -> NDArray[np.uint64]:
    return pack_id(table["cat_id"], table["obj_id"])
