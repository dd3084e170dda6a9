"""The prompt: lines with history, completion and colours, and a shell behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer

from dvo.errors import DvoError
from dvo.shell.completion import Known, candidates
from dvo.shell.script import is_complete, statement_kind

if TYPE_CHECKING:
    from dvo.shell.background import Background
    from dvo.shell.session import Shell

__all__ = ["history_of_user", "run_prompt"]

_WITH_PATHS = ("input", "png", "write", "read", ".output")
_GREETING = "SQL ends with ; - help lists the words, .help the dot commands, Ctrl-D leaves"


def history_of_user() -> History:
    """Open the history of lines in the user's folder; without one it lasts for the session.

    It is ``dvo/history`` in ``$XDG_STATE_HOME``, or else in ``~/.local/state``.

    Returns
    -------
    History
        The history.
    """
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "dvo"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "history"
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


class _Completer(Completer):
    """Completion from what the shell knows, once its database is open."""

    def __init__(self, find: Callable[[], Known | None]) -> None:
        self._find = find
        self._paths = PathCompleter(expanduser=False)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor
        line = document.current_line_before_cursor
        if line.split(" ", 1)[0] in _WITH_PATHS and " " in line:
            part = line.rpartition(" ")[2]
            yield from self._paths.get_completions(Document(part, len(part)), complete_event)
            return
        known = self._find()
        after = document.text_after_cursor
        for found in candidates(text, known, after) if known is not None else ():
            yield Completion(found.text, found.start, display_meta=found.about)


class _Colours(Lexer):
    """Colours for SQL; words of DVO stay as they are."""

    def __init__(self) -> None:
        from pygments.lexers.sql import SqlLexer  # noqa: PLC0415 - slow to import

        self._sql = PygmentsLexer(SqlLexer)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        if statement_kind(document.text) == "sql":
            return self._sql.lex_document(document)
        lines = document.lines
        return lambda number: [("", lines[number])]


def _keys() -> KeyBindings:
    """Enter ends a statement that is whole, and else begins a new line of it."""
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def run_prompt(
    name: str,
    background: Background,
    make_shell: Callable[[], Shell],
    tell: Callable[[str], object],
) -> None:
    """Read lines and carry them out until the user leaves.

    Parameters
    ----------
    name : str
        What to call the database.
    background : Background
        Opens it while the first line is typed.
    make_shell : callable
        Makes the shell, once it is needed.
    tell : callable
        Prints a remark.

    Raises
    ------
    DvoError
        If the database cannot be opened.
    """
    shell: Shell | None = None

    def known() -> Known | None:
        nonlocal shell
        if shell is None:
            if not background.is_ready:
                return None
            shell = make_shell()
        return shell.known()

    session: PromptSession[str] = PromptSession(
        f"{name}> ", history=history_of_user(), completer=_Completer(known), lexer=_Colours(),
        multiline=True, key_bindings=_keys(), complete_while_typing=False,
        prompt_continuation=lambda width, _line, _wrapped: "... ".rjust(width),
        enable_open_in_editor=True,
    )  # fmt: skip
    tell(_GREETING)
    try:
        while True:
            try:
                text = session.prompt(pre_run=background.start)
            except KeyboardInterrupt:
                continue  # the line is given up
            except EOFError:
                return
            if shell is None:
                _ = background.database  # which may be none
                shell = make_shell()
            if not _carry_out(shell, text, tell):
                return
    finally:
        if shell is not None:
            shell.close()
        else:
            background.close()


def _carry_out(shell: Shell, text: str, tell: Callable[[str], object]) -> bool:
    """Carry out what was typed; gives False if the user wants to leave."""
    from dvo.shell.language_words import QuitError  # noqa: PLC0415 - keeps the start quick
    from dvo.shell.picture_words import show_display  # noqa: PLC0415

    try:
        shell.run(text)
        show_display(shell)
    except QuitError:
        return False
    except KeyboardInterrupt:
        tell("stopped")
    except DvoError as err:
        tell(str(err))
    except RecursionError:
        tell("is nested too deeply; make it in steps")
    except MemoryError:
        tell("there is not enough memory for that")
    return True
