"""Results as tables for people: as many digits as mean something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

__all__ = ["write_table"]

# 0.04 mas, 0.1 s, 0.1 mas and 0.1 mmag.
_DECIMALS = {("double", "deg"): 8, ("double", "d"): 6, ("double", "arcsec"): 4, ("float", "mag"): 4,
             ("double", "mag"): 4}  # fmt: skip
_DIGITS = b"digits"


def write_table(
    table: pa.Table, heading: Sequence[str], file: Any, *, width: int | None = None
) -> None:
    """Write columns under their names and units; ``-`` for null.

    Numbers are right-aligned and texts left-aligned.

    Parameters
    ----------
    table : pyarrow.Table
        The result.
    heading : sequence of str
        Lines above it; they begin with ``#``.
    file : file
        Open for writing bytes.
    width : int, optional
        Characters of the widest line that can be read: a table that has wider ones is
        written row by row, each value in a line of its own. None for any width.
    """
    file.writelines(f"# {line}\n".encode() for line in heading)
    units = [(f.metadata or {}).get(b"unit", b"").decode() for f in table.schema]
    columns = [
        _cells(table[i], f, u) for i, (f, u) in enumerate(zip(table.schema, units, strict=True))
    ]
    names = table.column_names
    lines = [names, *([[f"[{u}]" if u else "" for u in units]] if any(units) else [])]
    lines += [list(row) for row in zip(*columns, strict=True)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(names))]
    if width is not None and len(columns) > 1 and sum(widths) + 2 * len(widths) - 2 > width:
        _write_records(names, units, columns, file)
        return
    is_text = [_is_text(f.type) for f in table.schema]
    for line in lines:
        cells = [
            cell.ljust(w) if left else cell.rjust(w)
            for cell, w, left in zip(line, widths, is_text, strict=True)
        ]
        file.write("  ".join(cells).rstrip().encode() + b"\n")


def _write_records(
    names: Sequence[str], units: Sequence[str], columns: Sequence[Sequence[str]], file: Any
) -> None:
    """Write one value a line, with its name and unit, row after row."""
    left = max(map(len, names))
    marks = [f"  [{unit}]" if unit else "" for unit in units]
    whole = len(columns[0])
    for k in range(whole):
        file.write(f"-- row {k + 1} of {whole} ".ljust(left + 20, "-").encode() + b"\n")
        for name, mark, column in zip(names, marks, columns, strict=True):
            file.write(f"{name.ljust(left)}  {column[k]}{mark}\n".encode())
    if not whole:
        file.write(", ".join(names).encode() + b"\n(no rows)\n")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _cells(column: pa.ChunkedArray[Any], field: pa.Field[Any], unit: str) -> list[str]:
    decimals = _DECIMALS.get((str(column.type), unit))
    if decimals is not None:
        return ["-" if v is None else f"{v:.{decimals}f}" for v in column.to_pylist()]
    usual = 6 if pa.types.is_float32(column.type) else 10
    n_digits = int((field.metadata or {}).get(_DIGITS, usual))
    return [_text(v, n_digits) for v in column.to_pylist()]


def _text(value: Any, n_digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ",".join(_text(v, n_digits) for v in value)
    return f"{value:.{n_digits}g}" if isinstance(value, float) else str(value)
