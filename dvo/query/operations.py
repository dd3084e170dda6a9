"""What a query does in one group of regions: an operation that any engine can run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
from sqlglot import exp

from dvo.errors import QueryError
from dvo.partition.operations import Work, current_work, register
from dvo.partition.view import View
from dvo.query.analysis import Notes, with_notes
from dvo.query.evaluator import borrowed_evaluator, sql_of
from dvo.query.names import UPLOAD
from dvo.query.near_joins import Statement
from dvo.query.plan import Fragment
from dvo.query.row_filter import rows_in_ranges
from dvo.query.scan import Scan, read_scan
from dvo.query.short_keys import ShortKeys
from dvo.query.tree import tree_from_json, tree_to_json
from dvo.tables.fits.meter import METER, Meter

__all__ = ["LEAST_MEMORY_BYTES", "SELECT", "request_of", "select_rows"]

SELECT = "select"
"""Name of the operation."""

LEAST_MEMORY_BYTES = 2**24
"""Memory below which nothing can be evaluated."""


def request_of(fragment: Fragment, *, memory_bytes: int, is_noted: bool = False) -> dict[str, Any]:
    """Write what a fragment asks of a group of regions as JSON.

    Parameters
    ----------
    fragment : Fragment
        The fragment.
    memory_bytes : int
        Memory that a group may take while it is evaluated.
    is_noted : bool
        Whether what it takes is to be noted beside the result.

    Returns
    -------
    dict
        Scans and SELECT are texts, so that who gets them for group after group reads them
        once.
    """
    return {
        "scans": json.dumps([scan.to_json() for scan in fragment.scans]),
        "select": json.dumps(tree_to_json(fragment.phases.first)),
        "memory": memory_bytes,
        "notes": is_noted,
    }


@dataclass(frozen=True)
class _Asked:
    """A request, read: the columns it wants as they are, or a statement."""

    scans: tuple[Scan, ...]
    columns: tuple[tuple[str, str], ...] | None
    statement: Statement
    short_keys: ShortKeys
    short_sql: str


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
    work, asked = current_work(), _read_request(str(request["scans"]), str(request["select"]))
    memory_bytes = _memory(request["memory"], work)
    meter = Meter() if request["notes"] else None
    begun = time.perf_counter()
    token = METER.set(meter)
    try:
        found = {scan.alias: _table(view, scan, regions, tables) for scan in asked.scans}
    finally:
        METER.reset(token)
    scanned = time.perf_counter()
    work.cancellation.check()
    if asked.columns is not None:
        (table,) = found.values()
        result = pa.table(
            [table.column(n) for n, _ in asked.columns], names=[c for _, c in asked.columns]
        )
    else:
        kept = {scan.alias: rows_in_ranges(found[scan.alias], scan.ranges) for scan in asked.scans}
        result = _evaluated(asked, kept, memory_bytes, work)
    if meter is None:
        return result
    notes = Notes(
        1, sum(map(len, found.values())), len(result), meter.n_tiles, meter.n_bytes,
        meter.read_s, max(0.0, meter.fetch_s - meter.read_s),
        max(0.0, scanned - begun - meter.fetch_s), time.perf_counter() - scanned,
    )  # fmt: skip
    return with_notes(result, work.worker, notes)


def _evaluated(
    asked: _Asked, tables: Mapping[str, pa.Table], memory_bytes: int, work: Work
) -> pa.Table:
    shortened = asked.short_keys.over(tables)
    sql, paired = (
        asked.statement.over(tables) if shortened is None else (asked.short_sql, shortened)
    )
    with borrowed_evaluator(memory_bytes) as evaluator:
        result = evaluator.run(sql, paired, work.cancellation)
    return result if shortened is None else asked.short_keys.restored(result, tables)


def _memory(asked: object, work: Work) -> int:
    """Memory that a group may take; who asks may be anybody."""
    if not isinstance(asked, int) or isinstance(asked, bool) or asked < LEAST_MEMORY_BYTES:
        raise QueryError(f"query: {asked!r} is no number of bytes of memory")
    return asked if work.most_bytes is None else min(asked, work.most_bytes)


@lru_cache(maxsize=64)
def _read_request(scans: str, select: str) -> _Asked:
    tree = tree_from_json(json.loads(select))
    found = tuple(Scan.from_json(scan) for scan in json.loads(scans))
    statement = Statement.of(tree)
    short = ShortKeys(None, ()) if statement.joins else ShortKeys.of(tree)
    short_sql = "" if short.tree is None else sql_of(short.tree)
    return _Asked(found, _plain_columns(tree), statement, short, short_sql)


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
    current_work().cancellation.check()
    if scan.table.startswith(f"{UPLOAD}."):
        return tables[scan.table]
    return read_scan(view, scan, regions)


register(SELECT, select_rows)
