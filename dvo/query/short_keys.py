"""Keys of GROUP BY in eight bits, where their values fit: a group is then a place in an array.

DuckDB knows nothing of the values in an Arrow table, so it hashes every key, unless the type
has so few values that each can have a place of its own. Numbers of photcodes, chips or bits of
flags have: where all values of a key column lie below 256 the evaluator is given a copy of it
in eight bits, which takes it a little more than half the time. What comes out has the type of
the column again, and sums see the same rows in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

__all__ = ["ShortKeys"]

_FEW_ROWS = 20_000
"""Rows that are grouped before a copy of their keys has been made."""

_CLAUSES = {"expressions", "from_", "joins", "where", "group"}
_MOST = 255


@dataclass(frozen=True)
class _Key:
    alias: str
    column: str
    short: str
    """Name of the copy."""
    result: int
    """Column of the result that it becomes."""


@dataclass(frozen=True)
class ShortKeys:
    """Which columns a query groups by, and the query with other columns in their place.

    Parameters
    ----------
    tree : sqlglot.exp.Query or None
        The query with copies of its keys; None if it groups by no column.
    keys : tuple
        The columns.
    """

    tree: exp.Query | None
    keys: tuple[_Key, ...]

    @staticmethod
    def of(tree: exp.Query) -> ShortKeys:
        """Find the keys of a query whose tables are called by their aliases or names.

        Parameters
        ----------
        tree : sqlglot.exp.Query
            The query; it is not changed.

        Returns
        -------
        ShortKeys
            Its keys: columns that are results as they stand and keys of GROUP BY.
        """
        clauses = {name for name, value in tree.args.items() if value}
        group = tree.args.get("group")
        if not isinstance(tree, exp.Select) or group is None or clauses - _CLAUSES:
            return ShortKeys(None, ())
        changed = tree.copy()
        keys = []
        results = {p.this: k for k, p in enumerate(tree.expressions) if isinstance(p, exp.Alias)}
        for place, column in enumerate(group.expressions):
            result = results.get(column)
            if not isinstance(column, exp.Column) or not column.table or result is None:
                continue
            key = _Key(column.table, column.name, f"{column.name}__short", result)
            short = exp.column(key.short, table=key.alias)
            changed.args["group"].expressions[place].replace(short)
            changed.expressions[result].set("this", short.copy())
            keys.append(key)
        return ShortKeys(changed if keys else None, tuple(keys))

    def over(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table] | None:
        """Add the copies to tables.

        Parameters
        ----------
        tables : mapping of str to pyarrow.Table
            The tables, by their aliases.

        Returns
        -------
        dict of str to pyarrow.Table or None
            The tables with the copies; None if there are too few rows, or a key has other
            values than the numbers from 0 to 255.
        """
        found = dict(tables)
        for key in self.keys:
            table = found.get(key.alias)
            if table is None or len(table) <= _FEW_ROWS:
                return None
            short = _shortened(table.column(key.column))
            if short is None:
                return None
            found[key.alias] = table.append_column(key.short, short)
        return found if self.keys else None

    def restored(self, result: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Give the keys of a result the types that they have in their tables.

        Parameters
        ----------
        result : pyarrow.Table
            What came of `tree`.
        tables : mapping of str to pyarrow.Table
            The tables, by their aliases.

        Returns
        -------
        pyarrow.Table
            The result of the query.
        """
        for key in self.keys:
            kind = tables[key.alias].schema.field(key.column).type
            name = result.column_names[key.result]
            result = result.set_column(key.result, name, result.column(key.result).cast(kind))
        return result


def _shortened(column: pa.ChunkedArray[Any]) -> pa.Array[Any] | pa.ChunkedArray[Any] | None:
    """A column in eight bits; None if it does not fit."""
    if not pa.types.is_integer(column.type):
        return None
    if column.null_count:
        least, greatest = pc.min(column).as_py(), pc.max(column).as_py()
        fits = least is not None and least >= 0 and greatest <= _MOST
        return column.cast(pa.uint8(), safe=False) if fits else None
    out = np.empty(len(column), np.uint8)
    start = 0
    for chunk in column.chunks:
        values = chunk.to_numpy()
        if len(values) == 0:
            continue
        if values.max() > _MOST or (values.dtype.kind == "i" and values.min() < 0):
            return None
        out[start : start + len(values)] = values
        start += len(values)
    return pa.array(out)
