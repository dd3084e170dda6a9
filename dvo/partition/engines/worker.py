"""A worker process: has a database open, and runs operations as it is told.

Started as ``python -m dvo.partition.engines.worker FD WATCH``, with two sockets of its
parent. Over the first it gets jobs and groups and answers with results. The second is never
written to: when it is closed the parent is gone, and the worker ends at once, even in the
middle of its work.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

from dvo.errors import DvoError, OperationError
from dvo.partition.engines.channel import Message, receive, send
from dvo.partition.operations import Views, Work, load_operations, run_operation
from dvo.partition.store import Store

__all__ = ["Worker", "main"]


class Worker:
    """What a worker process knows: one database, one snapshot, one job.

    Parameters
    ----------
    channel : socket
        Where its orders come from.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._views: Views | None = None
        self._fault: DvoError | None = None
        self._job: dict[str, Any] = {}
        self._tables: dict[str, pa.Table] = {}

    def serve(self) -> None:
        """Do as told until the parent hangs up."""
        try:
            while True:
                self._obey(receive(self._channel))
        except (EOFError, ConnectionError):
            return

    def _obey(self, message: Message) -> None:
        header = message.header
        match header["do"]:
            case "open":
                self._open(header)
            case "job":
                self._job, self._tables = header, {}
            case "table":
                assert message.table is not None
                self._tables[header["name"]] = message.table
            case "run":
                self._answer(header["regions"])

    def _open(self, header: dict[str, Any]) -> None:
        try:
            load_operations(header["modules"])
            store = Store(Path(header["catdir"]), cache_bytes=header["cache_bytes"])
            self._views = Views(store)
        except DvoError as err:
            self._fault = err
        except ImportError as err:
            self._fault = OperationError(f"a worker cannot load the operations: {err}")

    def _answer(self, regions: list[int]) -> None:
        try:
            result = self._run(regions)
        except DvoError as err:
            send(self._channel, {"error": err.code, "message": str(err)})
        else:
            send(self._channel, {"done": True}, result)

    def _run(self, regions: list[int]) -> pa.Table:
        if self._views is None:
            raise self._fault or OperationError("a worker was given no database")
        job = self._job
        view = self._views.at(job["snapshot"])
        work = Work(f"process {os.getpid()}")
        return run_operation(job["operation"], view, regions, job["request"], self._tables, work)


def main() -> None:
    """Run a worker on the sockets named on the command line."""
    channel, watch = (socket.socket(fileno=int(word)) for word in sys.argv[1:3])
    # Ctrl-C reaches every process of the terminal; what it means is the parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(watch,), daemon=True).start()
    # Where scipy is installed numba would load its linear algebra, which no kernel of ours has.
    sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]
    Worker(channel).serve()


def _end_with_parent(watch: socket.socket) -> None:
    # Not PR_SET_PDEATHSIG: that is about the thread that started the worker, not the process.
    watch.recv(1)
    os._exit(0)


if __name__ == "__main__":
    main()
