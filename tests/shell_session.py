"""A shell without a terminal, for tests: what it says is kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dvo
from dvo.cli.output import Output
from dvo.shell.background import Background
from dvo.shell.screen import Screen
from dvo.shell.session import Shell
from dvo.shell.settings import Settings

__all__ = ["Session", "open_session"]


class Session:
    """A shell and what it said."""

    def __init__(self, catdir: Path, **settings: Any) -> None:
        self.said: list[str] = []
        self.told: list[str] = []
        screen = Screen(
            say=self.said.append,
            tell=self.told.append,
            progress=lambda _text: None,
            write=lambda table, form, file, width: Output(form, None, width).write_to(
                table, (), file
            ),
            page=self.said.append,
            width=lambda: 100,
            height=lambda: 40,
            has_colours=False,
            is_interactive=False,
        )
        background = Background(lambda: dvo.open(catdir))
        self.shell = Shell(catdir, background, screen, Settings(**settings))

    @property
    def vectors(self) -> dict[str, Any]:
        return self.shell.scope.vectors

    @property
    def variables(self) -> dict[str, str]:
        return self.shell.scope.variables

    def run(self, text: str) -> str:
        """Carry out a text; gives what was said."""
        self.said.clear()
        self.shell.run(text)
        out = io.StringIO()
        for line in self.said:
            print(line, file=out)
        return out.getvalue()


@contextmanager
def open_session(catdir: Path, **settings: Any) -> Iterator[Session]:
    session = Session(catdir, **settings)
    try:
        yield session
    finally:
        session.shell.close()
