"""Queries run in a thread of their own, so that Ctrl-C stops them and not the shell."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from dvo.errors import QueryCancelledError

if TYPE_CHECKING:
    from dvo.query.session import Database
    from dvo.query.watch import Watch

__all__ = ["Background"]

T = TypeVar("T")

_LOOK_EVERY_S = 0.1


class Background:
    """A thread that holds the database, and works for one who waits.

    Parameters
    ----------
    open_database : callable
        Opens the database; it is called in the thread, when it is started or first needed,
        so that the first line can be typed meanwhile.
    """

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._pool = ThreadPoolExecutor(1, "dvo-shell")
        self._open = open_database
        self._opened: Future[Database] | None = None

    def start(self) -> None:
        """Begin to open the database, if that has not been done; does not wait."""
        if self._opened is None:
            self._opened = self._pool.submit(self._open)

    @property
    def is_ready(self) -> bool:
        """Whether the database is open."""
        opened = self._opened
        return opened is not None and opened.done() and opened.exception() is None

    @property
    def database(self) -> Database:
        """The database; waits until it is open.

        Raises
        ------
        DvoError
            If it cannot be opened.
        """
        self.start()
        assert self._opened is not None
        return self._opened.result()

    def run(
        self,
        work: Callable[[Database, Watch], T],
        told: Callable[[Watch, float], object] = lambda _watch, _seconds: None,
    ) -> T:
        """Do something with the database, and wait for it.

        Parameters
        ----------
        work : callable
            What to do.
        told : callable
            Called now and then with how far it has come, and the time since it began [s].

        Returns
        -------
        object
            What the work gave.

        Raises
        ------
        QueryCancelledError
            If Ctrl-C came.
        """
        from dvo.query.watch import Watch  # noqa: PLC0415 - keeps the start quick

        database = self.database
        watch = Watch()
        began = time.monotonic()
        future = self._pool.submit(work, database, watch)
        while True:
            try:
                wait([future], _LOOK_EVERY_S)
                if future.done():
                    return future.result()
                told(watch, time.monotonic() - began)
            except KeyboardInterrupt:
                if future.done():
                    raise
                watch.cancel()
                self._let_it_end(future)
                raise QueryCancelledError("cancelled; nothing was changed") from None

    def _let_it_end(self, future: Future[T]) -> None:
        """Wait for what was cancelled: it ends with the group of regions that it is at."""
        while not future.done():
            try:
                wait([future], _LOOK_EVERY_S)
            except KeyboardInterrupt:
                continue  # once more does not make it end sooner

    def close(self) -> None:
        """Close the database and end the thread; safe to call twice."""

        opened, self._opened = self._opened, None
        if opened is not None and opened.exception() is None:
            self._pool.submit(opened.result().close).result()
        self._pool.shutdown()
