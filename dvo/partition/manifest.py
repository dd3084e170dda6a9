"""The manifest: which files, and which rows of them, make up each snapshot.

One SQLite database in write-ahead mode. A *part* is a run of rows of one file that
belongs to one table of one region; it is visible from the snapshot that added it until
the one that removed it. So a snapshot is one number, an old one can be read while a new
one is made, and a commit is one transaction here after its files are safe on disk.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from dvo.errors import FormatVersionError, NotACatdirError, StorageError, UnknownSnapshotError
from dvo.partition.layout import MANIFEST
from dvo.partition.manifest_rows import (
    ALL_SKY,
    CatalogRow,
    Change,
    FileRow,
    ImageRow,
    Part,
    SnapshotRow,
    parse_names,
)

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
    "build_manifest",
    "place_manifest",
]

FORMAT = 1
"""Version of the format on disk."""

_NEW = f"{MANIFEST}.new"

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


def build_manifest(
    catdir: Path, meta: dict[str, str], commits: Iterable[tuple[SnapshotRow, Change]]
) -> list[str]:
    """Make a manifest from the first commit, or from all of them, under a name of its own.

    Parameters
    ----------
    catdir : Path
        The folder; `place_manifest` gives the new manifest its name there.
    meta : dict
        What the database is: id, level, filters.
    commits : iterable of (SnapshotRow, Change)
        What was done, in order.

    Returns
    -------
    list of str
        Paths that these commits made and forgot again.

    Raises
    ------
    StorageError
        If it cannot be written, or the commits do not follow from one another.
    """
    new = catdir / _NEW
    gone: list[str] = []
    try:
        new.unlink(missing_ok=True)
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("PRAGMA synchronous=OFF")
            db.execute("BEGIN")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            rows = {"format": str(FORMAT), **meta}
            db.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
            for snapshot, change in commits:
                gone += _insert(db, snapshot, change)
            db.execute("COMMIT")
            # Kept in the file's header: a reader may not be able to change it.
            db.execute("PRAGMA journal_mode=WAL")
        _sync(new)
    except (sqlite3.Error, OSError, TypeError) as err:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise StorageError(f"{new}: cannot be made ({err})") from err
    return gone


def place_manifest(catdir: Path) -> None:
    """Give the manifest that `build_manifest` made its name: from here on it counts."""
    (catdir / _NEW).rename(catdir / MANIFEST)
    _sync(catdir)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
            raise _unreadable(catdir, err) from err
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
        return int(self._query("SELECT max(id) FROM snapshot")[0][0] or 0)

    def _query(self, sql: str, args: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, args).fetchall()
        except sqlite3.Error as err:
            raise _unreadable(self.catdir, err) from err

    def _visible(self, snapshot: int, sql: str, **args: Any) -> list[Any]:
        """Rows of a query about a snapshot that is still kept after it."""
        rows = self._query(sql, args | {"s": snapshot})
        # Asked afterwards: what a vacuum in the meantime removed must not go unnoticed.
        if self._query("SELECT kept FROM snapshot WHERE id = ?", (snapshot,)) != [(1,)]:
            self.snapshot(snapshot)
        return rows

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
        for i, token, time, command, params, version, counts, kept in self._query(
            sql + where, args
        ):
            yield SnapshotRow(
                i, token, time, command, json.loads(params), version, json.loads(counts), bool(kept)
            )

    def parts(
        self,
        snapshot: int,
        *,
        region: int | None = None,
        last: int | None = None,
        table: str | None = None,
    ) -> list[Part]:
        """Parts (of one region, or of all to `last`; of one table) in the order they apply in."""
        where = f"WHERE {_VISIBLE}"
        if region is not None:
            where += " AND region BETWEEN :region AND :last"
        if table is not None:
            where += " AND tab = :tab"
        sql = (
            "SELECT part.id, path, tab, region, kind, row_start, row_stop, target, columns "
            f"FROM part JOIN file ON file.id = part.file {where} ORDER BY part.id"
        )
        last = region if last is None else last
        rows = self._visible(snapshot, sql, region=region, last=last, tab=table)
        return [
            Part(path, tab, reg, kind, a, b, target, parse_names(columns), i)
            for i, path, tab, reg, kind, a, b, target, columns in rows
        ]

    def regions(self, snapshot: int) -> list[int]:
        """Regions that have objects in a snapshot, in order."""
        return [row.region for row in self.catalogs(snapshot) if row.n_average > 0]

    def catalogs(
        self, snapshot: int, *, region: int | None = None, last: int | None = None
    ) -> list[CatalogRow]:
        """Counts of catalogs (of regions `region` to `last`), also of those a rollback emptied."""
        some = "" if region is None else " AND region BETWEEN :region AND :last"
        sql = (
            "SELECT region, n_average, next_obj_id, n_measure, is_sorted FROM catalog "
            f"WHERE {_VISIBLE}{some} ORDER BY region"
        )
        return [
            CatalogRow(r, objects, next_id, measures, bool(is_sorted))
            for r, objects, next_id, measures, is_sorted in self._visible(
                snapshot, sql, region=region, last=last
            )
        ]

    def catalog(self, snapshot: int, region: int) -> CatalogRow:
        """Counts of a region's catalog; all zero where there is none."""
        sql = (
            "SELECT region, n_average, next_obj_id, n_measure, is_sorted FROM catalog "
            f"WHERE region = :r AND {_VISIBLE}"
        )
        for r, objects, next_id, measures, is_sorted in self._visible(snapshot, sql, r=region):
            return CatalogRow(r, objects, next_id, measures, bool(is_sorted))
        return CatalogRow(region, 0, 0, 0, is_sorted=True)

    def busy_catalogs(self, snapshot: int, at_least: int) -> list[int]:
        """Regions whose Measure table is in at least so many parts."""
        sql = (
            f"SELECT region FROM part WHERE tab = 'Measure' AND kind = 'rows' AND {_VISIBLE} "
            "GROUP BY region HAVING count(*) >= :n ORDER BY region"
        )
        return [r for (r,) in self._visible(snapshot, sql, n=at_least)]

    def image(self, snapshot: int, identity: str) -> ImageRow | None:
        """Find an image by what it is known by in the system it came from."""
        sql = f"SELECT image_id, identity, content FROM image WHERE identity = :i AND {_VISIBLE}"
        return next((ImageRow(*row) for row in self._visible(snapshot, sql, i=identity)), None)

    def last_part(self) -> int:
        """Greatest part id given so far; ids are never given twice."""
        return int(dict(self._query("SELECT key, value FROM meta")).get("last_part", 0))

    def images(self, snapshot: int) -> list[ImageRow]:
        """All images in a snapshot."""
        sql = f"SELECT image_id, identity, content FROM image WHERE {_VISIBLE} ORDER BY image_id"
        return [ImageRow(*row) for row in self._visible(snapshot, sql)]

    def files(self) -> list[FileRow]:
        """All files that some kept snapshot uses."""
        sql = "SELECT path, n_bytes, digest, id FROM file ORDER BY id"
        return [FileRow(*row) for row in self._query(sql)]

    def pending(self) -> list[str]:
        """Paths that a commit cut short may have left behind."""
        return [p for (p,) in self._query("SELECT path FROM pending ORDER BY path")]

    def refresh(self) -> None:
        """Read `meta` again: commits of others may have changed it."""
        self.meta = dict(self._query("SELECT key, value FROM meta"))

    def find_damage(self) -> list[str]:
        """Ask SQLite whether its file is sound.

        Returns
        -------
        list of str
            What is wrong; empty if all is well.
        """
        found = [str(line) for (line,) in self._query("PRAGMA integrity_check(10)")]
        return [] if found == ["ok"] else found

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

        Parameters
        ----------
        paths : iterable of str
            Paths relative to the catdir.
        """
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            with self.transaction() as db:
                db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", [(p,) for p in paths])
        finally:
            self._db.execute("PRAGMA synchronous=FULL")

    def settle(self) -> None:
        """Commit something that changes nothing, so that no failed commit can come back."""
        with self.transaction() as db:
            db.execute("UPDATE meta SET value = value WHERE key = 'format'")

    def shrink(self) -> None:
        """Give room that is not used any more back to the file system."""
        try:
            self._db.execute("VACUUM")
        except sqlite3.Error as err:
            raise StorageError(f"{self.catdir / MANIFEST}: cannot be shrunk ({err})") from err

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
            gone = _insert(db, snapshot, change)
            db.execute("DELETE FROM pending")
            db.executemany("INSERT INTO pending VALUES (?)", [(path,) for path in gone])
        self.meta.update(change.meta)


def _unreadable(catdir: Path, err: Exception) -> StorageError:
    return StorageError(
        f"{catdir / MANIFEST}: cannot be read ({err}); try: dvo check {catdir} --rebuild"
    )


def _connect_writer(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


def _connect_reader(path: Path) -> sqlite3.Connection:
    """Open for reading, without needing to write anything.

    A database in write-ahead mode needs its -shm file, which a reader without write
    permission cannot make when no writer is there. Then nobody is writing, so the files
    can be copied as they stand, and copied again should a writer have come meanwhile.
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
        before = _stamps(path)
        copy = _copy_to_memory(path)
        if _stamps(path) == before:
            return copy
        copy.close()
    raise sqlite3.OperationalError("the manifest kept changing while it was read")


