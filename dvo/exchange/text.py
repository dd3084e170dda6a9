"""CSV, plain or with the header of ECSV 1.0 that tells types, units and meanings.

In either form a number has the fewest digits that give the same number back in its own
type, a missing value is an empty cell, and a vector is a list in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.exchange.extract import Values

__all__ = ["TextFile"]

ECSV = ".ecsv"
"""Ending of files that tell of their columns."""


class TextFile:
    """A table of comma-separated values being written.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of OutputColumn
        Its columns.
    about : str or None
        One line on the table, for people: with it the file is ECSV; None for plain CSV.
    """

    def __init__(self, path: Path, columns: Sequence[OutputColumn], about: str | None) -> None:
        self._columns = columns
        self._file: IO[bytes] = path.open("xb")
        if about is not None:
            self._file.write(_ecsv_header(columns, about))
        nothing = self._flat({c.name: c.like.nulls(0) for c in columns})
        # pyarrow would put all names into quotes.
        self._file.write((",".join(c.name for c in columns) + "\n").encode())
        options = pa.csv.WriteOptions(quoting_style="needed", include_header=False)
        self._writer = pa.csv.CSVWriter(self._file, nothing.schema, write_options=options)

    def _flat(self, values: Values) -> pa.Table:
        table = to_arrow(self._columns, values)
        columns = [_as_json(c) if pa.types.is_fixed_size_list(c.type) else c for c in table.columns]
        return pa.Table.from_arrays(columns, names=table.column_names)

    def write(self, values: Values) -> None:
        """Append rows."""
        self._writer.write_table(self._flat(values))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._file.close()


def _as_json(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    return pa.array([json.dumps(v) for v in column.to_pylist()], pa.string())


def _ecsv_header(columns: Sequence[OutputColumn], about: str) -> bytes:
    from astropy.table import Column  # noqa: PLC0415 - slow to import
    from astropy.table.meta import get_yaml_from_header  # noqa: PLC0415

    cols = []
    for column in columns:
        like = column.like
        kind = np.dtype(str) if like.dtype[0] == "S" else like.numpy_dtype
        shape = (0,) if like.shape == 1 else (0, like.shape)
        made = Column(np.empty(shape, kind), column.name, unit=like.unit or None)
        made.description = like.meaning
        if like.ucd:
            made.meta["ucd"] = like.ucd
        cols.append(made)
    header = {"delimiter": ",", "cols": cols, "meta": {"comments": [about]}}
    lines = ["%ECSV 1.0", "---", *get_yaml_from_header(header)]
    return "".join(f"# {line}\n" for line in lines).encode()
