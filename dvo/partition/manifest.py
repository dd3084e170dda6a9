"""The manifest: which files, and which rows of them, make up each snapshot.

One SQLite database in write-ahead mode. A *part* is a run of rows of one file that
belongs to one table of one region; it is visible from the snapshot that added it until
the one that removed it. So a snapshot is one number, an old one can be read while a new
one is made, and a commit is one transaction here after its files are safe on disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvo.errors import FormatVersionError, NotACatdirError, StorageError, UnknownSnapshotError
from dvo.partition.layout import MANIFEST

__all__ = [
    "ALL_SKY",
    "FORMAT",
    "CatalogRow",
    "Change",
    "FileRow",
    "ImageRow",
    "Manifest",
    "Part",
    "SnapshotRow",
    "create_manifest",
]

FORMAT = 1
"""Version of the format on disk."""

ALL_SKY = -1
"""Region number of tables that are not partitioned (Image, Photcode)."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, time TEXT NOT NULL,
    command TEXT NOT NULL, params TEXT NOT NULL, version TEXT NOT NULL,
    counts TEXT NOT NULL, kept INTEGER NOT NULL DEFAULT 1);
CREATE TABLE file (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, n_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL, snapshot INTEGER NOT NULL);
CREATE TABLE part (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES file(id), tab TEXT NOT NULL,
    region INTEGER NOT NULL, kind TEXT NOT NULL, row_start INTEGER NOT NULL,
    row_stop INTEGER NOT NULL, target INTEGER, columns TEXT NOT NULL,
    added INTEGER NOT NULL, removed INTEGER);
CREATE INDEX part_region ON part (region, tab, added);
CREATE INDEX part_file ON part (file);
CREATE TABLE catalog (
    region INTEGER NOT NULL, n_average INTEGER NOT NULL, next_obj_id INTEGER NOT NULL,
    n_measure INTEGER NOT NULL, is_sorted INTEGER NOT NULL, added INTEGER NOT NULL,
    removed INTEGER);
CREATE INDEX catalog_region ON catalog (region);
CREATE TABLE image (
    image_id INTEGER NOT NULL, identity TEXT NOT NULL, content TEXT NOT NULL,
    added INTEGER NOT NULL, removed INTEGER);
CREATE INDEX image_identity ON image (identity);
CREATE TABLE pending (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_VISIBLE = "added <= :s AND (removed IS NULL OR removed > :s)"


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One committed state of the database."""

    id: int
    token: str
    time: str
    command: str
    params: dict[str, Any]
    version: str
    counts: dict[str, int]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class FileRow:
    """One data file."""

    path: str
    n_bytes: int
    digest: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file that belong to one table of one region.

    `kind` is ``rows`` (whole rows), ``patch`` (new values of some columns for the rows
    named by the file's own column ROW) or ``overlay`` (new values of some
    columns, row for row, of the part `target`).
    """

    path: str
    table: str
    region: int
    kind: str
    row_start: int
    row_stop: int
    target: int | None = None
    columns: tuple[str, ...] = ()
    id: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.row_stop - self.row_start


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """Counts of one catalog."""

    region: int
    n_average: int
    next_obj_id: int
    n_measure: int
    is_sorted: bool


@dataclass(frozen=True, slots=True)
class ImageRow:
    """How a repeated image is recognised."""

    image_id: int
    identity: str
    content: str


@dataclass(slots=True)
class Change:
    """What one commit does to the manifest."""

    files: list[FileRow] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    removed_parts: list[int] = field(default_factory=list)
    catalogs: list[CatalogRow] = field(default_factory=list)
    dropped_catalogs: list[int] = field(default_factory=list)
    images: list[ImageRow] = field(default_factory=list)
    dropped_images: list[int] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)


