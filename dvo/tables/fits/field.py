"""Field: a table column as FITS sees it.

The bridge between a :class:`~dvo.tables.schema.Column` (name, type, unit, meaning) and
the keywords TTYPEn, TFORMn, TUNITn, TZEROn... Unsigned integers are stored the FITS way,
as signed ones with an offset, and are unsigned again when read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, SchemaError
from dvo.tables.fits.header import Header, format_card
from dvo.tables.schema import Codec, Column

__all__ = ["Field", "default_codec", "stored_columns"]

_TFORM = re.compile(r"(\d{0,12})([LXBIJKAEDCMPQ])(.*)\Z", re.DOTALL)
_POINTER = re.compile(r"([LXBIJKAEDCM])(?:\((\d{0,18})\))?\s*\Z")
_ITEM_BYTES = {"L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1}
_ITEM_BYTES |= {"E": 4, "D": 8, "C": 8, "M": 16}
_NATIVE = {"L": "?", "X": "?", "B": "u1", "I": "i2", "J": "i4", "K": "i8"}
_NATIVE |= {"E": "f4", "D": "f8", "C": "c8", "M": "c16"}
_OFFSET = {"B": -(2**7), "I": 2**15, "J": 2**31, "K": 2**63}  # TZERO of the other signedness
_OTHER_SIGN = {"B": "i1", "I": "u2", "J": "u4", "K": "u8"}
_LETTER = {"b1": "L", "u1": "B", "i1": "B", "i2": "I", "u2": "I", "i4": "J", "u4": "J"}
_LETTER |= {"i8": "K", "u8": "K", "f4": "E", "f8": "D", "c8": "C", "c16": "M"}
_MAX_REPEAT = 2**40


def default_codec(letter: str) -> Codec:
    """Codec of a column when nothing asks for another: CFITSIO's choice.

    Complex columns are the exception: CFITSIO writes them as GZIP_2 and then cannot
    read them back; all readers can read GZIP_1.

    Parameters
    ----------
    letter : str
        Type letter of TFORM.

    Returns
    -------
    Codec
        RICE_1 for J, GZIP_1 for single bytes and complex numbers, GZIP_2 for the rest.
    """
    if letter == "J":
        return Codec.RICE_1
    return Codec.GZIP_1 if letter in "BLXACM" else Codec.GZIP_2


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a FITS binary table.

    Parameters
    ----------
    ttype : str
        Name on disk.
    letter : str
        Type letter of TFORM; for variable-length columns that of the elements.
    repeat : int
        Elements in a row (bits for X, characters for A).
    unit, ucd, meaning : str
        TUNITn, TUCDn and TCOMMn (or the comment of TTYPEn).
    zero, scale : int, float or None
        TZEROn and TSCALn.
    null : int or None
        TNULLn: the stored value (before TZERO) that stands for "unknown".
    dim : str
        TDIMn, kept as text.
    codec : Codec or None
        Compression; None takes CFITSIO's default of the type.
    pointer : str
        ``P`` or ``Q`` for variable-length columns, else empty.
    max_length : int or None
        Longest array of a variable-length column, as TFORM claims it.
    """

    ttype: str
    letter: str
    repeat: int = 1
    unit: str = ""
    ucd: str = ""
    meaning: str = ""
    zero: int | float | None = None
    scale: float | None = None
    null: int | None = None
    dim: str = ""
    codec: Codec | None = None
    pointer: str = ""
    max_length: int | None = None

    @property
    def name(self) -> str:
        """Name in Python: lower case."""
        return self.ttype.lower()

    @property
    def form(self) -> str:
        """TFORM."""
        if self.pointer:
            longest = "" if self.max_length is None else f"({self.max_length})"
            return f"{self.repeat}{self.pointer}{self.letter}{longest}"
        return f"{self.repeat}{self.letter}"

    @property
    def item_bytes(self) -> int:
        """Bytes of one element (of the arrays, for variable-length columns)."""
        return _ITEM_BYTES[self.letter]

    @property
    def width(self) -> int:
        """Bytes in each row of the uncompressed table."""
        if self.pointer:
            return self.repeat * (8 if self.pointer == "P" else 16)
        if self.letter == "X":
            return (self.repeat + 7) // 8
        return self.repeat * self.item_bytes

    @property
    def is_offset(self) -> bool:
        """Whether TZERO only turns signed into unsigned (or bytes into signed ones)."""
        return self.scale in (None, 1) and self.zero == _OFFSET.get(self.letter, 0.5)

    @property
    def is_scaled(self) -> bool:
        """Whether TSCAL and TZERO make the column a floating-point one."""
        if self.letter in "LXAP" or self.is_offset:
            return False
        return self.scale not in (None, 1) or self.zero not in (None, 0)

    @property
    def stored_dtype(self) -> np.dtype[np.generic]:
        """Native type of the values as stored, before TSCAL and TZERO."""
        if self.letter == "A":
            return np.dtype(f"S{max(self.repeat, 1)}")
        return np.dtype(_NATIVE[self.letter])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Native type of one element as it is read; object for variable-length columns."""
        if self.pointer:
            return np.dtype(object)
        if self.is_offset:
            return np.dtype(_OTHER_SIGN[self.letter])
        if self.is_scaled:
            return np.dtype("c16" if self.letter in "CM" else "f8")
        return self.stored_dtype

    @property
    def zctyp(self) -> Codec:
        """Codec to use: the one asked for where the type allows it, as CFITSIO does."""
        if self.codec is None:
            return default_codec(self.letter)
        if self.letter in "LXACM":
            return Codec.GZIP_1
        if self.codec is Codec.RICE_1 and self.letter not in "BIJ":
            return default_codec(self.letter)
        if self.codec is Codec.GZIP_2 and self.letter == "B":
            return Codec.GZIP_1
        return self.codec

    def shape(self, n_rows: int) -> tuple[int, ...]:
        """Shape of the array of this column.

        Parameters
        ----------
        n_rows : int
            Number of rows.

        Returns
        -------
        tuple of int
            ``(n_rows,)``, or ``(n_rows, repeat)`` for vector columns.
        """
        if self.pointer or self.repeat == 1 or (self.letter == "A" and self.repeat > 0):
            return (n_rows,)
        return (n_rows, self.repeat)

    @classmethod
    def from_column(cls, column: Column) -> Field:
        """Make the FITS side of a schema's column.

        Parameters
        ----------
        column : Column
            Column of a :class:`~dvo.tables.schema.TableSchema`.

        Returns
        -------
        Field
            Its name, type, unit, null and codec in FITS terms.
        """
        kind, size = column.dtype[0], column.numpy_dtype.itemsize
        if kind == "S":
            letter, repeat = "A", size * column.shape
        else:
            letter, repeat = _LETTER[f"{kind}{size}"], column.shape
        zero = _OFFSET[letter] if column.dtype in ("i1", "u2", "u4", "u8") else None
        # TNULL is a stored value, before TZERO; astropy takes it for one after TZERO, and fails.
        # So unsigned columns have none; their null is known from the schema.
        is_plain = kind in "iu" and zero is None
        null = column.null if is_plain and isinstance(column.null, int) else None
        return cls(
            ttype=column.fits_name,
            letter=letter,
            repeat=repeat,
            unit=column.unit,
            ucd=column.ucd,
            meaning=column.meaning,
            zero=zero,
            null=null,
            codec=column.codec,
        )

    @classmethod
    def from_array(cls, ttype: str, values: NDArray[np.generic], **more: object) -> Field:
        """Make the field that fits an array.

        Parameters
        ----------
        ttype : str
            Name on disk.
        values : ndarray, shape (n,) or (n, r)
            Values of the column.
        **more : object
            Other attributes of the field, such as ``unit``.

        Returns
        -------
        Field
            Type and repeat are the array's.

        Raises
        ------
        SchemaError
            If FITS has no such type.
        """
        kind, size = values.dtype.kind, values.dtype.itemsize
        repeat = 1 if values.ndim == 1 else int(values.shape[1])
        if kind == "S" and values.ndim == 1:
            return cls(ttype, "A", size, **more)  # type: ignore[arg-type]
        letter = _LETTER.get(f"{kind}{size}")
        if letter is None or values.ndim > 2:
            raise SchemaError(
                f"column {ttype}: FITS tables cannot hold {values.dtype} of shape {values.shape}"
            )
        if f"{kind}{size}" in ("i1", "u2", "u4", "u8"):
            more["zero"] = _OFFSET[letter]
        return cls(ttype, letter, repeat, **more)  # type: ignore[arg-type]

    @classmethod
    def from_header(cls, header: Header, n: int, *, compressed: bool = False) -> Field:
        """Read the keywords of one column.

        Parameters
        ----------
        header : Header
            Header of the table.
        n : int
            Number of the column, from 1.
        compressed : bool
            Whether the type stands in ZFORMn and the codec in ZCTYPn.

        Returns
        -------
        Field
            The column.

        Raises
        ------
        CorruptTableError
            If its type or codec is none that FITS has.
        """
        key = f"{'ZFORM' if compressed else 'TFORM'}{n}"
        form = header.string(key).strip()
        found = _TFORM.match(form)
        pointed = _POINTER.match(found[3]) if found and found[2] in "PQ" else None
        repeat = int(found[1] or 1) if found else 0
        if not found or repeat > _MAX_REPEAT or (found[2] in "PQ" and (not pointed or repeat > 1)):
            raise CorruptTableError(f"{header.where}: {key} = {form!r} is no type of a FITS column")
        get = header.get
        name = get(f"TTYPE{n}")
        zero, scale, null = get(f"TZERO{n}"), get(f"TSCAL{n}"), get(f"TNULL{n}")
        meaning = get(f"TCOMM{n}")
        if meaning is None and name is not None:
            meaning = header.comment(f"TTYPE{n}")
        return cls(
            ttype=name if isinstance(name, str) and name else f"COL{n}",
            letter=pointed[1] if pointed else found[2],
            repeat=repeat,
            unit=str(get(f"TUNIT{n}") or ""),
            ucd=str(get(f"TUCD{n}") or ""),
            meaning=str(meaning or ""),
            zero=zero if isinstance(zero, int | float) else None,
            scale=float(scale) if isinstance(scale, int | float) else None,
            null=null if isinstance(null, int) else None,
            dim=str(get(f"TDIM{n}") or ""),
            codec=_read_codec(header, n) if compressed else None,
            pointer=found[2] if pointed else "",
            max_length=int(pointed[2]) if pointed and pointed[2] else None,
        )

    def cards(self, n: int, form: str | None = None) -> list[str]:
        """Make the cards of this column.

        Parameters
        ----------
        n : int
            Number of the column, from 1.
        form : str, optional
            TFORM to write instead of the column's own (that of compressed bytes).

        Returns
        -------
        list of str
            Cards of 80 characters, or multiples.
        """
        cards = [
            format_card(f"TTYPE{n}", self.ttype),
            format_card(f"TFORM{n}", form or self.form),
        ]
        texts = (("TUNIT", self.unit), ("TDIM", self.dim), ("TUCD", self.ucd))
        cards += [format_card(f"{key}{n}", text) for key, text in texts if text]
        if self.meaning:
            cards.append(format_card(f"TCOMM{n}", self.meaning))
        numbers = (("TSCAL", self.scale), ("TZERO", self.zero), ("TNULL", self.null))
        cards += [format_card(f"{key}{n}", v) for key, v in numbers if v is not None]
        return cards


def _read_codec(header: Header, n: int) -> Codec | None:
    value = header.get(f"ZCTYP{n}")
    if value is None:  # as CFITSIO leaves columns of no width; it takes GZIP_2 then
        return None
    try:
        return Codec(value)
    except ValueError:
        known = ", ".join(c.value for c in Codec)
        raise CorruptTableError(
            f"{header.where}: column {n} is compressed by ZCTYP{n} = {value!r}; known: {known}"
        ) from None


def stored_columns(
    columns: Mapping[str, NDArray[np.generic]], schema: tuple[Column, ...]
) -> tuple[Column, ...]:
    """Pick the columns worth storing: those given that are not null in every row.

    Parameters
    ----------
    columns : mapping of str to ndarray
        Values by Python name; a schema's column may be absent.
    schema : tuple of Column
        Columns of the table's schema.

    Returns
    -------
    tuple of Column
        Columns to write, in the schema's order. Columns without a null are always kept.
    """
    return tuple(
        column
        for column in schema
        if column.name in columns
        and not (column.nullable and bool(np.all(column.is_null(columns[column.name]))))
    )
