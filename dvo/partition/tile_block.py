"""Tiles of a column that were read together: what is kept in memory, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dvo.partition.open_files import FileShape

__all__ = ["PieceRun", "TileBlock"]

Array = NDArray[Any]


@dataclass(eq=False, slots=True)
class TileBlock:
    """Some tiles of a column of a data file, one behind the other in one array.

    Parameters
    ----------
    path : str
        Path of the file, relative to the catdir.
    name : str
        The column.
    first, stop : int
        Range of tiles.
    tile_rows : int
        Rows of a tile.
    values : ndarray
        Their values; read-only, and all the memory that the block takes.
    made : object
        What was made of the values; None before that.
    """

    path: str
    name: str
    first: int
    stop: int
    tile_rows: int
    values: Array
    made: Any = None

    @property
    def start_row(self) -> int:
        """Row of the file at which it begins."""
        return self.first * self.tile_rows

    def rows(self, start: int, stop: int) -> Array:
        """Values of those of the rows ``start`` to ``stop`` of the file that it has."""
        begin = self.start_row
        return self.values[max(start - begin, 0) : max(stop - begin, 0)]

    def tile(self, number: int) -> Array:
        """Values of one of its tiles, by the number of it in the file."""
        return self.rows(number * self.tile_rows, (number + 1) * self.tile_rows)


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
        By column, which the file has: makes of the values of some tiles something that has
        a length and ``slice(first, length)``.
    """

    path: str
    start: int
    stop: int
    makes: Mapping[str, Callable[[Array], Any]]

    def tiles(self, shape: FileShape) -> range:
        """Tiles that hold the rows."""
        return range(self.start // shape.tile_rows, -(-self.stop // shape.tile_rows))

    def cut(self, block: TileBlock, tiles: range) -> Any:
        """Cut what was made of a block to the rows, and to those of some tiles that it has."""
        begin, rows = block.start_row, block.tile_rows
        first = max(self.start, tiles.start * rows) - begin
        stop = min(self.stop, tiles.stop * rows, begin + len(block.values)) - begin
        whole = first == 0 and stop == len(block.values)
        return block.made if whole else block.made.slice(first, stop - first)
