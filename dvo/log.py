"""Logging for programs; the library itself only ever gets loggers."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

__all__ = ["log_to_file", "log_to_stderr"]

_FORMAT = "%(asctime)s %(name)s %(message)s"
_MOST_BYTES = 4 << 20
_N_OLD = 2


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the log of dvo on stderr.

    Parameters
    ----------
    level : int
        Least level to show.
    """
    logging.basicConfig(level=level, format=_FORMAT)


def log_to_file(path: Path, level: int = logging.INFO) -> None:
    """Write the log of dvo to a file, which never grows beyond 4 MiB.

    Parameters
    ----------
    path : Path
        The file. What was there stays; when it is full it becomes ``PATH.1``, and that
        ``PATH.2``.
    level : int
        Least level to write.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    handler = RotatingFileHandler(path, maxBytes=_MOST_BYTES, backupCount=_N_OLD)
    logging.basicConfig(level=level, format=_FORMAT, handlers=[handler], force=True)
