"""Run many short jobs over a few threads.

Kernels, deflate and file reads let go of the GIL, so threads are enough. Workers take
jobs from one shared iterator: thousands of jobs of 50 microseconds each would spend more
time in a queue of futures than at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

__all__ = ["run_jobs"]

T = TypeVar("T")


def run_jobs(work: Callable[[T], None], jobs: Sequence[T], threads: int) -> None:
    """Call a function for each job, in any order.

    Parameters
    ----------
    work : callable
        Does one job.
    jobs : sequence
        The jobs.
    threads : int
        Threads to use, which see the context variables of the caller; with 1 everything
        happens in the calling thread, in order.

    Raises
    ------
    Exception
        The first error of a job; jobs not yet begun are dropped.
    """
    threads = min(threads, len(jobs))
    if threads <= 1:
        for job in jobs:
            work(job)
        return
    todo = list(reversed(jobs))

    def worker() -> None:
        while True:
            try:
                job = todo.pop()  # atomic
            except IndexError:
                return
            try:
                work(job)
            except BaseException:
                todo.clear()
                raise

    with ThreadPoolExecutor(threads - 1) as pool:
        futures = [pool.submit(copy_context().run, worker) for _ in range(threads - 1)]
        worker()
    for future in futures:
        future.result()
