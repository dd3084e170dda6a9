"""Progress of long jobs: one line on stderr, and only where a person can see it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

__all__ = ["show_progress"]

_PAUSE_S = 0.2


@contextmanager
def show_progress(words: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show how far a job is, while it runs.

    Parameters
    ----------
    words : str
        What is counted, such as ``regions``.

    Yields
    ------
    callable or None
        To be called with what is done and what there is in all; None where stderr is no
        terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    shown = 0.0

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > _PAUSE_S or done == total:
            shown = now
            click.echo(f"\r{done} of {total} {words}", err=True, nl=done == total)

    yield show
