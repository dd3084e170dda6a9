"""Rows of satellite tables added to a change, with all that has to stay true of them.

The rows are appended to the regions of their objects. In the same commit the objects get
their new counts (``nlensing``, ``ngalphot``, …), and the means of Lensing are brought up to
date: LensObj is never given from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.partition.manifest import ALL_SKY
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import (
    AVERAGED_COLUMNS,
    filters_of_codes,
    filters_of_images,
    lensing_means,
)
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.satellites import Satellite, find_satellite

__all__ = ["add_satellites"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_LINKS = ("ave_ref", "obj_id", "cat_id")


def add_satellites(
    change: Transaction,
    view: View,
    table: ColumnTable,
    regions: Sequence[int],
    edges: Array,
    *,
    photcodes: NDArray[np.uint16] | None = None,
    known: PhotcodeTable | None = None,
) -> None:
    """Add rows of a satellite table to objects, new or old.

    To be called once a table and commit: what is there already is taken from `view`.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    table : ColumnTable
        The rows, those of a region together; ave_ref, obj_id and cat_id name objects of the
        region, which may be new in this change.
    regions : sequence of int
        Region of each run of rows, ascending.
    edges : ndarray of int, shape (len(regions) + 1,)
        Where each run begins, and where the last one ends.
    photcodes : ndarray of uint16, optional
        Of Lensing only: photcode of the image of each row, for images that are new in this
        change; None if all are in `view`.
    known : PhotcodeTable, optional
        The photcodes as the change leaves them; None for those of `view`.

    Raises
    ------
    SchemaError
        If it is no satellite table, or LensObj, which is made of Lensing.
    """
    satellite = find_satellite(table.schema.name)
    if satellite is None or table.schema is LENSOBJ:
        what = "made of Lensing" if satellite else "no satellite table"
        raise SchemaError(f"{table.schema.name} is {what}; its rows cannot be added")
    if len(table) == 0:
        return
    change.add_rows(table, regions, edges)
    places = _Places(view, regions, edges, table["ave_ref"])
    _patch_counts(change, view, satellite, places)
    if table.schema is LENSING:
        filters = None
        if photcodes is not None:
            filters = filters_of_codes(known or view.photcodes)[photcodes]
        _renew_means(change, view, table, places, filters)


class _Places:
    """Objects of some regions numbered through: those that are stored, and new ones.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        The regions, ascending.
    edges : ndarray of int64, shape (len(regions) + 1,)
        Where the rows of each begin.
    ave_ref : ndarray of int
        Row in Average of the object of each row.
    """

    def __init__(self, view: View, regions: Sequence[int], edges: Array, ave_ref: Array) -> None:
        self.regions = list(regions)
        known = view.catalogs(regions)
        self.stored = np.array([known[r].n_average if r in known else 0 for r in regions], np.int64)
        sizes = self.stored.copy()
        self.of = np.repeat(np.arange(len(self.regions)), np.diff(edges))
        np.maximum.at(sizes, self.of, ave_ref.astype(np.int64) + 1)
        self.starts: I64 = np.concatenate([[0], np.cumsum(sizes)])
        self.objects: I64 = self.starts[self.of] + ave_ref

    @property
    def filled(self) -> list[int]:
        """Regions that are stored."""
        return [r for r, n in zip(self.regions, self.stored.tolist(), strict=True) if n]

    @property
    def n(self) -> int:
        """Objects in all."""
        return int(self.starts[-1])

    def stored_objects(self) -> I64:
        """Numbers of the objects that are stored, in their order."""
        firsts = np.repeat(self.starts[:-1] - (np.cumsum(self.stored) - self.stored), self.stored)
        return np.asarray(firsts + np.arange(len(firsts)))

    def of_rows(self, runs: Array, ave_ref: Array) -> I64:
        """Objects that rows of the stored regions belong to.

        Parameters
        ----------
        runs : ndarray of int64
            Where the rows of each stored region begin, and where the last ones end.
        ave_ref : ndarray of int
            Row in Average of each.

        Returns
        -------
        ndarray of int64
            Their numbers.
        """
        return np.asarray(np.repeat(self.starts[:-1][self.stored > 0], np.diff(runs)) + ave_ref)

    def split(self, objects: I64) -> tuple[I64, I64]:
        """Take numbers of objects, ascending, apart.

        Parameters
        ----------
        objects : ndarray of int64
            The numbers; one may be there many times.

        Returns
        -------
        ave_ref, edges : ndarray of int64
            Row in Average of each, and where those of each region begin.
        """
        edges = np.searchsorted(objects, self.starts)
        return objects - np.repeat(self.starts[:-1], np.diff(edges)), edges


def _patch_counts(change: Transaction, view: View, satellite: Satellite, places: _Places) -> None:
    """Give objects the number of rows that they have now."""
    counts = np.bincount(places.objects, minlength=places.n)
    rows = np.flatnonzero(counts)
    if places.filled:
        before, _ = view.read_many(AVERAGE, places.filled, [satellite.count])
        counts[places.stored_objects()] += before[satellite.count]
    ave_ref, edges = places.split(rows)
    patch = ColumnTable(AVERAGE, {satellite.count: counts[rows].astype(np.uint32)})
    change.patch_rows(ave_ref, patch, places.regions, edges, label=satellite.schema.suffix)


def _renew_means(
    change: Transaction,
    view: View,
    new: ColumnTable,
    places: _Places,
    filters: NDArray[np.uint16] | None,
) -> None:
    """Make the means of objects and filters to which rows of Lensing come anew."""
    by_image = filters_of_images(
        view.read(IMAGE, ALL_SKY, ["image_id", "photcode"]), view.photcodes
    )
    if filters is None:
        filters = _looked_up(by_image, new["image_id"])
    old, objects = _rows_of(view, places)
    touched = np.unique(_keys(places.objects, filters)[filters > 0])
    means, of = lensing_means(
        ColumnTable.concatenate(LENSING, [old, new]),
        np.concatenate([objects, places.objects]),
        np.concatenate([_looked_up(by_image, old["image_id"]), filters]),
    )
    is_touched = np.isin(_keys(of, means["photcode"]), touched)
    _write_means(change, view, means.take(is_touched), of[is_touched], new, places)


def _looked_up(by_image: NDArray[np.uint16], image_ids: Array) -> NDArray[np.uint16]:
    """Filters of images; 0 for those that are not there."""
    is_known = image_ids < len(by_image)
    return np.where(is_known, by_image[np.where(is_known, image_ids, 0)], np.uint16(0))


def _rows_of(view: View, places: _Places) -> tuple[ColumnTable, I64]:
    """Stored rows of Lensing of the objects that get more, and these objects."""
    if not places.filled:
        return ColumnTable(LENSING, {}, 0), np.empty(0, np.int64)
    gets = np.zeros(places.n, np.bool_)
    gets[places.objects] = True
    links, runs = view.read_many(LENSING, places.filled, ["ave_ref"])
    objects = places.of_rows(runs, links["ave_ref"])
    if not gets[objects].any():
        return ColumnTable(LENSING, {}, 0), np.empty(0, np.int64)
    names = [*AVERAGED_COLUMNS, "image_id", "det_id"]
    table, _ = view.read_many(LENSING, places.filled, names)
    return table.take(gets[objects]), objects[gets[objects]]


def _write_means(
    change: Transaction,
    view: View,
    means: ColumnTable,
    of: I64,
    new: ColumnTable,
    places: _Places,
) -> None:
    """Write means: new values of rows that are there, the others behind them."""
    keys = _keys(of, means["photcode"])
    stored, runs = view.read_many(LENSOBJ, places.filled, ["ave_ref", "photcode"])
    known = _keys(places.of_rows(runs, stored["ave_ref"]), stored["photcode"])
    order = np.argsort(known)
    place = np.searchsorted(known, keys, sorter=order)
    is_there = np.zeros(len(keys), np.bool_)
    inside = place < len(known)
    is_there[inside] = known[order[place[inside]]] == keys[inside]
    if is_there.any():
        row = order[place[is_there]] - np.repeat(runs[:-1], np.diff(runs))[order[place[is_there]]]
        _, edges = places.split(of[is_there])
        change.patch_rows(row, means.take(is_there), places.regions, edges, label="u")
    fresh = means.take(~is_there)
    if len(fresh) == 0:
        return
    ave_ref, edges = places.split(of[~is_there])
    # A row of Lensing of the object tells what it is called.
    first = np.full(places.n, -1, np.int64)
    first[places.objects] = np.arange(len(new))
    names = {name: new[name][first[of[~is_there]]] for name in ("obj_id", "cat_id")}
    links = {**names, "ave_ref": ave_ref.astype(np.uint32)}
    rows = ColumnTable(LENSOBJ, {**fresh.columns, **links}, len(fresh))
    change.add_rows(rows, places.regions, edges)
    lensobj = find_satellite(LENSOBJ.name)
    assert lensobj is not None
    widened = _Places(view, places.regions, edges, ave_ref)
    _patch_counts(change, view, lensobj, widened)


def _keys(objects: I64, filters: Array) -> I64:
    return objects * 65536 + filters
