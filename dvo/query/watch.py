"""Seeing how far a query has come, and stopping it, from another thread than its own."""

from __future__ import annotations

from dvo.partition.cancellation import Cancellation

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
        self.cancellation = Cancellation()

    def expect(self, groups: int) -> None:
        """Take note of groups that are to come."""
        self.groups += groups

    def step(self, rows: int) -> None:
        """Take note of a group that is done."""
        self.groups_done += 1
        self.rows += rows

    def cancel(self) -> None:
        """Have the query end with an error; from any thread, and as often as wanted."""
        self.cancellation.cancel()
