"""The engine that works in a pool of processes of this machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Self

import pyarrow as pa

from dvo.errors import DvoError, EngineError, WorkerLostError
from dvo.partition.engines.channel import Sheet
from dvo.partition.engines.engine import in_order
from dvo.partition.engines.worker_process import GivenUpError, JobOrders, WorkerProcess
from dvo.partition.operations import MODULES, Job
from dvo.partition.store import DEFAULT_CACHE_BYTES, Store

__all__ = ["ProcessEngine"]


class _Task(Future[pa.Table]):
    """A group to be done, and its result in time."""

    def __init__(self, job: JobOrders, group: Sequence[int], home: int) -> None:
        super().__init__()
        self.job = job
        self.group = group
        self.home = home
        self.is_wanted = True


class ProcessEngine:
    """Runs operations in worker processes, which stay warm from job to job.

    A group goes to the worker that had it before, if that one is free, because its cache
    holds the tiles; else to any other. A worker starts when it is first needed. If it dies,
    its group is run once more in a new one.

    Parameters
    ----------
    store : Store
        The database; only its folder is used, workers open it for themselves.
    snapshot : int
        Which state jobs see that do not say which.
    workers : int, optional
        How many processes; None for as many as there are processors.
    cache_bytes : int
        Memory for decoded tiles, of all workers together.
    modules : sequence of str
        Modules that register operations.
    """

    def __init__(
        self,
        store: Store,
        snapshot: int,
        *,
        workers: int | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        modules: Sequence[str] = MODULES,
    ) -> None:
        self._n = len(os.sched_getaffinity(0)) if workers is None else workers
        if self._n < 1:
            raise EngineError(f"{workers} workers: give 1 or more")
        self._snapshot = snapshot
        self._opening = {
            "catdir": str(store.catdir.absolute()),
            "modules": list(modules),
            "cache_bytes": cache_bytes // self._n,
        }
        self._tasks: list[_Task] = []
        self._changed = threading.Condition()
        self._is_open = True
        self._idle: set[int] = set()
        self._processes: dict[int, WorkerProcess] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(k,), name=f"dvo-worker-{k}", daemon=True)
            for k in range(self._n)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that there are now."""
        return [process.pid for process in self._processes.values()]

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job; see `Engine.run`."""
        header = {
            "operation": job.operation,
            "request": job.request_text,
            "snapshot": self._snapshot if job.snapshot is None else job.snapshot,
        }
        orders = JobOrders(header, {name: Sheet(table) for name, table in job.tables.items()})
        submit = partial(self._submit, orders)
        yield from in_order(submit, job, look_ahead=2 * self._n, give_up=self._give_up)

    def _submit(self, job: JobOrders, group: Sequence[int]) -> _Task:
        # Neighbours go to different workers, and the same group to the same one again.
        home = (group[0] if group else 0) * 2654435761 % 2**32 * self._n >> 32
        task = _Task(job, group, home)
        with self._changed:
            if not self._is_open:
                raise EngineError("the engine is closed; open it again")
            self._tasks.append(task)
            self._changed.notify_all()
        return task

    def _give_up(self, task: _Task) -> None:
        with self._changed:
            task.is_wanted = False
            if task in self._tasks:
                self._tasks.remove(task)

    def _take(self, number: int) -> _Task | None:
        """Wait for a task: one of this worker's own, else one whose worker is busy."""
        with self._changed:
            self._idle.add(number)
            while self._is_open:
                own = (t for t in self._tasks if t.home == number)
                others = (t for t in self._tasks if t.home not in self._idle)
                task = next(itertools.chain(own, others), None)
                if task is not None:
                    self._tasks.remove(task)
                    self._idle.remove(number)
                    self._changed.notify_all()
                    return task
                self._changed.wait()
        return None

    def _work(self, number: int) -> None:
        process: WorkerProcess | None = None
        try:
            while (task := self._take(number)) is not None:
                process = self._do(number, task, process)
        finally:
            if process is not None:
                process.end()

    def _do(self, number: int, task: _Task, process: WorkerProcess | None) -> WorkerProcess | None:
        """Have a task done; gives the process that can do the next one, if it is alive."""
        ends: list[str] = []
        while len(ends) < 2 and self._wants(task):
            try:
                if process is None:
                    process = self._processes[number] = WorkerProcess(self._opening)
                _settle(task, process.ask(task.job, task.group, partial(self._wants, task)))
            except (EOFError, OSError, GivenUpError) as err:
                ends.append(process.end() if process is not None else str(err))
                self._processes.pop(number, None)
                process = None
            else:
                return process
        _settle(task, _lost(task.group, ends) if self._wants(task) else _given_up())
        return process

    def _wants(self, task: _Task) -> bool:
        return task.is_wanted and self._is_open

    def places_of(self, groups: Sequence[Sequence[int]]) -> list[str]:
        """Say who would be given each of some groups; see `Engine.places_of`."""
        return ["a worker process"] * len(groups)

    def close(self) -> None:
        """End the workers; safe to call twice."""
        with self._changed:
            self._is_open = False
            tasks, self._tasks = self._tasks, []
            self._changed.notify_all()
        for task in tasks:
            _settle(task, _given_up())
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _settle(future: Future[pa.Table], answer: pa.Table | DvoError) -> None:
    with contextlib.suppress(InvalidStateError):
        if isinstance(answer, DvoError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _given_up() -> EngineError:
    return EngineError("the job was given up, or its engine closed, before it was done")


def _lost(group: Sequence[int], ends: Sequence[str]) -> WorkerLostError:
    return WorkerLostError(
        f"the worker process for {_named(group)} ended twice ({', '.join(ends)}); "
        "signal 9 often means that memory ran out: use fewer workers, or ask for less"
    )


def _named(group: Sequence[int]) -> str:
    if len(group) == 1:
        return f"region {group[0]}"
    return f"regions {group[0]} to {group[-1]}" if group else "no regions"
