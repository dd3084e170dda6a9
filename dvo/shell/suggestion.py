"""What was probably meant by a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the words that are most like another one.

    Parameters
    ----------
    word : str
        What was written.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        The end of a message, such as ``; did you mean ra?``, or nothing.
    """
    by_lower = {k.lower(): k for k in known}
    near = [by_lower[n] for n in difflib.get_close_matches(word.lower(), by_lower, 3)]
    return f"; did you mean {' or '.join(near)}?" if near else ""
