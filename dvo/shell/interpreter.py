"""Carrying out statements: words, queries, blocks and macros."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dvo.errors import DvoError, ScriptError, StorageError
from dvo.shell.arithmetic import is_true
from dvo.shell.call import Call
from dvo.shell.place import Place, error_at
from dvo.shell.script import (
    Block,
    Command,
    Dot,
    Sql,
    Statement,
    end_of_condition,
    parse_script,
)
from dvo.shell.suggestion import did_you_mean
from dvo.shell.vocabulary import KEYWORDS, dot_commands, words

if TYPE_CHECKING:
    from dvo.shell.session import Shell

__all__ = ["Interpreter"]

_DEEPEST = 100
_MOST_BYTES = 10_000_000


class _LeaveLoopError(Exception):
    """``break`` and ``last``."""


class _NextRoundError(Exception):
    """``next`` and ``continue``."""


class _ReturnError(Exception):
    """``return``."""


_JUMPS: dict[str, type[Exception]] = {
    "break": _LeaveLoopError,
    "last": _LeaveLoopError,
    "next": _NextRoundError,
    "continue": _NextRoundError,
    "return": _ReturnError,
}


class Interpreter:
    """Carries out statements in a shell.

    Parameters
    ----------
    shell : Shell
        The shell.
    """

    def __init__(self, shell: Shell) -> None:
        self.words = words()
        self.dots = dot_commands()
        self.keywords = KEYWORDS
        self._shell = shell
        self._depth = 0
        self._loops = 0
        self._locals: list[dict[str, str | None]] = []

    def run(self, text: str, name: str = "") -> None:
        """Carry out a text.

        Parameters
        ----------
        text : str
            The text.
        name : str
            Name of the file, for messages.

        Raises
        ------
        DvoError
            At the first statement that fails.
        """
        depth, loops = self._depth, self._loops
        try:
            self._body(parse_script(text, name))
        except (_LeaveLoopError, _NextRoundError, _ReturnError):
            return  # as the end of the text
        finally:
            self._depth, self._loops = depth, loops

    def run_file(self, path: Path) -> None:
        """Carry out a file.

        Parameters
        ----------
        path : Path
            The file.

        Raises
        ------
        StorageError
            If it cannot be read.
        """
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)  # a device may have no end
            if len(data) > _MOST_BYTES:
                raise StorageError(f"{path}: has more than {_MOST_BYTES} bytes; this is no script")
            text = data.decode("utf-8")
        except UnicodeDecodeError as err:
            raise StorageError(f"{path}: is no text in UTF-8") from err
        except (OSError, ValueError) as err:
            reason = getattr(err, "strerror", None) or err
            raise StorageError(f"{path}: cannot be read ({reason})") from err
        self.run(text, str(path))

    def run_line(self, text: str, place: Place) -> None:
        """Carry out a line that another one holds, such as that behind ``remote``."""
        self._command(Place(place.name, place.number, text))

    def _body(self, body: Sequence[Statement]) -> None:
        self._depth += 1
        try:
            for statement in body:
                if self._depth > _DEEPEST:
                    raise error_at(statement.place, "macros and blocks go too deep into each other")
                self._statement(statement)
        finally:
            self._depth -= 1

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Sql(place):
                self._sql(place)
            case Dot(place):
                self._dot(place)
            case Command(place):
                self._command(place)
            case Block():
                self._block(statement)

    def _sql(self, place: Place) -> None:
        line = self._shell.scope.expand(place, braces=False)
        try:
            self._shell.answer(line.text)
        except DvoError as err:
            if not place.name:
                raise
            err.args = (f"{place}: {err}",)  # which of a script's queries it was
            raise

    def _dot(self, place: Place) -> None:
        line = self._shell.scope.expand(place)
        call = Call(self._shell, line)
        known = self.dots
        found = known.get(call.name.text)
        if found is None:
            hint = did_you_mean(call.name.text, known) or "; .help lists them"
            raise call.error(f"there is no {call.name.text}{hint}")
        call.usage = found.usage
        found.run(call)

    def _command(self, place: Place) -> None:
        scope = self._shell.scope
        if scope.assign(place):
            return
        line = scope.expand(place)
        if not line.text.strip():
            return
        call = Call(self._shell, line)
        name = call.name.text
        if name in _JUMPS:
            self._jump(call)
        if "[" in name and self._set_element(call):
            return
        macro = scope.macros.get(name)
        if macro is not None:
            self._macro(macro, call)
            return
        found = self.words.get(name.lower())
        if found is None:
            hint = did_you_mean(name, [*self.words, *scope.macros]) or "; help lists the words"
            raise call.error(f"there is no word {name!r}{hint}")
        call.usage = found.usage
        try:
            found.run(call)
        except ScriptError:
            raise
        except DvoError as err:
            if str(err).startswith(f"{line}: "):
                raise  # a word within this one has said it
            err.args = (f"{error_at(line, str(err), call.name.start, call.name.end)}",)
            raise

    def _jump(self, call: Call) -> None:
        if call.parts:
            raise call.error(f"nothing can come behind {call.name.text}")
        jump = _JUMPS[call.name.text]
        if jump is not _ReturnError and not self._loops:
            raise call.error(f"{call.name.text} belongs into a loop")
        raise jump

    def _set_element(self, call: Call) -> bool:
        """Carry out ``v[i] = value``; gives whether the line is that."""
        text = call.place.text
        start, stop, sign = text.find("["), text.find("]"), text.find("=")
        name = text[:start].strip()
        if not 0 <= start < stop < sign or text[stop + 1 : sign].strip():
            return False
        scope = self._shell.scope
        vector = scope.vectors.get(name)
        if vector is None:
            raise call.error(f"there is no vector {name!r}")
        index = scope.evaluate(text[start + 1 : stop], call.place, start + 1)
        value = scope.evaluate(text[sign + 1 :], call.place, sign + 1)
        if isinstance(index, str | np.ndarray) or isinstance(value, np.ndarray):
            raise call.error("one number and one value are needed")
        if not -len(vector) <= index < len(vector):
            raise call.error(
                f"vector {name} has {len(vector)} elements, and none of number {index}"
            )
        if isinstance(value, str) != (vector.dtype.kind in "US"):
            raise call.error("vectors hold numbers or text, not both")
        both = np.result_type(vector, np.asarray(value))
        changed = vector.astype(both)
        changed[int(index)] = value
        scope.vectors[name] = changed
        return True

    def _macro(self, macro: Block, call: Call) -> None:
        end = self._shell.scope.call_with([call.name.text, *call.texts])
        loops, self._loops = self._loops, 0
        self._locals.append({})
        try:
            self._body(macro.body)
        except _ReturnError:
            return
        finally:
            variables = self._shell.scope.variables
            for name, value in self._locals.pop().items():
                if value is None:
                    variables.pop(name, None)
                else:
                    variables[name] = value
            self._loops = loops
            end()

    def make_local(self, names: Sequence[str]) -> bool:
        """Have variables take their old values again when the macro ends.

        Parameters
        ----------
        names : sequence of str
            The variables.

        Returns
        -------
        bool
            Whether there is a macro.
        """
        if not self._locals:
            return False
        for name in names:
            self._locals[-1].setdefault(name, self._shell.scope.variables.get(name))
        return True

    def _block(self, block: Block) -> None:
        {
            "if": self._if,
            "for": self._for,
            "foreach": self._foreach,
            "while": self._while,
            "macro": self._define,
            "list": self._list,
        }[block.kind](block)

    def _if(self, block: Block) -> None:
        self._body(block.body if self._holds(block) else block.otherwise)

    def _holds(self, block: Block) -> bool:
        """Whether the condition behind ``if`` or ``while`` holds."""
        raw = block.place
        stop = end_of_condition(raw)
        head = Place(raw.name, raw.number, raw.text[:stop])
        line = self._shell.scope.expand(head)
        start = line.text.index("(")
        return is_true(self._shell.scope.evaluate(line.text[start:], line, start))

    def _for(self, block: Block) -> None:
        call = self._call_of(block.place, "VARIABLE START STOP [STEP]")
        if not 3 <= len(call.parts) <= 4:
            raise call.misuse()
        name = call.new_name(call.parts[0])
        start, stop, *steps = (call.number(part) for part in call.parts[1:])
        step = steps[0] if steps else 1.0
        if step == 0.0 or not np.isfinite([start, stop, step]).all():
            raise call.error("never ends: give a step that is not 0")
        value = start
        k = 0
        while value < stop if step > 0 else value > stop:
            self._shell.scope.set_number(name, value)
            if not self._round(block):
                return
            k += 1
            value = start + k * step

    def _foreach(self, block: Block) -> None:
        call = self._call_of(block.place, "VARIABLE WORD ...")
        if not call.parts:
            raise call.misuse()
        name = call.new_name(call.parts[0])
        for part in call.parts[1:]:
            self._shell.scope.variables[name] = part.text
            if not self._round(block):
                return

    def _while(self, block: Block) -> None:
        while self._holds(block):
            if not self._round(block):
                return

    def _round(self, block: Block) -> bool:
        """Go through a loop once; gives whether to go on."""
        self._loops += 1
        try:
            self._body(block.body)
        except _LeaveLoopError:
            return False
        except _NextRoundError:
            return True
        finally:
            self._loops -= 1
        return True

    def _define(self, block: Block) -> None:
        call = self._call_of(block.place, "NAME")
        names = call.texts[1:] if call.texts[:1] == ["create"] else call.texts
        if len(names) != 1:
            raise call.misuse()
        name = names[0]
        if name.lower() in self.words or name in _JUMPS:
            raise call.error(f"{name!r} is a word of the shell; take another name", call.parts[-1])
        self._shell.scope.macros[name] = block

    def _list(self, block: Block) -> None:
        call = self._call_of(block.place, "NAME")
        lines = [self._shell.scope.expand(s.place).text.strip() for s in block.body]
        self._shell.scope.set_list(call.new_name(call.parts[0]), lines)

    def _call_of(self, place: Place, usage: str) -> Call:
        return Call(self._shell, self._shell.scope.expand(place), usage)
