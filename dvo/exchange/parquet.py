"""Parquet files: how they are packed, and what they say of their columns.

Units, UCDs and meanings are in the metadata of the Arrow fields, and as a VOTable without
data in the metadata of the file (VOParquet 1.0, IVOA Note 2025-01-14), which is where
TOPCAT, STILTS and LSDB look for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.exchange.extract import Values
from dvo.exchange.votable import describe_columns

__all__ = ["ROW_GROUP", "ParquetFile", "arrow_schema", "packing"]

ROW_GROUP = 100_000
"""Rows that a reader has to read together."""

_SAMPLE = 20_000


def arrow_schema(columns: Sequence[OutputColumn], about: str) -> pa.Schema:
    """Schema of the files of an export.

    Parameters
    ----------
    columns : sequence of OutputColumn
        Its columns.
    about : str
        One line on the table, for people.

    Returns
    -------
    pyarrow.Schema
        With the VOTable of VOParquet in its metadata.
    """
    nothing = to_arrow(columns, {c.name: c.like.nulls(0) for c in columns})
    return nothing.schema.with_metadata(
        {
            "IVOA.VOTable-Parquet.version": "1.0",
            "IVOA.VOTable-Parquet.content": describe_columns(columns, about),
        }
    )


def packing(sample: pa.Table, sorted_by: str | None = None) -> dict[str, Any]:
    """How columns are packed: the arguments of `pyarrow.parquet.ParquetWriter`.

    Parameters
    ----------
    sample : pyarrow.Table
        The first rows.
    sorted_by : str, optional
        Column of integers that the rows are in the order of.

    Returns
    -------
    dict
        Columns of few different values, and text, get dictionaries; of other numbers the
        bytes are split into streams (floats), or differences are kept (integers of 32 bits;
        in longer ids zstd finds more). That is a third smaller than pyarrow's way, and
        written in half the time.
    """
    some = sample.slice(0, _SAMPLE)
    encodings = {}
    for f in sample.schema:
        is_number = pa.types.is_integer(f.type) or pa.types.is_floating(f.type)
        if not is_number or len(some[f.name].unique()) <= len(some) // 10:
            continue
        if pa.types.is_floating(f.type):
            encodings[f.name] = "BYTE_STREAM_SPLIT"
        else:
            encodings[f.name] = "PLAIN" if f.type.bit_width == 64 else "DELTA_BINARY_PACKED"
    if sorted_by is not None:
        encodings[sorted_by] = "DELTA_BINARY_PACKED"
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [n for n in sample.schema.names if n not in encodings],
        "column_encoding": encodings,
        "write_statistics": True,
        "write_page_index": True,
    }


class ParquetFile:
    """A Parquet file being written.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of OutputColumn
        Its columns.
    about : str
        One line on the table, for people.
    """

    def __init__(self, path: Path, columns: Sequence[OutputColumn], about: str) -> None:
        self._path = path
        self._columns = columns
        self._schema = arrow_schema(columns, about)
        self._writer: pq.ParquetWriter | None = None

    def write(self, values: Values) -> None:
        """Append rows."""
        self._append(to_arrow(self._columns, values).cast(self._schema))

    def _append(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema, **packing(table))
        self._writer.write_table(table, row_group_size=ROW_GROUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is None and kind is None:
            self._append(self._schema.empty_table())
        if self._writer is not None:
            self._writer.close()
