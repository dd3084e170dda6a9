"""What the tree of a query may hold: the list of its nodes, and where each may stand.

Trees come from the parser, and in requests from other machines; neither is trusted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from sqlglot import exp

from dvo.errors import QueryError
from dvo.query.functions import DISTANCE, KNOWN
from dvo.query.tokens import pointed_at_node

__all__ = ["assert_allowed"]

_MOST_NODES = 20_000
_DEEPEST = 200
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
_QUANTILES = (exp.PercentileCont, exp.PercentileDisc)
_ALLOWED = (*_CLAUSES, *_OPERATORS, *_QUANTILES)
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
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_PREDICATES = (*_COMPARISONS, exp.Like, exp.ILike, exp.Between, exp.In, exp.Is)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def assert_allowed(query: exp.Query, text: str = "") -> None:
    """Make sure that a tree holds only what a query may hold.

    Parameters
    ----------
    query : sqlglot.exp.Query
        The tree.
    text : str
        The query that it was made of, for messages; empty if there is none.

    Raises
    ------
    QueryError
        If it holds anything else, or is too long or too deep.
    """
    for n_nodes, (node, depth) in enumerate(_nodes(query)):
        if depth > _DEEPEST or n_nodes > _MOST_NODES:
            raise QueryError("query: is too long or nested too deeply; simplify it")
        if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
            if node.name.upper() not in KNOWN | {DISTANCE}:
                raise QueryError(pointed_at_node(text, node, _unknown_function(node.name)))
        elif isinstance(node, exp.Placeholder):
            raise QueryError(
                f"query: ':{node.name}' is not possible here; a magnitude word stands in double "
                'quotes, such as "mag:rel"'
            )
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
        wrong = _misplaced(node)
        if wrong:
            raise QueryError(f"query: {_short(node.sql())}: {wrong}")


def _misplaced(node: exp.Expr) -> str:
    """What is wrong with a node at its place, though each of them is allowed; empty if nothing."""
    parent, given = node.parent, node.args
    match node:
        case exp.Star() if not _is_star(node):
            return "* stands alone after SELECT, or in COUNT(*)"
        case exp.Star() if any(given.values()) and not _is_good_exclude(node):
            return "* takes EXCLUDE (names of columns), after SELECT, and nothing else"
        case exp.Count() if given.get("expressions") or not given.get("this"):
            return "COUNT takes one argument"
        case exp.PercentileCont() | exp.PercentileDisc() if not given.get("expression"):
            return "a quantile takes a column and which it is, from 0 to 1"
        case exp.In() if given.get("field") or not (given.get("expressions") or given.get("query")):
            return "IN takes a list in brackets, or a query"
        case _ if isinstance(node, _PREDICATES) and isinstance(parent, _PREDICATES):
            return "what is compared is a condition; join conditions by AND, or use brackets"
        case exp.Not() if isinstance(parent, _PREDICATES):
            return "what is compared is a condition; use brackets"
        case exp.LimitOptions() if given.get("percent") or given.get("with_ties"):
            return "give a number of rows, without PERCENT or WITH TIES"
        case exp.Distinct() if given.get("on") or not isinstance(parent, exp.Select | exp.AggFunc):
            return "DISTINCT stands after SELECT, or in an aggregate"
        case exp.Limit() | exp.Offset() if not isinstance(parent, exp.Query):
            return "LIMIT and OFFSET belong to queries"
        case exp.Order() if not isinstance(parent, exp.Query | exp.Window):
            return "ORDER BY belongs to queries and windows"
        case exp.Group() if not node.expressions or any(
            v for k, v in given.items() if k != "expressions"
        ):
            return "GROUP BY takes columns and expressions"
        case exp.SetOperation() if any(given.get(k) for k in ("by_name", "side", "kind", "on")):
            return "UNION, INTERSECT and EXCEPT go by the order of columns"
        case exp.Is() if not isinstance(node.expression, exp.Null | exp.Boolean):
            return "IS takes NULL, TRUE or FALSE"
        case exp.Alias() if not isinstance(parent, exp.Select):
            return "only results have names"
        case exp.TableAlias() if node.columns and isinstance(parent, exp.Table):
            return "a table gets a name, its columns keep theirs"
        case exp.Tuple() if not isinstance(parent, (exp.In, exp.Tuple, *_COMPARISONS)):
            return "a list in brackets is no value"
        case _:
            pass
    return ""


def _is_star(node: exp.Expr) -> bool:
    parent = node.parent
    if isinstance(parent, exp.Column):
        parent = parent.parent
    return isinstance(parent, exp.Select | exp.Count)


def _is_good_exclude(star: exp.Star) -> bool:
    """Whether a star only leaves out columns, by their plain names."""
    names = star.args.get("except_") or []
    others = [key for key, value in star.args.items() if value and key != "except_"]
    is_plain = all(isinstance(n, exp.Column) and not n.table for n in names)
    in_count = isinstance(star.find_ancestor(exp.Count, exp.Select), exp.Count)
    return is_plain and not others and not in_count


def _is_known_function(node: exp.Expr) -> bool:
    return isinstance(node, exp.Func) and not KNOWN.isdisjoint(node.sql_names())


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
    if name.upper() == "RAND":
        return "no function RAND: an answer has to be the same each time"
    near = difflib.get_close_matches(name.upper(), KNOWN, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no function {name.upper()}{hint}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
