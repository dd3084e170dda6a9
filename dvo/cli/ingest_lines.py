"""What was added, in words: for every command that adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.ingest.report import AddstarReport

__all__ = ["report_lines"]


def report_lines(report: AddstarReport, n_added: int, *, has_images: bool) -> Iterator[str]:
    """Say what was added, in words; a reference catalog has rows, and is no image.

    Parameters
    ----------
    report : AddstarReport
        What was done.
    n_added : int
        Images, or catalogs.
    has_images : bool
        Which of them.

    Yields
    ------
    str
        A line for people.
    """
    what, rows = ("images", "detections") if has_images else ("reference catalogs", "rows")
    skipped = f", {report.n_skipped} skipped, being in already" if report.n_skipped else ""
    if report.n_replaced:
        removed = counted(report.n_removed, "measures")
        skipped = f", {report.n_replaced} replaced ({removed} removed){skipped}"
    bands = report.n_measures != report.n_detections
    measures = f" ({counted(report.n_measures, 'measures')})" if bands else ""
    yield (
        f"{counted(n_added, what)} added{skipped}; {counted(report.n_detections, rows)}{measures}: "
        f"{report.n_matched} of known objects, {counted(report.n_new, 'new objects')}; "
        f"{report.seconds:.1f} s"
    )
    if report.n_satellites:
        tables = ", ".join(f"{n} of {name}" for name, n in report.n_satellites.items())
        yield f"rows of satellite tables added: {tables}"
    for reason, n in report.n_dropped.items():
        yield f"left out: {n} ({reason})"
    for problem in report.left_out:
        yield f"left out as bad: {problem}"
    for note, names in report.notes.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"note: {names[0]}{more}: {note}"
