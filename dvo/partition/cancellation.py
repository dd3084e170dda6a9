"""Telling work that nobody wants it any more, from any thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from dvo.errors import DvoError, QueryCancelledError

__all__ = ["Cancellation"]


class Cancellation:
    """Whether some work is still wanted, and what to do when it is not.

    Work that takes long looks at it now and then (`check`), or says how it can be stopped
    (`calling`). Any thread may cancel.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._reason: DvoError | None = None
        self._hooks: list[Callable[[], object]] = []

    @property
    def is_cancelled(self) -> bool:
        """Whether the work is not wanted any more."""
        return self._reason is not None

    def cancel(self, reason: DvoError | None = None) -> None:
        """Have the work end with an error; what came first counts.

        Parameters
        ----------
        reason : DvoError, optional
            The error; None for a `QueryCancelledError`.
        """
        with self._mutex:
            if self._reason is not None:
                return
            self._reason = reason or QueryCancelledError("query: cancelled")
            hooks = list(self._hooks)
        for hook in hooks:
            hook()

    def check(self) -> None:
        """Raise the reason if the work is not wanted any more."""
        if self._reason is not None:
            raise self._reason

    @contextlib.contextmanager
    def calling(self, hook: Callable[[], object]) -> Iterator[None]:
        """While the block runs, have a cancel call a function.

        Parameters
        ----------
        hook : callable
            Called once, in the thread that cancels; it must return at once.

        Yields
        ------
        None
            For the block.

        Raises
        ------
        DvoError
            The reason, if the work is cancelled already.
        """
        with self._mutex:
            if self._reason is None:
                self._hooks.append(hook)
        self.check()
        try:
            yield
        finally:
            with self._mutex:
                self._hooks.remove(hook)

    @contextlib.contextmanager
    def part(self) -> Iterator[Cancellation]:
        """Make one for a part of the work, which nobody wants after the block.

        Yields
        ------
        Cancellation
            Cancelled with this one, or at the end of the block.
        """
        inner = Cancellation()
        with self.calling(lambda: inner.cancel(self._reason)):
            try:
                yield inner
            finally:
                inner.cancel()

    @contextlib.contextmanager
    def after(self, seconds: float | None, reason: Callable[[], DvoError]) -> Iterator[None]:
        """Cancel if the block takes too long.

        Parameters
        ----------
        seconds : float or None
            How long it may take [s]; None for as long as it takes.
        reason : callable
            Makes the error of what takes longer.

        Yields
        ------
        None
            For the block.
        """
        if seconds is None:
            yield
            return
        timer = threading.Timer(max(seconds, 0.0), lambda: self.cancel(reason()))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
