"""Are the files of a database those that its manifest names, byte for byte?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dvo.errors import StorageError
from dvo.partition import layout
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.gather import ROW
from dvo.partition.manifest import FileRow, SnapshotRow
from dvo.tables.fits import TableFile, verify

__all__ = ["file_digest", "find_content_faults", "find_record_faults", "find_size_faults"]

_TILES_SAMPLED = 6


def file_digest(path: Path) -> str:
    """Work out the digest of a file, as the manifest holds it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        BLAKE2b of 16 bytes, in hexadecimal.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()


def find_size_faults(catdir: Path, file: FileRow) -> list[Fault]:
    """Look at a file from outside.

    Parameters
    ----------
    catdir : Path
        The database directory.
    file : FileRow
        The file.

    Returns
    -------
    list of Fault
        What is wrong.
    """
    try:
        size = (catdir / file.path).stat().st_size
    except OSError as err:
        return [Fault(FaultKind.FILE, f"is missing or cannot be read ({err.strerror})", file.path)]
    if size != file.n_bytes:
        return [Fault(FaultKind.FILE, f"has {size} bytes, not {file.n_bytes}", file.path)]
    return []


def find_content_faults(catdir: Path, file: FileRow, db_id: str) -> list[Fault]:
    """Read a file and compare it with what is known of it.

    Parameters
    ----------
    catdir : Path
        The database directory.
    file : FileRow
        The file.
    db_id : str
        Identifier of the database.

    Returns
    -------
    list of Fault
        What is wrong.
    """
    path = catdir / file.path
    try:
        digest = file_digest(path)
        if digest != file.digest:
            return [Fault(FaultKind.FILE, f"its digest is {digest}, not {file.digest}: "
                          "its bytes have changed", file.path)]  # fmt: skip
        verify(path)
        with TableFile(path, 1) as table:
            found = table.primary.get("DVO_DBID")
            if found != db_id:
                return [
                    Fault(FaultKind.FILE, f"belongs to database {found}, not {db_id}", file.path)
                ]
            # The photcode table of a new database says no more than that.
            stated = {"DVO_TAB": file.table, "DVO_TOK": layout.token_of(file.path)}
            for key, value in stated.items():
                found = table.primary.get(key)
                if found not in (None, value):
                    return [Fault(FaultKind.COLUMNS, f"has {key} {found}, not {value}", file.path)]
            return [
                Fault(kind, message, file.path)
                for kind, messages in (
                    (FaultKind.COLUMNS, _column_faults(table, file)),
                    (FaultKind.TILE_INDEX, _index_faults(table)),
                )
                for message in messages
            ]
    except OSError as err:
        return [Fault(FaultKind.FILE, str(err), file.path)]


def _column_faults(table: TableFile, file: FileRow) -> Iterator[str]:
    """Columns that the manifest does not know of a patch would not be read."""
    found = [name for name in table.names if name != ROW]
    if sorted(found) != sorted(file.columns):
        unlike = ", ".join(sorted(set(found) ^ set(file.columns)))
        yield f"its columns are not those that the manifest says: {unlike}"


def _index_faults(table: TableFile) -> Iterator[str]:
    """Compare the least and greatest values recorded for tiles with a sample of the tiles."""
    n_tiles = table.n_tiles
    sample = np.unique(np.linspace(0, n_tiles - 1, min(n_tiles, _TILES_SAMPLED)).astype(int))
    bounds = {name: b for name in table.names if (b := table.tile_bounds(name)) is not None}
    for tile in sample.tolist() if bounds else ():
        start = tile * table.tile_rows
        columns = table.read(list(bounds), start=start, stop=start + table.tile_rows)
        for name, values in columns.items():
            least, most = bounds[name][0][tile], bounds[name][1][tile]
            good = values[~np.isnan(values)] if values.dtype.kind == "f" else values
            if len(good) and not (least <= good.min() and good.max() <= most):
                yield (
                    f"tile {tile}: {name} is {good.min()}..{good.max()}, "
                    f"its index says {least}..{most}"
                )


def find_record_faults(
    catdir: Path, snapshot: SnapshotRow, base: str, db_id: str, *, deep: bool
) -> list[Fault]:
    """Look at the record of a commit.

    Parameters
    ----------
    catdir : Path
        The database directory.
    snapshot : SnapshotRow
        The snapshot that the commit made.
    base : str
        Token of the commit before it; empty for the first one.
    db_id : str
        Identifier of the database.
    deep : bool
        Whether to read it.

    Returns
    -------
    list of Fault
        What is wrong.
    """
    path = layout.log_path(snapshot.token)
    try:
        if not deep:
            if not (catdir / path).is_file():
                raise StorageError(f"{path}: is missing")
            return []
        verify(catdir / path)
        with TableFile(catdir / path, "DVO_SNAPSHOT") as table:
            head = table.primary
    except StorageError as err:
        text = f"record of commit {snapshot.id} cannot be read ({err})"
        return [Fault(FaultKind.RECORD, text, path)]
    stated = {"DVO_DBID": db_id, "DVO_TOK": snapshot.token, "DVO_SNAP": snapshot.id,
              "DVO_BASE": base, "DVO_TIME": snapshot.time, "DVO_CMD": snapshot.command}  # fmt: skip
    return [
        Fault(FaultKind.RECORD,
              f"record of commit {snapshot.id} has {key} {head.get(key)!r}, not {value!r}", path)
        for key, value in stated.items()
        if head.get(key) != value
    ]  # fmt: skip
