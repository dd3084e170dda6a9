"""DuckDB as the evaluator of queries on Arrow tables; nothing else here knows of it.

It gets trees that hold only what is allowed, and is itself shut in: no files, no network, no
extensions, no settings, no variables of this program.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
from sqlglot import exp

from dvo.errors import DvoError, QueryCancelledError, QueryError
from dvo.partition.cancellation import Cancellation
from dvo.query.functions import DISTANCE

__all__ = ["DEFAULT_MEMORY_BYTES", "Evaluator", "borrowed_evaluator", "sql_of", "too_large"]

DEFAULT_MEMORY_BYTES = 2**31
"""Memory that a query may take if nobody says."""

_INSIST_S = 0.02
_BATCH_ROWS = 122_880

_SETTINGS: dict[str, str] = {
    "temp_directory": "''",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_OF_SOME_VERSIONS = (
    "python_enable_replacements=false",
    "python_enable_replacement_scans=false",  # another name of it
    # Threads that wait for files, of which it reads none: their arenas of malloc hold 25 MB.
    "async_threads=0",
    # DuckDB 2.0 makes `LEFT JOIN b ... WHERE b.x IS NULL` an anti-join, and then forgets
    # conditions on NULL that its scan of Arrow was to apply: rows are missing.
    "disabled_optimizers='outer_join_simplification'",
)
# The haversine formula: exact for small distances, where the cosine rule is not. Null where a
# coordinate is.
_HAVERSINE = """CREATE MACRO DVO_HAVERSINE(ra1, dec1, ra2, dec2) AS
    pow(sin(radians(dec2 - dec1) / 2), 2)
    + cos(radians(dec1)) * cos(radians(dec2)) * pow(sin(radians(ra2 - ra1) / 2), 2)"""
_DISTANCE = f"""CREATE MACRO {DISTANCE}(ra1, dec1, ra2, dec2) AS
    2 * degrees(atan2(sqrt(DVO_HAVERSINE(ra1, dec1, ra2, dec2)),
                      sqrt(abs(1 - DVO_HAVERSINE(ra1, dec1, ra2, dec2)))))"""


def sql_of(tree: exp.Query) -> str:
    """Write a tree as the evaluator reads it, every name in quotes."""
    return tree.sql(dialect="duckdb", identify=True)


class Evaluator:
    """A place where queries are evaluated, one at a time.

    Parameters
    ----------
    memory_bytes : int
        Memory that it may take; what needs more fails.
    threads : int
        Threads. With one, sums are the same to the last bit every time.
    """

    def __init__(self, *, memory_bytes: int = DEFAULT_MEMORY_BYTES, threads: int = 1) -> None:
        self.memory_bytes = memory_bytes
        self._con = duckdb.connect(":memory:", config={"threads": threads})
        self._mutex = threading.Lock()
        self._con.execute(_HAVERSINE)
        self._con.execute(_DISTANCE)
        for name, value in (_SETTINGS | {"memory_limit": f"'{memory_bytes // 2**20}MiB'"}).items():
            self._con.execute(f"SET {name}={value}")
        for setting in _OF_SOME_VERSIONS:
            with contextlib.suppress(duckdb.CatalogException, duckdb.ParserException):
                self._con.execute(f"SET {setting}")
        self._con.execute("SET lock_configuration=true")

    def run(
        self,
        sql: str,
        tables: Mapping[str, pa.Table | pa.RecordBatchReader],
        cancellation: Cancellation | None = None,
    ) -> pa.Table:
        """Evaluate a query.

        Parameters
        ----------
        sql : str
            What `sql_of` wrote.
        tables : mapping of str to pyarrow.Table
            The tables that it names.
        cancellation : Cancellation, optional
            What stops it.

        Returns
        -------
        pyarrow.Table
            The result; whole numbers that DuckDB widened are int64 again, decimals float64.

        Raises
        ------
        QueryError
            If it cannot be evaluated.
        DvoError
            The reason of the cancellation.
        """
        wanted = cancellation or Cancellation()
        with self._mutex:
            try:
                for name, table in tables.items():
                    self._con.register(name, table)
                with self._stopped_by(wanted):
                    found = self._rows(sql)
                return _plain_types(found)
            except DvoError:  # one of a time limit is an OSError, too
                raise
            except (duckdb.Error, pa.ArrowException, OSError) as err:
                raise self._meaning(err, wanted) from None
            finally:
                for name in tables:
                    self._con.unregister(name)

    def _rows(self, sql: str) -> pa.Table:
        """Evaluate, and take the rows as they come: DuckDB's limit is not about its results."""
        if threading.current_thread() is not threading.main_thread():
            return self._taken(sql)
        is_over = threading.Event()
        with ThreadPoolExecutor(1) as aside:  # the main thread would see Ctrl-C afterwards only
            found = aside.submit(self._taken, sql)
            try:
                return found.result()
            except BaseException:
                found.add_done_callback(lambda _: is_over.set())
                while not is_over.is_set():
                    self._con.interrupt()
                    is_over.wait(_INSIST_S)
                raise

    def _taken(self, sql: str) -> pa.Table:
        found, n_bytes = [], 0
        with self._con.sql(sql).to_arrow_reader(_BATCH_ROWS) as reader:
            for batch in reader:
                found.append(batch)
                n_bytes += batch.nbytes
                if n_bytes > self.memory_bytes:
                    raise too_large(self.memory_bytes)
            return pa.Table.from_batches(found, reader.schema)

    def _meaning(self, err: Exception, cancellation: Cancellation) -> DvoError:
        """What an error of DuckDB is for the user, whichever way it came."""
        text = str(err)
        if isinstance(err, duckdb.InterruptException) or text.startswith("INTERRUPT"):
            cancellation.check()
            return QueryCancelledError("query: cancelled")
        if isinstance(err, duckdb.OutOfMemoryException) or text.startswith("Out of Memory"):
            return too_large(self.memory_bytes)
        return QueryError(f"query: {_first_line(err)}")

    @contextmanager
    def _stopped_by(self, cancellation: Cancellation) -> Iterator[None]:
        """Have a cancel interrupt what is running."""
        is_over = threading.Event()
        insisting: list[threading.Thread] = []

        def insist() -> None:
            # An interrupt that comes before DuckDB has begun is of no effect.
            while not is_over.is_set():
                self._con.interrupt()
                is_over.wait(_INSIST_S)

        def stop() -> None:
            insisting.append(threading.Thread(target=insist, daemon=True))
            insisting[-1].start()

        try:
            with cancellation.calling(stop):
                yield
        finally:
            is_over.set()
            for thread in insisting:
                thread.join()  # or it would interrupt the next query

    def close(self) -> None:
        """Let go of everything; safe to call twice."""
        self._con.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_IDLE: list[Evaluator] = []
