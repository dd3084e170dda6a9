"""Rows that simple conditions rule out, left out before the evaluator sees them.

Comparing a column with a number takes the evaluator several times as long as a compiled
loop, and other columns are not even looked at for rows that are ruled out. The evaluator
applies the whole condition to what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isinf
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.partition.column_range import ColumnRange
from dvo.query.kernels import keep_rows_between, rows_between

__all__ = ["rows_in_ranges"]

Array = NDArray[Any]

_FEW_ROWS = 20_000
"""Rows that the evaluator has done with before this has begun."""

_LEAST_BATCH = 5_000
"""Rows of a batch on average, below which it is quicker to put batches together first."""


def rows_in_ranges(table: pa.Table, ranges: Sequence[ColumnRange]) -> pa.Table:
    """Leave out rows with a value outside of a range, where that is most of them.

    Parameters
    ----------
    table : pyarrow.Table
        Rows.
    ranges : sequence of ColumnRange
        Ranges of columns of numbers, as stored; those of columns that the table does not
        have are of no importance. Nulls lie in none, or count as the number that stands for
        them.

    Returns
    -------
    pyarrow.Table
        The rows with values in all ranges, in one piece and in the same order, if they are at
        most half of all; else the table as it is. How it is cut into pieces is of no
        importance: sums and orders do not depend on what was read before.
    """
    here = [r for r in ranges if r.name in table.column_names]
    if not here or len(table) <= _FEW_ROWS:
        return table
    batches = [batch for batch in table.to_batches() if len(batch)]
    if len(table) < _LEAST_BATCH * len(batches):
        batches = table.combine_chunks().to_batches()
    room = np.empty(max(map(len, batches)), np.int32)
    found, left = [], len(table) // 2
    for batch in batches:
        n = _find_rows(batch, here, room)
        left -= n
        if left < 0:
            return table  # to copy them would take longer
        if n:
            rows = pa.Array.from_buffers(pa.int32(), n, [None, pa.py_buffer(room[:n].tobytes())])
            found.append(batch.take(rows))
    return pa.Table.from_batches(found, table.schema).combine_chunks()


def _find_rows(
    batch: pa.RecordBatch, ranges: Sequence[ColumnRange], rows: NDArray[np.int32]
) -> int:
    """Put the rows of a batch with values in all ranges into ``rows``; gives their number."""
    n = None
    for wanted in ranges:
        values = _values(batch.column(wanted.name))
        ends = _ends(wanted, values.dtype)
        if ends is None:
            return 0
        if n is None:
            n = rows_between(values, *ends, rows)
        else:
            n = keep_rows_between(values, *ends, rows, n)
    assert n is not None
    return n


def _values(array: pa.Array[Any]) -> Array:
    """The numbers of an array as they lie in memory, whatever is null."""
    kind: np.dtype[Any] = np.dtype(array.type.to_pandas_dtype())
    data: Any = array.buffers()[1]
    values: Array = np.frombuffer(data, kind, len(array), array.offset * kind.itemsize)
    return values


def _ends(wanted: ColumnRange, kind: np.dtype[Any]) -> tuple[Any, Any] | None:
    """The ends of a range as numbers of a type; None if no number of it lies in it."""
    if kind.kind == "f":
        return _of_kind(wanted.low, kind), _of_kind(wanted.high, kind)
    least, greatest = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    if wanted.low > greatest or wanted.high < least:
        return None
    low = least if wanted.low <= least else ceil(wanted.low)
    high = greatest if wanted.high >= greatest else floor(wanted.high)
    return None if low > high else (kind.type(low), kind.type(high))


def _of_kind(end: float, kind: np.dtype[Any]) -> Any:
    """An end as a float of a type, which may not reach as far."""
    most = float(np.finfo(kind).max)
    return kind.type(end if isinf(end) else min(max(end, -most), most))
