"""What a query took: noted group by group where the work is done, and added up here.

Notes travel with the results, in the metadata of their schemas, so that all engines have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa

from dvo.query.plan import Fragment

__all__ = ["Analysis", "Notes", "take_notes", "with_notes"]

_KEY = b"dvo.notes"


@dataclass
class Notes:
    """What some groups of a fragment took one worker.

    Parameters
    ----------
    n_groups : int
        Groups.
    n_rows_read : int
        Rows of tables that the scans gave.
    n_rows : int
        Rows of the results.
    n_tiles : int
        Tiles of columns that were decoded; others were in memory.
    n_bytes : int
        Bytes read from files.
    read_s, decode_s : float
        Time to read files, and to decode tiles [s]; of threads side by side it adds up.
    arrange_s : float
        Time of the scans beside that: to find rows and put columns together [s].
    evaluate_s : float
        Time to evaluate the first phase [s].
    """

    n_groups: int = 0
    n_rows_read: int = 0
    n_rows: int = 0
    n_tiles: int = 0
    n_bytes: int = 0
    read_s: float = 0.0
    decode_s: float = 0.0
    arrange_s: float = 0.0
    evaluate_s: float = 0.0

    def add(self, other: Notes) -> None:
        """Add what other groups took."""
        for about in fields(self):
            setattr(self, about.name, getattr(self, about.name) + getattr(other, about.name))


@dataclass
class Analysis:
    """What a query took.

    Parameters
    ----------
    plan_s : float
        Time to plan it [s].
    merge_s : float
        Time to put the results of groups together, and to evaluate what is left [s].
    total_s : float
        Time from its beginning to its end [s].
    n_rows : int
        Rows of the answer.
    fragments : dict
        What each fragment took each worker: `Notes` by worker by name of the fragment.
    """

    plan_s: float = 0.0
    merge_s: float = 0.0
    total_s: float = 0.0
    n_rows: int = 0
    fragments: dict[str, dict[str, Notes]] = field(default_factory=dict)


def with_notes(table: pa.Table, worker: str, notes: Notes) -> pa.Table:
    """Put notes beside a result.

    Parameters
    ----------
    table : pyarrow.Table
        The result of a group.
    worker : str
        Who made it.
    notes : Notes
        What it took.

    Returns
    -------
    pyarrow.Table
        The same, with notes in its metadata.
    """
    text = json.dumps({"worker": worker, **asdict(notes)})
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: text.encode()})


def take_notes(table: pa.Table, fragment: Fragment, analysis: Analysis) -> pa.Table:
    """Take notes from a result.

    Parameters
    ----------
    table : pyarrow.Table
        The result of a group.
    fragment : Fragment
        Of which fragment.
    analysis : Analysis
        Where to add them.

    Returns
    -------
    pyarrow.Table
        The result without notes.
    """
    about = dict(table.schema.metadata or {})
    given: Mapping[str, Any] = json.loads(about.pop(_KEY, b"{}"))
    worker = str(given.get("worker", "unknown"))
    # From another machine: what is no number there is nothing to add.
    numbers = {
        f.name: given[f.name] for f in fields(Notes) if isinstance(given.get(f.name), int | float)
    }
    of_worker = analysis.fragments.setdefault(fragment.name, {})
    of_worker.setdefault(worker, Notes()).add(Notes(**numbers))
    return table.replace_schema_metadata(about or None)
