"""A part of a change that another process writes: files beside the database, and their meaning.

The process that commits (the master) makes a folder for its commit. Others, which have the
snapshot open for reading, write files into it under names that nobody else gives, and hand
over a record of what they wrote. The master looks at each file, gives it its own name
and commits. Until then a draft is nothing: what is left of it goes with the folder.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import OperationError, StorageError
from dvo.partition import layout
from dvo.partition.draft_record import RECORD
from dvo.partition.manifest import Reach
from dvo.partition.view import View
from dvo.partition.writing import Writing

__all__ = ["Draft"]

I64 = NDArray[np.int64]


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

    def do(self, work: Callable[[], None]) -> None:
        """Have some rows made and added, at once."""
        work()

    def record(self, facts: Mapping[str, Any] | None = None) -> pa.Table:
        """What was written, as it is handed over.

        Parameters
        ----------
        facts : mapping, optional
            What else there is to say, in JSON types.

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
        names = RECORD.field("catalogs").type.value_type.names
        catalogs = [{n: getattr(row, n) for n in names} for row in self._catalogs.values()]
        columns: dict[str, Any] = {
            "group": [self._group],
            "files": [files],
            "parts": _one_list("parts", parts),
            "removed": _one_list("removed", {"region": removed[:, 0], "part": removed[:, 1]}),
            "catalogs": [catalogs],
            "reach": [asdict(self._reach)],
            "facts": [json.dumps(dict(facts or {}), allow_nan=False)],
        }
        return pa.table(columns, schema=RECORD)

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
    rows = RECORD.field(name).type.value_type
    values = pa.StructArray.from_arrays(
        [pa.array(columns[n], pa.int64()) for n in rows.names], fields=list(rows)
    )
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
