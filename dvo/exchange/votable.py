"""VOTables, written piece by piece, and the descriptions of columns that they share.

Rows go out as BINARY2: fixed-width fields, big-endian, with a bit a column for what is
missing. astropy's writer would need the whole table in memory; and a command that writes
Parquet needs the descriptions alone, for which astropy takes too long to load.
"""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn
from dvo.exchange.extract import Values
from dvo.tables.schema import Column

__all__ = ["VotableFile", "describe_columns"]

Array = NDArray[Any]

_NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"
_END_OF_TABLE = b"</TABLE>"
_TRIPLE = 3  # bytes that four letters of base64 stand for

# VOTable has no unsigned integers but bytes.
_WIDER = {"u2": "i4", "u4": "i8", "u8": "i8", "i1": "i2"}
_TYPES = {"f8": "double", "f4": "float", "i8": "long", "i4": "int", "i2": "short",
          "u1": "unsignedByte", "b1": "boolean"}  # fmt: skip


def describe_columns(columns: Sequence[OutputColumn], about: str) -> str:
    """VOTable without data that describes columns.

    Parameters
    ----------
    columns : sequence of OutputColumn
        The columns.
    about : str
        One line on the table, for people.

    Returns
    -------
    str
        The document.
    """
    return _document(columns, about).decode()


def _document(columns: Sequence[OutputColumn], about: str) -> bytes:
    root = ET.Element("VOTABLE", {"version": "1.4", "xmlns": _NAMESPACE})
    resource = ET.SubElement(root, "RESOURCE", {"type": "results"})
    ET.SubElement(resource, "COOSYS", {"ID": "icrs", "system": "ICRS"})
    table = ET.SubElement(resource, "TABLE", {"name": "dvo"})
    ET.SubElement(table, "DESCRIPTION").text = about
    for column in columns:
        field = ET.SubElement(table, "FIELD", _attributes(column))
        ET.SubElement(field, "DESCRIPTION").text = column.like.meaning
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _attributes(column: OutputColumn) -> dict[str, str]:
    like = column.like
    found = {"name": column.name}
    if like.dtype[0] == "S":
        found |= {"datatype": "char", "arraysize": str(like.numpy_dtype.itemsize)}
    else:
        found["datatype"] = _TYPES[_WIDER.get(like.dtype, like.dtype)]
        if like.shape > 1:
            found["arraysize"] = str(like.shape)
    if like.unit:
        found["unit"] = like.unit
    if like.ucd:
        found["ucd"] = like.ucd
        if like.ucd.startswith("pos.eq"):
            found["ref"] = "icrs"
    return found


class VotableFile:
    """A VOTable being written.

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
        self._columns = columns
        self._row = _row_type(columns)
        head, _, self._tail = _document(columns, about).rpartition(_END_OF_TABLE)
        self._file: IO[bytes] = path.open("xb")
        self._file.write(head + b'<DATA>\n<BINARY2>\n<STREAM encoding="base64">\n')
        self._held = b""

    def write(self, values: Values) -> None:
        """Append rows."""
        n_rows = len(values[self._columns[0].name])
        rows = np.zeros(n_rows, self._row)
        for i, column in enumerate(self._columns):
            missing = _missing(column.like, values[column.name])
            if missing is not None:
                rows["missing"][:, i // 8] |= missing.astype(np.uint8) << (7 - i % 8)
            rows[f"f{i}"] = _big_endian(column.like, values[column.name])
        data = self._held + rows.tobytes()
        whole = len(data) - len(data) % _TRIPLE
        self._held = data[whole:]
        self._file.write(base64.b64encode(data[:whole]) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file as file:
            if kind is None:
                file.write(base64.b64encode(self._held) + b"\n")
                file.write(b"</STREAM>\n</BINARY2>\n</DATA>\n" + _END_OF_TABLE + self._tail)


def _row_type(columns: Sequence[OutputColumn]) -> np.dtype[Any]:
    fields: list[Any] = [("missing", np.uint8, (-(-len(columns) // 8),))]
    for i, column in enumerate(columns):
        like = column.like
        kind = np.dtype(_WIDER.get(like.dtype, like.dtype)).newbyteorder(">")
        if like.dtype == "b1":
            kind = np.dtype("S1")
        fields.append((f"f{i}", kind, (like.shape,)) if like.shape > 1 else (f"f{i}", kind))
    return np.dtype(fields)


def _missing(column: Column, values: Array) -> Array | None:
    if column.dtype[0] == "S" or not column.nullable or column.shape > 1:
        return None
    found = column.is_null(values)
    return found if found.any() else None


def _big_endian(column: Column, values: Array) -> Array:
    return np.where(values, b"T", b"F") if column.dtype == "b1" else values
