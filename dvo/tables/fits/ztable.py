"""Tile-compressed tables (ZTABLE, FITS 4.0 section 10.3): their layout, and tiles to words.

Knows where the compressed bytes of each tile and column lie and checks every length,
offset and count against the file before memory is taken. What the words mean is the
business of ``values``, arrays of variable length that of ``vla``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError
from dvo.tables.fits.codecs import MAX_EXPANSION, CodecError, decode
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import MAX_ROWS, FitsFile, Hdu
from dvo.tables.fits.values import Layout
from dvo.tables.schema import Codec

__all__ = ["CompressedTable", "Descriptors", "Run"]

I64 = NDArray[np.int64]

_RUN_BYTES = 1 << 22  # compressed bytes read by one pread, at most
_MAX_FIELDS = 999
_DESCRIPTOR = 16
_TILES_AT_ONCE = 16  # decoded while they stay in the cache


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Where the compressed tiles of some columns lie.

    Parameters
    ----------
    first : int
        Number of the first tile.
    sizes, offsets : ndarray of int64, shape (n_tiles, n_columns)
        Bytes of each tile, and their offset in the heap. Both are checked.
    """

    first: int
    sizes: I64
    offsets: I64


@dataclass(frozen=True, slots=True)
class Run:
    """Tiles of one column that lie one behind the other in the file.

    Parameters
    ----------
    column : int
        Position in the list of columns that is read.
    first, stop : int
        Range of tiles.
    offset, size : int
        Range of bytes in the heap.
    """

    column: int
    first: int
    stop: int
    offset: int
    size: int


