"""Restore the plain tables of a file of compressed ones, to the last byte: funpack's work.

Checks come first: what the header claims against the file, where tiles lie, then the
sums. Only then bytes are decoded, and the output has its name only when all is done.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, StorageError
from dvo.tables.fits import vla
from dvo.tables.fits.checksum import add_sums, place_sum, sum_bytes
from dvo.tables.fits.codecs import MAX_EXPANSION
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.header import Header, header_bytes
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.output import copy_hdu, new_file
from dvo.tables.fits.plain import rows_bytes
from dvo.tables.fits.reader import verify_hdu
from dvo.tables.fits.values import Layout
from dvo.tables.fits.writer import FileWriter
from dvo.tables.fits.ztable import CompressedTable, Descriptors, Run

__all__ = ["restored_cards", "unpack"]

Array = NDArray[Any]

_RENAMED = {"ZHECKSUM": "CHECKSUM", "ZDATASUM": "DATASUM ", "ZHEAPPTR": "THEAP   "}
_RESTORED = re.compile(r"(NAXIS1|NAXIS2|PCOUNT|TFORM\d+) *\Z")
_DROPPED = re.compile(
    r"(ZTABLE|ZTILELEN|ZNAXIS1|ZNAXIS2|ZPCOUNT|ZTHEAP|CHECKSUM|DATASUM|ZFORM\d+|ZCTYP\d+) *\Z"
)
_ROWS_AT_ONCE = 2048  # rows put together while they stay in the cache
_BATCH_BYTES = 1 << 26


def restored_cards(header: Header) -> list[str]:
    """Cards of the table as it was before compression.

    Parameters
    ----------
    header : Header
        Header of the compressed table.

    Returns
    -------
    list of str
        The cards, each byte as in the original, as far as the file has kept it.
    """
    cards = header.cards()
    kept = {card[:8]: card for card in reversed(cards) if card[8:10] == "= "}
    restored = []
    for card in cards:
        key = card[:8]
        if key in _RENAMED:
            restored.append(_RENAMED[key] + card[8:])
        elif _RESTORED.match(key):
            old = kept.get(("Z" + key if key[0] != "T" else "Z" + key[1:])[:8].ljust(8))
            restored.append(card if old is None else key + old[8:])
        elif not _DROPPED.match(key):
            if key == "THEAP   " and "ZHEAPPTR" in kept:
                continue
            restored.append(card)
    return restored


def unpack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    threads: int = 1,
) -> None:
    """Write a file with all its compressed tables restored; other HDUs stay as they are.

    Parameters
    ----------
    source, target : path-like
        File to read, and file to write.
    overwrite : bool
        Whether the target may be replaced.
    threads : int
        Threads to decompress with.

    Raises
    ------
    CorruptTableError
        If the source is damaged; there is no target then.
    StorageError
        If the target exists, or the disk fails.
    """
    with FitsFile(source) as file:
        if Path(target).exists() and Path(source).samefile(target):
            raise StorageError(f"{target}: is the input itself; give another name")
        hdus = list(file)
        with new_file(target, overwrite=overwrite) as out:
            for hdu in hdus:
                if hdu.is_compressed:
                    _Restoring(file, hdu).write(out, threads)
                else:
                    copy_hdu(out, file, hdu)


class _Restoring:
    """One compressed table on its way to a plain one."""

    def __init__(self, file: FitsFile, hdu: Hdu) -> None:
        self.file = file
        self.hdu = hdu
        self.table = table = CompressedTable(file, hdu)
        self.fields = [
            Field.from_header(hdu.header, i + 1, compressed=True) for i in range(table.n_fields)
        ]
        table.check_widths(self.fields)
        self.columns = list(enumerate(self.fields))
        self.where = table.descriptors(self.columns, 0, table.n_tiles)
        self.heap = self._new_heap()
        self.has_sum = verify_hdu(file, hdu)

    def _new_heap(self) -> NDArray[np.uint8]:
        """Room for what follows the rows: a gap perhaps, and the arrays."""
        header, table = self.hdu.header, self.table
        size = header.integer("ZPCOUNT", 0)
        if size > MAX_EXPANSION * table.heap_bytes + (1 << 20):
            raise CorruptTableError(
                f"{self.hdu.where}: ZPCOUNT = {size}, but its {table.heap_bytes} compressed "
                f"bytes cannot hold that much"
            )
        rows = table.n_rows * table.row_bytes
        self.gap = header.integer("ZHEAPPTR", rows) - rows
        if not 0 <= self.gap <= size:
            raise CorruptTableError(f"{self.hdu.where}: ZHEAPPTR lies outside the table's data")
        return np.zeros(size, np.uint8)

    def write(self, out: FileWriter, threads: int) -> None:
        """Write header, rows and heap."""
        out.write(header_bytes(restored_cards(self.hdu.header)))
        total, at = 0, 0
        tile_bytes = self.table.tile_rows * self.table.row_bytes
        step = max(1, min(threads, _BATCH_BYTES // max(tile_bytes, 1)))
        # Without a column there is nothing to decode, however many tiles there may be.
        n_tiles = self.table.n_tiles if self.table.row_bytes else 0
        for first in range(0, n_tiles, step):
            tiles = range(first, min(first + step, n_tiles))
            parts: dict[int, list[memoryview]] = {}

            def work(tile: int, parts: dict[int, list[memoryview]] = parts) -> None:
                parts[tile] = self._rows(tile)

            run_jobs(work, tiles, threads)
            for tile in tiles:
                for part in parts.pop(tile):
                    total = add_sums(total, place_sum(sum_bytes(part), at))
                    at += len(part)
                    out.write(part)
        total = add_sums(total, place_sum(sum_bytes(self.heap.data), at))
        out.write(self.heap.data)
        out.pad()
        self._check_sum(total)

    def _rows(self, tile: int) -> list[memoryview]:
        """Decode a tile of all columns and put its rows together."""
        n_rows = self.table.rows_of(tile)
        where = Descriptors(
            tile, self.where.sizes[tile : tile + 1], self.where.offsets[tile : tile + 1]
        )
        words: list[Array] = []
        for i, field in self.columns:
            layout = Layout.of(field, stored=True)
            room = np.empty(n_rows * layout.n_words, layout.dtype)
            size, offset = int(where.sizes[0, i]), int(where.offsets[0, i])
            if field.pointer and field.width:
                room = self._arrays(i, field, tile, size, offset)
            elif field.width:
                run = Run(i, tile, tile + 1, offset, size)
                self.table.decode_run(run, i, field, where, room, stored=True)
            words.append(room)
        stored = [_as_stored(field) for field in self.fields]
        return [
            rows_bytes(stored, words, start, min(start + _ROWS_AT_ONCE, n_rows)).data
            for start in range(0, n_rows, _ROWS_AT_ONCE)
        ]

    def _arrays(self, i: int, field: Field, tile: int, size: int, offset: int) -> NDArray[np.uint8]:
        """Put arrays into the heap; return the descriptors' bytes."""
        part = vla.read_tile(self.table, i, field, tile, size, offset)
        limit = len(self.heap) - self.gap
        for (_, begin), raw in zip(part.descriptors.tolist(), part.arrays, strict=True):
            if begin > limit - len(raw) and raw:
                raise self.table.tile_error(
                    i, field, tile, f"an array at {begin} lies outside ZPCOUNT = {len(self.heap)}"
                )
            if raw:
                begin += self.gap
                self.heap[begin : begin + len(raw)] = np.frombuffer(raw, np.uint8)
        kind = vla.descriptor_type(field)
        return np.ascontiguousarray(part.descriptors.astype(kind)).reshape(-1).view(np.uint8)

    def _check_sum(self, total: int) -> None:
        """Without DATASUM over the compressed bytes, hold the rows against ZDATASUM.

        Rice streams have no check value of their own. CFITSIO loses heap bytes that no
        descriptor points to, so that the sum of such tables may rightly differ.
        """
        wanted = self.hdu.header.get("ZDATASUM")
        if self.has_sum or wanted is None or any(field.pointer for field in self.fields):
            return
        if str(wanted).strip() != str(total):
            raise CorruptTableError(
                f"{self.hdu.where}: the sum of the restored table is {total}, "
                f"but ZDATASUM = {wanted!r}: it is damaged"
            )


def _as_stored(field: Field) -> Field:
    """The field without the offset of unsigned integers: its words are as stored."""
    return Field(field.ttype, field.letter, field.repeat, pointer=field.pointer)