def create_manifest(catdir: Path, meta: dict[str, str]) -> None:
    """Make an empty manifest.

    Parameters
    ----------
    catdir : Path
        An existing folder without a manifest.
    meta : dict
        What the database is: id, level, filters.
    """
    with sqlite3.connect(catdir / MANIFEST, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        rows = {"format": str(FORMAT), **meta}
        db.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        db.execute("COMMIT")
    db.close()


class Manifest:
    """The manifest of one catdir, open for reading or for writing.

    Parameters
    ----------
    catdir : Path
        The database directory.
    writable : bool
        Whether changes will be made; the caller holds the writer's lock.

    Raises
    ------
    NotACatdirError
        If there is no manifest.
    FormatVersionError
        If it was made in a format that this version does not know.
    StorageError
        If SQLite cannot read it.
    """

    def __init__(self, catdir: Path, *, writable: bool = False) -> None:
        self.catdir = catdir
        path = catdir / MANIFEST
        if not path.is_file():
            raise NotACatdirError(
                f"{catdir}: no DVO database here (no {MANIFEST}); make one with: dvo init {catdir}"
            )
        try:
            self._db = _connect_writer(path) if writable else _connect_reader(path)
            self.meta = dict(self._db.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as err:
            raise StorageError(
                f"{path}: cannot be read ({err}); try: dvo check {catdir} --rebuild"
            ) from err
        found = self.meta.get("format")
        if found != str(FORMAT):
            raise FormatVersionError(
                f"{catdir}: has format {found}, this version of dvo reads format {FORMAT}"
            )

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._db.close()

    # ---- reading

    def latest(self) -> int:
        """Number of the newest snapshot."""
        (found,) = self._db.execute("SELECT max(id) FROM snapshot").fetchone()
        return int(found or 0)

    def snapshot(self, number: int) -> SnapshotRow:
        """Find a snapshot that can still be read.

        Parameters
        ----------
        number : int
            Its number.

        Returns
        -------
        SnapshotRow
            The snapshot.

        Raises
        ------
        UnknownSnapshotError
            If it never was, or has been vacuumed away.
        """
        rows = list(self._snapshots("WHERE id = ?", (number,)))
        if not rows:
            raise UnknownSnapshotError(
                f"{self.catdir}: no snapshot {number}; the newest is {self.latest()} (see: dvo log)"
            )
        if not rows[0].kept:
            raise UnknownSnapshotError(
                f"{self.catdir}: snapshot {number} has been vacuumed away (see: dvo log)"
            )
        return rows[0]

    def log(self) -> list[SnapshotRow]:
        """All snapshots, the oldest first, also those vacuumed away."""
        return list(self._snapshots("ORDER BY id", ()))

    def _snapshots(self, where: str, args: Sequence[Any]) -> Iterator[SnapshotRow]:
        sql = "SELECT id, token, time, command, params, version, counts, kept FROM snapshot "
        for i, token, time, command, params, version, counts, kept in self._db.execute(
            sql + where, args
        ):
            yield SnapshotRow(
                i, token, time, command, json.loads(params), version, json.loads(counts), bool(kept)
            )

    def parts(
        self, snapshot: int, *, region: int | None = None, table: str | None = None
    ) -> list[Part]:
        """Parts visible in a snapshot, in the order in which they apply.

        Parameters
        ----------
        snapshot : int
            Snapshot number.
        region : int, optional
            Only of this region (`ALL_SKY` for tables without regions).
        table : str, optional
            Only of this table.

        Returns
        -------
        list of Part
            The parts.
        """
        where = f"WHERE {_VISIBLE}"
        if region is not None:
            where += " AND region = :region"
        if table is not None:
            where += " AND tab = :tab"
        sql = (
            "SELECT part.id, path, tab, region, kind, row_start, row_stop, target, columns "
            f"FROM part JOIN file ON file.id = part.file {where} ORDER BY part.id"
        )
        rows = self._db.execute(sql, {"s": snapshot, "region": region, "tab": table})
        return [
            Part(path, tab, reg, kind, a, b, target, tuple(json.loads(columns)), i)
            for i, path, tab, reg, kind, a, b, target, columns in rows
        ]

    def regions(self, snapshot: int) -> list[int]:
        """Regions that have a catalog in a snapshot, in order."""
        sql = f"SELECT region FROM catalog WHERE {_VISIBLE} ORDER BY region"
        return [r for (r,) in self._db.execute(sql, {"s": snapshot})]

    def catalog(self, snapshot: int, region: int) -> CatalogRow:
        """Counts of a region's catalog; all zero where there is none."""
        sql = (
            "SELECT region, n_average, next_obj_id, n_measure, is_sorted FROM catalog "
            f"WHERE region = :r AND {_VISIBLE}"
        )
        row = self._db.execute(sql, {"s": snapshot, "r": region}).fetchone()
        return CatalogRow(*row[:4], bool(row[4])) if row else CatalogRow(region, 0, 0, 0, True)

    def busy_catalogs(self, snapshot: int, at_least: int) -> list[int]:
        """Regions whose Measure table is in at least so many parts."""
        sql = (
            f"SELECT region FROM part WHERE tab = 'Measure' AND kind = 'rows' AND {_VISIBLE} "
            "GROUP BY region HAVING count(*) >= :n ORDER BY region"
        )
        return [r for (r,) in self._db.execute(sql, {"s": snapshot, "n": at_least})]

    def image(self, snapshot: int, identity: str) -> ImageRow | None:
        """Find an image by what it is known by in the system it came from."""
        sql = f"SELECT image_id, identity, content FROM image WHERE identity = :i AND {_VISIBLE}"
        row = self._db.execute(sql, {"s": snapshot, "i": identity}).fetchone()
        return ImageRow(*row) if row else None

    def last_part(self) -> int:
        """Greatest part id given so far; ids are never given twice."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'last_part'").fetchone()
        return int(row[0]) if row else 0

    def images(self, snapshot: int) -> list[ImageRow]:
        """All images in a snapshot."""
        sql = f"SELECT image_id, identity, content FROM image WHERE {_VISIBLE} ORDER BY image_id"
        return [ImageRow(*row) for row in self._db.execute(sql, {"s": snapshot})]

    def files(self) -> list[FileRow]:
        """All files that some kept snapshot uses."""
        sql = "SELECT path, n_bytes, digest, id FROM file ORDER BY id"
        return [FileRow(*row) for row in self._db.execute(sql)]

    def pending(self) -> list[str]:
        """Paths that a commit cut short may have left behind."""
        return [p for (p,) in self._db.execute("SELECT path FROM pending ORDER BY path")]

    # ---- writing

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one durable transaction.

        Yields
        ------
        sqlite3.Connection
            The connection, inside the transaction.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as err:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StorageError(f"{self.catdir / MANIFEST}: cannot be written ({err})") from err

    def announce(self, paths: Iterable[str]) -> None:
        """Note paths that are about to be written, so that they can be swept after a crash.

        Not synced to disk: after a mere kill the note is there; after a power cut an
        unreferenced file may stay, which `dvo vacuum` finds by listing the folders.
        """
        self._db.execute("PRAGMA synchronous=NORMAL")
        with self.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", [(p,) for p in paths])
        self._db.execute("PRAGMA synchronous=FULL")

    def forget_pending(self) -> None:
        """Clear the notes of `announce`."""
        with self.transaction() as db:
            db.execute("DELETE FROM pending")

    def apply(self, snapshot: SnapshotRow, change: Change) -> None:
        """Make a commit visible: the one transaction.

        Parameters
        ----------
        snapshot : SnapshotRow
            The new snapshot.
        change : Change
            What it adds and removes.
        """
        with self.transaction() as db:
            _insert_snapshot(db, snapshot)
            _insert_change(db, snapshot.id, change)
            db.execute("DELETE FROM pending")
        self.meta.update(change.meta)


def _connect_writer(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


def _connect_reader(path: Path) -> sqlite3.Connection:
    """Open for reading, without needing to write anything.

    A database in write-ahead mode needs its -shm file, which a reader without write
    permission cannot make when no writer is there. Then nobody is writing, so the file
    can be read as it stands; it is copied to memory, and read again should a writer
    have come in the meantime.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT 1 FROM meta").fetchone()
    except sqlite3.OperationalError:
        db.close()
        if os.access(path.parent, os.W_OK):
            raise
    else:
        return db
    for _ in range(10):
        before = path.stat().st_mtime_ns
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        source = sqlite3.connect(f"{uri}&immutable=1", uri=True)
        try:
            source.backup(copy)
        finally:
            source.close()
        if path.stat().st_mtime_ns == before:
            return copy
        copy.close()
    raise sqlite3.OperationalError("the manifest kept changing while it was read")


def _insert_snapshot(db: sqlite3.Connection, row: SnapshotRow) -> None:
    db.execute(
        "INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.token,
            row.time,
            row.command,
            json.dumps(row.params),
            row.version,
            json.dumps(row.counts),
            int(row.kept),
        ),
    )


def _insert_change(db: sqlite3.Connection, snapshot: int, change: Change) -> None:
    file_ids = {}
    for f in change.files:
        cursor = db.execute(
            "INSERT INTO file (path, n_bytes, digest, snapshot) VALUES (?, ?, ?, ?)",
            (f.path, f.n_bytes, f.digest, snapshot),
        )
        file_ids[f.path] = cursor.lastrowid
    for path in {p.path for p in change.parts} - file_ids.keys():
        (file_ids[path],) = db.execute("SELECT id FROM file WHERE path = ?", (path,)).fetchone()
    mark = [(snapshot, i) for i in change.removed_parts]
    db.executemany("UPDATE part SET removed = ? WHERE id = ?", mark)
    _insert_parts(db, snapshot, change.parts, file_ids)
    regions = [(snapshot, c.region) for c in change.catalogs]
    regions += [(snapshot, r) for r in change.dropped_catalogs]
    db.executemany("UPDATE catalog SET removed = ? WHERE region = ? AND removed IS NULL", regions)
    db.executemany(
        "INSERT INTO catalog VALUES (?, ?, ?, ?, ?, ?, NULL)",
        [
            (c.region, c.n_average, c.next_obj_id, c.n_measure, int(c.is_sorted), snapshot)
            for c in change.catalogs
        ],
    )
    db.executemany(
        "UPDATE image SET removed = ? WHERE image_id = ? AND removed IS NULL",
        [(snapshot, i) for i in change.dropped_images],
    )
    db.executemany(
        "INSERT INTO image VALUES (?, ?, ?, ?, NULL)",
        [(i.image_id, i.identity, i.content, snapshot) for i in change.images],
    )
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", change.meta.items())


def _insert_parts(
    db: sqlite3.Connection, snapshot: int, parts: list[Part], file_ids: dict[str, Any]
) -> None:
    db.executemany(
        "INSERT INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        [
            (
                p.id,
                file_ids[p.path],
                p.table,
                p.region,
                p.kind,
                p.row_start,
                p.row_stop,
                p.target,
                json.dumps(p.columns),
                snapshot,
            )
            for p in parts
        ],
    )
    if parts:
        last = str(max(p.id for p in parts))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('last_part', ?)", (last,))
