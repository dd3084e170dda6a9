"""What a table is: typed columns with units, meanings and the way they are compressed.

A schema exists once, here in code. FITS headers, Arrow and VOTable metadata, the
documentation and the checks are all made from it. In Python a column is called by its
lower-case name (``ra``, ``image_id``), on disk by the same name in upper case.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError

__all__ = ["Codec", "Column", "TableSchema"]


class Codec(enum.Enum):
    """How a column is compressed; the values are those of the FITS keyword ZCTYPn."""

    RICE_1 = "RICE_1"
    GZIP_1 = "GZIP_1"
    GZIP_2 = "GZIP_2"


_DEFAULT_CODEC = {
    "f": Codec.GZIP_2,
    "i": Codec.RICE_1,
    "u": Codec.RICE_1,
    "b": Codec.GZIP_1,
    "S": Codec.GZIP_1,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
        Python name, lower case; the FITS name (TTYPE) is the same in upper case.
    dtype : str
        NumPy type without byte order: ``f8 f4 i8 i4 i2 u8 u4 u2 u1 b1`` or ``S<n>``.
    meaning : str
        One line for people: what a value says.
    unit : str
        Unit in FITS notation; empty for pure numbers.
    ucd : str
        IVOA UCD1+ word(s); empty if none fits.
    null : int, float, bytes or None
        Value that stands for "unknown". Floats use NaN always. None: never null.
    shape : int
        Number of elements in each row (vector column when above 1).
    codec : Codec or None
        Compression; None takes the default of the type (floats and 64-bit integers
        GZIP_2, shorter integers RICE_1, booleans and strings GZIP_1).
    derived : bool
        Whether it is made when it is read, and so is never stored.
    """

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    ucd: str = ""
    null: int | float | bytes | None = None
    shape: int = 1
    codec: Codec | None = None
    derived: bool = False

    def __post_init__(self) -> None:
        if self.name != self.name.lower():
            raise SchemaError(f"column {self.name!r}: names are lower case in Python")
        if self.dtype[0] == "f" and self.null is None:
            object.__setattr__(self, "null", float("nan"))
        if self.dtype[0] == "S" and self.null is None:
            object.__setattr__(self, "null", b"")
        if self.codec is None:
            wide = self.numpy_dtype.itemsize == 8 and self.dtype[0] in "iu"
            codec = Codec.GZIP_2 if wide else _DEFAULT_CODEC[self.dtype[0]]
            object.__setattr__(self, "codec", codec)

    @property
    def fits_name(self) -> str:
        """Name on disk (TTYPE)."""
        return self.name.upper()

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """Native NumPy type of one element."""
        return np.dtype(self.dtype)

    @property
    def nullable(self) -> bool:
        """Whether the column has a value that stands for "unknown"."""
        return self.null is not None

    def nulls(self, n_rows: int) -> NDArray[np.generic]:
        """Make an array of unknown values (zeros where the column has no null).

        Parameters
        ----------
        n_rows : int
            Length of the array.

        Returns
        -------
        ndarray of the column's type, shape (n_rows,) or (n_rows, shape)
            Filled with the null value.
        """
        size: tuple[int, ...] = (n_rows,) if self.shape == 1 else (n_rows, self.shape)
        fill = 0 if self.null is None and self.dtype[0] != "S" else self.null
        return np.full(size, fill, dtype=self.numpy_dtype)

    def is_null(self, values: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Tell which values are unknown.

        Parameters
        ----------
        values : ndarray
            Values of this column.

        Returns
        -------
        ndarray of bool, same shape
            True where the value is the column's null.
        """
        if self.null is None:
            return np.zeros(values.shape, dtype=np.bool_)
        if self.dtype[0] == "f":
            return np.asarray(np.isnan(values.astype(self.numpy_dtype, copy=False)), np.bool_)
        return np.asarray(values == np.asarray(self.null, dtype=self.numpy_dtype))


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, and how its files are known.

    Parameters
    ----------
    name : str
        Name in the field's words, such as ``Measure``.
    suffix : str
        Ending of its files without the dot, such as ``cpm``.
    extname : str
        EXTNAME of its FITS extension.
    meaning : str
        One line for people: what a row is.
    columns : tuple of Column
        All columns, in the order they are written.
    tile_index : tuple of str
        Columns whose least and greatest value is recorded for every tile.
    """

    name: str
    suffix: str
    extname: str
    meaning: str
    columns: tuple[Column, ...]
    tile_index: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise SchemaError(f"table {self.name}: columns named twice: {', '.join(twice)}")
        unknown = [n for n in self.tile_index if n not in names]
        if unknown:
            raise SchemaError(f"table {self.name}: tile index of unknown columns {unknown}")

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by their Python name."""
        return {c.name: c for c in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Python names of all columns, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def stored_names(self) -> tuple[str, ...]:
        """Python names of the columns that files can have, in order."""
        return tuple(c.name for c in self.columns if not c.derived)

    def __getitem__(self, name: str) -> Column:
        try:
            return self.by_name[name]
        except KeyError:
            raise SchemaError(
                f"table {self.name} has no column {name!r}; it has {', '.join(self.names)}"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self.by_name
