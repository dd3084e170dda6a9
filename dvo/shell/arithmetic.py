"""Arithmetic on numbers and vectors, through numpy.

A relation gives 1 or 0. ``/`` divides as numbers with a point do, ``%`` leaves a remainder of
the sign of what is divided, and missing values are NaN, which no relation holds for but
``!=``. A text can be compared, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ScriptError
from dvo.shell.expression import (
    Binary,
    Call,
    Choice,
    Element,
    Length,
    Name,
    Node,
    Number,
    Text,
    Unary,
)
from dvo.shell.place import Place, error_at
from dvo.shell.suggestion import did_you_mean

__all__ = ["FUNCTIONS", "Value", "evaluate", "is_true", "text_of_number"]

Array = NDArray[Any]
Value = Array | float | int | str
Lookup = Callable[[str], Value | None]


def _whole(value: Any) -> Any:
    return np.trunc(np.asarray(value, np.float64))


def _lgamma(value: float) -> float:
    try:
        return math.lgamma(value)
    except ValueError:  # at 0 and below, whole numbers
        return math.inf


def _by_element(function: Callable[[float], float]) -> Callable[[Any], Any]:
    made = np.frompyfunc(function, 1, 1)
    return lambda value: np.asarray(made(np.asarray(value, np.float64)), np.float64)


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "int": (1, _whole),
    "floor": (1, np.floor),
    "ceil": (1, np.ceil),
    "round": (1, np.round),
    "rint": (1, np.rint),
    "exp": (1, np.exp),
    "ten": (1, lambda v: np.power(10.0, v)),
    "log": (1, np.log10),
    "ln": (1, np.log),
    "sqrt": (1, np.sqrt),
    "erf": (1, _by_element(math.erf)),
    "lgamma": (1, _by_element(_lgamma)),
    "sinh": (1, np.sinh),
    "cosh": (1, np.cosh),
    "asinh": (1, np.arcsinh),
    "acosh": (1, np.arccosh),
    "sin": (1, np.sin),
    "cos": (1, np.cos),
    "tan": (1, np.tan),
    "asin": (1, np.arcsin),
    "acos": (1, np.arccos),
    "atan": (1, np.arctan),
    "dsin": (1, lambda v: np.sin(np.radians(v))),
    "dcos": (1, lambda v: np.cos(np.radians(v))),
    "dtan": (1, lambda v: np.tan(np.radians(v))),
    "dasin": (1, lambda v: np.degrees(np.arcsin(v))),
    "dacos": (1, lambda v: np.degrees(np.arccos(v))),
    "datan": (1, lambda v: np.degrees(np.arctan(v))),
    "atan2": (2, np.arctan2),
    "datan2": (2, lambda y, x: np.degrees(np.arctan2(y, x))),
    "max": (2, np.maximum),
    "min": (2, np.minimum),
    "isnan": (1, lambda v: np.isnan(np.asarray(v, np.float64))),
    "isinf": (1, lambda v: np.isinf(np.asarray(v, np.float64))),
    "zero": (1, lambda v: np.zeros_like(np.asarray(v, np.float64))),
    "ramp": (1, lambda v: np.arange(np.size(v))),
}
"""Functions: how many values they take, and what they do with them."""

_BITS = {"&": np.bitwise_and, "|": np.bitwise_or}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "%": np.fmod,
    "@": lambda y, x: np.degrees(np.arctan2(y, x)),
    "^": lambda x, n: np.power(np.asarray(x, np.float64), n),
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "<<": np.minimum,
    ">>": np.maximum,
    "&&": lambda a, b: np.logical_and(_truth(a), _truth(b)),
    "||": lambda a, b: np.logical_or(_truth(a), _truth(b)),
}
_OF_TEXTS = ("==", "!=", "<", ">", "<=", ">=")


def evaluate(node: Node, place: Place, lookup: Lookup) -> Value:
    """Work out an expression.

    Parameters
    ----------
    node : Node
        The expression.
    place : Place
        The line that it stands in, for messages.
    lookup : callable
        Gives the vector, number or text that a name stands for; None if there is none.

    Returns
    -------
    ndarray, float, int or str
        A vector if one is in it, else a number or text.

    Raises
    ------
    ScriptError
        If a name is not known, or the values do not fit together.
    """
    with np.errstate(all="ignore"):
        return _plain(_Evaluation(place, lookup).of(node))


class _Evaluation:
    """One expression being worked out."""

    def __init__(self, place: Place, lookup: Lookup) -> None:
        self._place = place
        self._lookup = lookup

    def of(self, node: Node) -> Any:
        match node:
            case Number() | Text():
                return node.value
            case Name():
                return self._named(node, node.name)
            case Unary():
                value = self._number(node.value)
                return (
                    ~_truth(value) if node.sign == "not" else -value if node.sign == "-" else value
                )
            case Binary():
                return self._binary(node)
            case Choice():
                condition = _truth(self._number(node.condition))
                yes, no = self.of(node.yes), self.of(node.no)
                self._assert_alike(node, condition, yes, no)
                return np.where(condition, yes, no)
            case Call():
                return self._call(node)
            case Length():
                return len(self._vector(node, node.name))
            case Element():
                return self._element(node)
        raise AssertionError(node)

    def _named(self, node: Node, name: str) -> Value:
        found = self._lookup(name)
        if found is None:
            raise self._error(node, f"there is no vector or variable {name!r}")
        return found

    def _vector(self, node: Node, name: str) -> Array:
        found = self._lookup(name)
        if not isinstance(found, np.ndarray):
            raise self._error(node, f"there is no vector {name!r}")
        return found

    def _number(self, node: Node) -> Any:
        value = self.of(node)
        if _is_text(value):
            raise self._error(node, "is text, where a number is needed")
        return np.asarray(value, np.int64) if _is_truth(value) else value

    def _binary(self, node: Binary) -> Any:
        left, right = self.of(node.left), self.of(node.right)
        self._assert_alike(node, left, right)
        if _is_text(left) or _is_text(right):
            if not (_is_text(left) and _is_text(right) and node.sign in _OF_TEXTS):
                if node.sign in ("==", "!="):  # of different kinds: not the same
                    return np.asarray(node.sign == "!=")
                raise self._error(node, "text can only be compared with text")
            return _OPERATORS[node.sign](np.asarray(left, str), np.asarray(right, str))
        left, right = (np.asarray(v, np.int64) if _is_truth(v) else v for v in (left, right))
        if node.sign in _BITS:
            return _BITS[node.sign](self._bits(node, left), self._bits(node, right))
        return _OPERATORS[node.sign](left, right)

    def _bits(self, node: Node, value: Any) -> Array:
        given = np.asarray(value)
        if given.dtype.kind in "iu":
            return given.astype(np.int64)
        if not np.all(np.isfinite(given) & (np.abs(given) < 2.0**63)):
            raise self._error(node, "has missing or too large values, which have no bits")
        return given.astype(np.int64)

    def _call(self, node: Call) -> Any:
        known = FUNCTIONS.get(node.name)
        if known is None:
            hint = did_you_mean(node.name, FUNCTIONS)
            raise self._error(node, f"there is no function {node.name!r}{hint}")
        count, function = known
        if len(node.values) != count:
            raise self._error(node, f"takes {count} values, not {len(node.values)}")
        values = [self._number(v) for v in node.values]
        self._assert_alike(node, *values)
        return function(*values)

    def _element(self, node: Element) -> Any:
        vector = self._vector(node, node.name)
        index = self._number(node.index)
        if np.ndim(index) != 0 or not np.isfinite(index):
            raise self._error(node.index, "is no single number")
        if not -len(vector) <= int(index) < len(vector):
            raise self._error(
                node, f"vector {node.name} has {len(vector)} elements, and none of number {index}"
            )
        return vector[int(index)]

    def _assert_alike(self, node: Node, *values: Any) -> None:
        lengths = {len(v) for v in values if isinstance(v, np.ndarray) and v.ndim}
        if len(lengths) > 1:
            counts = " and ".join(str(n) for n in sorted(lengths))
            raise self._error(node, f"vectors of {counts} elements do not go together")

    def _error(self, node: Node, message: str) -> ScriptError:
        return error_at(self._place, message, node.start, node.end)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == np.bool_


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "US")


def _truth(value: Any) -> Any:
    return np.asarray(value).astype(np.bool_)


def is_true(value: Value) -> bool:
    """Tell whether a condition holds: a number that is not 0.

    Parameters
    ----------
    value : ndarray, float, int or str
        What `evaluate` gave.

    Returns
    -------
    bool
        False for a text; of a vector whether it holds for all elements.
    """
    return bool(np.all(np.asarray(value) != 0)) if not _is_text(value) else False


def _plain(value: Any) -> Value:
    """Vectors of whole numbers, numbers with a point, or text; scalars as Python's."""
    array = np.asarray(value)
    if array.dtype == np.bool_:
        array = array.astype(np.int64)
    if array.dtype == np.object_:
        array = array.astype(np.float64)
    if array.ndim:
        return array
    found: Value = array.item()
    return found


def text_of_number(value: Value) -> str:
    """Write a value as it stands in a line: whole numbers without a point.

    Parameters
    ----------
    value : float, int or str
        The value.

    Returns
    -------
    str
        Up to 15 digits, which give nearly all numbers back as they were.
    """
    if isinstance(value, str):
        return value
    number = float(np.asarray(value).item())
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.15g}"
