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
from dvo.partition.view import View
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import (
    filters_of_codes,
    filters_of_images,
    joined_means,
    lensing_means,
)
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.satellites import SATELLITES, Satellite, find_satellite

__all__ = ["add_satellites"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

(_LENSOBJ,) = (s for s in SATELLITES if s.schema is LENSOBJ)
_MOST_PATCHES = 8  # of LensObj of a region; each makes it dearer to read


def add_satellites(
    change: Writing,
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
    change : Writing
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


def _patch_counts(change: Writing, view: View, satellite: Satellite, places: _Places) -> None:
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
    change: Writing,
    view: View,
    new: ColumnTable,
    places: _Places,
    filters: NDArray[np.uint16] | None,
) -> None:
    """Bring the means of objects and filters to which rows of Lensing come up to date."""
    if filters is None:
        images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
        filters = _looked_up(filters_of_images(images, view.photcodes), new["image_id"])
    means, of = lensing_means(new, places.objects, filters)
    keys = _keys(of, means["photcode"])
    stored, runs = view.read_many(LENSOBJ, places.filled, LENSOBJ.stored_names)
    objects = places.of_rows(runs, stored["ave_ref"])
    place, is_there = _find(_keys(objects, stored["photcode"]), keys)
    place = place[is_there]
    better = joined_means(stored.take(place), means.take(is_there))
    # What the change has taken rows out of already is written whole as it is.
    whole = _much_patched(view, places.filled) if view is change.base else []
    _write_known(change, stored, runs, place, better, places, whole)
    fresh, of = means.take(~is_there), of[~is_there]
    if len(fresh) == 0:
        return
    ave_ref, edges = places.split(of)
    # A row of Lensing of the object tells what it is called.
    first = np.full(places.n, -1, np.int64)
    first[places.objects] = np.arange(len(new))
    links = {name: new[name][first[of]] for name in ("obj_id", "cat_id")}
    links["ave_ref"] = ave_ref.astype(np.uint32)
    rows = ColumnTable(LENSOBJ, fresh.columns | links, len(fresh))
    change.add_rows(rows, places.regions, edges)
    _patch_counts(change, view, _LENSOBJ, _Places(view, places.regions, edges, ave_ref))


def _looked_up(by_image: NDArray[np.uint16], image_ids: Array) -> NDArray[np.uint16]:
    """Filters of images; 0 for those that are not there."""
    is_known = image_ids < len(by_image)
    return np.where(is_known, by_image[np.where(is_known, image_ids, 0)], np.uint16(0))


def _find(known: I64, wanted: I64) -> tuple[I64, NDArray[np.bool_]]:
    """Places of numbers among others, and whether they are there."""
    order = np.argsort(known)
    place = np.searchsorted(known, wanted, sorter=order)
    inside = place < len(known)
    out = np.full(len(wanted), -1, np.int64)
    out[inside] = order[place[inside]]
    inside[inside] = known[out[inside]] == wanted[inside]
    return out, inside


def _much_patched(view: View, regions: Sequence[int]) -> list[int]:
    """Regions whose LensObj has been patched so often that it is better written anew."""
    parts = view.part_table(regions)
    of = parts.regions[parts.are(table=LENSOBJ.name, kind="patch")]
    found, n_patches = np.unique(of, return_counts=True)
    return [int(region) for region in found[n_patches >= _MOST_PATCHES]]


def _write_known(
    change: Writing,
    stored: ColumnTable,
    runs: I64,
    place: I64,
    better: ColumnTable,
    places: _Places,
    whole: Sequence[int],
) -> None:
    """Write new values of rows that are there: as patches, or the tables of a region whole."""
    filled = np.array(places.filled, np.int64)
    is_whole = np.isin(filled, whole)
    if is_whole.any():
        columns = {name: stored[name].copy() for name in stored}
        for name in better:
            columns.setdefault(name, stored[name].copy())[place] = better[name]
        rows = np.flatnonzero(np.repeat(is_whole, np.diff(runs)))
        sizes = np.diff(runs)[is_whole]
        parts = change.base.part_table(whole)
        change.drop_parts(parts.take(parts.are(table=LENSOBJ.name)))
        table = ColumnTable(LENSOBJ, columns, len(stored)).take(rows)
        change.add_rows(table, whole, np.concatenate([[0], np.cumsum(sizes)]), label="w")
    region = np.searchsorted(runs, place, side="right") - 1
    rows = np.flatnonzero(~is_whole[region])
    rows = rows[np.argsort(region[rows], kind="stable")]
    if len(rows) == 0:
        return
    at = place[rows] - runs[region[rows]]
    edges = np.searchsorted(region[rows], np.arange(len(filled) + 1))
    change.patch_rows(at, better.take(rows), filled.tolist(), edges, label="u")


def _keys(objects: I64, filters: Array) -> I64:
    return objects * 65536 + filters
