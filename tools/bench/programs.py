"""How long a command takes to say what it can do, and the shell until it can be asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import databases
import pexpect
from databases import program
from figures import Figure
from stage import Stage
from timing import median, run_process

__all__ = ["measure", "measure_shell"]


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


def measure_shell(stage: Stage) -> list[Figure]:
    """Measure ``dvo shell`` until its prompt is there, and until its first answer.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Both times, the medians of ten runs after a first one.
    """
    catdir = databases.create(stage.scratch / "shell.catdir")
    starts = [_start_shell(catdir, stage.scratch) for _ in range(11)][1:]
    found = []
    for k, (key, what) in enumerate(
        (("shell_prompt", "dvo shell: prompt"), ("shell_answer", "dvo shell: first answer"))
    ):
        seconds = [start[k] for start in starts]
        value = median(seconds)
        found.append(Figure(key, what, "", value, "s", f"{value:.3f} s", "", "",
                            {"seconds": seconds}))  # fmt: skip
    return found


def _start_shell(catdir: Path, folder: Path) -> tuple[float, float]:
    """Times until the prompt of a shell, and until the answer to a query typed there [s]."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "PROMPT_TOOLKIT_NO_CPR": "1"}
    begun = time.perf_counter()
    terminal = pexpect.spawn(str(program("dvo")), ["shell", str(catdir)], timeout=60,
                             env=environment, encoding="utf-8", dimensions=(40, 120))  # fmt: skip
    terminal.delaybeforesend = None
    terminal.expect(f"{catdir.name}>")
    prompt = time.perf_counter() - begun
    terminal.send("SELECT COUNT(*) + 4321 AS n FROM average;\r")
    terminal.expect(r"\b4321\r")
    answer = time.perf_counter() - begun
    terminal.close(force=True)
    return prompt, answer