class CompressedTable:
    """The layout of one compressed table.

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
        self.n_rows = header.integer("ZNAXIS2", high=MAX_ROWS)
        self.row_bytes = header.integer("ZNAXIS1")
        self.tile_rows = header.integer("ZTILELEN", low=0 if self.n_rows == 0 else 1)
        self.n_tiles = header.integer("NAXIS2", high=MAX_ROWS)
        width = header.integer("NAXIS1")
        if width != _DESCRIPTOR * self.n_fields:
            raise CorruptTableError(
                f"{hdu.where}: NAXIS1 = {width}, but {self.n_fields} compressed columns "
                f"take {_DESCRIPTOR * self.n_fields} bytes"
            )
        expected = -(-self.n_rows // self.tile_rows) if self.n_rows else 0
        asked, self.tile_rows = self.tile_rows, min(self.tile_rows, max(self.n_rows, 1))
        if self.n_tiles != expected:
            raise CorruptTableError(
                f"{hdu.where}: ZNAXIS2 = {self.n_rows} rows in tiles of ZTILELEN = "
                f"{asked} make {expected} tiles, but NAXIS2 = {self.n_tiles}"
            )
        heap = header.integer("THEAP", width * self.n_tiles)
        if not width * self.n_tiles <= heap <= hdu.size:
            raise CorruptTableError(f"{hdu.where}: THEAP = {heap} lies outside the data unit")
        self.heap = hdu.data + heap
        self.heap_bytes = hdu.size - heap

    def tile_range(self, start: int, stop: int) -> tuple[int, int]:
        """Tiles that overlap a range of rows.

        Parameters
        ----------
        start, stop : int
            The rows.

        Returns
        -------
        first, last : int
            Range of tiles, half open.
        """
        if start >= stop:
            return 0, 0
        return start // self.tile_rows, -(-stop // self.tile_rows)

    def rows_of(self, tile: int) -> int:
        """Rows in a tile.

        Parameters
        ----------
        tile : int
            Number of the tile.

        Returns
        -------
        int
            ZTILELEN, or what is left for the last tile.
        """
        return min(self.tile_rows, self.n_rows - tile * self.tile_rows)

    def check_field(self, number: int, field: Field) -> None:
        """Check type and codec of a column against each other.

        Parameters
        ----------
        number : int
            Number of the column, from 0.
        field : Field
            The column.

        Raises
        ------
        CorruptTableError
            If the codec cannot hold the type, or a row is wider than the table's.
        """
        where = f"{self.hdu.where}, column {number + 1} ({field.ttype})"
        if field.codec is Codec.RICE_1 and field.letter not in "BIJ":
            raise CorruptTableError(
                f"{where}: ZCTYP{number + 1} = 'RICE_1' is for integers of 8, 16 and 32 bits, "
                f"but ZFORM{number + 1} = {field.form!r}"
            )
        if field.width > self.row_bytes:
            raise CorruptTableError(
                f"{where}: ZFORM{number + 1} = {field.form!r} is wider "
                f"than ZNAXIS1 = {self.row_bytes}"
            )

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
                f"{self.hdu.where}: the columns of ZFORMn are {width} bytes wide, "
                f"but ZNAXIS1 = {self.row_bytes}"
            )

    def descriptors(
        self, columns: Sequence[tuple[int, Field]], first: int, stop: int
    ) -> Descriptors:
        """Read and check the descriptors of some columns.

        Parameters
        ----------
        columns : sequence of (int, Field)
            Numbers (from 0) and fields of the columns.
        first, stop : int
            Range of tiles.

        Returns
        -------
        Descriptors
            Sizes and offsets, all inside the heap.

        Raises
        ------
        CorruptTableError
            If one lies outside the heap, or cannot hold what it should.
        """
        width = _DESCRIPTOR * self.n_fields
        raw = self.file.read(self.hdu.data + first * width, (stop - first) * width)
        table = np.frombuffer(raw, ">i8").reshape(stop - first, self.n_fields, 2)
        numbers = [number for number, _ in columns]
        picked = table[:, numbers].astype(np.int64)
        sizes = np.ascontiguousarray(picked[:, :, 0])
        offsets = np.ascontiguousarray(picked[:, :, 1])
        bad = (sizes < 0) | (offsets < 0) | (offsets > self.heap_bytes)
        bad |= sizes > self.heap_bytes - np.where(bad, 0, offsets)
        self._report(bad, columns, first, sizes, offsets, f"outside the heap of {self.heap_bytes}")
        # Tiles do not share bytes: with this, what is read cannot grow beyond the file.
        if float(sizes.sum(dtype=np.float64)) > self.heap_bytes:
            raise CorruptTableError(
                f"{self.hdu.where}: its descriptors claim more bytes than the heap "
                f"of {self.heap_bytes} has"
            )
        for number, field in columns:
            self.check_field(number, field)
        short = sizes * float(MAX_EXPANSION) + 64 < self._least(columns, first, stop)
        self._report(short, columns, first, sizes, offsets, "too short for what they should hold")
        return Descriptors(first, sizes, offsets)

    def _least(
        self, columns: Sequence[tuple[int, Field]], first: int, stop: int
    ) -> NDArray[np.float64]:
        """Bytes that tiles expand to, shape (tiles, columns); as floats, which cannot overflow."""
        widths = [f.width + (_DESCRIPTOR if f.pointer and f.width else 0) for _, f in columns]
        rows = np.full(stop - first, float(self.tile_rows))
        if stop == self.n_tiles and stop > first:
            rows[-1] = self.rows_of(stop - 1)
        return rows[:, None] * np.array(widths, np.float64)

    def _report(
        self,
        bad: NDArray[np.bool_],
        columns: Sequence[tuple[int, Field]],
        first: int,
        sizes: I64,
        offsets: I64,
        what: str,
    ) -> None:
        if not bad.any():
            return
        tile, i = (int(k) for k in np.argwhere(bad)[0])
        number, field = columns[i]
        raise CorruptTableError(
            f"{self.hdu.where}, column {number + 1} ({field.ttype}), tile {first + tile + 1}: "
            f"its {sizes[tile, i]} bytes at offset {offsets[tile, i]} are {what}"
        )

    def runs(self, columns: Sequence[tuple[int, Field]], where: Descriptors) -> Iterator[Run]:
        """Cut columns into ranges of bytes to read at once.

        Parameters
        ----------
        columns : sequence of (int, Field)
            The columns.
        where : Descriptors
            Their tiles.

        Yields
        ------
        Run
            Tiles of one column without a gap between them. In files that keep tiles
            of all columns together, as CFITSIO writes them, that is one tile.
        """
        for i, (_, field) in enumerate(columns):
            if field.width == 0:
                continue
            sizes, offsets = where.sizes[:, i].tolist(), where.offsets[:, i].tolist()
            begin = 0
            for k in range(1, len(sizes) + 1):
                end = offsets[k - 1] + sizes[k - 1]
                if (
                    k < len(sizes)
                    and offsets[k] == end
                    and end + sizes[k] - offsets[begin] <= _RUN_BYTES
                ):
                    continue
                size = end - offsets[begin]
                yield Run(i, where.first + begin, where.first + k, offsets[begin], size)
                begin = k

    def decode_run(
        self,
        run: Run,
        number: int,
        field: Field,
        where: Descriptors,
        words: Any,
        *,
        stored: bool = False,
    ) -> None:
        """Read and decompress the tiles of one run.

        Parameters
        ----------
        run : Run
            What to read.
        number, field : int, Field
            The column.
        where : Descriptors
            Where tiles lie.
        words : ndarray of unsigned integers, flat
            Room for the tiles from ``where.first`` on.
        stored : bool
            Whether words are wanted as stored, without turning signs over.

        Raises
        ------
        CorruptTableError
            If a tile is damaged.
        """
        layout = Layout.of(field, stored=stored)
        codec = field.codec or Codec.GZIP_2
        data = memoryview(self.file.read(self.heap + run.offset, run.size))
        tile = self.tile_rows * layout.n_words
        at = 0
        for first in range(run.first, run.stop, _TILES_AT_ONCE):
            stop = min(first + _TILES_AT_ONCE, run.stop)
            k = first - where.first
            sizes = where.sizes[k : k + stop - first, run.column].tolist()
            blobs, at = data[at : at + sum(sizes)], at + sum(sizes)
            n_words = (stop - first - 1) * tile + self.rows_of(stop - 1) * layout.n_words
            out = words[k * tile : k * tile + n_words]
            try:
                decode(
                    blobs, sizes, codec, out,
                    flip=layout.flip, shuffle=layout.shuffle, tile=tile,
                )  # fmt: skip
            except CodecError as error:
                raise self.tile_error(number, field, first + error.tile, error) from error

    def tile_error(self, number: int, field: Field, tile: int, error: object) -> CorruptTableError:
        """Make the error of a damaged tile.

        Parameters
        ----------
        number, field : int, Field
            The column.
        tile : int
            Number of the tile, from 0.
        error : object
            What is wrong.

        Returns
        -------
        CorruptTableError
            To be raised.
        """
        return CorruptTableError(
            f"{self.hdu.where}, column {number + 1} ({field.ttype}), tile {tile + 1}: {error}"
        )
