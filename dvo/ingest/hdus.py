"""The HDUs of an input file: headers, and table columns as native arrays, fast and checked.

An smf file holds some 200 HDUs; reading them must cost no more than their bytes: the
layout of a table is made once for all tables with the same columns. What is wrong with the
file becomes a BadCatalogError.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, CorruptTableError, StorageError
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.header import CARD, Header
from dvo.tables.fits.reader import TableFile

__all__ = ["HduFile", "PackedTable", "PlainTable"]

_MAX_HDUS = 20_000
_MAX_FIELDS = 999  # the limit of the FITS standard


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
        self._layouts: dict[str, tuple[np.dtype[np.void], dict[str, Field]]] = {}
        try:
            self._file = FitsFile(self.path)
        except (CorruptTableError, StorageError) as error:
            raise BadCatalogError(f"{error}{_hint(self.path)}") from error
        try:
            self.hdus = self._walk()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _walk(self) -> tuple[Hdu, ...]:
        hdus: list[Hdu] = []
        try:
            for hdu in self._file:
                # With the padding: a file cut there has lost the HDUs that stood behind it.
                if hdu.stop > self._file.size:
                    raise BadCatalogError(
                        f"{hdu.where} ({hdu.extname or 'no EXTNAME'}): the file is cut short: its "
                        f"data end at byte {hdu.stop}, the file at {self._file.size}; copy it again"
                    )
                if len(hdus) >= _MAX_HDUS:
                    raise BadCatalogError(f"{self.path}: more than {_MAX_HDUS} HDUs")
                hdus.append(hdu)
        except (CorruptTableError, StorageError) as error:
            raise BadCatalogError(str(error)) from error
        return tuple(hdus)

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
        try:
            return self._file.read(hdu.data, hdu.size)
        except (CorruptTableError, StorageError) as error:
            raise BadCatalogError(str(error)) from error

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
            raise BadCatalogError(f"{header.where} ({hdu.extname}): no binary table")
        if hdu.is_compressed:
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
        data = self.read_data(hdu)[: n_rows * width]
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


def _hint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError:
        return ""
    if start[:2] == b"\x1f\x8b":
        return "; unpack it with gunzip first"
    is_other = start and start != b"SIMPLE"
    return "; a plain table needs --images LIST or --ref PHOTCODE, and --map" if is_other else ""


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
