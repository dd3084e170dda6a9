"""What is to be reached, and the figures that are set against it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GOALS", "Figure", "Goal", "as_table"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to reach.

    Parameters
    ----------
    must, aim : float
        Worst value that will do, and the value that is wanted, in the unit of the figure.
    at_least : bool
        Whether greater is better.
    """

    must: float
    aim: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        """Whether a value in the figure's unit will do."""
        return value >= self.must if self.at_least else value <= self.must

    def has_aim(self, value: float) -> bool:
        """Whether a value in the figure's unit is what is wanted."""
        return value >= self.aim if self.at_least else value <= self.aim


GOALS = {
    "fits_read_all": Goal(3, 5, at_least=True),
    "fits_read_four": Goal(20, 40, at_least=True),
    "fits_write": Goal(5, 8, at_least=True),
    "measure_bytes": Goal(27, 24, at_least=False),
    "association": Goal(2, 3, at_least=True),
    "addstar": Goal(2, 4, at_least=True),
    "batch_growth": Goal(1.3, 1.1, at_least=False),
    "cone_arcmin_warm": Goal(1, 0.3, at_least=False),
    "cone_arcmin_cold": Goal(1.5, 0.7, at_least=False),
    "cone_arcmin_cold_query": Goal(1.5, 0.7, at_least=False),
    "cone_degree_warm": Goal(1, 0.5, at_least=False),
    "scan_some_warm_lsdb": Goal(10, 20, at_least=True),
    "scan_some_warm_duckdb": Goal(0.7, 0.7, at_least=True),
    "scan_some_cold_lsdb": Goal(3, 6, at_least=True),
    "scan_some_cold_duckdb": Goal(0.7, 0.7, at_least=True),
    "scan_all_warm_lsdb": Goal(10, 20, at_least=True),
    "scan_all_warm_duckdb": Goal(0.7, 0.7, at_least=True),
    "scan_all_cold_lsdb": Goal(3, 6, at_least=True),
    "scan_all_cold_duckdb": Goal(0.7, 0.7, at_least=True),
    "scan_two_processes": Goal(1.7, 1.9, at_least=True),
    "scan_two_threads": Goal(1.7, 1.9, at_least=True),
    "cone_sql": Goal(8, 2, at_least=False),
    "cone_hosts_added": Goal(2, 1, at_least=False),
    "clients_spread": Goal(20, 5, at_least=False),
    "stream_python": Goal(300, 200, at_least=False),
    "stream_command": Goal(300, 200, at_least=False),
    "addstar_peak_gb": Goal(2, 1, at_least=False),
    "merge_rate": Goal(0.6, 1.2, at_least=True),
    "merge_little": Goal(1.3, 1.1, at_least=False),
    "compaction": Goal(1.5, 2.0, at_least=True),
    "check_deep": Goal(2.0, 3.0, at_least=True),
    "overlay": Goal(1, 4, at_least=True),
    "overlay_lsdb": Goal(40, 60, at_least=True),
    "match_seconds": Goal(0.5, 0.35, at_least=False),
    "match_lsdb": Goal(2, 3, at_least=True),
    "hats_export": Goal(1.0, 2.0, at_least=True),
    "astrom_objects": Goal(200, 300, at_least=True),
    "astrom_bootstrap": Goal(5, 10, at_least=True),
    "astrom_solve_dense": Goal(20, 10, at_least=False),
    "astrom_error_dense": Goal(1.05, 1.02, at_least=False),
    "astrom_solve_sparse": Goal(20, 10, at_least=False),
    "astrom_error_sparse": Goal(2.5, 2.15, at_least=False),
    "relphot_solve": Goal(25, 15, at_least=False),
    "relphot_apply": Goal(25, 15, at_least=False),
    "relphot_limit": Goal(1.10, 1.0, at_least=False),
    "relphot_limit_tied": Goal(1.10, 1.02, at_least=False),
    "relphot_pulls": Goal(0.05, 0.02, at_least=False),
    "relphot_dirty": Goal(1.15, 1.1, at_least=False),
    "relphot_classic": Goal(10, 20, at_least=True),
    "calib_kernel": Goal(30, 60, at_least=True),
    "scale_open": Goal(150, 50, at_least=False),
    "scale_cone": Goal(2, 1, at_least=False),
    "scale_full_sky": Goal(300, 200, at_least=False),
    "help_seconds": Goal(0.3, 0.2, at_least=False),
    "shell_prompt": Goal(0.6, 0.3, at_least=False),
    "shell_answer": Goal(2.0, 0.6, at_least=False),
}
"""By key of `Figure`; figures without a goal are for information."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    Parameters
    ----------
    key : str
        Which measure; the key of `GOALS` where there is a goal.
    what : str
        What it is, for people.
    size : str
        Size of the workload; empty where it has none.
    value : float
        The figure; NaN if it was skipped.
    value_unit : str
        Such as ``x faster``, ``x its time``, ``bytes/row``.
    ours, peer : str
        Our and the peer's own figures, for people.
    note : str
        What else is to be known; why it was skipped.
    details : dict
        More numbers, for the report file.
    """

    key: str
    what: str
    size: str
    value: float
    value_unit: str
    ours: str = ""
    peer: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def goal(self) -> Goal | None:
        """What it is to reach, if anything."""
        return GOALS.get(self.key)

    @property
    def verdict(self) -> str:
        """``yes`` and ``aim`` when met, ``NO`` when missed, empty without a goal."""
        if self.goal is None:
            return ""
        if math.isnan(self.value):
            return "skipped"
        if self.goal.has_aim(self.value):
            return "yes, aim"
        return "yes" if self.goal.is_met(self.value) else "NO"

    def as_dict(self) -> dict[str, Any]:
        """The figure as JSON types."""
        goal = self.goal
        return {
            "key": self.key,
            "what": self.what,
            "size": self.size,
            "value": None if math.isnan(self.value) else round(self.value, 4),
            "unit": self.value_unit,
            "ours": self.ours,
            "peer": self.peer,
            "must": goal.must if goal else None,
            "aim": goal.aim if goal else None,
            "met": None if goal is None or math.isnan(self.value) else goal.is_met(self.value),
            "note": self.note,
            "details": self.details,
        }


def as_table(figures: list[Figure]) -> str:
    """Lay out figures as a table in Markdown, those with goals first.

    Parameters
    ----------
    figures : list of Figure
        The figures.

    Returns
    -------
    str
        The table.
    """
    head = ["what", "size", "ours", "peer", "figure", "must", "aim", "met"]
    rows = [head]
    for figure in sorted(figures, key=lambda f: f.goal is None):
        goal = figure.goal
        sign = "" if goal is None else "≥ " if goal.at_least else "≤ "
        value = "-" if math.isnan(figure.value) else f"{figure.value:.3g} {figure.value_unit}"
        rows.append(
            [figure.what, figure.size, figure.ours, figure.peer, value]
            + ([f"{sign}{goal.must:g}", f"{sign}{goal.aim:g}"] if goal else ["", ""])
            + [figure.verdict]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    notes = [f"{f.what}{f' ({f.size})' if f.size else ''}: {f.note}" for f in figures if f.note]
    return "\n".join([*lines, "", *notes])
