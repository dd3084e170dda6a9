"""Rows that wait for the rest of their pixel, in memory as far as there is room.

Regions and pixels cut the sky differently, so that a pixel is complete only when several
regions have been read. Beyond a budget the largest heaps of rows go to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Heap", "Shards"]

Array = NDArray[Any]


@dataclass
class Heap:
    """Rows of one pixel.

    Parameters
    ----------
    names : tuple of str
        Their columns.
    n_rows : int
        How many there are.
    pieces : list of dict of str to ndarray
        Those in memory.
    path : Path or None
        File that holds others.
    """

    names: tuple[str, ...]
    n_rows: int = 0
    pieces: list[dict[str, Array]] = field(default_factory=list)
    path: Path | None = None

    @property
    def n_bytes(self) -> int:
        """Memory taken."""
        return sum(v.nbytes for piece in self.pieces for v in piece.values())

    def add(self, piece: Mapping[str, Array]) -> None:
        """Put rows on the heap."""
        self.pieces.append(dict(piece))
        self.n_rows += len(piece[self.names[0]])

    def spill(self, path: Path) -> None:
        """Bring what is in memory to the end of a file."""
        with path.open("ab") as file:
            for piece in self.pieces:
                for name in self.names:
                    np.lib.format.write_array(file, piece[name], allow_pickle=False)
        self.path, self.pieces = path, []

    def join(self, by: str) -> dict[str, Array]:
        """Take all rows off the heap.

        Parameters
        ----------
        by : str
            Column to put them in the order of.

        Returns
        -------
        dict of ndarray
            Columns by name.
        """
        pieces = [*self._spilt(), *self.pieces]
        self.pieces = []
        rank = np.argsort(np.concatenate([p[by] for p in pieces]))
        # Column by column: the rows are never held twice.
        return {n: np.concatenate([p.pop(n) for p in pieces])[rank] for n in self.names}

    def _spilt(self) -> list[dict[str, Array]]:
        if self.path is None:
            return []
        found, size = [], self.path.stat().st_size
        with self.path.open("rb") as file:
            while file.tell() < size:
                found.append(
                    {n: np.lib.format.read_array(file, allow_pickle=False) for n in self.names}
                )
        self.path.unlink()
        self.path = None
        return found


class Shards:
    """Heaps of rows by pixel.

    Parameters
    ----------
    folder : Path
        Where heaps go that have no room; made when it is needed.
    names : sequence of str
        Columns of the rows.
    budget : int
        Bytes of rows to keep in memory.
    """

    def __init__(self, folder: Path, names: tuple[str, ...], budget: int) -> None:
        self._folder = folder
        self._names = names
        self._budget = budget
        self._heaps: dict[int, Heap] = {}
        self._n_bytes = 0

    def add(self, key: int, piece: Mapping[str, Array]) -> Heap:
        """Put rows on the heap of a pixel.

        Parameters
        ----------
        key : int
            The pixel.
        piece : mapping of str to ndarray
            The rows; arrays that are not parts of larger ones.

        Returns
        -------
        Heap
            All rows of the pixel so far.
        """
        heap = self._heaps.setdefault(key, Heap(self._names))
        heap.add(piece)
        self._n_bytes += sum(v.nbytes for v in piece.values())
        while self._n_bytes > self._budget:
            self._spill_largest()
        return heap

    def _spill_largest(self) -> None:
        key, heap = max(self._heaps.items(), key=lambda item: item[1].n_bytes)
        self._folder.mkdir(exist_ok=True)
        self._n_bytes -= heap.n_bytes
        heap.spill(self._folder / f"{key}.rows")

    def take(self, key: int) -> Heap:
        """Take the heap of a pixel away.

        Parameters
        ----------
        key : int
            The pixel.

        Returns
        -------
        Heap
            Its rows; `Heap.join` puts them together.
        """
        heap = self._heaps.pop(key)
        self._n_bytes -= heap.n_bytes
        return heap

    def keys(self) -> list[int]:
        """Pixels that have rows."""
        return list(self._heaps)