"""Evaluators that nobody uses, the last used last."""

_IDLE_MUTEX = threading.Lock()
_MAX_IDLE = 8


@contextmanager
def borrowed_evaluator(memory_bytes: int = DEFAULT_MEMORY_BYTES) -> Iterator[Evaluator]:
    """Have an evaluator for oneself; to make one takes longer than most queries.

    Parameters
    ----------
    memory_bytes : int
        Memory that it may take.

    Yields
    ------
    Evaluator
        For the block; do not close it.
    """
    with _IDLE_MUTEX:
        good = [k for k, idle in enumerate(_IDLE) if idle.memory_bytes == memory_bytes]
        found = _IDLE.pop(good[-1]) if good else None
    evaluator = found or Evaluator(memory_bytes=memory_bytes)
    try:
        yield evaluator
    except BaseException as err:
        if not isinstance(err, DvoError):
            evaluator.close()  # who knows what it is in the middle of
            raise
        _give_back(evaluator)
        raise
    _give_back(evaluator)


def _give_back(evaluator: Evaluator) -> None:
    with _IDLE_MUTEX:
        _IDLE.append(evaluator)
        oldest = _IDLE.pop(0) if len(_IDLE) > _MAX_IDLE else None
    if oldest is not None:
        oldest.close()


def too_large(memory_bytes: int) -> QueryError:
    """Make the error of a query that needs more memory than it may take."""
    return QueryError(
        f"query: needs more than the {memory_bytes / 1e9:.3g} GB of memory that it may take; ask "
        "for less (fewer columns, a region, LIMIT), or raise the limit (--memory, memory_bytes)"
    )


def _first_line(err: Exception) -> str:
    line = str(err).splitlines()[0] if str(err) else type(err).__name__
    return line.split(": ", 1)[-1]


def _plain_types(table: pa.Table) -> pa.Table:
    """Undo what DuckDB makes of sums of whole numbers, and of numbers with a point."""
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            kind: Any = pa.int64() if field.type.scale == 0 else pa.float64()
            try:
                values = table.column(i).cast(kind)
            except pa.ArrowInvalid:
                raise QueryError(
                    f"query: column {i + 1} of the result does not fit into 64 bits; add up "
                    "numbers with a point, as SUM(CAST(x AS DOUBLE))"
                ) from None
            table = table.set_column(i, field.name, values)
    return table
