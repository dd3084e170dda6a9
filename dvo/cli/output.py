"""How results are printed or written: table, csv, json, FITS, VOTable, Parquet."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.counted import counted
from dvo.errors import DvoError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "Output", "check_folder", "format_option", "output_option", "progress_line"]

FORMATS = ("table", "csv", "json", "fits", "votable", "parquet")

_ENDINGS = {".csv": "csv", ".json": "json", ".fits": "fits", ".fit": "fits", ".vot": "votable",
            ".xml": "votable", ".parquet": "parquet"}  # fmt: skip
_PIECEMEAL = ("csv", "json", "parquet")
_MOST_HELD = 1 << 22
_BINARY = ("fits", "votable", "parquet")

format_option = click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Form of the output; by the ending of -o if not given, else table.",
)
_OVERWRITE = "dvo.overwrite"


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options -o and --overwrite; it gets the path of -o."""
    output = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        callback=_free_place,
        help=f"File to write ({' '.join(_ENDINGS)}, or any with -f); - or none for stdout.",
    )
    overwrite = click.option(
        "--overwrite", is_flag=True, is_eager=True, expose_value=False, callback=_may_overwrite,
        help="Replace the file of -o if it exists.",
    )  # fmt: skip
    return output(overwrite(command))


def _may_overwrite(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[_OVERWRITE] = value
    return value


def _free_place(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that is there, before any work is done, unless it may be replaced."""
    if path is not None and path.is_file() and not ctx.meta.get(_OVERWRITE):
        raise StorageError(f"{path}: exists already; say --overwrite to replace it")
    return path


@dataclass(frozen=True)
class Output:
    """Where a result goes, and in which form.

    Parameters
    ----------
    form : str
        One of `FORMATS`.
    path : Path or None
        File to write; None for stdout.
    width : int or None
        Characters of a line that can be read, for tables; None for any number.
    """

    form: str
    path: Path | None
    width: int | None = None

    @classmethod
    def choose(cls, form: str | None, path: Path | None) -> Output:
        """Work out what was asked for, before any work is done for it.

        Parameters
        ----------
        form : str or None
            One of `FORMATS`; None takes the ending of the file, or a table.
        path : Path or None
            File to write; None or ``-`` for stdout.

        Returns
        -------
        Output
            Where it goes.

        Raises
        ------
        click.UsageError
            If the file has no ending that says its form, or the terminal would get bytes.
        StorageError
            If the file's folder is not there.
        """
        if path is None or str(path) == "-":
            if form in _BINARY and sys.stdout.isatty():
                raise click.UsageError(f"{form} is not for a terminal; give a file with -o")
            is_seen = sys.stdout.isatty()
            return cls(
                form or "table", None, shutil.get_terminal_size().columns if is_seen else None
            )
        chosen = form or _ENDINGS.get(path.suffix.lower())
        if chosen is None:
            raise click.UsageError(
                f"-o {path}: its ending does not say in which form to write; use one of "
                f"{' '.join(_ENDINGS)}, or give the form with -f"
            )
        check_folder(path)
        return cls(chosen, path)

    def write(self, table: pa.Table, heading: Sequence[str] = ()) -> None:
        """Write a result, and say so on stderr if it went to a file.

        Parameters
        ----------
        table : pyarrow.Table
            The result.
        heading : sequence of str
            What to print above a table for people; programs get it in no other form.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        if self.path is None:
            self.write_to(table, heading, sys.stdout.buffer)
            return
        with self._beside(self.path) as beside:
            if self.form == "fits":
                self._write_fits(table, beside)
            else:
                with beside.open("wb") as file:
                    self.write_to(table, heading, file)
        click.echo(f"wrote {self.path}, {counted(table.num_rows, 'rows')}", err=True)

    @property
    def is_piecemeal(self) -> bool:
        """Whether a result of this form can be written piece by piece."""
        return self.form in _PIECEMEAL

    def write_pieces(self, pieces: Iterator[pa.Table]) -> dict[bytes, bytes]:
        """Write a result that comes in pieces, whole or not at all.

        Parameters
        ----------
        pieces : iterator of pyarrow.Table
            The result; at least one table.

        Returns
        -------
        dict of bytes to bytes
            What the schema of the last piece says of the result.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        from dvo.cli.piecemeal import PIECE_WRITERS  # noqa: PLC0415 - keeps `dvo --help` quick

        write = PIECE_WRITERS[self.form]
        if self.path is None:
            # Nothing is shown before all is there: what fails leaves no part of an answer.
            with tempfile.SpooledTemporaryFile(_MOST_HELD) as spool:
                _, about = write(pieces, spool)
                spool.seek(0)
                shutil.copyfileobj(spool, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            return about
        with self._beside(self.path) as beside, beside.open("wb") as file:
            n_rows, about = write(pieces, file)
        click.echo(f"wrote {self.path}, {counted(n_rows, 'rows')}", err=True)
        return about

    @contextlib.contextmanager
    def _beside(self, path: Path) -> Iterator[Path]:
        """A file to write beside another, and to take its name: a file that is there is whole."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            yield beside
            beside.replace(path)
        except OSError as err:
            if isinstance(err, DvoError):
                raise
            raise StorageError(f"{path}: cannot be written ({err.strerror or err})") from err
        finally:
            beside.unlink(missing_ok=True)

    def _write_fits(self, table: pa.Table, path: Path) -> None:
        from dvo.cli.fits_form import write_fits_table  # noqa: PLC0415 - keeps `dvo --help` quick

        path.unlink(missing_ok=True)
        write_fits_table(table, path)

    def write_to(self, table: pa.Table, heading: Sequence[str], file: Any) -> None:
        """Write a result in its form to a file that is open.

        Parameters
        ----------
        table : pyarrow.Table
            The result.
        heading : sequence of str
            What to print above a table for people.
        file : file
            Open for writing bytes.
        """
        from dvo.cli.piecemeal import PIECE_WRITERS  # noqa: PLC0415 - keeps `dvo --help` quick
        from dvo.cli.text_forms import write_table  # noqa: PLC0415

        if self.form == "table":
            write_table(table, heading, file, width=self.width)
        elif self.form in _PIECEMEAL:
            PIECE_WRITERS[self.form](iter([table]), file)
        elif self.form == "votable":
            _write_votable(table, file)
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "result.fits")
                self._write_fits(table, path)
                with path.open("rb") as written:
                    shutil.copyfileobj(written, file)
        file.flush()


def check_folder(path: Path) -> None:
    """Refuse a file that is to be written where there is no folder.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    StorageError
        If its folder is not there.
    """
    if not path.parent.is_dir():
        raise StorageError(f"{path}: there is no folder {path.parent}; make it first")


def _write_votable(table: pa.Table, file: Any) -> None:
    from astropy.io.votable.exceptions import W03  # noqa: PLC0415 - slow to import

    from dvo.database import to_astropy  # noqa: PLC0415

    with warnings.catch_warnings():
        # Names such as g:err are no XML ids; astropy makes some up, and nobody needs to know.
        warnings.simplefilter("ignore", W03)
        signed = to_astropy(_without_unsigned(table))
        signed.write(file, format="votable", tabledata_format="binary2")


def _without_unsigned(table: pa.Table) -> pa.Table:
    """Unsigned integers in wider signed ones: VOTable has none but bytes."""
    import pyarrow as pa  # noqa: PLC0415

    wider = {pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64()}
    fields = [f.with_type(wider.get(f.type, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def progress_line() -> Callable[[str], None]:
    """A line on stderr that is written over and over; nothing if that is no terminal."""
    if not sys.stderr.isatty():
        return lambda _text: None

    def show(text: str) -> None:
        click.echo(f"\r\033[K{text}", err=True, nl=not text)

    return show
