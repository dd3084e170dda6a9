"""Text files without a line of names: fields between bars, or in fixed columns of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.surveys.files import read_bytes
from dvo.ingest.surveys.forms import Reader

__all__ = ["bars", "fixed_bytes"]

Array = NDArray[Any]

_MOST_BYTES = 1 << 34
_BLOCK = 1 << 22
_NULLS = ("", "\\N", "null")


def bars(names: Sequence[str]) -> Reader:
    """Make a reader of files whose fields stand between vertical bars.

    Parameters
    ----------
    names : sequence of str
        All columns, in order.

    Returns
    -------
    callable
        The reader. Blanks around a field are taken away; what is blank, ``\\N`` or ``null``
        is missing.
    """

    def read(path: Path, wanted: Mapping[str, bool]) -> dict[str, Array]:
        table = _read_bars(path, names, list(wanted))
        return {
            name: _words(table[name]) if is_text else _numbers(table[name], f"{path}, {name}")
            for name, is_text in wanted.items()
        }

    return read


def _read_bars(path: Path, names: Sequence[str], wanted: list[str]) -> pa.Table:
    try:
        return pa.csv.read_csv(
            path,
            read_options=pa.csv.ReadOptions(
                column_names=list(names),
                block_size=_BLOCK,  # all columns are words, so no block can find other types
                encoding="latin-1",
            ),
            parse_options=pa.csv.ParseOptions(delimiter="|", quote_char=False),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(names, pa.string())
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise BadCatalogError(
            f"{path}: not {len(names)} fields between vertical bars in every line: {error}"
        ) from error


def _words(column: pa.ChunkedArray[Any]) -> Array:
    trimmed = pc.utf8_trim_whitespace(column)
    is_null = pc.is_in(trimmed, value_set=pa.array(_NULLS))
    # Distinct words are few: letters of flags.
    coded = pc.if_else(is_null, "", trimmed).combine_chunks().dictionary_encode()
    distinct = np.array([w.encode("ascii", "replace") for w in coded.dictionary.to_pylist()], "S")
    return np.asarray(distinct[coded.indices.to_numpy()])


def _numbers(column: pa.ChunkedArray[Any], where: str) -> Array:
    trimmed = pc.utf8_trim_whitespace(column)
    is_null = pc.is_in(trimmed, value_set=pa.array(_NULLS))
    known = pc.if_else(is_null, None, trimmed)
    try:
        return np.array(known.cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid as error:
        raise BadCatalogError(f"{where}: not a number in every line: {error}") from error


def fixed_bytes(columns: Mapping[str, tuple[int, int]]) -> Reader:
    """Make a reader of files whose fields have fixed places in lines of one length.

    Parameters
    ----------
    columns : mapping of str to (int, int)
        First and last byte of each column, counted from 1.

    Returns
    -------
    callable
        The reader; what is blank is missing.
    """

    def read(path: Path, wanted: Mapping[str, bool]) -> dict[str, Array]:
        lines = _read_lines(path, max(last for _, last in columns.values()))
        out = {}
        for name, is_text in wanted.items():
            first, last = columns[name]
            cells = np.ascontiguousarray(lines[:, first - 1 : last])
            words = np.char.strip(cells.view(f"S{last - first + 1}").ravel())
            out[name] = words
            if is_text:
                continue
            try:
                out[name] = np.where(words == b"", b"nan", words).astype(np.float64)
            except ValueError as error:
                raise BadCatalogError(
                    f"{path}, bytes {first} to {last} ({name}): not a number in every line: {error}"
                ) from error
        return out

    return read


def _read_lines(path: Path, least: int) -> NDArray[np.uint8]:
    data = read_bytes(path, _MOST_BYTES)
    width = data.find(b"\n") + 1
    if width <= least or len(data) % width:
        raise BadCatalogError(
            f"{path}: its lines are not all of one length of {least} bytes or more: it is cut "
            "short, or of another form; get it again"
        )
    lines = np.frombuffer(data, np.uint8).reshape(-1, width)
    ends = np.flatnonzero(lines[:, -1] != ord("\n"))
    if len(ends):
        raise BadCatalogError(f"{path}, line {int(ends[0]) + 1}: not {width - 1} characters long")
    return lines