def _stamps(path: Path) -> list[tuple[int, int]]:
    found = [p.stat() for p in (path, _wal(path)) if p.exists()]
    return [(stat.st_mtime_ns, stat.st_size) for stat in found]


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _copy_to_memory(path: Path) -> sqlite3.Connection:
    """Copy a manifest, with what its write-ahead log has, through a folder of our own."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with tempfile.TemporaryDirectory(prefix="dvo-") as folder:
        copy = Path(folder, path.name)
        for source, target in ((path, copy), (_wal(path), _wal(copy))):
            if source.exists():
                shutil.copyfile(source, target)
        disk = sqlite3.connect(copy)
        try:
            disk.backup(memory)
        finally:
            disk.close()
    return memory


def _insert(db: sqlite3.Connection, snapshot: SnapshotRow, change: Change) -> list[str]:
    """Put a commit into the manifest; gives the paths that no snapshot needs any more."""
    _insert_snapshot(db, snapshot)
    _insert_change(db, snapshot.id, change)
    return _forget(db, change.forgotten) if change.forgotten else []


def _forget(db: sqlite3.Connection, snapshots: Sequence[int]) -> list[str]:
    """Forget snapshots, and all rows that none of those kept can see."""
    db.executemany("UPDATE snapshot SET kept = 0 WHERE id = ?", [(s,) for s in snapshots])
    for table in ("part", "catalog", "image"):
        db.execute(
            f"DELETE FROM {table} WHERE removed IS NOT NULL AND NOT EXISTS (SELECT 1 "
            "FROM snapshot WHERE kept AND snapshot.id >= added AND snapshot.id < removed)"
        )
    unused = "FROM file WHERE NOT EXISTS (SELECT 1 FROM part WHERE part.file = file.id)"
    gone = [path for (path,) in db.execute(f"SELECT path {unused} ORDER BY path")]
    db.execute(f"DELETE {unused}")
    return gone


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
