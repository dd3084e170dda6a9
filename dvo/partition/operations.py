"""Operations: what can be asked of a snapshot by name, and jobs, which ask it.

An operation is a function of a snapshot, some regions and a request in JSON types; it gives an
Arrow table. The layer that owns it registers it under a name. Engines (in this process, in
others, on other machines) are given the name, never code: each process imports `MODULES` and
finds the function in its own registry. The engines know no operation.
"""

from __future__ import annotations

import difflib
import importlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from dvo.errors import (
    DvoError,
    EngineError,
    NotAuthorisedError,
    OperationError,
    UnknownOperationError,
)
from dvo.partition.cancellation import Cancellation
from dvo.partition.store import Store
from dvo.partition.view import View

__all__ = [
    "CALIBRATION_MODULES",
    "HOST_MODULES",
    "MODULES",
    "ONE_THREAD",
    "ROLES",
    "Job",
    "Missing",
    "Operation",
    "Role",
    "Views",
    "Work",
    "current_work",
    "find_role",
    "load_operations",
    "register",
    "run_operation",
]

MODULES: tuple[str, ...] = (
    "dvo.query.operations",
    "dvo.partition.compact",
    "dvo.partition.deal",
    "dvo.ingest.add_elsewhere",
    "dvo.merge.add_elsewhere",
)
"""Modules that register operations when they are imported; with those below, all there are."""

CALIBRATION_MODULES: tuple[str, ...] = (
    *MODULES,
    "dvo.calib.astrometry.objects",
    "dvo.calib.astrometry.offsets",
    "dvo.calib.astrometry.apply",
    "dvo.calib.photometry.apply",
    "dvo.calib.photometry.star_reading",
    "dvo.calib.photometry.uniphot",
)
"""The same and those of calibration, which take a while to import: queries go without them."""

HOST_MODULES = CALIBRATION_MODULES
"""Those of partition hosts, which stay, and are asked for anything."""

ONE_THREAD: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment of a process that is one of several: linear algebra takes one thread in each."""

Role = Literal["read", "ingest", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What somebody may do, from little to all: each role may do what those before it may."""

Operation = Callable[
    [View, Sequence[int], Mapping[str, Any], Mapping[str, pa.Table]],
    pa.Table,
]
"""Snapshot, regions (ascending), request and small tables that came along -> result."""


@dataclass(frozen=True, eq=False)
class Work:
    """What an operation can know of the work that it is a part of.

    Parameters
    ----------
    worker : str
        Who does it, in words.
    cancellation : Cancellation
        Whether it is still wanted.
    most_bytes : int or None
        Memory that no request may go beyond; None where who asks may take what there is.
    sources : tuple of Path or None
        Folders below which a request may name other databases; None where whoever asks may
        read all that this process can, because it is theirs.
    """

    worker: str = "this process"
    cancellation: Cancellation = field(default_factory=Cancellation)
    most_bytes: int | None = None
    sources: tuple[Path, ...] | None = None

    def find_source(self, name: str) -> Path:
        """Find a database that a request names by its path.

        Parameters
        ----------
        name : str
            Its path.

        Returns
        -------
        Path
            The path, without symbolic links: those may not lead elsewhere.

        Raises
        ------
        NotAuthorisedError
            If it is in none of the folders. Whether it exists is not told then.
        """
        if self.sources is None:
            return Path(name)
        # First as text: what lies elsewhere is not even looked at.
        named = Path(os.path.normpath(name))
        folders = {way for folder in self.sources for way in (folder, folder.resolve())}
        if _is_below(named, folders) and _is_below(found := named.resolve(), folders):
            return found
        raise NotAuthorisedError(
            f"{self.worker} may not read {name!r} for others; whoever runs it can allow the "
            "folder that has it: dvo host serve --sources FOLDER"
        )


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


_WORK: ContextVar[Work] = ContextVar("work")


def current_work() -> Work:
    """Find what this thread works at; outside of any operation nobody cancels it."""
    found = _WORK.get(None)
    return Work() if found is None else found


