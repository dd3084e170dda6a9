"""History: go back to an older snapshot, compare two, name one, forget the oldest."""

from __future__ import annotations

from dvo.partition.history.diff import SnapshotDiff, diff
from dvo.partition.history.rollback import rollback
from dvo.partition.history.tags import drop_tag, put_tag
from dvo.partition.history.vacuum import KeptState, VacuumReport, vacuum

__all__ = [
    "KeptState",
    "SnapshotDiff",
    "VacuumReport",
    "diff",
    "drop_tag",
    "put_tag",
    "rollback",
    "vacuum",
]
