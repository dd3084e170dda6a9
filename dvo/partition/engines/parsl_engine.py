"""The engine that works by Parsl: on a cluster with a batch system, or on this machine.

For people who have a batch system and a shared file system, and no partition hosts. Every
worker opens the database for itself. Parsl pickles what it sends to its own workers, which run
as the user who asks: names, JSON texts and Arrow IPC streams are all that we give it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from parsl.config import Config
from parsl.dataflow.dflow import DataFlowKernel
from parsl.errors import ParslError
from parsl.executors import HighThroughputExecutor
from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SrunLauncher
from parsl.providers import LocalProvider, SlurmProvider

from dvo.errors import DvoError, EngineError, UnknownSnapshotError, WorkerLostError, error_of
from dvo.partition.engines.engine import in_order
from dvo.partition.operations import (
    MODULES,
    ONE_THREAD,
    Job,
    Views,
    Work,
    load_operations,
    run_operation,
)
from dvo.partition.store import Store

__all__ = ["ParslEngine", "local_config", "slurm_config"]

_ADDRESS = "127.0.0.1"
_GRACE_S = 3.0
"""How long workers may go on with what nobody wants any more before they are replaced."""


class ParslEngine:
    """Runs operations by Parsl.

    Parameters
    ----------
    store : Store
        The database; its folder must be the same path for all workers.
    snapshot : int
        Which state jobs see that do not say which.
    workers : int, optional
        How many workers (of each node); None for as many as there are processors.
    config : parsl.Config, optional
        Where and how Parsl works; None for Slurm where its commands are, else for processes
        of this machine.
    modules : sequence of str
        Modules that register operations.
    """

    def __init__(
        self,
        store: Store,
        snapshot: int,
        *,
        workers: int | None = None,
        config: Config | None = None,
        modules: Sequence[str] = MODULES,
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._modules = tuple(modules)
        self._ahead = 2 * (workers or 4)
        self._abandoned: list[Any] = []
        has_slurm = shutil.which("sbatch") is not None
        # What Parsl notes of a run is of no use after it. Nodes of a cluster share the home.
        self._folder = Path(
            tempfile.mkdtemp(prefix=".dvo-parsl-", dir=Path.home() if has_slurm else None)
        )
        try:
            make = slurm_config if has_slurm else local_config
            # Of a configuration that was given there is no second: Parsl uses it up.
            self._make = None if config is not None else partial(make, self._folder, workers)
            self._kernel: DataFlowKernel | None = DataFlowKernel(
                config or make(self._folder, workers)
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job; see `Engine.run`."""
        self._free_workers()
        if self._kernel is None:
            raise EngineError("the engine is closed; open it again")
        number = self._snapshot if job.snapshot is None else job.snapshot
        given = (
            str(self._store.catdir.absolute()),
            self._modules,
            self._store.manifest.snapshot(number).token,
            job.operation,
            job.request_text,
            {name: _to_bytes(table) for name, table in job.tables.items()},
        )
        found = in_order(
            partial(self._submit, self._kernel, given), job, look_ahead=self._ahead,
            give_up=self._abandoned.append,
        )  # fmt: skip
        for answer in _told(found):
            if isinstance(answer, bytes):
                yield pa.ipc.open_stream(answer).read_all()
            else:
                raise error_of(*answer)

    def _free_workers(self) -> None:
        """Begin with new workers if the old ones are at what nobody wants any more.

        Parsl cannot call a group back. It is only a few, and soon done as a rule.
        """
        _, endless = wait(self._abandoned, _GRACE_S)
        self._abandoned.clear()
        if endless and self._make is not None and self._kernel is not None:
            old, self._kernel = self._kernel, None
            old.cleanup()
            self._kernel = DataFlowKernel(self._make())

    def _submit(self, kernel: DataFlowKernel, given: tuple[Any, ...], group: Sequence[int]) -> Any:
        words = (*given, [int(r) for r in group])
        return kernel.submit(do_group, words, "all", False, (), {})

    def places_of(self, groups: Sequence[Sequence[int]]) -> list[str]:
        """Say who would be given each of some groups; see `Engine.places_of`."""
        return ["a worker of Parsl"] * len(groups)

    def close(self) -> None:
        """End the workers; safe to call twice."""
        if self._kernel is not None:
            self._kernel.cleanup()
            self._kernel = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _told(answers: Iterator[Any]) -> Iterator[Any]:
    """The answers; what Parsl raises is told in our words."""
    try:
        yield from answers
    except (ParslError, WorkerLost, ManagerLost) as err:
        raise WorkerLostError(f"Parsl gave up: {err}") from err


