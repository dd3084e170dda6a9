"""Decoded tiles kept in memory.

Data files never change, so an entry can never be stale; the least recently used go first
when the budget is spent. Arrays handed out are read-only.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError
from dvo.partition.kernels import move_words, tile_edges
from dvo.partition.open_files import FileShape, OpenFiles
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.meter import METER

__all__ = ["PieceRun", "TileCache"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_SMALL_READ = 100_000
"""Values up to which a read is left to the calling thread."""

_TILES_AT_ONCE = 16
"""Tiles of a long read that are decoded before they are used."""

_PIECES_AT_ONCE = 128
"""Tiles of a column that are decoded before others of it are looked for."""

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

_MAX_BOUNDS = 1 << 13
"""Columns of files of which the bounds of tiles are remembered."""

_Key = tuple[str, str, int]  # path, column, number of the tile
_Bounds = tuple[int, tuple[Array, Array] | None]  # rows of a tile, minima and maxima


@dataclass(frozen=True)
class PieceRun:
    """A run of rows of a data file, of which something is wanted.

    Parameters
    ----------
    path : str
        Path relative to the catdir.
    start, stop : int
        Rows.
    makes : mapping of str to callable
        By column, which the file has: makes of the values of a tile something that has
        a length and ``slice(first, length)``.
    """

    path: str
    start: int
    stop: int
    makes: Mapping[str, Callable[[Array], Any]]

    def tiles(self, shape: FileShape) -> range:
        """Tiles that hold the rows."""
        return range(self.start // shape.tile_rows, -(-self.stop // shape.tile_rows))

    def cut(self, pieces: list[Any], shape: FileShape) -> list[Any]:
        """Cut the first and the last of the pieces of all tiles to the rows."""
        if not pieces:
            return pieces
        after = min(self.tiles(shape).stop * shape.tile_rows, shape.n_rows) - self.stop
        if after > 0:
            pieces[-1] = pieces[-1].slice(0, len(pieces[-1]) - after)
        before = self.start % shape.tile_rows
        if before > 0:
            pieces[0] = pieces[0].slice(before, len(pieces[0]) - before)
        return pieces


class TileCache:
    """Columns of data files, read tile by tile and remembered.

    Threads may share it. Tiles are decoded by who wants them, while others go on; should
    two want the same at the same time, both decode it.

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
        self.threads = threads
        self._files = OpenFiles(root)
        self._tiles: OrderedDict[_Key, Array] = OrderedDict()
        self._made: dict[_Key, Any] = {}  # of some of the tiles
        self._n_bytes = 0
        self._mutex = threading.Lock()
        self._bounds: OrderedDict[tuple[str, str], _Bounds] = OrderedDict()
        self._bounds_mutex = threading.Lock()

    def close(self) -> None:
        """Close all files and forget all tiles."""
        self._files.close()
        with self._mutex:
            self._tiles.clear()
            self._made.clear()
            self._n_bytes = 0

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
        # One thread at a time: the bounds follow the table, and are looked for once.
        with self._bounds_mutex:
            found = []
            for name in names:
                bounds = self._bounds.get((path, name))
                if bounds is None:
                    with self._files.use(path) as file:
                        bounds = file.tile_rows, file.tile_bounds(name)
                    self._bounds[path, name] = bounds
                    if len(self._bounds) > _MAX_BOUNDS:
                        self._bounds.popitem(last=False)
                found.append(bounds)
        known = [of_column for _, of_column in found if of_column is not None]
        if len(known) < len(found) or not found[0][0]:
            return None
        return found[0][0], known

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
        shape = self._files.shape(path)
        tile = shape.tile_rows
        stored = [n for n in names if n in shape.names]
        first, last = start // tile, max(start // tile + 1, -(-stop // tile))
        here = slice(start - first * tile, stop - first * tile)
        tiles = self._get(path, stored, range(first, last))
        if last - first == 1:
            return {name: tiles[path, name, first][here] for name in stored}
        return {
            name: np.concatenate([tiles[path, name, t] for t in range(first, last)])[here]
            for name in stored
        }

    def pieces(self, runs: Sequence[PieceRun]) -> list[dict[str, list[Any]]]:
        """Find what is made of the tiles of columns; it is made once and kept with them.

        Parameters
        ----------
        runs : sequence of PieceRun
            Runs of rows of some files. Files that have to be read are read side by side.

        Returns
        -------
        list of dict of str to list
            For each run and column what was made, the first and the last cut to the rows.
        """
        found = [self._made_of(run) for run in runs]
        missing = [k for k, pieces in enumerate(found) if pieces is None]
        threads = self.threads if len(missing) == 1 else 1  # those of the many are enough

        def make(k: int) -> None:
            found[k] = self._make(runs[k], threads)

        run_jobs(make, missing, self.threads)
        return [pieces for pieces in found if pieces is not None]

    def _made_of(self, run: PieceRun) -> dict[str, list[Any]] | None:
        """Pieces of a run that are there; None if one is not."""
        shape = self._files.known_shape(run.path)
        if shape is None:
            return None
        found = {}
        with self._mutex:
            for name in run.makes:
                keys = [(run.path, name, t) for t in run.tiles(shape)]
                pieces = [self._made.get(key) for key in keys]
                if None in pieces:
                    return None
                for key in keys:
                    self._tiles.move_to_end(key)
                found[name] = run.cut(pieces, shape)
        return found

    def _make(self, run: PieceRun, threads: int) -> dict[str, list[Any]]:
        """Make the pieces of a run."""
        shape = self._files.shape(run.path)
        tiles = run.tiles(shape)
        found: dict[str, list[Any]] = {name: [] for name in run.makes}
        for some in (tiles[k : k + _PIECES_AT_ONCE] for k in range(0, len(tiles), _PIECES_AT_ONCE)):
            values = self._get(run.path, list(run.makes), some, threads)
            with self._mutex:
                made = {key: self._made[key] for key in values if key in self._made}
            fresh = {k: run.makes[k[1]](tile) for k, tile in values.items() if k not in made}
            with self._mutex:
                # Not of tiles that had to go already: nobody would take it away.
                self._made |= {key: piece for key, piece in fresh.items() if key in self._tiles}
            made |= fresh
            for name, pieces in found.items():
                pieces += [made[run.path, name, t] for t in some]
        return {name: run.cut(pieces, shape) for name, pieces in found.items()}

    def deal_out(
        self,
        path: str,
        names: Sequence[str],
        rows: I64,
        places: I64,
        column: Callable[[str], Array],
        *,
        once: bool = False,
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
        once : bool
            Whether nobody will ask for these rows again, and others read beside this thread:
            then they are not kept, and all is done in it.

        Raises
        ------
        CorruptTableError
            If there is no such row, or a place is outside the arrays.
        """
        first, last = (int(places.min()), int(places.max())) if len(places) else (0, -1)
        shape = self._files.shape(path)
        stored = [n for n in names if n in shape.names]
        into = {name: column(name) for name in stored}
        if len(rows) and (first < 0 or any(last >= len(to) for to in into.values())):
            raise CorruptTableError(
                f"{self._root / path}: has values for row {first if first < 0 else last} of a "
                f"table that has no such row; run: dvo check --deep {self._root}"
            )
        if len(rows) and not 0 <= rows.min() <= rows.max() < shape.n_rows:
            row = rows.min() if rows.min() < 0 else rows.max()
            raise CorruptTableError(
                f"{self._root / path}: has {shape.n_rows} rows, but row {row} is asked "
                f"for; run: dvo check --deep {self._root}"
            )
        numbers, edges = tile_edges(rows, shape.tile_rows)
        read = self._read_once if once else self._read_each
        for begin, end in _neighbours(numbers):
            tiles = range(int(numbers[begin]), int(numbers[end - 1]) + 1)
            k = begin
            for n_tiles, values in read(path, stored, tiles):
                here = slice(edges[k], edges[k + n_tiles])
                of, to = rows[here] - int(numbers[k]) * shape.tile_rows, places[here]
                for name in stored:
                    _move_rows(values[name], of, into[name], to)
                k += n_tiles

    def _read_each(
        self, path: str, names: Sequence[str], tiles: range
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Columns of tile after tile, each with the number of its tiles: one."""
        found = self._get(path, names, tiles)
        for t in tiles:
            yield 1, {name: found[path, name, t] for name in names}

    def _read_once(
        self, path: str, names: Sequence[str], tiles: range
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Columns of tiles that go elsewhere; what shares the last of them will want it, too."""
        first, last = tiles.start, tiles.stop - 1
        with self._mutex:
            start = {name: self._tiles.get((path, name, first)) for name in names}
        held = {name: values for name, values in start.items() if values is not None}
        if len(held) == len(names):
            yield 1, held
            first += 1
        if first > last:
            return
        shape = self._files.shape(path)
        tile, stop = shape.tile_rows, min((last + 1) * shape.tile_rows, shape.n_rows)
        with self._files.use(path) as file:
            data = file.read(names, start=first * tile, stop=stop)
        ends = {name: values[(last - first) * tile :].copy() for name, values in data.items()}
        for values in ends.values():
            values.flags.writeable = False
        self._keep(((path, name, last), values) for name, values in ends.items())
        yield last + 1 - first, data

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
        shape = self._files.shape(path)
        tile = shape.tile_rows
        stored = [n for n in names if n in shape.names]
        joined: list[tuple[int, int]] = []
        for start, stop in runs:
            first, last = start // tile, -(-stop // tile)
            if joined and joined[-1][1] >= first:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        for first, last in joined:
            self._get(path, stored, range(first, last))

    def _get(
        self, path: str, names: Sequence[str], tiles: range, threads: int | None = None
    ) -> dict[_Key, Array]:
        """Tiles of some columns: those in memory, and the others read, each run of them once."""
        found: dict[_Key, Array] = {}
        by_run: dict[tuple[int, int], list[str]] = {}
        held = self._tiles
        with self._mutex:
            for name in names:
                missing = []
                for t in tiles:
                    key = (path, name, t)
                    values = held.get(key)
                    if values is None:
                        missing.append(t)
                    else:
                        held.move_to_end(key)
                        found[key] = values
                if missing:
                    by_run.setdefault((missing[0], missing[-1] + 1), []).append(name)
        for (first, last), wanted in by_run.items():
            fresh = self._read(path, wanted, first, last, threads or self.threads)
            found |= fresh
            self._keep(fresh.items())
        return found

    def _read(
        self, path: str, names: Sequence[str], first: int, last: int, threads: int
    ) -> dict[_Key, Array]:
        """Decode some tiles of some columns."""
        shape = self._files.shape(path)
        tile = shape.tile_rows
        start, stop = first * tile, min(last * tile, shape.n_rows)
        # A thread takes longer to start than to decode a tile or two.
        threads = 1 if (stop - start) * len(names) <= _SMALL_READ else threads
        begun = time.perf_counter()
        with self._files.use(path) as file:
            data = file.read(names, start=start, stop=stop, threads=threads)
        if (meter := METER.get()) is not None:
            n_tiles = (last - first) * len(names)
            meter.add(n_tiles=n_tiles, fetch_s=time.perf_counter() - begun)
        found = {}
        for name, values in data.items():
            for t in range(first, last):
                # A tile of its own: as a piece of all that was read it would keep all of
                # that in memory until the last of its neighbours has gone.
                piece = values[(t - first) * tile : (t - first + 1) * tile]
                found[path, name, t] = piece = piece if last - first == 1 else piece.copy()
                piece.flags.writeable = False
        return found

    def _keep(self, tiles: Iterable[tuple[_Key, Array]]) -> None:
        """Remember tiles, and forget others if there are too many."""
        held = self._tiles
        with self._mutex:
            for key, values in tiles:
                if key not in held:
                    self._n_bytes += values.nbytes
                    held[key] = values
            while self._n_bytes > self._budget and len(held) > 1:
                key, values = held.popitem(last=False)
                self._made.pop(key, None)
                self._n_bytes -= values.nbytes


def _neighbours(numbers: I64) -> Iterator[tuple[int, int]]:
    """Where runs of neighbouring tiles begin and end, a few tiles each.

    What is read at once stays in the processor's memory until it is used.
    """
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    edges = [0, *breaks.tolist(), len(numbers)] if len(numbers) else []
    for begin, end in itertools.pairwise(edges):
        for k in range(begin, end, _TILES_AT_ONCE):
            yield k, min(k + _TILES_AT_ONCE, end)


def _move_rows(source: Array, rows: I64, target: Array, places: I64) -> None:
    word = _WORDS.get(source.dtype.itemsize)
    if word is None or source.ndim != 1 or source.dtype != target.dtype:
        target[places] = source[rows]
        return
    move_words(source.view(word), rows, target.view(word), places)
