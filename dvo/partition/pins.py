"""Pins: snapshots that open readers hold, so that no vacuum takes their files away.

The file `pins` in a catdir is empty; each byte that it could have stands for the snapshot
of that number. A reader has a shared lock on the byte of each snapshot that it has open,
for which reading the file is permission enough. A vacuum takes an exclusive lock on the
bytes of those that it is about to forget, and keeps those that it does not get. The kernel
drops the locks of a process that dies, however it dies: nobody pins for ever.

The locks are those of open file descriptions (F_OFD_SETLK): other than those of processes
they hold between threads and stores of one process, too.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from dvo.errors import StorageError
from dvo.partition.layout import PINS

__all__ = ["ForgetLock", "Pin", "ReaderPins", "make_pin_file"]

log = logging.getLogger(__name__)

_BUSY = (errno.EAGAIN, errno.EACCES)


class Pin:
    """Holds a snapshot for as long as somebody holds this."""

    __slots__ = ("__weakref__",)


class ReaderPins:
    """The pins of one open store.

    Where there is no file for pins, or the file system has no such locks, readers read all
    the same, and nothing keeps a vacuum from what they read.

    Parameters
    ----------
    catdir : Path
        The database directory.
    """

    def __init__(self, catdir: Path) -> None:
        self._held: dict[int, int] = {}
        self._gone: deque[int] = deque()
        self._mutex = threading.Lock()
        self._pid = os.getpid()
        try:
            self._fd = os.open(catdir / PINS, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            self._fd = -1
            log.info("reading without pins catdir=%s reason=%s", catdir, err.strerror)

    def pin(self, snapshot: int) -> Pin | None:
        """Hold a snapshot.

        Parameters
        ----------
        snapshot : int
            Its number.

        Returns
        -------
        Pin or None
            Keep it as long as the snapshot is read. None if a vacuum is about to forget it.
        """
        pin = Pin()
        with self._mutex:
            is_held = self._hold(snapshot)
        self._settle()
        if is_held:
            weakref.finalize(pin, self._let_go, snapshot).atexit = False
        return None if is_held is None else pin

    def _hold(self, snapshot: int) -> bool | None:
        """Count a pin; False if there is nothing to hold, None if a vacuum is faster."""
        if self._fd < 0:
            return False
        if snapshot not in self._held:
            try:
                _lock(self._fd, fcntl.F_RDLCK, snapshot)
            except OSError as err:
                if err.errno in _BUSY:
                    return None
                log.info("reading without a pin snapshot=%s reason=%s", snapshot, err.strerror)
                return False
        self._held[snapshot] = self._held.get(snapshot, 0) + 1
        return True

    def _let_go(self, snapshot: int) -> None:
        # Python may collect a pin amid any line here, in the thread that holds the mutex.
        self._gone.append(snapshot)
        self._settle()

    def _settle(self) -> None:
        """Drop what has been let go, or leave it to whoever is at work just now."""
        while self._gone and self._mutex.acquire(blocking=False):
            try:
                while self._gone:
                    self._drop(self._gone.popleft())
            finally:
                self._mutex.release()

    def _drop(self, snapshot: int) -> None:
        self._held[snapshot] -= 1
        if self._held[snapshot]:
            return
        del self._held[snapshot]
        # A forked child shares its parent's locks; it must not drop them.
        if self._fd >= 0 and os.getpid() == self._pid:
            _lock(self._fd, fcntl.F_UNLCK, snapshot)

    def close(self) -> None:
        """Let go of all; safe to call twice."""
        with self._mutex:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


class ForgetLock:
    """Keeps readers from opening snapshots that are about to be forgotten.

    Parameters
    ----------
    catdir : Path
        The database directory; the caller holds its writer's lock.

    Raises
    ------
    StorageError
        If the pin file cannot be locked.
    """

    def __init__(self, catdir: Path) -> None:
        self._path = catdir / PINS
        make_pin_file(catdir)
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as err:
            raise self._failed(err) from err

    def take(self, snapshots: Iterable[int]) -> list[int]:
        """Lock those snapshots that no reader has open.

        Parameters
        ----------
        snapshots : iterable of int
            Numbers of snapshots.

        Returns
        -------
        list of int
            Those that are locked now.
        """
        taken = []
        for snapshot in snapshots:
            try:
                _lock(self._fd, fcntl.F_WRLCK, snapshot)
            except OSError as err:
                if err.errno not in _BUSY:
                    raise self._failed(err) from err
            else:
                taken.append(snapshot)
        return taken

    def _failed(self, err: OSError) -> StorageError:
        return StorageError(
            f"{self._path}: cannot be locked ({err.strerror}); a vacuum needs permission to write "
            "it, on a file system with byte-range locks"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def make_pin_file(catdir: Path) -> None:
    """Make the pin file of a database, if there is none.

    Only writers do this: it has to belong to them, for a vacuum needs to write it.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    path = catdir / PINS
    if path.exists():
        return
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o664))
    except OSError as err:
        raise StorageError(f"{path}: cannot be made ({err.strerror})") from err


def _lock(fd: int, kind: int, byte: int) -> None:
    """Set or drop the lock on one byte; fails rather than waits (struct flock of Linux)."""
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
