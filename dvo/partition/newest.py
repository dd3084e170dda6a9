"""A table of one region put together from parts that change rows of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.gather import ROW
from dvo.partition.manifest import Part
from dvo.tables.column_table import ColumnTable
from dvo.tables.schema import TableSchema

__all__ = ["newest_values"]

Array = NDArray[Any]


def newest_values(
    schema: TableSchema,
    names: Sequence[str],
    n_rows: int,
    parts: Sequence[Part],
    read: Callable[[Part, list[str]], dict[str, Array]],
) -> ColumnTable:
    """Apply rows, patches and overlays.

    The newest value of a row counts, so parts are gone through from the newest on and
    what is older than all that is still wanted is not read: a catalog whose objects
    are measured again and again costs no more with every patch.

    Parameters
    ----------
    schema : TableSchema
        Which table.
    names : sequence of str
        Which columns.
    n_rows : int
        Rows of the table.
    parts : sequence of Part
        Its parts, in order.
    read : callable
        Reads those columns of a part that it has, of some names.

    Returns
    -------
    ColumnTable
        All rows. Columns wholly null may be left unset.
    """
    starts = _row_starts(parts)
    columns: dict[str, Array] = {}
    # Columns that lack the same rows, and which rows these are; None means all.
    wanted: list[tuple[list[str], Array | None]] = [(list(names), None)]
    for part in reversed(parts):
        rest: list[tuple[list[str], Array | None]] = []
        for group, lacks in wanted:
            if part.columns and not any(n in part.columns for n in group):
                rest.append((group, lacks))
                continue
            new, rows = _values_and_rows(part, group, starts, read)
            here = None if lacks is None else np.flatnonzero(lacks[rows])
            for name, values in new.items():
                if name not in columns:
                    columns[name] = schema[name].nulls(n_rows)
                if here is None:
                    columns[name][rows] = values
                elif len(here):
                    columns[name][rows[here]] = values[here]
            other = [n for n in group if n not in new]
            if other:
                rest.append((other, lacks))
            if new:
                still = np.ones(n_rows, np.bool_) if lacks is None else lacks.copy()
                still[rows] = False
                if still.any():
                    rest.append((list(new), still))
        wanted = rest
        if not wanted:
            break
    return ColumnTable(schema, columns, n_rows)


def _values_and_rows(
    part: Part,
    names: list[str],
    starts: dict[int | None, int],
    read: Callable[[Part, list[str]], dict[str, Array]],
) -> tuple[dict[str, Array], Array]:
    """Columns that a part has of those wanted, and the rows of the table they are for."""
    if part.kind == "patch":
        new = read(part, [ROW, *names])
        return new, new.pop(ROW)
    first = starts[part.id if part.kind == "rows" else part.target]
    return read(part, names), np.arange(first, first + part.n_rows)


def _row_starts(parts: Sequence[Part]) -> dict[int | None, int]:
    """Where the rows of each part of kind ``rows`` begin in the table."""
    starts: dict[int | None, int] = {}
    at = 0
    for part in parts:
        if part.kind == "rows":
            starts[part.id] = at
            at += part.n_rows
    return starts
