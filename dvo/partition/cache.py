"""Decoded tiles kept in memory, and the files they came from kept open.

Data files never change, so an entry can never be stale; the least recently used go first
when the budget is spent. Arrays handed out are read-only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, StorageError
from dvo.partition.kernels import move_words
from dvo.tables.fits import TableFile

__all__ = ["TileCache"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_MAX_OPEN = 256
_SMALL_READ = 100_000
"""Values up to which a read is left to the calling thread."""

_TILES_AT_ONCE = 16
"""Tiles of a long read that are decoded before they are used."""

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


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
        self._made: dict[tuple[str, str, int], Any] = {}  # of some of the tiles
        self._n_bytes = 0
        self._mutex = threading.RLock()

    def close(self) -> None:
        """Close all files and forget all tiles."""
        with self._mutex:
            for file in self._files.values():
                file.close()
            self._files.clear()
            self._tiles.clear()
            self._made.clear()
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

    def pieces(
        self, path: str, name: str, start: int, stop: int, make: Callable[[Array], Any]
    ) -> list[Any]:
        """Find what is made of the tiles of a column; it is made once and kept with them.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        name : str
            Column; the file has it.
        start, stop : int
            Rows.
        make : callable
            Makes of the values of a tile something that has ``slice(first, length)``.

        Returns
        -------
        list
            What was made, the first and the last cut to the rows.
        """
        out = []
        with self._mutex:
            file = self.file(path)
            tile = _tile_rows(file)
            first, last = start // tile, -(-stop // tile)
            for begin in range(first, last, _TILES_AT_ONCE):
                some = range(begin, min(begin + _TILES_AT_ONCE, last))
                self._fetch(path, file, [name], tile, some)
                for t in some:
                    key = (path, name, t)
                    piece = self._made.get(key)
                    if piece is None:
                        piece = self._made[key] = make(self._tiles[key])
                    low, high = max(start - t * tile, 0), min(stop - t * tile, tile)
                    n_rows = min(tile, file.n_rows - t * tile)
                    is_whole = low == 0 and high >= n_rows
                    out.append(piece if is_whole else piece.slice(low, high - low))
                self._shrink()
        return out

    def deal_out(
        self,
        path: str,
        names: Sequence[str],
        rows: I64,
        places: I64,
        column: Callable[[str], Array],
    ) -> None:
        """Read some columns of rows that may lie apart, and put each row where it belongs.

        Parameters
        ----------
        path : str
            Path relative to the catdir.
        names : sequence of str
            Columns; those the file does not have are passed over.
        rows : ndarray of int64, shape (n,)
            Rows, ascending.
        places : ndarray of int64, shape (n,)
            Where each goes.
        column : callable
            Gives the array that values of a column go into, by its name.

        Raises
        ------
        CorruptTableError
            If there is no such row, or a place is outside the arrays.
        """
        first, last = (int(places.min()), int(places.max())) if len(places) else (0, -1)
        with self._mutex:
            file = self.file(path)
            known = file.names
            stored = [n for n in names if n in known]
            tile = _tile_rows(file)
            # Rows ascend, so their tiles do; np.unique would take longer than the decoding.
            tiles = rows // tile
            into = {name: column(name) for name in stored}
            if len(rows) and (first < 0 or any(last >= len(to) for to in into.values())):
                raise CorruptTableError(
                    f"{self._root / path}: has values for row {first if first < 0 else last} of a "
                    f"table that has no such row; run: dvo check --deep {self._root}"
                )
            if len(rows) and rows[-1] >= file.n_rows:
                raise CorruptTableError(
                    f"{self._root / path}: has {file.n_rows} rows, but row {rows[-1]} is asked "
                    f"for; run: dvo check --deep {self._root}"
                )
            begins = np.flatnonzero(np.diff(tiles, prepend=-1))
            edges = np.append(begins, len(rows)).tolist()
            numbers = tiles[begins]
            for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) > 1) + 1):
                # A few tiles at a time: they stay in the processor's memory till they are used.
                for some in np.split(run, range(_TILES_AT_ONCE, len(run), _TILES_AT_ONCE)):
                    if len(some) == 0:
                        continue
                    start, stop = int(numbers[some[0]]), int(numbers[some[-1]]) + 1
                    self._fetch(path, file, stored, tile, range(start, stop))
                    for k, t in zip(some.tolist(), range(start, stop), strict=True):
                        here = slice(edges[k], edges[k + 1])
                        of, to = rows[here] - t * tile, places[here]
                        for name in stored:
                            _move_rows(self._tiles[path, name, t], of, into[name], to)
                    self._shrink()

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
            key, values = self._tiles.popitem(last=False)
            self._made.pop(key, None)
            self._n_bytes -= values.nbytes


def _tile_rows(file: TableFile) -> int:
    """Rows of a tile, all of them where there are none, at least 1."""
    return max(1, min(file.tile_rows or file.n_rows, file.n_rows))


def _move_rows(source: Array, rows: I64, target: Array, places: I64) -> None:
    word = _WORDS.get(source.dtype.itemsize)
    if word is None or source.ndim != 1 or source.dtype != target.dtype:
        target[places] = source[rows]
        return
    move_words(source.view(word), rows, target.view(word), places)
