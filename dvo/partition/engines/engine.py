"""What an engine is, and results in the order of their groups."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol, Self, TypeVar

import pyarrow as pa

from dvo.errors import JobTimeoutError
from dvo.partition.operations import Job

__all__ = ["Engine", "in_order", "time_is_up"]


class Engine(Protocol):
    """Runs jobs. For one thread at a time; several jobs may be under way in turn."""

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job.

        Parameters
        ----------
        job : Job
            What to do.

        Yields
        ------
        pyarrow.Table
            The result of each group, in the order of the groups. A few groups ahead of the
            one asked for are worked on, no more, so that memory stays bounded. Closing the
            iterator gives up the rest. Groups that the job allows to be left out are in its
            `missing` at the end.

        Raises
        ------
        DvoError
            What the operation raised for the first group that failed.
        JobTimeoutError
            If the job takes longer than it may.
        QueryCancelledError
            If the job is cancelled; the engine can be used for the next one.
        """

    def places_of(self, groups: Sequence[Sequence[int]]) -> list[str]:
        """Say who would be given each of some groups, in words."""

    def close(self) -> None:
        """End what the engine has started; safe to call twice."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


F = TypeVar("F", bound=Future[pa.Table])


def in_order(
    submit: Callable[[Sequence[int]], F],
    job: Job,
    *,
    look_ahead: int,
    give_up: Callable[[F], object] = Future.cancel,
) -> Iterator[pa.Table]:
    """Hand out groups a few ahead, and give their results in the order of the groups.

    Parameters
    ----------
    submit : callable
        Begins the work on a group.
    job : Job
        Whose groups.
    look_ahead : int
        How many groups may be under way, or done and not yet asked for, beside the one that
        is asked for.
    give_up : callable
        What to do with a group that is not wanted any more.

    Yields
    ------
    pyarrow.Table
        Results.
    """
    end = None if job.timeout_s is None else time.monotonic() + job.timeout_s
    waiting: deque[F] = deque()
    try:
        for group in job.groups:
            waiting.append(submit(group))
            if len(waiting) > look_ahead:
                yield _next(waiting, job, end)
        while waiting:
            yield _next(waiting, job, end)
    finally:
        for future in waiting:
            give_up(future)


def _next(waiting: deque[F], job: Job, end: float | None) -> pa.Table:
    first = waiting[0]
    if not first.done():
        bell = threading.Event()
        first.add_done_callback(lambda _: bell.set())
        with job.cancellation.calling(bell.set):
            is_done = bell.wait(None if end is None else max(0.0, end - time.monotonic()))
        job.cancellation.check()
        if not is_done:
            raise time_is_up(job)
    waiting.popleft()
    return first.result()


def time_is_up(job: Job) -> JobTimeoutError:
    """Make the error of a job that takes too long."""
    return JobTimeoutError(
        f"{job.operation!r} was not done in {job.timeout_s:g} s; ask for less, or allow more time"
    )
