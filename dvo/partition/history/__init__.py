"""History: go back to an older snapshot, compare two, name one, forget the oldest."""

from __future__ import annotations

from dvo.partition.history.diff import DiffRows, SnapshotDiff, TableDiff, diff, diff_rows
from dvo.partition.history.rollback import rollback
from dvo.partition.history.tags import drop_tag, put_tag
from dvo.partition.history.vacuum import KeptState, VacuumReport, vacuum

__all__ = [
    "DiffRows",
    "KeptState",
    "SnapshotDiff",
    "TableDiff",
    "VacuumReport",
    "diff",
    "diff_rows",
    "drop_tag",
    "put_tag",
    "rollback",
    "vacuum",
]
