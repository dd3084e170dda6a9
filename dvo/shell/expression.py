"""Expressions of the shell as trees: what is written behind ``set``, ``if`` and ``where``.

The grammar (``expression.lark``) is that of the original: ``^`` binds closest and to the
right, then ``* / % @``, ``+ -``, bits, relations, ``&&``, ``||`` and ``a ? b : c``. ``<<`` and
``>>`` give the lesser and the greater of two values, ``@`` an angle in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from dvo.errors import ScriptError
from dvo.shell.place import Place, error_at

__all__ = [
    "Binary",
    "Call",
    "Choice",
    "Element",
    "Length",
    "Name",
    "Node",
    "Number",
    "Text",
    "Unary",
    "parse_expression",
]

_DEEPEST = 150
_LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Parameters
    ----------
    start, end : int
        Where it stands in the line: its operator, name or number.
    depth : int
        How many levels of parts there are below it.
    """

    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number.

    Parameters
    ----------
    value : float or int
        Its value; whole numbers are int.
    """

    value: float | int


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A text in quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A word: a vector, a variable, or a field."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-``, ``+`` or ``not`` of something."""

    sign: str
    value: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """An operator between two things."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """``a ? b : c``."""

    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of one or more things."""

    name: str
    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Length(Node):
    """``v[]``: how many elements a vector has."""

    name: str


@dataclass(frozen=True, slots=True)
class Element(Node):
    """``v[i]``: an element of a vector, from 0, or from -1 backwards."""

    name: str
    index: Node


class _TooDeepError(Exception):
    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start


def _over(start: int, *parts: Node) -> int:
    depth = 1 + max((p.depth for p in parts), default=0)
    if depth > _DEEPEST:
        raise _TooDeepError(start)
    return depth


class _Builder(Transformer[Token, Node]):
    """Makes our nodes of those of the grammar as the parser comes by them."""

    def number(self, found: list[Token]) -> Node:
        (token,) = found
        is_whole = token.isdigit() or token[:2] in ("0x", "0X")
        value = int(token, 0 if not token.isdigit() else 10) if is_whole else float(token)
        return Number(_start(token), _end(token), 1, value)

    def text(self, found: list[Token]) -> Node:
        (token,) = found
        return Text(_start(token), _end(token), 1, str(token)[1:-1])

    def name(self, found: list[Token]) -> Node:
        (token,) = found
        return Name(_start(token), _end(token), 1, str(token))

    def unary(self, found: list[Any]) -> Node:
        sign, value = found
        return Unary(_start(sign), _end(sign), _over(_start(sign), value), str(sign), value)

    def binary(self, found: list[Any]) -> Node:
        left, sign, right = found
        depth = _over(_start(sign), left, right)
        return Binary(_start(sign), _end(sign), depth, str(sign), left, right)

    def choose(self, found: list[Any]) -> Node:
        condition, yes, no = found
        return Choice(condition.start, condition.end, _over(condition.start, *found),
                      condition, yes, no)  # fmt: skip

    def call(self, found: list[Any]) -> Node:
        name, *values = found
        depth = _over(_start(name), *values)
        return Call(_start(name), _end(name), depth, str(name), tuple(values))

    def length(self, found: list[Token]) -> Node:
        (name,) = found
        return Length(_start(name), _end(name), 1, str(name))

    def element(self, found: list[Any]) -> Node:
        name, index = found
        return Element(_start(name), _end(name), _over(_start(name), index), str(name), index)


def _start(token: Token) -> int:
    return token.start_pos or 0


def _end(token: Token) -> int:
    return token.end_pos or _start(token) + len(token)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = Path(__file__).with_name("expression.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", transformer=_Builder())


def parse_expression(text: str, place: Place, offset: int = 0) -> Node:
    """Parse an expression.

    Parameters
    ----------
    text : str
        The expression.
    place : Place
        The line that it stands in, for messages.
    offset : int
        Where in the line it begins.

    Returns
    -------
    Node
        Its tree; positions are those in the line.

    Raises
    ------
    ScriptError
        If it cannot be read; the message shows where.
    """
    if len(text) > _LONGEST:
        raise ScriptError(f"{place}: an expression has {len(text)} characters, at most {_LONGEST}")
    if not text.strip():
        raise error_at(place, "an expression is missing here", offset)
    padded = " " * offset + text  # positions are those in the line
    try:
        found: Any = _parser().parse(padded)
    except UnexpectedCharacters as err:
        at = _stream_position(err)
        raise error_at(place, f"does not expect {padded[at : at + 1]!r} here", at) from None
    except UnexpectedToken as err:
        raise _unexpected(err.token, place, padded) from None
    except UnexpectedInput as err:
        raise error_at(place, "cannot be read from here on", _stream_position(err)) from None
    except VisitError as err:
        if isinstance(err.orig_exc, _TooDeepError):
            raise error_at(
                place, "is nested too deeply; make it in steps", err.orig_exc.start
            ) from None
        raise
    except _TooDeepError as err:
        raise error_at(place, "is nested too deeply; make it in steps", err.start) from None
    node: Node = found
    return node


def _stream_position(err: UnexpectedInput) -> int:
    found: int | None = getattr(err, "pos_in_stream", None)
    return found or 0


def _unexpected(token: Token, place: Place, padded: str) -> ScriptError:
    if token.type == "$END":
        return error_at(place, "ends too soon", len(padded.rstrip()))
    return error_at(place, f"does not expect {str(token)!r} here", _start(token), _end(token))
