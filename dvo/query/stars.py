"""``*`` and ``* EXCLUDE (...)``: which columns they mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from dvo.errors import QueryError, UnknownColumnError
from dvo.query.sources import Source
from dvo.query.tokens import pointed_at_node

__all__ = ["assert_few_stars", "settle_stars", "star_of"]

_MOST_TABLES = 100


def star_of(result: exp.Expr) -> exp.Star | None:
    """Find the star that a result is, as ``*`` or ``a.*``; None if it is none."""
    if isinstance(result, exp.Column):
        return result.this if isinstance(result.this, exp.Star) else None
    return result if isinstance(result, exp.Star) else None


def assert_few_stars(query: exp.Query) -> None:
    """Stars become columns, each of them a node: a short text could grow beyond all measure."""
    n_tables = len(list(query.find_all(exp.Table)))
    if n_tables > _MOST_TABLES:
        raise QueryError(f"query: names {n_tables} tables; at most {_MOST_TABLES} are possible")
    for select in query.find_all(exp.Select):
        stars = [_prefix(p) for p in select.expressions if star_of(p) is not None]
        twice = next((star for star in stars if stars.count(star) > 1), None)
        if twice is not None:
            raise QueryError(f"query: SELECT has {twice}* more than once")


def _prefix(result: exp.Expr) -> str:
    table = result.table.lower() if isinstance(result, exp.Column) else ""
    return f"{table}." if table else ""


def settle_stars(
    query: exp.Query, sources: Mapping[str, Source], words: Iterable[str], text: str
) -> None:
    """Have stars mean the columns that tables have, whatever else the query names of them.

    Parameters
    ----------
    query : sqlglot.exp.Query
        A query whose tables are resolved; its stars are changed.
    sources : mapping of str to Source
        The tables there are.
    words : iterable of str
        Names of columns in the query: those that are made when they are asked for, such as
        ``mjd``, are no part of a star.
    text : str
        The query as it was written, for messages.

    Raises
    ------
    UnknownColumnError
        If a star is to leave out what it has not.
    QueryError
        If nothing is left of one, or it is of a table that is not there.
    """
    named = list(words)
    for scope in traverse_scope(query):
        select = scope.expression
        for result in select.expressions if isinstance(select, exp.Select) else ():
            star = star_of(result)
            if star is None:
                continue
            table = _prefix(result).removesuffix(".")
            if table and table not in {alias.lower() for alias in scope.selected_sources}:
                what = f"no table is called {result.args['table'].name!r} here"
                raise QueryError(pointed_at_node(text, result.args["table"], what))
            _settle(star, table, scope, sources, named, text)


def _settle(
    star: exp.Star,
    table: str,
    scope: Scope,
    sources: Mapping[str, Source],
    words: Iterable[str],
    text: str,
) -> None:
    present: set[str] = set()
    made: set[str] = set()
    for alias, (_, found) in scope.selected_sources.items():
        if table and alias.lower() != table:
            continue
        if isinstance(found, Scope):
            inner = found.expression
            present |= set(inner.named_selects) if isinstance(inner, exp.Query) else set()
            continue
        source = sources.get(found.name.replace("__", "."))
        if source is not None:
            present |= set(source.columns)
            made |= {w for w in words if w not in source.columns and source.find(w)}
    left_out = star.args.get("except_") or []
    if present and "*" not in present:
        for node in left_out:
            if node.name not in present:
                raise _unknown(node, present, text)
        if present <= {node.name for node in left_out}:
            raise QueryError(pointed_at_node(text, left_out[-1], "EXCLUDE leaves no column"))
    hidden = [exp.to_identifier(w, quoted=True) for w in sorted(made - present)]
    star.set("except_", [*left_out, *hidden])


def _unknown(node: exp.Expr, present: set[str], text: str) -> UnknownColumnError:
    near = difflib.get_close_matches(node.name, sorted(present), 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    what = f"* has no column {node.name!r} to leave out{hint}"
    return UnknownColumnError(pointed_at_node(text, node, what))
