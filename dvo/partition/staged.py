"""The folder where other processes write for a commit under way, and what is lent to them there."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, OperationError, StorageError
from dvo.partition import layout

__all__ = ["clear_staged", "lent_name", "pack_columns", "read_lent", "read_lent_columns"]

log = logging.getLogger(__name__)

_GONE = ".gone"
_LENT = re.compile(r"[0-9a-f]{32}\.arrow")


def lent_name(data: pa.Buffer) -> str:
    """Name of bytes that a commit lends to those who write for it: that of their digest."""
    return f"{hashlib.blake2b(data, digest_size=16).hexdigest()}.arrow"


def read_lent(catdir: Path, token: str, name: str) -> pa.Buffer:
    """Read bytes that a commit lends.

    Parameters
    ----------
    catdir : Path
        The database directory.
    token : str
        Token of the commit.
    name : str
        Their name.

    Returns
    -------
    pyarrow.Buffer
        The bytes, mapped into memory.

    Raises
    ------
    OperationError
        If it is no such name.
    CorruptTableError
        If they are damaged.
    StorageError
        If they are not there.
    """
    if _LENT.fullmatch(name) is None:
        raise OperationError(f"{name!r} is no name of what a commit lends")
    path = catdir / layout.staged_folder(token) / name
    try:
        with pa.memory_map(str(path)) as file:
            data = file.read_buffer()
    except OSError as err:
        raise StorageError(f"{path}: cannot be read ({err.strerror or err})") from err
    if lent_name(data) != name:
        raise CorruptTableError(f"{path}: its digest is another one: its bytes have changed")
    return data


def pack_columns(columns: Mapping[str, NDArray[Any]]) -> pa.Buffer:
    """Make bytes of columns, to be lent.

    Parameters
    ----------
    columns : mapping of str to ndarray, each of shape (n,)
        The columns.

    Returns
    -------
    pyarrow.Buffer
        An Arrow IPC stream.
    """
    arrays = {name: pa.array(values) for name, values in columns.items()}
    table, sink = pa.table(arrays), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read_lent_columns(catdir: Path, token: str, name: object) -> dict[str, NDArray[Any]]:
    """Read columns that a commit lends.

    Parameters
    ----------
    catdir : Path
        The database directory.
    token : str
        Token of the commit.
    name : str
        What they were lent as.

    Returns
    -------
    dict of str to ndarray, each of shape (n,)
        The columns of `pack_columns`; not to be written to.

    Raises
    ------
    OperationError
        If it is no such name, or what was lent is no such columns.
    CorruptTableError
        If they are damaged.
    StorageError
        If they are not there.
    """
    if not isinstance(name, str):
        raise OperationError(f"{name!r} is no name of what a commit lends")
    try:
        table = pa.ipc.open_stream(read_lent(catdir, token, name)).read_all()
    except pa.ArrowException as err:
        raise OperationError(f"{name}: cannot be read as columns ({err})") from err
    return {n: table[n].to_numpy() for n in table.column_names}


def clear_staged(catdir: Path, token: str | None = None) -> None:
    """Remove what was written for a commit and not taken over, as far as that can be.

    Parameters
    ----------
    catdir : Path
        The database directory; the caller holds its lock.
    token : str, optional
        Token of the commit; None for all that there are.
    """
    top = catdir / layout.STAGED
    try:
        names = [token] if token is not None else [path.name for path in top.iterdir()]
    except FileNotFoundError:
        return
    except OSError as err:
        log.warning("cannot remove path=%s reason=%s", top, err.strerror)
        return
    for name in names:
        folder, gone = top / name, top / f"{name.removesuffix(_GONE)}{_GONE}"
        try:
            # Under another name first: a host that is still at it finds no place for more.
            folder.rename(gone)
            shutil.rmtree(gone)
        except FileNotFoundError:
            pass
        except OSError as err:
            log.warning("cannot remove path=%s reason=%s", gone, err.strerror)
