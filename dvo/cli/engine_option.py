"""Where a command works: in this process, in several, in partition hosts, or by Parsl."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dvo.partition.engines import Engine
    from dvo.partition.store import Store

__all__ = ["engine_option", "open_writing_engine", "workers_option"]

engine_option = click.option(
    "--engine",
    type=click.Choice(["inline", "processes", "hosts", "parsl"]),
    default="inline",
    show_default=True,
    help="Work in this process, in several, in the partition hosts (dvo host), or by Parsl.",
)

workers_option = click.option("--workers", type=click.IntRange(1), help="How many work at a time.")


def open_writing_engine(
    kind: str, store: Store, workers: int | None
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

    return open_engine(kind, store, workers=workers)
