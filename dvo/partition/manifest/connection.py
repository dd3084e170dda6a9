"""Connections to the manifest: for the one writer, and for readers who may write nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from dvo.errors import StorageError
from dvo.partition.layout import MANIFEST

__all__ = ["Stamps", "connect_reader", "connect_writer", "copy_manifest", "read_stamps"]

Stamps: TypeAlias = list[tuple[int, int]]


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open for writing; every transaction is durable.

    Parameters
    ----------
    path : Path
        The manifest.

    Returns
    -------
    sqlite3.Connection
        In autocommit mode; may be used by several threads in turn.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    return db


def connect_reader(path: Path) -> tuple[sqlite3.Connection, Stamps | None]:
    """Open for reading, without needing to write anything.

    A database in write-ahead mode needs its -shm file, which a reader without write
    permission cannot make when no writer is there. Then nobody is writing, so the files
    can be copied as they stand, and copied again should a writer have come meanwhile.

    Parameters
    ----------
    path : Path
        The manifest.

    Returns
    -------
    connection : sqlite3.Connection
        In autocommit mode; to the file, or to a copy of it in memory.
    stamps : list of (int, int), or None
        Of a copy, what `read_stamps` said when it was made.
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
        return db, None
    for _ in range(10):
        before = read_stamps(path)
        copy = _copy_to_memory(path)
        if read_stamps(path) == before:
            return copy, before
        copy.close()
    raise sqlite3.OperationalError("the manifest kept changing while it was read")


def copy_manifest(catdir: Path, target: Path) -> None:
    """Copy a manifest as it stands, of one moment, while others may be writing.

    Parameters
    ----------
    catdir : Path
        The database directory.
    target : Path
        Folder for the copy; notes of files to be swept do not come along.

    Raises
    ------
    StorageError
        If it cannot be read, or not be written there.
    """
    try:
        with (
            closing(connect_reader(catdir / MANIFEST)[0]) as source,
            closing(sqlite3.connect(target / MANIFEST, isolation_level=None)) as copy,
        ):
            source.backup(copy)
            copy.execute("DELETE FROM pending")
            copy.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as err:
        raise StorageError(f"{catdir / MANIFEST}: cannot be copied to {target} ({err})") from err


def read_stamps(path: Path) -> Stamps:
    """Times and sizes by which a change of the manifest shows.

    Parameters
    ----------
    path : Path
        The manifest.

    Returns
    -------
    list of (int, int)
        Those of its files [ns since 1970, bytes].
    """
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
