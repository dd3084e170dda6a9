"""Binary tables as they are: rows one behind the other, all big-endian.

Read in pieces of a few megabytes, which are taken apart into columns while they are in
the cache; arrays of variable length come from the heap behind the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import MAX_ROWS, FitsFile, Hdu
from dvo.tables.fits.values import Layout, new_lists
from dvo.tables.fits.vla import array_bytes, descriptor_type, to_native

__all__ = ["PlainTable", "row_type", "rows_bytes"]

Array = NDArray[Any]

_PIECE = 1 << 22
_MAX_FIELDS = 999


def row_type(fields: Sequence[Field]) -> np.dtype[Any]:
    """Structure of one row, as big-endian words.

    Parameters
    ----------
    fields : sequence of Field
        All columns.

    Returns
    -------
    dtype
        Fields ``f0``, ``f1``, ... ; columns of no width are left out.
    """
    names, formats, offsets, at = [], [], [], 0
    for i, field in enumerate(fields):
        layout = Layout.of(field)
        if field.width:
            names.append(f"f{i}")
            formats.append((layout.dtype.newbyteorder(">"), (layout.n_words,)))
            offsets.append(at)
        at += field.width
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": at})


def rows_bytes(
    fields: Sequence[Field], words: Sequence[Array], start: int, stop: int
) -> NDArray[np.uint8]:
    """Put rows together from columns.

    Parameters
    ----------
    fields : sequence of Field
        All columns.
    words : sequence of ndarray
        Native words of each column, for all rows, as `values.words_of` gives them.
    start, stop : int
        Rows to make.

    Returns
    -------
    ndarray of uint8, flat
        Their bytes as in the file.
    """
    kind = row_type(fields)
    rows = np.zeros(stop - start, kind)
    for i, (field, column) in enumerate(zip(fields, words, strict=True)):
        if field.width:
            layout = Layout.of(field)
            part = column[start * layout.n_words : stop * layout.n_words]
            if layout.flip:
                part = part ^ layout.dtype.type(layout.flip)
            rows[f"f{i}"] = part.reshape(stop - start, layout.n_words)
    return rows.view(np.uint8) if kind.itemsize else np.empty(0, np.uint8)


class PlainTable:
    """The layout of one uncompressed table.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdu : Hdu
        Its HDU that holds the table.

    Raises
    ------
    CorruptTableError
        If the counts in its header contradict each other or the file.
    """

    def __init__(self, file: FitsFile, hdu: Hdu) -> None:
        header = hdu.header
        self.file = file
        self.hdu = hdu
        self.n_fields = header.integer("TFIELDS", high=_MAX_FIELDS)
        self.n_rows = header.integer("NAXIS2", high=MAX_ROWS)
        self.row_bytes = header.integer("NAXIS1")
        rows = self.row_bytes * self.n_rows
        heap = header.integer("THEAP", rows)
        if not rows <= heap <= hdu.size:  # GCOUNT = 0 would make away with the rows
            raise CorruptTableError(
                f"{hdu.where}: {self.n_rows} rows of {self.row_bytes} bytes and a heap at byte "
                f"{heap} do not fit its data unit of {hdu.size} bytes"
            )
        self.heap = hdu.data + heap
        self.heap_bytes = hdu.data + hdu.size - self.heap

    def check_widths(self, fields: Sequence[Field]) -> None:
        """Check that the columns fill a row.

        Parameters
        ----------
        fields : sequence of Field
            All columns.

        Raises
        ------
        CorruptTableError
            If they do not.
        """
        width = sum(field.width for field in fields)
        if width != self.row_bytes:
            raise CorruptTableError(
                f"{self.hdu.where}: the columns of TFORMn are {width} bytes wide, "
                f"but NAXIS1 = {self.row_bytes}"
            )

    def rows(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Read whole rows.

        Parameters
        ----------
        start, stop : int
            The rows.

        Returns
        -------
        ndarray of uint8, shape (stop - start, row_bytes)
            Their bytes; not writeable.
        """
        size = (stop - start) * self.row_bytes
        raw = self.file.read(self.hdu.data + start * self.row_bytes, size)
        return np.frombuffer(raw, np.uint8).reshape(stop - start, self.row_bytes)

    def fill(
        self, fields: Sequence[Field], words: Mapping[int, Array], start: int, stop: int
    ) -> None:
        """Read columns of a range of rows.

        Parameters
        ----------
        fields : sequence of Field
            All columns of the table.
        words : mapping of int to ndarray
            Room for the words of the columns wanted, by number from 0.
        start, stop : int
            The rows.
        """
        wanted = [i for i in words if fields[i].width]
        if not wanted:
            return
        kind = row_type(fields)
        step = max(1, _PIECE // kind.itemsize)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            rows = self.rows(first, last).reshape(-1).view(kind)
            for i in wanted:
                layout = Layout.of(fields[i])
                n = layout.n_words
                part = words[i][(first - start) * n : (last - start) * n]
                part.reshape(last - first, n)[...] = rows[f"f{i}"]
                if layout.flip:
                    part ^= layout.dtype.type(layout.flip)

    def arrays(self, number: int, field: Field, descriptors: NDArray[np.uint8]) -> list[bytes]:
        """Read the arrays of a variable-length column from the heap.

        Parameters
        ----------
        number, field : int, Field
            The column.
        descriptors : ndarray of uint8, shape (n, 8) or (n, 16)
            Its bytes in the rows wanted.

        Returns
        -------
        list of bytes
            Big-endian contents, one a row.

        Raises
        ------
        CorruptTableError
            If one lies outside the heap.
        """
        pairs = descriptors.reshape(-1).view(descriptor_type(field)).reshape(-1, 2).tolist()
        arrays, total = [], 0
        for i, (length, offset) in enumerate(pairs):
            size = array_bytes(field, length)
            total += size
            if length < 0 or (length and not 0 <= offset <= self.heap_bytes - size):
                raise CorruptTableError(
                    f"{self.hdu.where}, column {number + 1} ({field.ttype}), row {i + 1}: its "
                    f"{length} elements at {offset} lie outside the heap of {self.heap_bytes} bytes"
                )
            if total > 16 * self.heap_bytes + (1 << 20):
                raise CorruptTableError(
                    f"{self.hdu.where}, column {number + 1} ({field.ttype}): its arrays lie "
                    f"over each other and claim more than 16 times the heap"
                )
            arrays.append(self.file.read(self.heap + offset, size) if size else b"")
        return arrays

    def objects(
        self, number: int, field: Field, fields: Sequence[Field], start: int, stop: int
    ) -> Array:
        """Read a variable-length column.

        Parameters
        ----------
        number, field : int, Field
            The column.
        fields : sequence of Field
            All columns.
        start, stop : int
            Rows wanted.

        Returns
        -------
        ndarray of object, shape (stop - start,)
            An array a row.
        """
        out = new_lists(field, stop - start)
        if out.size == 0:
            return out
        at = sum(f.width for f in fields[:number])
        block = np.ascontiguousarray(self.rows(start, stop)[:, at : at + field.width])
        lengths = block.reshape(-1).view(descriptor_type(field))[::2].tolist()
        for i, raw in enumerate(self.arrays(number, field, block)):
            out[i] = to_native(field, raw, lengths[i])
        return out
