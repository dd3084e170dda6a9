"""Several clients at once, clients that die, and hosts that take nothing new or are not there."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from dvo.errors import ConfigError, HostLostError
from dvo.partition.hosts.calling import call_host
from tests.fault.hosts.asking import expect_all, open_hosts, until
from tests.hosts import Hosts, enter, free_port, serving

pytestmark = pytest.mark.timeout(60)


def test_several_clients_at_once(store):
    with Hosts(store.catdir, 2):
        failures: list[Exception] = []

        def ask() -> None:
            try:
                with open_hosts(store) as engine:
                    for _ in range(3):
                        expect_all(engine, store)
            except Exception as err:  # noqa: BLE001 - told at the end
                failures.append(err)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        assert not failures


CLIENT = """
import sys
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.operations import Job
from dvo.partition.store import Store
store = Store(sys.argv[1])
engine = HostEngine(store, store.view().snapshot.id)
for _ in engine.run(Job("test-big", {"n": 8_000_000}, [[k] for k in range(4)])):
    print("one", flush=True)
    sys.stdin.read()
"""


def test_a_client_that_dies(store):
    """What a host keeps for it is let go."""
    with serving(store, 1, "tcp://127.0.0.1:*", silence_s=4.0) as server:
        enter(store, server.endpoint)
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, store.catdir],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "one\n"
        finally:
            client.kill()
            client.communicate()
        serving_state = server._serving
        until(lambda: not serving_state._peers)
        assert serving_state.kept_bytes == 0
        with open_hosts(store) as engine:
            expect_all(engine, store)


def test_a_host_that_is_drained(store, backups):
    with serving(store, 1, "tcp://127.0.0.1:*") as one, serving(store, 2, "ipc://" + str(
        make_private(store) / "2.sock"
    )) as two:  # fmt: skip
        entries = enter(store, one.endpoint, two.endpoint, backups=backups)
        with open_hosts(store) as engine:
            expect_all(engine, store)
            call_host(entries[1], "drain", store.db_id)
            if backups:
                expect_all(engine, store)
            else:
                with pytest.raises(Exception, match="host 2 is being drained"):
                    expect_all(engine, store)


def make_private(store):
    folder = store.catdir / "hosts"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return folder


def test_nobody_is_there(store):
    enter(store, f"tcp://127.0.0.1:{free_port()}")
    with open_hosts(store) as engine, pytest.raises(HostLostError, match="is not running"):
        expect_all(engine, store)


def test_a_database_without_hosts(store):
    with pytest.raises(ConfigError, match="dvo host start-local"):
        open_hosts(store)


def test_what_to_do_is_said_once(store):
    """However many hosts are lost."""
    enter(store, *(f"tcp://127.0.0.1:{free_port()}" for _ in range(2)))
    with open_hosts(store) as engine, pytest.raises(HostLostError) as caught:
        expect_all(engine, store)
    assert str(caught.value).count("is not running") == 2
    assert str(caught.value).count("see: dvo host status, dvo host start-local") == 1