def do_group(
    catdir: str,
    modules: tuple[str, ...],
    token: str,
    operation: str,
    request_text: str,
    tables: Mapping[str, bytes],
    regions: list[int],
) -> bytes | tuple[str, str]:
    """Run an operation on a group of regions in a worker of Parsl.

    Parameters
    ----------
    catdir : str
        The database directory.
    modules : tuple of str
        Modules that register operations.
    token : str
        Token of the snapshot.
    operation, request_text : str
        What is asked.
    tables : mapping of str to bytes
        Tables that go along, as Arrow IPC streams.
    regions : list of int
        The group.

    Returns
    -------
    bytes, or tuple of str
        The result as an Arrow IPC stream; or code and text of an error.
    """
    try:
        load_operations(modules)
        store, views = _opened(catdir)
        row = store.manifest.snapshot(int(token[:8]))
        if row.token != token:
            raise UnknownSnapshotError(
                f"{catdir}: is not the same database for workers; give a path of a shared disk"
            )
        given = {name: pa.ipc.open_stream(data).read_all() for name, data in tables.items()}
        work = Work(f"process {os.getpid()} on {socket.gethostname()}")
        view = views.at(row.id)
        return _to_bytes(run_operation(operation, view, regions, request_text, given, work))
    except DvoError as err:
        return err.code, str(err)


@lru_cache(maxsize=1)
def _opened(catdir: str) -> tuple[Store, Views]:
    """The database, which a worker keeps open from group to group."""
    store = Store(Path(catdir))
    return store, Views(store)


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def local_config(folder: Path, workers: int | None) -> Config:
    """Configure Parsl for processes of this machine.

    Parameters
    ----------
    folder : Path
        Where Parsl may write.
    workers : int or None
        How many processes; None for as many as there are processors.

    Returns
    -------
    parsl.Config
        The configuration.
    """
    provider = _LocalProvider(folder)
    return _config(folder, provider, workers, address=_ADDRESS)


class _LocalProvider(LocalProvider):
    """Starts workers on this machine as new programs.

    Parsl's own forks in a thread and runs Python in the child, which crashes as soon as this
    process has evaluated a query.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(init_blocks=1, max_blocks=1, worker_init=_worker_init())  # type: ignore[no-untyped-call]
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, command: str, tasks_per_node: int, job_name: str = "dvo") -> str:
        """Start workers; see Parsl."""
        errors = self._folder / f"{job_name}.err"
        with errors.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"{self.worker_init}\n{command}"],
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            )  # fmt: skip
        job_id = str(process.pid)
        self._processes[job_id] = process
        self.resources[job_id] = {"job_id": job_id, "tasks_per_node": tasks_per_node}
        return job_id

    def status(self, job_ids: Sequence[Any]) -> list[JobStatus]:
        """Tell which still work; see Parsl."""
        codes = [self._processes[job_id].poll() for job_id in job_ids]
        return [
            JobStatus(
                JobState.RUNNING if c is None else JobState.FAILED if c else JobState.COMPLETED,
                exit_code=c,
            )
            for c in codes
        ]

    def cancel(self, job_ids: Sequence[Any]) -> list[bool]:
        """End them, whatever they are at; see Parsl."""
        for job_id in job_ids:
            process = self._processes[job_id]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return [True for _ in job_ids]


def slurm_config(folder: Path, workers: int | None) -> Config:
    """Configure Parsl for one node of a cluster with Slurm, with the defaults of its users.

    Parameters
    ----------
    folder : Path
        Where Parsl may write; the same on all nodes.
    workers : int or None
        How many processes; None for as many as there are processors.

    Returns
    -------
    parsl.Config
        The configuration.
    """
    provider = SlurmProvider(
        walltime="04:00:00", launcher=SrunLauncher(), worker_init=_worker_init()
    )
    return _config(folder, provider, workers, address=None)


def _config(folder: Path, provider: Any, workers: int | None, *, address: str | None) -> Config:
    programs = Path(sys.executable).parent
    executor = HighThroughputExecutor(
        label="dvo",
        provider=provider,
        max_workers_per_node=workers,
        address=address,
        # Not by PATH: that of an environment that is not active does not have them.
        launch_cmd=f"{programs}/{DEFAULT_LAUNCH_CMD}",
        interchange_launch_cmd=[str(programs / "interchange.py")],
        worker_logdir_root=str(folder),
        heartbeat_period=2,  # also how soon a worker that died is missed
        heartbeat_threshold=60,
    )
    return Config(
        executors=[executor],
        run_dir=str(folder),
        strategy="none",
        retries=1,
        initialize_logging=False,
    )


def _worker_init() -> str:
    """Workers find the modules that this process finds."""
    path = ":".join(p for p in sys.path if p and Path(p).is_dir())
    threads = " ".join(f"{name}={value}" for name, value in ONE_THREAD.items())
    return f"export {threads} PYTHONPATH={path!r}"
