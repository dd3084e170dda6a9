"""What every engine writes alike: the same rows in the same order, the same ids, one commit."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import pytest

from dvo.errors import UnknownOperationError
from dvo.partition import compact, deal
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.deal import deal_out
from dvo.partition.engines import open_engine
from dvo.partition.layout import STAGED
from dvo.partition.operations import load_operations
from dvo.partition.partition import Partition
from dvo.partition.store import Store
from dvo.partition.write_operations import write_groups
from tests.hosts import MODULES, Hosts
from tests.synth import add_images, assert_same, contents, make_database, make_images
from tests.synth_satellites import rows_by_object, with_satellites
from tests.unit.partition.engines.conftest import ENGINES

OWN_FILE_ROWS = 40
"""Some of the catalogs have more measures, some have fewer."""


@pytest.fixture(scope="module")
def loose(tmp_path_factory):
    """A database as ingest leaves it: rows of several commits, satellite rows too."""
    catdir = make_database(tmp_path_factory.mktemp("writes") / "sky")
    images = [with_satellites(image, k) for k, image in enumerate(make_images(3, 60, 4))]
    with Store(catdir, writable=True) as store:
        add_images(store, images, batch_rows=1)
    return catdir


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    for module in (compact, deal):
        monkeypatch.setattr(module, "GROUP_ROWS", 50)


def said(store):
    """All that the newest snapshot says."""
    view = store.view()
    stars = {s: rows_by_object(view, s) for s in compact.TABLES[3:]}
    return contents(view) | {s.name: sorted(rows) for s, rows in stars.items()}


def work(store, engine):
    """Overlay, compact, deal all out to a coarser partition; gives what is said after each."""
    out = []
    with store.begin("test", {}) as change:
        groups = [([r], 1) for r in store.view().regions()]
        request = {"shift": 0.5}
        facts = write_groups(change, "test-overlay", request, groups, engine=engine)
        assert facts == [{"n": 1}] * len(groups)
        change.commit()
    out.append(said(store))
    assert resort(store, engine=engine, own_file_rows=OWN_FILE_ROWS) >= 4
    out.append(said(store))
    view = store.view()
    deal_out(store, view, Partition(view.sky, 3), "relevel", {}, engine=engine,
             own_file_rows=OWN_FILE_ROWS)  # fmt: skip
    return [*out, said(store)]


@pytest.fixture(scope="module")
def expected(loose, tmp_path_factory):
    """What this process makes of it without an engine."""
    catdir = shutil.copytree(loose, tmp_path_factory.mktemp("expected") / "sky")
    load_operations(MODULES)
    with pytest.MonkeyPatch.context() as patch, Store(catdir, writable=True) as store:
        for module in (compact, deal):
            patch.setattr(module, "GROUP_ROWS", 50)
        return work(store, None)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_writes_what_this_process_writes(name, loose, expected, tmp_path):
    kind, workers = ENGINES[name]
    catdir = shutil.copytree(loose, tmp_path / "sky")
    with ExitStack() as stack:
        if kind == "hosts":
            stack.enter_context(Hosts(catdir, workers, private=True))
        store = stack.enter_context(Store(catdir, writable=True))
        before = store.view().snapshot.id
        engine = open_engine(kind, store, workers=workers, modules=MODULES)
        found = work(store, stack.enter_context(engine))
        assert store.view().snapshot.id == before + 3
    for one, two in zip(found, expected, strict=True):
        assert_same(one, two)
    assert all((t["airmass"] % 1 == 0.5).all() for k, t in found[0].items() if "Measure" in k)
    assert check(catdir, deep=True).ok
    assert not any((catdir / STAGED).iterdir())


def test_an_operation_that_there_is_not(loose, tmp_path):
    catdir = shutil.copytree(loose, tmp_path / "sky")
    with Store(catdir, writable=True) as store:
        groups = [(store.view().regions(), 1)]
        for engine in (None, open_engine("inline", store)):
            with store.begin("test", {}) as change, pytest.raises(UnknownOperationError):
                write_groups(change, "overlya", {}, groups, engine=engine)
