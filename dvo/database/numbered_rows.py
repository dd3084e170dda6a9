"""Rows of a region that know their numbers, to be set beside rows of other tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dvo.partition.bounds import Area
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.schema import Column, TableSchema

__all__ = ["ROW", "read_numbered"]

ROW = Column("row", "i8", "row in its catalog")
"""The column of the numbers."""


def read_numbered(
    view: View, schema: TableSchema, region: int, columns: Sequence[str], area: Area | None
) -> ColumnTable:
    """Read the rows of a region that lie in an area, with their row numbers.

    Parameters
    ----------
    view : View
        The snapshot.
    schema : TableSchema
        Which table; it has ra and dec.
    region : int
        Which region.
    columns : sequence of str
        Which columns.
    area : Area or None
        Which area; None for all rows.

    Returns
    -------
    ColumnTable
        The rows in the area; `ROW` is one more column.
    """
    table = view.read(schema, region, [*columns, "ra", "dec"])
    rows = np.arange(len(table))
    if area is not None:
        rows = np.flatnonzero(area.holds(table["ra"], table["dec"]))
    found = table.take(rows)
    wider = replace(schema, columns=(*schema.columns, ROW))
    return ColumnTable(wider, {**found.columns, ROW.name: rows}, len(rows))
