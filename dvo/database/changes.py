"""Rows that differ between two snapshots, as an Arrow table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.errors import QueryError, UnknownColumnError
from dvo.partition.history import DiffRows
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.row_keys import FILTER_KEY, ROW_KEYS
from dvo.tables.schema import Column

__all__ = ["diff_table", "table_name"]

_CHANGE = Column("change", "S6", "added, gone, or, of one that has changed, before and after")
_REGION = Column("region", "S16", "region of the SkyTable")
_FILTER = Column("filter", "S32", "average filter", ucd="meta.id;instr.filter")


def table_name(table: str) -> str:
    """Name of a table as its schema has it, whatever the case.

    Parameters
    ----------
    table : str
        The name, such as ``measure``.

    Returns
    -------
    str
        Such as ``Measure``.

    Raises
    ------
    QueryError
        If there is no such table.
    """
    for name in ROW_KEYS:
        if name.lower() == table.lower():
            return name
    raise QueryError(f"no table {table!r}; there are {', '.join(ROW_KEYS)}")


def diff_table(
    view: View, table: str, found: Iterable[DiffRows], columns: Sequence[str] | None = None
) -> pa.Table:
    """Put rows that differ into one table.

    Parameters
    ----------
    view : View
        A snapshot; its photcodes give the names of filters.
    table : str
        Name of the table.
    found : iterable of DiffRows
        The rows.
    columns : sequence of str, optional
        Columns; None for all that are stored.

    Returns
    -------
    pyarrow.Table
        The rows: change, region, what they are known by, and the columns.

    Raises
    ------
    UnknownColumnError
        If the table has no such column.
    """
    key = ROW_KEYS[table]
    asked = list(key.schema.stored_names if columns is None else columns)
    for name in asked:
        if name not in key.schema.stored_names:
            near = difflib.get_close_matches(name, key.schema.stored_names)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UnknownColumnError(f"{table} has no stored column {name!r}{hint}")
    own = [name for name in key.columns if name in key.schema]
    of_object = [AVERAGE[name] for name in key.columns if name in AVERAGE and name not in own]
    of_filter = [_FILTER] if FILTER_KEY in key.columns and FILTER_KEY not in own else []
    stored = [key.schema[name] for name in dict.fromkeys([*own, *asked])]
    extra = [_CHANGE, _REGION, *of_object, *of_filter]
    outputs = [OutputColumn(column.name, column) for column in (*extra, *stored)]
    filters = {p.code: p.name.encode() for p in view.photcodes.sec}
    pieces = [_piece(view, rows, outputs, filters) for rows in found]
    none = {column.name: column.nulls(0) for column in (*extra, *stored)}
    return pa.concat_tables(pieces or [to_arrow(outputs, none)])


def _piece(
    view: View,
    found: DiffRows,
    outputs: Sequence[OutputColumn],
    filters: dict[int, bytes],
) -> pa.Table:
    regions = found.regions
    names = np.zeros(len(regions), _REGION.numpy_dtype)
    inside = regions >= 0
    names[inside] = np.char.encode(np.array(view.sky.names(regions[inside]), "U16"), "ascii")
    values: dict[str, NDArray[Any]] = dict(found.keys)
    if FILTER_KEY in values:
        codes = values.pop(FILTER_KEY)
        # A filter that the open snapshot has no longer is called by its number.
        words = [filters.get(code, f"#{code}".encode()) for code in codes.tolist()]
        values[_FILTER.name] = np.array(words, _FILTER.numpy_dtype)
    values |= {_CHANGE.name: np.char.encode(found.change, "ascii"), _REGION.name: names}
    for output in outputs:
        if output.name not in values:
            values[output.name] = found.rows[output.name]
    return to_arrow(outputs, values)
