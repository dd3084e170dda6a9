"""Results as a FITS table: types, units and nulls of the tables that they come from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.tables.fits import Field, TableHDU, write_fits

__all__ = ["write_fits_table"]


def write_fits_table(table: pa.Table, path: Path) -> None:
    """Write a result to a new file, as a plain binary table.

    Parameters
    ----------
    table : pyarrow.Table
        The result. NaN stands for null in floats, the null of the column in integers.
    path : Path
        The file; it must not exist.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    fields, columns = [], {}
    for about in table.schema:
        facts = {k.decode(): v.decode() for k, v in (about.metadata or {}).items()}
        null = int(facts["null"]) if "null" in facts else None
        values = _values(table[about.name], null)
        made = Field.from_array(
            about.name, values, unit=facts.get("unit", ""), ucd=facts.get("ucd", ""),
            meaning=facts.get("description", ""),
            null=null if values.dtype.kind == "i" else None,
        )  # fmt: skip
        fields.append(made)
        columns[made.name] = values
    facts = {k.decode().upper(): _fact(v) for k, v in (table.schema.metadata or {}).items()}
    write_fits(path, [TableHDU("RESULT", tuple(fields), columns, facts, tile_rows=None)])


def _fact(text: bytes) -> Any:
    """What a header can hold of something in JSON: lists stay text."""
    value = json.loads(text)
    return text.decode() if isinstance(value, list | dict) else value


def _values(column: pa.ChunkedArray[Any], null: int | None) -> NDArray[Any]:
    if pa.types.is_string(column.type):
        words = [(v or "").encode("ascii", "replace") for v in column.to_pylist()]
        return np.array(words, dtype=f"S{max(map(len, words), default=0) or 1}")
    if pa.types.is_fixed_size_list(column.type):
        return np.array(column.to_pylist()).reshape(len(column), column.type.list_size)
    if pa.types.is_boolean(column.type):
        return np.array(column.to_pylist(), np.bool_)
    if column.null_count:
        column = column.fill_null(pa.scalar(_null_of(column.type, null), column.type))
    # to_numpy would load pandas, which takes longer than most queries.
    kind = np.dtype(column.type.to_pandas_dtype())
    chunks = [
        np.frombuffer(memoryview(c.buffers()[1] or b""), kind)[c.offset :][: len(c)]
        for c in column.chunks
    ]
    return np.concatenate(chunks) if chunks else np.empty(0, kind)


def _null_of(kind: pa.DataType, null: int | None) -> float:
    return math.nan if pa.types.is_floating(kind) else null or 0
