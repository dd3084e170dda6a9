"""What the dot commands of the shell set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENGINES", "EXPANDED", "FORMS", "Settings"]

FORMS = ("table", "csv", "json", "fits", "votable", "parquet")
EXPANDED = ("auto", "on", "off")
ENGINES = ("inline", "processes", "hosts", "parsl")


@dataclass
class Settings:
    """How the shell answers.

    Parameters
    ----------
    mode : str
        Form of results, one of `FORMS`.
    output : Path or None
        File that results go to; None for the screen.
    timer : bool
        Whether to say how long each query took.
    max_rows : int
        Rows of a table that are printed at most; 0 for all.
    engine : str
        Where queries are worked on.
    explain : bool
        Whether queries are explained instead of answered.
    pager : bool
        Whether long tables are shown page by page.
    expanded : str
        Whether rows of a table are written one below the other, each value in a line of its
        own: one of `EXPANDED`; ``auto`` where they are wider than the terminal.
    """

    mode: str = "table"
    output: Path | None = None
    timer: bool = False
    max_rows: int = 0
    engine: str = "inline"
    explain: bool = False
    pager: bool = False
    expanded: str = "off"
