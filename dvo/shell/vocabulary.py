"""All the words and dot commands there are; help and completion read them here, too."""

from __future__ import annotations

from functools import lru_cache

from dvo.shell import (
    database_words,
    dot_words,
    extract_words,
    language_words,
    picture_words,
    vector_words,
)
from dvo.shell.call import Word

__all__ = ["KEYWORDS", "dot_commands", "words"]

KEYWORDS = {
    "if": ("(CONDITION) ... [else ...] end", "carry out lines if a condition holds"),
    "for": ("VARIABLE START STOP [STEP] ... end", "once for each number from START, below STOP"),
    "foreach": ("VARIABLE WORD ... end", "once for each word"),
    "while": ("(CONDITION) ... end", "as long as a condition holds"),
    "macro": ("NAME ... end", "name lines; what the macro is told is $1, $2, ..., $0 how much"),
    "break": ("", "leave a loop (also: last)"),
    "next": ("", "go on with the next round of a loop (also: continue)"),
    "return": ("", "leave a macro"),
}
"""What is no word of its own but begins, ends or leaves a block: usage and summary."""


@lru_cache(maxsize=1)
def words() -> dict[str, Word]:
    """List the words by name."""
    modules = (language_words, vector_words, extract_words, database_words, picture_words)
    return {word.name: word for module in modules for word in module.WORDS}


@lru_cache(maxsize=1)
def dot_commands() -> dict[str, Word]:
    """List the dot commands by name."""
    return {word.name: word for word in dot_words.WORDS}
