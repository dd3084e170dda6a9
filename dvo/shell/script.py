r"""Text to statements: commands, SQL, dot commands, and the blocks that hold them.

A line is a command; ``;`` ends one, too, ``#`` begins a comment, and a ``\`` at the end of a
line goes on in the next. ``if``, ``for``, ``foreach``, ``while`` and ``macro`` begin blocks that
``end`` ends. SQL, which begins with SELECT, WITH or EXPLAIN, goes on until a ``;`` or an
empty line. Variables are put in when a line is carried out, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dvo.errors import ScriptError
from dvo.shell.place import Place, error_at

__all__ = [
    "MOST_CHARACTERS",
    "Block",
    "Command",
    "Dot",
    "IncompleteError",
    "Sql",
    "Statement",
    "end_of_condition",
    "is_complete",
    "parse_script",
    "statement_kind",
]

MOST_CHARACTERS = 10_000_000
"""Characters that a script can have."""

_DEEPEST = 50
_SQL = ("select", "with", "explain")
_BLOCKS = ("if", "for", "foreach", "while", "macro")
_WORD = re.compile(r"\s*([^\s;(=]+)")


class IncompleteError(ScriptError):
    """The text ends within a statement: more is to come."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word and what it is told."""

    place: Place


@dataclass(frozen=True, slots=True)
class Sql:
    """A query."""

    place: Place


@dataclass(frozen=True, slots=True)
class Dot:
    """A command of the shell itself, such as ``.mode csv``."""

    place: Place


@dataclass(frozen=True, slots=True)
class Block:
    """Statements that belong together.

    Parameters
    ----------
    kind : str
        ``if``, ``for``, ``foreach``, ``while``, ``macro``, or ``list``.
    place : Place
        The line that begins it.
    body : list of Statement
        What is in it; of a list its lines, as commands.
    otherwise : list of Statement
        What is behind ``else``.
    """

    kind: str
    place: Place
    body: list[Statement] = field(default_factory=list)
    otherwise: list[Statement] = field(default_factory=list)


Statement = Command | Sql | Dot | Block
_KINDS: dict[str, type[Command | Sql | Dot]] = {"sql": Sql, "dot": Dot, "words": Command}


def statement_kind(text: str) -> str:
    """Tell what a text begins with.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str
        ``sql``, ``dot``, ``words``, or ``nothing``.
    """
    stripped = text.lstrip()
    if not stripped or stripped.startswith("#"):
        return "nothing"
    if stripped.startswith("."):
        return "dot"
    return "sql" if stripped.startswith("(") or _first_word(text) in _SQL else "words"


def parse_script(text: str, name: str = "") -> list[Statement]:
    """Parse a script, or what was typed.

    Parameters
    ----------
    text : str
        The text.
    name : str
        Name of the file, for messages.

    Returns
    -------
    list of Statement
        What to do.

    Raises
    ------
    IncompleteError
        If it ends within a statement.
    ScriptError
        If it cannot be read; the message shows where.
    """
    if len(text) > MOST_CHARACTERS:
        raise ScriptError(f"{name}: has {len(text)} characters, at most {MOST_CHARACTERS} are read")
    if "\0" in text:
        raise ScriptError(f"{name or 'the text'}: is no text: it has a NUL character")
    parser = _Parser()
    for kind, place in _pieces(text, name):
        parser.take(kind, place)
    return parser.end()


def is_complete(text: str) -> bool:
    """Tell whether what was typed can be carried out, or more is to come.

    Parameters
    ----------
    text : str
        What was typed.

    Returns
    -------
    bool
        False if a block is open, a query has no ``;``, or the line ends with a backslash;
        True also for what is wrong, which is said when it is carried out.
    """
    lines = text.split("\n")
    if not lines[-1].strip() and len(lines) > 1 and "sql" in _kinds(text):
        return True
    if lines[-1].endswith("\\"):
        return False
    try:
        found = parse_script(text)
    except IncompleteError:
        return False
    except ScriptError:
        return True
    is_query = bool(found) and isinstance(found[-1], Sql)
    return not is_query or text.rstrip().endswith(";")


def _kinds(text: str) -> list[str]:
    try:
        return [kind for kind, _ in _pieces(text, "")]
    except ScriptError:
        return []


