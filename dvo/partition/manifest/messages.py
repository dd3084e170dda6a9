"""What is said where there is no manifest, or none that can be read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dvo.errors import NotACatdirError, StorageError
from dvo.partition.layout import LOCK, LOG, MANIFEST

__all__ = ["absent", "unreadable"]


def absent(catdir: Path) -> NotACatdirError:
    """Make the error of a folder without a manifest: it says what is there instead."""
    if any((catdir / LOG).glob("*.fits")):
        return NotACatdirError(
            f"{catdir}: its manifest ({MANIFEST}) is gone; make it anew from the records of "
            f"commits with: dvo check {catdir} --rebuild"
        )
    what = f"{catdir}: no DVO database here (no {MANIFEST})"
    if catdir.is_file():
        return NotACatdirError(f"{catdir}: is a file; a DVO database is a folder")
    # The lock file may stay behind from a reader that looked too early.
    if catdir.is_dir() and any(p.name != LOCK for p in catdir.iterdir()):
        return NotACatdirError(f"{what}, but other files; name the folder of a database")
    return NotACatdirError(f"{what}; make one with: dvo init {catdir}")


def unreadable(catdir: Path, err: Exception) -> StorageError:
    """Make the error of a manifest that SQLite cannot read, or that has been closed."""
    if isinstance(err, sqlite3.ProgrammingError) and "closed" in str(err):
        return StorageError(f"{catdir}: the database was closed; open it again")
    return StorageError(
        f"{catdir / MANIFEST}: cannot be read ({err}); try: dvo check {catdir} --rebuild"
    )
