"""What stands behind ``where`` as SQL, so that the planner sees it.

Missing values are NULL there: no relation holds for them, and ``isnan`` finds them.
"""

from __future__ import annotations

from collections.abc import Callable

from dvo.errors import DvoError, ScriptError
from dvo.shell.arithmetic import FUNCTIONS
from dvo.shell.expression import Binary, Call, Choice, Name, Node, Number, Text, Unary
from dvo.shell.fields import Fields
from dvo.shell.place import Place, error_at
from dvo.shell.suggestion import did_you_mean

__all__ = ["condition_sql"]

_CALLS: dict[str, Callable[..., str]] = {
    "abs": lambda v: f"ABS({v})",
    "int": lambda v: f"TRUNC({v})",
    "floor": lambda v: f"FLOOR({v})",
    "ceil": lambda v: f"CEIL({v})",
    "round": lambda v: f"ROUND({v}, 0)",
    "rint": lambda v: f"ROUND({v}, 0)",
    "exp": lambda v: f"EXP({v})",
    "ten": lambda v: f"POWER(10.0, {v})",
    "log": lambda v: f"LOG10({v})",
    "ln": lambda v: f"LN({v})",
    "sqrt": lambda v: f"SQRT({v})",
    "sin": lambda v: f"SIN({v})",
    "cos": lambda v: f"COS({v})",
    "tan": lambda v: f"TAN({v})",
    "asin": lambda v: f"ASIN({v})",
    "acos": lambda v: f"ACOS({v})",
    "atan": lambda v: f"ATAN({v})",
    "dsin": lambda v: f"SIN(RADIANS({v}))",
    "dcos": lambda v: f"COS(RADIANS({v}))",
    "dtan": lambda v: f"TAN(RADIANS({v}))",
    "dasin": lambda v: f"DEGREES(ASIN({v}))",
    "dacos": lambda v: f"DEGREES(ACOS({v}))",
    "datan": lambda v: f"DEGREES(ATAN({v}))",
    "atan2": lambda y, x: f"ATAN2({y}, {x})",
    "datan2": lambda y, x: f"DEGREES(ATAN2({y}, {x}))",
    "max": lambda a, b: f"GREATEST({a}, {b})",
    "min": lambda a, b: f"LEAST({a}, {b})",
}
_SIGNS = {
    "+": "({0} + {1})", "-": "({0} - {1})", "*": "({0} * {1})", "/": "({0} / {1})",
    "%": "({0} % {1})", "@": "DEGREES(ATAN2({0}, {1}))", "^": "POWER({0}, {1})",
    "&": "({0} & {1})", "|": "({0} | {1})", "<<": "LEAST({0}, {1})", ">>": "GREATEST({0}, {1})",
}  # fmt: skip
_RELATIONS = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "==": "=", "!=": "<>"}
_JUNCTIONS = {"&&": "AND", "||": "OR"}


def condition_sql(node: Node, place: Place, fields: Fields) -> str:
    """Write a condition in SQL.

    Parameters
    ----------
    node : Node
        The condition.
    place : Place
        The line that it stands in, for messages.
    fields : Fields
        The fields; those that are named are noted in it.

    Returns
    -------
    str
        What stands behind WHERE.

    Raises
    ------
    ScriptError
        If it names what is no field, or a function that only vectors have.
    """
    return _Writer(place, fields).truth(node)


class _Writer:
    def __init__(self, place: Place, fields: Fields) -> None:
        self._place = place
        self._fields = fields

    def truth(self, node: Node) -> str:
        """A part that holds or not."""
        match node:
            case Binary(sign="&&" | "||"):
                return f"({self.truth(node.left)} {_JUNCTIONS[node.sign]} {self.truth(node.right)})"
            case Binary() if node.sign in _RELATIONS:
                left, right = self.value(node.left), self.value(node.right)
                return f"({left} {_RELATIONS[node.sign]} {right})"
            case Unary(sign="not"):
                return f"(NOT {self.truth(node.value)})"
            case Call(name="isnan"):
                return f"({self.value(self._one(node))} IS NULL)"
        return f"({self.value(node)} <> 0)"

    def value(self, node: Node) -> str:
        """A part that has a value."""
        match node:
            case Number():
                return repr(node.value)
            case Text():
                return "'" + node.value.replace("'", "''") + "'"
            case Name():
                return self._field(node)
            case Unary(sign="not"):
                return self._as_number(node)
            case Unary():
                return f"({node.sign} {self.value(node.value)})"
            case Binary() if node.sign in _SIGNS:
                return _SIGNS[node.sign].format(self.value(node.left), self.value(node.right))
            case Binary() | Call(name="isnan"):
                return self._as_number(node)
            case Choice():
                return (
                    f"(CASE WHEN {self.truth(node.condition)} THEN {self.value(node.yes)} "
                    f"ELSE {self.value(node.no)} END)"
                )
            case Call():
                return self._call(node)
        raise self._error(
            node, "a vector cannot stand here; put the value of an element into a variable"
        )

    def _as_number(self, node: Node) -> str:
        return f"(CASE WHEN {self.truth(node)} THEN 1 ELSE 0 END)"

    def _field(self, node: Name) -> str:
        try:
            return self._fields.sql(node.name)
        except DvoError as err:
            raise self._error(node, str(err)) from None

    def _one(self, node: Call) -> Node:
        if len(node.values) != 1:
            raise self._error(node, f"takes 1 value, not {len(node.values)}")
        return node.values[0]

    def _call(self, node: Call) -> str:
        made = _CALLS.get(node.name)
        if made is None:
            if node.name in FUNCTIONS:
                raise self._error(
                    node, f"{node.name} is for vectors; extract first, then take a subset"
                )
            hint = did_you_mean(node.name, _CALLS)
            raise self._error(node, f"there is no function {node.name!r}{hint}")
        count = FUNCTIONS[node.name][0]
        if len(node.values) != count:
            raise self._error(node, f"takes {count} values, not {len(node.values)}")
        return made(*(self.value(v) for v in node.values))

    def _error(self, node: Node, message: str) -> ScriptError:
        return error_at(self._place, message, node.start, node.end)
