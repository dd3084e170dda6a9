"""How long a command takes to say what it can do."""

from __future__ import annotations

from databases import program
from figures import Figure
from stage import Stage
from timing import median, run_process

__all__ = ["measure"]


def measure(stage: Stage) -> list[Figure]:
    """Measure ``dvo --help``.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Its time, the median of ten runs after a first one.
    """
    assert stage.sizes
    seconds = [run_process(program("dvo"), "--help").seconds for _ in range(11)][1:]
    value = median(seconds)
    return [
        Figure("help_seconds", "dvo --help", "", value, "s", f"{value:.3f} s", "", "",
               {"seconds": seconds})
    ]  # fmt: skip
