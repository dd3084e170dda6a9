"""A partition host: sockets, threads and the database around `Serving`."""

from __future__ import annotations

import contextlib
import logging
import os
import socket as unix
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pyarrow as pa
import zmq

import dvo
from dvo.errors import (
    ConfigError,
    DvoError,
    OperationError,
    ProtocolError,
    ProtocolVersionError,
    StorageError,
    UnknownSnapshotError,
)
from dvo.partition.host_table import check_endpoint, is_ipv6, is_local
from dvo.partition.hosts.keys import Authority, KeyPair
from dvo.partition.hosts.leaving import Leaving
from dvo.partition.hosts.serving import SILENCE_S, Serving
from dvo.partition.hosts.tasks import Task
from dvo.partition.hosts.wire import MAX_BYTES, Message, Payload, from_frames, parts_of
from dvo.partition.layout import is_token
from dvo.partition.operations import (
    HOST_MODULES,
    Role,
    Views,
    Work,
    find_role,
    load_operations,
    run_operation,
)
from dvo.partition.store import Store
from dvo.partition.view import View

__all__ = ["HostServer", "guard_folder"]

log = logging.getLogger(__name__)

_TICK_MS = 250
_SOON_MS = 10
_FAREWELL_MS = 200
_MOST_SMALL = 10_000
"""Messages that ZeroMQ keeps for a client; of large ones there are fewer, see `leaving`."""

_AT_ONCE = 256
_MOST_MEMORY = 1 << 31
"""Bytes that a group may take while it is evaluated, whatever a client allows."""


