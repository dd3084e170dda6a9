"""Satellite tables: what is known of objects beside their measures and means.

They are kept as Measure is: rows in the region of their object, appended by commits, sorted
by object at compaction. `cat_id` and `obj_id` name the object for good, `ave_ref` is its row
in Average at the time of writing, which compaction renews.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import StorageError
from dvo.ids import pack_id
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.missing import MISSING
from dvo.tables.schema import TableSchema
from dvo.tables.starpar import STARPAR

__all__ = ["SATELLITES", "Satellite", "find_satellite", "objects_of", "sort_satellites"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Satellite:
    """A satellite table.

    Parameters
    ----------
    schema : TableSchema
        Its columns; ``ave_ref``, ``obj_id`` and ``cat_id`` are among them.
    count, offset : str
        Columns of Average: rows of an object, and the first of them in a sorted catalog.
    key : tuple of str
        Columns that no two rows of an object share, where the image is known; in a sorted
        catalog its rows are in this order.
    """

    schema: TableSchema
    count: str
    offset: str
    key: tuple[str, ...]

    @property
    def has_image(self) -> bool:
        """Whether rows name the image that they were measured on."""
        return "image_id" in self.schema


SATELLITES = (
    Satellite(LENSING, "nlensing", "off_lensing", ("image_id", "det_id")),
    Satellite(LENSOBJ, "nlensobj", "off_lensobj", ("photcode",)),
    Satellite(STARPAR, "nstarpar", "off_starpar", ()),
    Satellite(GALPHOT, "ngalphot", "off_galphot", ("image_id", "det_id", "model_type")),
    Satellite(MISSING, "nmissing", "off_missing", ("image_id",)),
)
"""All satellite tables."""

_BY_NAME = {s.schema.name: s for s in SATELLITES}


def find_satellite(name: str) -> Satellite | None:
    """Find a satellite table by the name of its schema; None if it is another table."""
    return _BY_NAME.get(name)


def sort_satellites(
    average: ColumnTable,
    edges: Array,
    satellite: Satellite,
    table: ColumnTable,
) -> tuple[ColumnTable, Array]:
    """Put rows of a satellite table in the order of their objects, and link the two.

    Parameters
    ----------
    average : ColumnTable
        Objects of one or many catalogs in their new order; count and offset are set here.
    edges : ndarray of int64, shape (n + 1,)
        Where the objects of each catalog begin, and where the last ones end.
    satellite : Satellite
        Which table.
    table : ColumnTable
        All its rows of these objects, in any order.

    Returns
    -------
    table : ColumnTable
        The same rows, sorted within their catalogs, ave_ref made anew. Offsets are -1 for
        objects without rows.
    runs : ndarray of int64, shape (n + 1,)
        Where the rows of each catalog begin, and where the last ones end.

    Raises
    ------
    StorageError
        If a row names an object that is not there.
    """
    ref = objects_of(average, table)
    order = np.lexsort((*(table[name] for name in reversed(satellite.key)), ref))
    table, ref = table.take(order), ref[order]
    counts = np.bincount(ref, minlength=len(average))
    before = np.concatenate([[0], np.cumsum(counts)])
    runs = before[edges]
    # Objects and rows are counted through all catalogs here, and from 0 in each there.
    table["ave_ref"] = (ref - np.repeat(edges[:-1], np.diff(runs))).astype(np.uint32)
    catalog = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    offsets = before[:-1] - runs[:-1][catalog]
    average[satellite.count] = counts.astype(np.uint32)
    null = AVERAGE[satellite.offset].nulls(1)
    average[satellite.offset] = np.where(counts > 0, offsets, null)
    return table, runs


def objects_of(average: ColumnTable, table: ColumnTable) -> Array:
    """Find the objects that rows of a satellite table name.

    Parameters
    ----------
    average : ColumnTable
        The objects.
    table : ColumnTable
        The rows.

    Returns
    -------
    ndarray of int64
        Row of `average` for each.

    Raises
    ------
    StorageError
        If a row names an object that is not there.
    """
    if len(table) == 0:
        return np.empty(0, np.int64)
    objects = pack_id(average["cat_id"], average["obj_id"])
    wanted = pack_id(table["cat_id"], table["obj_id"])
    by_id = np.argsort(objects)
    place = np.minimum(np.searchsorted(objects, wanted, sorter=by_id), len(objects) - 1)
    ref = by_id[place]
    lost = np.flatnonzero(objects[ref] != wanted)
    if len(lost):
        i = lost[0]
        raise StorageError(
            f"{table.schema.name}: a row names object {table['obj_id'][i]} of catalog "
            f"{table['cat_id'][i]}, which is not there; see dvo check --deep"
        )
    return np.asarray(ref)
