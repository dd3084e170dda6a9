"""FITS headers: reading cards lazily, writing them, and the blocks they come in.

A header is kept as the text of its cards; a value is parsed when it is asked for. Opening
a table of 40 columns touches some 300 cards but needs the values of a few, and this is
what keeps it well under a millisecond. Long strings (CONTINUE) and HIERARCH keywords are
read and written. What a keyword means is the business of the modules above.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dvo.errors import CorruptTableError, SchemaError

__all__ = [
    "BLOCK",
    "CARD",
    "Header",
    "Value",
    "find_end",
    "format_card",
    "format_cards",
    "header_bytes",
    "parse_card",
]

Value = str | int | float | bool | None

BLOCK = 2880
CARD = 80

_END = b"END".ljust(CARD)
_INTEGER = re.compile(r"[+-]?\d{1,40}\Z")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([ED][+-]?\d{1,6})?\Z", re.IGNORECASE)
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}\Z")
_STRING = re.compile(r"\s*'((?:[^']|'')*)'([^/]*)(?:/(.*))?\Z", re.DOTALL)
_COMMENTARY = ("COMMENT", "HISTORY", "")
_LONG = 67  # characters of a string that fit one card, with a closing '&'


def find_end(data: bytes) -> int:
    """Find the END card.

    Parameters
    ----------
    data : bytes
        File contents from the start of a header.

    Returns
    -------
    int
        Offset of the END card; -1 if there is none in ``data``.
    """
    at = data.find(_END)
    while at >= 0 and at % CARD:
        at = data.find(_END, at + 1)
    return at


def parse_card(card: str) -> tuple[Value, str]:
    """Split a card into value and comment.

    Parameters
    ----------
    card : str
        One card of 80 characters.

    Returns
    -------
    value : str, int, float, bool or None
        None where the card has no value, or one that FITS does not define.
    comment : str
        Text after the slash.
    """
    body = card[10:]
    if card.startswith("HIERARCH"):
        body = card.partition("=")[2]
    elif card[8:10] != "= ":
        return None, card[8:].rstrip()
    quoted = _STRING.match(body)
    if quoted:
        return quoted[1].replace("''", "'").rstrip(), (quoted[3] or "").strip()
    word, _, comment = body.partition("/")
    return _parse_word(word.strip()), comment.strip()


def _parse_word(word: str) -> Value:
    if word in ("T", "F"):
        return word == "T"
    if _INTEGER.match(word):
        return int(word)
    if _FLOAT.match(word):
        return float(word.upper().replace("D", "E"))
    return word or None


class Header(Mapping[str, Value]):
    """The cards of one HDU, in order, as a read-only mapping.

    Parameters
    ----------
    text : str
        The cards without END, 80 characters each, latin-1 decoded.
    where : str
        File and HDU, for messages.

    Notes
    -----
    Of a keyword given twice the first counts, as in CFITSIO.
    """

    __slots__ = ("_places", "text", "where")

    def __init__(self, text: str, where: str = "") -> None:
        self.text = text
        self.where = where
        last = len(text) - CARD
        self._places = {text[i : i + 8]: i for i in range(last, -1, -CARD)}
        if "HIERARCH" in self._places:
            self._add_hierarch()

    def _add_hierarch(self) -> None:
        for at in range(0, len(self.text), CARD):
            card = self.text[at : at + CARD]
            if card.startswith("HIERARCH ") and "=" in card:
                self._places.setdefault(card[9:].partition("=")[0].strip().ljust(8), at)
        del self._places["HIERARCH"]

    def __getitem__(self, key: str) -> Value:
        at = self._places[key.ljust(8)]
        value, _ = parse_card(self.text[at : at + CARD])
        if isinstance(value, str) and value.endswith("&"):
            return self._long_string(value, at)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a keyword, or a default where it is absent."""
        # Mapping's own asks by an exception; most keywords of most columns are absent.
        return self[key] if key.ljust(8) in self._places else default

    def _long_string(self, value: str, at: int) -> str:
        parts = [value]
        for i in range(at + CARD, len(self.text), CARD):
            card = self.text[i : i + CARD]
            quoted = _STRING.match(card[8:]) if card.startswith("CONTINUE") else None
            if quoted is None or not parts[-1].endswith("&"):
                break
            parts[-1] = parts[-1][:-1]
            parts.append(quoted[1].replace("''", "'").rstrip())
        return "".join(parts)

    def __iter__(self) -> Iterator[str]:
        skip = {"CONTINUE", "COMMENT ", "HISTORY ", " " * 8}
        names = sorted(self._places, key=self._places.__getitem__)
        return (name.rstrip() for name in names if name not in skip)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.ljust(8) in self._places

    def comment(self, key: str) -> str:
        """Comment of a card.

        Parameters
        ----------
        key : str
            Keyword; it must be present.

        Returns
        -------
        str
            Text after the slash.
        """
        at = self._places[key.ljust(8)]
        return parse_card(self.text[at : at + CARD])[1]

    def cards(self) -> list[str]:
        """All cards, without END.

        Returns
        -------
        list of str
            80 characters each.
        """
        return [self.text[i : i + CARD] for i in range(0, len(self.text), CARD)]

    def integer(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = 2**62
    ) -> int:
        """Value of a keyword that must be a whole number.

        Parameters
        ----------
        key : str
            Keyword.
        default : int, optional
            Value where the keyword is absent; without it absence is an error.
        low, high : int
            Range allowed, both ends included.

        Returns
        -------
        int
            The value.

        Raises
        ------
        CorruptTableError
            If it is absent, no integer, or out of range.
        """
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CorruptTableError(
                f"{self.where}: {key} = {value!r}, but it must be an integer from {low} to {high}"
            )
        return value

    def string(self, key: str, default: str | None = None) -> str:
        """Value of a keyword that must be a string.

        Parameters
        ----------
        key : str
            Keyword.
        default : str, optional
            Value where the keyword is absent; without it absence is an error.

        Returns
        -------
        str
            The value.

        Raises
        ------
        CorruptTableError
            If it is absent or no string.
        """
        value = self.get(key, default)
        if not isinstance(value, str):
            raise CorruptTableError(f"{self.where}: {key} = {value!r}, but it must be a string")
        return value


