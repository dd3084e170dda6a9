"""Results as text: tables for people, CSV and JSON for programs.

In CSV and JSON a number has the fewest digits that give the same number back in its own
type. People get as many digits as mean something.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

__all__ = ["write_csv", "write_json", "write_table"]

# 0.04 mas, 0.1 s, 0.1 mas and 0.1 mmag.
_DECIMALS = {("double", "deg"): 8, ("double", "d"): 6, ("double", "arcsec"): 4, ("float", "mag"): 4}


def write_table(table: pa.Table, heading: Sequence[str], file: Any) -> None:
    """Write columns under their names and units, right-aligned; ``-`` for null.

    Parameters
    ----------
    table : pyarrow.Table
        The result.
    heading : sequence of str
        Lines above it; they begin with ``#``.
    file : file
        Open for writing bytes.
    """
    file.writelines(f"# {line}\n".encode() for line in heading)
    units = [(f.metadata or {}).get(b"unit", b"").decode() for f in table.schema]
    columns = [_cells(table[i], unit) for i, unit in enumerate(units)]
    names = table.column_names
    lines = [names, *([[f"[{u}]" if u else "" for u in units]] if any(units) else [])]
    lines += [list(row) for row in zip(*columns, strict=True)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(names))]
    for line in lines:
        text = "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        file.write(text.encode() + b"\n")


def _cells(column: pa.ChunkedArray[Any], unit: str) -> list[str]:
    decimals = _DECIMALS.get((str(column.type), unit))
    if decimals is not None:
        return ["-" if v is None else f"{v:.{decimals}f}" for v in column.to_pylist()]
    n_digits = 6 if pa.types.is_float32(column.type) else 10
    return [_text(v, n_digits) for v in column.to_pylist()]


def _text(value: Any, n_digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(_text(v, n_digits) for v in value)
    return f"{value:.{n_digits}g}" if isinstance(value, float) else str(value)


def _shortest(column: pa.ChunkedArray[Any]) -> list[Any]:
    """Values of a column; those of float32 with the digits that they need, not with 17."""
    values = column.to_pylist()
    if not pa.types.is_float32(column.type):
        return values
    short = np.array(values, np.float32).astype(str).tolist()
    return [None if v is None else float(s) for v, s in zip(values, short, strict=True)]


def write_csv(table: pa.Table, file: Any) -> None:
    """Write comma-separated values under a line of names; vectors as text.

    Parameters
    ----------
    table : pyarrow.Table
        The result.
    file : file
        Open for writing bytes.
    """
    flat = [_without_vectors(column) for column in table.columns]
    pyarrow.csv.write_csv(pa.Table.from_arrays(flat, names=table.column_names), file)


def _without_vectors(column: Any) -> Any:
    if not pa.types.is_fixed_size_list(column.type):
        return column
    return pa.array([",".join(map(str, vector)) for vector in column.to_pylist()])


def write_json(table: pa.Table, file: Any) -> None:
    """Write a list of objects, one a row; null for what is missing or not finite.

    Parameters
    ----------
    table : pyarrow.Table
        The result.
    file : file
        Open for writing bytes.
    """
    columns = [[_plain(v) for v in _shortest(column)] for column in table.columns]
    names = table.column_names
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    file.write(json.dumps(rows).encode() + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
