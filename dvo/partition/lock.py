"""The lock of the one writer.

An advisory lock on a small file that also names its owner, for the message that a second
writer gets. The kernel drops the lock when its owner dies, however it dies, so there is
no stale lock to clear. Readers never touch it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dvo.errors import CatdirLockedError, StorageError
from dvo.partition.layout import LOCK

__all__ = ["WriterLock"]


class WriterLock:
    """Hold a catdir for writing, from construction to `release`.

    Parameters
    ----------
    catdir : Path
        The database directory.
    command : str
        What the owner is doing, for people who wait.

    Raises
    ------
    CatdirLockedError
        If another writer holds it; its message names the owner.
    StorageError
        If the lock file cannot be opened for writing.
    """

    def __init__(self, catdir: Path, command: str) -> None:
        path = catdir / LOCK
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        except OSError as err:
            raise StorageError(
                f"{catdir}: cannot be written ({err.strerror}); "
                f"writing needs permission for the folder and for {LOCK} in it"
            ) from err
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            owner = _describe(os.pread(self._fd, 4096, 0))
            os.close(self._fd)
            raise CatdirLockedError(
                f"{catdir}: is being written by {owner}; wait for it to end, then try again"
            ) from err
        self._sign(command)

    def _sign(self, command: str) -> None:
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
        }
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(owner).encode(), 0)
        except OSError as err:
            os.close(self._fd)
            raise StorageError(f"cannot write the lock file: {err.strerror}") from err

    def release(self) -> None:
        """Let go; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _describe(signature: bytes) -> str:
    try:
        owner = json.loads(signature)
        return f"{owner['command']} (pid {owner['pid']} on {owner['host']}, since {owner['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
