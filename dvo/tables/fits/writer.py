"""Write FITS tables from columns: tiles are compressed in threads, the file goes out in order.

Columns are never put together into rows: a compressed table needs none, and what
DATASUM of the uncompressed table would be (ZDATASUM) is summed column by column.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError, StorageError
from dvo.tables.fits import codecs
from dvo.tables.fits.checksum import add_sums, checksum_cards, place_sum, sum_bytes
from dvo.tables.fits.codecs import Level
from dvo.tables.fits.field import Field
from dvo.tables.fits.header import BLOCK, format_card, format_cards, header_bytes
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.kernels import sum_column
from dvo.tables.fits.plain import rows_bytes
from dvo.tables.fits.values import Layout, words_of

__all__ = ["FileWriter", "Levels", "TableHDU", "WrittenFile", "plain_cards", "primary_cards",
           "tile_bounds", "write_fits", "z_cards"]  # fmt: skip

Array = NDArray[Any]
Buffers = Iterable[bytes | memoryview]
Levels = Level | Mapping[str, Level]
"""Level of all columns, or of each by its name."""

_TILES_A_JOB = 16
_WRITE_BYTES = 1 << 22
_PIECE_BYTES = 1 << 22
_STRUCTURE = {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT"}
_STRUCTURE |= {"TFIELDS", "EXTNAME", "EXTEND", "END", "CHECKSUM", "DATASUM"}
_STRUCTURE |= {"ZTABLE", "ZTILELEN", "ZNAXIS1", "ZNAXIS2", "ZPCOUNT", "ZHECKSUM", "ZDATASUM"}


@dataclass(frozen=True)
class TableHDU:
    """A table to write.

    Parameters
    ----------
    extname : str
        EXTNAME of its HDU.
    fields : tuple of Field
        Its columns, in order.
    columns : mapping of str to ndarray
        Values by Python name (lower case), as a reader would get them.
    header : mapping of str to value or (value, comment)
        More keywords.
    tile_rows : int or None
        Rows in a tile; None writes the table uncompressed.
    index : tuple of str
        Columns whose least and greatest value in each tile go to an HDU of their own,
        ``<extname>_INDEX``, right behind the table.
    """

    extname: str
    fields: tuple[Field, ...]
    columns: Mapping[str, Array]
    header: Mapping[str, Any] = field(default_factory=dict)
    tile_rows: int | None = 8192
    index: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        where = f"table {self.extname}"
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise SchemaError(f"{where}: columns named twice: {', '.join(twice)}")
        absent = [n for n in names if n not in self.columns]
        if absent:
            raise SchemaError(f"{where}: no values for column(s) {', '.join(absent)}")
        extra = sorted(set(self.columns) - set(names))
        if extra:
            raise SchemaError(f"{where}: values for column(s) without a field: {', '.join(extra)}")
        lists = [f.name for f in self.fields if f.pointer]
        if lists:
            raise SchemaError(
                f"{where}: column(s) {', '.join(lists)} hold arrays of variable length, which "
                f"are read but not written; use a vector column"
            )
        unknown = [n for n in self.index if n not in names]
        if unknown:
            raise SchemaError(f"{where}: index of unknown column(s) {', '.join(unknown)}")
        if self.tile_rows is not None and self.tile_rows < 1:
            raise SchemaError(f"{where}: tile_rows = {self.tile_rows}, but it must be positive")
        if len({len(self.columns[n]) for n in names}) > 1:
            sizes = ", ".join(f"{n} {len(self.columns[n])}" for n in names)
            raise SchemaError(f"{where}: columns differ in length: {sizes}")

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.columns[self.fields[0].name]) if self.fields else 0


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What was written.

    Parameters
    ----------
    n_bytes : int
        Size of the file.
    digest : str
        BLAKE2b of 16 bytes over the whole file, in hexadecimal.
    """

    n_bytes: int
    digest: str


