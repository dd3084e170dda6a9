"""What an export or import has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dvo
from dvo.partition.view import View

__all__ = ["ExportReport", "Progress"]


@dataclass
class ExportReport:
    """What was written so far.

    Parameters
    ----------
    kind : str
        The form, such as ``hats``.
    table : str
        Which table.
    path : str
        Where.
    rows : int
        Rows written.
    bytes : int
        Size of all files; 0 until the end.
    seconds : float
        Time taken [s].
    more : dict
        What only this form has, such as the number of partitions.
    """

    kind: str
    table: str
    path: str
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)

    def about(self, view: View) -> str:
        """One line on what is written, for people who find the file."""
        return f"{self.table} of a dvo {dvo.__version__} database, snapshot {view.snapshot.id}"

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        facts = {"kind": self.kind, "table": self.table, "path": self.path, "rows": self.rows}
        return {**facts, **self.more, "bytes": self.bytes, "seconds": round(self.seconds, 3)}


Progress = Callable[[ExportReport], None]
"""Is told of a report that is not complete yet."""
