"""Seeing how far a query has come, and stopping it, from another thread than its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dvo.errors import QueryCancelledError

if TYPE_CHECKING:
    from dvo.query.evaluator import Evaluator

__all__ = ["Watch"]


class Watch:
    """Goes along with one query.

    Its numbers may be read at any time: groups of regions that are done, those there are as
    far as is known, and rows that came of them.
    """

    def __init__(self) -> None:
        self.groups_done = 0
        self.groups = 0
        self.rows = 0
        self._is_cancelled = threading.Event()
        self._evaluators: list[Evaluator] = []

    def over(self, evaluator: Evaluator) -> None:
        """Take in an evaluator of the query's thread, to be stopped with the query."""
        if evaluator not in self._evaluators:
            self._evaluators.append(evaluator)
        self.check()

    def expect(self, groups: int) -> None:
        """Take note of groups that are to come."""
        self.groups += groups
        self.check()

    def step(self, rows: int) -> None:
        """Take note of a group that is done."""
        self.groups_done += 1
        self.rows += rows
        self.check()

    def check(self) -> None:
        """End the query if it has been cancelled.

        Raises
        ------
        QueryCancelledError
            If it has.
        """
        if self._is_cancelled.is_set():
            raise QueryCancelledError("query: cancelled")

    def cancel(self) -> None:
        """Have the query end at the next occasion; from any thread, and as often as wanted."""
        self._is_cancelled.set()
        for evaluator in tuple(self._evaluators):
            evaluator.cancel()
