"""Batches as files: a FITS file of public tables, and a manifest that says what is in it.

A batch is there when its manifest is: the FITS file is made durable before. Both depend on
nothing but the snapshot and the number of the batch, so a batch that is made again is the same
to the last byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dvo.errors import CorruptTableError, StorageError
from dvo.exchange.new_path import new_file
from dvo.psps.schema.batches import BATCH_TABLES, BatchType
from dvo.psps.schema.table import PublicColumn, PublicTable, SqlType
from dvo.tables.fits import Field, TableFile, TableHDU, write_fits

__all__ = ["BatchFacts", "BatchManifest", "TableFacts", "find_manifests", "read_batch",
           "read_manifest", "write_batch"]  # fmt: skip

Array = NDArray[Any]
Rows = Mapping[str, Array]

_FORM = 1
"""Form of the manifest; another one is refused."""

_NAME = re.compile(r"[A-Z0-9]{2}[0-9]{10}\.json")
_PIECE = 1 << 22


@dataclass(frozen=True)
class TableFacts:
    """What a batch has of one table.

    Parameters
    ----------
    n_rows : int
        Its rows.
    min_id, max_id : int or None
        Least and greatest value of the first column of its key; None where there is no row.
    """

    n_rows: int
    min_id: int | None
    max_id: int | None


@dataclass(frozen=True)
class BatchManifest:
    """What a batch is, and how its file is known to be whole.

    Parameters
    ----------
    batch_type : BatchType
        Its kind.
    batch_id : int
        Its number, of all batches of the database.
    scope : str
        What it is of: ``region 2203``, or ``metadata``. A later batch of the same scope takes
        its place.
    db_id : str
        Identifier of the database.
    snapshot : int
        Snapshot that it was made of.
    file : str
        Name of its FITS file, beside the manifest.
    n_bytes : int
        Size of that.
    digest : str
        BLAKE2b of that, 16 bytes, in hexadecimal.
    tables : dict of TableFacts
        Its tables, in order.
    """

    batch_type: BatchType
    batch_id: int
    scope: str
    db_id: str
    snapshot: int
    file: str
    n_bytes: int
    digest: str
    tables: dict[str, TableFacts]

    @property
    def n_rows(self) -> int:
        """Rows of its first table: objects, of a batch of objects."""
        return self.tables[BATCH_TABLES[self.batch_type][0].name].n_rows


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch before it is made; see `BatchManifest`."""

    batch_type: BatchType
    batch_id: int
    scope: str
    db_id: str
    snapshot: int

    @property
    def name(self) -> str:
        """Name of its files, without the ending."""
        return f"{self.batch_type.value}{self.batch_id:010d}"


def _field(column: PublicColumn) -> Field:
    text = column.sql_type is SqlType.VARCHAR
    letter = "A" if text else {"u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}[
        column.sql_type.value
    ]  # fmt: skip
    null = column.default if column.dtype.kind in "iu" else None
    return Field(
        column.name, letter, column.length if text else 1, unit=column.unit, ucd=column.ucd,
        meaning=column.meaning, null=None if null is None else int(null),
    )  # fmt: skip


def write_batch(folder: Path, facts: BatchFacts, tables: Mapping[str, Rows]) -> BatchManifest:
    """Write a batch, in place of one that was left half made.

    Parameters
    ----------
    folder : Path
        Where.
    facts : BatchFacts
        What it is.
    tables : mapping of mapping of ndarray
        Values by column, by table; all columns of all tables of its kind.

    Returns
    -------
    BatchManifest
        What was written.

    Raises
    ------
    StorageError
        If it cannot be written; nothing is left of it.
    """
    kinds = BATCH_TABLES[facts.batch_type]
    hdus = [
        TableHDU(
            table.name,
            tuple(_field(c) for c in table.columns),
            {name.lower(): values for name, values in tables[table.name].items()},
            tile_rows=None,
        )
        for table in kinds
    ]
    path = folder / f"{facts.name}.fits"
    about = {
        "BATCHTYP": (facts.batch_type.value, "kind of the batch"),
        "BATCHID": (facts.batch_id, "number of the batch"),
        "SCOPE": (facts.scope, "what it is of"),
        "DB_ID": (facts.db_id, "database"),
        "SNAPSHOT": (facts.snapshot, "snapshot of the database"),
    }
    with new_file(path, overwrite=True) as beside:
        written = write_fits(beside, hdus, primary=about)
    manifest = BatchManifest(
        facts.batch_type, facts.batch_id, facts.scope, facts.db_id, facts.snapshot,
        path.name, written.n_bytes, written.digest,
        {table.name: _facts(table, tables[table.name]) for table in kinds},
    )  # fmt: skip
    with new_file(folder / f"{facts.name}.json", overwrite=True) as beside:
        content = {"form": _FORM, **asdict(manifest), "batch_type": facts.batch_type.value}
        beside.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")
    return manifest


