"""Runs commands for the demo, shows them as one would type them, and keeps their figures."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["Session", "empty_folder"]

_MARK = ".dvo-demo"


def empty_folder(folder: Path) -> Path:
    """Make a folder of a demo anew; one that is no demo's is left alone.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    SystemExit
        If it holds other things.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            sys.exit(
                f"{folder} is not empty and was not made by this demo; name another with --out"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    return folder


class Session:
    """The commands and figures of one demo.

    Parameters
    ----------
    folder : Path
        Where it writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report: dict[str, Any] = {}
        self._began = time.perf_counter()
        self._n_steps = 0

    @property
    def seconds(self) -> float:
        """Time since the demo began [s]."""
        return time.perf_counter() - self._began

    def step(self, title: str) -> None:
        """Begin a step: print its number and title."""
        self._n_steps += 1
        self.say(f"\n{self._n_steps}. {title}", indent="")

    def say(self, text: str, indent: str = "   ") -> None:
        """Print a line."""
        print(f"{indent}{text}", flush=True)

    def run(self, *words: str | Path, shown: str = "") -> str:
        """Run a program of this environment.

        Parameters
        ----------
        *words : str or Path
            The program and its arguments.
        shown : str
            What to show for the command, if that is not the command itself.

        Returns
        -------
        str
            What it printed.

        Raises
        ------
        SystemExit
            If it failed; its message is shown.
        """
        command = [str(w) for w in words]
        self.say(f"$ {shown or shlex.join(command)}")
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{command[0]} ended with code {done.returncode}\n{done.stderr}")
        return done.stdout

    def run_json(self, name: str, *words: str | Path, shown: str = "") -> dict[str, Any]:
        """Run a program with ``--json``, and put its figures into the report.

        Parameters
        ----------
        name : str
            Name in the report.
        *words : str or Path
            The program and its arguments.
        shown : str
            What to show for the command, if that is not the command itself.

        Returns
        -------
        dict
            Its figures, with ``wall_s``: the whole time of the program [s].
        """
        begin = time.perf_counter()
        shown = shown or shlex.join([str(w) for w in words])
        figures: dict[str, Any] = json.loads(self.run(*words, "--json", shown=shown))
        figures["wall_s"] = round(time.perf_counter() - begin, 2)
        self.report[name] = figures
        return figures

    def write_report(self) -> Path:
        """Write report.json."""
        self.report["seconds"] = round(self.seconds, 1)
        path = self.folder / "report.json"
        path.write_text(json.dumps(self.report, indent=1) + "\n")
        return path
