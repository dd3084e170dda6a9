"""DuckDB as the evaluator of queries on Arrow tables; nothing else here knows of it.

It gets trees that hold only what is allowed, and is itself shut in: no files, no network, no
extensions, no settings, no variables of this program.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa
from sqlglot import exp

from dvo.errors import QueryCancelledError, QueryError
from dvo.query.functions import DISTANCE

__all__ = ["Evaluator", "evaluator_of_thread", "sql_of"]

_SETTINGS: dict[str, str] = {
    "temp_directory": "''",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
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

    def __init__(self, *, memory_bytes: int = 2**31, threads: int = 1) -> None:
        self.memory_bytes = memory_bytes
        self._con = duckdb.connect(":memory:", config={"threads": threads})
        self._mutex = threading.Lock()
        self._con.execute(_HAVERSINE)
        self._con.execute(_DISTANCE)
        for name, value in (_SETTINGS | {"memory_limit": f"'{memory_bytes // 2**20}MiB'"}).items():
            self._con.execute(f"SET {name}={value}")
        for switch in ("python_enable_replacements", "python_enable_replacement_scans"):
            try:
                self._con.execute(f"SET {switch}=false")
            except duckdb.CatalogException:
                continue  # the other is what this version calls it
        self._con.execute("SET lock_configuration=true")

    def run(self, sql: str, tables: Mapping[str, pa.Table | pa.RecordBatchReader]) -> pa.Table:
        """Evaluate a query.

        Parameters
        ----------
        sql : str
            What `sql_of` wrote.
        tables : mapping of str to pyarrow.Table
            The tables that it names.

        Returns
        -------
        pyarrow.Table
            The result; whole numbers that DuckDB widened are int64 again, decimals float64.

        Raises
        ------
        QueryError
            If it cannot be evaluated.
        QueryCancelledError
            If `cancel` came.
        """
        with self._mutex:
            try:
                for name, table in tables.items():
                    self._con.register(name, table)
                return _plain_types(self._con.sql(sql).to_arrow_table())
            except duckdb.InterruptException:
                raise QueryCancelledError("query: cancelled") from None
            except duckdb.OutOfMemoryException:
                raise QueryError(
                    "query: needs more memory than it may take; ask for less (fewer columns, a "
                    "region, LIMIT), or raise the limit"
                ) from None
            except duckdb.Error as err:
                raise QueryError(f"query: {_first_line(err)}") from None
            finally:
                for name in tables:
                    self._con.unregister(name)

    def cancel(self) -> None:
        """Have what is running end with an error; may be called from another thread."""
        self._con.interrupt()

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


_LOCAL = threading.local()


def evaluator_of_thread(memory_bytes: int = 2**31) -> Evaluator:
    """Find the evaluator of this thread; to make one takes longer than most queries.

    Parameters
    ----------
    memory_bytes : int
        Memory that it may take.

    Returns
    -------
    Evaluator
        It stays open; do not close it.
    """
    found: Evaluator | None = getattr(_LOCAL, "evaluator", None)
    if found is None or found.memory_bytes != memory_bytes:
        if found is not None:
            found.close()
        found = _LOCAL.evaluator = Evaluator(memory_bytes=memory_bytes)
    return found


def _first_line(err: Exception) -> str:
    line = str(err).splitlines()[0] if str(err) else type(err).__name__
    return line.split(": ", 1)[-1]


def _plain_types(table: pa.Table) -> pa.Table:
    """Undo what DuckDB makes of sums of whole numbers, and of numbers with a point."""
    for i, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            kind: Any = pa.int64() if field.type.scale == 0 else pa.float64()
            table = table.set_column(i, field.name, table.column(i).cast(kind))
    return table
