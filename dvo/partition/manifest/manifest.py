"""Manifest: what is asked of it, and the transactions that change it."""

from __future__ import annotations

import difflib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dvo.errors import FormatVersionError, StorageError, UnknownSnapshotError
from dvo.partition.layout import MANIFEST
from dvo.partition.manifest.commits import insert
from dvo.partition.manifest.connection import connect_reader, connect_writer, read_stamps
from dvo.partition.manifest.messages import absent, unreadable
from dvo.partition.manifest.parts import CatalogCounts, Change, PartSizes, PartTable
from dvo.partition.manifest.rows import (
    CatalogRow,
    FileRow,
    ImageRow,
    Part,
    Reach,
    SnapshotRow,
    TagRow,
)
from dvo.partition.manifest.schema import FORMAT, LIVE, VISIBLE
from dvo.partition.snapshot_name import NEWEST, SnapshotName, parse_snapshot

__all__ = ["Manifest"]

_CATALOG = "region, n_average, next_obj_id, n_measure, is_sorted, n_parts, n_largest"
_FILE = "path, tab, kind, columns, n_bytes, digest, id"
_IMAGE = "image_id, identity, content, match_mjd"
_SNAPSHOT = "id, token, time, command, params, version, counts, level, reach, kept"


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
            raise absent(catdir)
        try:
            self._db, self._stamps = (
                (connect_writer(path), None) if writable else connect_reader(path)
            )
            self.meta = dict(self._db.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as err:
            raise unreadable(catdir, err) from err
        found = self.meta.get("format")
        if found != str(FORMAT):
            self._db.close()
            raise FormatVersionError(
                f"{catdir}: has format {found}, this version of dvo reads format {FORMAT}; use "
                "the version that made it, or ingest its catalogs into a new database"
            )
        self._files: dict[int, FileRow] = {}

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._db.close()

    def renew(self) -> None:
        """See what others have committed, where the file itself cannot be looked at.

        A reader without permission to write may have to look at a copy of it.
        """
        path = self.catdir / MANIFEST
        try:
            if self._stamps is not None and read_stamps(path) != self._stamps:
                self._db.close()
                self._db, self._stamps = connect_reader(path)
        except (sqlite3.Error, OSError) as err:
            raise unreadable(self.catdir, err) from err

    # ---- snapshots

    def latest(self) -> int:
        """Number of the newest snapshot."""
        return int(self._query("SELECT max(id) FROM snapshot")[0][0] or 0)

    def _query(self, sql: str, args: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        try:
            return self._db.execute(sql, args).fetchall()
        except sqlite3.Error as err:
            raise unreadable(self.catdir, err) from err

    def _visible(self, snapshot: int, sql: str, **args: Any) -> list[Any]:
        """Rows of a query about a snapshot that is still kept after it."""
        rows = self._query(sql, args | {"s": snapshot})
        self._assert_kept(snapshot)
        return rows

    def is_kept(self, snapshot: int) -> bool:
        """Tell whether a snapshot can still be read."""
        return self._query("SELECT kept FROM snapshot WHERE id = ?", (snapshot,)) == [(1,)]

    def _assert_kept(self, snapshot: int) -> None:
        # Asked after a query: what a vacuum in the meantime removed must not go unnoticed.
        if not self.is_kept(snapshot):
            self.snapshot(snapshot)

    def snapshot(self, name: SnapshotName | None = None) -> SnapshotRow:
        """Find a snapshot that can still be read.

        Parameters
        ----------
        name : int, str or datetime, optional
            Its number, a tag, or a time: the state that was the newest then. None for
            the newest.

        Returns
        -------
        SnapshotRow
            The snapshot.

        Raises
        ------
        UnknownSnapshotError
            If it never was, or has been vacuumed away.
        """
        found = NEWEST if name is None else parse_snapshot(name)
        if found == NEWEST:
            # One query: between two, a vacuum could forget what was the newest.
            return next(self._snapshots("ORDER BY id DESC LIMIT 1"))
        if isinstance(found, str):
            return self._numbered(self.tag(found).snapshot)
        return self._numbered(found if isinstance(found, int) else self._number_at(found))

    def _numbered(self, number: int) -> SnapshotRow:
        rows = list(self._snapshots("WHERE id = ?", number))
        if not rows:
            raise UnknownSnapshotError(
                f"{self.catdir}: no snapshot {number}; the newest is {self.latest()} (see: dvo log)"
            )
        if not rows[0].kept:
            raise UnknownSnapshotError(
                f"{self.catdir}: snapshot {number} has been vacuumed away (see: dvo log)"
            )
        return rows[0]

    def _number_at(self, time: datetime) -> int:
        """Number of the state that was the newest at a time."""
        until = time.isoformat(timespec="milliseconds")
        # Of the snapshots that are one state the newest that is kept.
        for row in self._snapshots("WHERE time <= ? ORDER BY id DESC", until):
            if row.kept or row.is_new_state:
                return row.id
        first = next(self._snapshots("ORDER BY id LIMIT 1")).time
        raise UnknownSnapshotError(f"{self.catdir}: was made at {first}, after {until}")

    def tags(self) -> list[TagRow]:
        """All tags, in the order of the snapshots that they name."""
        sql = "SELECT name, snapshot, added FROM tag ORDER BY snapshot, name"
        return [TagRow(*row) for row in self._query(sql)]

    def tag(self, name: str) -> TagRow:
        """Get a tag.

        Parameters
        ----------
        name : str
            The tag.

        Returns
        -------
        TagRow
            What it names.

        Raises
        ------
        UnknownSnapshotError
            If there is no such tag.
        """
        tags = {tag.name: tag for tag in self.tags()}
        if name in tags:
            return tags[name]
        near = difflib.get_close_matches(name, tags)
        known = f"the tags are {', '.join(tags)}" if 0 < len(tags) < 10 else "see: dvo tag"
        hint = f"did you mean {' or '.join(near)}?" if near else known
        raise UnknownSnapshotError(f"{self.catdir}: no tag {name!r}; {hint}")

    def log(self) -> list[SnapshotRow]:
        """All snapshots, the oldest first, also those vacuumed away."""
        return list(self._snapshots("ORDER BY id"))

    def _snapshots(self, where: str, *args: Any) -> Iterator[SnapshotRow]:
        sql = f"SELECT {_SNAPSHOT} FROM snapshot {where}"
        for (
            number,
            token,
            time,
            command,
            params,
            version,
            counts,
            level,
            reach,
            kept,
        ) in self._query(sql, args):
            yield SnapshotRow(
                number, token, time, command, json.loads(params), version, json.loads(counts),
                level, Reach(**json.loads(reach)), bool(kept),
            )  # fmt: skip

    def has_commit(self, token: str) -> bool:
        """Tell whether a commit is visible, by its token."""
        return bool(self._query("SELECT 1 FROM snapshot WHERE token = ?", (token,)))

    def tokens(self) -> list[str]:
        """Tokens of all commits, the oldest first."""
        return [token for (token,) in self._query("SELECT token FROM snapshot ORDER BY id")]

    # ---- what a snapshot is made of

    def part_table(self, snapshot: int, regions: Iterable[int] | None = None) -> PartTable:
        """Parts of a snapshot, as columns.

        Parameters
        ----------
        snapshot : int
            Its number.
        regions : iterable of int, optional
            Which regions, `ALL_SKY` among them or not; None for all.

        Returns
        -------
        PartTable
            The parts, in the order of regions and numbers.
        """
        source, given = _of_regions("part", regions)
        sql = (
            "SELECT part.id, file, region, row_start, row_stop, coalesce(target, 0) "
            f"FROM {source} WHERE {VISIBLE}"
        )
        rows = np.array(self._query(sql, {"s": snapshot, **given}), np.int64).reshape(-1, 6)
        # What an older snapshot has comes in the order in which it was removed since.
        rows = rows[np.lexsort((rows[:, 0], rows[:, 2]))]
        ids, files, of, starts, stops, targets = rows.T.copy()
        facts = self._facts(np.unique(files).tolist())
        self._assert_kept(snapshot)
        return PartTable(ids, files, of, starts, stops, targets, facts)

    def _facts(self, numbers: Sequence[int]) -> dict[int, FileRow]:
        """Files by number; they never change, so what was asked once is known."""
        unknown = [i for i in numbers if i not in self._files]
        if unknown:
            sql = f"SELECT {_FILE} FROM file WHERE id IN (SELECT value FROM json_each(?))"
            rows = map(_file_row, self._query(sql, (json.dumps(unknown),)))
            self._files |= {row.id: row for row in rows}
        return {i: self._files[i] for i in numbers if i in self._files}

    def parts(
        self, snapshot: int, *, region: int | None = None, table: str | None = None
    ) -> list[Part]:
        """Parts (of one region; of one table) in the order of regions and numbers."""
        found = self.part_table(snapshot, None if region is None else [region]).parts()
        return [p for p in found if table in (None, p.table)]

    def changed_regions(self, one: int, two: int) -> list[int]:
        """Regions of which two snapshots do not have the same parts and counts, ascending."""
        of = "(added <= {0} AND removed > {0})"
        differs = f"{of.format(':one')} <> {of.format(':two')}"
        sql = (
            f"SELECT region FROM part WHERE {differs} UNION "
            f"SELECT region FROM catalog WHERE {differs} ORDER BY region"
        )
        return [region for (region,) in self._query(sql, {"one": one, "two": two})]

    def part_sizes(
        self, snapshot: int, table: str, regions: Iterable[int] | None = None
    ) -> PartSizes:
        """Add up the parts of a table, without looking at them one by one.

        Parameters
        ----------
        snapshot : int
            Number of the snapshot.
        table : str
            Name of the table.
        regions : iterable of int, optional
            Which regions, `ALL_SKY` among them or not; None for all.

        Returns
        -------
        PartSizes
            Numbers and bytes.
        """
        source, given = _of_regions("part", regions)
        sql = (
            "SELECT sum(n), sum(rows), count(*), sum(n_bytes) FROM ("
            "SELECT file, count(*) AS n, sum(row_stop - row_start) AS rows "
            f"FROM {source} WHERE {VISIBLE} GROUP BY file) AS found "
            "CROSS JOIN file ON file.id = found.file WHERE tab = :table"
        )
        (found,) = self._visible(snapshot, sql, table=table, **given)
        return PartSizes(*(int(n or 0) for n in found))

    def catalog_counts(self, snapshot: int, regions: Iterable[int] | None = None) -> CatalogCounts:
        """Counts of the catalogs that have objects in a snapshot, as columns.

        Parameters
        ----------
        snapshot : int
            Its number.
        regions : iterable of int, optional
            Which regions; None for all.

        Returns
        -------
        CatalogCounts
            The counts, in the order of regions.
        """
        source, given = _of_regions("catalog", regions)
        sql = (
            f"SELECT region, n_average, n_measure FROM {source} "
            f"WHERE n_average > 0 AND {VISIBLE} ORDER BY region"
        )
        try:
            # Row by row into one array: 150,000 of them at once would keep the collector busy.
            rows = self._db.execute(sql, given | {"s": snapshot})
            flat = np.fromiter(chain.from_iterable(rows), np.int64)
        except sqlite3.Error as err:
            raise unreadable(self.catdir, err) from err
        self._assert_kept(snapshot)
        return CatalogCounts(*flat.reshape(-1, 3).T.copy())

    def catalogs(self, snapshot: int, regions: Iterable[int] | None = None) -> list[CatalogRow]:
        """Counts of catalogs, also of those a rollback emptied.

        Parameters
        ----------
        snapshot : int
            Number of the snapshot.
        regions : iterable of int, optional
            Which regions; None for all. Those without a catalog are passed over.

        Returns
        -------
        list of CatalogRow
            The counts, in the order of regions.
        """
        source, given = _of_regions("catalog", regions)
        sql = f"SELECT {_CATALOG} FROM {source} WHERE {VISIBLE}"
        return [
            CatalogRow(r, objects, next_id, measures, bool(is_sorted), n_parts, largest)
            for r, objects, next_id, measures, is_sorted, n_parts, largest in self._visible(
                snapshot, sql, **given
            )
        ]

    def catalog(self, snapshot: int, region: int) -> CatalogRow:
        """Counts of a region's catalog; all zero where there is none."""
        found = self.catalogs(snapshot, [region])
        return found[0] if found else CatalogRow(region, 0, 0, 0, is_sorted=True)

    def busy_catalogs(self, at_least: int) -> list[int]:
        """Regions of the newest snapshot that are due for compaction.

        Parameters
        ----------
        at_least : int
            Parts of Measure below which a catalog is left alone.

        Returns
        -------
        list of int
            Regions with so many parts of which the loose ones have grown to half of the
            largest, or that are very many; ascending.
        """
        sql = f"SELECT region FROM catalog WHERE removed = {LIVE} AND busy > 1 AND busy >= ?"
        return sorted(region for (region,) in self._query(sql, (at_least,)))

    def splits(self, snapshot: int) -> tuple[int, ...]:
        """Regions whose children have catalogs in their place in a snapshot, ascending."""
        sql = f"SELECT region FROM split WHERE {VISIBLE} ORDER BY region"
        return tuple(region for (region,) in self._visible(snapshot, sql))

    def image(self, snapshot: int, identity: str) -> ImageRow | None:
        """Find an image by what it is known by in the system it came from."""
        sql = f"SELECT {_IMAGE} FROM image WHERE identity = :i AND {VISIBLE}"
        return next((ImageRow(*row) for row in self._visible(snapshot, sql, i=identity)), None)

    def images(self, snapshot: int, *, other: int | None = None) -> list[ImageRow]:
        """All images in a snapshot, or those whose rows it does not share with another."""
        unlike = "" if other is None else " AND NOT (added <= :o AND removed > :o)"
        sql = f"SELECT {_IMAGE} FROM image WHERE {VISIBLE}{unlike} ORDER BY image_id"
        return [ImageRow(*row) for row in self._visible(snapshot, sql, o=other)]

    def reference_catalogs(self, snapshot: int) -> list[ImageRow]:
        """All reference catalogs in a snapshot; their numbers are below 0."""
        sql = f"SELECT {_IMAGE} FROM image WHERE image_id < 0 AND {VISIBLE} ORDER BY image_id DESC"
        return [ImageRow(*row) for row in self._visible(snapshot, sql)]

    # ---- the database as a whole

    def last_part(self) -> int:
        """Greatest part id given so far; ids are never given twice."""
        return int(dict(self._query("SELECT key, value FROM meta")).get("last_part", 0))

    def last_numbers(self) -> list[tuple[str, int, int]]:
        """Numbers given so far, as ``meta`` has them, and the greatest that rows have.

        Returns
        -------
        list of (str, int, int)
            Key of ``meta``, its value, and the greatest number of a row, of any snapshot.
        """
        # One statement: a commit between two would look like a fault.
        sql = (
            "SELECT key, (SELECT value FROM meta WHERE meta.key = given.key), most FROM ("
            "SELECT 'last_image' AS key, max(abs(image_id)) AS most FROM image "
            "UNION ALL SELECT 'last_part', max(id) FROM part) AS given"
        )
        return [(key, int(last or 0), int(most or 0)) for key, last, most in self._query(sql)]

    def table_rows(self, snapshot: int) -> dict[str, int]:
        """Whole rows of each table, by its name.

        Parameters
        ----------
        snapshot : int
            Number of the snapshot.

        Returns
        -------
        dict of str to int
            Rows in parts of kind ``rows``; those that patches add are not among them.
        """
        sql = (
            "SELECT tab, sum(row_stop - row_start) FROM part JOIN file ON file.id = part.file "
            "WHERE kind = 'rows' AND part.added <= :s AND part.removed > :s GROUP BY tab"
        )
        found = {str(table): int(n) for table, n in self._query(sql, {"s": snapshot})}
        self._assert_kept(snapshot)
        return found

    def files(self) -> list[FileRow]:
        """All files that some kept snapshot uses."""
        return [_file_row(row) for row in self._query(f"SELECT {_FILE} FROM file ORDER BY id")]

    def newest_without(self, path: str) -> int | None:
        """Find the newest snapshot that needs no rows of a file; None if all need some."""
        sql = (
            "SELECT max(id) FROM snapshot AS s WHERE kept AND NOT EXISTS (SELECT 1 FROM part "
            "JOIN file ON part.file = file.id WHERE file.path = ? AND part.added <= s.id "
            "AND part.removed > s.id)"
        )
        (number,) = self._query(sql, (path,))[0]
        return None if number is None else int(number)

    def pending(self) -> list[str]:
        """Paths that a commit cut short may have left behind."""
        return [p for (p,) in self._query("SELECT path FROM pending ORDER BY path")]

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
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as err:
            raise StorageError(f"{self.catdir / MANIFEST}: cannot be written ({err})") from err
        finally:
            # Whatever it was that came in between, an interrupt too.
            if self._db.in_transaction:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")

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
            try:
                gone = insert(db, snapshot, change)
            except LookupError as err:
                raise StorageError(f"{self.catdir}: the commit names a lost file ({err})") from err
            db.execute("DELETE FROM pending")
            db.executemany("INSERT INTO pending VALUES (?)", [(path,) for path in gone])
        self.meta.update(change.meta)


def _of_regions(table: str, regions: Iterable[int] | None) -> tuple[str, dict[str, str]]:
    """Rows of a table for some regions: as FROM clause, with its values."""
    if regions is None:
        return table, {}
    wanted = sorted({int(r) for r in regions})
    # A cross join is done as written: one look-up a region, in their order.
    source = f"json_each(:regions) AS wanted CROSS JOIN {table} ON region = wanted.value"
    return source, {"regions": json.dumps(wanted)}


def _file_row(row: Sequence[Any]) -> FileRow:
    path, table, kind, columns, n_bytes, digest, number = row
    return FileRow(path, table, kind, _names(columns), n_bytes, digest, number)


@lru_cache(maxsize=256)
def _names(text: str) -> tuple[str, ...]:
    """Column names of a file from their JSON; files with the same ones share a tuple."""
    return tuple(json.loads(text))
