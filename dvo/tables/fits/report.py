"""What is in a FITS file, and whether its bytes are sound."""

from __future__ import annotations

import os
from typing import Any

from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.reader import TableFile, verify_hdu
from dvo.tables.fits.ztable import CompressedTable
from dvo.tables.schema import Codec

__all__ = ["describe", "verify"]


def verify(path: str | os.PathLike[str]) -> int:
    """Check every HDU of a file.

    Sums are compared with the bytes, the counts in headers of compressed tables with
    the file. A compressed table that has no sums is decompressed.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    int
        Number of HDUs.

    Raises
    ------
    CorruptTableError
        If anything is wrong.
    """
    n_hdus = 0
    with FitsFile(path) as file:
        for hdu in file:
            n_hdus += 1
            if hdu.is_compressed:
                columns = list(enumerate(_fields(hdu)))
                table = CompressedTable(file, hdu)
                table.check_widths([field for _, field in columns])
                table.descriptors(columns, 0, table.n_tiles)
            if not verify_hdu(file, hdu) and hdu.is_compressed:
                with TableFile(path, hdu.index) as opened:
                    for name in opened.names:
                        opened.read([name])
    return n_hdus


def _fields(hdu: Hdu) -> list[Field]:
    n_fields = hdu.header.integer("TFIELDS", high=999)
    compressed = hdu.is_compressed
    return [Field.from_header(hdu.header, i + 1, compressed=compressed) for i in range(n_fields)]


def describe(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Describe the HDUs of a file.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    list of dict
        One an HDU: ``hdu``, ``extname``, ``kind`` (image, table, compressed table),
        ``bytes``; of tables also ``n_rows``, ``tile_rows``, ``n_tiles``, ``ratio`` and
        ``columns``, a list with ``name``, ``type``, ``unit``, ``meaning``, ``codec``,
        ``bytes`` and ``ratio`` of each.

    Raises
    ------
    CorruptTableError
        If the file is damaged.
    """
    with FitsFile(path) as file:
        return [_describe_hdu(file, hdu) for hdu in file]


def _describe_hdu(file: FitsFile, hdu: Hdu) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "hdu": hdu.index,
        "extname": hdu.extname,
        "kind": "image",
        "bytes": hdu.stop - hdu.start,
    }
    if not hdu.is_table:
        return entry
    fields = _fields(hdu)
    if not hdu.is_compressed:
        entry |= {"kind": "table", "n_rows": hdu.header.integer("NAXIS2")}
        entry["columns"] = [_describe_column(field) for field in fields]
        return entry
    table = CompressedTable(file, hdu)
    sizes = table.descriptors(list(enumerate(fields)), 0, table.n_tiles).sizes.sum(axis=0).tolist()
    plain = table.n_rows * table.row_bytes
    entry |= {
        "kind": "compressed table",
        "n_rows": table.n_rows,
        "tile_rows": table.tile_rows,
        "n_tiles": table.n_tiles,
        "ratio": round((plain + hdu.header.integer("ZPCOUNT", 0)) / max(1, hdu.size), 3),
    }
    entry["columns"] = [
        _describe_column(field) | _describe_size(field, size, table.n_rows)
        for field, size in zip(fields, sizes, strict=True)
    ]
    return entry


def _describe_column(field: Field) -> dict[str, Any]:
    return {
        "name": field.ttype,
        "type": field.form,
        "unit": field.unit,
        "meaning": field.meaning,
    }


def _describe_size(field: Field, size: int, n_rows: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"codec": (field.codec or Codec.GZIP_2).value, "bytes": size}
    if not field.pointer and size:
        entry["ratio"] = round(n_rows * field.width / size, 3)
    return entry
