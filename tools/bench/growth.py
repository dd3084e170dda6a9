"""What a batch costs as the database grows: one exposure a commit, a hundred times."""

from __future__ import annotations

import shutil
from functools import partial

import databases
from figures import Figure
from stage import Stage
from timing import median, timed

from dvo.partition.store import Store

__all__ = ["measure"]

_EARLY = range(5, 15)
_LATE = range(90, 100)


def measure(stage: Stage) -> list[Figure]:
    """Measure with an open database, and with a process for every commit.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Cost of the batches 91-100 over that of 6-15: each range has one exposure of each
        strip of the field, so all ten strips weigh the same.
    """
    stage.warm_up()
    figures = []
    for size in stage.sizes:
        figures.append(_open_database(stage, size))
        if size != "medium":
            figures.append(_processes(stage, size))
    return figures


def _open_database(stage: Stage, size: str) -> Figure:
    inputs = stage.inputs(size)
    catdir = databases.create(stage.scratch / "growth.catdir")
    with Store(catdir, writable=True) as store:
        seconds = [timed(partial(databases.add_files, store, [inputs.one(i)])) for i in range(100)]
    shutil.rmtree(catdir)
    return _figure("batch_growth", "100th batch over the 10th, open database", size, seconds)


def _processes(stage: Stage, size: str) -> Figure:
    """The batches that count in processes of their own, the others here."""
    inputs = stage.inputs(size)
    catdir = databases.create(stage.scratch / "growth.catdir")
    seconds = []
    for i in range(100):
        if i in _EARLY or i in _LATE:
            seconds.append(databases.add_process(catdir, inputs.one(i)).seconds)
            continue
        with Store(catdir, writable=True) as store:
            seconds.append(timed(partial(databases.add_files, store, [inputs.one(i)])))
    shutil.rmtree(catdir)
    what = "100th batch over the 10th, one process each"
    return _figure("batch_growth_process", what, size, seconds)


def _figure(key: str, what: str, size: str, seconds: list[float]) -> Figure:
    early, late = [seconds[i] for i in _EARLY], [seconds[i] for i in _LATE]
    means = sum(late) / len(late), sum(early) / len(early)
    tenths = [round(sum(seconds[i : i + 10]) / 10, 3) for i in range(0, 100, 10)]
    return Figure(
        key,
        what,
        size,
        median(late) / median(early),
        "x",
        f"{median(late):.3f} s",
        f"{median(early):.3f} s (own 10th)",
        f"by means, with the compactions that fall due, {means[0] / means[1]:.2f} x; "
        f"mean of each ten batches: {', '.join(f'{t:.2f}' for t in tenths)} s; "
        f"longest {max(seconds):.2f} s",
        {"seconds": [round(s, 4) for s in seconds]},
    )
