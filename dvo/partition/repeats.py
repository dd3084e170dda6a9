"""Which of very many numbers occur twice, in bounded memory.

Numbers are gathered in memory; when there are too many they are dealt out by a hash to
temporary files, and each of these is sorted by itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["RepeatFinder"]

U64 = NDArray[np.uint64]

_N_FILES = 64
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: neighbours land far apart


class RepeatFinder:
    """Gathers 64-bit numbers and tells which came more than once.

    Parameters
    ----------
    most : int
        Numbers to keep in memory.
    """

    def __init__(self, most: int = 1 << 25) -> None:
        self._most = most
        self._held: list[U64] = []
        self._n_held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, numbers: U64) -> None:
        """Gather numbers.

        Parameters
        ----------
        numbers : ndarray of uint64
            The numbers; not changed, and not to be changed by the caller.
        """
        self._held.append(numbers)
        self._n_held += len(numbers)
        if self._n_held > self._most:
            self._spill()

    def _spill(self) -> list[Path]:
        """Put what is in memory into the files; gives these."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dvo-")
        files = [Path(self._folder.name, str(i)) for i in range(_N_FILES)]
        numbers = _joined(self._held)
        bucket = (numbers * _SPREAD) >> np.uint64(58)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(_N_FILES + 1, dtype=np.uint64))
        for path, start, stop in zip(files, edges[:-1], edges[1:], strict=True):
            with path.open("ab") as file:
                file.write(numbers[order[start:stop]].tobytes())
        self._held, self._n_held = [], 0
        return files

    def find(self) -> U64:
        """Find the numbers that came more than once.

        Returns
        -------
        ndarray of uint64
            Each of them once, ascending.
        """
        if self._folder is None:
            return _repeated(_joined(self._held))
        return np.sort(np.concatenate([_repeated(np.fromfile(p, "u8")) for p in self._spill()]))


def _joined(pieces: list[U64]) -> U64:
    return np.concatenate([np.empty(0, np.uint64), *pieces])


def _repeated(numbers: U64) -> U64:
    ordered = np.sort(numbers)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
