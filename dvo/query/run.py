"""Answering a query: fragments over groups of regions, then what is left of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from sqlglot import exp

from dvo.partition.engines import Engine
from dvo.partition.operations import Job
from dvo.partition.view import View
from dvo.query.evaluator import evaluator_of_thread
from dvo.query.names import upload_sources
from dvo.query.near_joins import Statement
from dvo.query.operations import SELECT, request_of
from dvo.query.phases import PARTS
from dvo.query.plan import Fragment, Plan, plan_query
from dvo.query.sources import sources_of
from dvo.query.watch import Watch

__all__ = ["Running", "groups_of", "make_plan", "run_plan"]

_GROUP_ROWS = 1_000_000


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
    """List the regions of a fragment, in groups of about a million rows.

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
    rows = np.cumsum(counts.n_measure + counts.n_average)
    before = np.concatenate([[0], rows[:-1]]) if len(rows) else rows
    # Where the next group begins, if one began here: in steps of whole groups, not of regions.
    after = (np.searchsorted(rows, before + _GROUP_ROWS) + 1).tolist()
    regions = counts.regions.tolist()
    groups = []
    start = 0
    while start < len(regions):
        groups.append(regions[start : after[start]])
        start = after[start]
    return groups


@dataclass(frozen=True)
class Running:
    """Where a query runs, and what comes with it.

    Parameters
    ----------
    view : View
        The snapshot.
    engine : Engine
        Makes the first phase of fragments, group after group.
    tables : mapping of str to pyarrow.Table
        Tables that came with the query, by their names in it.
    timeout_s : float or None
        How long each fragment may take [s].
    memory_bytes : int
        What the evaluator may take.
    watch : Watch
        Sees how far it has come, and can stop it.
    """

    view: View
    engine: Engine
    tables: Mapping[str, pa.Table]
    timeout_s: float | None = None
    memory_bytes: int = 2**31
    watch: Watch = field(default_factory=Watch)

    def parts(self, fragment: Fragment) -> Iterator[pa.Table]:
        """Results of the first phase of a fragment, in the order of the groups."""
        groups = groups_of(self.view, fragment, self.tables) or [[]]
        job = Job(SELECT, request_of(fragment), groups, self.tables, self.view.snapshot.id,
                  self.timeout_s, may_end_early=fragment.phases.limit is not None)  # fmt: skip
        self.watch.over(evaluator_of_thread(self.memory_bytes))
        self.watch.expect(len(groups))
        for part in self.engine.run(job):
            self.watch.step(len(part))
            yield part

    def evaluate(self, tree: exp.Query, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Evaluate a query over tables."""
        evaluator = evaluator_of_thread(self.memory_bytes)
        self.watch.over(evaluator)
        sql, paired = Statement.of(tree).over(tables)
        return evaluator.run(sql, paired)


def run_plan(plan: Plan, running: Running) -> Iterator[pa.Table]:
    """Answer a query.

    Parameters
    ----------
    plan : Plan
        The plan.
    running : Running
        Where it runs.

    Yields
    ------
    pyarrow.Table
        Rows of the answer; at least one table, which may have none.
    """
    if plan.rest is None:
        yield from _finished(plan.fragments[0], running)
        return
    tables = {f.name: _whole(f, running) for f in plan.fragments}
    yield running.evaluate(plan.rest, tables).rename_columns(list(plan.results))


def _finished(fragment: Fragment, running: Running) -> Iterator[pa.Table]:
    """Both phases of a fragment."""
    parts = running.parts(fragment)
    if fragment.phases.last is not None:
        whole = pa.concat_tables(list(parts))
        yield _described(running.evaluate(fragment.phases.last, {PARTS: whole}), fragment)
        return
    left = fragment.phases.limit
    for part in parts:
        found = part if left is None else part.slice(0, left)
        yield _described(found, fragment)
        if left is not None:
            left -= len(found)
            if left <= 0:
                return  # leaving the iterator behind cancels the rest


def _whole(fragment: Fragment, running: Running) -> pa.Table:
    return pa.concat_tables(list(_finished(fragment, running)))


def _described(table: pa.Table, fragment: Fragment) -> pa.Table:
    """Give columns their names, and units and meanings where they are columns of tables."""
    fields = []
    for name, like, found in zip(fragment.results, fragment.like, table.schema, strict=True):
        about = (
            {}
            if like is None
            else {"unit": like.unit, "ucd": like.ucd, "description": like.meaning}
        )
        metadata = {k: v for k, v in about.items() if v} or None
        fields.append(pa.field(name, found.type, metadata=metadata))
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))
