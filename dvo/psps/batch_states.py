"""What has become of each batch of a folder: a small SQLite database beside the files.

A batch has a number for good. Its state goes from planned over made and loaded to merged;
what failed is tried again the next time.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dvo.errors import StorageError
from dvo.psps.schema.batches import BatchType

__all__ = ["BatchRow", "BatchState", "BatchStates", "Planned"]

_FILE = "batches.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (db_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
    batch_id INTEGER PRIMARY KEY,
    batch_type TEXT NOT NULL,
    scope TEXT NOT NULL,
    snapshot INTEGER NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL,
    n_rows INTEGER NOT NULL DEFAULT 0,
    n_attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS batch_scope ON batch (batch_type, scope);
"""


class BatchState(enum.Enum):
    """States of a batch, in order."""

    PLANNED = "planned"
    FAILED = "failed"
    MADE = "made"
    LOADED = "loaded"
    MERGED = "merged"


@dataclass(frozen=True)
class Planned:
    """A batch that there should be.

    Parameters
    ----------
    batch_type : BatchType
        Its kind.
    scope : str
        What it is of.
    content : str
        Changes when, and only when, what it would hold may have changed.
    """

    batch_type: BatchType
    scope: str
    content: str


@dataclass(frozen=True)
class BatchRow:
    """What is known of a batch.

    Parameters
    ----------
    batch_id : int
        Its number.
    batch_type : BatchType
        Its kind.
    scope : str
        What it is of.
    snapshot : int
        Snapshot that it is made of.
    state : BatchState
        What has become of it.
    n_rows : int
        Rows of its first table, once it is made.
    n_attempts : int
        How often it was tried to be made.
    error : str
        Why it failed last.
    """

    batch_id: int
    batch_type: BatchType
    scope: str
    snapshot: int
    state: BatchState
    n_rows: int
    n_attempts: int
    error: str


class BatchStates:
    """The states of the batches of a folder; one process writes at a time.

    Parameters
    ----------
    folder : Path
        The folder.
    db_id : str, optional
        Identifier of the database whose batches it is for; None takes whatever it is of.

    Raises
    ------
    StorageError
        If the folder is of another database, or the file cannot be used.
    """

    def __init__(self, folder: Path, db_id: str | None = None) -> None:
        self._path = folder / _FILE
        if db_id is None and not self._path.is_file():
            raise StorageError(
                f"{folder}: holds no batches; name a folder that ipptopsps has filled"
            )
        try:
            self._db = sqlite3.connect(
                self._path, isolation_level=None, timeout=30, check_same_thread=False
            )
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._claim(folder, db_id)
        except sqlite3.Error as err:
            raise StorageError(f"{self._path}: cannot be used ({err})") from err

    @staticmethod
    def are_in(folder: Path) -> bool:
        """Tell whether a folder has states of batches."""
        return (folder / _FILE).is_file()

    def _claim(self, folder: Path, db_id: str | None) -> None:
        found = self._db.execute("SELECT db_id FROM about").fetchone()
        if found is None and db_id is not None:
            self._db.execute("INSERT INTO about VALUES (?)", (db_id,))
        elif found is not None and db_id not in (None, found[0]):
            raise StorageError(
                f"{folder}: holds batches of database {found[0]}, not of {db_id}; name "
                "another folder"
            )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def plan(self, wanted: Sequence[Planned], snapshot: int) -> list[BatchRow]:
        """Give numbers to batches that are not there yet, or whose content has changed.

        Parameters
        ----------
        wanted : sequence of Planned
            The batches that there should be, in the order of their numbers.
        snapshot : int
            Snapshot that they are to be made of.

        Returns
        -------
        list of BatchRow
            What is to be made, in the order of numbers: new ones, and those that were planned
            before or failed.
        """
        with self._transaction():
            for each in wanted:
                content, number, state = self._last(each) or ("", 0, "")
                if state in ("planned", "failed"):
                    self._db.execute(
                        "UPDATE batch SET snapshot = ?, content = ? WHERE batch_id = ?",
                        (snapshot, each.content, number),
                    )
                elif content != each.content:
                    self._db.execute(
                        "INSERT INTO batch (batch_type, scope, snapshot, content, state) "
                        "VALUES (?, ?, ?, ?, 'planned')",
                        (each.batch_type.value, each.scope, snapshot, each.content),
                    )
        kinds = {(each.batch_type, each.scope) for each in wanted}
        return [
            row
            for row in self.rows((BatchState.PLANNED, BatchState.FAILED))
            if (row.batch_type, row.scope) in kinds
        ]

    def _last(self, each: Planned) -> tuple[str, int, str] | None:
        found: tuple[str, int, str] | None = self._db.execute(
            "SELECT content, batch_id, state FROM batch WHERE batch_type = ? AND scope = ? "
            "ORDER BY batch_id DESC LIMIT 1",
            (each.batch_type.value, each.scope),
        ).fetchone()
        return found

    def scopes(self, batch_type: BatchType) -> dict[str, int]:
        """Tell of what there are batches.

        Parameters
        ----------
        batch_type : BatchType
            Which kind.

        Returns
        -------
        dict of str to int
            Rows of the latest batch that was made, by scope.
        """
        found = self._db.execute(
            "SELECT scope, n_rows FROM batch WHERE batch_type = ? AND state NOT IN "
            "('planned', 'failed') ORDER BY batch_id",
            (batch_type.value,),
        )
        return dict(found.fetchall())

    def rows(self, states: Iterable[BatchState] = BatchState) -> list[BatchRow]:
        """List batches.

        Parameters
        ----------
        states : iterable of BatchState, optional
            Those in these states; all if not given.

        Returns
        -------
        list of BatchRow
            In the order of numbers.
        """
        words = [state.value for state in states]
        marks = ", ".join("?" * len(words))
        found = self._db.execute(
            "SELECT batch_id, batch_type, scope, snapshot, state, n_rows, n_attempts, error "
            f"FROM batch WHERE state IN ({marks}) ORDER BY batch_id",
            words,
        )
        return [
            BatchRow(number, BatchType(kind), scope, snapshot, BatchState(state), *rest)
            for number, kind, scope, snapshot, state, *rest in found.fetchall()
        ]

    def made(self, batch_id: int, n_rows: int, digest: str) -> None:
        """Note that a batch is made."""
        self._db.execute(
            "UPDATE batch SET state = 'made', n_rows = ?, digest = ?, error = '', "
            "n_attempts = n_attempts + 1 WHERE batch_id = ?",
            (n_rows, digest, batch_id),
        )

    def failed(self, batch_id: int, error: str) -> None:
        """Note that a batch could not be made, and why."""
        self._db.execute(
            "UPDATE batch SET state = 'failed', error = ?, n_attempts = n_attempts + 1 "
            "WHERE batch_id = ?",
            (error, batch_id),
        )

    def note(self, batch_ids: Iterable[int], state: BatchState) -> None:
        """Note what has become of batches."""
        with self._transaction():
            self._db.executemany(
                "UPDATE batch SET state = ? WHERE batch_id = ?",
                [(state.value, number) for number in batch_ids],
            )

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self._db.close()

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
    """Everything or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
