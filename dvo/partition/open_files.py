"""Data files kept open, for many threads at once.

The least recently used are closed when too many are open, but never one that a thread
reads: its number could be given to another file in the middle of a read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dvo.errors import StorageError
from dvo.tables.fits import TableFile

__all__ = ["FileShape", "OpenFiles"]

_MAX_OPEN = 256
_MAX_SHAPES = 1 << 16


@dataclass(frozen=True, slots=True)
class FileShape:
    """What a data file holds, known without its being open.

    Parameters
    ----------
    n_rows : int
        Its rows.
    tile_rows : int
        Rows of a tile, all of them where there are none, at least 1.
    names : frozenset of str
        Its columns.
    """

    n_rows: int
    tile_rows: int
    names: frozenset[str]


class _Entry:
    """An open file, and how many threads read it."""

    __slots__ = ("file", "is_dropped", "n_users")

    def __init__(self, file: TableFile) -> None:
        self.file = file
        self.n_users = 0
        self.is_dropped = False


class OpenFiles:
    """The data files of a database that are open.

    Parameters
    ----------
    root : Path
        The database directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._shapes: OrderedDict[str, FileShape] = OrderedDict()
        self._name_sets: dict[frozenset[str], frozenset[str]] = {}  # most files have the same
        self._mutex = threading.Lock()

    def close(self) -> None:
        """Close all files; those that are being read are closed by who reads them."""
        with self._mutex:
            while self._entries:
                self._drop(self._entries.popitem()[1])

    @contextmanager
    def use(self, path: str) -> Iterator[TableFile]:
        """Have a file open for as long as the ``with`` block lasts.

        Parameters
        ----------
        path : str
            Path relative to the catdir.

        Yields
        ------
        TableFile
            Its table.

        Raises
        ------
        StorageError
            If it cannot be opened.
        """
        entry = self._enter(path)
        try:
            yield entry.file
        finally:
            with self._mutex:
                entry.n_users -= 1
                if entry.is_dropped and entry.n_users == 0:
                    entry.file.close()

    def known_shape(self, path: str) -> FileShape | None:
        """Tell what a file holds, if it has been opened before."""
        return self._shapes.get(path)

    def shape(self, path: str) -> FileShape:
        """Tell what a file holds; it is opened the first time only.

        Parameters
        ----------
        path : str
            Path relative to the catdir.

        Returns
        -------
        FileShape
            Data files never change, so neither does this.

        Raises
        ------
        StorageError
            If it cannot be opened.
        """
        found = self._shapes.get(path)
        if found is None:
            with self.use(path) as file:
                names = frozenset(file.names)
                tile = max(1, min(file.tile_rows or file.n_rows, file.n_rows))
                with self._mutex:
                    names = self._name_sets.setdefault(names, names)
                    found = self._shapes[path] = FileShape(file.n_rows, tile, names)
                    if len(self._shapes) > _MAX_SHAPES:
                        self._shapes.popitem(last=False)
        return found

    def _enter(self, path: str) -> _Entry:
        with self._mutex:
            entry = self._entries.get(path)
            if entry is not None:
                self._entries.move_to_end(path)
                entry.n_users += 1
                return entry
        file = self._open(path)  # others need not wait for the disk
        with self._mutex:
            entry = self._entries.get(path)
            if entry is None:
                entry = self._entries[path] = _Entry(file)
            else:
                file.close()  # another thread was quicker
            entry.n_users += 1
            if len(self._entries) > _MAX_OPEN:
                self._drop(self._entries.popitem(last=False)[1])
            return entry

    def _drop(self, entry: _Entry) -> None:
        entry.is_dropped = True
        if entry.n_users == 0:
            entry.file.close()

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
