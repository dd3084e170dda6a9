"""Choosing an engine by its name."""

from __future__ import annotations

from collections.abc import Sequence

from dvo.errors import EngineError
from dvo.partition.engines.engine import Engine
from dvo.partition.engines.inline import InlineEngine
from dvo.partition.engines.processes import ProcessEngine
from dvo.partition.operations import MODULES, load_operations
from dvo.partition.store import Store

__all__ = ["KINDS", "open_engine"]

KINDS = ("inline", "processes")
"""Names of the engines."""


def open_engine(
    kind: str,
    store: Store,
    *,
    snapshot: int | None = None,
    workers: int | None = None,
    modules: Sequence[str] = MODULES,
) -> Engine:
    """Open an engine.

    Parameters
    ----------
    kind : {'inline', 'processes'}
        In this process, or in a pool of others.
    store : Store
        The database; keep it open for as long as the engine is.
    snapshot : int, optional
        Which state jobs see that do not say which; None for the newest one now.
    workers : int, optional
        Groups that are worked on at a time; None for 1 in this process, and for as many as
        there are processors in others.
    modules : sequence of str
        Modules that register operations.

    Returns
    -------
    Engine
        Best used with ``with``.

    Raises
    ------
    EngineError
        If there is no such engine.
    """
    load_operations(modules)
    number = store.manifest.snapshot(snapshot).id
    if kind == "inline":
        return InlineEngine(store, number, threads=workers or 1)
    if kind == "processes":
        return ProcessEngine(store, number, workers=workers, modules=modules)
    raise EngineError(f"no engine {kind!r}; there are {', '.join(KINDS)}")
