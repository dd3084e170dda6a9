"""Words of the language itself: echo, list, local, input, sprintf, help, quit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dvo.errors import ScriptError
from dvo.shell.arithmetic import text_of_number
from dvo.shell.call import Call, Word

__all__ = ["WORDS", "QuitError"]

_FORMAT = re.compile(r"%(%|[-+ 0#]*\d{0,3}(?:\.\d{1,3})?(?:l|ll|h)?[dixXucsfFeEgG])")


class QuitError(Exception):
    """The user wants to leave."""


def _echo(call: Call) -> None:
    call.shell.screen.say(_spoken(call))


def _spoken(call: Call) -> str:
    """The line behind its word, without quotes."""
    return call.place.text[call.name.end :].strip().replace('"', "")


def _list(call: Call) -> None:
    if len(call.parts) < 2:
        raise call.misuse()
    name = call.new_name(call.parts[0])
    option, words = call.parts[1], call.texts[2:]
    scope = call.shell.scope
    if option.text == "-add":
        count = int(scope.find(f"{name}:n") or 0)
        scope.set_list(name, [*(scope.variables[f"{name}:{k}"] for k in range(count)), *words])
    elif option.text == "-split":
        scope.set_list(name, [w for word in words for w in word.split()])
    elif option.text == "-x":
        raise call.error("programs are not run from here", option)
    else:
        raise call.error(f"list has no option {option.text}", option)


def _local(call: Call) -> None:
    names = [call.new_name(part) for part in call.parts]
    if not call.shell.interpreter.make_local(names):
        raise call.error("local belongs into a macro")


def _input(call: Call) -> None:
    (path,) = call.need(1)
    call.shell.interpreter.run_file(Path(path.text))


def _sprintf(call: Call) -> None:
    if len(call.parts) < 2:
        raise call.misuse()
    call.shell.scope.variables[call.new_name(call.parts[0])] = _formatted(call)


def _formatted(call: Call) -> str:
    """The text of a format and values."""
    form, values = call.parts[1], list(call.parts[2:])

    def replace(match: re.Match[str]) -> str:
        code = match.group(1)
        if code == "%":
            return "%"
        if not values:
            raise call.error("has more % than there are values", form)
        part = values.pop(0)
        if code[-1] in "cs":
            return ("%" + code) % part.text
        number = call.number(part)
        if code[-1] in "diuxX" and not np.isfinite(number):
            raise call.error(f"{part.text} is no whole number", part)
        plain = re.sub(r"[lh]", "", code)
        return ("%" + plain) % (int(number) if code[-1] in "diuxX" else number)

    return _FORMAT.sub(replace, form.text)


def _variables(call: Call) -> None:
    lines = [f"${name} = {value}" for name, value in sorted(call.shell.scope.variables.items())]
    call.shell.screen.say("\n".join(lines) if lines else "no variables")


def _help(call: Call) -> None:
    known, keywords = call.shell.interpreter.words, call.shell.interpreter.keywords
    if call.parts:
        name = call.parts[0].text.lower()
        if name in keywords:
            usage, summary = keywords[name]
        elif name in known:
            usage, summary = known[name].usage, known[name].summary
        else:
            raise call.error(f"there is no word {name!r}", call.parts[0])
        call.shell.screen.say(f"{name} {usage}".rstrip() + f"\n  {summary}")
        return
    lines = [f"  {n:12s} {w.summary}" for n, w in sorted(known.items())]
    lines += [f"  {n:12s} {summary}" for n, (_, summary) in keywords.items()]
    call.shell.screen.say(
        "SELECT ... ; is SQL; .help lists the dot commands; help WORD says how it is written\n"
        + "\n".join(lines)
    )


def _quit(call: Call) -> None:
    call.need(0)
    raise QuitError


def _strlen(call: Call) -> None:
    text, name = call.need(2)
    call.shell.scope.set_number(call.new_name(name), len(text.text))


def _substr(call: Call) -> None:
    text, start, count, name = call.need(4)
    first, length = int(call.number(start)), int(call.number(count))
    if first < 0 or length < 0:
        raise call.error("start and number of characters cannot be negative")
    call.shell.scope.variables[call.new_name(name)] = text.text[first : first + length]


def _set(call: Call) -> None:
    name, value = call.assigned()
    scope = call.shell.scope
    if isinstance(value, np.ndarray):
        scope.set_vector(name, value)
    elif name in scope.vectors:
        raise call.error(
            f"{name} is a vector of {len(scope.vectors[name])} elements; delete it first, or give "
            f"them all: {name} * 0 + {text_of_number(value)}"
        )
    else:
        scope.set_number(name, value)


def _error(call: Call) -> None:
    raise ScriptError(f"{call.place}: {_spoken(call)}")


WORDS = (
    Word("echo", "TEXT", "print a line", _echo),
    Word("error", "TEXT", "end the script with a message", _error),
    Word("help", "[WORD]", "list the words, or say how one is written", _help),
    Word("input", "FILE", "carry out a script", _input),
    Word("list", "NAME -add WORD ... | NAME -split TEXT | NAME, lines, end",
         "make a list: $NAME:0, $NAME:1, ..., $NAME:n of them", _list),
    Word("local", "NAME ...", "have variables take their old values when the macro ends", _local),
    Word("quit", "", "leave the shell", _quit),
    Word("exit", "", "leave the shell", _quit),
    Word("set", "NAME = EXPRESSION", "make a vector, or a variable of a single value", _set),
    Word("sprintf", "VARIABLE FORMAT VALUE ...", "make a text of values, as C does", _sprintf),
    Word("strlen", "TEXT VARIABLE", "count the characters of a text", _strlen),
    Word("substr", "TEXT START COUNT VARIABLE", "take a part of a text, from 0", _substr),
    Word("??", "", "list the variables", _variables),
)  # fmt: skip
