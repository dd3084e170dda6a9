"""The Python way in, with SQL: what `dvo.open` opens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pyarrow as pa

from dvo.database import Database as PlainDatabase
from dvo.errors import QueryError
from dvo.partition.engines import Engine, open_engine
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import DEFAULT_CACHE_BYTES

if TYPE_CHECKING:
    from dvo.query.analysis import Analysis
    from dvo.query.explain import Explanation
    from dvo.query.plan import Plan
    from dvo.query.run import Running
    from dvo.query.watch import Watch

__all__ = ["Database", "QueryOptions", "open_database"]


class QueryOptions(TypedDict, total=False):
    """How a query is answered; `Database.sql` says what each option is."""

    uploads: Mapping[str, Any] | None
    engine: str
    workers: int | None
    timeout_s: float | None
    memory_bytes: int | None
    allow_partial: bool
    watch: Watch | None


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

    Parameters
    ----------
    catdir : path
        The database directory.
    snapshot : int, str or datetime, optional
        Which state, as for `dvo.open`.
    cache_bytes : int
        Memory for decoded columns.

    Examples
    --------
    >>> with dvo.open("sky") as db:  # doctest: +SKIP
    ...     counts = db.sql("SELECT photcode, COUNT(*) AS n FROM measure GROUP BY photcode")
    """

    _engines: dict[tuple[str, int | None], Engine] | None = None

    def __init__(
        self,
        catdir: str | os.PathLike[str],
        *,
        snapshot: SnapshotName | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        super().__init__(catdir, snapshot=snapshot, cache_bytes=cache_bytes)
        self._running: set[Watch] = set()

    def sql(
        self,
        text: str,
        *,
        uploads: Mapping[str, Any] | None = None,
        engine: str = "inline",
        workers: int | None = None,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        allow_partial: bool = False,
        watch: Watch | None = None,
    ) -> pa.Table:
        """Answer a query.

        Parameters
        ----------
        text : str
            SQL or ADQL, one SELECT; see the page on queries. Behind ``EXPLAIN`` or ``EXPLAIN
            ANALYZE`` the answer is how it is done, in lines; see `explain`.
        uploads : mapping of str to table, optional
            Tables that the query calls ``upload.NAME``: of Arrow, pandas or astropy.
        engine : {'inline', 'processes', 'hosts', 'parsl'}
            Where it is worked on.
        workers : int, optional
            How much is worked on at a time; None for what suits the engine.
        timeout_s : float, optional
            How long all of it may take [s].
        memory_bytes : int, optional
            Memory that evaluating may take in each process, and rows that are brought
            together, among them those of the answer; None for 2 GiB. The cache of `dvo.open`
            and the groups that are read count for themselves.
        allow_partial : bool
            With engine ``hosts``: leave out regions that no host can do. The answer then
            says in the metadata of its schema, as ``missing`` in JSON, which these are and
            why.
        watch : Watch, optional
            Sees how far it has come, and can stop it from another thread.

        Returns
        -------
        pyarrow.Table
            The rows. Columns of tables have units, UCDs and descriptions.

        Raises
        ------
        QueryError
            If it cannot be answered, or not with that much memory; the message says why.
        JobTimeoutError
            If it takes too long.
        QueryCancelledError
            If `cancel` came. Ctrl-C ends a query as it ends any Python code; in both cases the
            database can be asked again at once.
        """
        options = QueryOptions(
            uploads=uploads, engine=engine, workers=workers, timeout_s=timeout_s,
            memory_bytes=memory_bytes, allow_partial=allow_partial, watch=watch,
        )  # fmt: skip
        explained = self._explained(text, options)
        if explained is not None:
            return explained
        with self._begun(text, options) as (plan, running):
            return running.gather(running.answer(plan))

    def sql_batches(self, text: str, **options: Unpack[QueryOptions]) -> Iterator[pa.Table]:
        """Answer a query piece by piece: what no memory could hold can be gone through.

        Parameters
        ----------
        text : str
            The query.
        **options
            As for `sql`.

        Yields
        ------
        pyarrow.Table
            Some of the rows. If regions are missing from a partial answer the last one, which
            may be empty, says so.
        """
        explained = self._explained(text, options)
        if explained is not None:
            yield explained
            return
        with self._begun(text, options) as (plan, running):
            yield from running.answer(plan)

    def explain(
        self, text: str, *, analyze: bool = False, **options: Unpack[QueryOptions]
    ) -> Explanation:
        """Describe how a query is answered, and what that takes.

        Parameters
        ----------
        text : str
            The query, without ``EXPLAIN``.
        analyze : bool
            Whether to answer it, throw the rows away, and say what each step took.
        **options
            As for `sql`.

        Returns
        -------
        Explanation
            `print` shows it as a tree; its `tree` holds the same in JSON types.

        Examples
        --------
        >>> with dvo.open("sky") as db:  # doctest: +SKIP
        ...     print(db.explain("SELECT COUNT(*) AS n FROM measure", analyze=True))
        """
        from dvo.query.analysis import Analysis  # noqa: PLC0415 - a cone needs no parser
        from dvo.query.explain import explain_plan  # noqa: PLC0415

        analysis, begun = Analysis() if analyze else None, time.perf_counter()
        with self._begun(text, options, analysis) as (plan, running):
            if analysis is not None:
                analysis.plan_s = time.perf_counter() - begun
                analysis.n_rows = sum(map(len, running.answer(plan)))
                analysis.total_s = time.perf_counter() - begun
            return explain_plan(self.view, plan, running.engine, running.tables, analysis)

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

        return make_plan(self.view, text, upload_tables(uploads))

    def cancel(self) -> None:
        """End all queries of this database that are under way; any thread may.

        They raise `QueryCancelledError` where they are waited for; nothing else changes.
        """
        for watch in list(self._running):
            watch.cancel()

    def _explained(self, text: str, options: QueryOptions) -> pa.Table | None:
        """The answer to a query that begins with EXPLAIN; None for any other."""
        from dvo.query.explain_word import split_explain  # noqa: PLC0415 - a cone needs no parser

        rest, asked = split_explain(text)
        if asked is None:
            return None
        explanation = self.explain(rest, analyze=asked == "analyze", **options)
        return pa.table({"plan": str(explanation).splitlines()})

    @contextmanager
    def _begun(
        self, text: str, options: QueryOptions, analysis: Analysis | None = None
    ) -> Iterator[tuple[Plan, Running]]:
        """A query ready to be answered; in the block `cancel` ends it."""
        from dvo.query.names import upload_tables  # noqa: PLC0415 - a cone needs no parser
        from dvo.query.run import Running, make_plan  # noqa: PLC0415
        from dvo.query.watch import Watch  # noqa: PLC0415

        kind = options.get("engine", "inline")
        if options.get("allow_partial") and kind != "hosts":
            raise QueryError(
                f"allow_partial is about engine 'hosts': {kind!r} has no hosts that may be gone"
            )
        tables = upload_tables(options.get("uploads"))
        plan = make_plan(self.view, text, tables)
        watch = options.get("watch") or Watch()
        self._running.add(watch)
        try:
            yield plan, Running(
                self.view, self._engine(kind, options.get("workers")), tables,
                options.get("timeout_s"), options.get("memory_bytes"), watch,
                options.get("allow_partial", False), analysis,
            )  # fmt: skip
        finally:
            self._running.discard(watch)

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
