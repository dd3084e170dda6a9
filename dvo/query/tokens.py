"""The words of a query, one after the other: what the parser would silently put right.

sqlglot reads what nobody can have meant: it passes over commas with nothing behind them, takes
``JOIN b ON`` for a join of everything with everything and ``5ra`` for 5 called "ra". Here such
texts are refused, with the place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile

from sqlglot import exp
from sqlglot.parser import Parser
from sqlglot.tokenizer_core import Token, TokenType

from dvo.errors import QueryError

__all__ = ["assert_complete", "pointed_at", "pointed_at_node"]

_UNFINISHED = frozenset(
    [TokenType.COMMA, TokenType.ON, TokenType.USING, TokenType.ALIAS, TokenType.GROUP_BY,
     TokenType.ORDER_BY, TokenType.PARTITION_BY, TokenType.FROM, TokenType.DISTINCT]
)  # fmt: skip
_ENDS = frozenset(
    [TokenType.COMMA, TokenType.R_PAREN, TokenType.SEMICOLON, TokenType.FROM, TokenType.WHERE,
     TokenType.GROUP_BY, TokenType.HAVING, TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET,
     TokenType.FETCH, TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT, TokenType.ON,
     TokenType.USING, TokenType.JOIN, TokenType.ALIAS]
)  # fmt: skip
_OPENING = frozenset(
    [TokenType.L_PAREN, TokenType.SELECT, TokenType.DISTINCT, TokenType.ALL, TokenType.FROM]
)
_NUMBERED = frozenset([TokenType.TOP, TokenType.LIMIT, TokenType.OFFSET])
_VALUES = frozenset([TokenType.NUMBER, TokenType.STRING])
_NAMES = frozenset([TokenType.VAR, TokenType.IDENTIFIER])
_NAMED = _NAMES | {TokenType.ALIAS} | Parser.TYPE_TOKENS
_ANGLES = frozenset([TokenType.LT, TokenType.GT])  # two of them are one operator
_SORTS = frozenset([TokenType.ASC, TokenType.DESC])
_STRANGE = frozenset(
    [TokenType.L_BRACE, TokenType.R_BRACE, TokenType.L_BRACKET, TokenType.R_BRACKET,
     TokenType.DOLLAR, TokenType.HASH, TokenType.PARAMETER, TokenType.PLACEHOLDER]
)  # fmt: skip
_WITHOUT_ARGUMENTS = frozenset(["PI", "RANK", "DENSE_RANK", "ROW_NUMBER", "OVER", "RAND"])
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def assert_complete(text: str, tokens: Sequence[Token]) -> None:
    """Make sure that nothing is missing between the words of a query.

    Parameters
    ----------
    text : str
        The query.
    tokens : sequence of sqlglot.tokens.Token
        Its words, at least one.

    Raises
    ------
    QueryError
        If something is missing, or a word is none of this language; the message shows where.
    """
    for token in tokens:
        is_name = token.token_type is not TokenType.VAR or _NAME.fullmatch(token.text)
        if token.token_type in _STRANGE or not is_name:
            raise _error(text, token, f"does not expect {token.text!r} here")
    # An end mark, so that the last word, too, has one behind it.
    end = Token(TokenType.SEMICOLON, ";", tokens[-1].line, tokens[-1].col)
    for i, (token, after) in enumerate(pairwise([*tokens, end])):
        kind, other = token.token_type, after.token_type
        before = tokens[i - 1].token_type if i else None
        if kind in _UNFINISHED and other in _ENDS:
            raise _error(text, token, f"nothing comes after {token.text!r}")
        if (other is TokenType.COMMA and kind in _OPENING) or (
            other is TokenType.ALIAS and kind in (*_OPENING, TokenType.COMMA)
        ):
            raise _error(text, after, f"nothing comes before {after.text!r}")
        if (other in _VALUES and kind in _NAMED) or (kind is other and kind in _VALUES):
            raise _error(text, after, f"does not expect {after.text!r} here")
        if kind in _NUMBERED and not (other is TokenType.NUMBER and after.text.isdigit()):
            raise _error(text, after, f"{token.text.upper()} takes a whole number")
        if other in _ENDS and kind is TokenType.STAR and before in (*_NAMES, *_VALUES):
            raise _error(text, token, f"nothing comes after {token.text!r}")
        if before in _NAMES and (kind, other) == (TokenType.L_PAREN, TokenType.SELECT):
            raise _error(text, after, "does not expect 'SELECT' here")
        if other is TokenType.COMMA and before in _NUMBERED:
            raise _error(text, after, f"{tokens[i - 1].text.upper()} takes one number")
        if kind in _ANGLES and kind is other and token.end + 1 < after.start:
            raise _error(text, after, f"does not expect {after.text!r} here")
        if kind in _SORTS and other in _SORTS:
            raise _error(text, after, "either ASC or DESC")
        if kind is TokenType.NUMBER and token.end + 1 == after.start and _is_word(after):
            raise _error(text, after, f"a space is missing before {after.text!r}")
        if (kind, other) == (TokenType.L_PAREN, TokenType.R_PAREN) and (
            i == 0 or tokens[i - 1].text.upper() not in _WITHOUT_ARGUMENTS
        ):
            raise _error(text, after, "nothing is in the brackets")
        if kind is TokenType.USING:
            inside = takewhile(lambda t: t.token_type is not TokenType.R_PAREN, tokens[i:])
            for dot in (t for t in inside if t.token_type is TokenType.DOT):
                raise _error(text, dot, "USING takes names of columns, without those of tables")


def _is_word(token: Token) -> bool:
    return _NAME.match(token.text) is not None and token.token_type is not TokenType.STRING


def _error(text: str, token: Token, what: str) -> QueryError:
    return QueryError(pointed_at(text, token.line, token.col, len(token.text), what))


def pointed_at(text: str, line: int, last: int, n: int, what: str) -> str:
    """Make a message that shows a place in a query.

    Parameters
    ----------
    text : str
        The query.
    line, last : int
        Line, and column of the last character of the place, from 1.
    n : int
        Characters of the place.
    what : str
        What is wrong there.

    Returns
    -------
    str
        Three lines: the message, the line of the query, and marks below it.
    """
    lines = text.splitlines() or [""]
    shown = lines[min(line, len(lines)) - 1]
    caret = " " * max(0, last - max(1, n)) + "^" * max(1, n)
    return f"query: line {line}, column {last}: {what}\n  {shown}\n  {caret}"


def pointed_at_node(text: str, node: exp.Expr, what: str) -> str:
    """Make a message that shows where in a query a name, a number or a function stands.

    Parameters
    ----------
    text : str
        The query; empty if there is none, as of a tree that came from elsewhere.
    node : sqlglot.exp.Expr
        The node; of a column or a table its own name is marked.
    what : str
        What is wrong there.

    Returns
    -------
    str
        The message, with the place if it is known.
    """
    name = node.this if isinstance(node, exp.Column | exp.Table) else node
    place = name.meta if isinstance(name, exp.Expr) else {}
    if not text or "line" not in place:
        return f"query: {what}"
    n = place["end"] - place["start"] + 1
    return pointed_at(text, place["line"], place["col"], n, what)
