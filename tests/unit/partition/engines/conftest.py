"""A database, and every engine on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dvo.partition.engines import Engine, open_engine
from dvo.partition.store import Store
from tests.hosts import MODULES, Hosts
from tests.synth import filled_database

ENGINES = {
    "inline": ("inline", 1),
    "inline, 3 threads": ("inline", 3),
    "processes, 1": ("processes", 1),
    "processes, 2": ("processes", 2),
    "1 host": ("hosts", 1),
    "3 hosts": ("hosts", 3),
    "Parsl": ("parsl", 2),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("engines")
    with Store(filled_database(folder / "sky", n_stars=200, n_images=3)) as found:
        yield found


@pytest.fixture(
    scope="module",
    params=[pytest.param(e, marks=[pytest.mark.slow] if e == "Parsl" else []) for e in ENGINES],
)
def engine(request: pytest.FixtureRequest, store: Store) -> Iterator[Engine]:
    """Each engine, one after the other; open for all tests of a module."""
    kind, workers = ENGINES[request.param]
    with ExitStack() as stack:
        if kind == "hosts":
            stack.enter_context(Hosts(store.catdir, workers))
        yield stack.enter_context(open_engine(kind, store, workers=workers, modules=MODULES))
