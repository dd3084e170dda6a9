"""What a batch costs as the database grows: one exposure a commit, a hundred times."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import databases
from figures import Figure
from stage import Stage
from timing import median, pair_ratio, timed
from workload import N_STRIPS, Inputs

from dvo.partition.store import Store

__all__ = ["measure"]

_EARLY = 5
_LATE = 90
_COUNTED = 10

Add = Callable[[Path], float]


def measure(stage: Stage) -> list[Figure]:
    """Measure with an open database, and with a process for every commit.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Cost of the batches 91-100 of one database over that of the batches 6-15 of
        another, which take turns: each range has one exposure of each strip of the field,
        so all ten strips weigh the same, and both see the same load.
    """
    stage.warm_up()
    figures = []
    for size in stage.sizes:
        figures.append(_in_process(stage, size))
        if size != "medium":
            figures.append(_as_processes(stage, size))
    return figures


def _in_process(stage: Stage, size: str) -> Figure:
    young, old = _begin(stage)
    inputs = stage.inputs(size)
    with Store(young, writable=True) as small, Store(old, writable=True) as large:

        def early(listing: Path) -> float:
            return timed(lambda: databases.add_files(small, [listing]))

        def late(listing: Path) -> float:
            return timed(lambda: databases.add_files(large, [listing]))

        history = [late(inputs.one(i)) for i in range(_LATE)]
        for i in range(_EARLY):
            early(inputs.one(i))
        times = _take_turns(inputs, early, late)
    what = "100th batch over the 10th, open database"
    return _end(stage, "batch_growth", what, size, times, history)


def _as_processes(stage: Stage, size: str) -> Figure:
    """The batches that count in processes of their own, the others here."""
    young, old = _begin(stage)
    inputs = stage.inputs(size)
    for catdir, n in ((young, _EARLY), (old, _LATE)):
        with Store(catdir, writable=True) as store:
            for i in range(n):
                databases.add_files(store, [inputs.one(i)])
    times = _take_turns(
        inputs,
        lambda listing: databases.add_process(young, listing).seconds,
        lambda listing: databases.add_process(old, listing).seconds,
    )
    what = "100th batch over the 10th, one process each"
    return _end(stage, "batch_growth_process", what, size, times, [])


def _begin(stage: Stage) -> tuple[Path, Path]:
    young, old = (stage.scratch / f"growth-{name}.catdir" for name in ("young", "old"))
    return databases.create(young), databases.create(old)


def _take_turns(inputs: Inputs, early: Add, late: Add) -> tuple[list[float], list[float]]:
    """Seconds of the batches of the young and of the old database, strip by strip."""
    pairs = []
    for i in range(_COUNTED):
        strip = (_EARLY + i) % N_STRIPS
        first, last = inputs.one(_EARLY + i), inputs.one(_LATE + strip)
        if i % 2:
            pairs.append((early(first), late(last)))
        else:
            after = late(last)
            pairs.append((early(first), after))
    return [a for a, _ in pairs], [b for _, b in pairs]


def _end(
    stage: Stage,
    key: str,
    what: str,
    size: str,
    times: tuple[list[float], list[float]],
    history: list[float],
) -> Figure:
    for catdir in stage.scratch.glob("growth-*"):
        shutil.rmtree(catdir)
    early, late = times
    note = f"by means, with the compactions that fall due, {sum(late) / sum(early):.2f} x"
    if history:
        tenths = (sum(history[i : i + 10]) / 10 for i in range(0, _LATE, 10))
        note += f"; mean of each ten batches before: {', '.join(f'{t:.2f}' for t in tenths)} s"
        note += f"; longest {max(history + late):.2f} s"
    return Figure(
        key,
        what,
        size,
        median(late) / median(early),
        "x",
        f"{median(late):.3f} s",
        f"{median(early):.3f} s (own 10th)",
        note,
        {"early_s": early, "late_s": late, "pairs": pair_ratio(late, early), "before_s": history},
    )