class HostServer:
    """A partition host.

    Parameters
    ----------
    store : Store
        The database.
    host_id : int
        Number of this host in the HostTable.
    endpoint : str
        Where to listen; ``tcp://127.0.0.1:*`` takes any free port.
    threads : int
        Groups that are worked on at a time.
    keys : KeyPair, optional
        The host's keys; endpoints that other machines can reach need them.
    authority : Authority, optional
        Who may come in; goes with `keys`.
    sources : sequence of Path
        Folders below which clients may have it read other databases (dvomerge). On a Unix
        socket, which only its owner can reach, that is everything.
    modules : sequence of str
        Modules that register operations.
    silence_s : float
        After which silence of a client it is taken for dead [s].

    Raises
    ------
    ConfigError
        If that is no endpoint, or other machines could reach it and it has no keys.
    StorageError
        If it cannot listen there.
    """

    def __init__(
        self,
        store: Store,
        host_id: int,
        endpoint: str,
        *,
        threads: int = 1,
        keys: KeyPair | None = None,
        authority: Authority | None = None,
        sources: Sequence[Path] = (),
        modules: Sequence[str] = HOST_MODULES,
        silence_s: float = SILENCE_S,
    ) -> None:
        if (keys is None) != (authority is None):
            raise ConfigError("a host needs keys and a list of those that may come in, or neither")
        check_endpoint(endpoint)
        if keys is None and not is_local(endpoint):
            raise ConfigError(
                f"{endpoint} can be reached from other machines, and that takes keys; make some "
                "with: dvo host keygen NAME"
            )
        load_operations(modules)
        self._store = store
        self._host_id = host_id
        self._views = Views(store)
        self._authority = authority
        # Whoever can open a Unix socket of ours is us; a port of this machine is open to all
        # who work on it.
        self._role: Role = "admin" if endpoint.startswith("ipc://") else "read"
        is_private = endpoint.startswith("ipc://") and authority is None
        self._sources = None if is_private else tuple(folder.absolute() for folder in sources)
        self._serving = Serving(
            host_id, store.db_id, role_of=find_role, about=self._about, silence_s=silence_s
        )
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "dvo-host")
        self._n_running = 0
        self._done: deque[tuple[Task, list[Payload] | DvoError]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._context = zmq.Context()
        self._gate: zmq.Socket[bytes] | None = None
        try:
            self._socket = self._listen(endpoint, keys)
        except BaseException:
            self.close()
            raise
        self._leaving = Leaving(self._socket)
        self.endpoint = cast(bytes, self._socket.last_endpoint).decode()

    def _listen(self, endpoint: str, keys: KeyPair | None) -> zmq.Socket[bytes]:
        if keys is not None:
            # Before the other one: a connection that finds no gate would be let in.
            self._gate = self._context.socket(zmq.REP)
            self._gate.rcvtimeo = self._gate.sndtimeo = 1000
            self._gate.linger = 0
            self._gate.bind("inproc://zeromq.zap.01")
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = 1000
        socket.maxmsgsize = MAX_BYTES
        socket.ipv6 = is_ipv6(endpoint)
        socket.router_mandatory = True
        socket.sndhwm = _MOST_SMALL
        if keys is not None:
            socket.curve_server = True
            socket.curve_secretkey = keys.secret.encode()
            socket.curve_publickey = keys.public.encode()
            socket.zap_domain = b"dvo"
        try:
            if endpoint.startswith("ipc://"):
                _guard_socket(Path(endpoint.removeprefix("ipc://")))
            socket.bind(endpoint)
        except zmq.ZMQError as err:
            socket.close()
            raise StorageError(f"cannot listen on {endpoint}: {err.strerror}") from err
        return socket

    def _about(self) -> dict[str, Any]:
        folder = self._store.catdir
        return {
            "pid": os.getpid(),
            "paths": [os.path.normpath(folder.absolute()), str(folder.resolve())],
            "software": dvo.__version__,
            "since": self._since,
            "snapshot": self._store.manifest.snapshot(None).token,
            "running": self._n_running,
        }

    # ---- the loop

    def run(self) -> None:
        """Serve until somebody says stop."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        if self._gate is not None:
            poller.register(self._gate, zmq.POLLIN)
        log.info("serving endpoint=%s threads=%s", self.endpoint, self._threads)
        while not self._serving.is_stopping:
            # ZeroMQ does not tell when it has room again.
            ready = dict(poller.poll(_SOON_MS if self._serving.outgoing else _TICK_MS))
            if self._gate is not None and self._gate in ready:
                self._gate.send_multipart(
                    cast("Authority", self._authority).reply(self._gate.recv_multipart())
                )
            if self._bell in ready:
                os.eventfd_read(self._bell)
            self._receive()
            while self._done:
                task, outcome = self._done.popleft()
                self._n_running -= 1
                self._serving.finish(task, outcome)
            self._begin()
            self._serving.tick(time.monotonic())
            self._send()
        log.info("stopped endpoint=%s", self.endpoint)

    def stop(self) -> None:
        """Have `run` end; any thread and a signal handler may."""
        self._serving.is_stopping = True
        os.eventfd_write(self._bell, 1)

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            peer, role = frames[0].bytes, self._role
            if self._authority is not None:
                role = cast("Role", str(frames[0].get("User-Id")).partition(" ")[0])
            try:
                message = from_frames([frame.buffer for frame in frames[1:]])
            except ProtocolVersionError as err:
                self._serving.refuse(peer, err)
            except ProtocolError as err:
                # Nobody can be told what it was about: as good as lost on the way.
                log.warning("dropped a message reason=%s", err)
            else:
                self._take(peer, role, message)

    def _take(self, peer: bytes, role: Role, message: Message) -> None:
        try:
            self._serving.receive(peer, role, message, time.monotonic())
        except Exception:  # a mistake of ours; the host goes on serving all others
            log.exception("cannot take a message kind=%s", message.kind)
            self._serving.forget(peer)

    def _send(self) -> None:
        serving = self._serving
        waiting, gone = self._leaving.send(serving.outgoing)
        serving.outgoing = deque(waiting)
        for peer, reason in gone.items():
            log.info("a client is gone reason=%s", reason)
            serving.forget(peer)
        serving.leaving = self._leaving.counts()

    # ---- the work

    def _begin(self) -> None:
        """Begin groups, as many as there are threads."""
        while self._n_running < self._threads and self._serving.ready:
            task = self._serving.next_task(time.monotonic())
            if task is None:
                return
            self._n_running += 1
            self._pool.submit(self._work, task)

    def _work(self, task: Task) -> None:
        outcome: list[Payload] | DvoError
        try:
            view = self._view(task.snapshot)
            result = run_operation(
                task.operation, view, task.regions, task.request, task.tables,
                Work(f"host {self._host_id}", task.cancellation, _MOST_MEMORY, self._sources),
            )  # fmt: skip
            outcome = parts_of(result)
            if any(part.n_bytes > MAX_BYTES for part in outcome):
                raise OperationError(
                    f"operation {task.operation!r}: a row of its result has more than "
                    f"{MAX_BYTES >> 20} MiB, which no host can send; ask for less of it"
                )
        except DvoError as err:
            outcome = err
        except (pa.ArrowException, MemoryError) as err:
            outcome = OperationError(f"operation {task.operation!r}: its result: {err}")
        except Exception as err:  # a mistake of ours; the client must hear, and the thread go on
            log.exception("cannot do a group operation=%s", task.operation)
            outcome = OperationError(
                f"operation {task.operation!r} failed: {type(err).__name__}: {err}"
            )
        self._done.append((task, outcome))
        os.eventfd_write(self._bell, 1)

    def _view(self, token: str) -> View:
        """The snapshot with a token: the number alone could be that of another copy."""
        if not is_token(token):
            raise ProtocolError(f"snapshot {token!r} is not the token of one")
        row = self._store.manifest.snapshot(int(token[:8]))
        if row.token != token:
            raise UnknownSnapshotError(
                f"{self._store.catdir}: snapshot {row.id} is {row.token} here, and {token} at "
                "the client; these are not copies of one database"
            )
        return self._views.at(row.id)

    def close(self) -> None:
        """Stop listening and wait for the threads; safe to call twice."""
        self._serving.drop_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._context.destroy(linger=_FAREWELL_MS)
        with contextlib.suppress(OSError):
            os.close(self._bell)
        self._bell = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _guard_socket(path: Path) -> None:
    """See that a Unix socket can be ours: ZeroMQ takes it from whoever listens there."""
    guard_folder(path.parent)
    with contextlib.suppress(OSError), unix.socket(unix.AF_UNIX) as probe:
        probe.connect(str(path))
        raise ConfigError(f"{path}: somebody listens there already; end that host first")


def guard_folder(folder: Path) -> None:
    """Make a folder for sockets, or see that nobody else can reach those in it.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    ConfigError
        If others can.
    StorageError
        If it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
    except OSError as err:
        raise StorageError(f"{folder}: cannot be used for a socket ({err.strerror})") from err
    if found.st_mode & 0o077 or found.st_uid != os.geteuid():
        raise ConfigError(
            f"{folder}: others can reach sockets in it; run: chmod 700 {folder}, or name another"
        )
