"""What a change is made of: rows written to files, parts taken out, counts of catalogs.

Here is what those who change catalogs call, and what a file of each kind looks like. Where the
files go differs: a `Transaction` writes them where they belong and commits them, a `Draft`
writes them beside, for a transaction of another process to take over.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.partition import layout
from dvo.partition.gather import ROW
from dvo.partition.manifest import CatalogRow, FileRow, Part, PartRun, PartTable, Reach
from dvo.partition.packing import Packings
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import Field, Level, Levels, TableHDU, write_fits
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import Column, TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["TABLES", "TILE_ROWS", "Writing"]

Array = NDArray[Any]

TILE_ROWS = 8192
"""Rows of a tile: fine enough to read little for a small cone, coarse enough to pack well."""

TABLES = (AVERAGE, SECFILT, MEASURE, *(s.schema for s in SATELLITES))
"""All tables that a catalog can have."""

_LARGE_ROWS = 100_000
"""Rows from which a file is packed by two threads."""

_ROW_COLUMN = Column(ROW, "i8", "row that these values are for")


class Writing(ABC):
    """Rows that are written, and what they mean for catalogs.

    Parameters
    ----------
    base : View
        The newest snapshot, on which the change builds.
    token : str
        Token of the commit that is to make it visible.
    """

    def __init__(self, base: View, token: str) -> None:
        self.base = base
        self.token = token
        self._files: list[FileRow] = []
        self._runs: list[PartRun] = []
        self._removed: list[Array] = []
        self._catalogs: dict[int, CatalogRow] = {}
        self._reach = base.snapshot.reach
        self._next_part = 1
        self._n_overlays = 0
        self._packings = Packings()
        self._kinds: dict[str, tuple[str, str]] = {}  # table and kind of each file
        # Parts of a change may be written from several threads.
        self._mutex = threading.RLock()

    # ---- what a change is made of

    def add_rows(
        self,
        table: ColumnTable,
        regions: Sequence[int],
        edges: Array,
        *,
        level: Level = "fast",
        label: str = "",
    ) -> None:
        """Add rows of many regions, in one file.

        A table without rows makes no file. Nor does one with nothing but nulls: of Average and
        SecFilt, which alone can be so, readers know how many rows there are without it.

        Parameters
        ----------
        table : ColumnTable
            The rows, those of a region together.
        regions : sequence of int
            Region of each run of rows.
        edges : ndarray of int, shape (len(regions) + 1,)
            Where each run begins, and where the last one ends.
        level : {'fast', 'small'}
            How hard to compress.
        label : str
            Tells apart several such files of one table in one commit, by their names.
        """
        path = self._shared_path(table.schema, label)
        self._write_rows(path, table, regions, edges, level=level)

    def patch_rows(
        self,
        rows: Array,
        table: ColumnTable,
        regions: Sequence[int],
        edges: Array,
        *,
        label: str = "",
    ) -> None:
        """Give some rows of many regions new values in some columns, in one file.

        Every column set in `table` is stored, null or not, and takes effect; rows past
        the end of a region's table make it longer.

        Parameters
        ----------
        rows : ndarray of int64
            Row in its region's table that each row of `table` is for.
        table : ColumnTable
            The new values, those of a region together.
        regions : sequence of int
            Region of each run of rows.
        edges : ndarray of int, shape (len(regions) + 1,)
            Where each run begins, and where the last one ends.
        label : str
            Tells apart several patches of one table in one commit, by their file names.
        """
        path = self._shared_path(table.schema, label)
        self._write(path, table, "patch", rows=rows)
        self._add_parts(path, regions, edges[:-1], edges[1:])

    def put_catalog(self, region: int, tables: Iterable[ColumnTable], *, level: Level) -> None:
        """Replace tables of a region by new ones, each in a file of its own.

        Parameters
        ----------
        region : int
            Which region.
        tables : iterable of ColumnTable
            The whole new tables; of those that `add_rows` makes no file of, the old ones go.
        level : {'fast', 'small'}
            How hard to compress.
        """
        name = self.base.sky.region(region).name
        for table in tables:
            self.drop_parts(self.base.parts(table.schema, region))
            path = layout.catalog_path(name, self.token, table.schema.suffix)
            self._write_rows(path, table, [region], np.array([0, len(table)]), level=level)

    def overlay(self, schema: TableSchema, changes: Sequence[tuple[Part, ColumnTable]]) -> None:
        """Give parts new values in some columns, row for row, in one file.

        Parameters
        ----------
        schema : TableSchema
            Table of all the parts.
        changes : sequence of (Part, ColumnTable)
            Parts of kind ``rows`` and the new columns of all their rows; the same columns
            for every part.
        """
        for part, table in changes:
            if part.kind != "rows" or len(table) != part.n_rows:
                raise SchemaError(
                    f"overlay of part {part.id} ({part.kind}, {part.n_rows} rows) "
                    f"with {len(table)} rows; it needs whole rows, one for one"
                )
        with self._mutex:
            path = self._shared_path(schema, f"o{self._n_overlays}")
            self._n_overlays += 1
        joined = ColumnTable.concatenate(schema, [table for _, table in changes])
        self._write(path, joined, "overlay")
        edges = np.cumsum([0, *(len(table) for _, table in changes)])
        parts = [part for part, _ in changes]
        self._add_parts(
            path, [p.region for p in parts], edges[:-1], edges[1:], [p.id for p in parts]
        )

    def overlay_rows(
        self, table: ColumnTable, regions: Sequence[int], edges: Array, changed: Array
    ) -> None:
        """Give rows of whole regions new values in some columns, in one file.

        Parameters
        ----------
        table : ColumnTable
            The columns, of all rows of the regions, those of a region together.
        regions : sequence of int
            The regions; `ALL_SKY` for a table without.
        edges : ndarray of int, shape (len(regions) + 1,)
            Where each region begins, and where the last one ends.
        changed : ndarray of bool, shape (len(table),)
            Rows whose values are new; parts without any are left alone.
        """
        changes = []
        places = np.searchsorted(edges, np.flatnonzero(changed), side="right") - 1
        for k in np.unique(places).tolist():
            start = int(edges[k])
            for part in self.base.parts(table.schema, regions[k]):
                if part.kind == "rows":
                    stop = start + part.n_rows
                    if changed[start:stop].any():
                        changes.append((part, table.take(slice(start, stop))))
                    start = stop
        if changes:
            self.overlay(table.schema, changes)

    def drop_parts(self, parts: Iterable[Part] | PartTable) -> None:
        """Take parts out of the newest snapshot; older ones keep them."""
        if isinstance(parts, PartTable):
            keys = np.column_stack([parts.regions, parts.ids])
        else:
            keys = np.array([(p.region, p.id) for p in parts], np.int64).reshape(-1, 2)
        with self._mutex:
            self._removed.append(keys)

    def set_catalogs(self, rows: Iterable[CatalogRow]) -> None:
        """State the counts of catalogs that changed; what is said last counts."""
        self._catalogs.update({row.region: row for row in rows})

    def widen(self, reach: Reach) -> None:
        """State how far the new rows may lie outside their regions."""
        with self._mutex:
            self._reach = self._reach.joined(reach)

    @abstractmethod
    def do(self, work: Callable[[], None]) -> None:
        """Have some rows made and added, now or later in a thread.

        Parameters
        ----------
        work : callable
            Calls `add_rows` or `patch_rows` of this change.
        """

    # ---- inside

    @abstractmethod
    def _room_for(self, path: str) -> Path:
        """Make ready for a file of the database; gives where to write it."""

    @abstractmethod
    def _hand_over(self, work: Callable[[], None]) -> None:
        """Have a file written, now or later."""

    def _shared_path(self, schema: TableSchema, label: str) -> str:
        suffix = f"{label}.{schema.suffix}" if label else schema.suffix
        return layout.shared_path(self.token, suffix)

    def _add_parts(
        self,
        path: str,
        regions: Sequence[int] | Array,
        starts: Sequence[int] | Array,
        stops: Sequence[int] | Array,
        targets: Sequence[int] | None = None,
    ) -> None:
        """Add runs of rows of a file as parts of regions; empty ones are passed over."""
        of = np.array(regions, np.int64)
        aims = np.zeros(len(of), np.int64) if targets is None else np.array(targets, np.int64)
        columns = (of, np.array(starts, np.int64), np.array(stops, np.int64), aims)
        used = np.flatnonzero(columns[2] > columns[1])
        with self._mutex:
            ids = self._next_part + np.arange(len(used))
            self._next_part += len(used)
            run = PartRun(path, ids, *(c[used] for c in columns))
            self._runs.append(run)

    def _write_rows(
        self, path: str, table: ColumnTable, regions: Sequence[int], edges: Array, *, level: Level
    ) -> None:
        """Write rows as parts of their regions; nulls are left out: they are no news."""
        kept = table.without_nulls()
        if len(kept) and kept.columns:
            self._write(path, kept, "rows", level=level)
            self._add_parts(path, regions, edges[:-1], edges[1:])

    def _write(
        self,
        path: str,
        table: ColumnTable,
        kind: str,
        *,
        rows: Array | None = None,
        level: Level = "fast",
    ) -> None:
        """Hand over a file to be written."""
        schema = table.schema
        names = tuple(n for n in schema.stored_names if n in table)
        columns = {n: table[n] for n in names}
        fields = [Field.from_column(schema[n]) for n in names]
        if rows is not None:
            columns = {ROW: rows.astype(np.int64, copy=False), **columns}
            fields.insert(0, Field.from_column(_ROW_COLUMN))
        # One tile needs no index: it is read or it is not.
        index = tuple(n for n in schema.tile_index if n in columns and len(table) > TILE_ROWS)
        place = self._room_for(path)
        self._kinds[path] = (schema.name, kind)
        hdu = TableHDU(schema.extname, tuple(fields), columns, tile_rows=TILE_ROWS, index=index)
        levels: Levels = level
        if level == "small":
            with self._mutex:
                hdu, levels = self._packings.of(schema.name, hdu)
        file = FileRow(path, schema.name, kind, names, 0, "")
        self._hand_over(partial(self._write_file, place, file, hdu, schema.meaning, levels))

    def _write_file(
        self, place: Path, file: FileRow, hdu: TableHDU, meaning: str, level: Levels
    ) -> None:
        primary = {
            "DVO_DBID": (self.base.db_id, "database this file belongs to"),
            "DVO_TOK": (self.token, "commit that made this file"),
            "DVO_SNAP": (self.base.snapshot.id + 1, "first snapshot with this file"),
            "DVO_TAB": (file.table, meaning),
        }
        # Small files are written several at a time; threads of their own would be in the way.
        threads = 2 if hdu.n_rows > _LARGE_ROWS else 1
        written = write_fits(place, [hdu], primary=primary, threads=threads, level=level)
        made = replace(file, n_bytes=written.n_bytes, digest=written.digest)
        self._files.append(made)
