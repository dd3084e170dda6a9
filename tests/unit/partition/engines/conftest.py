"""A database, and every engine on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dvo.partition.engines import Engine, open_engine
from dvo.partition.store import Store
from tests.synth import filled_database

MODULES = ("tests.engine_operations",)
ENGINES = {
    "inline": ("inline", 1),
    "inline, 3 threads": ("inline", 3),
    "processes, 1": ("processes", 1),
    "processes, 2": ("processes", 2),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("engines")
    with Store(filled_database(folder / "sky", n_stars=200, n_images=3)) as found:
        yield found


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, store: Store) -> Iterator[Engine]:
    """Each engine, one after the other; open for all tests of a module."""
    kind, workers = ENGINES[request.param]
    with open_engine(kind, store, workers=workers, modules=MODULES) as found:
        yield found
