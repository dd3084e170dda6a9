"""A line that is being carried out: its words, its options, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dvo.errors import ScriptError
from dvo.shell.arithmetic import Array, Value
from dvo.shell.place import Place, error_at
from dvo.shell.suggestion import did_you_mean

if TYPE_CHECKING:
    from dvo.shell.session import Shell

__all__ = ["Call", "Part", "Word"]

_PART = re.compile(r'"([^"]*)"|[^\s"]+(?:"[^"]*"[^\s"]*)*')
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the shell.

    Parameters
    ----------
    name : str
        The word.
    usage : str
        How it is written, without the word itself.
    summary : str
        What it does, in one line.
    run : callable
        Does it.
    """

    name: str
    usage: str
    summary: str
    run: Callable[[Call], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a line between spaces.

    Parameters
    ----------
    text : str
        The part, without its quotes.
    start, end : int
        Where it stands in the line.
    """

    text: str
    start: int
    end: int


class Call:
    """A word and what it is told.

    Parameters
    ----------
    shell : Shell
        Where it is carried out.
    place : Place
        The line, with values for its variables.
    usage : str
        How the word is written, for messages.
    """

    def __init__(self, shell: Shell, place: Place, usage: str = "") -> None:
        self.shell = shell
        self.place = place
        self.usage = usage
        self.name, *self.parts = _parts(place.text)

    @property
    def texts(self) -> list[str]:
        """The parts that are left."""
        return [part.text for part in self.parts]

    def error(self, message: str, part: Part | None = None) -> ScriptError:
        """Make an error about a part of the line, or all of it."""
        marked = part or self.name
        return error_at(self.place, message, marked.start, marked.end)

    def misuse(self) -> ScriptError:
        """Make the error that says how the word is written."""
        return self.error(f"write: {self.name.text} {self.usage}".rstrip())

    def take_flag(self, *names: str) -> bool:
        """Take a switch such as ``-v`` out of the parts."""
        for k, part in enumerate(self.parts):
            if part.text in names:
                del self.parts[k]
                return True
        return False

    def take_option(self, name: str, count: int = 1) -> list[Part] | None:
        """Take an option and what belongs to it out of the parts.

        Parameters
        ----------
        name : str
            Such as ``-photcode``.
        count : int
            How many parts belong to it.

        Returns
        -------
        list of Part or None
            What belongs to it; None if it is not there.
        """
        for k, part in enumerate(self.parts):
            if part.text == name:
                found = self.parts[k + 1 : k + 1 + count]
                if len(found) < count:
                    raise self.error(f"{count} words belong to {name}", part)
                del self.parts[k : k + 1 + count]
                return found
        return None

    def assert_known(self) -> None:
        """Refuse switches and options that nobody has taken."""
        for part in self.parts:
            if re.match(r"[-+]{1,2}[A-Za-z]", part.text):
                raise self.error(f"{self.name.text} has no option {part.text}", part)

    def need(self, least: int, most: int | None = None) -> list[Part]:
        """Give the parts that are left, if they are as many as they have to be.

        Parameters
        ----------
        least : int
            How many they have to be.
        most : int, optional
            How many they may be; None for just as many.

        Returns
        -------
        list of Part
            The parts.

        Raises
        ------
        ScriptError
            If they are more or fewer, or one is an option that nobody has taken.
        """
        self.assert_known()
        if not least <= len(self.parts) <= (least if most is None else most):
            raise self.misuse()
        return self.parts

    def number(self, part: Part) -> float:
        """Read a part as a number: a number, or the name of a variable that is one.

        Parameters
        ----------
        part : Part
            The part.

        Returns
        -------
        float
            The number, in the unit that the word takes.
        """
        if _NUMBER.fullmatch(part.text):
            return float(part.text)
        found = self.shell.scope.lookup(part.text)
        if isinstance(found, int | float):
            return float(found)
        raise self.error(f"{part.text!r} is no number", part)

    def vector(self, part: Part) -> Array:
        """Read a part as the name of a vector."""
        found = self.shell.scope.vectors.get(part.text)
        if found is None:
            hint = did_you_mean(part.text, self.shell.scope.vectors)
            raise self.error(f"there is no vector {part.text!r}{hint}", part)
        return found

    def new_name(self, part: Part) -> str:
        """Read a part as the name that a vector or list is to have."""
        if not re.fullmatch(r"\w*[A-Za-z_]\w*([.:]\w+)*", part.text):
            raise self.error(f"{part.text!r} cannot be a name", part)
        return part.text

    def expression(self, start: int, end: int | None = None) -> Value:
        """Work out the expression that stands in a part of the line."""
        return self.shell.scope.evaluate(self.place.text[start:end], self.place, start)

    def assigned(self) -> tuple[str, Value]:
        """Read ``name = expression``."""
        if len(self.parts) < 2 or "=" not in self.place.text:
            raise self.misuse()
        at = self.place.text.index("=", self.parts[0].start)
        target = self.place.text[self.parts[0].start : at].strip()
        name = self.new_name(Part(target, self.parts[0].start, at))
        return name, self.expression(at + 1)

    def floats(self, part: Part) -> Array:
        """Read a part as the name of a vector of numbers, as float64."""
        found = self.vector(part)
        if found.dtype.kind in "USO":
            raise self.error(f"vector {part.text} holds text, where numbers are needed", part)
        return found.astype(np.float64)


def _parts(text: str) -> list[Part]:
    found = []
    for match in _PART.finditer(text):
        quoted = match.group(1)
        plain = match.group().replace('"', "") if quoted is None else quoted
        found.append(Part(plain, match.start(), match.end()))
    return found
