"""Where a command works: in this process, in several, in partition hosts, or by Parsl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dvo.partition.engines import Engine
    from dvo.partition.store import Store

__all__ = [
    "calibration_options",
    "engine_option",
    "open_calibration_engine",
    "open_writing_engine",
    "report_option",
    "workers_option",
]

engine_option = click.option(
    "--engine",
    type=click.Choice(["inline", "processes", "hosts", "parsl"]),
    default="inline",
    show_default=True,
    help="Work in this process, in several, in the partition hosts (dvo host), or by Parsl.",
)

workers_option = click.option("--workers", type=click.IntRange(1), help="How many work at a time.")

report_option = click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write report.json, pictures and a page, index.html, that shows all of it.",
)

_CALIBRATION = (
    report_option,
    click.option("--dry-run", is_flag=True, help="Report what would be done; change nothing."),
    engine_option,
    workers_option,
    click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
)


def open_writing_engine(
    kind: str, store: Store, workers: int | None, modules: Sequence[str] | None = None
) -> AbstractContextManager[Engine | None]:
    """Open the engine that a command which writes is to use.

    Parameters
    ----------
    kind : str
        Name of the engine.
    store : Store
        The database, open for writing.
    workers : int or None
        How many are to work at a time.
    modules : sequence of str, optional
        Modules that register operations; None for those that all commands need.

    Returns
    -------
    context manager
        Gives the engine; None for the threads of this process.

    Raises
    ------
    click.UsageError
        If the engine has its own number of workers.
    """
    if workers is not None and kind in ("inline", "hosts"):
        raise click.UsageError(
            "--workers goes with --engine processes or parsl: this process uses all its "
            "processors, and hosts have threads of their own (dvo host serve --threads)"
        )
    if kind == "inline":
        return nullcontext()
    from dvo.partition.engines import open_engine  # noqa: PLC0415 - keeps --help quick
    from dvo.partition.operations import MODULES  # noqa: PLC0415

    return open_engine(kind, store, workers=workers, modules=modules or MODULES)


def calibration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a calibration command --report, --dry-run, --engine, --workers and --json."""
    for option in reversed(_CALIBRATION):
        command = option(command)
    return command


def open_calibration_engine(
    kind: str, store: Store, workers: int | None
) -> AbstractContextManager[Engine | None]:
    """Open the engine that a calibration command is to use; see `open_writing_engine`.

    Parameters
    ----------
    kind : str
        Name of the engine.
    store : Store
        The database.
    workers : int or None
        How many are to work at a time.

    Returns
    -------
    context manager
        Gives the engine; None for this process.
    """
    from dvo.partition.operations import CALIBRATION_MODULES  # noqa: PLC0415 - keeps --help quick

    return open_writing_engine(kind, store, workers, CALIBRATION_MODULES)