class FileWriter:
    """A new file, written from front to back and hashed on the way.

    Parameters
    ----------
    path : path-like
        The file; it must not exist.

    Raises
    ------
    StorageError
        If it exists or cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.n_bytes = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._hasher: ThreadPoolExecutor | None = None
        self._hashing: Future[None] | None = None
        self._held: list[bytes | memoryview] = []
        self._n_held = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError as error:
            raise StorageError(f"{path}: exists already; it is not overwritten") from error
        except OSError as error:
            raise StorageError(f"{path}: cannot be made: {error.strerror}") from error

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Parameters
        ----------
        data : bytes-like
            The bytes; they must not change any more.
        """
        self._held.append(data)
        self._n_held += len(data)
        if self._n_held >= _WRITE_BYTES:
            self._flush()

    def pad(self) -> None:
        """Fill up to a whole block with zeros."""
        size = -(self.n_bytes + self._n_held) % BLOCK
        if size:
            self.write(bytes(size))

    def _flush(self) -> None:
        # One large write: many small ones cost more than this copy.
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held, self._n_held = [], 0
        self._hash_later(data)
        self.n_bytes += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _hash_later(self, data: bytes | memoryview) -> None:
        """Hash beside the writing; a small file is not worth a thread."""
        if self._hasher is None and len(data) < _WRITE_BYTES:
            self._hash.update(data)
            return
        if self._hasher is None:
            self._hasher = ThreadPoolExecutor(1)
        self._hashing = self._hasher.submit(self._hash.update, data)

    def _end_hashing(self) -> None:
        if self._hasher is not None:
            self._hasher.shutdown(wait=True, cancel_futures=False)
            self._hasher = None
        if self._hashing is not None:
            self._hashing.result()
            self._hashing = None

    def finish(self, *, fsync: bool) -> WrittenFile:
        """Write what is held back, and close.

        Parameters
        ----------
        fsync : bool
            Whether to wait until the disk has it all.

        Returns
        -------
        WrittenFile
            Size and digest.
        """
        if self._n_held:
            self._flush()
        if fsync:
            os.fsync(self._fd)
        self._end_hashing()
        fd, self._fd = self._fd, -1
        os.close(fd)
        return WrittenFile(self.n_bytes, self._hash.hexdigest())

    def discard(self) -> None:
        """Close and remove the file; what led here is the error to tell, not this."""
        self._end_hashing()
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                os.close(fd)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def tile_bounds(values: Array, tile_rows: int) -> tuple[Array, Array]:
    """Least and greatest value in each tile.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Numbers; NaN does not count.
    tile_rows : int
        Rows in a tile.

    Returns
    -------
    least, greatest : ndarray of the same type, one value a tile
        NaN where a tile has nothing else.
    """
    starts = np.arange(0, len(values), tile_rows)
    if len(starts) == 0:
        return values[:0].copy(), values[:0].copy()
    return np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)


def _index_table(table: TableHDU) -> TableHDU:
    rows = table.tile_rows or max(table.n_rows, 1)
    by_name = {f.name: f for f in table.fields}
    fields, columns = [], {}
    for name in table.index:
        source = by_name[name]
        values = np.asarray(table.columns[name])
        if values.ndim != 1 or values.dtype.kind not in "iuf":
            raise SchemaError(
                f"table {table.extname}: column {name} is no plain number, it has no bounds"
            )
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        for suffix, bounds in zip(("_MIN", "_MAX"), tile_bounds(native, rows), strict=True):
            made = Field.from_array(source.ttype + suffix, bounds, unit=source.unit)
            fields.append(made)
            columns[made.name] = bounds
    return TableHDU(f"{table.extname}_INDEX", tuple(fields), columns, tile_rows=None)


def z_cards(fields: Sequence[Field], forms: Sequence[str], counts: Mapping[str, Any]) -> list[str]:
    """Cards that make a table a compressed one.

    Parameters
    ----------
    fields : sequence of Field
        Its columns.
    forms : sequence of str
        Cards of ZFORMn.
    counts : mapping of str to (int, str)
        ZTILELEN, ZNAXIS1, ZNAXIS2 and ZPCOUNT with their comments: those of NAXIS1,
        NAXIS2 and PCOUNT, for funpack puts them back.

    Returns
    -------
    list of str
        The cards, in CFITSIO's order.
    """
    cards = [format_card("ZTABLE", True, "this is a compressed table")]
    cards += format_cards(counts)
    cards += forms
    cards += [
        format_card(f"ZCTYP{i + 1}", f.zctyp.value, "compression algorithm for column")
        for i, f in enumerate(fields)
        if f.width
    ]
    return cards


_COMMENTS = {
    "NAXIS1": "length of dimension 1",
    "NAXIS2": "length of dimension 2",
    "PCOUNT": "number of group parameters",
}


def _head(row_bytes: int, n_rows: int, heap: int, n_fields: int) -> list[str]:
    return format_cards(
        [
            ("XTENSION", ("BINTABLE", "binary table extension")),
            ("BITPIX", (8, "array data type")),
            ("NAXIS", (2, "number of array dimensions")),
            ("NAXIS1", (row_bytes, _COMMENTS["NAXIS1"])),
            ("NAXIS2", (n_rows, _COMMENTS["NAXIS2"])),
            ("PCOUNT", (heap, _COMMENTS["PCOUNT"])),
            ("GCOUNT", (1, "number of groups")),
            ("TFIELDS", (n_fields, "number of table fields")),
        ]
    )


