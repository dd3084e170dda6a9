"""What a check found: faults, each with its place and what to do, and notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["REMEDY", "RESTORE", "CheckReport", "Fault"]

RESTORE = "restore the file from a backup, or go back with: dvo rollback"
"""What to do about a damaged file."""

_REPORT = "this is a mistake of dvo or of a program that wrote to the database: go back with dvo "
REMEDY = f"{_REPORT}rollback to a snapshot before it, and report it"
"""What to do about rows that are whole but wrong."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    message : str
        What is wrong, with the value found.
    remedy : str
        What to do.
    path : str
        File, relative to the catdir; empty if it is in no one file.
    table : str
        Table; empty if it is not about one.
    region : str
        Name of the region; empty for the whole sky.
    row : int
        Row of the table of that region; -1 if it is not about one row.
    """

    message: str
    remedy: str = RESTORE
    path: str = ""
    table: str = ""
    region: str = ""
    row: int = -1

    def __str__(self) -> str:
        places = [self.path, self.region and f"region {self.region}", self.table]
        places.append(f"row {self.row}" if self.row >= 0 else "")
        where = ", ".join(p for p in places if p)
        return (
            f"{where}: {self.message}; {self.remedy}"
            if where
            else (f"{self.message}; {self.remedy}")
        )


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Parameters
    ----------
    faults : list of Fault
        What is wrong.
    notes : list of str
        What is worth knowing but harms nothing.
    counts : dict of str to int
        What was looked at: files, bytes, catalogs, objects, measures, images.
    snapshot : int
        Snapshot that was checked; 0 if none could be read.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    snapshot: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {"ok": self.ok, **asdict(self)}
