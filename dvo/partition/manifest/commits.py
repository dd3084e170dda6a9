"""Commits put into the manifest, and manifests made of them.

`insert` is the body of the one transaction that makes a commit visible; a lost manifest
is made anew by the same statements, from the records of all commits.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from dvo.errors import StorageError
from dvo.partition.layout import MANIFEST
from dvo.partition.manifest.parts import Change, PartRun
from dvo.partition.manifest.rows import SnapshotRow
from dvo.partition.manifest.schema import FORMAT, LIVE, SCHEMA

__all__ = [
    "build_manifest",
    "drop_new_manifest",
    "insert",
    "new_manifest_differs",
    "place_manifest",
]

_NEW = f"{MANIFEST}.new"


def build_manifest(
    catdir: Path, meta: dict[str, str], commits: Iterable[tuple[SnapshotRow, Change]]
) -> list[str]:
    """Make a manifest from the first commit, or from all of them, under a name of its own.

    Parameters
    ----------
    catdir : Path
        The folder; `place_manifest` gives the new manifest its name there.
    meta : dict
        What the database is: its id, and settings.
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
            for statement in SCHEMA:
                db.execute(statement)
            rows = {"format": str(FORMAT), **meta}
            db.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
            for snapshot, change in commits:
                gone += insert(db, snapshot, change)
            db.execute("COMMIT")
            # Kept in the file's header: a reader may not be able to change it.
            db.execute("PRAGMA journal_mode=WAL")
        _sync(new)
    except (sqlite3.Error, OSError, LookupError) as err:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise StorageError(f"{new}: cannot be made ({err})") from err
    return gone


def place_manifest(catdir: Path) -> None:
    """Give the manifest that `build_manifest` made its name: from here on it counts."""
    (catdir / _NEW).rename(catdir / MANIFEST)
    _sync(catdir)


def drop_new_manifest(catdir: Path) -> None:
    """Remove the manifest that `build_manifest` made, unless it has been placed."""
    (catdir / _NEW).unlink(missing_ok=True)


def new_manifest_differs(catdir: Path) -> bool:
    """Tell whether the manifest that `build_manifest` made says something else than ours.

    Parameters
    ----------
    catdir : Path
        The folder; nobody is writing.

    Returns
    -------
    bool
        True also if ours cannot be read. Notes of files to be swept do not count.
    """
    try:
        with closing(sqlite3.connect(catdir / MANIFEST, isolation_level=None)) as db:
            db.execute("ATTACH ? AS remade", (str(catdir / _NEW),))
            names = "SELECT name FROM remade.sqlite_master WHERE type = 'table'"
            for (name,) in db.execute(names).fetchall():
                if name == "pending" or name.startswith("sqlite_"):
                    continue
                for one, two in (("main", "remade"), ("remade", "main")):
                    more = f"SELECT * FROM {one}.{name} EXCEPT SELECT * FROM {two}.{name} LIMIT 1"
                    if db.execute(more).fetchone() is not None:
                        return True
    except sqlite3.Error:
        return True
    return False


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def insert(db: sqlite3.Connection, snapshot: SnapshotRow, change: Change) -> list[str]:
    """Put a commit into the manifest.

    Parameters
    ----------
    db : sqlite3.Connection
        Inside a transaction.
    snapshot : SnapshotRow
        The snapshot that the commit makes.
    change : Change
        What it does.

    Returns
    -------
    list of str
        Paths of files that no snapshot needs any more.
    """
    _insert_snapshot(db, snapshot)
    file_ids = _insert_files(db, snapshot.id, change)
    db.executemany(
        f"UPDATE part SET removed = {snapshot.id} WHERE region = ? AND removed = {LIVE} AND id = ?",
        change.removed_parts.tolist(),
    )
    for run in change.parts:
        _insert_parts(db, snapshot.id, run, file_ids[run.path])
    _insert_catalogs(db, snapshot.id, change)
    _insert_images(db, snapshot.id, change)
    _insert_tags(db, snapshot.id, change)
    _insert_splits(db, snapshot.id, change)
    meta = dict(change.meta)
    last = [int(run.ids.max()) for run in change.parts if len(run)]
    if last:
        meta["last_part"] = str(max(last))
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
    return _forget(db, change.forgotten) if change.forgotten else []


