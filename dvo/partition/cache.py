"""Decoded tiles kept in memory, and the files they came from kept open.

Data files never change, so an entry can never be stale; the least recently used go first
when the budget is spent. Arrays handed out are read-only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import StorageError
from dvo.tables.fits import TableFile

__all__ = ["TileCache"]

Array = NDArray[Any]

_MAX_OPEN = 256
_SMALL_READ = 100_000
"""Values up to which a read is left to the calling thread."""


class TileCache:
    """Columns of data files, read tile by tile and remembered.

    Parameters
    ----------
    root : Path
        The database directory.
    budget : int
        Bytes of decoded tiles to keep.
    threads : int
        Threads that decode.
    """

    def __init__(self, root: Path, *, budget: int, threads: int) -> None:
        self._root = root
        self._budget = budget
        self._threads = threads
        self._files: OrderedDict[str, TableFile] = OrderedDict()
        self._tiles: OrderedDict[tuple[str, str, int], Array] = OrderedDict()
        self._n_bytes = 0
        self._mutex = threading.RLock()

    def close(self) -> None:
        """Close all files and forget all tiles."""
        with self._mutex:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._tiles.clear()
            self._n_bytes = 0

    def file(self, path: str) -> TableFile:
        """Open a data file, or find it open.

        Parameters
        ----------
        path : str
            Path relative to the catdir.

        Returns
        -------
        TableFile
            Its table; stays open until it has not been used for long.
        """
        with self._mutex:
            found = self._files.get(path)
            if found is None:
                found = self._files[path] = self._open(path)
                if len(self._files) > _MAX_OPEN:
                    self._files.popitem(last=False)[1].close()
            else:
                self._files.move_to_end(path)
            return found

    def _open(self, path: str) -> TableFile:
        try:
            return TableFile(self._root / path, 1)
        except StorageError as err:
            if (self._root / path).exists():
                raise
            raise StorageError(
                f"{self._root / path}: is gone; if a vacuum ran just now open the database "
                f"again, else run: dvo check {self._root}"
            ) from err

    def tile_bounds(
        self, path: str, names: Sequence[str]
    ) -> tuple[int, list[tuple[Array, Array]]] | None:
        """Least and greatest values of columns in each tile of a data file.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        names : sequence of str
            Columns.

        Returns
        -------
        tile_rows : int
            Rows of a tile.
        bounds : list of (ndarray, ndarray)
            Minima and maxima of each column; None in place of both if the file does not
            record them.
        """
        # Under the lock: in another thread the file could be closed for one used later.
        with self._mutex:
            file = self.file(path)
            found = [file.tile_bounds(name) for name in names]
            bounds = [b for b in found if b is not None]
            if len(bounds) < len(found) or not file.tile_rows:
                return None
            return file.tile_rows, bounds

    def rows(self, path: str, names: Sequence[str], start: int, stop: int) -> dict[str, Array]:
        """Read some columns of a run of rows.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        names : sequence of str
            Columns; those the file does not have are left out of the result.
        start, stop : int
            Rows.

        Returns
        -------
        dict of ndarray
            Read-only arrays of ``stop - start`` rows.
        """
        with self._mutex:
            file = self.file(path)
            known = file.names
            stored = [n for n in names if n in known]
            tile = _tile_rows(file)
            first, last = start // tile, max(start // tile + 1, -(-stop // tile))
            self._fetch(path, file, stored, tile, range(first, last))
            here = slice(start - first * tile, stop - first * tile)
            tiles = self._tiles
            if last - first == 1:
                out = {name: tiles[path, name, first][here] for name in stored}
            else:
                out = {
                    name: np.concatenate([tiles[path, name, t] for t in range(first, last)])[here]
                    for name in stored
                }
            self._shrink()
            return out

    def gather(self, path: str, names: Sequence[str], rows: Array) -> dict[str, Array]:
        """Read some columns of rows that may lie apart, as far as possible in one sweep.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        names : sequence of str
            Columns; those the file does not have are left out of the result.
        rows : ndarray of int64, shape (n,)
            Rows, ascending.

        Returns
        -------
        dict of ndarray
            Arrays of n rows, which may be written to.
        """
        with self._mutex:
            tile = _tile_rows(self.file(path))
        # Rows ascend, so their tiles do; np.unique would take longer than the decoding.
        tiles = rows // tile
        tiles = tiles[np.flatnonzero(np.diff(tiles, prepend=-1))]
        runs = np.split(tiles, np.flatnonzero(np.diff(tiles) > 1) + 1)
        pieces = []
        for run in runs if len(tiles) else ():
            start, stop = int(run[0]) * tile, (int(run[-1]) + 1) * tile
            here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            found = self.rows(path, names, start, int(here[-1]) + 1)
            pieces.append({name: values[here - start] for name, values in found.items()})
        if len(pieces) == 1:
            return pieces[0]
        return {n: np.concatenate([p[n] for p in pieces]) for n in (pieces[0] if pieces else ())}

    def fetch(self, path: str, names: Sequence[str], runs: Sequence[tuple[int, int]]) -> None:
        """Bring columns of some runs of rows into memory; `rows` finds them there.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        names : sequence of str
            Columns; those the file does not have are passed over.
        runs : sequence of tuple of int
            Runs of rows, ascending. Neighbours are read together.
        """
        with self._mutex:
            file = self.file(path)
            known = file.names
            stored = [n for n in names if n in known]
            tile = _tile_rows(file)
            joined: list[tuple[int, int]] = []
            for start, stop in runs:
                first, last = start // tile, -(-stop // tile)
                if joined and joined[-1][1] >= first:
                    joined[-1] = (joined[-1][0], last)
                else:
                    joined.append((first, last))
            for first, last in joined:
                self._fetch(path, file, stored, tile, range(first, last))

    def _fetch(
        self, path: str, file: TableFile, names: Sequence[str], tile: int, tiles: range
    ) -> None:
        """Bring the tiles of some columns into memory, reading each run of missing ones once."""
        by_run: dict[tuple[int, int], list[str]] = {}
        held = self._tiles
        for name in names:
            missing = []
            for t in tiles:
                key = (path, name, t)
                if key in held:
                    held.move_to_end(key)
                else:
                    missing.append(t)
            if missing:
                by_run.setdefault((missing[0], missing[-1] + 1), []).append(name)
        for (first, last), wanted in by_run.items():
            stop = min(last * tile, file.n_rows)
            # A thread takes longer to start than to decode a tile or two.
            is_small = (stop - first * tile) * len(wanted) <= _SMALL_READ
            threads = 1 if is_small else self._threads
            data = file.read(wanted, start=first * tile, stop=stop, threads=threads)
            for name, values in data.items():
                for t in range(first, last):
                    # A tile of its own: as a piece of all that was read it would keep all of
                    # that in memory until the last of its neighbours has gone.
                    piece = values[(t - first) * tile : (t - first + 1) * tile]
                    self._keep((path, name, t), piece if last - first == 1 else piece.copy())

    def _keep(self, key: tuple[str, str, int], values: Array) -> None:
        values.flags.writeable = False
        if key not in self._tiles:
            self._n_bytes += values.nbytes
        self._tiles[key] = values

    def _shrink(self) -> None:
        while self._n_bytes > self._budget and len(self._tiles) > 1:
            _, values = self._tiles.popitem(last=False)
            self._n_bytes -= values.nbytes


def _tile_rows(file: TableFile) -> int:
    """Rows of a tile, all of them where there are none, at least 1."""
    return max(1, min(file.tile_rows or file.n_rows, file.n_rows))