def _facts(table: PublicTable, rows: Rows) -> TableFacts:
    ids = rows[table.key[0]]
    if len(ids) == 0:
        return TableFacts(0, None, None)
    return TableFacts(len(ids), int(ids.min()), int(ids.max()))


def find_manifests(folder: Path) -> list[Path]:
    """Find the manifests of a folder of batches.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Manifests, in the order of the numbers of their batches.

    Raises
    ------
    StorageError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise StorageError(f"{folder}: there is no such folder; name one that ipptopsps has filled")
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.name[2:], path.name))


def read_manifest(path: Path) -> BatchManifest:
    """Read a manifest; it may come from anybody.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    BatchManifest
        What it says.

    Raises
    ------
    CorruptTableError
        If it is no manifest, or of another form.
    StorageError
        If it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="ascii"))
    except OSError as err:
        raise StorageError(f"{path}: cannot be read ({err.strerror})") from err
    except ValueError as err:
        raise CorruptTableError(f"{path}: is no manifest of a batch ({err})") from err
    try:
        if found.pop("form") != _FORM:
            raise CorruptTableError(f"{path}: is of a form that this version does not know")
        kind = BatchType(found.pop("batch_type"))
        tables = {name: TableFacts(**facts) for name, facts in found.pop("tables").items()}
        manifest = BatchManifest(batch_type=kind, tables=tables, **found)
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise CorruptTableError(f"{path}: is no manifest of a batch ({err!r})") from err
    name = BatchFacts(kind, manifest.batch_id, "", "", 0).name
    expected = [table.name for table in BATCH_TABLES[kind]]
    if (path.stem, manifest.file) != (name, f"{name}.fits") or list(tables) != expected:
        raise CorruptTableError(
            f"{path}: says it is batch {name} with {', '.join(tables)}; a batch of type "
            f"{kind.value} has {', '.join(expected)}"
        )
    return manifest


def read_batch(folder: Path, manifest: BatchManifest) -> dict[str, dict[str, Array]]:
    """Read the tables of a batch, after comparing its file with its manifest.

    Parameters
    ----------
    folder : Path
        Where it is.
    manifest : BatchManifest
        What it should be.

    Returns
    -------
    dict of dict of ndarray
        Values by column, by table.

    Raises
    ------
    CorruptTableError
        If the file is not what the manifest says.
    StorageError
        If it cannot be read.
    """
    path = folder / manifest.file
    digest = _digest_of(path)
    if digest != manifest.digest:
        raise CorruptTableError(
            f"{path}: has digest {digest}, and its manifest says {manifest.digest}; fetch or make "
            "the batch again"
        )
    found = {}
    for table in BATCH_TABLES[manifest.batch_type]:
        with TableFile(path, table.name) as file:
            wanted = [c.name.lower() for c in table.columns]
            if list(file.names) != wanted:
                raise CorruptTableError(
                    f"{path}: table {table.name} has columns {', '.join(file.names)}, not those "
                    "of this version"
                )
            columns = file.read()
        rows = {c.name: columns[c.name.lower()] for c in table.columns}
        for column in table.columns:
            if rows[column.name].dtype != column.dtype:
                raise CorruptTableError(
                    f"{path}: column {column.name} of {table.name} has type "
                    f"{rows[column.name].dtype}, not {column.dtype}"
                )
        if _facts(table, rows) != manifest.tables[table.name]:
            raise CorruptTableError(f"{path}: table {table.name} is not as the manifest says")
        found[table.name] = rows
    return found


def _digest_of(path: Path) -> str:
    hashed = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                hashed.update(piece)
    except OSError as err:
        raise StorageError(f"{path}: cannot be read ({err.strerror})") from err
    return hashed.hexdigest()
