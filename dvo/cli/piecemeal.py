"""Results that are written piece by piece, in the forms for programs: CSV, JSON, Parquet.

In CSV and JSON a number has the fewest digits that give the same number back in its own
type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

__all__ = ["PIECE_WRITERS", "write_csv", "write_json", "write_parquet"]

About = dict[bytes, bytes]

_JSON_ROWS = 10_000
"""Rows that are made into text at a time."""


def write_csv(pieces: Iterator[pa.Table], file: Any) -> tuple[int, About]:
    """Write comma-separated values under a line of names; vectors as text.

    Parameters
    ----------
    pieces : iterator of pyarrow.Table
        The result; at least one table.
    file : file
        Open for writing bytes.

    Returns
    -------
    n_rows : int
        Rows that were written.
    about : dict of bytes to bytes
        Metadata of the last piece.
    """
    n_rows, about, with_names = 0, {}, True
    for piece in pieces:
        flat = [_without_vectors(column) for column in piece.columns]
        table = pa.Table.from_arrays(flat, names=piece.column_names)
        options = pyarrow.csv.WriteOptions(include_header=with_names)
        pyarrow.csv.write_csv(table, file, options)
        n_rows, about, with_names = n_rows + len(piece), piece.schema.metadata or {}, False
    return n_rows, about


def _without_vectors(column: Any) -> Any:
    if not pa.types.is_fixed_size_list(column.type):
        return column
    return pa.array([",".join(map(str, vector)) for vector in column.to_pylist()], pa.string())


def write_json(pieces: Iterator[pa.Table], file: Any) -> tuple[int, About]:
    """Write a list of objects, one a row; null for what is missing or not finite.

    Parameters
    ----------
    pieces : iterator of pyarrow.Table
        The result; at least one table.
    file : file
        Open for writing bytes.

    Returns
    -------
    n_rows : int
        Rows that were written.
    about : dict of bytes to bytes
        Metadata of the last piece.
    """
    n_rows, about = 0, {}
    file.write(b"[")
    for piece in pieces:
        for start in range(0, len(piece), _JSON_ROWS):
            text = json.dumps(_objects(piece.slice(start, _JSON_ROWS)))
            file.write((", " if n_rows + start else "").encode() + text[1:-1].encode())
        n_rows, about = n_rows + len(piece), piece.schema.metadata or {}
    file.write(b"]\n")
    return n_rows, about


def _objects(table: pa.Table) -> list[dict[str, Any]]:
    columns = [[_plain(v) for v in _shortest(column)] for column in table.columns]
    names = table.column_names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _shortest(column: pa.ChunkedArray[Any]) -> list[Any]:
    """Values of a column; those of float32 with the digits that they need, not with 17."""
    values = column.to_pylist()
    if not pa.types.is_float32(column.type):
        return values
    short = np.array(values, np.float32).astype(str).tolist()
    return [None if v is None else float(s) for v, s in zip(values, short, strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_parquet(pieces: Iterator[pa.Table], file: Any) -> tuple[int, About]:
    """Write a Parquet file, with the metadata of the columns and of the last piece.

    Parameters
    ----------
    pieces : iterator of pyarrow.Table
        The result; at least one table.
    file : file
        Open for writing bytes.

    Returns
    -------
    n_rows : int
        Rows that were written.
    about : dict of bytes to bytes
        Metadata of the last piece.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import

    first = next(pieces)
    n_rows, about = len(first), first.schema.metadata or {}
    # A table of the values that occur pays for few numbers with a point, and takes memory.
    repeated: Any = [f.name for f in first.schema if not pa.types.is_floating(f.type)] or False
    with pq.ParquetWriter(
        file, first.schema, compression="zstd", use_dictionary=repeated
    ) as writer:
        writer.write_table(first)
        for piece in pieces:
            writer.write_table(piece.replace_schema_metadata(first.schema.metadata))
            n_rows, about = n_rows + len(piece), piece.schema.metadata or {}
        known = first.schema.metadata or {}
        late = {k.decode(): v.decode() for k, v in about.items() if k not in known}
        if late:
            writer.add_key_value_metadata(late)
    return n_rows, about


PIECE_WRITERS: dict[str, Callable[[Iterator[pa.Table], Any], tuple[int, About]]] = {
    "csv": write_csv,
    "json": write_json,
    "parquet": write_parquet,
}
"""What writes each of these forms."""
