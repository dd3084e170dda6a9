"""Plain FITS tables, as TOPCAT, STILTS, astropy and everything else reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dvo.database.arrow import OutputColumn
from dvo.exchange.extract import Values
from dvo.tables.fits import Field, PlainStream

__all__ = ["FitsFile"]

_EXTNAME = "DVO_EXPORT"


class FitsFile:
    """A FITS file with one binary table, being written.

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
        fields = [replace(Field.from_column(c.like), ttype=c.name) for c in columns]
        self._keys = {c.name: c.name.lower() for c in columns}
        self._file: IO[bytes] = path.open("xb")
        header = {"CONTENT": (about[:60], "what the rows are")}
        self._stream = PlainStream(self._file, _EXTNAME, fields, header)

    def write(self, values: Values) -> None:
        """Append rows."""
        self._stream.write({self._keys[name]: v for name, v in values.items()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._stream.finish()
