"""Asking hosts for all rows of a database, and comparing with what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable

from dvo.partition.engines.hosts import HostEngine
from dvo.partition.hosts.asking import Times
from dvo.partition.operations import Job

QUICK = Times(beat_s=0.1, dead_s=1.0)
"""Times after which a host is given up: short ones."""

ROWS = {"table": "measure", "columns": ["ra", "mag"]}


def until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end, "waited for half a minute"
        time.sleep(0.01)


def open_hosts(store, **options) -> HostEngine:
    options.setdefault("times", QUICK)
    return HostEngine(store, store.view().snapshot.id, **options)


def groups_of(store) -> list[list[int]]:
    """Every region many times, so that all hosts have something to do for a while."""
    return [[r] for r in store.view().regions() * 5]


def expect_all(engine, store) -> None:
    """Ask for all, and compare with what is stored."""
    groups, view = groups_of(store), store.view()
    found = list(engine.run(Job("test-rows", ROWS, groups)))
    assert [t.num_rows for t in found] == [view.catalog(g[0]).n_measure for g in groups]
