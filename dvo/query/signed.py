"""Differences of whole numbers may be below zero, though columns without a sign never are.

The evaluator computes in the type of the columns, and refuses what does not fit into it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from dvo.query.sources import Source

__all__ = ["give_signs"]

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Neg)
_UNSIGNED = ("u1", "u2", "u4")  # a column of 64 bits does not fit into one with a sign


def give_signs(query: exp.Query, sources: Mapping[str, Source]) -> None:
    """Have columns without a sign computed with as whole numbers of 64 bits with one.

    Parameters
    ----------
    query : sqlglot.exp.Query
        A query whose names are resolved; it is changed.
    sources : mapping of str to Source
        The tables there are.
    """
    for scope in traverse_scope(query):
        tables = {a: t for a, t in scope.sources.items() if isinstance(t, exp.Table)}
        for column in scope.columns:
            table = tables.get(column.table)
            source = None if table is None else sources.get(table.name.replace("__", "."))
            like = None if source is None else source.column(column.name)
            if like is not None and like.dtype in _UNSIGNED and _is_computed_with(column):
                column.replace(exp.cast(column.copy(), "bigint"))


def _is_computed_with(column: exp.Column) -> bool:
    found = column.find_ancestor(*_ARITHMETIC, exp.Query, exp.Cast)
    return isinstance(found, _ARITHMETIC)
