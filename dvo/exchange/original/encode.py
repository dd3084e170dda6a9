"""Values of ours in the types of the original, and tables made of them.

What does not fit is brought to the greatest value that does; what is unknown is NaN in
floats and the greatest value of an integer type, as the original marks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.exchange.original.formats import OldColumn, OldTable
from dvo.tables.fits import Field, TableHDU
from dvo.tables.schema import Column, TableSchema

__all__ = ["encode", "old_table"]

Array = NDArray[Any]

_INTEGERS = {"J": "i4", "I": "i2", "U": "u4", "H": "u2", "B": "u1", "K": "u8"}


def encode(column: OldColumn, values: Array, like: Column | None) -> Array:
    """Bring values into the type of a column of the original.

    Parameters
    ----------
    column : OldColumn
        The column.
    values : ndarray
        Values of ours.
    like : Column or None
        What they are, for their null; None if they have none.

    Returns
    -------
    ndarray
        Of the type that is written: unsigned integers as signed ones of the same bits.
    """
    form = column.form
    if form[-1] == "A":
        return np.asarray(values.astype(f"S{form[:-1]}"))
    if form[-1] == "E" or form == "D":
        scaled = values * column.scale if column.scale != 1.0 else values
        return np.asarray(scaled.astype("f8" if form == "D" else "f4"))
    kind = np.dtype(_INTEGERS[form])
    limit = int(np.iinfo(kind).max)
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        scaled = np.rint(np.where(known, values, 0.0).astype(np.float64) * column.scale)
        fitting = np.clip(scaled, np.iinfo(kind).min, limit - 1)
        return _as_stored(np.where(known, fitting, limit).astype(kind), kind)
    if kind.kind == "u" and values.dtype.kind == "u" and kind.itemsize >= values.dtype.itemsize:
        return _as_stored(values.astype(kind), kind)  # flags and ids: their bits
    fitting = np.clip(values.astype(np.int64), int(np.iinfo(kind).min), limit)
    # A null of 0 is one that the original writes just so.
    if like is not None and like.null and not _keeps_null(column):
        fitting = np.where(like.is_null(values), limit, fitting)
    return _as_stored(fitting.astype(kind), kind)


def _keeps_null(column: OldColumn) -> bool:
    """Whether -1 stands for nothing in the original too: in offsets and distances."""
    return column.name.startswith("OFF_") or column.name.endswith(("_OFF", "_DIST"))


def _as_stored(values: Array, kind: np.dtype[Any]) -> Array:
    if kind.kind == "u" and kind.itemsize > 1:
        return values.view(np.dtype(f"i{kind.itemsize}"))
    return values


def old_table(
    table: OldTable, schema: TableSchema, columns: Mapping[str, Array], n_rows: int
) -> TableHDU:
    """Make a table of the original.

    Parameters
    ----------
    table : OldTable
        Which.
    schema : TableSchema
        Ours that it is made from.
    columns : mapping of str to ndarray
        Columns of ours; those that are not there are unknown.
    n_rows : int
        Number of rows.

    Returns
    -------
    TableHDU
        To be written uncompressed.
    """
    fields, made = [], {}
    for column in table.columns:
        if column.source:
            like = schema[column.source]
            own = columns.get(column.source)
            values = encode(column, like.nulls(n_rows) if own is None else own, like)
        else:
            values = encode(column, _zeros(column, n_rows), None)
        field = Field.from_array(column.name, values, unit=column.unit)
        fields.append(field)
        made[field.name] = values
    assert sum(f.width for f in fields) == table.row_bytes, table.extname
    return TableHDU(table.extname, tuple(fields), made, tile_rows=None)


def _zeros(column: OldColumn, n_rows: int) -> Array:
    return np.zeros(n_rows, "S1" if column.form[-1] == "A" else np.int64)
