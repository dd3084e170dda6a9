"""The Python way in, with SQL: what `dvo.open` opens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dvo.database import Database as PlainDatabase
from dvo.partition.engines import Engine, open_engine
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import DEFAULT_CACHE_BYTES

if TYPE_CHECKING:
    from dvo.query.plan import Plan
    from dvo.query.watch import Watch

__all__ = ["Database", "open_database"]


def open_database(
    catdir: str | os.PathLike[str],
    *,
    snapshot: SnapshotName | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Database:
    """Open a database for reading; needs no write permission.

    Parameters
    ----------
    catdir : path
        The database directory.
    snapshot : int, str or datetime, optional
        Which state (see ``dvo log``): its number, a tag such as ``"dr1"``, or a time (UTC)
        such as ``"2026-01-31T12:00"``; None for the newest.
    cache_bytes : int
        Memory for decoded columns.

    Returns
    -------
    Database
        Best used with ``with``.
    """
    return Database(catdir, snapshot=snapshot, cache_bytes=cache_bytes)


class Database(PlainDatabase):
    """A snapshot of a database, open for reading and for SQL.

    Parameters are those of `dvo.open`.

    Examples
    --------
    >>> with dvo.open("sky") as db:  # doctest: +SKIP
    ...     counts = db.sql("SELECT photcode, COUNT(*) AS n FROM measure GROUP BY photcode")
    """

    _engines: dict[tuple[str, int | None], Engine] | None = None

    def sql(
        self,
        text: str,
        *,
        uploads: Mapping[str, Any] | None = None,
        engine: str = "inline",
        workers: int | None = None,
        timeout_s: float | None = None,
    ) -> pa.Table:
        """Answer a query.

        Parameters
        ----------
        text : str
            SQL or ADQL, one SELECT; see the page on queries.
        uploads : mapping of str to table, optional
            Tables that the query calls ``upload.NAME``: of Arrow, pandas or astropy.
        engine : str
            Where it is worked on: ``inline``, ``processes`` or ``hosts``.
        workers : int, optional
            How much is worked on at a time; None for what suits the engine.
        timeout_s : float, optional
            How long it may take [s].

        Returns
        -------
        pyarrow.Table
            The rows. Columns of tables have units, UCDs and descriptions.

        Raises
        ------
        QueryError
            If it cannot be answered; the message says why.
        """
        return pa.concat_tables(
            list(self.sql_batches(text, uploads=uploads, engine=engine, workers=workers,
                                  timeout_s=timeout_s))
        )  # fmt: skip

    def sql_batches(
        self,
        text: str,
        *,
        uploads: Mapping[str, Any] | None = None,
        engine: str = "inline",
        workers: int | None = None,
        timeout_s: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[pa.Table]:
        """Answer a query piece by piece: what no memory could hold can be gone through.

        Parameters
        ----------
        text : str
            The query.
        uploads : mapping of str to table, optional
            As for `sql`.
        engine : str
            Where it is worked on.
        workers : int, optional
            How much is worked on at a time.
        timeout_s : float, optional
            How long it may take [s].
        watch : Watch, optional
            Sees how far it has come, and can stop it from another thread.

        Yields
        ------
        pyarrow.Table
            Some of the rows.
        """
        from dvo.query.names import upload_tables  # noqa: PLC0415 - a cone needs no parser
        from dvo.query.run import Running, make_plan, run_plan  # noqa: PLC0415
        from dvo.query.watch import Watch  # noqa: PLC0415

        tables = upload_tables(uploads)
        plan = make_plan(self.view, text, tables)
        running = Running(
            self.view, self._engine(engine, workers), tables, timeout_s, watch=watch or Watch()
        )
        yield from run_plan(plan, running)

    def plan(self, text: str, *, uploads: Mapping[str, Any] | None = None) -> Plan:
        """Plan a query without answering it.

        Parameters
        ----------
        text : str
            The query.
        uploads : mapping of str to table, optional
            As for `sql`.

        Returns
        -------
        Plan
            How it would be answered.
        """
        from dvo.query.names import upload_tables  # noqa: PLC0415 - a cone needs no parser
        from dvo.query.run import make_plan  # noqa: PLC0415

        tables = upload_tables(uploads)
        return make_plan(self.view, text, tables)

    def _engine(self, kind: str, workers: int | None) -> Engine:
        """An engine; it stays open for the next query."""
        if self._engines is None:
            self._engines = {}
        found = self._engines.get((kind, workers))
        if found is None:
            found = open_engine(kind, self._store, snapshot=self.view.snapshot.id, workers=workers)
            self._engines[kind, workers] = found
        return found

    def close(self) -> None:
        """Close engines and files; safe to call twice."""
        for engine in (self._engines or {}).values():
            engine.close()
        self._engines = None
        super().close()
