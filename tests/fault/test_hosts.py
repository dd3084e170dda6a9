"""Partition hosts that die, stall, lie, or let nobody in: the right answer, or one clear error."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Self

import numpy as np
import pytest
import zmq

from dvo.errors import (
    ConfigError,
    HostLostError,
    JobTimeoutError,
    NotAuthorisedError,
    ProtocolError,
    ProtocolVersionError,
    UnknownSnapshotError,
)
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.host_table import HostEntry, write_host_table
from dvo.partition.hosts import wire
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.client import call_host
from dvo.partition.hosts.keys import Authority, KeyPair, make_keys
from dvo.partition.hosts.server import HostServer
from dvo.partition.hosts.wire import Message, from_frames, to_frames
from dvo.partition.operations import Job
from dvo.partition.store import Store
from tests.hosts import MODULES, Hosts, free_port
from tests.synth import add_images, filled_database, make_images

QUICK = Times(beat_s=0.1, dead_s=1.0)
ROWS = {"table": "measure", "columns": ["ra", "mag"]}

pytestmark = pytest.mark.timeout(60)


def until(is_true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end, "waited for half a minute"
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_stars=200, n_images=3)) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["backups", "no backups"])
def backups(request):
    return request.param


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


@contextmanager
def serving(store: Store, number: int, endpoint: str, **options) -> Iterator[HostServer]:
    """A host in a thread of this process."""
    with HostServer(store, number, endpoint, modules=MODULES, **options) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(30)
            assert not thread.is_alive()


def enter(store: Store, *endpoints: str, key: str = "", backups: bool = True) -> list[HostEntry]:
    """Write hosts into the HostTable, and assign catalogs to them."""
    entries = [HostEntry(k, "localhost", str(store.catdir), e, key)
               for k, e in enumerate(endpoints, 1)]  # fmt: skip
    write_host_table(store.catdir, entries)
    numbers = [e.number for e in entries]
    assign(store, numbers, backups=backups, rng=np.random.default_rng(1))
    return entries


# ---- hosts that die


def test_a_host_that_is_dead_at_the_start(store, backups):
    with Hosts(store.catdir, 2, backups=backups) as hosts, open_hosts(store) as engine:
        hosts[2].end()
        if backups:
            expect_all(engine, store)
        else:
            with pytest.raises(HostLostError, match=r"host 2 .* is not running"):
                expect_all(engine, store)


def test_a_host_that_dies_between_groups(store, backups):
    with Hosts(store.catdir, 2, backups=backups) as hosts, open_hosts(store) as engine:
        found = engine.run(Job("test-rows", ROWS, groups_of(store)))
        first = next(found).num_rows
        hosts[1].signal(signal.SIGKILL)
        hosts[2].signal(signal.SIGKILL) if not backups else None
        if backups:
            n_rows = first + sum(t.num_rows for t in found)
            assert n_rows == 5 * store.view().snapshot.counts["measures"]
        else:
            with pytest.raises(HostLostError, match=r"host \d .* (has hung up|is not running)"):
                list(found)


def test_a_host_that_dies_at_work(store, tmp_path, backups):
    """Killed in the middle of a group; the other one begins that group anew."""
    with Hosts(store.catdir, 2, backups=backups), open_hosts(store) as engine:
        groups = [[r] for r in store.view().regions()]
        job = Job("test-wait", {"folder": str(tmp_path)}, groups)
        found = engine.run(job)
        result = []
        thread = threading.Thread(target=lambda: result.append(outcome(found)), daemon=True)
        thread.start()
        until(lambda: any(tmp_path.glob("begun-*")))
        victim = next(tmp_path.glob("begun-*"))
        os.kill(int(victim.read_text()), signal.SIGKILL)
        (tmp_path / "go").touch()
        thread.join(30)
        if backups:
            assert result == [groups]
        else:
            assert isinstance(result[0], HostLostError)


def outcome(found):
    try:
        return [t["region"].to_pylist() for t in found]
    except HostLostError as err:
        return err


def test_a_host_that_dies_before_the_end_of_a_long_result(store, backups):
    """Some parts of it have arrived, others never will."""
    with Hosts(store.catdir, 2, backups=backups) as hosts, open_hosts(store) as engine:
        n = 8_000_000  # 16 parts
        regions = store.view().regions()[:1]
        (first,) = (h for h in hosts.entries if h.number == engine._hosts_of(regions)[0])
        attempts = engine._client.asking
        found = engine.run(Job("test-big", {"n": n}, [regions]))
        result: list[object] = []

        def ask() -> None:
            try:
                result.append(next(found).num_rows)
            except HostLostError as err:
                result.append(err)

        def has_some() -> bool:
            queries = list(attempts._queries.values())
            return any(a.n_whole > 1 for q in queries for a in list(q.attempts.values()))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        until(lambda: has_some() or result)
        hosts[first.number].signal(signal.SIGKILL)
        thread.join(50)
        if backups:
            assert result == [n]
        else:
            assert isinstance(result[0], HostLostError | int)


def test_a_host_that_comes_back_on_its_port(store):
    with Hosts(store.catdir, 1) as hosts, open_hosts(store) as engine:
        expect_all(engine, store)
        hosts.restart(1)
        expect_all(engine, store)


def test_a_host_that_is_restarted_under_way(store):
    """No other host has the regions: the client waits a little for it to come back."""
    with Hosts(store.catdir, 1) as hosts, open_hosts(store, times=Times(0.1, 20.0)) as engine:
        found = engine.run(Job("test-rows", ROWS, groups_of(store)))
        n_rows = next(found).num_rows
        hosts.restart(1)
        n_rows += sum(t.num_rows for t in found)
        assert n_rows == 5 * store.view().snapshot.counts["measures"]


# ---- hosts that do not answer


def test_a_host_that_is_stopped_by_a_signal(store, backups):
    with Hosts(store.catdir, 2, backups=backups) as hosts, open_hosts(store) as engine:
        expect_all(engine, store)
        hosts[1].signal(signal.SIGSTOP)
        try:
            if backups:
                expect_all(engine, store)
            else:
                with pytest.raises(HostLostError, match=r"host 1 .* silent for 1 s"):
                    expect_all(engine, store)
        finally:
            hosts[1].signal(signal.SIGCONT)
        if not backups:
            until(lambda: can_ask(engine, store))


def can_ask(engine, store) -> bool:
    try:
        expect_all(engine, store)
    except HostLostError:
        return False
    return True


def test_a_slow_host(store, tmp_path):
    """It is alive, so that only the time limit ends the waiting."""
    with Hosts(store.catdir, 1), open_hosts(store) as engine:
        job = Job("test-wait", {"folder": str(tmp_path)}, [[1]], timeout_s=1.5)
        with pytest.raises(JobTimeoutError, match=r"not done in 1\.5 s"):
            list(engine.run(job))
        (tmp_path / "go").touch()
        expect_all(engine, store)


def test_a_long_wait_is_no_silence(store, tmp_path):
    """A group that takes much longer than it takes to give up a dead host."""
    with Hosts(store.catdir, 1), open_hosts(store, times=Times(0.05, 0.4)) as engine:
        threading.Timer(2.0, (tmp_path / "go").touch).start()
        (found,) = engine.run(Job("test-wait", {"folder": str(tmp_path)}, [[1]]))
        assert found["region"].to_pylist() == [1]


def test_a_client_that_was_away(store):
    """Nobody looked at the messages for longer than a host may be silent."""
    with Hosts(store.catdir, 2), open_hosts(store, times=Times(0.05, 0.3)) as engine:
        found = engine.run(Job("test-rows", ROWS, groups_of(store)))
        n_rows = 0
        for k, table in enumerate(found):
            n_rows += table.num_rows
            if k in (1, 4):
                threading.Event().wait(0.7)
        assert n_rows == 5 * store.view().snapshot.counts["measures"]


def test_what_cannot_be_done_is_left_out_if_that_is_allowed(store):
    with (
        Hosts(store.catdir, 2, backups=False) as hosts,
        open_hosts(store, allow_partial=True) as engine,
    ):
        hosts[2].end()
        groups = [[r] for r in store.view().regions()]
        found = list(engine.run(Job("test-rows", ROWS, groups)))
        lost = {m.regions[0] for m in engine.missing}
        assert lost == {r for (r,) in groups if engine._hosts_of([r]) == [2]}
        assert len(found) == len(groups) - len(lost)
        assert 0 < len(lost) < len(groups)
        assert all("host 2" in m.reason for m in engine.missing)


# ---- hosts that have something else


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


class Liar:
    """Stands between a client and a host, and changes what the host says."""

    def __init__(self, endpoint: str, change: Callable[[list[bytes], int], list[list[bytes]]]):
        self.context = zmq.Context()
        self.front = self.context.socket(zmq.ROUTER)
        self.back = self.context.socket(zmq.DEALER)
        for socket in (self.front, self.back):
            socket.linger, socket.rcvtimeo = 0, 1000
        self.back.connect(endpoint)
        port = self.front.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.change, self.n = change, 0
        self.is_open = True
        self.thread = threading.Thread(target=self.pass_on, daemon=True)
        self.thread.start()

    def pass_on(self) -> None:
        poller, client = zmq.Poller(), b""
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        while self.is_open:
            ready = dict(poller.poll(20))
            if self.front in ready:
                client, *frames = self.front.recv_multipart()
                self.back.send_multipart(frames)
            if self.back in ready:
                frames = self.back.recv_multipart()
                for changed in self.change(frames, self.n):
                    self.front.send_multipart([client, *changed])
                self.n += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_open = False
        self.thread.join(30)
        self.context.destroy(linger=0)


def part_of(frames: list[bytes]) -> Message | None:
    message = from_frames(frames)
    return message if message.kind == "part" else None


def flip(frames: list[bytes], _: int) -> list[list[bytes]]:
    """One bit of every table."""
    if part_of(frames) is None:
        return [frames]
    data = bytearray(frames[2])
    data[len(data) // 2] ^= 4
    return [[*frames[:2], bytes(data)]]


def cut(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames] if part_of(frames) is None else [[*frames[:2], frames[2][:-8]]]


def age(frames: list[bytes], _: int) -> list[list[bytes]]:
    """All tables are said to be of another snapshot."""
    message = part_of(frames)
    if message is None:
        return [frames]
    header = {**message.header, "snapshot": "00000001-0000"}
    return [[bytes(f) for f in to_frames(replace(message, header=header))]]


def miscount(frames: list[bytes], _: int) -> list[list[bytes]]:
    message = from_frames(frames)
    if message.kind != "end":
        return [frames]
    header = {**message.header, "rows": message.header["rows"] + 1}
    return [[bytes(f) for f in to_frames(replace(message, header=header))]]


def swallow(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames] if from_frames(frames).kind != "end" else []


def double(frames: list[bytes], _: int) -> list[list[bytes]]:
    return [frames, frames]


def replaying() -> Callable[[list[bytes], int], list[list[bytes]]]:
    """Every table is followed by all that came before it."""
    seen: list[list[bytes]] = []

    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        old = list(seen)
        if part_of(frames) is not None:
            seen.append(frames)
        return [*old, frames]

    return change


def turning() -> Callable[[list[bytes], int], list[list[bytes]]]:
    """Answers come in pairs, the second before the first."""
    held: list[list[bytes]] = []

    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        if from_frames(frames).kind in ("welcome", "pong"):
            return [*[held.pop() for _ in list(held)], frames]
        held.append(frames)
        return [held.pop() for _ in list(held)] if len(held) == 2 else []

    return change


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (flip, "host 1 .* damaged"),
        (cut, "host 1 .* answer was lost"),
        (age, "host 1 .* answered of snapshot 00000001-0000"),
        (miscount, "host 1 .* but counts"),
        (swallow, "host 1 .* answer was lost"),
        (double, None),
        (replaying(), None),
        (turning(), None),
    ],
    ids=["damaged", "cut", "other snapshot", "miscounted", "no end", "doubled", "replayed",
         "out of order"],
)  # fmt: skip
def test_a_line_that_lies(store, change, match):
    with (
        serving(store, 1, "tcp://127.0.0.1:*") as server,
        Liar(server.endpoint, change) as liar,
    ):
        enter(store, liar.endpoint)
        with open_hosts(store, times=Times(0.05, 5.0)) as engine:
            if match is None:
                expect_all(engine, store)
            else:
                with pytest.raises((ProtocolError, HostLostError), match=match):
                    expect_all(engine, store)


# ---- who may come in


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
    from dvo.partition.host_table import get_host

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
            call_host(entry_of(store), "drain", keys=guarded[name])
    assert call_host(entry_of(store), "drain", keys=guarded["ada"]).header["state"] == "draining"


@pytest.mark.parametrize("endpoint", ["tcp://*:0", "tcp://0.0.0.0:*", "tcp://[::]:*"])
def test_no_keys_off_this_machine(store, endpoint):
    with pytest.raises(ConfigError, match="takes keys"):
        HostServer(store, 1, endpoint, modules=MODULES)


def test_a_port_of_this_machine_is_for_reading(store):
    """Anybody who works here could connect to it."""
    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        entry = HostEntry(1, "localhost", "/", server.endpoint)
        with pytest.raises(NotAuthorisedError):
            call_host(entry, "stop")


def test_sockets_that_others_can_reach(store, tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        HostServer(store, 1, f"ipc://{tmp_path}/open/1.sock", modules=MODULES)


# ---- messages that do not fit


@contextmanager
def raw(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.rcvtimeo = 0, 3000
    try:
        socket.connect(endpoint)
        yield socket
    finally:
        context.destroy(linger=0)


def test_messages_of_another_version(store):
    with serving(store, 1, "tcp://127.0.0.1:*") as server, raw(server.endpoint) as socket:
        socket.send_multipart(to_frames(Message("hello"), version=2))
        answer = from_frames(socket.recv_multipart())
        assert answer.header["code"] == "protocol-version"
        assert "use the same version of dvo everywhere" in answer.header["message"]


def test_a_host_of_another_version(store):
    def change(frames: list[bytes], _: int) -> list[list[bytes]]:
        return [[bytes(f) for f in to_frames(from_frames(frames), version=2)]]

    with (
        serving(store, 1, "tcp://127.0.0.1:*") as server,
        Liar(server.endpoint, change) as liar,
    ):
        enter(store, liar.endpoint)
        with open_hosts(store) as engine, pytest.raises(ProtocolVersionError, match="host 1"):
            expect_all(engine, store)


def test_noise_and_messages_that_are_too_large(store, monkeypatch):
    """The host goes on serving others."""
    monkeypatch.setattr("dvo.partition.hosts.server.MAX_BYTES", 1 << 20)
    with serving(store, 1, "tcp://127.0.0.1:*") as server, raw(server.endpoint) as socket:
        for frames in ([b""], [b"x"], [b"DVO\x01", b"{}"], [b"x" * (2 << 20)], [b"a"] * 900):
            socket.send_multipart(frames)
        for kind in ("run", "job", "more", "cancel", "ping", "nonsense"):
            socket.send_multipart(to_frames(Message(kind, {"query": 7, "seq": "x"})))
        enter(store, server.endpoint)
        with open_hosts(store) as engine:
            expect_all(engine, store)


def test_an_upload_that_is_too_large(store, monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr(wire, "MAX_BYTES", 1 << 20)
    with serving(store, 1, "tcp://127.0.0.1:*") as server:
        enter(store, server.endpoint)
        table = pa.table({"x": np.zeros(200_000)})
        with open_hosts(store) as engine:
            with pytest.raises(ProtocolError, match="send it in pieces"):
                list(engine.run(Job("test-echo", {}, [[1]], {"big": table})))
            expect_all(engine, store)


# ---- several clients, and clients that die


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
            call_host(entries[1], "drain")
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


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(KeyPair("p" * 40, "s3cret"))
