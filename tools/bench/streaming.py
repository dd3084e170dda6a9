"""Memory of a process that goes through all rows of an answer."""

from __future__ import annotations

import sys
from pathlib import Path

from databases import program
from figures import Figure
from stage import Stage
from timing import median, run_process

__all__ = ["measure"]

_COLUMNS = "SELECT ra, dec, mag, mag_err FROM measure"
_CACHE_BYTES = 1 << 24
_PROGRAM = f"""
import sys, dvo
with dvo.open(sys.argv[1], cache_bytes={_CACHE_BYTES}) as db:
    n = sum(map(len, db.sql_batches(sys.argv[2])))
    assert n == db.snapshot.counts["measures"], n
"""
_ROUNDS = 3


def measure(stage: Stage) -> list[Figure]:
    """Measure on the largest size.

    Parameters
    ----------
    stage : Stage
        Where to run; our database is compacted first.

    Returns
    -------
    list of Figure
        Greatest resident memory of the command and of a Python program [MB].
    """
    size = stage.sizes[-1]
    catdir = stage.compacted(size)
    python: list[str | Path] = [sys.executable, "-c", _PROGRAM, catdir]
    command: list[str | Path] = [program("dvo"), "query", catdir]
    # A condition that all rows meet: they go through the evaluator.
    filtered = f"{_COLUMNS} WHERE mag_err < 1e9"
    return [
        _figure("stream_python", "all rows by db.sql_batches", size, [*python, _COLUMNS]),
        _figure("stream_command", "all rows by dvo query, CSV", size,
                [*command, _COLUMNS, "-f", "csv"]),
        _figure("stream_filtered", "all rows by db.sql_batches, through the evaluator", size,
                [*python, filtered]),
    ]  # fmt: skip


def _figure(key: str, what: str, size: str, words: list[str | Path]) -> Figure:
    costs = [run_process(*words) for _ in range(_ROUNDS)]
    peaks = [cost.peak_bytes / 1e6 for cost in costs]
    seconds = median([cost.seconds for cost in costs])
    value = max(peaks)
    return Figure(key, f"{what}: peak memory", size, value, "MB", f"{value:.0f} MB", "",
                  f"{seconds:.1f} s", {"peaks_mb": [round(p, 1) for p in peaks]})  # fmt: skip
