"""Partition hosts for tests: threads, or processes of their own that always end with the test.

    python -m tests.hosts MODULES CATDIR NUMBER ENDPOINT [KEYS AUTHORISED]

serves until it is killed, or until its standard input is closed: when the test is gone.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from dvo.partition.host_table import HostEntry, write_host_table
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.keys import Authority, read_keys
from dvo.partition.hosts.server import HostServer
from dvo.partition.store import Store

WRITERS = (
    "dvo.partition.compact",
    "dvo.partition.deal",
    "dvo.ingest.add_elsewhere",
    "dvo.merge.add_elsewhere",
    "dvo.calib.astrometry.objects",
    "dvo.calib.astrometry.offsets",
    "dvo.calib.astrometry.apply",
    "dvo.calib.photometry.apply",
    "dvo.calib.photometry.star_reading",
    "dvo.calib.photometry.uniphot",
)
MODULES = ("tests.engine_operations", *WRITERS)


class RunningHost:
    """One host process."""

    def __init__(
        self, catdir: Path, number: int, endpoint: str, modules: Sequence[str] = MODULES
    ) -> None:
        words = [",".join(modules), str(catdir), str(number), endpoint]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hosts", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip()
        assert self.endpoint, "the host did not start"

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Hosts:
    """Some hosts of a database, in its HostTable and assigned to its catalogs.

    They listen on ports of the loopback interface, where anybody may read; with `private` on
    Unix sockets, where their owner may write, too.
    """

    def __init__(
        self,
        catdir: Path,
        n: int,
        *,
        backups: bool = True,
        copies: dict[int, Path] | None = None,
        private: bool = False,
        modules: Sequence[str] = MODULES,
    ) -> None:
        self.modules = modules
        self.catdir = catdir
        # The path of a socket may not be long, and those of tests are.
        self._sockets = tempfile.mkdtemp(prefix="dvo-") if private else ""
        self.running: dict[int, RunningHost] = {}
        try:
            for number in range(1, n + 1):
                path = (copies or {}).get(number, catdir)
                endpoint = f"ipc://{self._sockets}/{number}" if private else "tcp://127.0.0.1:*"
                self.running[number] = RunningHost(path, number, endpoint, modules)
        except BaseException:
            self.close()
            raise
        self.entries = [
            HostEntry(number, "localhost", str((copies or {}).get(number, catdir)), host.endpoint)
            for number, host in self.running.items()
        ]
        write_host_table(catdir, self.entries)
        with Store(catdir) as store:
            assign(store, list(self.running), backups=backups, rng=np.random.default_rng(1))

    def __getitem__(self, number: int) -> RunningHost:
        return self.running[number]

    def restart(self, number: int) -> None:
        """Another process on the same port."""
        endpoint = self.running[number].endpoint
        self.running[number].end()
        self.running[number] = RunningHost(self.catdir, number, endpoint, self.modules)

    def close(self) -> None:
        for host in self.running.values():
            host.end()
        if self._sockets:
            shutil.rmtree(self._sockets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def serving(store: Store, number: int, endpoint: str, **options) -> Iterator[HostServer]:
    """A host in a thread of this process."""
    with HostServer(store, number, endpoint, modules=MODULES, **options) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def enter(store: Store, *endpoints: str, key: str = "", backups: bool = True) -> list[HostEntry]:
    """Write hosts into the HostTable, and assign catalogs to them."""
    entries = [HostEntry(k, "localhost", str(store.catdir), e, key)
               for k, e in enumerate(endpoints, 1)]  # fmt: skip
    write_host_table(store.catdir, entries)
    numbers = [e.number for e in entries]
    assign(store, numbers, backups=backups, rng=np.random.default_rng(1))
    return entries


def free_port() -> int:
    """A port of the loopback interface where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def main(modules: str, catdir: str, number: str, endpoint: str, *keys: str) -> None:
    """Serve; the first line of the output is the endpoint."""

    def end_with_test() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_test, daemon=True).start()
    guard = (read_keys(Path(keys[0])), Authority(Path(keys[1]))) if keys else (None, None)
    with (
        Store(Path(catdir)) as store,
        HostServer(
            store, int(number), endpoint, threads=2, keys=guard[0], authority=guard[1],
            modules=modules.split(","),
        ) as server,
    ):  # fmt: skip
        print(server.endpoint, flush=True)
        server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
