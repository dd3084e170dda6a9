"""ColumnTable: named arrays of one length that obey a schema.

Columns that nobody set are not kept; asking for one gives its null values. That is how
wide tables with few measured columns stay small in memory and on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError, ShapeError
from dvo.tables.schema import TableSchema

__all__ = ["ColumnTable"]

Array = NDArray[Any]


class ColumnTable:
    """Columns of one length with the types of a schema.

    Parameters
    ----------
    schema : TableSchema
        Which columns there can be.
    columns : mapping of str to ndarray
        Columns by Python name; cast to the schema's types where NumPy calls that safe
        enough (same kind), copied only then.
    n_rows : int, optional
        Number of rows; needed only when `columns` is empty.

    Raises
    ------
    SchemaError
        If a column is not in the schema.
    ShapeError
        If columns differ in length.
    """

    __slots__ = ("_columns", "n_rows", "schema")

    def __init__(
        self, schema: TableSchema, columns: Mapping[str, Array], n_rows: int | None = None
    ) -> None:
        self.schema = schema
        self._columns: dict[str, Array] = {}
        self.n_rows = n_rows if n_rows is not None else _length(schema, columns)
        for name, values in columns.items():
            self[name] = values

    def __setitem__(self, name: str, values: Array) -> None:
        column = self.schema[name]
        shape = (self.n_rows,) if column.shape == 1 else (self.n_rows, column.shape)
        if values.shape != shape:
            raise ShapeError(
                f"column {name} of {self.schema.name} has shape {values.shape}, not {shape}"
            )
        kept = values.astype(column.numpy_dtype, casting="same_kind", copy=False)
        self._columns[name] = np.ascontiguousarray(kept)

    def __getitem__(self, name: str) -> Array:
        found = self._columns.get(name)
        return found if found is not None else self.schema[name].nulls(self.n_rows)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return self.n_rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    @property
    def columns(self) -> dict[str, Array]:
        """The columns that are set, by Python name."""
        return self._columns

    def take(self, rows: Array | slice) -> ColumnTable:
        """Make a table of some rows.

        Parameters
        ----------
        rows : ndarray of int or bool, or slice
            Which rows, in which order.

        Returns
        -------
        ColumnTable
            The rows; a slice shares memory with this table.
        """
        if isinstance(rows, slice):
            n_rows = len(range(*rows.indices(self.n_rows)))
        else:
            n_rows = int(np.count_nonzero(rows)) if rows.dtype == np.bool_ else len(rows)
        return ColumnTable(self.schema, {n: v[rows] for n, v in self._columns.items()}, n_rows)

    def without_nulls(self) -> ColumnTable:
        """Leave out the columns in which every value is null.

        Returns
        -------
        ColumnTable
            A table that shares the arrays of the columns it keeps.
        """
        kept = {n: v for n, v in self._columns.items() if not self._is_wholly_null(n, v)}
        return ColumnTable(self.schema, kept, self.n_rows)

    def _is_wholly_null(self, name: str, values: Array) -> bool:
        column = self.schema[name]
        if not column.nullable or len(values) == 0:
            return False
        # Most columns show in their first row that they hold something.
        return bool(column.is_null(values[:1]).all() and column.is_null(values).all())

    @classmethod
    def concatenate(cls, schema: TableSchema, tables: Sequence[ColumnTable]) -> ColumnTable:
        """Put tables after one another; a column set in any of them is set in the result.

        Parameters
        ----------
        schema : TableSchema
            Schema of all of them.
        tables : sequence of ColumnTable
            In the order wanted; may be empty.

        Returns
        -------
        ColumnTable
            All rows.
        """
        if len(tables) == 1:
            return tables[0]
        present = {name for table in tables for name in table}
        names = [name for name in schema.names if name in present]
        n_rows = sum(len(t) for t in tables)
        joined = {name: np.concatenate([t[name] for t in tables]) for name in names}
        return cls(schema, joined, n_rows)


def _length(schema: TableSchema, columns: Mapping[str, Array]) -> int:
    lengths = {len(v) for v in columns.values()}
    if len(lengths) > 1:
        found = ", ".join(f"{n}: {len(v)}" for n, v in columns.items())
        raise ShapeError(f"columns of {schema.name} differ in length: {found}")
    if not lengths:
        raise SchemaError(f"a {schema.name} table without columns needs n_rows")
    return lengths.pop()
