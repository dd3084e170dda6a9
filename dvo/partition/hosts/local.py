"""Partition hosts on this machine: started in the background, looked at, stopped.

They listen on Unix sockets that only their owner can reach. In the folder ``hosts`` of the
database each has its log and a note of its process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dvo.errors import ConfigError, HostError, HostLostError, StorageError
from dvo.partition.assignment import read_assignment
from dvo.partition.host_table import HostEntry, is_local, read_host_table, write_host_table
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.calling import call_host
from dvo.partition.hosts.notes import Note, is_alive, read_notes, remove_note, write_note
from dvo.partition.hosts.server import guard_folder
from dvo.partition.layout import HOST_TABLE, HOSTS
from dvo.partition.lock import WriterLock
from dvo.partition.operations import ONE_THREAD
from dvo.partition.store import Store

__all__ = ["STAY", "start_local", "stop_local"]

STAY = b"stay\n"
"""What a host is told by the process that has started it; without that, it ends with it."""

_LONGEST_SOCKET = 100
"""Characters that the path of a Unix socket may have, with some to spare."""

_START_S = 60.0
_STOP_S = 5.0


def start_local(
    catdir: Path,
    n: int,
    *,
    threads: int | None = None,
    backups: bool = True,
    told: Callable[[str], object] = lambda _: None,
) -> list[HostEntry]:
    """Start hosts on this machine, assign all catalogs to them, and wait until they serve.

    Parameters
    ----------
    catdir : Path
        The database directory.
    n : int
        How many hosts.
    threads : int, optional
        Groups that each works on at a time; None shares out the processors.
    backups : bool
        Whether each catalog gets a second host.
    told : callable
        Gets a line for each step.

    Returns
    -------
    list of HostEntry
        The hosts.

    Raises
    ------
    ConfigError
        If hosts run already, here or on another machine, or the HostTable has hosts of
        other machines.
    HostError
        If one does not start; then none is left.
    """
    folder = catdir / HOSTS
    with Store(catdir, cache_bytes=0) as store:
        guard_folder(folder)
        with WriterLock(folder, "dvo host start-local"):
            _refuse_others(catdir)
            sockets = _socket_folder(catdir)
            where = str(catdir.absolute())
            entries = [
                HostEntry(k, "localhost", where, f"ipc://{sockets / f'{k}.sock'}")
                for k in range(1, n + 1)
            ]
            write_host_table(catdir, entries)
            numbers = [entry.number for entry in entries]
            if not _is_assigned(catdir, numbers, backups=backups):
                told(f"assigning catalogs to {n} hosts")
                rng = np.random.default_rng(int(store.db_id, 16))
                assign(store, numbers, backups=backups, rng=rng)
            _start(store, entries, threads or max(1, (os.cpu_count() or 1) // n), told)
    return entries


def _refuse_others(catdir: Path) -> None:
    alive = [is_alive(note) for note in read_notes(catdir)]
    if any(alive):
        raise ConfigError(
            f"{catdir}: {alive.count(True)} hosts run already; stop them with: "
            f"dvo host stop {catdir}"
        )
    _refuse_elsewhere(catdir)
    for entry in read_host_table(catdir):
        if not is_local(entry.endpoint):
            raise ConfigError(
                f"{catdir / HOST_TABLE}: has {entry}, which start-local would take out; "
                "remove the file if those hosts are no more"
            )


def _refuse_elsewhere(catdir: Path) -> None:
    """Local hosts of another machine, on a disk that both have, are neither seen nor stopped."""
    elsewhere = [note for note in read_notes(catdir) if is_alive(note) is None]
    if elsewhere:
        machines = ", ".join(sorted({note.machine for note in elsewhere}))
        raise ConfigError(
            f"{catdir}: {len(elsewhere)} hosts were started on {machines}; run dvo host stop "
            f"there, or remove {catdir / HOSTS}/*.pid if that machine is no more"
        )


def _socket_folder(catdir: Path) -> Path:
    folder = (catdir / HOSTS).absolute()
    if len(os.fsencode(folder / "65535.sock")) > _LONGEST_SOCKET:
        # Named after the folder, not the database: copies have the same identifier.
        name = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()
        folder = Path(tempfile.gettempdir(), f"dvo-{os.geteuid()}-{name}")
    guard_folder(folder)
    return folder


def _is_assigned(catdir: Path, numbers: Sequence[int], *, backups: bool) -> bool:
    found = read_assignment(catdir)
    has_backups = bool(found.backup.any())
    return {*np.unique(found.host).tolist()} - {0} == {*numbers} and (
        has_backups == (backups and len(numbers) > 1)
    )


def _start(
    store: Store, entries: Sequence[HostEntry], threads: int, told: Callable[[str], object]
) -> None:
    started: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for entry in entries:
            started[entry.number] = _launch(store.catdir, entry, threads)
            write_note(store.catdir, entry.number, started[entry.number].pid)
        for entry in entries:
            _await(store, entry, started[entry.number])
            told(f"{entry} serves, process {started[entry.number].pid}")
        for process in started.values():
            _let_stay(process)
    except BaseException:
        for process in started.values():
            process.kill()
            process.communicate()
        for entry in entries:
            remove_note(store.catdir, entry.number)
        raise


def _launch(catdir: Path, entry: HostEntry, threads: int) -> subprocess.Popen[bytes]:
    """Start a process that ends when this one does, until it is let stay.

    So however this process ends, no host is left that `stop_local` does not know of.
    """
    log = _log(catdir, entry)
    options = ["--number", str(entry.number), "--threads", str(threads), "--log", str(log)]
    words = ["host", "serve", entry.path, *options, "--until-left"]
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "dvo.cli.main", *words],
                stdin=subprocess.PIPE,
                env={**os.environ, **ONE_THREAD},
                stdout=output,
                stderr=output,
                start_new_session=True,  # it stays when the terminal is closed
            )
    except OSError as err:
        raise StorageError(f"{log}: cannot be written ({err.strerror})") from err


def _let_stay(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as line:
            line.write(STAY)
    except BrokenPipeError as err:
        raise HostError(f"process {process.pid} of a host has ended") from err
    # Should it end before this process does, somebody has to collect it.
    threading.Thread(target=process.wait, daemon=True).start()


def _log(catdir: Path, entry: HostEntry) -> Path:
    return (catdir / HOSTS / f"{entry.number}.log").absolute()


def _await(store: Store, entry: HostEntry, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            facts = call_host(entry, "hello", store.db_id, timeout_s=1.0).header
        except HostLostError as err:
            if process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
                continue
            log = _log(store.catdir, entry)
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise HostError(f"{entry} does not start: {last[0]} (see {log})") from err
        if facts.get("pid") != process.pid:
            raise HostError(
                f"{entry}: process {facts.get('pid')} listens there already; end it, then try again"
            )
        return


def stop_local(catdir: Path) -> list[int]:
    """Stop the hosts that `start_local` has started.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    list of int
        Numbers of the hosts that ran.

    Raises
    ------
    ConfigError
        If some were started on another machine.
    """
    running = _running(catdir)
    for note in running:
        _signal(note.pid, signal.SIGTERM)
    end = time.monotonic() + _STOP_S
    while _running(catdir) and time.monotonic() < end:
        time.sleep(0.02)
    for note in _running(catdir):
        _signal(note.pid, signal.SIGKILL)
    for note in read_notes(catdir):
        if is_alive(note) is not None:
            remove_note(catdir, note.number)
    stopped = {note.number for note in running}
    for entry in read_host_table(catdir):
        if entry.number in stopped and entry.endpoint.startswith("ipc://"):
            Path(entry.endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
    _refuse_elsewhere(catdir)
    return sorted(stopped)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _running(catdir: Path) -> list[Note]:
    return [note for note in read_notes(catdir) if is_alive(note)]
