"""ADQL and the SQL around it: text to a tree that holds only what is allowed.

The parser is sqlglot's, with a dialect of our own: ``TOP n``, the geometry of ADQL 2.1
(https://www.ivoa.net/documents/ADQL/), and as functions only those listed here. What is no
single query, or uses anything else, is refused before anything is planned.
"""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.parser import Parser as SqlParser
from sqlglot.tokenizer_core import TokenType
from sqlglot.tokens import Tokenizer as SqlTokenizer

from dvo.errors import QueryError
from dvo.query.allowed import assert_allowed
from dvo.query.functions import GEOMETRY, KNOWN
from dvo.query.tokens import assert_complete, pointed_at

__all__ = ["ADQL", "parse_query"]

_LARGEST = 2**63 - 1
_MOST_CHARACTERS = 100_000


class ADQL(Dialect):
    """ADQL 2.1, with LIMIT and what DuckDB has of SQL besides."""

    NULL_ORDERING = "nulls_are_last"
    TYPED_DIVISION = False
    LOG_BASE_FIRST = False

    class Tokenizer(SqlTokenizer):
        """Words of SQL, and TOP."""

        # DEC is no type here: it is half of every place.
        KEYWORDS = {  # noqa: RUF012
            **{word: kind for word, kind in SqlTokenizer.KEYWORDS.items() if word != "DEC"},
            "TOP": TokenType.TOP,
        }
        HEX_STRINGS = [("0x", ""), ("0X", "")]  # noqa: RUF012

    class Parser(SqlParser):
        """Functions that are not on the list stay without a meaning, and are refused."""

        FUNCTIONS = {  # noqa: RUF012
            **{k: v for k, v in SqlParser.FUNCTIONS.items() if k in KNOWN - GEOMETRY},
            # As functions without a meaning they would be no aggregates.
            "QUANTILE_CONT": exp.PercentileCont.from_arg_list,
            "QUANTILE_DISC": exp.PercentileDisc.from_arg_list,
        }
        FUNCTION_PARSERS = {  # noqa: RUF012
            k: v
            for k, v in SqlParser.FUNCTION_PARSERS.items()
            if k in {"CAST", "TRIM", "SUBSTRING"}
        }
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS = {"CASE": SqlParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}  # noqa: RUF012
        LOG_DEFAULTS_TO_LN = True


_RESERVED = frozenset(
    [
        "ALL",
        "AND",
        "AS",
        "ASC",
        "BETWEEN",
        "BY",
        "CASE",
        "CROSS",
        "DESC",
        "DISTINCT",
        "ELSE",
        "END",
        "EXCEPT",
        "EXISTS",
        "FROM",
        "FULL",
        "GROUP",
        "HAVING",
        "IN",
        "INNER",
        "INTERSECT",
        "IS",
        "JOIN",
        "LEFT",
        "LIKE",
        "LIMIT",
        "NATURAL",
        "NOT",
        "NULL",
        "OFFSET",
        "ON",
        "OR",
        "ORDER",
        "OUTER",
        "RIGHT",
        "SELECT",
        "THEN",
        "TOP",
        "UNION",
        "USING",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)
_FIRST = frozenset([TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN])
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
        dialect = ADQL()
        tokens = dialect.tokenize(text)
        found = dialect.parser().parse(tokens, text)
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
    if not isinstance(query, exp.Select | exp.SetOperation) or tokens[0].token_type not in _FIRST:
        raise QueryError(f"query: begins with {tokens[0].text.upper()}; only SELECT is possible")
    assert_complete(text, tokens)
    for name in query.find_all(exp.Identifier):
        is_plain = _NAME.fullmatch(name.name) and name.name.upper() not in _RESERVED
        if not name.quoted and not is_plain:
            raise QueryError(
                f"query: {name.name} is no plain name; put it in double quotes if it is one"
            )
    for node in list(query.find_all(exp.HexString)):
        node.replace(exp.Literal.number(int(node.this, 16)))
    for number in query.find_all(exp.Literal):
        digits = "" if number.is_string else number.name
        if digits.isdigit() and int(digits) > _LARGEST:
            raise QueryError(
                f"query: {digits} does not fit into 64 bits; write it with a point: {digits}."
            )
    assert_allowed(query, text)
    return query


def _syntax_message(text: str, err: ParseError | TokenError) -> str:
    """Say in plain words where the parser gave up."""
    details = err.errors[0] if isinstance(err, ParseError) and err.errors else None
    if not details or not details.get("line"):
        return f"query: cannot be read; is a quote or bracket left open? It is: {_short(text)}"
    word = str(details.get("highlight") or "")
    what = f"does not expect {word!r} here" if word else "ends too soon"
    return pointed_at(text, int(details["line"]), int(details["col"]), len(word), what)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
