"""Choosing an engine by its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dvo.errors import EngineError
from dvo.partition.engines.engine import Engine
from dvo.partition.engines.inline import InlineEngine
from dvo.partition.engines.processes import ProcessEngine
from dvo.partition.operations import MODULES, load_operations
from dvo.partition.store import Store

if TYPE_CHECKING:
    from dvo.partition.hosts.keys import KeyPair

__all__ = ["KINDS", "open_engine"]

KINDS = ("inline", "processes", "hosts", "parsl")
"""Names of the engines."""


def open_engine(
    kind: str,
    store: Store,
    *,
    snapshot: int | None = None,
    workers: int | None = None,
    modules: Sequence[str] = MODULES,
    keys: KeyPair | None = None,
) -> Engine:
    """Open an engine.

    Parameters
    ----------
    kind : {'inline', 'processes', 'hosts', 'parsl'}
        In this process, in a pool of others, in the partition hosts of the database, or by
        Parsl: on a cluster with Slurm, else in processes of this machine.
    store : Store
        The database; keep it open for as long as the engine is.
    snapshot : int, optional
        Which state jobs see that do not say which; None for the newest one now.
    workers : int, optional
        Groups that are worked on at a time; None for as many as there are processors.
    modules : sequence of str
        Modules that register operations; hosts have their own list.
    keys : KeyPair, optional
        Keys for hosts that want some; None for those that ``DVO_KEY`` names.

    Returns
    -------
    Engine
        Best used with ``with``.

    Raises
    ------
    EngineError
        If there is no such engine, or it is not installed.
    ConfigError
        If the database has no hosts, or one of them wants keys.
    """
    number = store.manifest.snapshot(snapshot).id
    if kind == "hosts":
        # Most queries need no sockets, and ZeroMQ takes a while to load.
        from dvo.partition.engines.hosts import HostEngine  # noqa: PLC0415

        return HostEngine(store, number, keys=keys)
    if kind == "parsl":
        if find_spec("parsl") is None:
            raise EngineError("Parsl is not installed; run: pip install 'dvo[cluster]'")
        from dvo.partition.engines.parsl_engine import ParslEngine  # noqa: PLC0415

        return ParslEngine(store, number, workers=workers, modules=modules)
    if kind == "inline":
        load_operations(modules)
        return InlineEngine(store, number, threads=workers or os.cpu_count() or 1)
    if kind == "processes":
        return ProcessEngine(store, number, workers=workers, modules=modules)
    raise EngineError(f"no engine {kind!r}; there are {', '.join(KINDS)}")
