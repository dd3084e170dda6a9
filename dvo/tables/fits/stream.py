"""A plain binary table written piece by piece, when its length is not yet known.

The header is written first with room for the count and the sums, which are put in at the
end: so a table of any length takes the memory of one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.tables.fits.checksum import add_sums, checksum_cards, place_sum, sum_bytes
from dvo.tables.fits.field import Field
from dvo.tables.fits.header import BLOCK, header_bytes
from dvo.tables.fits.plain import rows_bytes
from dvo.tables.fits.values import words_of
from dvo.tables.fits.writer import plain_cards, primary_cards

__all__ = ["PlainStream"]

Array = NDArray[Any]


class PlainStream:
    """A FITS file with one uncompressed table, being written.

    Parameters
    ----------
    file : binary file
        Open for writing, at its beginning, and able to seek.
    extname : str
        EXTNAME of the table.
    fields : sequence of Field
        Its columns; none of variable length.
    header : mapping of str to value or (value, comment), optional
        More keywords of the table.
    """

    def __init__(
        self,
        file: IO[bytes],
        extname: str,
        fields: Sequence[Field],
        header: Mapping[str, Any] | None = None,
    ) -> None:
        names = [f.name for f in fields]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise SchemaError(f"table {extname}: columns named twice: {', '.join(twice)}")
        self.n_rows = 0
        self._file = file
        self._extname = extname
        self._fields = tuple(fields)
        self._header = dict(header or {})
        self._sum = 0
        self._n_bytes = 0
        file.write(header_bytes(checksum_cards(primary_cards(), 0)))
        self._start = file.tell()
        file.write(self._head())

    def _head(self) -> bytes:
        cards = plain_cards(self._extname, self._fields, self.n_rows, self._header)
        return header_bytes(checksum_cards(cards, self._sum))

    def write(self, columns: Mapping[str, Array]) -> None:
        """Append rows.

        Parameters
        ----------
        columns : mapping of str to ndarray
            Values of all columns by Python name (lower case), all of one length.
        """
        n_rows = len(columns[self._fields[0].name])
        words = [words_of(f, columns[f.name], n_rows) for f in self._fields]
        piece = rows_bytes(self._fields, words, 0, n_rows).data
        self._sum = add_sums(self._sum, place_sum(sum_bytes(piece), self._n_bytes))
        self._file.write(piece)
        self.n_rows += n_rows
        self._n_bytes += len(piece)

    def finish(self) -> None:
        """Fill the last block and state count and sums; the file stays open."""
        self._file.write(bytes(-self._n_bytes % BLOCK))
        end = self._file.tell()
        self._file.seek(self._start)
        self._file.write(self._head())
        self._file.seek(end)
