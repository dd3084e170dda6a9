"""What a host reads for others: databases below the folders that it was told, and no more."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest

from dvo.errors import NotAuthorisedError
from dvo.merge.merge import MergeOptions, merge
from dvo.partition.hosts.keys import Authority, make_keys
from dvo.partition.operations import Job, Work
from dvo.partition.store import Store
from dvo.query import mapping
from tests.fault.hosts.asking import open_hosts
from tests.hosts import enter, serving
from tests.synth import (
    add_images,
    assert_same,
    contents,
    filled_database,
    make_database,
    make_images,
)

pytestmark = pytest.mark.timeout(100)


def filled_source(path):
    path.parent.mkdir(exist_ok=True)
    with Store(make_database(path, 3), writable=True) as store:
        add_images(store, make_images(1, 60, 2, first=50))
    return path


@pytest.fixture
def keys(tmp_path):
    """A host's and those of Ian, who may write, and Ada, who may drain and stop hosts, too."""
    found = {name: make_keys(tmp_path / name) for name in ("host", "ian", "ada")}
    path = tmp_path / "authorised"
    path.write_text(f"ingest {found['ian'].public} ian\nadmin {found['ada'].public} ada\n")
    return found


@contextmanager
def writing(catdir, tmp_path, keys, name, sources):
    options = {"keys": keys["host"], "authority": Authority(tmp_path / "authorised")}
    with (
        Store(catdir) as served,
        serving(served, 1, "tcp://127.0.0.1:*", sources=sources, **options) as server,
    ):
        enter(served, server.endpoint, key=keys["host"].public)
        with (
            Store(catdir, writable=True) as store,
            open_hosts(store, keys=keys[name]) as engine,
        ):
            yield store, engine


@pytest.mark.parametrize("name", ["ian", "ada"])
@pytest.mark.parametrize("folders", [[], ["shared/deeper"], ["share"]], ids=str)
def test_a_source_that_the_host_was_not_told(tmp_path, keys, name, folders):
    catdir = filled_database(tmp_path / "sky", n_images=2)
    source = filled_source(tmp_path / "shared" / "night")
    sources = [tmp_path / folder for folder in folders]
    with (
        Store(source) as other,
        writing(catdir, tmp_path, keys, name, sources) as (store, engine),
    ):
        before = contents(store.view())
        with pytest.raises(NotAuthorisedError, match="dvo host serve --sources FOLDER"):
            merge(store, other, MergeOptions(), engine=engine)
        assert_same(contents(store.view()), before)


def test_a_source_in_a_folder_that_the_host_was_told(tmp_path, keys):
    catdir = filled_database(tmp_path / "sky", n_images=2)
    source = filled_source(tmp_path / "shared" / "night")
    (tmp_path / "other name").symlink_to(tmp_path / "shared")
    with (
        Store(source) as other,
        writing(catdir, tmp_path, keys, "ian", [tmp_path / "other name"]) as (store, engine),
    ):
        n_before = store.view().snapshot.counts["measures"]
        merge(store, other, MergeOptions(), engine=engine)
        n_added = other.view().snapshot.counts["measures"]
        assert n_added > 0
        assert store.view().snapshot.counts["measures"] == n_before + n_added


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in" / "night").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "way out").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "way round").symlink_to(tmp_path / "in" / "night")
    return Work("host 1", sources=(tmp_path / "in",))


@pytest.mark.parametrize(
    "name", ["out", "in/../out", "in/way out", "in/way out/x", "nowhere", "inside", "in/../in2", ""]
)
def test_ways_out(tmp_path, work, name):
    """Whether anything is there is not told."""
    with pytest.raises(NotAuthorisedError, match="host 1 may not read"):
        work.find_source(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["night", "./night", "in/night", "", "night\x00"])
def test_names_that_are_not_absolute(tmp_path, work, monkeypatch, name):
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(NotAuthorisedError):
        work.find_source(name)


@pytest.mark.parametrize("name", ["in", "in/night", "in/way round", "out/../in/night", "in/new"])
def test_ways_in(tmp_path, work, name):
    assert work.find_source(f"{tmp_path}/{name}").is_relative_to(tmp_path / "in")


def test_whoever_works_for_himself(tmp_path):
    assert Work().find_source(f"{tmp_path}/x") == tmp_path / "x"


def test_functions_of_a_client_are_for_engines_of_his_machine(store, tmp_path):
    """`db.map` has workers import what a request names: no host does that, for any role."""
    (tmp_path / "sockets").mkdir(mode=0o700)
    (tmp_path / "theirs.py").write_text("raise SystemExit('imported')")
    request = {"path": [str(tmp_path)], "module": "theirs", "name": "f", "scan": {}}
    with serving(store, 1, f"ipc://{tmp_path}/sockets/1") as server:
        enter(store, server.endpoint)
        with (
            open_hosts(store) as engine,
            pytest.raises(NotAuthorisedError, match=f"no partition host does '{mapping.MAP}'"),
        ):
            list(engine.run(Job(mapping.MAP, request, [[1]])))
    assert str(tmp_path) not in sys.path
