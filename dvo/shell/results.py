"""Rows of an answer on their way to the screen or a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvo.errors import StorageError
from dvo.shell.screen import Screen
from dvo.shell.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Results", "Sink"]

_MOST_KEPT = 1_000_000
_BINARY = ("fits", "votable", "parquet")


class Results:
    """Where answers go.

    Parameters
    ----------
    screen : Screen
        The screen.
    settings : Settings
        Form, file, and how many rows are printed.
    """

    def __init__(self, screen: Screen, settings: Settings) -> None:
        self.screen = screen
        self.settings = settings
        self._file: Any = None
        self._used = False

    def open(self, path: Path | None) -> None:
        """Have answers go to a file from now on, or to the screen again.

        Parameters
        ----------
        path : Path or None
            The file, which must not be there; None for the screen.

        Raises
        ------
        StorageError
            If it cannot be made.
        """
        self.close()
        if path is not None:
            try:
                self._file = path.open("xb")
            except FileExistsError:
                raise StorageError(f"{path}: exists already; take another name") from None
            except (OSError, ValueError) as err:
                reason = getattr(err, "strerror", None) or err
                raise StorageError(f"{path}: cannot be written ({reason})") from err
        self.settings.output = path

    def sink(self) -> Sink:
        """Make a place for the rows of one answer."""
        if self._file is not None:
            if self._used and self.settings.mode in (*_BINARY, "json"):
                raise StorageError(
                    f"{self.settings.output}: a {self.settings.mode} file holds one answer, and "
                    "has it; give another .output"
                )
            self._used = True
        return Sink(self, self._file)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self.screen.tell(f"wrote {self.settings.output}")
        self._file = None
        self._used = False
        self.settings.output = None


class Sink:
    """Takes the rows of one answer, piece by piece.

    Parameters
    ----------
    results : Results
        Where answers go.
    file : file or None
        The file that is open; None for the screen.
    """

    def __init__(self, results: Results, file: Any) -> None:
        self._results = results
        self._file = file
        self._pieces: list[pa.Table] = []
        self._form = results.settings.mode
        is_short = self._form == "table" and file is None
        self._limit = results.settings.max_rows if is_short else 0
        self._streams = self._form == "csv"
        self._is_first = True
        self.n_rows = 0
        self._is_cut = False

    def take(self, piece: pa.Table) -> bool:
        """Take rows; gives False once there are enough.

        Parameters
        ----------
        piece : pyarrow.Table
            The rows.

        Returns
        -------
        bool
            Whether more are wanted.
        """
        if self._limit and self.n_rows + len(piece) > self._limit:
            self._is_cut = True
            piece = piece.slice(0, self._limit - self.n_rows)
        self.n_rows += len(piece)
        if not self._streams:
            self._pieces.append(piece)
        else:
            if self._is_first or len(piece):
                self._write_csv(piece)
            if self._is_first or self.n_rows <= _MOST_KEPT:
                self._pieces.append(piece)
        self._is_first = False
        return not self._is_cut

    def _write_csv(self, piece: pa.Table) -> None:
        made = io.BytesIO()
        self._results.screen.write(piece, "csv", made, None)
        text = made.getvalue()
        if not self._is_first:
            text = text.split(b"\n", 1)[1]  # its names have been written
        self._put(text)

    def _put(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            self._file.flush()
        else:
            self._results.screen.say(data.decode("utf-8", "replace").removesuffix("\n"))

    def give_up(self) -> None:
        """Let go of rows that are no whole answer."""
        self._pieces.clear()

    def finish(self) -> pa.Table:
        """Write what has not been written; gives the rows, of a streamed answer the first."""
        import pyarrow as pa  # noqa: PLC0415 - keeps the start quick

        table = pa.concat_tables(self._pieces)
        if self._streams:
            return table
        screen = self._results.screen
        if self._form in _BINARY and self._file is None:
            raise StorageError(
                f"{self._form} is not for the screen; name a file with .output, or take another "
                ".mode"
            )
        made = io.BytesIO()
        screen.write(table, self._form, made, self._width())
        if self._file is not None:
            self._put(made.getvalue())
        else:
            self._say(made.getvalue().decode("utf-8", "replace").removesuffix("\n"))
        if self._is_cut:
            screen.tell(f"and more rows; .maxrows {self._limit} is set, .maxrows 0 shows all")
        return table

    def _width(self) -> int | None:
        """Characters of the widest line of a table; None for any number."""
        expanded = self._results.settings.expanded
        if self._file is not None or expanded == "off":
            return None
        return 0 if expanded == "on" else self._results.screen.width()

    def _say(self, text: str) -> None:
        screen, settings = self._results.screen, self._results.settings
        is_long = text.count("\n") >= screen.height() - 1
        is_wide = max(map(len, text.split("\n"))) > screen.width()
        if settings.pager and screen.is_interactive and (is_long or is_wide):
            screen.page(text)
        else:
            screen.say(text)
