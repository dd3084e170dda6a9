"""A worker process as its engine sees it: started, given groups, ended."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dvo.errors import DvoError, error_of
from dvo.partition.engines.channel import Sheet, receive, send
from dvo.partition.operations import ONE_THREAD

__all__ = ["GivenUpError", "JobOrders", "WorkerProcess"]

_LOOK_UP_MS = 100
_GRACE_S = 1.0
"""How long a worker may go on with what nobody wants any more before it is killed."""


class GivenUpError(Exception):
    """Nobody wants the result any more; the worker may still be at it."""


@dataclass(frozen=True)
class JobOrders:
    """A job as workers get it: prepared once, for all of them.

    Parameters
    ----------
    header : dict
        Operation, request and snapshot.
    sheets : dict of str to Sheet
        Its tables.
    number : int
        Tells it from other jobs.
    """

    header: dict[str, Any]
    sheets: dict[str, Sheet]
    number: int = field(default_factory=itertools.count().__next__)


class WorkerProcess:
    """One worker process; for one thread.

    Parameters
    ----------
    opening : dict
        What it is to open: catdir, modules, cache_bytes.
    """

    def __init__(self, opening: dict[str, Any]) -> None:
        self._channel, theirs = socket.socketpair()
        self._watched, watch = socket.socketpair()
        with theirs, watch:
            fds = (theirs.fileno(), watch.fileno())
            # A new program, not a fork: this process may have threads and locks.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dvo.partition.engines.worker", *map(str, fds)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
            )
        self._job = -1
        with contextlib.suppress(OSError):  # if it is dead already, `ask` will find out
            send(self._channel, {"do": "open", **opening})

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(
        self, job: JobOrders, group: Sequence[int], is_wanted: Callable[[], bool]
    ) -> pa.Table | DvoError:
        """Have a group done.

        Parameters
        ----------
        job : JobOrders
            The job.
        group : sequence of int
            The group.
        is_wanted : callable
            Asked from time to time whether the result is still wanted.

        Returns
        -------
        pyarrow.Table or DvoError
            The result, or what the operation raised.

        Raises
        ------
        GivenUpError
            If the result is no longer wanted; `end` the process.
        EOFError, OSError
            If the process is gone.
        """
        if job.number != self._job:
            send(self._channel, {"do": "job", **job.header})
            for name, sheet in job.sheets.items():
                send(self._channel, {"do": "table", "name": name}, sheet)
            self._job = job.number
        send(self._channel, {"do": "run", "regions": list(group)})
        self._wait(is_wanted)
        answer = receive(self._channel)
        if answer.table is None:
            return error_of(answer.header["error"], answer.header["message"])
        return answer.table

    def _wait(self, is_wanted: Callable[[], bool]) -> None:
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        given_up: float | None = None
        while not poller.poll(_LOOK_UP_MS):
            if is_wanted():
                continue
            given_up = given_up or time.monotonic()
            if time.monotonic() - given_up > _GRACE_S:
                raise GivenUpError

    def kill(self) -> None:
        """Kill the process; any thread may."""
        self._process.kill()

    def end(self) -> str:
        """Kill the process if it still is there, and wait for it.

        Returns
        -------
        str
            How it ended, in words.
        """
        # What it was doing was lost anyway, and it keeps nothing on disk.
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.05)
        self._process.kill()
        code = self._process.wait()
        self._channel.close()
        self._watched.close()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
