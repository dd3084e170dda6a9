"""The engine that works in this process, in the caller's thread or in a few of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

import pyarrow as pa

from dvo.partition.engines.engine import in_order, time_is_up
from dvo.partition.operations import Job, Views, Work, run_operation
from dvo.partition.store import Store

__all__ = ["InlineEngine"]


class InlineEngine:
    """Runs operations here.

    Parameters
    ----------
    store : Store
        The database, which stays open for as long as the engine is used.
    snapshot : int
        Which state jobs see that do not say which.
    threads : int
        Groups that are worked on at a time. Nothing is done ahead with 1, for a job of one
        group, and for a job that may end early.
    """

    def __init__(self, store: Store, snapshot: int, *, threads: int = 1) -> None:
        self._views = Views(store)
        self._snapshot = snapshot
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job; see `Engine.run`."""
        if self._threads > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "dvo-inline")
        one_by_one = self._pool is None or len(job.groups) < 2 or job.may_end_early
        # What has begun in a thread goes on unless it is told that nobody waits for it.
        with job.cancellation.part() as part, part.after(job.timeout_s, partial(time_is_up, job)):
            work = Work(cancellation=part)
            if self._pool is None or one_by_one:
                for group in job.groups:
                    yield self._result(job, work, group)
            else:
                submit = partial(self._submit, self._pool, job, work)
                yield from in_order(submit, job, look_ahead=self._threads)

    def _submit(
        self, pool: ThreadPoolExecutor, job: Job, work: Work, group: Sequence[int]
    ) -> Future[pa.Table]:
        return pool.submit(self._result, job, work, group)

    def _result(self, job: Job, work: Work, group: Sequence[int]) -> pa.Table:
        view = self._views.at(self._snapshot if job.snapshot is None else job.snapshot)
        return run_operation(job.operation, view, group, job.request_text, job.tables, work)

    def places_of(self, groups: Sequence[Sequence[int]]) -> list[str]:
        """Say who would be given each of some groups; see `Engine.places_of`."""
        return ["this process"] * len(groups)

    def close(self) -> None:
        """End the threads; safe to call twice."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
