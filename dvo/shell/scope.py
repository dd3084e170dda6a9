"""What a script knows: variables, vectors and macros, and how they get into a line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ScriptError
from dvo.shell.arithmetic import Value, evaluate, text_of_number
from dvo.shell.expression import parse_expression
from dvo.shell.place import Place, error_at
from dvo.shell.script import Block
from dvo.shell.suggestion import did_you_mean

__all__ = ["MOST_ELEMENTS", "Scope"]

Array = NDArray[Any]

MOST_ELEMENTS = 200_000_000
"""Elements that a vector can have."""

_LONGEST = 1_000_000
_MOST_VALUES = 100_000
_NAME = re.compile(r"\$(\??)([A-Za-z0-9_]+(?::[A-Za-z0-9_]+)*)")
_ASSIGNED = re.compile(r"\s*\$(\w[\w:$]*)\s*(=(?!=)|\+\+|--|\+=|-=)")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass
class Scope:
    """Names and what they stand for.

    Parameters
    ----------
    variables : dict of str to str
        Variables, written ``$name``; a list ``L`` is the variables ``L:0``, ``L:1``, … and
        their number ``L:n``.
    vectors : dict of str to ndarray
        Vectors of numbers or text; missing numbers are NaN.
    units : dict of str to str
        Units of vectors that came from the database.
    macros : dict of str to Block
        Macros.
    arguments : list of dict of str to str
        What macros that are being carried out were told, the innermost last.
    """

    variables: dict[str, str] = field(default_factory=dict)
    vectors: dict[str, Array] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    macros: dict[str, Block] = field(default_factory=dict)
    arguments: list[dict[str, str]] = field(default_factory=list)

    def set_number(self, name: str, value: Value) -> None:
        """Set a variable to a number or text."""
        self.variables[name] = text_of_number(value)

    def set_vector(self, name: str, values: Any, unit: str = "") -> None:
        """Set a vector.

        Parameters
        ----------
        name : str
            Its name.
        values : ndarray
            Its elements.
        unit : str
            Their unit, if it is known.

        Raises
        ------
        ScriptError
            If there are too many.
        """
        array = np.atleast_1d(np.asarray(values))
        if len(array) > MOST_ELEMENTS:
            raise ScriptError(f"vector {name}: has {len(array)} elements, at most {MOST_ELEMENTS}")
        self.vectors[name] = array
        self.units[name] = unit

    def is_magnitude(self, name: str) -> bool:
        """Whether a vector holds magnitudes, of which the low ones are the bright ones."""
        return self.units.get(name) == "mag" and not name.endswith(("err", "stdev"))

    def set_list(self, name: str, words: list[str]) -> None:
        """Set a list."""
        for k, word in enumerate(words):
            self.variables[f"{name}:{k}"] = word
        self.variables[f"{name}:n"] = str(len(words))

    def find(self, name: str) -> str | None:
        """Find the value of a variable, or of an argument of the macro; None if there is none."""
        if name.isdigit():
            return self.arguments[-1].get(name) if self.arguments else None
        return self.variables.get(name)

    def lookup(self, name: str) -> Value | None:
        """Find what a name in an expression stands for: a vector, else a variable."""
        vector = self.vectors.get(name)
        if vector is not None:
            return vector
        text = self.variables.get(name)
        return None if text is None else _value_of(text)

    def evaluate(self, text: str, place: Place, offset: int = 0) -> Value:
        """Work out an expression.

        Parameters
        ----------
        text : str
            The expression.
        place : Place
            The line it stands in.
        offset : int
            Where in the line it begins.

        Returns
        -------
        ndarray, float, int or str
            Its value.
        """
        return evaluate(parse_expression(text, place, offset), place, self.lookup)

    def expand(self, place: Place, *, braces: bool = True) -> Place:
        """Put the values of variables into a line, and of expressions in curly brackets.

        Parameters
        ----------
        place : Place
            The line.
        braces : bool
            Whether curly brackets are worked out; they stay as they are in SQL.

        Returns
        -------
        Place
            The line as it is carried out.

        Raises
        ------
        ScriptError
            If a variable is not known, or an expression cannot be worked out.
        """
        text = self._with_values(place)
        if braces:
            text = _without_slashes(self._with_results(Place(place.name, place.number, text)))
        return Place(place.name, place.number, text)

    def _with_values(self, place: Place) -> str:
        """The last variable first: ``$R$KEY`` is that whose name ends in the value of $KEY."""
        text, stop, count = place.text, len(place.text), 0
        while True:
            at = text.rfind("$", 0, stop)
            if at < 0:
                return text
            found = _NAME.match(text, at)
            if found is None or _is_protected(text, at):
                stop = at
                continue
            count += 1
            value, end = self._value_at(Place(place.name, place.number, text), found)
            text = text[:at] + value + text[end:]
            stop = at + len(value)
            if at and text[at - 1] == "$" and not _is_protected(text, at - 1):
                stop = max(stop, at)  # what was put in may be the name of another
            if len(text) > _LONGEST or count > _MOST_VALUES:
                raise ScriptError(f"{place}: grows without end when its variables are put in")

    def _value_at(self, place: Place, found: re.Match[str]) -> tuple[str, int]:
        asks, name = found.groups()
        if found.start() and place.text[found.start() - 1] == "$":
            name = name.partition(":")[0]
        end = found.start(2) + len(name)
        if asks:
            return str(int(self.find(name) is not None)), end
        while True:
            value = self.find(name)
            if value is not None:
                return value, end
            if ":" not in name:
                break
            name = name.rpartition(":")[0]  # $KEY:rel is $KEY with :rel behind it
            end = found.start(2) + len(name)
        if name.isdigit():
            where = "the macro was told less" if self.arguments else "there is no macro here"
            raise error_at(place, f"${name} has no value: {where}", found.start(), end)
        hint = did_you_mean(name, self.variables)
        raise error_at(place, f"there is no variable ${name}{hint}", found.start(), end)

    def _with_results(self, place: Place) -> str:
        text = place.text
        at = 0
        while (at := text.find("{", at)) >= 0:
            if _is_protected(text, at):
                at += 1
                continue
            here = Place(place.name, place.number, text)
            stop = text.find("}", at)
            if stop < 0:
                raise error_at(here, "this curly bracket is not closed", at)
            value = self.evaluate(text[at + 1 : stop], here, at + 1)
            if isinstance(value, np.ndarray):
                raise error_at(here, "is a vector, where one value is needed", at, stop + 1)
            result = text_of_number(value)
            text = text[:at] + result + text[stop + 1 :]
            at += len(result)
        return text

    def assign(self, place: Place) -> bool:
        """Carry out ``$x = …``, ``$x ++`` and their like, if a line is one of them.

        Parameters
        ----------
        place : Place
            The line, as it was written.

        Returns
        -------
        bool
            Whether it was one.
        """
        found = _ASSIGNED.match(place.text)
        if found is None:
            return False
        name = self.expand(Place(place.name, place.number, found.group(1))).text
        if not re.fullmatch(r"[A-Za-z0-9_:]+", name) or name.isdigit():
            raise error_at(place, f"{name!r} cannot be the name of a variable", *found.span(1))
        sign = found.group(2)
        rest = place.text[found.end() :]
        if "`" in rest:
            raise error_at(place, "programs are not run from here", place.text.find("`"))
        line = self.expand(Place(place.name, place.number, " " * found.end() + rest))
        if sign == "=":
            self.variables[name] = self._assigned(line)
            return True
        step = 1.0 if sign in ("++", "--") else self._number(line)
        if sign in ("++", "--") and line.text.strip():
            raise error_at(line, f"nothing can come behind {sign}", found.end())
        old = _value_of(self.variables.get(name, "0"))
        if isinstance(old, str):
            raise error_at(place, f"${name} is {old!r}, and no number", *found.span(1))
        self.set_number(name, old + step if sign[0] == "+" else old - step)
        return True

    def _assigned(self, line: Place) -> str:
        """The value of an expression, or, where it is none, the text itself."""
        text = line.text.strip()
        if re.fullmatch(r"[\w:.]*[A-Za-z_][\w:.]*", text) and not _NUMBER.fullmatch(text):
            return text  # a word, even where a variable has its name
        try:
            value = self.evaluate(text, line, len(line.text) - len(line.text.lstrip()))
        except ScriptError:
            return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
        return text if isinstance(value, np.ndarray) else text_of_number(value)

    def _number(self, line: Place) -> float:
        value = self.evaluate(line.text, line)
        if isinstance(value, str | np.ndarray):
            raise error_at(line, "is no single number")
        return float(value)

    def call_with(self, words: list[str]) -> Callable[[], None]:
        """Begin a macro; gives what ends it.

        Parameters
        ----------
        words : list of str
            Its name and what it is told.

        Returns
        -------
        callable
            Takes the arguments away again.
        """
        told = {str(k): word for k, word in enumerate(words)}
        told["0"] = str(len(words))
        self.arguments.append(told)

        def end() -> None:
            self.arguments.pop()

        return end


def _value_of(text: str) -> float | int | str:
    if not _NUMBER.fullmatch(text.strip()):
        return text
    number = float(text)
    return int(text) if text.strip().lstrip("+-").isdigit() and len(text) < 18 else number


def _is_protected(text: str, at: int) -> bool:
    return at > 0 and text[at - 1] == "\\"


def _without_slashes(text: str) -> str:
    return re.sub(r"\\([^\w\s\"]|[_:])", r"\1", text)
