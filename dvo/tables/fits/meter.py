"""Counting what is read of files, for those who want to know."""

from __future__ import annotations

import threading
from contextvars import ContextVar

__all__ = ["METER", "Meter"]


class Meter:
    """What some work has read so far; its threads may add to it.

    Times of threads that read or decode side by side add up.
    """

    def __init__(self) -> None:
        self.n_tiles = 0
        """Tiles of columns that were decoded."""
        self.n_bytes = 0
        """Bytes read from files."""
        self.read_s = 0.0
        """Time to read them [s]."""
        self.fetch_s = 0.0
        """Time to read and decode tiles [s]."""
        self._mutex = threading.Lock()

    def add(
        self,
        *,
        n_tiles: int = 0,
        n_bytes: int = 0,
        read_s: float = 0.0,
        fetch_s: float = 0.0,
    ) -> None:
        """Add to what was read.

        Parameters
        ----------
        n_tiles, n_bytes : int
            Tiles decoded, bytes read.
        read_s, fetch_s : float
            Time to read, and to read and decode [s].
        """
        with self._mutex:
            self.n_tiles += n_tiles
            self.n_bytes += n_bytes
            self.read_s += read_s
            self.fetch_s += fetch_s


METER: ContextVar[Meter | None] = ContextVar("meter", default=None)
"""Where reads are counted; None for nowhere. The threads of `run_jobs` see that of the caller."""
