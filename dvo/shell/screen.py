"""What the shell says, and how results are written; the program that has the shell provides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Screen"]


@dataclass(frozen=True)
class Screen:
    """The ways out of the shell.

    Parameters
    ----------
    say : callable
        Prints a text on stdout.
    tell : callable
        Prints a remark on stderr.
    progress : callable
        Shows how far something has come, over and over in one line; takes it away if told
        nothing.
    write : callable
        Writes a table in a form to a file that is open for bytes, with lines of some width
        at most; None for any.
    page : callable
        Shows a long text page by page.
    width, height : callable
        Size of the terminal, in characters.
    has_colours : bool
        Whether it has colours.
    is_interactive : bool
        Whether somebody sits before it.
    """

    say: Callable[[str], object]
    tell: Callable[[str], object]
    progress: Callable[[str], object]
    write: Callable[[pa.Table, str, Any, int | None], object]
    page: Callable[[str], object]
    width: Callable[[], int]
    height: Callable[[], int]
    has_colours: bool
    is_interactive: bool
