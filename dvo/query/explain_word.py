"""EXPLAIN and EXPLAIN ANALYZE before a query."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["split_explain"]

# Nothing in it is tried again: hostile text takes no longer than any other.
_EXPLAIN = re.compile(
    r"(?>\s|--[^\n]*\n|/\*.*?\*/)*+EXPLAIN\b(?:\s+(?P<analyze>ANALYZE)\b)?",
    re.IGNORECASE | re.DOTALL,
)


def split_explain(text: str) -> tuple[str, Literal["plan", "analyze"] | None]:
    """Take EXPLAIN or EXPLAIN ANALYZE from the beginning of a query.

    Parameters
    ----------
    text : str
        The query.

    Returns
    -------
    text : str
        The query without it.
    asked : {'plan', 'analyze'} or None
        What is to be told of it; None where it is to be answered.
    """
    found = _EXPLAIN.match(text)
    if found is None:
        return text, None
    # Blanks in its place: errors tell lines and columns of the whole text.
    blank = re.sub(r"\S", " ", found[0])
    return blank + text[found.end() :], "analyze" if found["analyze"] else "plan"
