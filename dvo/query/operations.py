"""What a query does in one group of regions: an operation that any engine can run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
from sqlglot import exp

from dvo.partition.operations import register
from dvo.partition.view import View
from dvo.query.evaluator import evaluator_of_thread
from dvo.query.names import UPLOAD
from dvo.query.near_joins import Statement
from dvo.query.plan import Fragment
from dvo.query.scan import Scan, read_scan
from dvo.query.tree import tree_from_json, tree_to_json

__all__ = ["SELECT", "request_of", "select_rows"]

SELECT = "select"
"""Name of the operation."""


def request_of(fragment: Fragment) -> dict[str, Any]:
    """Write what a fragment asks of a group of regions as JSON.

    Parameters
    ----------
    fragment : Fragment
        The fragment.

    Returns
    -------
    dict
        Two texts, so that who gets them for group after group reads them once.
    """
    return {
        "scans": json.dumps([scan.to_json() for scan in fragment.scans]),
        "select": json.dumps(tree_to_json(fragment.phases.first)),
    }


@dataclass(frozen=True)
class _Work:
    """A request, read: the columns it wants as they are, or a statement."""

    scans: tuple[Scan, ...]
    columns: tuple[tuple[str, str], ...] | None
    statement: Statement


def select_rows(
    view: View, regions: Sequence[int], request: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> pa.Table:
    """Make the first phase of a fragment in a group of regions.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        The regions, ascending.
    request : mapping
        What `request_of` wrote.
    tables : mapping of str to pyarrow.Table
        Tables that came with the query, by their names in it.

    Returns
    -------
    pyarrow.Table
        Its rows, region after region.
    """
    work = _work(str(request["scans"]), str(request["select"]))
    found = {scan.alias: _table(view, scan, regions, tables) for scan in work.scans}
    if work.columns is not None:
        (table,) = found.values()
        return pa.table(
            [table.column(n) for n, _ in work.columns], names=[c for _, c in work.columns]
        )
    sql, paired = work.statement.over(found)
    return evaluator_of_thread().run(sql, paired)


@lru_cache(maxsize=64)
def _work(scans: str, select: str) -> _Work:
    tree = tree_from_json(json.loads(select))
    found = tuple(Scan.from_json(scan) for scan in json.loads(scans))
    return _Work(found, _plain_columns(tree), Statement.of(tree))


def _plain_columns(tree: exp.Query) -> tuple[tuple[str, str], ...] | None:
    """Columns and the names they get, if that is all that a SELECT does."""
    clauses = {k for k, v in tree.args.items() if v} - {"expressions", "from_"}
    pairs = [(p.this, p.alias) for p in tree.expressions if isinstance(p, exp.Alias)]
    if clauses or len(pairs) < len(tree.expressions):
        return None
    if not all(isinstance(value, exp.Column) for value, _ in pairs):
        return None
    return tuple((value.name, name) for value, name in pairs)


def _table(
    view: View, scan: Scan, regions: Sequence[int], tables: Mapping[str, pa.Table]
) -> pa.Table:
    if scan.table.startswith(f"{UPLOAD}."):
        return tables[scan.table]
    return read_scan(view, scan, regions)


register(SELECT, select_rows)
