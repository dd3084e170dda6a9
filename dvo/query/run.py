"""Answering a query: fragments over groups of regions, then what is left of it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from sqlglot import exp

from dvo.database.arrow import OutputColumn, field_of
from dvo.errors import HostLostError, JobTimeoutError, QueryError
from dvo.partition.engines import Engine
from dvo.partition.manifest import CatalogCounts
from dvo.partition.operations import Job, Missing
from dvo.partition.view import View
from dvo.query.analysis import Analysis, take_notes
from dvo.query.evaluator import DEFAULT_MEMORY_BYTES, borrowed_evaluator, too_large
from dvo.query.names import upload_sources
from dvo.query.near_joins import Statement
from dvo.query.operations import LEAST_MEMORY_BYTES, SELECT, request_of
from dvo.query.phases import PARTS
from dvo.query.plan import Fragment, Plan, plan_query
from dvo.query.sources import sources_of
from dvo.query.watch import Watch
from dvo.tables.schema import Column

__all__ = ["DIGITS", "MISSING", "Running", "groups_by_rows", "groups_of", "make_plan"]

MISSING = "missing"
"""What the metadata of an answer call the regions that it lacks, in JSON."""

DIGITS = "digits"
"""What the metadata of a column call the digits that mean something, where its type has more."""

_GROUP_ROWS = 4_000_000
"""Most rows of a group of regions that are summed up: each takes the evaluator milliseconds."""

_GROUPS_AT_ONCE = 4
"""Such groups come in multiples of this, of about the same size: so few workers end together."""

_PASSED_ROWS = 40_000
"""The same where rows are handed on as they are: a few groups are in memory at a time."""


def make_plan(view: View, text: str, tables: Mapping[str, pa.Table]) -> Plan:
    """Plan a query on a snapshot.

    Parameters
    ----------
    view : View
        The snapshot.
    text : str
        The query.
    tables : mapping of str to pyarrow.Table
        Tables that come with it, by their names in it.

    Returns
    -------
    Plan
        The plan.
    """
    return plan_query(text, {**sources_of(view.photcodes), **upload_sources(tables)})


def groups_of(
    view: View, fragment: Fragment, tables: Mapping[str, pa.Table] | None = None
) -> list[list[int]]:
    """List the regions of a fragment, in groups of a few million rows at most.

    Parameters
    ----------
    view : View
        The snapshot.
    fragment : Fragment
        The fragment.
    tables : mapping of str to pyarrow.Table, optional
        Tables that came with the query; without them what is near to them is not known.

    Returns
    -------
    list of list of int
        Regions, ascending; the groups do not depend on who works on them. One empty group
        if no table has regions.
    """
    if fragment.is_global:
        return [[]]
    counts = view.counts(fragment.within)
    for near in fragment.near:
        found = near.regions(view, tables or {})
        counts = counts if found is None else counts.of(np.array(found, np.int64))
    return groups_by_rows(counts, _most_rows(fragment, counts))


def groups_by_rows(counts: CatalogCounts, most_rows: int) -> list[list[int]]:
    """Put regions that follow each other into groups.

    Parameters
    ----------
    counts : CatalogCounts
        The regions, and how many objects and measures each has.
    most_rows : int
        Rows after which a group is full.

    Returns
    -------
    list of list of int
        Regions, ascending.
    """
    rows = np.cumsum(counts.n_measure + counts.n_average)
    before = np.concatenate([[0], rows[:-1]]) if len(rows) else rows
    # Where the next group begins, if one began here: in steps of whole groups, not of regions.
    after = (np.searchsorted(rows, before + most_rows) + 1).tolist()
    regions = counts.regions.tolist()
    groups = []
    start = 0
    while start < len(regions):
        groups.append(regions[start : after[start]])
        start = after[start]
    return groups


def _most_rows(fragment: Fragment, counts: CatalogCounts) -> int:
    """Rows of a group: fewer where the rows of groups are handed on as they are."""
    if fragment.phases.last is None:
        return min(_PASSED_ROWS, _GROUP_ROWS)
    n_rows = int(counts.n_measure.sum() + counts.n_average.sum())
    if n_rows <= _GROUP_ROWS:
        return _GROUP_ROWS
    rounds = -(-n_rows // (_GROUPS_AT_ONCE * _GROUP_ROWS))
    return -(-n_rows // (_GROUPS_AT_ONCE * rounds))


@dataclass(eq=False)
class Running:
    """Where a query runs, what comes with it, and what it may take.

    Parameters
    ----------
    view : View
        The snapshot.
    engine : Engine
        Makes the first phase of fragments, group after group.
    tables : mapping of str to pyarrow.Table
        Tables that came with the query, by their names in it.
    timeout_s : float or None
        How long all of it may take [s].
    memory_bytes : int, optional
        What the evaluator may take, and what rows that are brought together may; None for
        what is usual.
    watch : Watch
        Sees how far it has come, and can stop it.
    allow_partial : bool
        Leave out what no partition host can do, and label the answer.
    analysis : Analysis or None
        Where to note what each step takes.
    missing : list of Missing
        What was left out so far.

    Raises
    ------
    QueryError
        If it may take no time, or next to no memory.
    """

    view: View
    engine: Engine
    tables: Mapping[str, pa.Table]
    timeout_s: float | None = None
    memory_bytes: int | None = None
    watch: Watch = field(default_factory=Watch)
    allow_partial: bool = False
    analysis: Analysis | None = None
    missing: list[Missing] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise QueryError(f"query: a time limit of {self.timeout_s} s leaves no time")
        given = self.memory_bytes
        self._most_bytes = DEFAULT_MEMORY_BYTES if given is None else given
        if self._most_bytes < LEAST_MEMORY_BYTES:
            raise QueryError(
                f"query: {self.memory_bytes} bytes of memory are too few; give "
                f"{LEAST_MEMORY_BYTES} or more"
            )
        self._begun = time.monotonic()

    def answer(self, plan: Plan) -> Iterator[pa.Table]:
        """Answer a query.

        Parameters
        ----------
        plan : Plan
            The plan.

        Yields
        ------
        pyarrow.Table
            Rows of the answer; at least one table, which may have none. If regions are
            missing the last one is labelled, see `MISSING`.
        """
        with self.watch.cancellation.after(self._seconds_left(), self._late):
            try:
                yield from _answer(plan, self)
            except JobTimeoutError:
                raise self._late() from None

    def _late(self) -> JobTimeoutError:
        return JobTimeoutError(
            f"query: was not done in {self.timeout_s:g} s; ask for less, or allow more time"
        )

    def parts(self, fragment: Fragment) -> Generator[pa.Table]:
        """Results of the first phase of a fragment, in the order of the groups."""
        groups = groups_of(self.view, fragment, self.tables) or [[]]
        request = request_of(
            fragment, memory_bytes=self._most_bytes, is_noted=self.analysis is not None
        )
        job = Job(
            SELECT, request, groups, self.tables, self.view.snapshot.id, self._seconds_left(),
            may_end_early=fragment.phases.limit is not None, cancellation=self.watch.cancellation,
            allow_partial=self.allow_partial,
        )  # fmt: skip
        self.watch.expect(len(groups))
        try:
            for part in self.engine.run(job):
                self.watch.step(len(part))
                yield part if self.analysis is None else take_notes(part, fragment, self.analysis)
        finally:
            self.missing += job.missing
        if len(job.missing) == len(groups):
            raise HostLostError(f"no part of the answer can be had: {job.missing[0].reason}")

    def evaluate(self, tree: exp.Query, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Evaluate a query over tables."""
        begun = time.perf_counter()
        sql, paired = Statement.of(tree).over(tables)
        with borrowed_evaluator(self._most_bytes) as evaluator:
            found = evaluator.run(sql, paired, self.watch.cancellation)
        if self.analysis is not None:
            self.analysis.merge_s += time.perf_counter() - begun
        return found

    def gather(self, pieces: Iterable[pa.Table]) -> pa.Table:
        """Bring rows together, unless they are too many."""
        found, n_bytes = [], 0
        for piece in pieces:
            found.append(piece)
            n_bytes += piece.nbytes
            if n_bytes > self._most_bytes:
                raise too_large(self._most_bytes)
        # The last is labelled if any is.
        return pa.concat_tables(found).replace_schema_metadata(found[-1].schema.metadata)

    def label(self, table: pa.Table) -> pa.Table:
        """Say in the metadata of a table which regions are missing, if any are."""
        if not self.missing:
            return table
        name_of = self.view.sky.region
        found = [
            {"regions": [name_of(r).name for r in m.regions], "reason": m.reason}
            for m in self.missing
        ]
        about = dict(table.schema.metadata or {})
        about[MISSING.encode()] = json.dumps(found).encode()
        return table.replace_schema_metadata(about)

    def _seconds_left(self) -> float | None:
        if self.timeout_s is None:
            return None
        return max(self.timeout_s - (time.monotonic() - self._begun), 1e-9)


