"""A new file that appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from dvo.errors import StorageError
from dvo.tables.fits.hdu import FitsFile, Hdu
from dvo.tables.fits.writer import FileWriter

__all__ = ["copy_hdu", "new_file"]

_PIECE = 1 << 22


@contextlib.contextmanager
def new_file(target: str | os.PathLike[str], *, overwrite: bool) -> Iterator[FileWriter]:
    """Write a file beside its target and rename it at the end.

    Parameters
    ----------
    target : path-like
        Where the file is to be.
    overwrite : bool
        Whether it may replace a file.

    Yields
    ------
    FileWriter
        To be filled. If the block raises, nothing is left and the target is untouched.

    Raises
    ------
    StorageError
        If the target exists and may not be replaced, or the disk fails.
    """
    path = Path(target)
    if os.path.lexists(path) and not overwrite:
        raise StorageError(f"{path}: exists already; say --overwrite to replace it")
    out = FileWriter(path.parent / f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        yield out
        out.finish(fsync=True)
        out.path.replace(path)
    except OSError as error:
        out.discard()
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
    except BaseException:
        out.discard()
        raise


def copy_hdu(out: FileWriter, file: FitsFile, hdu: Hdu) -> None:
    """Copy an HDU byte for byte.

    Parameters
    ----------
    out : FileWriter
        Receives it.
    file : FitsFile
        The file it is in.
    hdu : Hdu
        The HDU.
    """
    stop = min(hdu.stop, file.size)
    for at in range(hdu.start, stop, _PIECE):
        out.write(file.read(at, min(_PIECE, stop - at)))
    out.pad()
