"""The public database in a DuckDB file.

Batches are *loaded* into tables of the schema ``staging``, whole or not at all. They are
*merged* into the tables of ``main`` all together, in one transaction with the log of batches:
a batch takes the place of an earlier one of the same scope, and what was merged once is never
merged again. A *release* is a copy that nobody changes; the views of the schema ``published``
show the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dvo.database.arrow import array_of
from dvo.errors import ConfigError, CorruptTableError, StorageError
from dvo.psps.batch_file import BatchManifest
from dvo.psps.loading import statements
from dvo.psps.schema.batches import BATCH_TABLES, TABLES, BatchType
from dvo.psps.schema.table import PublicColumn, PublicTable, SqlType
from dvo.tables.schema import Column

__all__ = ["MergeReport", "PublicDatabase", "Release", "open_public_database"]

Array = NDArray[Any]
Batch = tuple[BatchManifest, Mapping[str, Mapping[str, Array]]]
"""What a batch is, and its rows: values by column, by table."""

_URL = re.compile(r"duckdb:///(.+)")
_RELEASE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")


@dataclass(frozen=True)
class MergeReport:
    """What was merged.

    Parameters
    ----------
    batches : tuple of int
        Numbers of the batches.
    superseded : tuple of int
        Loaded batches that a later one of the same scope took the place of.
    n_rows : dict of str to int
        Rows merged, by table.
    n_replaced : dict of str to int
        Rows of before that went, by table.
    """

    batches: tuple[int, ...]
    superseded: tuple[int, ...]
    n_rows: dict[str, int]
    n_replaced: dict[str, int]


@dataclass(frozen=True)
class Release:
    """A release: its name, when it was published (UTC), and its objects."""

    name: str
    published: str
    n_objects: int


def open_public_database(url: str, *, create: bool = False) -> PublicDatabase:
    """Open a public database.

    Parameters
    ----------
    url : str
        ``duckdb:///FILE``; a fourth slash begins an absolute path.
    create : bool
        Whether to make it if it is not there.

    Returns
    -------
    PublicDatabase
        The database.

    Raises
    ------
    ConfigError
        If the address is of another form.
    StorageError
        If it is not there, or cannot be opened.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(f"{url!r}: is no address of a database; give duckdb:///FILE")
    return PublicDatabase(Path(found[1]), create=create)


