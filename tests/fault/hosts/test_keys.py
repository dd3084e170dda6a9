"""Who may come in, and what for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import zmq
from click.testing import CliRunner

from dvo.cli.main import dvo_command
from dvo.errors import ConfigError, HostLostError, NotAuthorisedError
from dvo.partition.host_table import HostEntry, get_host, write_host_table
from dvo.partition.hosts.calling import call_host
from dvo.partition.hosts.keys import Authority, KeyPair, make_keys
from dvo.partition.hosts.server import HostServer
from dvo.partition.operations import Job
from tests.fault.hosts.asking import expect_all, open_hosts
from tests.hosts import MODULES, enter, serving

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def guarded(store, tmp_path):
    """A host with keys, and those of Ada (admin), Ian (ingest) and Rose (read)."""
    keys = {name: make_keys(tmp_path / name) for name in ("host", "ada", "ian", "rose", "eve")}
    path = tmp_path / "authorised"
    roles = (("admin", "ada"), ("ingest", "ian"), ("read", "rose"))
    path.write_text("".join(f"{role} {keys[n].public} {n}\n" for role, n in roles))
    path.chmod(0o600)
    options = {"keys": keys["host"], "authority": Authority(path)}
    with serving(store, 1, "tcp://127.0.0.1:*", **options) as server:
        enter(store, server.endpoint, key=keys["host"].public)
        yield keys


def test_keys_that_are_known(store, guarded):
    with open_hosts(store, keys=guarded["rose"]) as engine:
        expect_all(engine, store)


def test_keys_that_are_not_known(store, guarded):
    with (
        open_hosts(store, keys=guarded["eve"]) as engine,
        pytest.raises(NotAuthorisedError, match=r"host 1 .* does not know this key"),
    ):
        expect_all(engine, store)


def test_no_key(store, guarded):
    with (
        open_hosts(store) as engine,
        pytest.raises(ConfigError, match=r"host 1 .* wants a key;.*DVO_KEY"),
    ):
        expect_all(engine, store)


def entry_of(store) -> HostEntry:
    return get_host(store.catdir, 1)


def test_a_plain_client_at_a_host_with_keys(store, guarded):
    write_host_table(store.catdir, [replace(entry_of(store), key="")])
    with open_hosts(store) as engine, pytest.raises(NotAuthorisedError, match="about keys"):
        expect_all(engine, store)


def test_a_host_that_is_not_who_it_should_be(store, guarded):
    other = zmq.curve_keypair()[0].decode()
    write_host_table(store.catdir, [replace(entry_of(store), key=other)])
    with (
        open_hosts(store, keys=guarded["rose"]) as engine,
        pytest.raises((NotAuthorisedError, HostLostError), match="host 1"),
    ):
        expect_all(engine, store)


def test_a_client_with_keys_at_a_plain_host(store, tmp_path):
    keys = make_keys(tmp_path / "rose")
    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint, key=keys.public)
        with (
            open_hosts(store, keys=keys) as engine,
            pytest.raises((NotAuthorisedError, HostLostError), match="host 1"),
        ):
            expect_all(engine, store)


def test_what_each_role_may_do(store, guarded):
    secret = Job("test-secret", {}, [[1]])
    for name, may in (("rose", False), ("ian", True), ("ada", True)):
        with open_hosts(store, keys=guarded[name]) as engine:
            if may:
                assert len(list(engine.run(secret))) == 1
            else:
                with pytest.raises(NotAuthorisedError, match="needs a key of role ingest"):
                    list(engine.run(secret))
                expect_all(engine, store)
    for name in ("rose", "ian"):
        with pytest.raises(NotAuthorisedError, match="needs a key of role admin"):
            call_host(entry_of(store), "drain", store.db_id, keys=guarded[name])
    assert (
        call_host(entry_of(store), "drain", store.db_id, keys=guarded["ada"]).header["state"]
        == "draining"
    )


@pytest.mark.parametrize("endpoint", ["tcp://*:0", "tcp://0.0.0.0:*", "tcp://[::]:*"])
def test_no_keys_off_this_machine(store, endpoint):
    with pytest.raises(ConfigError, match="takes keys"):
        HostServer(store, 1, endpoint, modules=MODULES)


@pytest.mark.parametrize(
    "endpoint", ["foo", "udp://127.0.0.1:5", "tcp://127.0.0.1", "tcp://", "ipc://", "ipc://@dvo"]
)
def test_what_is_no_endpoint(store, endpoint, tmp_path, monkeypatch):
    """A socket without a file is open to all who work here, and its role would be admin."""
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"give tcp://MACHINE:PORT or ipc://PATH"):
        HostServer(store, 1, endpoint, modules=MODULES)
    with pytest.raises(ConfigError, match=r"host 1: .* give tcp://MACHINE:PORT or ipc://PATH"):
        HostEntry(1, "localhost", "/", endpoint)


def test_a_socket_whose_path_is_too_long():
    with pytest.raises(ConfigError, match="give a shorter one"):
        HostEntry(1, "localhost", "/", f"ipc:///{'a' * 200}")


def test_hosts_of_a_folder_that_is_not_there(tmp_path):
    found = CliRunner().invoke(dvo_command, ["host", "stop", str(tmp_path / "nosuch")])
    assert found.exit_code != 0
    assert "no host was running" not in found.output


def test_a_port_of_this_machine_is_for_reading(store):
    """Anybody who works here could connect to it."""
    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        entry = HostEntry(1, "localhost", str(store.catdir), server.endpoint)
        with pytest.raises(NotAuthorisedError):
            call_host(entry, "stop", store.db_id)


def test_sockets_that_others_can_reach(store, tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        HostServer(store, 1, f"ipc://{tmp_path}/open/1.sock", modules=MODULES)


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(KeyPair("p" * 40, "s3cret"))


def test_a_list_that_breaks_while_a_host_serves(store, guarded, tmp_path, caplog):
    """New connections are refused, whoever they are of; the log says which line to mend."""
    path = tmp_path / "authorised"
    good = path.read_text()
    with open_hosts(store, keys=guarded["rose"]) as engine:
        expect_all(engine, store)
        path.write_text(f"{good}admin {guarded['eve'].public[:-1]} eve\n")
        expect_all(engine, store)  # it has been let in
        for name in ("ada", "eve"):
            with pytest.raises(NotAuthorisedError):
                call_host(entry_of(store), "drain", store.db_id, keys=guarded[name])
        assert "authorised, line 4: " in caplog.text
        path.write_text(good)
    assert call_host(entry_of(store), "hello", store.db_id, keys=guarded["ada"])
