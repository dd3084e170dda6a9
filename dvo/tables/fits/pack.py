"""Compress the plain tables of a file: fpack's work, for tables only.

Which tables stay as they are, the default tile and codec, and the directives FZTILELN,
FZALGOR and FZALGn are CFITSIO's. Each card of the header is kept as it stands, so that
`unpack` restores the file to the last byte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, SchemaError, StorageError
from dvo.tables.fits import codecs, vla
from dvo.tables.fits.checksum import checksum_cards, sum_bytes
from dvo.tables.fits.choose import choose_codecs
from dvo.tables.fits.codecs import Level
from dvo.tables.fits.field import Field
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.header import BLOCK, format_card, header_bytes
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.output import copy_hdu, new_file
from dvo.tables.fits.plain import PlainTable
from dvo.tables.fits.values import Layout
from dvo.tables.fits.writer import FileWriter, z_cards
from dvo.tables.schema import Codec

__all__ = ["pack"]

Array = NDArray[Any]
Choice = Mapping[str, Codec] | Literal["best"]

_TILE_BYTES = 10_000_000  # of a tile of rows, as CFITSIO cuts them
_SAMPLE_ROWS = 16384


@dataclass(frozen=True, slots=True)
class _Options:
    tile_rows: int | None
    codecs: Choice | None
    threads: int
    level: Level


def pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tile_rows: int | None = None,
    codecs: Choice | None = None,
    level: Level = "small",
    overwrite: bool = False,
    threads: int = 1,
) -> None:
    """Write a file with all its binary tables compressed; other HDUs stay as they are.

    Parameters
    ----------
    source, target : path-like
        File to read, and file to write.
    tile_rows : int, optional
        Rows in a tile; FZTILELN of the header, or 10 MB of rows, if left out.
    codecs : mapping of str to Codec, or "best", optional
        Codecs by column name (lower case), or the smaller one for each integer column,
        found on a sample. FZALGn, FZALGOR, or CFITSIO's defaults if left out.
    level : {"small", "fast"}
        Size before speed, or speed before size.
    overwrite : bool
        Whether the target may be replaced.
    threads : int
        Threads to compress with.

    Raises
    ------
    CorruptTableError
        If the source is damaged; there is no target then.
    StorageError
        If the target exists, or the disk fails.
    """
    if tile_rows is not None and tile_rows < 1:
        raise SchemaError(f"tile_rows = {tile_rows}, but it must be positive")
    options = _Options(tile_rows, codecs, threads, level)
    with FitsFile(source) as file:
        if Path(target).exists() and Path(source).samefile(target):
            raise StorageError(f"{target}: is the input itself; give another name")
        hdus = list(file)
        with new_file(target, overwrite=overwrite) as out:
            for hdu in hdus:
                job = _Packing(file, hdu, options) if _is_eligible(hdu) else None
                if job is not None and job.is_lossless():
                    job.write(out)
                else:
                    copy_hdu(out, file, hdu)


def _is_eligible(hdu: Hdu) -> bool:
    """Whether CFITSIO would compress this HDU, and would be able to restore it."""
    header = hdu.header
    if not hdu.is_table or hdu.is_compressed or header.get("ZIMAGE") is True:
        return False
    if header.get("GCOUNT", 1) != 1 or any(k in header for k in ("ZTABLE", "ZTILELEN", "ZFORM1")):
        return False
    rows, fields = header.integer("NAXIS2"), header.integer("TFIELDS", high=999)
    row_bytes = header.integer("NAXIS1")
    # A gap in front of the heap is lost by CFITSIO, which then writes a wrong PCOUNT.
    if header.integer("THEAP", rows * row_bytes) != rows * row_bytes:
        return False
    asked = str(header.get("FZALGOR") or "").strip().upper()
    return rows > 0 and fields > 0 and row_bytes > 0 and hdu.size > BLOCK and asked != "NONE"


@dataclass(slots=True)
class _Tile:
    """A compressed tile of a column, or the arrays it points to and their descriptors."""

    blob: bytes = b""
    descriptors: bytes = b""
    arrays: list[bytes] | None = None


class _Packing:
    """One plain table on its way to a compressed one."""

    def __init__(self, file: FitsFile, hdu: Hdu, options: _Options) -> None:
        self.hdu = hdu
        self.options = options
        self.table = PlainTable(file, hdu)
        n_fields = self.table.n_fields
        fields = [Field.from_header(hdu.header, i + 1) for i in range(n_fields)]
        self.table.check_widths(fields)
        self.places = np.cumsum([0, *(f.width for f in fields)]).tolist()
        self.tile_rows = self._tile_rows()
        self.n_tiles = -(-self.table.n_rows // self.tile_rows)
        self.fields = self._choose(fields)

    def _tile_rows(self) -> int:
        rows = self.options.tile_rows or self.hdu.header.get("FZTILELN")
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            rows = _TILE_BYTES // self.table.row_bytes
        return max(1, min(rows, self.table.n_rows))

    def _choose(self, fields: list[Field]) -> list[Field]:
        if self.options.codecs == "best":
            rows = self.table.rows(0, min(_SAMPLE_ROWS, self.table.n_rows))
            samples = {i: self._words(i, f, rows) for i, f in enumerate(fields) if f.width}
            return choose_codecs(fields, samples, self.options.level)
        header = self.hdu.header
        chosen = []
        for i, field in enumerate(fields):
            asked: Any = header.get(f"FZALG{i + 1}", header.get("FZALGOR"))
            codec = next((c for c in Codec if c.value == str(asked).strip().upper()), None)
            if self.options.codecs is not None:
                codec = self.options.codecs.get(field.name, codec)
            chosen.append(replace(field, codec=codec))
        return chosen

    def _words(self, i: int, field: Field, rows: NDArray[np.uint8]) -> Array:
        """Take a column out of some rows, as native words."""
        layout = Layout.of(field, stored=True)
        part = np.ascontiguousarray(rows[:, self.places[i] : self.places[i] + field.width])
        words = part.reshape(-1).view(layout.dtype.newbyteorder(">"))
        return words.astype(layout.dtype, copy=layout.word_bytes > 1)

    def is_lossless(self) -> bool:
        """Whether CFITSIO could restore the table.

        It fails on arrays of text, bits and double complex numbers, and on a column of
        the last kind in several tiles. What no descriptor reaches of the heap would
        come back as zeros.
        """
        if any(f.pointer and f.letter in "AXM" for f in self.fields):
            return False
        if self.n_tiles > 1 and any(f.letter == "M" for f in self.fields):
            return False
        if self.table.heap_bytes == 0:
            return True
        steps = np.zeros(self.table.heap_bytes + 1, np.int32)
        for i, field in enumerate(self.fields):
            if not (field.pointer and field.width):
                continue
            for tile in range(self.n_tiles):
                rows = self._rows(tile)[:, self.places[i] : self.places[i] + field.width]
                kind = vla.descriptor_type(field)
                pairs = np.ascontiguousarray(rows).reshape(-1).view(kind).reshape(-1, 2)
                lengths = pairs[:, 0].astype(np.int64)
                sizes = (lengths + 7) // 8 if field.letter == "X" else lengths * field.item_bytes
                starts = pairs[:, 1].astype(np.int64)
                used = lengths != 0
                if ((starts < 0) | (sizes < 0) | (starts > len(steps) - 1 - sizes))[used].any():
                    raise CorruptTableError(
                        f"{self.hdu.where}, column {i + 1} ({field.ttype}): an array lies "
                        f"outside the heap of {self.table.heap_bytes} bytes"
                    )
                np.add.at(steps, starts[used], 1)
                np.add.at(steps, (starts + sizes)[used], -1)
        unused = np.cumsum(steps[:-1]) == 0
        heap = self.table.file.read(self.table.heap, self.table.heap_bytes)
        return not np.frombuffer(heap, np.uint8)[unused].any()

    def _rows(self, tile: int) -> NDArray[np.uint8]:
        start = tile * self.tile_rows
        return self.table.rows(start, min(start + self.tile_rows, self.table.n_rows))

    def write(self, out: FileWriter) -> None:
        """Compress all tiles, then write header, descriptors and heap."""
        tiles = [[_Tile() for _ in range(self.n_tiles)] for _ in self.fields]

        def work(tile: int) -> None:
            rows = self._rows(tile)
            for i, field in enumerate(self.fields):
                if field.width:
                    tiles[i][tile] = self._compress(i, field, rows)

        run_jobs(work, range(self.n_tiles), self.options.threads)
        heap: list[bytes] = []
        descriptors = np.zeros((self.n_tiles, len(self.fields), 2), ">i8")
        at = 0
        for i, column in enumerate(tiles):
            for k, tile in enumerate(column):
                blobs = [tile.blob] if tile.arrays is None else self._with_arrays(tile, at)
                heap += blobs
                at += sum(map(len, blobs))
                size = len(blobs[-1])
                descriptors[k, i] = size, at - size if size else 0
        data = b"".join([descriptors.tobytes(), *heap])
        out.write(header_bytes(checksum_cards(self._cards(descriptors, at), sum_bytes(data))))
        out.write(data)
        out.pad()

    def _compress(self, i: int, field: Field, rows: NDArray[np.uint8]) -> _Tile:
        words = self._words(i, field, rows)
        level = self.options.level
        if not field.pointer:
            shuffle = Layout.of(field).shuffle
            return _Tile(codecs.encode(words, field.zctyp, shuffle=shuffle, level=level)[0])
        block = words.reshape(len(rows), field.width)
        arrays = [vla.pack_array(field, raw, level) for raw in self.table.arrays(i, field, block)]
        return _Tile(descriptors=block.tobytes(), arrays=arrays)

    def _with_arrays(self, tile: _Tile, at: int) -> list[bytes]:
        """Lay out a tile's arrays from some place in the heap, and its descriptors behind."""
        arrays = tile.arrays or []
        sizes = np.array([len(a) for a in arrays], np.int64)
        pairs = np.zeros((len(arrays), 2), ">i8")
        pairs[:, 0] = sizes
        pairs[:, 1] = np.where(sizes > 0, at + np.cumsum(sizes) - sizes, 0)
        both = np.frombuffer(tile.descriptors + pairs.tobytes(), np.uint8)
        return [*arrays, codecs.gzip_pack(both, self.options.level)]

    def _cards(self, descriptors: Array, heap_bytes: int) -> list[str]:
        """Cards of the compressed table: the original's, with what CFITSIO changes."""
        n_fields = len(self.fields)
        longest = descriptors[:, :, 0].max(axis=0).tolist()
        changed: dict[str, Any] = {
            "NAXIS1": 16 * n_fields,
            "NAXIS2": self.n_tiles,
            "PCOUNT": heap_bytes,
        }
        changed |= {f"TFORM{i + 1}": f"1QB({longest[i]})" for i in range(n_fields)}
        renamed = {"CHECKSUM": "ZHECKSUM", "DATASUM": "ZDATASUM", "THEAP": "ZHEAPPTR"}
        cards, old = [], {}
        for card in self.hdu.header.cards():
            key = card[:8].rstrip()
            if key in changed and key not in old:
                old[key] = card
                comment = self.hdu.header.comment(key)
                cards.append(format_card(key, changed[key], comment))
            elif key in renamed:
                cards.append(renamed[key].ljust(8) + card[8:])
            else:
                cards.append(card)
        kept = [
            ("ZNAXIS1 " + old["NAXIS1"][8:]),
            ("ZNAXIS2 " + old["NAXIS2"][8:]),
            ("ZPCOUNT " + old["PCOUNT"][8:]) if "PCOUNT" in old else format_card("ZPCOUNT", 0),
        ]
        forms = [f"ZFORM{i + 1}".ljust(8) + old[f"TFORM{i + 1}"][8:] for i in range(n_fields)]
        counts = {"ZTILELEN": (self.tile_rows, "number of rows in each tile")}
        return cards + z_cards(self.fields, kept + forms, counts)
