"""Decoded tiles kept in memory, in blocks of those that were read together.

Data files never change, so an entry can never be stale; the least recently used go first
when the budget is spent. Arrays handed out are read-only.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError
from dvo.partition.kernels import move_words, tile_edges
from dvo.partition.open_files import FileShape, OpenFiles
from dvo.partition.tile_block import PieceRun, TileBlock
from dvo.tables.fits.jobs import run_jobs
from dvo.tables.fits.meter import METER

__all__ = ["TileCache"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_SMALL_READ = 100_000
"""Values up to which a read is left to the calling thread."""

_TILES_AT_ONCE = 16
"""Tiles of a long read that are decoded before they are used."""

_BLOCK_ROWS = 1 << 18
"""Rows of a block, at most: a long read has few of them, and one is soon read."""

_LEAST_BLOCKS = 16
"""Blocks, of columns of eight bytes, that there has to be room for."""

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

_MAX_BOUNDS = 1 << 13
"""Columns of files of which the bounds of tiles are remembered."""

_Key = tuple[str, str, int]  # path, column, number of the tile
_Bounds = tuple[int, tuple[Array, Array] | None]  # rows of a tile, minima and maxima


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
        self._blocks: OrderedDict[TileBlock, None] = OrderedDict()
        self._tiles: dict[_Key, TileBlock] = {}  # the block that each tile is in
        self._n_bytes = 0
        self._mutex = threading.Lock()
        self._bounds: OrderedDict[tuple[str, str], _Bounds] = OrderedDict()
        self._bounds_mutex = threading.Lock()

    def close(self) -> None:
        """Close all files and forget all tiles."""
        self._files.close()
        with self._mutex:
            self._blocks.clear()
            self._tiles.clear()
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
        blocks = self._get(path, stored, range(first, last))
        found = {name: [b.rows(start, stop) for b in of] for name, of in blocks.items()}
        return {n: v[0] if len(v) == 1 else np.concatenate(v) for n, v in found.items()}

    def pieces(self, runs: Sequence[PieceRun]) -> list[dict[str, list[Any]]]:
        """Find what is made of blocks of tiles; it is made once and kept with them.

        Parameters
        ----------
        runs : sequence of PieceRun
            Runs of rows of some files. Blocks that have to be read are read side by side.

        Returns
        -------
        list of dict of str to list
            For each run and column what was made, cut to the rows: a piece for each 262,144
            rows of the file, or as many tiles as go into them. So where pieces begin does
            not depend on what was read before.
        """
        found = [self._made_of(run) for run in runs]
        missing = [k for k, pieces in enumerate(found) if pieces is None]
        shapes: dict[int, FileShape] = {}

        def look(k: int) -> None:
            shapes[k] = self._files.shape(runs[k].path)

        run_jobs(look, missing, self.threads)
        jobs = [(k, cell) for k in missing
                for cell in _cells(runs[k].tiles(shapes[k]), shapes[k], _BLOCK_ROWS)]  # fmt: skip
        threads = self.threads if len(jobs) == 1 else 1  # those of the many are enough
        made: dict[tuple[int, range], dict[str, Any]] = {}

        def make(job: tuple[int, range]) -> None:
            made[job] = self._make(runs[job[0]], job[1], threads)

        run_jobs(make, jobs, self.threads)
        for k in missing:
            found[k] = {name: [] for name in runs[k].makes}
        for job in jobs:
            pieces = found[job[0]]
            assert pieces is not None
            for name, piece in made[job].items():
                pieces[name].append(piece)
        return [pieces for pieces in found if pieces is not None]

    def _made_of(self, run: PieceRun) -> dict[str, list[Any]] | None:
        """Pieces of a run that are there; None if one is not."""
        shape = self._files.known_shape(run.path)
        if shape is None:
            return None
        found: dict[str, list[Any]] = {name: [] for name in run.makes}
        with self._mutex:
            for cell in _cells(run.tiles(shape), shape, _BLOCK_ROWS):
                for name, pieces in found.items():
                    block = self._tiles.get((run.path, name, cell.start))
                    if block is None or block.made is None or block.stop < cell.stop:
                        return None
                    self._blocks.move_to_end(block)
                    pieces.append(run.cut(block, cell))
        return found

    def _make(self, run: PieceRun, cell: range, threads: int) -> dict[str, Any]:
        """Make the pieces of some tiles of a run."""
        found = {}
        for name, blocks in self._get(run.path, list(run.makes), cell, threads).items():
            block = blocks[0] if len(blocks) == 1 else self._join(blocks)
            if block.made is None:
                block.made = run.makes[name](block.values)
            found[name] = run.cut(block, cell)
        return found

    def _join(self, blocks: Sequence[TileBlock]) -> TileBlock:
        """One block in place of some that lie one behind the other."""
        first = blocks[0]
        values = np.concatenate([block.values for block in blocks])
        tiles = range(first.first, blocks[-1].stop)
        block = _new_block(first.path, first.name, tiles, first.tile_rows, values)
        if values.nbytes <= self._budget // _LEAST_BLOCKS:
            self._keep([block])
        return block

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
        of_tile = {n: {t: b for b in of for t in range(b.first, b.stop)} for n, of in found.items()}
        for t in tiles:
            yield 1, {name: of_tile[name][t].tile(t) for name in names}

    def _read_once(
        self, path: str, names: Sequence[str], tiles: range
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Columns of tiles that go elsewhere; what shares the last of them will want it, too."""
        first, last = tiles.start, tiles.stop - 1
        with self._mutex:
            start = {name: self._tiles.get((path, name, first)) for name in names}
        held = {name: block.tile(first) for name, block in start.items() if block is not None}
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
        self._keep(_new_block(path, n, range(last, last + 1), tile, v) for n, v in ends.items())
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
    ) -> dict[str, list[TileBlock]]:
        """Blocks with tiles of columns: those in memory, and others read, each run once."""
        found: dict[str, list[TileBlock]] = {}
        by_run: dict[tuple[int, int], list[str]] = {}
        with self._mutex:
            for name in names:
                found[name], missing = self._held(path, name, tiles)
                if missing:
                    by_run.setdefault((missing[0], missing[-1] + 1), []).append(name)
        for (first, stop), wanted in by_run.items():
            fresh = self._read(path, wanted, range(first, stop), threads or self.threads)
            self._keep(block for blocks in fresh.values() for block in blocks)
            for name, blocks in fresh.items():
                before = [b for b in found[name] if b.stop <= first]
                found[name] = before + blocks + [b for b in found[name] if b.first >= stop]
        return found

    def _held(self, path: str, name: str, tiles: range) -> tuple[list[TileBlock], list[int]]:
        """Blocks in memory that have some of the tiles, and tiles that none has."""
        blocks, missing = [], []
        t = tiles.start
        while t < tiles.stop:
            block = self._tiles.get((path, name, t))
            if block is None:
                missing.append(t)
                t += 1
            else:
                self._blocks.move_to_end(block)
                blocks.append(block)
                t = block.stop
        return blocks, missing

    def _read(
        self, path: str, names: Sequence[str], tiles: range, threads: int
    ) -> dict[str, list[TileBlock]]:
        """Decode some tiles of some columns."""
        shape = self._files.shape(path)
        tile = shape.tile_rows
        # A thread takes longer to start than to decode a tile or two.
        threads = 1 if len(tiles) * tile * len(names) <= _SMALL_READ else threads
        begun = time.perf_counter()
        found: dict[str, list[TileBlock]] = {name: [] for name in names}
        with self._files.use(path) as file:
            most = min(_BLOCK_ROWS, self._budget // (_LEAST_BLOCKS * 8))
            for part in _cells(tiles, shape, most):
                start, stop = part.start * tile, min(part.stop * tile, shape.n_rows)
                data = file.read(names, start=start, stop=stop, threads=threads)
                for name, values in data.items():
                    found[name].append(_new_block(path, name, part, tile, values))
        if (meter := METER.get()) is not None:
            n_tiles = len(tiles) * len(names)
            meter.add(n_tiles=n_tiles, fetch_s=time.perf_counter() - begun)
        return found

    def _keep(self, blocks: Iterable[TileBlock]) -> None:
        """Remember blocks, and forget others if there are too many."""
        with self._mutex:
            for block in blocks:
                keys = [(block.path, block.name, t) for t in range(block.first, block.stop)]
                old = {held for key in keys if (held := self._tiles.get(key)) is not None}
                if any(b.first <= block.first and block.stop <= b.stop for b in old):
                    continue  # another thread was quicker
                for held in old:
                    self._forget(held)
                self._blocks[block] = None
                self._tiles |= dict.fromkeys(keys, block)
                self._n_bytes += block.values.nbytes
            while self._n_bytes > self._budget and len(self._blocks) > 1:
                self._forget(next(iter(self._blocks)))

    def _forget(self, block: TileBlock) -> None:
        del self._blocks[block]
        for t in range(block.first, block.stop):
            del self._tiles[block.path, block.name, t]
        self._n_bytes -= block.values.nbytes


def _cells(tiles: range, shape: FileShape, rows: int) -> Iterator[range]:
    """Cut a range of tiles where cells of the file of so many rows begin."""
    n = max(1, rows // shape.tile_rows)
    edges = [tiles.start, *range(tiles.start // n * n + n, tiles.stop, n), tiles.stop]
    for first, stop in itertools.pairwise(edges):
        if first < stop:
            yield range(first, stop)


def _new_block(path: str, name: str, tiles: range, tile_rows: int, values: Array) -> TileBlock:
    values.flags.writeable = False
    return TileBlock(path, name, tiles.start, tiles.stop, tile_rows, values)


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
