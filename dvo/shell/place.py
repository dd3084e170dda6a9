"""Where in a script something is, and errors that show it."""

from __future__ import annotations

from dataclasses import dataclass

from dvo.errors import ScriptError

__all__ = ["Place", "error_at"]

_WIDEST = 160


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a script.

    Parameters
    ----------
    name : str
        Name of the file, or another word for where the text comes from; empty at the prompt.
    number : int
        Number of the line, from 1.
    text : str
        The line, as it was when it was carried out: values stand for its variables.
    """

    name: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.name}, line {self.number}" if self.name else f"line {self.number}"


def error_at(place: Place, message: str, start: int = 0, end: int | None = None) -> ScriptError:
    """Make an error that shows the line and marks what is wrong in it.

    Parameters
    ----------
    place : Place
        The line.
    message : str
        What is wrong.
    start : int
        Where it begins in the line.
    end : int, optional
        Where it ends; None for one character.

    Returns
    -------
    ScriptError
        To be raised.
    """
    stop = min(max(start + 1, start + 1 if end is None else end), max(start + 1, len(place.text)))
    cut = max(0, start - _WIDEST // 2)  # of a very long line only what is near
    shown = place.text[cut : cut + _WIDEST].replace("\t", " ")
    width = max(1, min(stop - start, _WIDEST - (start - cut)))
    return ScriptError(f"{place}: {message}\n  {shown}\n  {' ' * (start - cut)}{'^' * width}")
