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
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import dvo
from dvo.errors import OperationError, StorageError
from dvo.partition import layout
from dvo.partition.draft_record import Drafted
from dvo.partition.manifest import (
    ALL_SKY,
    CatalogRow,
    Change,
    ImageRow,
    Manifest,
    PartRun,
    PartTable,
    Reach,
    SnapshotRow,
)
from dvo.partition.part_counts import count_parts
from dvo.partition.partition import Partition
from dvo.partition.records import write_record
from dvo.partition.staged import clear_staged, lent_name
from dvo.partition.view import View
from dvo.partition.writing import Writing
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import find_satellite

__all__ = ["Transaction", "sync_folder"]

log = logging.getLogger(__name__)

Array = NDArray[Any]


class Transaction(Writing):
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
        super().__init__(base, layout.make_token(base.snapshot.id + 1))
        self.snapshot = base.snapshot.id + 1
        self._catdir = catdir
        self._manifest = manifest
        self._pool = pool
        self._command = command
        self._params = dict(params)
        self._change = Change()
        self._partition = base.partition
        self._next_part = manifest.last_part() + 1
        self._writes: list[Future[None]] = []
        self._paths: list[str] = []
        self._folders: set[Path] = {catdir}
        self._staged: Path | None = None
        self._more_images = 0
        self._stated_counts: dict[str, int] = {}
        self._done = False

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

    # ---- what else a change is made of

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
            with self._mutex:
                self._kinds[file.path] = file.table, file.kind
                self._runs.append(run)

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

    def set_reach(self, reach: Reach) -> None:
        """State how far any rows may lie outside their regions, in place of what was said."""
        self._reach = reach

    def set_partition(self, partition: Partition) -> None:
        """State which regions have catalogs; those of others are to be empty."""
        self._partition = partition

    # ---- what others write for it

    def stage(self) -> None:
        """Make the folder where other processes write for this change, see `Draft`.

        Raises
        ------
        StorageError
            If it cannot be made.
        """
        folder = self._catdir / layout.staged_folder(self.token)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise _storage_error(self._catdir, err) from err
        self._staged = folder

    def lend(self, data: pa.Buffer) -> str:
        """Put bytes where others find them, for as long as the change is under way.

        Parameters
        ----------
        data : pyarrow.Buffer
            The bytes.

        Returns
        -------
        str
            Their name, see `read_lent`.

        Raises
        ------
        StorageError
            If they cannot be written.
        """
        self.stage()
        assert self._staged is not None
        name = lent_name(data)
        try:
            (self._staged / name).write_bytes(data)
        except OSError as err:
            raise _storage_error(self._catdir, err) from err
        return name

    def adopt(self, drafted: Drafted) -> None:
        """Take over what a draft of this change wrote; it is part of the change from now on.

        Parameters
        ----------
        drafted : Drafted
            What was written, and what it means.

        Raises
        ------
        CorruptTableError
            If a file is not what was said of it.
        StorageError
            If a file cannot be read, or given its name.
        OperationError
            If a file was written twice.
        """
        for k, file in enumerate(drafted.files):
            own = drafted.file == k
            path = self._take(drafted, k)
            self._files.append(file.row(path))
            self._add_parts(path, drafted.region[own], drafted.start[own], drafted.stop[own],
                            drafted.target[own])  # fmt: skip
        with self._mutex:
            self._removed.append(drafted.removed)
        self.set_catalogs(drafted.catalogs)
        self.widen(drafted.reach)

    def _take(self, drafted: Drafted, k: int) -> str:
        """Give a file of a draft its place in the database, after a look at it."""
        assert self._staged is not None
        file = drafted.files[k]
        file.require_sound(self._staged, int(drafted.stop[drafted.file == k].max(initial=0)))
        with self._mutex:
            path = drafted.path(k, self.base.sky, self.token, len(self._kinds))
            if path in self._kinds:
                raise OperationError(f"{path}: was written twice for one commit")
            place = self._room_for(path)
            self._kinds[path] = file.table, file.kind
        try:
            (self._staged / file.name).rename(place)
        except OSError as err:
            raise _storage_error(self._catdir, err) from err
        return path

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
        if self._staged is not None:
            clear_staged(self._catdir, self.token)
        log.info("commit snapshot=%s command=%s files=%s", snapshot.id, self._command,
                 len(self._change.files))  # fmt: skip
        return snapshot

    def _finish(self, params: dict[str, Any]) -> SnapshotRow:
        """Put together what was said of parts and catalogs; gives the new snapshot."""
        change = self._change
        change.files, change.parts = self._files, self._runs
        change.removed_parts = np.concatenate([np.empty((0, 2), np.int64), *self._removed])
        measures = [r for r in self._runs if self._kinds[r.path] == (MEASURE.name, "rows")]
        # Also catalogs of which nothing was said but that their parts are others.
        grown = np.concatenate([np.empty(0, np.int64), *self._grown()])
        regions = np.concatenate(
            [change.removed_parts[:, 0], grown, *(run.regions for run in measures)]
        )
        before = self.base.catalogs(sorted({*self._catalogs, *regions.tolist()}))
        # Rows at the end of a satellite table are out of the order of objects.
        unsorted = {r: replace(before[r], is_sorted=False) for r in set(grown.tolist()) & {*before}}
        self._catalogs = before | unsorted | self._catalogs
        change.catalogs = count_parts(
            self._catalogs.values(), before, measures, change.removed_parts,
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
        """Have some rows made and added in a thread; `commit` waits for it."""
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
        if self._staged is not None:
            clear_staged(self._catdir, self.token)
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

    def _grown(self) -> list[Array]:
        """Regions whose satellite tables got new rows."""
        new = [run for run in self._runs if layout.token_of(run.path) == self.token]
        kinds = [self._kinds[run.path] for run in new]
        return [
            run.regions
            for run, (table, kind) in zip(new, kinds, strict=True)
            if kind == "rows" and find_satellite(table) is not None
        ]

    def _room_for(self, path: str) -> Path:
        folder = (self._catdir / path).parent
        if not folder.exists():
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as err:
                raise _storage_error(self._catdir, err) from err
            self._folders.add(folder.parent)
        self._folders.add(folder)
        self._announce([path])
        return self._catdir / path

    def _hand_over(self, work: Callable[[], None]) -> None:
        self._writes.append(self._pool.submit(work))

    def _announce(self, paths: Sequence[str]) -> None:
        with self._mutex:
            self._manifest.announce(paths)
            self._paths += paths


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
