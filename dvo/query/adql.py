"""ADQL and the SQL around it: text to a tree that holds only what is allowed.

The parser is sqlglot's, with a dialect of our own: ``TOP n``, the geometry of ADQL 2.1
(https://www.ivoa.net/documents/ADQL/), and as functions only those listed here. What is no
single query, or uses anything else, is refused before anything is planned.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.tsql import TSQL
from sqlglot.errors import ParseError, TokenError

from dvo.errors import QueryError

__all__ = ["AGGREGATES", "DISTANCE", "FUNCTIONS", "GEOMETRY", "assert_allowed", "parse_query"]

_MOST_CHARACTERS = 100_000
_MOST_NODES = 20_000
_DEEPEST = 200

AGGREGATES = frozenset(
    [
        "COUNT",
        "SUM",
        "AVG",
        "MIN",
        "MAX",
        "STDDEV",
        "STDDEV_POP",
        "STDDEV_SAMP",
        "VARIANCE",
        "VAR_POP",
        "VAR_SAMP",
        "MEDIAN",
        "QUANTILE_CONT",
        "QUANTILE_DISC",
        "CORR",
        "COVAR_POP",
        "COVAR_SAMP",
        "ANY_VALUE",
        "ARG_MIN",
        "ARG_MAX",
    ]
)
"""Aggregate functions."""

FUNCTIONS = frozenset(
    [
        "ABS",
        "ACOS",
        "ASIN",
        "ATAN",
        "ATAN2",
        "CBRT",
        "CEIL",
        "CEILING",
        "COS",
        "COT",
        "DEGREES",
        "EXP",
        "FLOOR",
        "LN",
        "LOG",
        "LOG10",
        "LOG2",
        "MOD",
        "PI",
        "POWER",
        "POW",
        "RADIANS",
        "ROUND",
        "SIGN",
        "SIN",
        "SQRT",
        "TAN",
        "TRUNCATE",
        "TRUNC",
        "GREATEST",
        "LEAST",
        "COALESCE",
        "NULLIF",
        "IFNULL",
        "LOWER",
        "UPPER",
        "LENGTH",
        "SUBSTRING",
        "TRIM",
        "CONCAT",
        "CAST",
        "ROW_NUMBER",
        "RANK",
        "DENSE_RANK",
        "LAG",
        "LEAD",
        "BIT_COUNT",
        "ISNULL",
        "NVL",
    ]
)
"""Functions of one row, and of windows."""

GEOMETRY = frozenset(
    [
        "POINT",
        "CIRCLE",
        "BOX",
        "POLYGON",
        "CONTAINS",
        "INTERSECTS",
        "DISTANCE",
        "AREA",
        "COORD1",
        "COORD2",
        "COORDSYS",
        "CENTROID",
        "Q3C_RADIAL_QUERY",
        "Q3C_JOIN",
        "Q3C_DIST",
    ]
)
"""Functions of places and regions of sky."""

DISTANCE = "DVO_DISTANCE"
"""Function of the evaluator: great-circle distance of (ra, dec) from (ra, dec) [deg]."""

_KNOWN = AGGREGATES | FUNCTIONS | GEOMETRY

_Parser = TSQL.Parser


class ADQL(TSQL):
    """ADQL 2.1, with LIMIT and what DuckDB has of SQL besides."""

    NULL_ORDERING = "nulls_are_last"
    TYPED_DIVISION = False
    LOG_BASE_FIRST = False

    class Parser(TSQL.Parser):  # type: ignore[misc, valid-type]
        """Functions that are not on the list stay without a meaning, and are refused."""

        FUNCTIONS = {k: v for k, v in _Parser.FUNCTIONS.items() if k in _KNOWN - GEOMETRY}  # noqa: RUF012
        FUNCTION_PARSERS = {  # noqa: RUF012
            k: v for k, v in _Parser.FUNCTION_PARSERS.items() if k in {"CAST", "TRIM", "SUBSTRING"}
        }
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS = {"CASE": _Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012
        LOG_DEFAULTS_TO_LN = True


_CLAUSES = (
    exp.Select, exp.SetOperation, exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group,
    exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct, exp.Subquery,
    exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal,
    exp.Null, exp.Boolean, exp.Tuple, exp.Paren, exp.Window, exp.WindowSpec, exp.Fetch,
    exp.LimitOptions,
)  # fmt: skip
_OPERATORS = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between,
    exp.In, exp.Is, exp.Like, exp.ILike, exp.Escape, exp.Exists, exp.Case, exp.If, exp.Cast,
    exp.DataType, exp.DataTypeParam, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg,
    exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift,
    exp.BitwiseRightShift, exp.DPipe, exp.IntDiv, exp.Filter,
)  # fmt: skip
_ALLOWED = (*_CLAUSES, *_OPERATORS)
_SIDES = frozenset({"PRECEDING", "FOLLOWING", "UNBOUNDED", "CURRENT ROW"})
_WORDS: dict[tuple[type[exp.Expr], str], frozenset[str]] = {
    (exp.Join, "side"): frozenset({"LEFT", "RIGHT", "FULL"}),
    (exp.Join, "kind"): frozenset({"CROSS", "INNER", "OUTER"}),
    (exp.Join, "method"): frozenset({"NATURAL"}),
    (exp.Window, "over"): frozenset({"OVER"}),
    (exp.WindowSpec, "kind"): frozenset({"ROWS", "RANGE"}),
    (exp.WindowSpec, "start"): _SIDES,
    (exp.WindowSpec, "end"): _SIDES,
    (exp.WindowSpec, "start_side"): _SIDES,
    (exp.WindowSpec, "end_side"): _SIDES,
    (exp.Trim, "position"): frozenset({"BOTH", "LEADING", "TRAILING"}),
    (exp.Fetch, "direction"): frozenset({"FIRST", "NEXT"}),
}
_TYPES = frozenset(
    ["BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL", "CHAR",
     "VARCHAR", "TEXT"]
)  # fmt: skip
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def parse_query(text: str) -> exp.Query:
    """Parse a query, and make sure that it is one.

    Parameters
    ----------
    text : str
        One SELECT, or several joined by UNION, INTERSECT or EXCEPT.

    Returns
    -------
    sqlglot.exp.Query
        Its tree. Identifiers are as they were written.

    Raises
    ------
    QueryError
        If the text cannot be read, is more or other than a query, or uses what is not
        allowed; the message shows where.
    """
    if len(text) > _MOST_CHARACTERS:
        raise QueryError(
            f"query: has {len(text)} characters, at most {_MOST_CHARACTERS} are read; "
            "put long lists into a table and join it"
        )
    logger = logging.getLogger("sqlglot")
    was, logger.disabled = logger.disabled, True  # what it warns of is refused below
    try:
        found = ADQL().parse(text)
    except (ParseError, TokenError) as err:
        raise QueryError(_syntax_message(text, err)) from None
    except RecursionError:
        raise QueryError("query: is nested too deeply; simplify it") from None
    finally:
        logger.disabled = was
    statements = [s for s in found if s is not None]
    if len(statements) != 1:
        raise QueryError(f"query: holds {len(statements)} statements; write one SELECT")
    query = statements[0]
    if not isinstance(query, exp.Select | exp.SetOperation):
        word = text.split(None, 1)[0].upper() if text.split() else ""
        raise QueryError(f"query: begins with {word}; only SELECT is possible")
    assert_allowed(query)
    return query


def _syntax_message(text: str, err: ParseError | TokenError) -> str:
    """Say in plain words where the parser gave up."""
    details = err.errors[0] if isinstance(err, ParseError) and err.errors else None
    if not details or not details.get("line"):
        return f"query: cannot be read; is a quote or bracket left open? It is: {_short(text)}"
    line, col = int(details["line"]), int(details["col"])
    lines = text.splitlines() or [""]
    shown = lines[min(line, len(lines)) - 1]
    word = str(details.get("highlight") or "")
    caret = " " * max(0, col - max(1, len(word))) + "^" * max(1, len(word))
    what = f"does not expect {word!r} here" if word else "ends too soon"
    return f"query: line {line}, column {col}: {what}\n  {shown}\n  {caret}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def assert_allowed(query: exp.Query) -> None:
    """Make sure that a tree holds only what a query may hold.

    Parameters
    ----------
    query : sqlglot.exp.Query
        The tree.

    Raises
    ------
    QueryError
        If it holds anything else, or is too long or too deep.
    """
    for n_nodes, (node, depth) in enumerate(_nodes(query)):
        if depth > _DEEPEST or n_nodes > _MOST_NODES:
            raise QueryError("query: is too long or nested too deeply; simplify it")
        if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
            if node.name.upper() not in _KNOWN | {DISTANCE}:
                raise QueryError(_unknown_function(node.name))
        elif not isinstance(node, _ALLOWED) and not _is_known_function(node):
            raise QueryError(f"query: {type(node).key.upper()} is not possible here")
        for name, value in node.args.items():
            _assert_value(node, name, value)
        if isinstance(node, exp.Select) and not node.expressions:
            raise QueryError("query: SELECT what? Name columns, or write *")
        if isinstance(node, exp.Table):
            _assert_plain_table(node)
        if isinstance(node, exp.Select) and (node.args.get("into") or node.args.get("hint")):
            raise QueryError("query: SELECT INTO and hints are not possible")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise QueryError("query: WITH RECURSIVE is not possible")


def _is_known_function(node: exp.Expr) -> bool:
    return isinstance(node, exp.Func) and not _KNOWN.isdisjoint(node.sql_names())


def _assert_value(node: exp.Expr, name: str, value: object) -> None:
    """Make sure that what a node holds is a node, a switch, or a word that belongs there."""
    if isinstance(value, list):
        is_good = all(isinstance(v, exp.Expr) for v in value)
    elif isinstance(value, str):
        is_good = _is_good_text(node, name, value)
    elif isinstance(node, exp.DataType) and name == "this":
        is_good = getattr(value, "value", None) in _TYPES
    else:
        is_good = value is None or isinstance(value, exp.Expr | bool)
    if not is_good:
        raise QueryError(f"query: {type(node).key.upper()} cannot have {name} {value!r}")


def _is_good_text(node: exp.Expr, name: str, value: str) -> bool:
    if name == "this" and isinstance(node, exp.Identifier | exp.Anonymous):
        return value.isprintable()
    if name == "this" and isinstance(node, exp.Literal):
        return bool(node.args.get("is_string")) or _NUMBER.fullmatch(value) is not None
    return value in _WORDS.get((type(node), name), ())


def _assert_plain_table(table: exp.Table) -> None:
    if not isinstance(table.this, exp.Identifier):
        raise QueryError(f"query: {table.this.sql()} is no table")
    extra = [k for k, v in table.args.items() if v and k not in {"this", "alias", "db", "joins"}]
    if extra:
        raise QueryError(f"query: {table.sql()}: only a name and an alias are possible")


def _nodes(query: exp.Expr) -> Iterator[tuple[exp.Expr, int]]:
    """All nodes with their depths; no recursion, so that no tree is too deep to look at."""
    waiting = [(query, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in node.iter_expressions()]


def _unknown_function(name: str) -> str:
    near = difflib.get_close_matches(name.upper(), _KNOWN, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"query: no function {name.upper()}{hint}"