class PublicDatabase:
    """A public database, open for one process.

    Parameters
    ----------
    path : Path
        The DuckDB file.
    create : bool
        Whether to make it if it is not there.

    Raises
    ------
    StorageError
        If it is not there, is used by another process, or is no such database.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if not create and not path.is_file():
            raise StorageError(f"{path}: there is no such database; psps load makes it")
        try:
            self._con = duckdb.connect(str(path))
            if create:
                self._transact(statements.create_all())
        except duckdb.Error as err:
            raise StorageError(f"{path}: cannot be opened ({_first_line(err)})") from err

    def _transact(self, texts: Iterable[str]) -> None:
        with _Transaction(self._con):
            for text in texts:
                self._con.execute(text)

    def load(self, batches: Sequence[Batch]) -> int:
        """Put batches into the staging tables, all of them whole or none.

        Parameters
        ----------
        batches : sequence of (BatchManifest, mapping of mapping of ndarray)
            Batches: what each is, and values by column, by table, as `read_batch` gives them.
            Those that have been loaded before are passed over. Many at once, of some
            hundred thousand rows together, are sooner loaded than one by one.

        Returns
        -------
        int
            How many were loaded.

        Raises
        ------
        CorruptTableError
            If another batch of the same number has been loaded, or one is of another
            database.
        StorageError
            If they cannot be written.
        """
        try:
            with _Transaction(self._con):
                new = [(manifest, tables) for manifest, tables in batches if self._is_new(manifest)]
                for table in TABLES.values():
                    rows = [tables[table.name] for _, tables in new if table.name in tables]
                    if rows:
                        self._stage(table, rows)
                for manifest, _ in new:
                    self._con.execute(
                        "INSERT INTO psps.batch VALUES (?, ?, ?, ?, ?, ?, ?, 'loaded')",
                        [manifest.batch_id, manifest.batch_type.value, manifest.scope,
                         manifest.db_id, manifest.snapshot, manifest.n_rows, manifest.digest],
                    )  # fmt: skip
        except duckdb.Error as err:
            raise StorageError(f"{self.path}: {_first_line(err)}") from err
        return len(new)

    def _stage(self, table: PublicTable, rows: Sequence[Mapping[str, Array]]) -> None:
        pieces = [pa.table({c.name: _arrow(c, r[c.name]) for c in table.columns}) for r in rows]
        self._con.register("batch_rows", pa.concat_tables(pieces))
        self._con.execute(statements.stage(table))
        self._con.unregister("batch_rows")

    def knows(self, manifest: BatchManifest) -> bool:
        """Tell whether a batch has been loaded, whatever has become of it.

        Parameters
        ----------
        manifest : BatchManifest
            The batch.

        Returns
        -------
        bool
            True if it has.

        Raises
        ------
        CorruptTableError
            As `load`.
        """
        return not self._is_new(manifest)

    def _is_new(self, manifest: BatchManifest) -> bool:
        known = self._con.execute(
            "SELECT digest FROM psps.batch WHERE batch_id = ?", [manifest.batch_id]
        ).fetchone()
        other = self._con.execute(
            "SELECT db_id FROM psps.batch WHERE db_id <> ? LIMIT 1", [manifest.db_id]
        ).fetchone()
        if other is not None:
            raise CorruptTableError(
                f"{self.path}: holds batches of database {other[0]}; batch {manifest.batch_id} is "
                f"of {manifest.db_id}: load it into a database of its own"
            )
        if known is not None and known[0] != manifest.digest:
            raise CorruptTableError(
                f"{self.path}: has another batch {manifest.batch_id}, with digest {known[0]}, not "
                f"{manifest.digest}; were the batches made twice, in two folders?"
            )
        return known is None

    def merge(self) -> MergeReport:
        """Check all batches that are loaded, and merge them in one transaction.

        Returns
        -------
        MergeReport
            What was merged.

        Raises
        ------
        CorruptTableError
            If they do not belong together: rows are missing, ids are there twice, or rows name
            objects that are not there. Nothing is changed.
        StorageError
            If it cannot be written; nothing is changed.
        """
        try:
            with _Transaction(self._con):
                return self._merge()
        except duckdb.Error as err:
            raise StorageError(f"{self.path}: {_first_line(err)}") from err

    def _merge(self) -> MergeReport:
        old = self._numbers(statements.SUPERSEDED)
        self._drop_staged(old)
        batches = self._numbers("SELECT batch_id FROM psps.batch WHERE state = 'loaded'")
        n_replaced, n_rows = {}, {}
        for table in TABLES.values():
            n_replaced[table.name] = self._count(statements.replace(table))
        for table in TABLES.values():
            n_rows[table.name] = self._count(statements.merge(table))
        for table in TABLES.values():
            for what, text in statements.checks(table):
                bad = self._con.execute(text).fetchone()
                if bad is not None:
                    raise CorruptTableError(
                        f"{self.path}: {table.name}: {what}, such as {bad[0]}; nothing was merged"
                    )
        self._check_counts(batches)
        for table in TABLES.values():
            self._con.execute(statements.clear_staging(table))
        self._con.execute(statements.SETTLE)
        return MergeReport(
            tuple(batches), tuple(old),
            {k: n for k, n in n_rows.items() if n}, {k: n for k, n in n_replaced.items() if n},
        )  # fmt: skip

    def _drop_staged(self, batches: Sequence[int]) -> None:
        for number in batches:
            for table in BATCH_TABLES[BatchType.OB]:
                self._con.execute(statements.drop_staged(table), [number])
            self._con.execute(
                "UPDATE psps.batch SET state = 'superseded' WHERE batch_id = ?", [number]
            )

    def _check_counts(self, batches: Sequence[int]) -> None:
        """Every object batch has as many rows in the merged table as its manifest says."""
        bad = self._con.execute(statements.MISCOUNTED, [list(batches)]).fetchone()
        if bad is not None:
            raise CorruptTableError(
                f"{self.path}: batch {bad[0]} has {bad[2]} rows, not the {bad[1]} that were "
                "loaded; nothing was merged"
            )

    def _numbers(self, text: str) -> list[int]:
        return sorted(int(row[0]) for row in self._con.execute(text).fetchall())

    def _count(self, text: str) -> int:
        found = self._con.execute(text).fetchone()
        return 0 if found is None else int(found[0])

    def publish(self, name: str, *, keep: int = 2) -> list[Release]:
        """Make a release of what is merged, and have the published views show it.

        Parameters
        ----------
        name : str
            Name of the release: letters, digits and underscores.
        keep : int
            Releases to keep, this one counted; older ones are deleted.

        Returns
        -------
        list of Release
            Those that are there now, the last one first.

        Raises
        ------
        ConfigError
            If it is no name, or there is such a release.
        StorageError
            If it cannot be written; nothing is changed.
        """
        if not _RELEASE.fullmatch(name):
            raise ConfigError(
                f"release {name!r}: give a letter, and up to 40 letters, digits and underscores"
            )
        if name.lower() in {r.name.lower() for r in self.releases()}:
            raise ConfigError(f"{self.path}: has a release {name} already; give another name")
        try:
            with _Transaction(self._con):
                for text in statements.publish(name):
                    self._con.execute(text)
                for old in self.releases()[keep:]:
                    for text in statements.drop_release(old.name):
                        self._con.execute(text)
        except duckdb.Error as err:
            raise StorageError(f"{self.path}: {_first_line(err)}") from err
        return self.releases()

    def releases(self) -> list[Release]:
        """List the releases.

        Returns
        -------
        list of Release
            The last one first.
        """
        found = self._con.execute(
            "SELECT name, published, n_objects FROM psps.release ORDER BY number DESC"
        )
        return [Release(*row) for row in found.fetchall()]

    def states(self) -> dict[str, dict[str, int]]:
        """Count batches.

        Returns
        -------
        dict of dict of int
            Number of batches by state, by kind of batch.
        """
        found: dict[str, dict[str, int]] = {}
        rows = self._con.execute(
            "SELECT batch_type, state, COUNT(*) FROM psps.batch GROUP BY ALL ORDER BY ALL"
        )
        for kind, state, n in rows.fetchall():
            found.setdefault(kind, {})[state] = n
        return found

    def batches_in(self, state: str) -> list[int]:
        """List the numbers of the batches in a state: loaded, merged or superseded."""
        return [
            int(row[0])
            for row in self._con.execute(
                "SELECT batch_id FROM psps.batch WHERE state = ? ORDER BY batch_id", [state]
            ).fetchall()
        ]

    def counts(self) -> dict[str, int]:
        """Count the merged rows, by table."""
        return {n: self._count(f'SELECT COUNT(*) FROM main."{n}"') for n in TABLES}

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self._con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Transaction:
    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def __enter__(self) -> None:
        self._con.execute("BEGIN")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._con.execute("COMMIT" if kind is None else "ROLLBACK")


def _arrow(column: PublicColumn, values: Array) -> Any:
    if column.sql_type is not SqlType.VARCHAR:
        return pa.array(values)
    words: Any = array_of(Column(column.name.lower(), values.dtype.str[1:], ""), values)
    return pc.fill_null(words, "")


def _first_line(err: Exception) -> str:
    return (str(err).splitlines() or [type(err).__name__])[0]