class _Parser:
    """Puts pieces into blocks; the stack is ours, so that depth is no danger."""

    def __init__(self) -> None:
        self._whole: list[Statement] = []
        self._open: list[tuple[Block, list[Statement]]] = []

    def take(self, kind: str, place: Place) -> None:
        here = self._open[-1][1] if self._open else self._whole
        word = _first_word(place.text) if kind == "words" else ""
        if word == "end" and kind == "words":
            if not self._open:
                raise error_at(place, "nothing is open that this could end")
            self._open.pop()
        elif self._open and self._open[-1][0].kind == "list":
            here.append(Command(place))
        elif word == "else":
            self._otherwise(place)
        elif word in _BLOCKS or _opens_list(word, place.text):
            self._begin(word, place, here)
        else:
            here.append(_KINDS[kind](place))

    def _otherwise(self, place: Place) -> None:
        block, here = self._open[-1] if self._open else (None, None)
        if block is None or block.kind != "if" or here is block.otherwise:
            raise error_at(place, "'else' belongs to no 'if'", *_span(place.text))
        if place.text.strip() != "else":
            raise error_at(place, "write what comes after 'else' on a line of its own",
                           *_span(place.text))  # fmt: skip
        self._open[-1] = (block, block.otherwise)

    def _begin(self, kind: str, place: Place, here: list[Statement]) -> None:
        if len(self._open) >= _DEEPEST:
            raise error_at(
                place, f"blocks are nested more than {_DEEPEST} deep", *_span(place.text)
            )
        if kind == "macro" and self._open:
            raise error_at(place, "a macro cannot be within another block", *_span(place.text))
        block = Block(kind, place)
        here.append(block)
        if kind == "if":
            stop = end_of_condition(place)
            if place.text[stop:].strip():  # if (…) command: no end comes
                inner = Place(place.name, place.number, " " * stop + place.text[stop:])
                block.body.append(Command(inner))
                return
        self._open.append((block, block.body))

    def end(self) -> list[Statement]:
        if self._open:
            block = self._open[-1][0]
            raise IncompleteError(
                str(error_at(block.place, f"this {block.kind!r} has no 'end'",
                             *_span(block.place.text)))
            )  # fmt: skip
        return self._whole


def _first_word(text: str) -> str:
    found = _WORD.match(text)
    return found.group(1).lower() if found else ""


def _span(text: str) -> tuple[int, int]:
    found = _WORD.match(text)
    return found.span(1) if found else (0, 1)


def _opens_list(word: str, text: str) -> bool:
    return word == "list" and len(text.split()) == 2


def end_of_condition(place: Place) -> int:
    """Find where the round bracket of a condition is closed again.

    Parameters
    ----------
    place : Place
        A line that begins with ``if`` or ``while``.

    Returns
    -------
    int
        The place in the line behind the bracket.

    Raises
    ------
    ScriptError
        If there is none, or it stays open.
    """
    text, depth, quoted = place.text, 0, False
    start = text.find("(")
    if start < 0 or text[:start].strip().lower() not in ("if", "while"):
        raise error_at(place, "write a condition in round brackets: if (a > b)", *_span(text))
    for k in range(start, len(text)):
        quoted ^= text[k] == '"'
        if not quoted:
            depth += (text[k] == "(") - (text[k] == ")")
            if depth == 0:
                return k + 1
    raise error_at(place, "this bracket is not closed", start)


def _pieces(text: str, name: str) -> Iterator[tuple[str, Place]]:
    """Statements as they come, with their kinds."""
    lines = text.split("\n")
    k = 0
    while k < len(lines):
        line, number = lines[k].rstrip("\r"), k + 1
        k += 1
        while line.endswith("\\") and k < len(lines):
            line = line[:-1] + " " + lines[k].strip()
            k += 1
        rest: str | None = line
        while rest is not None:
            kind = statement_kind(rest)
            if kind == "nothing":
                break
            if kind == "dot":
                yield kind, Place(name, number, rest.strip())
                break
            if kind == "sql":
                query, rest, k = _take_sql(rest, lines, k)
                yield kind, Place(name, number, query)
                continue
            command, rest = _take_command(rest, Place(name, number, line))
            if command.strip():
                yield kind, Place(name, number, command)


def _take_command(text: str, place: Place) -> tuple[str, str | None]:
    """A command, up to ``;`` or a comment, and what comes behind it."""
    quoted = False
    for k, sign in enumerate(text):
        if sign == '"' and text[k - 1 : k] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif sign == ";":
            return text[:k], text[k + 1 :]
        elif sign == "#" and (k == 0 or text[k - 1].isspace()):
            return text[:k].rstrip(), None
    if quoted:
        raise error_at(place, "this quote is not closed", place.text.rfind('"'))
    return text.rstrip(), None


def _take_sql(first: str, lines: list[str], k: int) -> tuple[str, str | None, int]:
    """A query, up to ``;`` or an empty line; what comes behind it, and which line is next."""
    taken: list[str] = []
    quote = ""
    line: str = first
    while True:
        at = 0
        while at < len(line):
            sign = line[at]
            if quote:
                quote = "" if sign == quote else quote
            elif sign in "'\"":
                quote = sign
            elif line.startswith("--", at):
                line = line[:at]
                break
            elif sign == ";":
                taken.append(line[:at])
                return "\n".join(taken).strip(), line[at + 1 :], k
            at += 1
        taken.append(line)
        if k >= len(lines):
            return "\n".join(taken).strip(), None, k
        line = lines[k].rstrip("\r")
        k += 1
        if not line.strip() and not quote:
            return "\n".join(taken).strip(), None, k
