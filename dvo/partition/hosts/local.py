"""Partition hosts on this machine: started in the background, looked at, stopped.

They listen on Unix sockets that only their owner can reach. In the folder ``hosts`` of the
database each has its log and a note of its process: the number and when it began, so that
nobody else's process is ever taken for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvo.errors import ConfigError, DvoError, HostError, HostLostError, StorageError
from dvo.partition.assignment import read_assignment
from dvo.partition.host_table import HostEntry, is_local, read_host_table, write_host_table
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.client import call_host
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.hosts.server import guard_folder
from dvo.partition.layout import HOST_TABLE, HOSTS
from dvo.partition.lock import WriterLock
from dvo.partition.store import Store

__all__ = ["HostState", "look_at_hosts", "start_local", "stop_local"]

_LONGEST_SOCKET = 100
"""Characters that the path of a Unix socket may have, with some to spare."""

_START_S = 60.0
_STOP_S = 5.0


@dataclass(frozen=True)
class HostState:
    """What a host says of itself, or why it says nothing.

    Parameters
    ----------
    entry : HostEntry
        The host.
    facts : dict
        What it says; empty if it does not answer.
    problem : str
        Why it does not answer; empty if it does.
    """

    entry: HostEntry
    facts: dict[str, Any]
    problem: str = ""


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
        If hosts run already, or the HostTable has hosts of other machines.
    HostError
        If one does not start; then none is left.
    """
    folder = catdir / HOSTS
    with Store(catdir, cache_bytes=0) as store:
        guard_folder(folder)
        with WriterLock(folder, "dvo host start-local"):
            _refuse_others(catdir)
            sockets = _socket_folder(catdir, store.db_id)
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
            _start(catdir, entries, threads or max(1, (os.cpu_count() or 1) // n), told)
    return entries


def _refuse_others(catdir: Path) -> None:
    running = _running(catdir)
    if running:
        raise ConfigError(
            f"{catdir}: {len(running)} hosts run already; stop them with: dvo host stop {catdir}"
        )
    for entry in read_host_table(catdir):
        if not is_local(entry.endpoint):
            raise ConfigError(
                f"{catdir / HOST_TABLE}: has {entry}, which start-local would take out; "
                "remove the file if those hosts are no more"
            )


def _socket_folder(catdir: Path, db_id: str) -> Path:
    folder = (catdir / HOSTS).absolute()
    if len(str(folder / "65535.sock")) > _LONGEST_SOCKET:
        folder = Path(tempfile.gettempdir(), f"dvo-{os.geteuid()}-{db_id[:12]}")
    guard_folder(folder)
    return folder


def _is_assigned(catdir: Path, numbers: Sequence[int], *, backups: bool) -> bool:
    found = read_assignment(catdir)
    has_backups = bool(found.backup.any())
    return {*np.unique(found.host).tolist()} - {0} == {*numbers} and (
        has_backups == (backups and len(numbers) > 1)
    )


def _start(
    catdir: Path, entries: Sequence[HostEntry], threads: int, told: Callable[[str], object]
) -> None:
    started: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for entry in entries:
            started[entry.number] = _launch(catdir, entry, threads)
        for entry in entries:
            _await(catdir, entry, started[entry.number])
            told(f"{entry} serves, process {started[entry.number].pid}")
    except BaseException:
        for process in started.values():
            process.kill()
            process.wait()
        for entry in entries:
            _note(catdir, entry.number).unlink(missing_ok=True)
        raise


def _launch(catdir: Path, entry: HostEntry, threads: int) -> subprocess.Popen[bytes]:
    log = catdir / HOSTS / f"{entry.number}.log"
    words = ["host", "serve", entry.path, "--number", str(entry.number), "--threads", str(threads)]
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dvo.cli.main", "--verbose", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # it stays when the terminal is closed
            )
        note = {"pid": process.pid, "began": _began(process.pid)}
        _note(catdir, entry.number).write_text(json.dumps(note))
    except OSError as err:
        raise StorageError(f"{log}: cannot be written ({err.strerror})") from err
    return process


def _await(catdir: Path, entry: HostEntry, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            call_host(entry, "hello", timeout_s=1.0)
        except HostLostError as err:
            if process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
                continue
            log = catdir / HOSTS / f"{entry.number}.log"
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise HostError(f"{entry} does not start: {last[0]} (see {log})") from err
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
    """
    running = _running(catdir)
    for pid in running.values():
        _signal(pid, signal.SIGTERM)
    end = time.monotonic() + _STOP_S
    while _running(catdir) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in _running(catdir).values():
        _signal(pid, signal.SIGKILL)
    folder = catdir / HOSTS
    for note in folder.glob("*.pid"):
        note.unlink(missing_ok=True)
    for entry in read_host_table(catdir):
        path = Path(entry.endpoint.removeprefix("ipc://"))
        if entry.number in running and entry.endpoint.startswith("ipc://"):
            path.unlink(missing_ok=True)
    return sorted(running)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _note(catdir: Path, number: int) -> Path:
    return catdir / HOSTS / f"{number}.pid"


def _running(catdir: Path) -> dict[int, int]:
    """Processes of local hosts that are alive, by number of the host."""
    found: dict[int, int] = {}
    for note in (catdir / HOSTS).glob("*.pid"):
        try:
            said = json.loads(note.read_text())
            number, pid, began = int(note.stem), int(said["pid"]), said["began"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if began is not None and _began(pid) == began:
            found[number] = pid
    return found


def _began(pid: int) -> str | None:
    """When a process began, which tells it from others that get its number later."""
    try:
        # The name of the program is in parentheses, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def look_at_hosts(
    catdir: Path, *, keys: KeyPair | None = None, timeout_s: float = 3.0
) -> list[HostState]:
    """Ask all hosts of a database how they are.

    Parameters
    ----------
    catdir : Path
        The database directory.
    keys : KeyPair, optional
        Keys of the client.
    timeout_s : float
        How long to wait for each [s].

    Returns
    -------
    list of HostState
        Their states, by number.
    """
    found = []
    for entry in read_host_table(catdir):
        try:
            facts = call_host(entry, "hello", keys=keys, timeout_s=timeout_s).header
        except DvoError as err:
            found.append(HostState(entry, {}, str(err)))
        else:
            found.append(HostState(entry, facts))
    return found
