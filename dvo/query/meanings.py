"""Units, UCDs and meanings of the results of a query, as far as they follow from its columns.

A mean of magnitudes is in magnitudes; a product of two columns is anybody's guess, and nothing
is said of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from dvo.query.functions import DISTANCE
from dvo.query.geometry import as_number, name_of
from dvo.query.sources import Source
from dvo.tables.schema import Column

__all__ = ["meaning_of", "meanings_of_results"]

ColumnFinder = Callable[[exp.Column], Column | None]

_DISTANCE = Column("distance", "f8", "distance on the sky", "deg", "pos.angDistance")
_DISTANCES = (DISTANCE, "DISTANCE", "Q3C_DIST")
_AGGREGATES: dict[type[exp.Expr], tuple[str, str]] = {
    exp.Avg: ("mean", "stat.mean"),
    exp.Min: ("least", "stat.min"),
    exp.Max: ("greatest", "stat.max"),
    exp.Median: ("median", "stat.median"),
    exp.Sum: ("sum", ""),
    exp.Stddev: ("standard deviation", "stat.stdev"),
    exp.StddevSamp: ("standard deviation", "stat.stdev"),
    exp.StddevPop: ("standard deviation", "stat.stdev"),
    exp.Variance: ("variance", "stat.variance"),
    exp.VariancePop: ("variance", "stat.variance"),
    exp.PercentileCont: ("quantile", ""),
    exp.PercentileDisc: ("quantile", ""),
}
_WORD = re.compile(r"[A-Za-z]+")
_PRODUCT = re.compile(r"[A-Za-z]+([/ .][A-Za-z]+)*")
_SQUARES = (exp.Variance, exp.VariancePop)
_ONE_OF = (exp.AnyValue, exp.ArgMin, exp.ArgMax, exp.Lag, exp.Lead)
_ALIKE = (exp.Add, exp.Sub, exp.Greatest, exp.Least, exp.Coalesce)
_KEEPS = (exp.Neg, exp.Abs, exp.Round, exp.Ceil, exp.Floor, exp.Nullif)
_WRAPS = (exp.Alias, exp.Paren, exp.Window, exp.Filter)


def meanings_of_results(
    query: exp.Query, sources: Mapping[str, Source]
) -> tuple[Column | None, ...]:
    """Say what the results of a query are, through all queries inside it.

    Parameters
    ----------
    query : sqlglot.exp.Query
        A query whose names are resolved.
    sources : mapping of str to Source
        The tables there are.

    Returns
    -------
    tuple of Column or None
        For each result a column with its unit, UCD and meaning; None where nothing is known.
    """
    found: dict[int, tuple[Column | None, ...]] = {}
    for scope in traverse_scope(query):
        found[id(scope.expression)] = _of_scope(scope, sources, found)
    return found[id(query)]


def _of_scope(
    scope: Scope,
    sources: Mapping[str, Source],
    found: Mapping[int, tuple[Column | None, ...]],
) -> tuple[Column | None, ...]:
    def column_of(column: exp.Column) -> Column | None:
        inside = scope.sources.get(column.table)
        if isinstance(inside, exp.Table):
            source = sources.get(inside.name.replace("__", "."))
            return None if source is None else source.column(column.name)
        inner = inside.expression if isinstance(inside, Scope) else None
        if not isinstance(inner, exp.Query) or column.name not in inner.named_selects:
            return None
        return found[id(inner)][inner.named_selects.index(column.name)]

    node = scope.expression
    if isinstance(node, exp.SetOperation):
        sides = [found.get(id(side.expression), ()) for side in scope.set_operation_scopes]
        if len(sides) != 2 or len(sides[0]) != len(sides[1]):
            return (None,) * len(node.named_selects)
        return tuple(_same_unit(pair) for pair in zip(*sides, strict=True))
    if not isinstance(node, exp.Select):
        return ()
    return tuple(meaning_of(p, column_of) for p in node.expressions)


def meaning_of(node: exp.Expr, column_of: ColumnFinder) -> Column | None:
    """Say what an expression is.

    Parameters
    ----------
    node : sqlglot.exp.Expr
        The expression.
    column_of : callable
        Finds what a column is; None if nothing is known of it.

    Returns
    -------
    Column or None
        A column itself if it is one; for what is made of columns one with unit, UCD and
        meaning, and the type of the column, which says how many digits mean something. None
        where nothing is known.
    """
    if isinstance(node, exp.Column):
        return column_of(node)
    if isinstance(node, _WRAPS):
        return meaning_of(node.this, column_of)
    if isinstance(node, _ONE_OF):
        return _made_of(meaning_of(node.this, column_of))
    if name_of(node) in _DISTANCES:
        return _DISTANCE
    if isinstance(node, _KEEPS):
        return _unit_only(meaning_of(node.this, column_of))
    if isinstance(node, _ALIKE):
        return _of_alike(node, column_of)
    said = _AGGREGATES.get(type(node))
    if said is None or isinstance(node.this, exp.Distinct):
        return None
    return _aggregate(meaning_of(node.this, column_of), *said, squared=isinstance(node, _SQUARES))


def _aggregate(of: Column | None, word: str, ucd: str, *, squared: bool) -> Column | None:
    if of is None or of.dtype[0] == "S" or of.shape > 1:
        return None
    unit = of.unit
    if squared and unit:
        if _PRODUCT.fullmatch(unit) is None:
            return None
        unit = _WORD.sub(r"\g<0>**2", unit)
    words = ";".join(w for w in (of.ucd, ucd) if w) if of.ucd else ""
    meaning = f"{word} of: {of.meaning}" if of.meaning else ""
    return Column("result", of.dtype, meaning, unit, words)


def _of_alike(node: exp.Expr, column_of: ColumnFinder) -> Column | None:
    """A sum, or one of several values: their unit, if it is the same; numbers have any."""
    values = [value for value in node.iter_expressions() if as_number(value) is None]
    if any(isinstance(v, exp.Null) for v in values):
        values = [v for v in values if not isinstance(v, exp.Null)]
    return _unit_only(_same_unit([meaning_of(value, column_of) for value in values]))


def _same_unit(columns: Sequence[Column | None]) -> Column | None:
    known = [c for c in columns if c is not None]
    if not known or len(known) < len(columns) or len({c.unit for c in known}) > 1:
        return None
    if len({(c.meaning, c.ucd) for c in known}) == 1:
        return _made_of(max(known, key=lambda c: c.dtype == "f8"))
    return _unit_only(max(known, key=lambda c: c.dtype == "f8"))


def _made_of(column: Column | None) -> Column | None:
    """The same column, of which a value need not be one on disk."""
    if column is None or column.shape > 1:
        return None
    return Column(column.name, column.dtype, column.meaning, column.unit, column.ucd)


def _unit_only(column: Column | None) -> Column | None:
    if column is None or not column.unit or column.shape > 1:
        return None
    return Column("result", column.dtype, "", column.unit)
