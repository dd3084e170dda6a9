"""The HDUs of an input file: headers, and table columns as native arrays, fast and checked.

An smf file holds some 200 HDUs; reading them must cost no more than their bytes. Every
length in a header is checked against the file before it is believed.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, CorruptTableError, StorageError
from dvo.tables.fits.field import Field
from dvo.tables.fits.header import BLOCK, CARD, Header, find_end
from dvo.tables.fits.reader import TableFile

__all__ = ["Hdu", "HduFile", "PackedTable", "PlainTable"]

_MAX_HEADER = 4_000_000  # 50,000 cards; real headers have hundreds
_MAX_HDUS = 20_000
_MAX_FIELDS = 999  # the limit of the FITS standard


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header and where its data are.

    Parameters
    ----------
    index : int
        Place in the file, from 0.
    header : Header
        The header.
    start : int
        First byte of the data.
    size : int
        Bytes of the data, without padding.
    """

    index: int
    header: Header
    start: int
    size: int

    @property
    def name(self) -> str:
        """EXTNAME, or an empty string."""
        value = self.header.get("EXTNAME")
        return value.strip() if isinstance(value, str) else ""

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table."""
        value = self.header.get("XTENSION")
        return isinstance(value, str) and value.strip() in ("BINTABLE", "A3DTABLE")

    @property
    def is_compressed_table(self) -> bool:
        """Whether it is a binary table whose columns are compressed."""
        return self.is_table and self.header.get("ZTABLE") is True


class HduFile:
    """A FITS file open for reading; use it with ``with``.

    Parameters
    ----------
    path : Path or str
        The file.

    Raises
    ------
    BadCatalogError
        If it cannot be opened, is no FITS file, or ends too early.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: the file is empty
            raise BadCatalogError(f"{self.path}: cannot be read: {error}") from error
        self._layouts: dict[str, tuple[np.dtype[np.void], dict[str, Field]]] = {}
        try:
            self.hdus = tuple(self._walk())
        except BaseException:
            self._map.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()

    def _walk(self) -> Iterator[Hdu]:
        if self._map[:6] != b"SIMPLE":
            packed = "; unpack it with gunzip first" if self._map[:2] == b"\x1f\x8b" else ""
            raise BadCatalogError(
                f"{self.path}: no FITS file: it does not begin with SIMPLE{packed}"
            )
        at = 0
        for index in range(_MAX_HDUS):
            if at >= len(self._map) or (index and not self._map[at : at + 8].strip(b"\0 ")):
                return
            where = f"{self.path}, HDU {index}"
            header, start = self._read_header(at, where)
            size = _data_size(header)
            # With the padding: a file cut there has lost the HDUs that stood behind it.
            end = start + -(-size // BLOCK) * BLOCK
            if end > len(self._map):
                raise BadCatalogError(
                    f"{where} ({header.get('EXTNAME', 'no EXTNAME')}): the file is cut short: its "
                    f"data end at byte {end}, the file at {len(self._map)}; copy it again"
                )
            yield Hdu(index, header, start, size)
            at = end

    def _read_header(self, at: int, where: str) -> tuple[Header, int]:
        length = 4 * BLOCK
        while True:
            data = self._map[at : at + length]
            end = find_end(data)
            if end >= 0:
                break
            if len(data) < length or length >= _MAX_HEADER:
                raise BadCatalogError(
                    f"{where}: the header has no END card; the file is cut short or no FITS file"
                )
            length *= 4
        header = Header(data[:end].decode("latin-1"), where)
        return header, at + -(-(end + CARD) // BLOCK) * BLOCK

    def read_data(self, hdu: Hdu) -> bytes:
        """Read the data of an HDU as they are.

        Parameters
        ----------
        hdu : Hdu
            One of this file's.

        Returns
        -------
        bytes
            The data unit, without padding.
        """
        return self._map[hdu.start : hdu.start + hdu.size]

    def table(self, hdu: Hdu) -> PlainTable | PackedTable:
        """Open a binary table.

        Parameters
        ----------
        hdu : Hdu
            One of this file's.

        Returns
        -------
        PlainTable or PackedTable
            Its columns, to be read by name.

        Raises
        ------
        BadCatalogError
            If it is no such table, or contradicts itself.
        """
        header = hdu.header
        if not hdu.is_table:
            raise BadCatalogError(f"{header.where} ({hdu.name}): no binary table")
        if hdu.is_compressed_table:
            return PackedTable(self.path, hdu, self.read_data(hdu))
        try:
            n_rows = header.integer("NAXIS2")
            width = header.integer("NAXIS1", low=1 if n_rows else 0)
            n_fields = header.integer("TFIELDS", high=_MAX_FIELDS)
            # All chips of a mosaic have the same columns: the cards that say so are the key.
            text = header.text
            cards = [text[i : i + CARD] for i in range(0, len(text), CARD) if text[i] == "T"]
            key = "".join(cards)
            if key not in self._layouts:
                self._layouts[key] = _layout(header, n_fields, width)
        except CorruptTableError as error:
            raise BadCatalogError(str(error)) from error
        dtype, fields = self._layouts[key]
        data = self._map[hdu.start : hdu.start + n_rows * width]
        return PlainTable(header.where, data, dtype, fields, n_rows)


class PlainTable:
    """The columns of a plain binary table.

    Parameters
    ----------
    where : str
        File and HDU, for messages.
    data : bytes
        The rows.
    dtype : numpy.dtype
        A row as it is stored, big-endian, by upper-case column name.
    fields : dict of str to Field
        The columns, by upper-case name.
    n_rows : int
        Number of rows.
    """

    __slots__ = ("_rows", "data", "fields", "n_rows", "where")

    def __init__(
        self,
        where: str,
        data: bytes,
        dtype: np.dtype[np.void],
        fields: dict[str, Field],
        n_rows: int,
    ) -> None:
        self.where = where
        self.data = data
        self.fields = fields
        self.n_rows = n_rows
        self._rows = np.frombuffer(data, dtype, count=n_rows) if dtype.itemsize else None

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that can be read, in upper case."""
        return tuple(self.fields)

    def read(self, name: str) -> NDArray[Any]:
        """Read a column.

        Parameters
        ----------
        name : str
            Its name in upper case.

        Returns
        -------
        ndarray, shape (n_rows,) or (n_rows, repeat)
            Native, contiguous and writeable; unsigned where TZERO says so; integers with
            TNULL become float64 with NaN where a value is null.
        """
        field = self.fields[name]
        if self._rows is None:
            return np.empty(field.shape(0), field.dtype)
        if field.letter == "L":
            return np.asarray(self._rows[name] == ord("T"))
        values = self._rows[name].astype(field.stored_dtype)
        # Only signed and unsigned integers may carry TNULL.
        null = None if field.null is None or values.dtype.kind not in "iu" else values == field.null
        if field.is_offset:
            # Turning the top bit round is adding the offset, without a wider type.
            unsigned = values.view(f"u{values.dtype.itemsize}")
            unsigned ^= unsigned.dtype.type(1 << (8 * values.dtype.itemsize - 1))
            values = unsigned.view(field.dtype)
        elif field.is_scaled:
            values = values.astype(np.float64) * (field.scale or 1.0) + float(field.zero or 0)
        if null is not None and null.any():
            values = values.astype(np.float64)
            values[null] = np.nan
        return values


class PackedTable:
    """The columns of a compressed binary table, as those of a :class:`PlainTable`.

    Parameters
    ----------
    path : Path
        The file.
    hdu : Hdu
        The table's HDU.
    data : bytes
        Its data unit, still packed.
    """

    __slots__ = ("_columns", "data", "n_rows", "where")

    def __init__(self, path: Path, hdu: Hdu, data: bytes) -> None:
        self.where = hdu.header.where
        self.data = data
        try:
            with TableFile(path, hdu.index) as table:
                self.n_rows = table.n_rows
                fixed = [f.name for f in table.fields if not f.pointer]
                self._columns = table.read(list(dict.fromkeys(fixed)))
        except (CorruptTableError, StorageError) as error:
            raise BadCatalogError(str(error)) from error

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._columns

    def read(self, name: str) -> NDArray[Any]:
        """Read a column.

        Parameters
        ----------
        name : str
            Its name in upper case.

        Returns
        -------
        ndarray, shape (n_rows,) or (n_rows, repeat)
            Native, contiguous and writeable.
        """
        return self._columns[name.lower()]


def _data_size(header: Header) -> int:
    try:
        bits = header.integer("BITPIX", low=-64, high=64)
        n_axes = header.integer("NAXIS", high=999)
        size = 1 if n_axes else 0
        for i in range(1, n_axes + 1):
            size *= header.integer(f"NAXIS{i}", low=0)
        pcount = header.integer("PCOUNT", 0)
        gcount = header.integer("GCOUNT", 1)
    except CorruptTableError as error:
        raise BadCatalogError(str(error)) from error
    return abs(bits) // 8 * gcount * (pcount + size)


def _layout(
    header: Header, n_fields: int, width: int
) -> tuple[np.dtype[np.void], dict[str, Field]]:
    fields: dict[str, Field] = {}
    formats: list[tuple[str, str, int]] = []
    at = 0
    for n in range(1, n_fields + 1):
        field = Field.from_header(header, n)
        name = field.ttype.strip().upper()
        # Of a name given twice the first counts; bits and variable-length columns are passed by.
        readable = not field.pointer and field.letter != "X" and field.repeat > 0
        if readable and name not in fields:
            fields[name] = field
            stored = "u1" if field.letter == "L" else field.stored_dtype.newbyteorder(">").str
            is_scalar = field.repeat == 1 or field.letter == "A"
            formats.append((name, stored if is_scalar else f"({field.repeat},){stored}", at))
        at += field.width
    if at != width:
        raise CorruptTableError(
            f"{header.where}: the columns take {at} bytes a row, but NAXIS1 = {width}"
        )
    spec = {
        "names": [name for name, _, _ in formats],
        "formats": [form for _, form, _ in formats],
        "offsets": [offset for _, _, offset in formats],
        "itemsize": width,
    }
    return np.dtype(spec), fields  # type: ignore[call-overload]  # stubs miss this dict form