@dataclass(frozen=True)
class Missing:
    """A group that was left out of an answer.

    Parameters
    ----------
    regions : tuple of int
        Its regions.
    reason : str
        Why.
    """

    regions: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Job:
    """An operation to be run on groups of regions.

    The groups are the planner's choice and part of the question: an engine runs the operation
    once for each group, whatever the number of its workers, so that its answer depends on
    nothing else.

    Parameters
    ----------
    operation : str
        Name of the operation.
    request : mapping
        What is asked, in JSON types.
    groups : sequence of sequence of int
        Groups of regions.
    tables : mapping of str to pyarrow.Table
        Small tables that go along, such as uploaded ones.
    snapshot : int, optional
        Which state; None for the one that the engine was opened with.
    timeout_s : float, optional
        How long all of it may take [s]; None for as long as it takes.
    may_end_early : bool
        Whether the first few results may be all that is wanted, so that nothing should be
        done ahead where that costs what it saves.
    cancellation : Cancellation
        Whether it is still wanted; any thread may cancel it.
    allow_partial : bool
        Leave out groups that no partition host can do, instead of raising the error of the
        first.
    missing : list of Missing
        Groups that were left out so far; engines append to it.

    Raises
    ------
    EngineError
        If the request has what JSON has not.
    """

    operation: str
    request: Mapping[str, Any]
    groups: Sequence[Sequence[int]]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    snapshot: int | None = None
    timeout_s: float | None = None
    may_end_early: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation)
    allow_partial: bool = False
    missing: list[Missing] = field(default_factory=list)

    def __post_init__(self) -> None:
        _ = self.request_text

    @cached_property
    def request_text(self) -> str:
        """The request as JSON: what every engine hands to the operation, read again."""
        try:
            return json.dumps(dict(self.request), allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as err:
            raise EngineError(
                f"the request of {self.operation!r} cannot be written as JSON ({err}); "
                "use text, finite numbers, true, false, null, lists and objects"
            ) from err


_OPERATIONS: dict[str, tuple[Operation, Role | None]] = {}


class Views:
    """Snapshots of a database that stay open, for every thread its own: views remember
    what they read.

    Parameters
    ----------
    store : Store
        The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._local = threading.local()

    def at(self, snapshot: int) -> View:
        """Open a snapshot, or find it open.

        Parameters
        ----------
        snapshot : int
            Its number.

        Returns
        -------
        View
            The snapshot, for this thread.
        """
        view: View | None = getattr(self._local, "view", None)
        if view is None or view.snapshot.id != snapshot:
            view = self._local.view = self._store.view(snapshot)
        return view


def register(name: str, operation: Operation, *, role: Role | None = "read") -> None:
    """Make an operation known under a name.

    Parameters
    ----------
    name : str
        The name.
    operation : callable
        The operation; it changes no table, so that it can be run twice.
    role : {'read', 'ingest', 'admin'} or None
        Who may ask for it at a partition host; None if nobody may: engines of this machine
        only.

    Raises
    ------
    EngineError
        If another operation has that name.
    """
    found = _OPERATIONS.setdefault(name, (operation, role))
    if found != (operation, role):
        raise EngineError(f"operation {name!r} is registered twice; give one another name")


def load_operations(modules: Sequence[str] = MODULES) -> None:
    """Import the modules that register operations.

    Parameters
    ----------
    modules : sequence of str
        Their names. A module that is missing is an error.
    """
    for module in modules:
        importlib.import_module(module)


def _find(name: str) -> tuple[Operation, Role | None]:
    found = _OPERATIONS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, _OPERATIONS)
        hint = f"did you mean {' or '.join(near)}?" if near else "there are " + (
            ", ".join(sorted(_OPERATIONS)) or "none"
        )  # fmt: skip
        raise UnknownOperationError(f"no operation {name!r}; {hint}")
    return found


def find_role(name: str) -> Role | None:
    """Find who may ask for an operation at a partition host.

    Parameters
    ----------
    name : str
        Name of the operation.

    Returns
    -------
    str or None
        The least role that may; None if nobody may.

    Raises
    ------
    UnknownOperationError
        If there is no such operation.
    """
    return _find(name)[1]


def run_operation(
    name: str,
    view: View,
    regions: Sequence[int],
    request_text: str,
    tables: Mapping[str, pa.Table],
    work: Work,
) -> pa.Table:
    """Run an operation on one group of regions.

    Parameters
    ----------
    name : str
        Name of the operation.
    view : View
        The snapshot.
    regions : sequence of int
        The group.
    request_text : str
        The request as JSON.
    tables : mapping of str to pyarrow.Table
        Tables that came along.
    work : Work
        What it is a part of; `current_work` finds it.

    Returns
    -------
    pyarrow.Table
        Its result.

    Raises
    ------
    UnknownOperationError
        If there is no such operation.
    DvoError
        What the operation raised.
    OperationError
        If it failed in any other way.
    """
    operation, _ = _find(name)
    work.cancellation.check()
    outer = _WORK.set(work)
    try:
        result = operation(view, list(regions), json.loads(request_text), tables)
    except DvoError:
        raise
    except Exception as err:  # whatever it is, it ends this job and not the process
        raise OperationError(f"operation {name!r} failed: {type(err).__name__}: {err}") from err
    finally:
        _WORK.reset(outer)
    if not isinstance(result, pa.Table):
        raise OperationError(
            f"operation {name!r} gave a {type(result).__name__}; it must give a pyarrow.Table"
        )
    return result
