"""What could come next where the cursor is: a pure function of the text and of what there is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dvo.shell.script import statement_kind

__all__ = ["Candidate", "Known", "candidates"]

_SQL_WORDS = (
    "SELECT", "TOP", "DISTINCT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT",
    "OFFSET", "JOIN", "LEFT JOIN", "ON", "USING", "AS", "AND", "OR", "NOT", "IN", "BETWEEN",
    "LIKE", "IS NULL", "IS NOT NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "UNION", "WITH",
    "ASC", "DESC", "EXPLAIN",
)  # fmt: skip
_NAME = re.compile(r"[\w$.:?]*$")
_TABLE = re.compile(r"\b(?:from|join)\s+(?:\w+\.)?(\w+)(?:\s+as)?(?:\s+(\w+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that could come next.

    Parameters
    ----------
    text : str
        What to put in.
    start : int
        Where it begins, counted back from the cursor: -3 replaces three characters.
    about : str
        What it is, in a few words.
    """

    text: str
    start: int
    about: str = ""


@dataclass(frozen=True)
class Known:
    """What names there are.

    Parameters
    ----------
    words : mapping of str to str
        Words, macros and what begins blocks, with what they do.
    dots : mapping of str to str
        Dot commands, with what they do.
    choices : mapping of str to sequence of str
        What can come behind a dot command.
    tables : mapping of str to mapping of str to str
        Tables: their columns, with meanings.
    fields : mapping of str to sequence of str
        Words that extract: the fields that they know.
    photcodes : sequence of str
        Names of photcodes.
    parts : sequence of str
        What can stand behind the colons of a magnitude word.
    functions : sequence of str
        Functions of SQL.
    vectors, variables : sequence of str
        Vectors and variables.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    dots: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    photcodes: Sequence[str] = ()
    parts: Sequence[str] = ()
    functions: Sequence[str] = ()
    vectors: Sequence[str] = ()
    variables: Sequence[str] = ()


def candidates(text: str, known: Known, after: str = "") -> list[Candidate]:
    """List what could come next.

    Parameters
    ----------
    text : str
        The text before the cursor, all lines of it.
    known : Known
        What names there are.
    after : str
        The text behind the cursor, which may name the tables of a query.

    Returns
    -------
    list of Candidate
        In the order in which they are to be shown.
    """
    found = _NAME.search(text)
    begun = found.group() if found else ""
    statement = _statement(text)
    if begun.startswith("$"):
        return _matching(begun, {f"${name}": "variable" for name in known.variables})
    if statement_kind(statement) == "sql" and statement.strip() != begun:
        return _in_sql(text, begun, known, after)
    if statement.strip() == begun:
        first = known.dots if begun.startswith(".") else {
            **known.words, "SELECT": "query", "WITH": "query", "EXPLAIN": "how a query is answered",
        }  # fmt: skip
        return _matching(begun, first)
    return _behind_word(statement, begun, known)


def _statement(text: str) -> str:
    """The statement that the cursor is in."""
    if statement_kind(text) == "sql":
        return text
    line = text.rpartition("\n")[2]
    last = line.rpartition(";")[2]
    return text if statement_kind(last) == "sql" else last


def _matching(begun: str, names: Mapping[str, str] | Iterable[str]) -> list[Candidate]:
    about = names if isinstance(names, Mapping) else dict.fromkeys(names, "")
    lower = begun.lower()
    return [
        Candidate(name, -len(begun), meaning)
        for name, meaning in about.items()
        if name.lower().startswith(lower) and name != begun
    ]


def _in_sql(text: str, begun: str, known: Known, after: str) -> list[Candidate]:
    before = text[: len(text) - len(begun)].rstrip()
    last = re.split(r"\s+", before)[-1].lower() if before else ""
    if last in ("from", "join"):
        return _matching(begun, dict.fromkeys(known.tables, "table"))
    named = {}
    for table, alias in _TABLE.findall(text + after):
        if table.lower() in known.tables:
            named[table.lower()] = known.tables[table.lower()]
            if alias and alias.upper() not in _SQL_WORDS:
                named[alias.lower()] = known.tables[table.lower()]
    prefix, point, rest = begun.rpartition(".")
    if point:
        return _matching(rest, named.get(prefix.lower(), {}))
    columns: dict[str, str] = {}
    for table_columns in named.values() if named else known.tables.values():
        columns |= table_columns
    quoted = before.endswith('"')
    if quoted:
        return _magnitudes(begun, known)
    return (
        (_matching(begun, columns) if begun or named else [])
        + _matching(begun, dict.fromkeys(known.functions, "function") if begun else {})
        + _matching(begun, dict.fromkeys(_SQL_WORDS, "") if begun else {})
    )


def _magnitudes(begun: str, known: Known) -> list[Candidate]:
    """Magnitude words: a photcode, and what can come behind its colon."""
    head, colon, rest = begun.rpartition(":")
    if colon:
        used = set(head.split(":")[1:])
        return _matching(rest, [p for p in known.parts if p not in used])
    return _matching(begun, dict.fromkeys(["mag", "flux", *known.photcodes], "magnitude"))


def _behind_word(statement: str, begun: str, known: Known) -> list[Candidate]:
    word = statement.split(maxsplit=1)[0].lower() if statement.split() else ""
    if word in known.choices:
        return _matching(begun, known.choices[word])
    if word == "help":
        return _matching(begun, known.words)
    if word in known.fields:
        if ":" in begun:
            return _magnitudes(begun, known)
        fields = dict.fromkeys(known.fields[word], "field")
        codes = dict.fromkeys(known.photcodes, "magnitude")
        more = {"where": "condition"} if begun else {}
        return _matching(begun, fields | codes | more)
    if not begun:
        return []
    return _matching(begun, dict.fromkeys(known.vectors, "vector"))
