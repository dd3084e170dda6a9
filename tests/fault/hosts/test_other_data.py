"""Hosts that have another database, an older copy, or one that went its own way."""

from __future__ import annotations

import shutil

import pytest

from dvo.errors import ProtocolError, UnknownSnapshotError
from dvo.partition.store import Store
from tests.fault.hosts.asking import expect_all, open_hosts
from tests.hosts import Hosts, enter, serving
from tests.synth import add_images, filled_database, make_images

pytestmark = pytest.mark.timeout(60)


def test_a_copy_that_lags_behind(tmp_path, backups):
    catdir, copy = filled_database(tmp_path / "sky", n_images=3), tmp_path / "copy"
    shutil.copytree(catdir, copy)
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 60, 5)[3:])
    with (
        Hosts(catdir, 2, backups=backups, copies={2: copy}),
        Store(catdir) as store,
        open_hosts(store) as engine,
    ):
        if backups:
            expect_all(engine, store)
        else:
            with pytest.raises(UnknownSnapshotError):
                expect_all(engine, store)


def test_a_copy_that_went_its_own_way(tmp_path):
    """Both have a snapshot of that number, but not the same one."""
    catdir, copy = filled_database(tmp_path / "sky", n_images=3), tmp_path / "copy"
    shutil.copytree(catdir, copy)
    for path, seed in ((catdir, 5), (copy, 6)):
        with Store(path, writable=True) as store:
            add_images(store, make_images(seed, 60, 5)[3:])
    with (
        Hosts(catdir, 1, copies={1: copy}),
        Store(catdir) as store,
        open_hosts(store) as engine,
        pytest.raises(UnknownSnapshotError, match="not copies of one database"),
    ):
        expect_all(engine, store)


def test_another_database(store, tmp_path):
    with (
        Store(filled_database(tmp_path / "other", seed=2)) as other,
        serving(other, 1, "tcp://127.0.0.1:*") as server,
    ):
        enter(store, server.endpoint)
        with open_hosts(store) as engine, pytest.raises(ProtocolError, match="another database"):
            expect_all(engine, store)


def test_hosts_that_were_mixed_up(store):
    with serving(store, 2, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        with open_hosts(store) as engine, pytest.raises(ProtocolError, match="as host 2"):
            expect_all(engine, store)
