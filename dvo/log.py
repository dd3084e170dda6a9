"""Logging for programs; the library itself only ever gets loggers."""

from __future__ import annotations

import logging

__all__ = ["log_to_stderr"]


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show the log of dvo on stderr.

    Parameters
    ----------
    level : int
        Least level to show.
    """
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(message)s")
