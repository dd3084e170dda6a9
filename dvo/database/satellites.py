"""Rows of satellite tables with what is known of their objects: where they are, and who.

Most satellite tables have no positions of their own. A row lies where its object does (its
mean position), so that a cone has the rows of the objects in it, whatever the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.bounds import Area
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.satellites import find_satellite
from dvo.tables.schema import Column, TableSchema

__all__ = ["OF_OBJECT", "join_objects", "read_satellites", "read_satellites_in"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_MEANINGS = {
    "ra": "mean right ascension of the object, ICRS",
    "dec": "mean declination of the object, ICRS",
    "ext_id": "public object id (PSPS objID) of the object",
}

OF_OBJECT: dict[str, Column] = {
    f"object_{name}": replace(AVERAGE[name], name=f"object_{name}", meaning=meaning)
    for name, meaning in _MEANINGS.items()
}
"""Columns that rows get of their objects, by the name that they are read under."""

_GAP_ROWS = 8192  # between rows wanted, from which it is sooner read in two runs


@cache
def _with_objects(schema: TableSchema) -> TableSchema:
    return replace(schema, columns=(*schema.columns, *OF_OBJECT.values()))


def read_satellites(
    view: View, schema: TableSchema, regions: Sequence[int], columns: Sequence[str]
) -> tuple[ColumnTable, I64]:
    """Read a satellite table of some regions, all rows.

    Parameters
    ----------
    view : View
        The snapshot.
    schema : TableSchema
        Which table.
    regions : sequence of int
        Which regions, ascending.
    columns : sequence of str
        Columns of the table and of `OF_OBJECT`.

    Returns
    -------
    table : ColumnTable
        The rows, region after region.
    edges : ndarray of int64, shape (len(regions) + 1,)
        Where those of each region begin, and where the last ones end.
    """
    names, of_object = _split(columns)
    table, edges = view.read_many(schema, regions, names)
    if not of_object:
        return table, edges
    average, starts = view.read_many(AVERAGE, regions, _average_names(of_object))
    objects = np.repeat(starts[:-1], np.diff(edges)) + table["ave_ref"]
    return join_objects(table, average, objects, of_object), edges


def read_satellites_in(
    view: View, schema: TableSchema, region: int, columns: Sequence[str], area: Area | None
) -> ColumnTable:
    """Read the rows of a satellite table of a region whose objects lie in an area.

    Parameters
    ----------
    view : View
        The snapshot.
    schema : TableSchema
        Which table.
    region : int
        Which region.
    columns : sequence of str
        Columns of the table and of `OF_OBJECT`.
    area : Area or None
        Which area; None for all rows.

    Returns
    -------
    ColumnTable
        The rows, in the order in which they are stored.
    """
    if area is None or not view.n_rows(schema, region):
        return read_satellites(view, schema, [region], columns)[0]
    names, of_object = _split(columns)
    average = view.read(AVERAGE, region, _average_names([*of_object, "object_ra", "object_dec"]))
    inside = area.holds(average["ra"], average["dec"])
    runs = _runs(view, schema, region, inside)
    tables = [view.read_rows(schema, region, names, start, stop) for start, stop in runs]
    table = ColumnTable.concatenate(schema, tables or [ColumnTable(schema, {}, 0)])
    table = table.take(inside[table["ave_ref"]])
    return join_objects(table, average, table["ave_ref"], of_object)


def join_objects(
    table: ColumnTable, average: ColumnTable, objects: Array, columns: Sequence[str]
) -> ColumnTable:
    """Give rows what is known of their objects.

    Parameters
    ----------
    table : ColumnTable
        Rows of a satellite table.
    average : ColumnTable
        Rows of Average.
    objects : ndarray of int
        Row of `average` for each row of the table.
    columns : sequence of str
        Names of `OF_OBJECT`.

    Returns
    -------
    ColumnTable
        The rows with these columns.
    """
    found = {name: average[name.removeprefix("object_")][objects] for name in columns}
    return ColumnTable(_with_objects(table.schema), table.columns | found, len(table))


def _split(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns to read of the table, its link among them, and those of objects."""
    of_object = [n for n in dict.fromkeys(columns) if n in OF_OBJECT]
    return list(dict.fromkeys([*(n for n in columns if n not in OF_OBJECT), "ave_ref"])), of_object


def _average_names(of_object: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(n.removeprefix("object_") for n in of_object))


def _runs(
    view: View, schema: TableSchema, region: int, inside: NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Runs of rows that hold those of some objects: few of a sorted table, else all of it."""
    satellite = find_satellite(schema.name)
    if satellite is None or not view.catalog(region).is_sorted:
        return [(0, view.n_rows(schema, region))]
    links = view.read(AVERAGE, region, [satellite.offset, satellite.count])
    has = np.flatnonzero(inside & (links[satellite.count] > 0))
    if len(has) == 0:
        return []
    # In a sorted table rows are in the order of objects.
    starts = links[satellite.offset][has]
    stops = starts + links[satellite.count][has]
    cuts = np.flatnonzero(starts[1:] - stops[:-1] > _GAP_ROWS) + 1
    first, last = np.append(0, cuts), np.append(cuts, len(has)) - 1
    return list(zip(starts[first].tolist(), stops[last].tolist(), strict=True))