def _ascii(text: str) -> str:
    """FITS headers hold printable ASCII only: anything else is written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in escaped)


def _format_value(key: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, int):
        return f"{value:>20d}"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SchemaError(f"header keyword {key}: FITS cannot hold {value}; leave it out")
        text = repr(value).upper()
        return f"{text if '.' in text or 'E' in text else text + '.0':>20}"
    return "'" + _ascii(value).replace("'", "''").ljust(8) + "'"


@lru_cache(maxsize=4096, typed=True)  # the files of a table have the same cards but for a few
def format_card(key: str, value: Value, comment: str = "") -> str:
    """Make the card, or cards, of one keyword.

    Parameters
    ----------
    key : str
        Keyword; longer than 8 characters, or with other characters than FITS allows
        there, it is written as HIERARCH.
    value : str, int, float, bool or None
        Value. A string too long for a card goes on in CONTINUE cards.
    comment : str
        Comment; cut where the card ends.

    Returns
    -------
    str
        80 characters, or a multiple.

    Raises
    ------
    SchemaError
        If the keyword or value cannot be written.
    """
    key = _ascii(key.upper())
    if key in _COMMENTARY:
        text = _ascii(str(value)) or " "
        lines = [text[i : i + 72] for i in range(0, len(text), 72)]
        return "".join(f"{key:<8}{line:<72}" for line in lines)
    head = f"{key:<8}= " if _KEYWORD.match(key) else f"HIERARCH {key} = "
    text = _format_value(key, value)
    if len(head) + len(text) > CARD:
        if not isinstance(value, str) or len(head) != 10:
            raise SchemaError(f"header keyword {key}: value {value!r} does not fit a card")
        return _format_long(head, value)
    if isinstance(value, str) and comment:
        text = text.ljust(20)
    if comment:
        text = f"{text} / {_ascii(comment)}"
    return (head + text)[:CARD].ljust(CARD)


def _format_long(head: str, value: str) -> str:
    rest = _ascii(value)
    cards = []
    while True:
        size = _LONG
        while len(rest[:size].replace("'", "''")) > _LONG:
            size -= 1
        piece, rest = rest[:size], rest[size:]
        text = piece.replace("'", "''") + ("&" if rest else "")
        cards.append(f"{head}'{text}'".ljust(CARD))
        head = "CONTINUE  "
        if not rest:
            return "".join(cards)


def format_cards(entries: Mapping[str, object] | Iterable[tuple[str, object]]) -> list[str]:
    """Make cards of keyword -> value or keyword -> (value, comment).

    Parameters
    ----------
    entries : mapping or iterable of pairs
        What to write, in order.

    Returns
    -------
    list of str
        The cards.
    """
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    cards = []
    for key, entry in pairs:
        value, comment = entry if isinstance(entry, tuple) else (entry, "")
        if hasattr(value, "item"):  # a NumPy scalar
            value = value.item()
        if not isinstance(value, str | int | float | bool | None):
            raise SchemaError(f"header keyword {key}: FITS cannot hold a {type(value).__name__}")
        cards.append(format_card(key, value, str(comment)))
    return cards


def header_bytes(cards: Iterable[str]) -> bytes:
    """Join cards into whole header blocks, with END.

    Parameters
    ----------
    cards : iterable of str
        Cards of 80 characters (or multiples), without END.

    Returns
    -------
    bytes
        A multiple of 2880 bytes.
    """
    text = "".join(cards).encode("latin-1") + _END
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)
