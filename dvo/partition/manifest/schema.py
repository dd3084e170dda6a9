"""The tables of the manifest in SQLite, and what each holds.

What is the same for all parts of a file (its table, kind and columns) is said once, with
the file: a survey of bright stars has half a million parts of a few rows each. Parts and
catalogs lie in the order of their regions, and within a region what is in the newest
snapshot comes last: whoever asks for that passes over nothing of the history.
"""

from __future__ import annotations

__all__ = ["FORMAT", "LIVE", "SCHEMA", "VISIBLE"]

FORMAT = 3
"""Version of the format on disk."""

_MOST_PARTS = 128
# Parts of Measure by which a catalog is in need of compaction: none as long as the loose
# rows have not grown to half of those in the largest part, unless parts are very many.
_BUSY = f"""CASE WHEN 2 * (n_measure - n_largest) >= n_largest OR n_parts >= {_MOST_PARTS}
        THEN n_parts ELSE 0 END"""

LIVE = 2**31 - 1
"""Snapshot that "removed" what is still there; four bytes, and more commits than will be."""

VISIBLE = "added <= :s AND removed > :s"
"""Rows that belong to snapshot ``:s``."""

SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE snapshot (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, time TEXT NOT NULL,
        command TEXT NOT NULL, params TEXT NOT NULL, version TEXT NOT NULL,
        counts TEXT NOT NULL, reach TEXT NOT NULL, level INTEGER NOT NULL,
        kept INTEGER NOT NULL DEFAULT 1)""",
    # A vacuum asks for every row of the past whether a snapshot that is kept still sees it:
    # without passing over all that were forgotten (5000 of them, 100,000 rows: 0.7 s for 45 s).
    "CREATE INDEX snapshot_kept ON snapshot (id) WHERE kept",
    # AUTOINCREMENT: the number of a file that is gone is not given again, so what an open
    # reader knows of a file stays true.
    """CREATE TABLE file (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, tab TEXT NOT NULL,
        kind TEXT NOT NULL, columns TEXT NOT NULL, n_bytes INTEGER NOT NULL,
        digest TEXT NOT NULL, snapshot INTEGER NOT NULL)""",
    """CREATE TABLE part (
        region INTEGER NOT NULL, removed INTEGER NOT NULL, id INTEGER NOT NULL,
        file INTEGER NOT NULL, row_start INTEGER NOT NULL, row_stop INTEGER NOT NULL,
        target INTEGER, added INTEGER NOT NULL, PRIMARY KEY (region, removed, id))
        WITHOUT ROWID""",
    f"""CREATE TABLE catalog (
        region INTEGER NOT NULL, removed INTEGER NOT NULL, n_average INTEGER NOT NULL,
        next_obj_id INTEGER NOT NULL, n_measure INTEGER NOT NULL, is_sorted INTEGER NOT NULL,
        n_parts INTEGER NOT NULL, n_largest INTEGER NOT NULL, added INTEGER NOT NULL,
        busy INTEGER GENERATED ALWAYS AS ({_BUSY}) VIRTUAL,
        PRIMARY KEY (region, removed)) WITHOUT ROWID""",
    # Holds only what may be due: asking costs as much as there is to compact.
    f"CREATE INDEX catalog_busy ON catalog (busy) WHERE removed = {LIVE} AND busy > 1",
    """CREATE TABLE image (
        image_id INTEGER NOT NULL, removed INTEGER NOT NULL, identity TEXT NOT NULL,
        content TEXT NOT NULL, match_mjd REAL, added INTEGER NOT NULL,
        PRIMARY KEY (image_id, removed)) WITHOUT ROWID""",
    "CREATE INDEX image_identity ON image (identity)",
    # Of the database, not of a snapshot: going back to an older state moves no tag.
    """CREATE TABLE tag (
        name TEXT PRIMARY KEY, snapshot INTEGER NOT NULL, added INTEGER NOT NULL)
        WITHOUT ROWID""",
    # Regions whose children have catalogs in their place.
    """CREATE TABLE split (
        region INTEGER NOT NULL, removed INTEGER NOT NULL, added INTEGER NOT NULL,
        PRIMARY KEY (region, removed)) WITHOUT ROWID""",
    "CREATE TABLE pending (path TEXT PRIMARY KEY) WITHOUT ROWID",
)
"""Statements that make the tables."""
