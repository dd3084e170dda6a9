"""What is handed over of a draft: one row of Arrow, and what a master makes of it.

It says which files there are, which parts they make, and what becomes of the catalogs. It comes
from another process, and often another machine: nothing of it is used before it has been
compared with what was asked for, with the snapshot and with the files themselves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, OperationError, StorageError
from dvo.partition import layout
from dvo.partition.file_rules import file_digest
from dvo.partition.gather import ROW
from dvo.partition.manifest import CatalogRow, FileRow, Reach
from dvo.partition.sky_table import SkyTable
from dvo.partition.view import View
from dvo.partition.writing import TABLES
from dvo.tables.fits import TableFile

__all__ = ["RECORD", "Drafted", "StagedFile", "read_draft"]

I64 = NDArray[np.int64]

_SCHEMAS = {schema.name: schema for schema in TABLES}
_KINDS = ("rows", "patch", "overlay")


def _rows_of(**fields: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct(list(fields.items())))


_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
RECORD = pa.schema(
    {
        "group": pa.list_(_INT),
        "files": _rows_of(
            name=_TEXT, path=_TEXT, table=_TEXT, kind=_TEXT, columns=pa.list_(_TEXT),
            n_bytes=_INT, digest=_TEXT,
        ),
        "parts": _rows_of(file=_INT, region=_INT, start=_INT, stop=_INT, target=_INT),
        "removed": _rows_of(region=_INT, part=_INT),
        "catalogs": _rows_of(
            region=_INT, n_average=_INT, next_obj_id=_INT, n_measure=_INT, is_sorted=pa.bool_()
        ),
        "reach": pa.struct([(field.name, _FLOAT) for field in fields(Reach)]),
        "facts": _TEXT,
    }
)  # fmt: skip
"""Columns of the row; `docs/protocol.md` says what they mean."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of a draft.

    Parameters
    ----------
    name : str
        Its name in the folder of the commit.
    path : str
        What it would be called if the commit were made where it was written.
    table : str
        Table of its rows.
    kind : {'rows', 'patch', 'overlay'}
        What its rows are.
    columns : tuple of str
        Columns that are stored.
    n_bytes : int
        Its size.
    digest : str
        BLAKE2b of its bytes, 32 hexadecimal digits.
    """

    name: str
    path: str
    table: str
    kind: str
    columns: tuple[str, ...]
    n_bytes: int
    digest: str

    @property
    def suffix(self) -> str:
        """Suffix of the names of files of its table."""
        return _SCHEMAS[self.table].suffix

    def row(self, path: str) -> FileRow:
        """The file as the manifest has it, under the name it is given."""
        return FileRow(path, self.table, self.kind, self.columns, self.n_bytes, self.digest)

    def require_sound(self, folder: Path, n_rows: int) -> None:
        """Compare the file with what is said of it.

        Parameters
        ----------
        folder : Path
            Folder of the commit.
        n_rows : int
            Rows that its parts need.

        Raises
        ------
        CorruptTableError
            If it is another file.
        StorageError
            If it cannot be read.
        """
        path = folder / self.name
        try:
            found = path.lstat().st_size, file_digest(path)
        except OSError as err:
            raise StorageError(
                f"{path}: was written by another process and cannot be read here "
                f"({err.strerror}); is the database on a disk that all hosts share?"
            ) from err
        if found != (self.n_bytes, self.digest):
            raise CorruptTableError(
                f"{path}: has {found[0]} bytes of digest {found[1]}, not {self.n_bytes} of "
                f"{self.digest} as the process that wrote it says; see to its disk, and run the "
                "command again"
            )
        with TableFile(path, _SCHEMAS[self.table].extname) as table:
            names = ((ROW,) if self.kind == "patch" else ()) + self.columns
            if tuple(table.names) != names or table.n_rows < n_rows:
                raise CorruptTableError(f"{path}: is not the table that it was said to be")


@dataclass(frozen=True, slots=True, eq=False)
class Drafted:
    """A draft as it is taken over.

    Parameters
    ----------
    files : list of StagedFile
        Its files.
    file, region, start, stop, target : ndarray of int64, shape (n,)
        Its parts: place in `files`, region, rows, and the part that an overlay changes.
    removed : ndarray of int64, shape (m, 2)
        Region and number of the parts that it takes away.
    catalogs : list of CatalogRow
        Counts of the catalogs that it changes.
    reach : Reach
        How far its rows may lie outside their regions.
    facts : dict
        What else was said.
    """

    files: list[StagedFile]
    file: I64
    region: I64
    start: I64
    stop: I64
    target: I64
    removed: I64
    catalogs: list[CatalogRow]
    reach: Reach
    facts: dict[str, Any]

    def path(self, k: int, sky: SkyTable, token: str, number: int) -> str:
        """Name a file: that of a catalog by its region, one that is shared by a number.

        Parameters
        ----------
        k : int
            Which file.
        sky : SkyTable
            All regions.
        token : str
            Token of the commit.
        number : int
            Tells the shared files of one commit apart.

        Returns
        -------
        str
            Path relative to the catdir.
        """
        file = self.files[k]
        for region in np.unique(self.region[self.file == k])[:1].tolist():
            own = layout.catalog_path(sky.region(region).name, token, file.suffix)
            if file.path == own:
                return own
        return layout.shared_path(token, f"a{number}.{file.suffix}")


def read_draft(record: pa.Table, base: View, group: Sequence[int]) -> Drafted:
    """Read what another process says that it wrote, after a look at all of it.

    Parameters
    ----------
    record : pyarrow.Table
        Its record.
    base : View
        The snapshot on which the change builds.
    group : sequence of int
        Regions that it was asked to change.

    Returns
    -------
    Drafted
        The draft; its files have not been looked at.

    Raises
    ------
    OperationError
        If it is no record, or is about what nobody asked for.
    """
    if not record.schema.equals(RECORD) or record.num_rows != 1:
        raise _nonsense("the record is not one of this version of dvo")
    row = {n: record[n].combine_chunks() for n in ("group", "files", "catalogs", "reach")}
    files = [StagedFile(**{**f, "columns": tuple(f["columns"])}) for f in row["files"][0].as_py()]
    parts = _columns(record, "parts")
    removed = _columns(record, "removed")
    catalogs = [CatalogRow(**c) for c in row["catalogs"][0].as_py()]
    drafted = Drafted(
        files, **parts, removed=np.column_stack([removed["region"], removed["part"]]),
        catalogs=catalogs, reach=Reach(**row["reach"][0].as_py()),
        facts=_read_facts(record["facts"][0].as_py()),
    )  # fmt: skip
    if row["group"][0].as_py() != [int(r) for r in group]:
        raise _nonsense("it is about other regions than it was asked for")
    _require_files(drafted)
    _require_regions(drafted, base, np.asarray(group, np.int64))
    return drafted


def _read_facts(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as err:
        raise _nonsense(f"its facts are no JSON ({err})") from err
    if not isinstance(found, dict):
        raise _nonsense("its facts are no JSON object")
    return found


def _columns(record: pa.Table, name: str) -> dict[str, I64]:
    rows = cast("Any", record[name].combine_chunks()).flatten()
    return {
        field.name: rows.field(k).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        for k, field in enumerate(rows.type)
    }


def _require_files(drafted: Drafted) -> None:
    for file in drafted.files:
        is_name = Path(file.name).name == file.name and file.name.endswith(".fits")
        if not is_name or file.table not in _SCHEMAS or file.kind not in _KINDS:
            raise _nonsense(f"file {file.name!r} of {file.table!r} is none that a commit makes")
        if not set(file.columns) <= set(_SCHEMAS[file.table].stored_names):
            raise _nonsense(f"file {file.name!r} has columns that {file.table} has not")
    is_placed = (drafted.file >= 0) & (drafted.file < len(drafted.files))
    is_run = (drafted.start >= 0) & (drafted.stop > drafted.start)
    if not (is_placed & is_run).all():
        raise _nonsense("it has parts of no file, or without rows")


def _require_regions(drafted: Drafted, base: View, group: I64) -> None:
    """See that a draft is about its group, or regions above and below it, and of known parts."""
    counted = np.array([c.region for c in drafted.catalogs], np.int64)
    regions = np.unique(np.concatenate([drafted.region, drafted.removed[:, 0], counted]))
    sky = base.sky
    if len(regions) and not (regions[0] >= 0 and regions[-1] < len(sky)):
        raise _nonsense("it is about regions that there are not")
    left = regions[~np.isin(regions, _with_parents(sky, group))]
    while len(left):
        if (left < 0).any():
            raise _nonsense("it is about regions that it was not asked for")
        left = sky.parents(left[~np.isin(left, group)])
    named = np.concatenate([drafted.removed[:, 1], drafted.target[drafted.target != 0]])
    changed = np.concatenate([drafted.removed[:, 0], drafted.region[drafted.target != 0]])
    if not np.isin(named, base.part_table(np.unique(changed).tolist()).ids).all():
        raise _nonsense(f"it changes parts that snapshot {base.snapshot.id} has not")


def _with_parents(sky: SkyTable, regions: I64) -> I64:
    found, level = [regions], regions
    while len(level):
        level = sky.parents(level)
        level = np.unique(level[level >= 0])
        found.append(level)
    return np.concatenate(found)


def _nonsense(why: str) -> OperationError:
    return OperationError(
        f"what a host wrote for this commit is not to be used: {why}; use one version of dvo "
        "everywhere"
    )
