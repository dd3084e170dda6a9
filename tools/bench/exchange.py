"""Exports: a compacted database as a HATS collection, and as one Parquet file."""

from __future__ import annotations

import databases
from figures import Figure
from stage import Stage
from timing import median, run_process

__all__ = ["measure"]

_ROUNDS = 3
_FORMS = {
    "hats_export": ("hats", "dvo export hats: measures, with margins, durable"),
    "parquet_export": ("parquet", "dvo export parquet: measures, durable"),
}


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run; our databases are compacted first.

    Returns
    -------
    list of Figure
        Rows a second of the whole command, and its peak memory.
    """
    stage.warm_up()
    return [_export(stage, size, key) for size in stage.sizes for key in _FORMS]


def _export(stage: Stage, size: str, key: str) -> Figure:
    form, what = _FORMS[key]
    catdir, target = stage.compacted(size), stage.scratch / f"export.{form}"
    words = ("export", form, catdir, target, "--table", "measure", "--overwrite")
    costs = [run_process(databases.program("dvo"), *words) for _ in range(_ROUNDS)]
    seconds = median([cost.seconds for cost in costs])
    n_rows = stage.inputs(size).n_rows
    rate = n_rows / seconds / 1e6
    peak = max(cost.peak_bytes for cost in costs)
    return Figure(
        key, what, size, rate, "M rows/s", f"{seconds:.2f} s", "",
        f"peak memory {peak / 1e9:.2f} GB; {median([c.cpu_seconds for c in costs]):.1f} s of CPU",
        {"seconds": [c.seconds for c in costs], "peak_bytes": peak},
    )  # fmt: skip
