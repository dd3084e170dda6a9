"""The Python way in, with SQL: what `dvo.open` opens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pyarrow as pa

from dvo.database import Database as PlainDatabase
from dvo.database.quantities import area_of, number_in, whole_number
from dvo.errors import EngineError, QueryError
from dvo.partition.bounds import Area
from dvo.partition.engines import Engine, open_engine
from dvo.partition.operations import MODULES, Job
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import DEFAULT_CACHE_BYTES

if TYPE_CHECKING:
    from astropy.units import Quantity

    from dvo.database.quantities import SkyArea
    from dvo.query.analysis import Analysis
    from dvo.query.explain import Explanation
    from dvo.query.mapping import RegionFunction
    from dvo.query.plan import Plan
    from dvo.query.run import Running
    from dvo.query.watch import Watch

__all__ = ["Database", "QueryOptions", "open_database"]


_MAP_ROWS = 250_000
_MOST_BYTES = 1 << 60
"""More memory than any machine has; limits beyond it are none."""

_LONGEST_S = 1e9
"""Seconds that no query takes; limits beyond them are none."""

_MAP_MODULE = "dvo.query.mapping"


class QueryOptions(TypedDict, total=False):
    """How a query is answered; `Database.sql` says what each option is."""

    uploads: Mapping[str, Any] | None
    engine: str
    workers: int | None
    timeout_s: float | Quantity | None
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
        self._pid = os.getpid()

    def sql(
        self,
        text: str,
        *,
        uploads: Mapping[str, Any] | None = None,
        engine: str = "inline",
        workers: int | None = None,
        timeout_s: float | Quantity | None = None,
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
            Tables that the query calls ``upload.NAME``: of Arrow, pandas or astropy, or paths
            of files (CSV, FITS, VOTable, Parquet). A column of places (SkyCoord) becomes
            ``ra`` and ``dec``, ICRS [deg].
        engine : {'inline', 'processes', 'hosts', 'parsl'}
            Where it is worked on.
        workers : int, optional
            How much is worked on at a time; None for what suits the engine.
        timeout_s : float or Quantity, optional
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

        _assert_text(text)
        return make_plan(self.view, text, upload_tables(uploads))

    def map(
        self,
        function: RegionFunction,
        area: SkyArea | None = None,
        *,
        table: str = "average",
        columns: Sequence[str] | None = None,
        engine: str = "inline",
        workers: int | None = None,
        timeout_s: float | Quantity | None = None,
    ) -> Iterator[pa.Table]:
        """Call a function with the rows of one region after the other.

        Parameters
        ----------
        function : callable
            Gets the rows of a region as a pyarrow.Table, and gives a table (of pyarrow,
            pandas or astropy), or a mapping of columns or of single values. With engine
            ``processes`` a function of a module that worker processes can import.
        area : Area or tuple, optional
            Only rows there, as for `scan`; None for the whole sky.
        table : {'average', 'object', 'measure', 'secfilt', 'galphot', 'lensing', ...}
            Which table, as in queries.
        columns : sequence of str, optional
            Its columns and magnitude words; None for all columns.
        engine : {'inline', 'processes'}
            In this thread, one region after the other, or in worker processes. Partition hosts
            run nobody's functions.
        workers : int, optional
            How many processes; None for as many as there are processors.
        timeout_s : float, optional
            How long all of it may take in processes [s].

        Returns
        -------
        iterator of pyarrow.Table
            What the function gave for each region that has rows, in the order of the regions.
            In processes all must have the same columns.

        Raises
        ------
        QueryError
            If the table or a column is not known, or other processes cannot import the
            function.

        Examples
        --------
        >>> with dvo.open("sky") as db:  # doctest: +SKIP
        ...     counts = pa.concat_tables(db.map(lambda rows: {"n": len(rows)}))
        """
        from dvo.query.mapping import map_regions, request_of, scan_of  # noqa: PLC0415

        if engine not in ("inline", "processes"):
            raise QueryError(
                f"map: engine {engine!r} runs nobody's functions; use 'inline' or 'processes'"
            )
        workers, limit_s = _workers(workers), _seconds(timeout_s)
        where = area_of(area)
        scan = scan_of(self.view, table, columns, where)
        if engine == "inline":
            return map_regions(function, self.view, self.view.regions(where), scan)
        return self._map_in_processes(request_of(function, scan), where, workers, limit_s)

    def _map_in_processes(
        self, request: dict[str, Any], area: Area | None, workers: int | None,
        timeout_s: float | None,
    ) -> Iterator[pa.Table]:  # fmt: skip
        from dvo.query.mapping import MAP, results_of  # noqa: PLC0415
        from dvo.query.run import groups_by_rows  # noqa: PLC0415
        from dvo.query.watch import Watch  # noqa: PLC0415

        groups = groups_by_rows(self.view.counts([] if area is None else [area]), _MAP_ROWS)
        with self._watched(Watch()) as watch:
            job = Job(MAP, request, groups, timeout_s=timeout_s, cancellation=watch.cancellation)
            for found in self._engine("processes", workers).run(job):
                yield from results_of(found)

    def cancel(self) -> None:
        """End all queries of this database that are under way; any thread may.

        They raise `QueryCancelledError` where they are waited for; nothing else changes.
        """
        for watch in list(self._running):
            watch.cancel()

    def _explained(self, text: str, options: QueryOptions) -> pa.Table | None:
        """The answer to a query that begins with EXPLAIN; None for any other."""
        from dvo.query.explain_word import split_explain  # noqa: PLC0415 - a cone needs no parser

        _assert_text(text)
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

        _assert_text(text)
        kind = options.get("engine", "inline")
        memory_bytes = options.get("memory_bytes")
        if memory_bytes is not None:
            memory_bytes = min(_MOST_BYTES, whole_number(memory_bytes, "memory_bytes", "bytes"))
        if options.get("allow_partial") and kind != "hosts":
            raise QueryError(
                f"allow_partial is about engine 'hosts': {kind!r} has no hosts that may be gone"
            )
        tables = upload_tables(options.get("uploads"))
        plan = make_plan(self.view, text, tables)
        with self._watched(options.get("watch") or Watch()) as watch:
            yield plan, Running(
                self.view, self._engine(kind, _workers(options.get("workers"))), tables,
                _seconds(options.get("timeout_s")), memory_bytes, watch,
                options.get("allow_partial", False), analysis,
            )  # fmt: skip

    @contextmanager
    def _watched(self, watch: Watch) -> Iterator[Watch]:
        """In the block `cancel` ends what the watch goes along with."""
        self._running.add(watch)
        try:
            yield watch
        finally:
            self._running.discard(watch)

    def _engine(self, kind: str, workers: int | None) -> Engine:
        """An engine; it stays open for the next query."""
        if os.getpid() != self._pid:
            # A forked child has none of its parent's threads: it would wait for ever.
            raise EngineError(
                f"{self._store.catdir}: was opened before this process was forked; open it again "
                "in this process"
            )
        if self._engines is None:
            self._engines = {}
        found = self._engines.get((kind, workers))
        if found is None:
            found = open_engine(
                kind, self._store, snapshot=self.view.snapshot.id, workers=workers,
                # Only processes of our own run functions of the user's.
                modules=(*MODULES, _MAP_MODULE) if kind == "processes" else MODULES,
            )  # fmt: skip
            self._engines[kind, workers] = found
        return found

    def close(self) -> None:
        """Close engines and files; safe to call twice."""
        # Workers and sockets are those of who opened them, not of a forked child.
        if os.getpid() == self._pid:
            for engine in (self._engines or {}).values():
                engine.close()
            self._engines = None
        super().close()


def _seconds(timeout: float | Quantity | None) -> float | None:
    limit = None if timeout is None else number_in(timeout, "s", "timeout_s")
    return None if limit is None or limit > _LONGEST_S else limit


def _workers(given: int | None) -> int | None:
    return None if given is None else whole_number(given, "workers", "workers")


def _assert_text(given: object) -> None:
    if not isinstance(given, str):
        raise QueryError(f"the query is a {type(given).__name__}; give a text, such as 'SELECT 1'")