def _answer(plan: Plan, running: Running) -> Iterator[pa.Table]:
    if plan.rest is None:
        last = None
        for last in _finished(plan.fragments[0], running):
            yield last
        if running.missing and last is not None and plan.fragments[0].phases.last is None:
            yield running.label(last.slice(0, 0))
        return
    tables = {f.name: running.gather(_finished(f, running)) for f in plan.fragments}
    found = running.evaluate(plan.rest, tables)
    yield running.label(_described(found, plan.results, plan.like))


def _finished(fragment: Fragment, running: Running) -> Iterator[pa.Table]:
    """Both phases of a fragment."""
    if fragment.phases.last is not None:
        whole = running.gather(running.parts(fragment))
        found = running.evaluate(fragment.phases.last, {PARTS: whole})
        yield running.label(_described(found, fragment.results, fragment.like))
        return
    left = fragment.phases.limit
    with closing(running.parts(fragment)) as parts:  # which gives up the rest
        for part in parts:
            found = part if left is None else part.slice(0, left)
            yield _described(found, fragment.results, fragment.like)
            if left is not None:
                left -= len(found)
                if left <= 0:
                    return


def _described(table: pa.Table, names: Sequence[str], like: Sequence[Column | None]) -> pa.Table:
    """Give columns their names, and units and meanings where they are known."""
    fields = [
        pa.field(name, found.type) if column is None else _field(name, column, found.type)
        for name, column, found in zip(names, like, table.schema, strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _field(name: str, column: Column, kind: pa.DataType) -> pa.Field[Any]:
    found = field_of(OutputColumn(name, column)).with_type(kind)
    if column.dtype != "f4" or not pa.types.is_float64(kind):
        return found
    about: dict[bytes | str, bytes | str] = dict((found.metadata or {}).items())
    about[DIGITS.encode()] = b"6"
    return found.with_metadata(about)
