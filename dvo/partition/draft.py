"""A part of a change that another process writes: files beside the database, and their meaning.

The process that commits (the master) makes a folder for its commit. Others, which have the
snapshot open for reading, write files into it under names that nobody else gives, and hand
over a record: an Arrow table of one row that says which files there are, which parts they
make, and what becomes of the catalogs. The master looks at each file, gives it its own name
and commits. Until then a draft is nothing: what is left of it goes with the folder.
"""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

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
from dvo.partition.writing import TABLES, Writing
from dvo.tables.fits import TableFile

__all__ = ["Draft", "Drafted", "StagedFile", "clear_staged", "read_draft"]

log = logging.getLogger(__name__)

I64 = NDArray[np.int64]

_SCHEMAS = {schema.name: schema for schema in TABLES}
_GONE = ".gone"
_KINDS = ("rows", "patch", "overlay")


def _rows_of(**fields: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct(list(fields.items())))


_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()
_RECORD = pa.schema(
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
    }
)  # fmt: skip


class Draft(Writing):
    """A part of a change, written for the process that commits it.

    Used with ``with``: leaving the block by an error removes what was written.

    Parameters
    ----------
    base : View
        The snapshot on which the change builds.
    token : str
        Token of the commit.
    group : sequence of int
        Regions that it is about.

    Raises
    ------
    OperationError
        If the token is not one of a commit that comes next.
    StorageError
        If the commit is not under way, or this is a copy of the database elsewhere.
    """

    def __init__(self, base: View, token: str, group: Sequence[int]) -> None:
        if not layout.is_token(token) or int(token[:8]) != base.snapshot.id + 1:
            raise OperationError(f"{token!r} is no commit that follows snapshot {base.snapshot.id}")
        super().__init__(base, token)
        self._reach = Reach()
        self._group = [int(r) for r in group]
        self._folder = base.catdir / layout.staged_folder(token)
        self._prefix = secrets.token_hex(8)
        self._names: dict[str, str] = {}
        if not self._folder.is_dir():
            raise StorageError(
                f"{self._folder}: is not there; the commit that asked for it has ended, or "
                f"{base.catdir} is a copy of the database on another disk. Hosts that are to "
                "write need the very files of the database (see the guide for operators)"
            )

    def _room_for(self, path: str) -> Path:
        name = self._names[path] = f"{self._prefix}-{len(self._names)}.fits"
        return self._folder / name

    def _hand_over(self, work: Callable[[], None]) -> None:
        # A host does as many groups at a time as it is to: one group needs no more threads.
        work()

    def record(self) -> pa.Table:
        """What was written, as it is handed over.

        Returns
        -------
        pyarrow.Table
            One row; `read_draft` reads it.
        """
        number = {file.path: k for k, file in enumerate(self._files)}
        files = [
            {"name": self._names[f.path], "path": f.path, "table": f.table, "kind": f.kind,
             "columns": list(f.columns), "n_bytes": f.n_bytes, "digest": f.digest}
            for f in self._files
        ]  # fmt: skip
        nothing = np.empty(0, np.int64)
        of_parts = [np.full(len(run), number[run.path]) for run in self._runs]
        parts = {"file": np.concatenate([nothing, *of_parts])}
        for name in ("region", "start", "stop", "target"):
            parts[name] = np.concatenate([nothing, *(getattr(r, f"{name}s") for r in self._runs)])
        removed = np.concatenate([np.empty((0, 2), np.int64), *self._removed])
        names = _RECORD.field("catalogs").type.value_type.names
        catalogs = [{n: getattr(row, n) for n in names} for row in self._catalogs.values()]
        columns: dict[str, Any] = {
            "group": [self._group],
            "files": [files],
            "parts": _one_list("parts", parts),
            "removed": _one_list("removed", {"region": removed[:, 0], "part": removed[:, 1]}),
            "catalogs": [catalogs],
            "reach": [asdict(self._reach)],
        }
        return pa.table(columns, schema=_RECORD)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._names.values() if value is not None else ():
            (self._folder / name).unlink(missing_ok=True)


def _one_list(name: str, columns: dict[str, I64]) -> pa.ListArray[Any]:
    """One list of structs made of arrays."""
    rows = _RECORD.field(name).type.value_type
    values = pa.StructArray.from_arrays(
        [pa.array(columns[n], _INT) for n in rows.names], fields=list(rows)
    )
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


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
    if not record.schema.equals(_RECORD) or record.num_rows != 1:
        raise _nonsense("the record is not one of this version of dvo")
    row = {n: record[n].combine_chunks() for n in ("group", "files", "catalogs", "reach")}
    files = [StagedFile(**{**f, "columns": tuple(f["columns"])}) for f in row["files"][0].as_py()]
    parts = _columns(record, "parts")
    removed = _columns(record, "removed")
    catalogs = [CatalogRow(**c) for c in row["catalogs"][0].as_py()]
    drafted = Drafted(
        files, **parts, removed=np.column_stack([removed["region"], removed["part"]]),
        catalogs=catalogs, reach=Reach(**row["reach"][0].as_py()),
    )  # fmt: skip
    if row["group"][0].as_py() != [int(r) for r in group]:
        raise _nonsense("it is about other regions than it was asked for")
    _require_files(drafted)
    _require_regions(drafted, base, np.asarray(group, np.int64))
    return drafted


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
