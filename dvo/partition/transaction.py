"""One atomic change of a database: files first, then one manifest transaction.

The order is what makes it safe. Paths are announced, files are written and synced, their
folders are synced, the record of the commit is written and synced, and only then one
SQLite transaction makes all of it visible. Until that instant the old snapshot stands;
whatever was left behind is swept by the next writer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import dvo
from dvo.errors import SchemaError, StorageError
from dvo.partition import layout
from dvo.partition.gather import ROW
from dvo.partition.manifest import (
    ALL_SKY,
    CatalogRow,
    Change,
    FileRow,
    ImageRow,
    Manifest,
    Part,
    PartRun,
    PartTable,
    Reach,
    SnapshotRow,
)
from dvo.partition.packing import Packings
from dvo.partition.part_counts import count_parts
from dvo.partition.partition import Partition
from dvo.partition.records import write_record
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import Field, Level, Levels, TableHDU, write_fits
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import find_satellite
from dvo.tables.schema import Column, TableSchema

__all__ = ["TILE_ROWS", "Transaction", "sync_folder"]

log = logging.getLogger(__name__)

Array = NDArray[Any]

TILE_ROWS = 8192
"""Rows of a tile: fine enough to read little for a small cone, coarse enough to pack well."""

_LARGE_ROWS = 100_000
"""Rows from which a file is packed by two threads."""

_ROW_COLUMN = Column(ROW, "i8", "row that these values are for")


class Transaction:
    """A change in the making; nothing of it is visible before `commit`.

    Used with ``with``: leaving the block without `commit` removes what was written.

    Parameters
    ----------
    catdir : Path
        The database directory; the caller holds its lock.
    manifest : Manifest
        Open for writing.
    base : View
        The newest snapshot, on which the change builds.
    pool : ThreadPoolExecutor
        Where files are written.
    command : str
        Name of the command, for the log.
    params : mapping
        What to record of its parameters and inputs; JSON types only.
    """

    def __init__(
        self,
        catdir: Path,
        manifest: Manifest,
        base: View,
        pool: ThreadPoolExecutor,
        command: str,
        params: Mapping[str, Any],
    ) -> None:
        self.base = base
        self.snapshot = base.snapshot.id + 1
        self.token = layout.make_token(self.snapshot)
        self._catdir = catdir
        self._manifest = manifest
        self._pool = pool
        self._command = command
        self._params = dict(params)
        self._change = Change()
        self._reach = base.snapshot.reach
        self._partition = base.partition
        self._removed: list[Array] = []
        self._measures: list[PartRun] = []  # those that are rows of Measure
        self._grown: list[Array] = []  # regions whose satellite tables got rows
        self._next_part = manifest.last_part() + 1
        self._writes: list[Future[None]] = []
        self._paths: list[str] = []
        self._folders: set[Path] = {catdir}
        self._packings = Packings()
        self._kinds: dict[str, tuple[str, str]] = {}  # table and kind of each file
        self._catalogs: dict[int, CatalogRow] = {}
        self._more_images = 0
        self._stated_counts: dict[str, int] = {}
        self._done = False
        # Parts of a change may be written from several threads, see `do`.
        self._mutex = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._done:
            self.abort()

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

    def put_global(self, table: ColumnTable, stem: str, *, replace_all: bool) -> None:
        """Add rows to a table without regions, or replace it.

        Parameters
        ----------
        table : ColumnTable
            The rows.
        stem : str
            File name without token and suffix, such as ``Images``.
        replace_all : bool
            Whether the rows take the place of all earlier ones.
        """
        if replace_all:
            self.drop_parts(self.base.parts(table.schema, ALL_SKY))
        path = layout.global_path(stem, self.token)
        self._write(path, table.without_nulls(), "rows")
        self._add_parts(path, [ALL_SKY], [0], [len(table)])

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
        path = self._shared_path(schema, f"o{len(self._paths)}")
        joined = ColumnTable.concatenate(schema, [table for _, table in changes])
        self._write(path, joined, "overlay")
        edges = np.cumsum([0, *(len(table) for _, table in changes)])
        parts = [part for part, _ in changes]
        self._add_parts(
            path, [p.region for p in parts], edges[:-1], edges[1:], [p.id for p in parts]
        )

    def drop_parts(self, parts: Iterable[Part] | PartTable) -> None:
        """Take parts out of the newest snapshot; older ones keep them."""
        if isinstance(parts, PartTable):
            keys = np.column_stack([parts.regions, parts.ids])
        else:
            keys = np.array([(p.region, p.id) for p in parts], np.int64).reshape(-1, 2)
        with self._mutex:
            self._removed.append(keys)

    def keep_parts(self, parts: PartTable) -> None:
        """Bring parts of an older snapshot back."""
        with self._mutex:
            new_ids = self._next_part + np.arange(len(parts))
            self._next_part += len(parts)
        order = np.argsort(parts.ids)
        ranked = parts.ids[order]
        # A part whose target has not come back with it goes on naming the old one.
        place = np.minimum(np.searchsorted(ranked, parts.targets), max(0, len(ranked) - 1))
        is_back = ranked[place] == parts.targets if len(parts) else parts.targets > 0
        targets = np.where(is_back, new_ids[order][place], parts.targets)
        by_file = np.argsort(parts.files, kind="stable")
        edges = np.flatnonzero(np.diff(parts.files[by_file])) + 1
        for rows in np.split(by_file, edges) if len(parts) else ():
            file = parts.rows_of_files[int(parts.files[rows[0]])]
            run = PartRun(file.path, new_ids[rows], parts.regions[rows], parts.starts[rows],
                          parts.stops[rows], targets[rows])  # fmt: skip
            self._add_run(run, (file.table, file.kind))

    def set_catalogs(self, rows: Iterable[CatalogRow]) -> None:
        """State the counts of catalogs that changed; what is said last counts."""
        self._catalogs.update({row.region: row for row in rows})

    def set_images(
        self, rows: Iterable[ImageRow] = (), dropped: Iterable[int] = (), *, n_more: int = 0
    ) -> None:
        """State how new images are recognised, which are gone, and how many more there are."""
        self._change.images += rows
        self._change.dropped_images += dropped
        self._more_images += n_more

    def set_counts(self, counts: Mapping[str, int]) -> None:
        """State how many images, objects, measures or catalogs there are, whatever was counted."""
        self._stated_counts.update(counts)

    def forget(self, snapshots: Iterable[int]) -> None:
        """Let older snapshots go, with all that only they use."""
        self._change.forgotten += snapshots

    def set_tag(self, name: str, snapshot: int) -> None:
        """Call a snapshot by a name; 0 takes the name away."""
        self._change.tags[name] = snapshot

    def set_meta(self, key: str, value: str) -> None:
        """Set a property of the database; it stays so in all snapshots, older ones too."""
        self._change.meta[key] = value

    def widen(self, reach: Reach) -> None:
        """State how far the new rows may lie outside their regions."""
        self._reach = self._reach.joined(reach)

    def set_reach(self, reach: Reach) -> None:
        """State how far any rows may lie outside their regions, in place of what was said."""
        self._reach = reach

    def set_partition(self, partition: Partition) -> None:
        """State which regions have catalogs; those of others are to be empty."""
        self._partition = partition

    # ---- ending

    def commit(self, **params: Any) -> SnapshotRow:
        """Make the change durable, then visible.

        Parameters
        ----------
        **params
            More to record in the log.

        Returns
        -------
        SnapshotRow
            The new snapshot.

        Raises
        ------
        StorageError
            If anything could not be written; then nothing has changed.
        """
        try:
            self.wait()
            snapshot = self._finish(params)
            record = layout.log_path(self.token)
            self._announce([record])
            write_record(
                self._catdir / record, snapshot, self._change,
                db_id=self._manifest.meta["db_id"], base=self.base.snapshot.token,
            )  # fmt: skip
            for folder in sorted(self._folders):
                sync_folder(folder)
        except OSError as err:
            raise _storage_error(self._catdir, err) from err
        self._manifest.apply(snapshot, self._change)
        self._done = True
        log.info("commit snapshot=%s command=%s files=%s", snapshot.id, self._command,
                 len(self._change.files))  # fmt: skip
        return snapshot

    def _finish(self, params: dict[str, Any]) -> SnapshotRow:
        """Put together what was said of parts and catalogs; gives the new snapshot."""
        change = self._change
        change.removed_parts = np.concatenate([np.empty((0, 2), np.int64), *self._removed])
        # Also catalogs of which nothing was said but that their parts are others.
        grown = np.concatenate([np.empty(0, np.int64), *self._grown])
        regions = np.concatenate(
            [change.removed_parts[:, 0], grown, *(m.regions for m in self._measures)]
        )
        before = self.base.catalogs(sorted({*self._catalogs, *regions.tolist()}))
        # Rows at the end of a satellite table are out of the order of objects.
        unsorted = {r: replace(before[r], is_sorted=False) for r in set(grown.tolist()) & {*before}}
        self._catalogs = before | unsorted | self._catalogs
        change.catalogs = count_parts(
            self._catalogs.values(), before, self._measures, change.removed_parts,
            self.base.part_table,
        )  # fmt: skip
        before_splits, splits = self.base.partition.splits, self._partition.splits
        change.split = sorted(set(splits) - set(before_splits))
        change.joined = sorted(set(before_splits) - set(splits))
        return SnapshotRow(
            id=self.snapshot,
            token=self.token,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            command=self._command,
            params=self._params | params,
            version=dvo.__version__,
            counts=self._counts(before.values()) | self._stated_counts,
            level=self._partition.level,
            reach=self._reach,
        )

    def do(self, work: Callable[[], None]) -> None:
        """Have some rows made and added in a thread; `commit` waits for it.

        Parameters
        ----------
        work : callable
            Calls `add_rows` or `patch_rows` of this change.
        """
        with self._mutex:
            self._writes.append(self._pool.submit(work))

    def wait(self, *, at_most: int = 0) -> None:
        """Wait until all that was handed over so far is on disk, or all but a few pieces.

        Parameters
        ----------
        at_most : int
            Files to write, and pieces of work given to `do`, that may still be waiting.
        """
        try:
            while len(self._writes) > at_most:
                # Work that is waited for may hand over more.
                self._writes[0].result()
                with self._mutex:
                    self._writes.pop(0)
        except OSError as err:
            raise _storage_error(self._catdir, err) from err

    def abort(self) -> None:
        """Remove everything written; the database stays as it was."""
        while self._writes:
            with self._mutex:
                write = self._writes.pop(0)
            if not write.cancel():
                with contextlib.suppress(Exception):
                    write.result()
        self._done = True
        with contextlib.suppress(StorageError):
            # A commit whose last sync failed may still be in SQLite's log, and come true
            # at the next open. Another transaction overwrites it; if that fails too, the
            # files stay, and the next writer sweeps what is not needed.
            self._manifest.settle()
            if self._manifest.has_commit(self.token):
                return  # an interrupt came when it was made already
            for path in self._paths:
                with contextlib.suppress(OSError):
                    (self._catdir / path).unlink(missing_ok=True)
            self._manifest.forget_pending()

    # ---- inside

    def _counts(self, before: Iterable[CatalogRow]) -> dict[str, int]:
        old = self.base.snapshot.counts
        counts = {k: int(old.get(k, 0)) for k in ("images", "objects", "measures", "catalogs")}
        for sign, rows in ((1, self._catalogs.values()), (-1, before)):
            for row in rows:
                counts["objects"] += sign * row.n_average
                counts["measures"] += sign * row.n_measure
                counts["catalogs"] += sign * (row.n_average > 0)
        counts["images"] += self._more_images
        return counts

    def _shared_path(self, schema: TableSchema, label: str) -> str:
        suffix = f"{label}.{schema.suffix}" if label else schema.suffix
        return layout.shared_path(self.token, suffix)

    def _announce(self, paths: Sequence[str]) -> None:
        with self._mutex:
            self._manifest.announce(paths)
            self._paths += paths

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
            table, kind = self._kinds[path]
            if kind == "rows" and find_satellite(table) is not None:
                self._grown.append(run.regions)
            self._add_run(run, (table, kind))

    def _add_run(self, run: PartRun, kind: tuple[str, str]) -> None:
        self._change.parts.append(run)
        if kind == (MEASURE.name, "rows"):
            self._measures.append(run)

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
        """Hand a file to the pool."""
        schema = table.schema
        names = tuple(n for n in schema.stored_names if n in table)
        columns = {n: table[n] for n in names}
        fields = [Field.from_column(schema[n]) for n in names]
        if rows is not None:
            columns = {ROW: rows.astype(np.int64, copy=False), **columns}
            fields.insert(0, Field.from_column(_ROW_COLUMN))
        # One tile needs no index: it is read or it is not.
        index = tuple(n for n in schema.tile_index if n in columns and len(table) > TILE_ROWS)
        folder = (self._catdir / path).parent
        if not folder.exists():
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as err:
                raise _storage_error(self._catdir, err) from err
            self._folders.add(folder.parent)
        self._folders.add(folder)
        self._announce([path])
        self._kinds[path] = (schema.name, kind)
        hdu = TableHDU(schema.extname, tuple(fields), columns, tile_rows=TILE_ROWS, index=index)
        levels: Levels = level
        if level == "small":
            with self._mutex:
                hdu, levels = self._packings.of(schema.name, hdu)
        file = FileRow(path, schema.name, kind, names, 0, "")
        self._writes.append(self._pool.submit(self._write_file, file, hdu, schema.meaning, levels))

    def _write_file(self, file: FileRow, hdu: TableHDU, meaning: str, level: Levels) -> None:
        primary = {
            "DVO_DBID": (self._manifest.meta["db_id"], "database this file belongs to"),
            "DVO_TOK": (self.token, "commit that made this file"),
            "DVO_SNAP": (self.snapshot, "first snapshot with this file"),
            "DVO_TAB": (file.table, meaning),
        }
        path = self._catdir / file.path
        # Small files are written several at a time; threads of their own would be in the way.
        threads = 2 if hdu.n_rows > _LARGE_ROWS else 1
        written = write_fits(path, [hdu], primary=primary, threads=threads, level=level)
        made = replace(file, n_bytes=written.n_bytes, digest=written.digest)
        self._change.files.append(made)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _storage_error(catdir: Path, err: OSError) -> StorageError:
    if isinstance(err, StorageError):
        return err
    return StorageError(
        f"{catdir}: the commit failed ({err.strerror or err}); nothing has changed. "
        "Make room or mend the cause, then run the command again"
    )
