"""TableFile: open a FITS file and read columns of one of its tables, compressed or not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from dvo.errors import CorruptTableError, SchemaError
from dvo.tables.fits import vla
from dvo.tables.fits.checksum import add_sums, sum_bytes
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.header import Header
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.plain import PlainTable
from dvo.tables.fits.values import finish, new_column, new_lists
from dvo.tables.fits.ztable import CompressedTable, Descriptors, Run

__all__ = ["TableFile", "verify_hdu"]

Array = NDArray[Any]

_PIECE = 1 << 24


def verify_hdu(file: FitsFile, hdu: Hdu) -> bool:
    """Compare DATASUM and CHECKSUM of an HDU with its bytes.

    Parameters
    ----------
    file : FitsFile
        The file.
    hdu : Hdu
        The HDU.

    Returns
    -------
    bool
        Whether it has one of the two keywords at all.

    Raises
    ------
    CorruptTableError
        If one does not agree.
    """
    wanted, has_checksum = hdu.header.get("DATASUM"), "CHECKSUM" in hdu.header
    if wanted is None and not has_checksum:
        return False
    stop = min(hdu.stop, file.size)
    total = 0
    for at in range(hdu.data, stop, _PIECE):
        total = add_sums(total, sum_bytes(file.read(at, min(_PIECE, stop - at))))
    text = str(wanted).strip()
    if wanted is not None and not (text.isdigit() and int(text[:20]) == total):
        raise CorruptTableError(
            f"{hdu.where}: the sum of its data is {total}, but DATASUM = {text!r}: it is damaged"
        )
    if has_checksum:
        whole = add_sums(total, sum_bytes(file.read(hdu.start, hdu.data - hdu.start)))
        if whole not in (0, 0xFFFFFFFF):
            raise CorruptTableError(
                f"{hdu.where}: the sum of header and data is {whole}, not minus zero as "
                f"CHECKSUM = {hdu.header['CHECKSUM']!r} should make it: it is damaged"
            )
    return True


class TableFile:
    """One binary table of a FITS file, open for reading.

    Only headers are read when it is opened; the columns' keywords are parsed when
    they are needed.

    Parameters
    ----------
    path : path-like or FitsFile
        The file; one that is open already stays so.
    hdu : int or str
        Number or EXTNAME of the table's HDU.

    Raises
    ------
    StorageError
        If the file cannot be opened.
    CorruptTableError
        If it is damaged, or the HDU is absent or no binary table.

    Examples
    --------
    >>> with TableFile("n2230/1799.00000009-72cf.cpm") as table:  # doctest: +SKIP
    ...     columns = table.read(["ra", "dec"], start=0, stop=8192)
    """

    def __init__(self, path: str | os.PathLike[str] | FitsFile, hdu: int | str = 1) -> None:
        self._file = path if isinstance(path, FitsFile) else FitsFile(path)
        self._is_own = self._file is not path
        try:
            self.hdu = self._file.get(hdu)
            if not self.hdu.is_table:
                raise CorruptTableError(f"{self.hdu.where}: is no binary table")
            self.compressed = self.hdu.is_compressed
            kind = CompressedTable if self.compressed else PlainTable
            self._table: CompressedTable | PlainTable = kind(self._file, self.hdu)
        except BaseException:
            self.close()
            raise
        self._fields: dict[int, Field] = {}

    def close(self) -> None:
        """Close the file, if this opened it; more than once does no harm."""
        if self._is_own:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return self._table.n_rows

    @property
    def tile_rows(self) -> int:
        """Rows in a tile; all of them where the table is not compressed."""
        return self._table.tile_rows if isinstance(self._table, CompressedTable) else self.n_rows

    @property
    def n_tiles(self) -> int:
        """Tiles; 1 where the table is not compressed."""
        return self._table.n_tiles if isinstance(self._table, CompressedTable) else 1

    @property
    def header(self) -> Header:
        """Header of the table."""
        return self.hdu.header

    @property
    def primary(self) -> Header:
        """Header of the primary HDU."""
        return self._file.get(0).header

    def _field(self, number: int) -> Field:
        field = self._fields.get(number)
        if field is None:
            field = Field.from_header(self.header, number + 1, compressed=self.compressed)
            self._fields[number] = field
        return field

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All columns, in order."""
        fields = tuple(self._field(i) for i in range(self._table.n_fields))
        self._table.check_widths(fields)
        return fields

    @cached_property
    def _numbers(self) -> dict[str, int]:
        names: dict[str, int] = {}
        for i in range(self._table.n_fields):
            name = self.header.get(f"TTYPE{i + 1}")
            names.setdefault(str(name).lower() if name else f"col{i + 1}", i)
        return names

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in Python: lower case. Of two the same the first counts."""
        return tuple(self._numbers)

    def _pick(self, names: Sequence[str] | None) -> list[tuple[str, int, Field]]:
        picked = []
        for name in self.names if names is None else names:
            number = self._numbers.get(name)
            if number is None:
                raise SchemaError(
                    f"{self.hdu.where}: has no column {name!r}; it has {', '.join(self.names)}"
                )
            picked.append((name, number, self._field(number)))
        return picked

    def read(
        self,
        names: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        threads: int = 1,
    ) -> dict[str, Array]:
        """Read columns.

        Parameters
        ----------
        names : sequence of str, optional
            Columns, lower case; all if left out.
        start, stop : int, optional
            Rows wanted, as in a slice.
        threads : int
            Threads to decompress with.

        Returns
        -------
        dict of str to ndarray
            Native, contiguous and writeable arrays of the rows wanted: booleans for
            logicals and bits, ``S<n>`` without trailing blanks for text, true unsigned
            integers, shape ``(n, r)`` for vector columns, float64 for scaled columns,
            arrays of arrays for columns of variable length.

        Raises
        ------
        SchemaError
            If a column does not exist.
        CorruptTableError
            If the file is damaged.
        """
        start, stop, _ = slice(start, stop).indices(self.n_rows)
        stop = max(start, stop)
        picked = self._pick(names)
        if isinstance(self._table, PlainTable):
            return self._read_plain(self._table, picked, start, stop)
        return self._read_tiles(self._table, picked, start, stop, threads)

    def _read_plain(
        self, table: PlainTable, picked: list[tuple[str, int, Field]], start: int, stop: int
    ) -> dict[str, Array]:
        fields = self.fields
        columns: dict[str, Array] = {}
        words: dict[int, Array] = {}
        for name, number, field in picked:
            if field.pointer:
                columns[name] = table.objects(number, field, fields, start, stop)
            else:
                columns[name], words[number] = new_column(field, stop - start)
        table.fill(fields, words, start, stop)
        return {
            name: columns[name] if field.pointer else finish(field, columns[name])
            for name, _, field in picked
        }

    def _read_tiles(
        self,
        table: CompressedTable,
        picked: list[tuple[str, int, Field]],
        start: int,
        stop: int,
        threads: int,
    ) -> dict[str, Array]:
        first, last = table.tile_range(start, stop)
        where = table.descriptors([p[1:] for p in picked], first, last)
        begin = first * table.tile_rows
        n_rows = min(last * table.tile_rows, table.n_rows) - begin if last else 0
        room: list[tuple[Array, Array]] = [
            (new_lists(field, n_rows),) * 2 if field.pointer else new_column(field, n_rows)
            for _, _, field in picked
        ]

        def work(run: Run) -> None:
            _, number, field = picked[run.column]
            values, words = room[run.column]
            if field.pointer:
                _read_arrays(table, run, number, field, where, values)
            else:
                table.decode_run(run, number, field, where, words)

        jobs = list(table.runs([p[1:] for p in picked], where))
        jobs.sort(key=lambda run: run.offset)
        for run in jobs[1:]:  # fetched by the disk while the first ones are decoded
            self._file.expect(table.heap + run.offset, run.size)
        run_jobs(work, jobs, threads)
        columns = {}
        for (name, _, field), (values, _) in zip(picked, room, strict=True):
            done = values if field.pointer else finish(field, values)
            part = done[start - begin : stop - begin]
            # Do not keep two whole tiles for the sake of a few rows.
            columns[name] = part if 2 * len(part) >= len(done) else part.copy()
        return columns

    @cached_property
    def _index(self) -> TableFile | None:
        """The table of the bounds of tiles, in the same open file."""
        hdu = self._file.find(self.hdu.index + 1)
        if hdu is None or not self.hdu.extname or hdu.extname != f"{self.hdu.extname}_INDEX":
            return None
        index = TableFile(self._file, hdu.index)
        if index.n_rows != self.n_tiles:
            raise CorruptTableError(
                f"{hdu.where}: has {index.n_rows} rows for {self.n_tiles} tiles"
            )
        return index

    def tile_bounds(self, name: str) -> tuple[Array, Array] | None:
        """Least and greatest value of a column in each tile.

        Parameters
        ----------
        name : str
            Column, lower case.

        Returns
        -------
        tuple of two ndarrays, shape (n_tiles,), or None
            Minima and maxima, NaN where a tile has no value; None if the file does
            not record them.
        """
        ends = (f"{name}_min", f"{name}_max")
        index = self._index
        if index is None or not set(ends) <= set(index.names):
            return None
        columns = index.read(ends)
        return columns[ends[0]], columns[ends[1]]

    def verify(self) -> None:
        """Compare DATASUM and CHECKSUM of the table with its bytes.

        Raises
        ------
        CorruptTableError
            If they differ.
        """
        verify_hdu(self._file, self.hdu)


def _read_arrays(
    table: CompressedTable,
    run: Run,
    number: int,
    field: Field,
    where: Descriptors,
    values: Array,
) -> None:
    at = (run.first - where.first) * table.tile_rows
    for tile in range(run.first, run.stop):
        k = tile - where.first
        size, offset = int(where.sizes[k, run.column]), int(where.offsets[k, run.column])
        part = vla.read_tile(table, number, field, tile, size, offset)
        lengths = part.descriptors[:, 0].tolist()
        for length, raw in zip(lengths, part.arrays, strict=True):
            values[at] = vla.to_native(field, raw, length)
            at += 1
