"""What a public table is: columns with SQL types, units, UCDs and defaults.

The public schema exists once, here in code. FITS batches, SQL, VOTable metadata and the
documentation are all made from it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError

__all__ = ["UNSET", "PublicColumn", "PublicTable", "SqlType"]

UNSET = -999
"""What stands for an unknown number in PSPS, unless a column says otherwise."""


class SqlType(enum.Enum):
    """Types of PSPS; the values are those of NumPy. TINYINT has no sign, as in SQL Server."""

    TINYINT = "u1"
    SMALLINT = "i2"
    INT = "i4"
    BIGINT = "i8"
    REAL = "f4"
    FLOAT = "f8"
    VARCHAR = "S"


@dataclass(frozen=True, slots=True)
class PublicColumn:
    """One column of a public table.

    Parameters
    ----------
    name : str
        Name as astronomers know it from PSPS, such as ``objID``; unique in any case.
    sql_type : SqlType
        Its type.
    meaning : str
        One line for people: what a value says.
    unit : str
        Unit in FITS notation; empty for pure numbers.
    ucd : str
        IVOA UCD1+ word(s); empty if none fits.
    default : int, float, str or None
        What stands for an unknown value; None if a value is always there.
    length : int
        Most characters of a VARCHAR.
    """

    name: str
    sql_type: SqlType
    meaning: str
    unit: str = ""
    ucd: str = ""
    default: int | float | str | None = None
    length: int = 0

    def __post_init__(self) -> None:
        if (self.sql_type is SqlType.VARCHAR) != (self.length > 0):
            raise SchemaError(f"column {self.name}: a VARCHAR, and nothing else, has a length")

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of its values."""
        text = self.sql_type is SqlType.VARCHAR
        return np.dtype(f"S{self.length}" if text else self.sql_type.value)

    def filled(self, n_rows: int) -> NDArray[Any]:
        """Make an array of unknown values.

        Parameters
        ----------
        n_rows : int
            Length of the array.

        Returns
        -------
        ndarray of `dtype`, shape (n_rows,)
            The default everywhere.

        Raises
        ------
        SchemaError
            If the column has no default.
        """
        if self.default is None:
            raise SchemaError(f"column {self.name} has no default: every row must have a value")
        value = self.default.encode() if isinstance(self.default, str) else self.default
        return np.full(n_rows, value, self.dtype)


@dataclass(frozen=True)
class PublicTable:
    """A table of the public database.

    Parameters
    ----------
    name : str
        Its name, such as ``ObjectThin``; EXTNAME in batches.
    meaning : str
        One line for people: what a row is.
    columns : tuple of PublicColumn
        All columns, in the order of the schema.
    key : tuple of str
        Columns whose values together are unique.
    references : tuple of (str, str, str)
        A column that names a row of another table, that table, and its column.
    """

    name: str
    meaning: str
    columns: tuple[PublicColumn, ...]
    key: tuple[str, ...]
    references: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        lower = [c.name.lower() for c in self.columns]
        twice = sorted({n for n in lower if lower.count(n) > 1})
        if twice:
            raise SchemaError(f"table {self.name}: columns named twice: {', '.join(twice)}")
        named = (*self.key, *(own for own, _, _ in self.references))
        unknown = [n for n in named if n not in self]
        if unknown:
            raise SchemaError(f"table {self.name}: no columns {', '.join(unknown)} for its keys")

    @cached_property
    def by_name(self) -> dict[str, PublicColumn]:
        """Columns by name."""
        return {c.name: c for c in self.columns}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(c.name for c in self.columns)

    def __getitem__(self, name: str) -> PublicColumn:
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name
