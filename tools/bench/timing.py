"""Clocks: rounds that take turns, files made cold, the load of the machine."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ProcessCost", "evict", "file_bytes", "load", "median", "pair_ratio", "run_process",
           "take_turns", "timed"]  # fmt: skip

Step = Callable[[], object]

# A small process starts the measured one: what a child's peak memory is said to be counts
# the memory of the process that it was forked from.
_LAUNCHER = """
import json, os, sys, time
begin = time.perf_counter()
out = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                     file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.perf_counter() - begin,
                  used.ru_maxrss * 1024, used.ru_utime + used.ru_stime]))
"""


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """What a whole process cost.

    Parameters
    ----------
    seconds : float
        From start to end [s].
    peak_bytes : int
        Greatest resident memory.
    cpu_seconds : float
        Processor time of all its threads [s].
    """

    seconds: float
    peak_bytes: int
    cpu_seconds: float


def timed(step: Step) -> float:
    """Seconds that a step takes [s]."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def take_turns(
    steps: Mapping[str, Step], rounds: int, *, before: Mapping[str, Step] | None = None
) -> dict[str, list[float]]:
    """Time steps in turn, round after round, so that all see the same load.

    Parameters
    ----------
    steps : mapping of str to callable
        What to time.
    rounds : int
        How often.
    before : mapping of str to callable, optional
        What to do before a step, outside its time.

    Returns
    -------
    dict of str to list of float
        Seconds of each round [s].
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds):
        # Each goes first as often as the others.
        names = list(steps) if i % 2 == 0 else list(steps)[::-1]
        for name in names:
            if before and name in before:
                before[name]()
            seconds[name].append(timed(steps[name]))
    return seconds


def median(values: Sequence[float]) -> float:
    """Middle value, in the unit of the values; NaN of none."""
    return statistics.median(values) if values else float("nan")


def pair_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios of values taken in the same round (dimensionless)."""
    return median([a / b for a, b in zip(over, under, strict=True)])


def _files(paths: Sequence[Path]) -> list[Path]:
    found = []
    for path in paths:
        found += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return found


def evict(*paths: Path) -> None:
    """Make the next read of files, or of all files in folders, come from the disk."""
    for path in _files(paths):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def file_bytes(*paths: Path) -> int:
    """Bytes of files, or of all files in folders."""
    return sum(p.stat().st_size for p in _files(paths))


def load() -> float:
    """Mean number of busy processes of the last minute."""
    return round(os.getloadavg()[0], 2)


def run_process(*words: str | Path) -> ProcessCost:
    """Run a program to its end.

    Parameters
    ----------
    *words : str or Path
        The program, by its full path, and its arguments. Its output is thrown away.

    Returns
    -------
    ProcessCost
        What it cost.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    command = [sys.executable, "-S", "-c", _LAUNCHER, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    code, seconds, peak, cpu = json.loads(done.stdout)
    if code != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit code {code}: {done.stderr}")
    return ProcessCost(seconds, peak, cpu)
