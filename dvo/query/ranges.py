"""What conditions say about the range of a column: enough to leave out tiles, and most rows.

The conditions themselves stay in the query. A range is a little wider than its condition, by
what the evaluator may round the numbers that it compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isinf

from sqlglot import exp

from dvo.mjd import MJD_1970
from dvo.partition.column_range import ColumnRange
from dvo.query.geometry import as_number
from dvo.query.sources import Source
from dvo.tables.schema import Column

__all__ = ["ranges_of"]

_DAY_S = 86_400.0
_THOUSANDTHS_S = 70.0
"""More than the thousandths of a second that stand beside a time can be [s]."""

_SLACKS = {"f4": (1e-6, 1e-30), "f8": (1e-12, 0.0)}
"""By type: share of a number, and least, by which a range is widened; of others see below."""

_SLACK_OF_WHOLE = (1e-12, 1.0)
"""Of whole numbers; the least is for ends that are none, which may be rounded."""


def ranges_of(
    conditions: Iterable[exp.Expr], alias: str, source: Source
) -> tuple[ColumnRange, ...]:
    """Find the ranges that values of a table have to lie in.

    Parameters
    ----------
    conditions : iterable of sqlglot.exp.Expr
        Conditions that all have to hold for a row to count.
    alias : str
        The table.
    source : Source
        What it is.

    Returns
    -------
    tuple of ColumnRange
        Of stored columns of numbers.
    """
    if source.schema is None or source.is_global:
        return ()
    found = []
    for condition in conditions:
        read = _range(condition, alias)
        if read is None:
            continue
        name, low, high = read
        if name == "mjd" and name not in source.schema:
            name = "time"
            low = (low - MJD_1970) * _DAY_S - _THOUSANDTHS_S
            high = (high - MJD_1970) * _DAY_S + _THOUSANDTHS_S
        if name in source.schema.stored_names and _is_number(source.schema[name]):
            slack = _SLACKS.get(source.schema[name].dtype, _SLACK_OF_WHOLE)
            found.append(ColumnRange(name, low - _slack(low, *slack), high + _slack(high, *slack)))
    return tuple(found)


def _is_number(column: Column) -> bool:
    return column.shape == 1 and column.numpy_dtype.kind in "iuf"


def _slack(end: float, share: float, least: float) -> float:
    """By how much an end is moved outwards."""
    if isinf(end):
        return 0.0
    return share * abs(end) + (0.0 if least == 1.0 and end == int(end) else least)


def _range(condition: exp.Expr, alias: str) -> tuple[str, float, float] | None:
    """Column and ends of the range that a condition asks for."""
    if isinstance(condition, exp.Paren):
        return _range(condition.this, alias)
    if isinstance(condition, exp.Between):
        ends = [as_number(condition.args.get(k)) for k in ("low", "high")]
        if condition.args.get("symmetric"):
            return None
        return _of_column(condition.this, ends, alias)
    if isinstance(condition, exp.In):
        return _of_column(condition.this, [as_number(e) for e in condition.expressions], alias)
    if not isinstance(condition, exp.EQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        return None
    one, two = condition.this, condition.expression
    found = _of_column(one, [as_number(two)], alias)
    is_below = isinstance(condition, exp.LT | exp.LTE)
    if found is None:
        found = _of_column(two, [as_number(one)], alias)
        is_below = isinstance(condition, exp.GT | exp.GTE)
    if found is None or isinstance(condition, exp.EQ):
        return found
    return (found[0], -inf, found[2]) if is_below else (found[0], found[1], inf)


def _of_column(
    column: exp.Expr, numbers: list[float | None], alias: str
) -> tuple[str, float, float] | None:
    known = [n for n in numbers if n is not None]
    is_ours = isinstance(column, exp.Column) and column.table == alias
    if not is_ours or not known or len(known) < len(numbers):
        return None
    return column.name.lower(), min(known), max(known)
