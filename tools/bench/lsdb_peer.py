"""LSDB as a peer: a process of its own environment, which `make .venv-lsdb/.stamp` makes.

The process stays, so that what it imports is not timed; it is told what to do a line at a
time. Where the environment is missing, measures against LSDB are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dvo.exchange.hats.export import HatsOptions, export_hats
from dvo.exchange.selection import select
from dvo.partition.store import Store

__all__ = ["ABSENT", "LsdbPeer", "exported", "is_there"]

ABSENT = "LSDB is not installed; make interop-lsdb makes its environment"
"""What to say where it is missing."""

_PYTHON = Path(__file__).parents[2] / ".venv-lsdb/bin/python"
_SERVER = Path(__file__).with_name("lsdb_tasks.py")


def is_there() -> bool:
    """Whether LSDB's environment has been made."""
    return _PYTHON.exists()


def exported(catdir: Path, target: Path, table: str, columns: list[str]) -> Path:
    """Write a table of a database as a HATS collection, in place of what is there.

    Parameters
    ----------
    catdir : Path
        The database.
    target : Path
        The collection.
    table : str
        Which table.
    columns : list of str
        Which columns.

    Returns
    -------
    Path
        The collection.
    """
    shutil.rmtree(target, ignore_errors=True)
    with Store(catdir) as store:
        extract = select(store, store.view(), table, columns, with_position=True)
        export_hats(extract, target, HatsOptions())
    return target


class LsdbPeer:
    """The process."""

    def __init__(self) -> None:
        # Its own packages only.
        known = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
        self._process = subprocess.Popen(
            [_PYTHON, _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=known
        )

    def ask(self, task: str, *words: Any) -> dict[str, Any]:
        """Have something done.

        Parameters
        ----------
        task : str
            A function of `lsdb_tasks`.
        *words : str, Path or number
            Its arguments.

        Returns
        -------
        dict
            What it says.

        Raises
        ------
        RuntimeError
            If it fails.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([task, *map(str, words)]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"LSDB: {task} failed; see above")
        found: dict[str, Any] = json.loads(answer)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # the end of its input ends it
        self._process.wait(timeout=60)