def _tail(extname: str, header: Mapping[str, Any]) -> list[str]:
    clash = sorted(k for k in header if k.upper() in _STRUCTURE)
    if clash:
        raise SchemaError(
            f"table {extname}: header keyword(s) {', '.join(clash)} belong to the format"
        )
    return [format_card("EXTNAME", extname, "name of the table"), *format_cards(header)]


def plain_cards(
    extname: str, fields: Sequence[Field], n_rows: int, header: Mapping[str, Any]
) -> list[str]:
    """Cards of an uncompressed table, without its sums.

    Parameters
    ----------
    extname : str
        EXTNAME.
    fields : sequence of Field
        Its columns.
    n_rows : int
        Number of rows.
    header : mapping of str to value or (value, comment)
        More keywords.

    Returns
    -------
    list of str
        The cards; how many there are does not depend on the number of rows.
    """
    cards = _head(sum(f.width for f in fields), n_rows, 0, len(fields))
    for i, f in enumerate(fields):
        cards += f.cards(i + 1)
    return cards + _tail(extname, header)


def primary_cards(header: Mapping[str, Any] | None = None) -> list[str]:
    """Cards of a primary HDU without data, and without its sums.

    Parameters
    ----------
    header : mapping of str to value or (value, comment), optional
        More keywords; those of the structure are passed over.

    Returns
    -------
    list of str
        The cards.
    """
    keys = {k: v for k, v in (header or {}).items() if k.upper() not in _STRUCTURE}
    head = [("SIMPLE", (True, "FITS 4.0")), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
    return format_cards(head) + format_cards(keys)


def _write_plain(out: FileWriter, table: TableHDU) -> None:
    words = [words_of(f, table.columns[f.name], table.n_rows) for f in table.fields]
    row_bytes = sum(f.width for f in table.fields)
    step = max(1, _PIECE_BYTES // 4 // max(row_bytes, 1)) * 4  # whole words of the sum
    starts = range(0, table.n_rows, step)
    sums = 0
    pieces = []
    for start in starts:
        stop = min(start + step, table.n_rows)
        piece = rows_bytes(table.fields, words, start, stop).data
        sums = add_sums(sums, sum_bytes(piece))
        pieces.append(piece)
    cards = plain_cards(table.extname, table.fields, table.n_rows, table.header)
    out.write(header_bytes(checksum_cards(cards, sums)))
    for piece in pieces:
        out.write(piece)
    out.pad()


@dataclass(slots=True)
class _Packed:
    """Compressed columns of a table, in order, each as a few pieces of several tiles."""

    pieces: list[list[bytes]]
    sums: list[list[int]]  # of the pieces
    sizes: NDArray[np.int64]  # of the tiles, by column
    plain_sum: int  # of the uncompressed table


def _pack(table: TableHDU, tile_rows: int, threads: int, level: Levels) -> _Packed:
    n_rows, fields = table.n_rows, table.fields
    n_tiles, n_pieces = -(-n_rows // tile_rows), -(-n_rows // (tile_rows * _TILES_A_JOB))
    row_bytes = sum(f.width for f in fields)
    words = [words_of(f, table.columns[f.name], n_rows) for f in fields]
    places = np.cumsum([0, *(f.width for f in fields)]).tolist()
    packed = _Packed(
        [[b""] * n_pieces for _ in fields],
        [[0] * n_pieces for _ in fields],
        np.zeros((len(fields), n_tiles), np.int64),
        0,
    )
    plain = np.zeros((len(fields), n_pieces, 4), np.uint64)
    levels = [level if isinstance(level, str) else level[f.name] for f in fields]

    def work(job: tuple[int, int]) -> None:
        i, k = job
        layout, first = Layout.of(fields[i]), k * _TILES_A_JOB
        start = first * tile_rows
        stop = min(start + _TILES_A_JOB * tile_rows, n_rows)
        part = words[i][start * layout.n_words : stop * layout.n_words]
        tiles = codecs.encode(
            part,
            fields[i].zctyp,
            flip=layout.flip,
            shuffle=layout.shuffle,
            level=levels[i],
            tile=tile_rows * layout.n_words,
        )
        packed.sizes[i, first : first + len(tiles)] = [len(t) for t in tiles]
        packed.pieces[i][k] = piece = b"".join(tiles)
        packed.sums[i][k] = sum_bytes(piece)
        place = (places[i] + start * row_bytes) % 4
        sum_column(part, np.uint64(layout.flip), layout.n_words, row_bytes, place, plain[i, k])

    run_jobs(
        work, [(i, k) for i, f in enumerate(fields) if f.width for k in range(n_pieces)], threads
    )
    by_place = plain.reshape(-1, 4).sum(axis=0, dtype=object)
    packed.plain_sum = add_sums(*(place_sum(add_sums(int(s)), k) for k, s in enumerate(by_place)))
    return packed


def _write_tiles(
    out: FileWriter, table: TableHDU, tile_rows: int, threads: int, level: Levels
) -> None:
    packed = _pack(table, tile_rows, threads, level)
    sizes = packed.sizes
    n_fields, n_tiles = sizes.shape
    row_bytes = sum(f.width for f in table.fields)
    # Column by column: a scan of a few columns then reads a few long ranges.
    ends = np.cumsum(sizes.reshape(-1))
    heap = int(ends[-1])
    table_bytes = np.empty((n_tiles, n_fields, 2), ">i8")
    table_bytes[:, :, 0] = sizes.T
    table_bytes[:, :, 1] = (ends - sizes.reshape(-1)).reshape(n_fields, n_tiles).T
    descriptors = table_bytes.tobytes()
    pieces = [piece for column in packed.pieces for piece in column]
    total, at = sum_bytes(descriptors), len(descriptors)
    for piece, piece_sum in zip(pieces, (s for column in packed.sums for s in column), strict=True):
        total = add_sums(total, place_sum(piece_sum, at))
        at += len(piece)

    as_plain = plain_cards(table.extname, table.fields, table.n_rows, table.header)
    cards = _head(16 * n_fields, n_tiles, heap, n_fields)
    longest = sizes.max(axis=1).tolist()
    for i, f in enumerate(table.fields):
        cards += f.cards(i + 1, form=f"1QB({longest[i]})")
    forms = [format_card(f"ZFORM{i + 1}", f.form) for i, f in enumerate(table.fields)]
    counts = {
        "ZTILELEN": (tile_rows, "number of rows in each tile"),
        "ZNAXIS1": (row_bytes, _COMMENTS["NAXIS1"]),
        "ZNAXIS2": (table.n_rows, _COMMENTS["NAXIS2"]),
        "ZPCOUNT": (0, _COMMENTS["PCOUNT"]),
    }
    cards += _tail(table.extname, table.header) + z_cards(table.fields, forms, counts)
    # With the sums of the plain table funpack restores its header to the last byte.
    plain = checksum_cards(as_plain, packed.plain_sum)[-2:]
    cards += [
        plain[0].replace("CHECKSUM", "ZHECKSUM", 1),
        plain[1].replace("DATASUM ", "ZDATASUM", 1),
    ]
    out.write(header_bytes(checksum_cards(cards, total)))
    out.write(descriptors)
    for piece in pieces:
        out.write(piece)
    out.pad()


def _write_table(out: FileWriter, table: TableHDU, threads: int, level: Levels) -> None:
    # As CFITSIO does, tables without rows or columns stay as they are.
    if table.tile_rows is None or table.n_rows == 0 or not any(f.width for f in table.fields):
        _write_plain(out, table)
    else:
        _write_tiles(out, table, min(table.tile_rows, table.n_rows), threads, level)
    if table.index:
        _write_plain(out, _index_table(table))


def write_fits(
    path: str | os.PathLike[str],
    hdus: Sequence[TableHDU],
    *,
    primary: Mapping[str, Any] | None = None,
    threads: int = 1,
    level: Levels = "fast",
    fsync: bool = True,
) -> WrittenFile:
    """Write tables to a new FITS file.

    Parameters
    ----------
    path : path-like
        The file; it must not exist.
    hdus : sequence of TableHDU
        Tables, in order.
    primary : mapping of str to value or (value, comment), optional
        Keywords of the primary header.
    threads : int
        Threads to compress with.
    level : {"fast", "small"}, or mapping of str to one of them
        Speed before size (ingest), or size before speed (compaction); for each column by
        its name, or for all.
    fsync : bool
        Whether to wait until the disk has it all.

    Returns
    -------
    WrittenFile
        Size and digest of the file.

    Raises
    ------
    SchemaError
        If columns do not fit their fields; no file is left.
    StorageError
        If the file exists, or the disk is full or fails; no partial file is left.
    """
    out = FileWriter(path)
    try:
        out.write(header_bytes(checksum_cards(primary_cards(primary), 0)))
        for table in hdus:
            _write_table(out, table, threads, level)
        return out.finish(fsync=fsync)
    except OSError as error:
        out.discard()
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
    except BaseException:
        out.discard()
        raise
