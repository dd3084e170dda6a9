"""What the names in a query mean: tables, columns, aliases, stars.

sqlglot's resolver does the work, told of our tables; here its errors become ours, with the
name that was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from dvo.database.given_table import arrow_or_file
from dvo.errors import QueryError, UnknownColumnError
from dvo.query.adql import ADQL
from dvo.query.sources import Source
from dvo.query.stars import assert_few_stars, settle_stars
from dvo.query.tokens import pointed_at_node
from dvo.tables.schema import Column

__all__ = ["UPLOAD", "resolve_names", "upload_sources", "upload_tables"]

UPLOAD = "upload"
"""Schema of tables that come with a query; the name that TAP gives it is known, too."""

_SCHEMAS = {"": "", "dvo": "", UPLOAD: UPLOAD, "tap_upload": UPLOAD}
_TYPES: dict[Callable[[pa.DataType], bool], str] = {
    pa.types.is_boolean: "b1",
    pa.types.is_floating: "f8",
    pa.types.is_integer: "i8",
}


def upload_tables(given: Mapping[Any, Any] | None) -> dict[str, pa.Table]:
    """Take tables that come with a query as it sees them.

    Parameters
    ----------
    given : mapping of str to table, or None
        Tables by name: of Arrow, pandas or astropy, mappings of arrays, or paths of files.

    Returns
    -------
    dict of str to pyarrow.Table
        By the name in queries, such as ``upload.mine``; names of columns are in lower case,
        and NaN is null as it is in our tables.

    Raises
    ------
    QueryError
        If one is no table, has no columns or bytes that are no text, or has no usable name.
    BadCatalogError
        If a file cannot be read.
    """
    found = {}
    if not isinstance(given, Mapping | None):
        raise QueryError(
            f"uploads are a {type(given).__name__}; give a mapping of names to tables, such as "
            "{'mine': table}"
        )
    for name, table in (given or {}).items():
        if not isinstance(name, str) or not name.isidentifier():
            raise QueryError(f"upload {name!r}: use a name of letters, digits and _")
        try:
            arrow = arrow_or_file(table)
        except QueryError as err:
            raise QueryError(f"upload {name!r}: {err}") from None
        if not arrow.column_names:
            raise QueryError(f"upload {name!r}: has no columns")
        try:
            # Arrow's readers trust offsets and text; hosts look at all that comes, too.
            arrow.validate(full=True)
        except pa.ArrowInvalid as err:
            raise QueryError(f"upload {name!r}: is no valid table ({err})") from err
        names = [n.lower() for n in arrow.column_names]
        if len(set(names)) < len(names):
            raise QueryError(f"upload {name!r}: two columns have the same name (case is no matter)")
        columns = [_nan_to_null(column) for column in arrow.columns]
        found[f"{UPLOAD}.{name.lower()}"] = pa.table(columns, names=names)
    return found


def _nan_to_null(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    if not pa.types.is_floating(column.type):
        return column
    found: pa.ChunkedArray[Any] = pc.if_else(
        pc.is_nan(column), pa.scalar(None, column.type), column
    )
    return found


def upload_sources(tables: Mapping[str, pa.Table]) -> dict[str, Source]:
    """Describe tables that come with a query as tables that it can name.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
        What `upload_tables` gave.

    Returns
    -------
    dict of str to Source
        By the same names.
    """
    found = {}
    for key, table in tables.items():
        columns = {}
        for field in table.schema:
            kind = next((c for test, c in _TYPES.items() if test(field.type)), "S32")
            columns[field.name] = Column(field.name, kind, "")
        found[key] = Source(key, columns, None, True, None, lambda _: None, is_upload=True)
    return found


def resolve_names(query: exp.Query, sources: Mapping[str, Source], text: str) -> exp.Query:
    """Give every column its table, every table an alias and every result a name.

    Parameters
    ----------
    query : sqlglot.exp.Query
        A query; it is changed.
    sources : mapping of str to Source
        The tables there are.
    text : str
        The query as it was written, for messages.

    Returns
    -------
    sqlglot.exp.Query
        The query, without stars, USING and unnamed results. Names of tables are those of
        `sources`.

    Raises
    ------
    QueryError
        If a table is not known, or a name is ambiguous; the message shows where.
    UnknownColumnError
        If a column is not known.
    """
    assert_few_stars(query)
    _without_case(query)
    _name_results(query)
    _assert_numbers(query, text)
    used = _resolve_tables(query, sources, text)
    words = _quoted_words(query)
    settle_stars(query, sources, words, text)
    schema: dict[str, object] = {
        name.replace(".", "__"): dict.fromkeys(_column_names(sources[name], words), "double")
        for name in used
    }
    try:
        mapping = MappingSchema(schema, dialect=ADQL, normalize=False)
        found = qualify(query, schema=mapping, dialect=ADQL, quote_identifiers=False)
    except OptimizeError:
        raise _column_error(query, sources, text) from None
    except SqlglotError as err:
        raise QueryError(f"query: cannot be understood: {str(err).splitlines()[0]}") from None
    for inner in found.find_all(exp.CTE, exp.Subquery):
        if inner.alias:
            _assert_different(inner)
    return found


def _without_case(query: exp.Query) -> None:
    """Write plain names of columns in lower case, also those in quotes that name no result."""
    made = {a.alias for a in query.find_all(exp.Alias, exp.TableAlias)}
    made |= {c.name for a in query.find_all(exp.TableAlias) for c in a.columns}
    for column in query.find_all(exp.Column):
        name = column.this
        if not isinstance(name, exp.Identifier) or not name.name.isidentifier():
            continue
        if not (name.quoted and name.name in made):
            name.set("quoted", False)
            name.set("this", name.name.lower())


def _assert_different(inner: exp.Expr) -> None:
    """A table that is a query cannot have two columns of one name."""
    names = [n.lower() for n in getattr(inner.this, "named_selects", [])]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise QueryError(
            f"query: two columns of {inner.alias} are called {twice!r}; give one of them another "
            "name, with AS"
        )


def _column_names(source: Source, words: Iterable[str]) -> list[str]:
    return [*source.columns, *(w for w in words if w not in source.columns and source.find(w))]


def _quoted_words(query: exp.Query) -> list[str]:
    """Names of columns that are not plain: magnitude words, and derived columns."""
    return list(dict.fromkeys(c.name for c in query.find_all(exp.Column) if c.name))


def _name_results(query: exp.Query) -> None:
    """Name results without an alias by what they are: ``count``, ``avg``."""
    for select in query.find_all(exp.Select):
        used = {p.alias_or_name.lower() for p in select.expressions}
        for node in list(select.expressions):
            if isinstance(node, exp.Alias | exp.Column | exp.Star):
                continue
            stem = node.sql_name().lower() if isinstance(node, exp.Func) else "result"
            stem = node.name.lower() if isinstance(node, exp.Anonymous) else stem
            name, k = stem, 1
            while name in used:
                k += 1
                name = f"{stem}_{k}"
            used.add(name)
            node.replace(exp.alias_(node.copy(), name))


def _assert_numbers(query: exp.Query, text: str) -> None:
    """Numbers in GROUP BY and ORDER BY mean results; they have to be there."""
    for select in query.find_all(exp.Select):
        if select.is_star:
            continue  # how many results there are is known later
        for clause in (select.args.get("group"), select.args.get("order")):
            for key in clause.expressions if clause is not None else ():
                value = key.this if isinstance(key, exp.Ordered) else key
                if isinstance(value, exp.Literal) and not value.is_string:
                    k = int(value.name) if value.name.isdigit() else 0
                    if not 1 <= k <= len(select.expressions):
                        what = (
                            f"there is no result {value.name} to group or order by; there are "
                            f"{len(select.expressions)}"
                        )
                        raise QueryError(pointed_at_node(text, value, what))


def _resolve_tables(query: exp.Query, sources: Mapping[str, Source], text: str) -> set[str]:
    used = set()
    for scope in traverse_scope(query):
        for alias, found in list(scope.sources.items()):
            if isinstance(found, exp.Table):
                used.add(_resolve_table(found, alias, sources, text))
        _assert_joins(scope)
    return used


def _resolve_table(table: exp.Table, alias: str, sources: Mapping[str, Source], text: str) -> str:
    schema = _SCHEMAS.get(table.db.lower())
    if schema is None or table.catalog:
        what = f"no schema {table.db!r}; tables have none, or {UPLOAD}"
        raise QueryError(pointed_at_node(text, table.args["db"], what))
    name = f"{schema}.{table.name.lower()}" if schema else table.name.lower()
    if name not in sources:
        near = difflib.get_close_matches(name, sources, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sources)}"
        if schema == UPLOAD and not near:
            hint = f"give one with --upload {table.name}=FILE, in Python uploads={{...}}"
        raise QueryError(pointed_at_node(text, table, f"no table {name!r}; {hint}"))
    table.set("db", None)
    table.set("this", exp.to_identifier(name.replace(".", "__")))
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return name


def _assert_joins(scope: Scope) -> None:
    for join in scope.expression.args.get("joins") or []:
        if join.args.get("method"):
            raise QueryError(
                f"query: {join.args['method']} JOIN: tables share too many columns for it; write "
                "USING (cat_id, obj_id), or ON"
            )


def _column_error(query: exp.Query, sources: Mapping[str, Source], text: str) -> QueryError:
    """Find which column it was, and say what was probably meant."""
    words = _quoted_words(query)
    scopes = traverse_scope(query)
    aliases = {alias for scope in scopes for alias in scope.sources}
    for scope in scopes:
        here = {
            alias: sources[found.name.replace("__", ".")] if isinstance(found, exp.Table) else None
            for alias, found in scope.sources.items()
        }
        known = {a: _column_names(s, words) for a, s in here.items() if s is not None}
        inner = {
            name
            for found in scope.sources.values()
            if isinstance(found, Scope) and isinstance(found.expression, exp.Query)
            for name in found.expression.named_selects
        }
        for column in scope.columns:
            if column.table and column.table not in aliases:
                return _unknown_table(column, aliases, text)
            if column.table and column.table not in here:
                continue  # of a query around this one
            among = [column.table] if column.table else list(known)
            holders = [a for a in among if _same(column.name, known.get(a, ()))]
            if len(holders) > 1:
                choice = " or ".join(f"{a}.{column.name}" for a in holders)
                what = f"column {column.name!r} is ambiguous: write {choice}"
                return QueryError(pointed_at_node(text, column, what))
            if not holders and not _same(column.name, inner):
                names = {n for a in among for n in known.get(a, ())} | inner
                return _unknown(column, names, sources, text)
    return QueryError("query: a column cannot be found; give each the name of its table")


def _same(name: str, names: Iterable[str]) -> bool:
    return name.lower() in {n.lower() for n in names}


def _unknown_table(column: exp.Column, aliases: set[str], text: str) -> QueryError:
    near = difflib.get_close_matches(column.table, sorted(aliases), 1)
    hint = f"; did you mean {near[0]}.{column.name}?" if near else ""
    what = f"no column {column.sql()!r}: no table is called {column.table!r} here{hint}"
    return QueryError(pointed_at_node(text, column.args["table"], what))


def _unknown(
    column: exp.Column, names: set[str], sources: Mapping[str, Source], text: str
) -> UnknownColumnError:
    """Make the error of a column that the tables of a query lack: say where it would be."""
    wanted = column.name.lower()
    holders = [name for name, source in sources.items() if _same(wanted, source.columns)]
    near = difflib.get_close_matches(wanted, sorted(names), 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    if holders:
        hint = f"; it is a column of {', '.join(holders)}"
    elif ":" in wanted:
        hint = (
            "; it is no magnitude word of these tables (photcode, then source, level, class and "
            'option behind colons, such as "g:err" on objects or "mag:rel" on measures)'
        )
    name = f"{column.table}.{column.name}" if column.table else column.name
    return UnknownColumnError(pointed_at_node(text, column, f"no column {name!r}{hint}"))