def _insert_snapshot(db: sqlite3.Connection, row: SnapshotRow) -> None:
    texts = (json.dumps(row.counts), json.dumps(asdict(row.reach)))
    db.execute(
        "INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row.id, row.token, row.time, row.command, json.dumps(row.params), row.version, *texts,
         row.level, int(row.kept)),
    )  # fmt: skip


def _insert_files(db: sqlite3.Connection, snapshot: int, change: Change) -> dict[str, int]:
    """Number the files; gives the numbers of all that the commit's parts are of."""
    ids: dict[str, int] = {}
    for f in change.files:
        cursor = db.execute(
            "INSERT INTO file (path, tab, kind, columns, n_bytes, digest, snapshot) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (f.path, f.table, f.kind, json.dumps(f.columns), f.n_bytes, f.digest, snapshot),
        )
        ids[f.path] = int(cursor.lastrowid or 0)
    for path in {run.path for run in change.parts} - ids.keys():
        found = db.execute("SELECT id FROM file WHERE path = ?", (path,)).fetchone()
        if found is None:
            raise LookupError(f"no commit has made {path}")
        (ids[path],) = found
    return ids


def _insert_parts(db: sqlite3.Connection, snapshot: int, run: PartRun, file: int) -> None:
    columns = (run.regions, run.ids, run.starts, run.stops, run.targets)
    db.executemany(
        f"INSERT INTO part VALUES (?, {LIVE}, ?, {file}, ?, ?, nullif(?, 0), {snapshot})",
        zip(*(c.tolist() for c in columns), strict=True),
    )


def _insert_catalogs(db: sqlite3.Connection, snapshot: int, change: Change) -> None:
    db.executemany(
        f"UPDATE catalog SET removed = {snapshot} WHERE region = ? AND removed = {LIVE}",
        [(c.region,) for c in change.catalogs],
    )
    db.executemany(
        f"INSERT INTO catalog VALUES (?, {LIVE}, ?, ?, ?, ?, ?, ?, {snapshot})",
        [
            (c.region, c.n_average, c.next_obj_id, c.n_measure, int(c.is_sorted), c.n_parts,
             c.n_largest)
            for c in change.catalogs
        ],
    )  # fmt: skip


def _insert_images(db: sqlite3.Connection, snapshot: int, change: Change) -> None:
    db.executemany(
        f"UPDATE image SET removed = {snapshot} WHERE image_id = ? AND removed = {LIVE}",
        [(i,) for i in change.dropped_images],
    )
    db.executemany(
        f"INSERT INTO image VALUES (?, {LIVE}, ?, ?, ?, {snapshot})",
        [(i.image_id, i.identity, i.content, i.match_mjd) for i in change.images],
    )


def _insert_tags(db: sqlite3.Connection, snapshot: int, change: Change) -> None:
    db.executemany("DELETE FROM tag WHERE name = ?", [(name,) for name in change.tags])
    db.executemany(
        "INSERT INTO tag VALUES (?, ?, ?)",
        [(name, number, snapshot) for name, number in change.tags.items() if number],
    )


def _insert_splits(db: sqlite3.Connection, snapshot: int, change: Change) -> None:
    db.executemany(
        f"UPDATE split SET removed = {snapshot} WHERE region = ? AND removed = {LIVE}",
        [(region,) for region in change.joined],
    )
    db.executemany(
        f"INSERT INTO split VALUES (?, {LIVE}, {snapshot})", [(r,) for r in change.split]
    )


def _forget(db: sqlite3.Connection, snapshots: Sequence[int]) -> list[str]:
    """Forget snapshots, and all rows that none of those kept can see."""
    db.executemany("UPDATE snapshot SET kept = 0 WHERE id = ?", [(s,) for s in snapshots])
    for table in ("part", "catalog", "image", "split"):
        db.execute(
            f"DELETE FROM {table} WHERE removed < {LIVE} AND NOT EXISTS (SELECT 1 "
            "FROM snapshot WHERE kept AND snapshot.id >= added AND snapshot.id < removed)"
        )
    unused = "FROM file WHERE id NOT IN (SELECT file FROM part)"
    gone = [path for (path,) in db.execute(f"SELECT path {unused} ORDER BY path")]
    db.execute(f"DELETE {unused}")
    return gone
