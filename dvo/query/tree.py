"""Trees of queries as JSON, so that they can go to other processes and hosts.

Only kinds of nodes that a query may hold are read back: what comes over a wire can name no
other class, and is checked as the text of a query is.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from dvo.errors import QueryError
from dvo.query.allowed import assert_allowed

__all__ = ["tree_from_json", "tree_to_json"]

_DEEPEST = 400


def tree_to_json(node: exp.Expr) -> dict[str, Any]:
    """Write a tree as JSON.

    Parameters
    ----------
    node : sqlglot.exp.Expr
        The tree.

    Returns
    -------
    dict
        Kinds of nodes by ``kind``, what they hold by ``args``.
    """
    return {"kind": type(node).__name__, "args": {k: _to_json(v) for k, v in node.args.items()
                                                  if v is not None and v != []}}  # fmt: skip


def _to_json(value: Any) -> Any:
    if isinstance(value, exp.Expr):
        return tree_to_json(value)
    if isinstance(value, list):
        return [_to_json(v) for v in value]
    if isinstance(value, exp.DataType.Type):
        return {"type": value.value}
    return value


def tree_from_json(given: Any) -> exp.Query:
    """Read a tree from JSON.

    Parameters
    ----------
    given : dict
        What `tree_to_json` made, or somebody says it did.

    Returns
    -------
    sqlglot.exp.Query
        The tree.

    Raises
    ------
    QueryError
        If it is no tree of a query, or has nodes that no query may have.
    """
    try:
        tree = _from_json(given, 0)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise QueryError(f"query: is no tree of a query ({type(err).__name__})") from None
    if not isinstance(tree, exp.Query):
        raise QueryError("query: is no tree of a query")
    assert_allowed(tree)
    return tree


def _from_json(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise QueryError("query: is nested too deeply")
    if isinstance(value, list):
        return [_from_json(v, depth + 1) for v in value]
    if not isinstance(value, dict):
        if value is not None and not isinstance(value, str | int | float | bool):
            raise TypeError
        return value
    if value.keys() == {"type"}:
        return exp.DataType.Type(value["type"])  # where it does not belong it is refused later
    kind = getattr(exp, value["kind"])
    if not (isinstance(kind, type) and issubclass(kind, exp.Expr)):
        raise TypeError
    return kind(**{str(k): _from_json(v, depth + 1) for k, v in value["args"].items()})
