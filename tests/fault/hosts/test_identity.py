"""Whoever answers at an address is asked who it is before it is believed, or told anything."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
import zmq
from click.testing import CliRunner

from dvo.cli.main import dvo_command
from dvo.errors import ConfigError, HostLostError, NotAuthorisedError, ProtocolError
from dvo.partition.host_table import HostEntry, read_host_table, write_host_table
from dvo.partition.hosts.calling import call_host, call_hosts
from dvo.partition.hosts.local import start_local, stop_local
from dvo.partition.hosts.server import HostServer
from dvo.partition.hosts.status import look_at_hosts
from dvo.partition.hosts.wire import Message, from_frames, to_frames
from dvo.partition.layout import HOSTS
from dvo.partition.store import Store
from tests.fault.hosts.asking import until
from tests.hosts import MODULES, enter, free_port, serving
from tests.synth import filled_database

pytestmark = pytest.mark.timeout(100)


@pytest.fixture
def sockets(tmp_path):
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def other(tmp_path):
    """Another database."""
    with Store(filled_database(tmp_path / "other", n_images=2)) as found:
        yield found


def run(*words):
    return CliRunner().invoke(dvo_command, ["host", *map(str, words)])


def expect_untouched(store, server, match):
    """Nothing is said to whoever answers but hello, and it counts as down."""
    (state,) = look_at_hosts(store.catdir)
    assert match in state.problem
    assert not state.facts
    (entry,) = read_host_table(store.catdir)
    for word in ("drain", "stop"):
        with pytest.raises(ProtocolError, match=match):
            call_host(entry, word, store.db_id)
    for words in (("drain", store.catdir, 1), ("stop", store.catdir, "--number", 1)):
        assert isinstance(run(*words).exception, ProtocolError)
    assert not server._serving.is_draining
    assert not server._serving.is_stopping
    assert run("status", store.catdir).exit_code == 3


def test_a_host_of_another_database(store, other, sockets):
    with serving(other, 1, f"ipc://{sockets}/1") as server:
        enter(store, server.endpoint)
        expect_untouched(store, server, "of another database")


def test_a_host_of_another_number(store, sockets):
    with serving(store, 2, f"ipc://{sockets}/1") as server:
        enter(store, server.endpoint)
        expect_untouched(store, server, "answers as host 2")


def test_a_host_of_a_copy_that_the_table_does_not_name(store, tmp_path, sockets):
    """Copies have the same identifier."""
    shutil.copytree(store.catdir, tmp_path / "copy")
    with Store(tmp_path / "copy") as copy, serving(copy, 1, f"ipc://{sockets}/1") as server:
        (entry,) = enter(store, server.endpoint)
        expect_untouched(store, server, "/copy")
        write_host_table(store.catdir, [replace(entry, path=str(tmp_path / "copy"))])
        assert [s.problem for s in look_at_hosts(store.catdir)] == [""]


def test_other_names_of_the_folder(store, tmp_path, sockets):
    (tmp_path / "link").symlink_to(store.catdir)
    with serving(store, 1, f"ipc://{sockets}/1") as server:
        (entry,) = enter(store, server.endpoint)
        for path in (tmp_path / "link", store.catdir / "..", f"{store.catdir}/"):
            write_host_table(store.catdir, [replace(entry, path=str(path))])
            (state,) = look_at_hosts(store.catdir)
            assert bool(state.problem) == str(path).endswith("..")


def test_a_host_that_comes_between(store, other, sockets):
    """Another host listens there by the time that it is told to stop: it looks, too."""
    with serving(other, 1, f"ipc://{sockets}/1") as server:
        context = zmq.Context()
        try:
            socket = context.socket(zmq.DEALER)
            socket.linger, socket.rcvtimeo = 0, 3000
            socket.connect(server.endpoint)
            wrong = ({}, {"db": store.db_id, "host": 1}, {"db": other.db_id, "host": 2})
            for word in ("drain", "stop"):
                for header in wrong:
                    socket.send_multipart(to_frames(Message(word, header)))
                    answer = from_frames(socket.recv_multipart())
                    assert answer.header["code"] == "protocol"
        finally:
            context.destroy(linger=0)
        assert not server._serving.is_draining
        assert not server._serving.is_stopping


@contextmanager
def impostor(endpoint, answers):
    """Somebody who answers whatever comes with messages of his own."""
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    if endpoint.endswith("*"):
        endpoint = f"{endpoint[:-2]}:{socket.bind_to_random_port(endpoint[:-2])}"
    else:
        socket.bind(endpoint)
    heard, is_open = [], True

    def answer() -> None:
        while is_open:
            if socket.poll(20):
                peer, *frames = socket.recv_multipart()
                heard.append(from_frames(frames).kind)
                socket.send_multipart([peer, *to_frames(answers(heard[-1]))])

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield endpoint, heard
    finally:
        is_open = False
        thread.join(30)
        context.destroy(linger=0)


def facts_of(store):
    return {
        "host": 1, "db": store.db_id, "state": "serving", "clients": 0, "groups": 0,
        "kept_bytes": 0, "pid": 1, "since": "2026-01-01T00:00:00+00:00",
        "paths": [str(store.catdir)],
    }  # fmt: skip


@pytest.mark.parametrize("without", ["host", "db", "state", "clients", "kept_bytes", "paths"])
@pytest.mark.parametrize("value", [None, "\x1b[2J", []])
def test_answers_that_are_none(store, without, value):
    """One clear error, and nothing of it reaches the terminal as it is."""
    header = facts_of(store) | {without: value}
    if value is None:
        del header[without]
    with impostor("tcp://127.0.0.1:*", lambda _: Message("welcome", header)) as (endpoint, heard):
        enter(store, endpoint)
        assert run("status", store.catdir).exit_code == 3
        assert "\x1b" not in run("status", store.catdir).output
        assert isinstance(run("stop", store.catdir, "--number", 1).exception, ProtocolError)
    assert set(heard) <= {"hello", "bye"}


def test_an_answer_of_another_kind(store):
    with impostor("tcp://127.0.0.1:*", lambda _: Message("pong", facts_of(store))) as (where, _):
        (entry,) = enter(store, where)
        with pytest.raises(ProtocolError, match="answers 'pong' to a greeting"):
            call_host(entry, "stop", store.db_id)


def test_a_socket_that_others_could_have_made(store, sockets):
    """A Unix socket has no keys: who could make it decides whether it is believed."""
    with impostor(f"ipc://{sockets}/1", lambda _: Message("welcome", facts_of(store))) as (
        endpoint, heard,
    ):  # fmt: skip
        entry = HostEntry(1, "localhost", str(store.catdir), endpoint)
        assert call_host(entry, "stop", store.db_id).kind == "welcome"
        heard.clear()
        sockets.chmod(0o777)
        with pytest.raises(NotAuthorisedError, match="others can put sockets"):
            call_host(entry, "stop", store.db_id)
    assert set(heard) <= {"bye"}  # of the first


def test_all_are_asked_at_once(store, monkeypatch):
    """One deadline for all: twenty that are silent cost no more than one."""
    waits = []
    poll = zmq.Poller.poll

    def look(poller, timeout=None):
        if len(poller.sockets) > 20:  # not one of a host, which waits for its own
            waits.append(timeout)
        return poll(poller, timeout)

    silent = zmq.Context()
    try:
        sockets = [silent.socket(zmq.ROUTER) for _ in range(20)]
        ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in sockets]
        with serving(store, 21, "tcp://127.0.0.1:*") as server:
            where = [f"tcp://127.0.0.1:{port}" for port in ports] + [server.endpoint]
            entries = [HostEntry(k, "here", str(store.catdir), w) for k, w in enumerate(where, 1)]
            with monkeypatch.context() as patch:
                patch.setattr("dvo.partition.hosts.calling.zmq.Poller.poll", look)
                found = call_hosts(entries, "hello", store.db_id, timeout_s=1.0)
    finally:
        silent.destroy(linger=0)
    assert all(isinstance(f, HostLostError) for f in found[:20])
    assert found[20].header["host"] == 21
    # Each wait is for what is left of the one second: none begins it anew.
    assert waits == sorted(waits, reverse=True)
    assert max(waits) <= 1001


def test_more_hosts_than_zeromq_has_sockets(store):
    """ZeroMQ stops at 1023 sockets if it is not told otherwise."""
    port = free_port()
    entries = [
        HostEntry(k, "here", str(store.catdir), f"tcp://127.0.0.1:{port}") for k in range(1, 301)
    ]
    found = call_hosts(entries, "hello", store.db_id)
    assert {str(f).partition(" (")[0] for f in found} == {f"host {k}" for k in range(1, 301)}
    assert all("is not running" in str(f) for f in found)


@pytest.mark.parametrize("endpoint", ["tcp://[::1]:*", "tcp://127.0.0.1:*", "tcp://localhost:*"])
def test_addresses_of_both_kinds(store, endpoint):
    with serving(store, 1, endpoint) as server:
        enter(store, server.endpoint)
        assert [s.problem for s in look_at_hosts(store.catdir)] == [""]


def test_nobody_takes_a_socket_that_is_in_use(store, sockets):
    with serving(store, 1, f"ipc://{sockets}/1") as server:
        with pytest.raises(ConfigError, match="somebody listens there already"):
            HostServer(store, 1, f"ipc://{sockets}/1", modules=MODULES)
        (entry,) = enter(store, server.endpoint)
        assert call_host(entry, "hello", store.db_id).header["host"] == 1
    # What is left of one that was killed is no obstacle.
    (sockets / "1").unlink(missing_ok=True)
    with serving(store, 1, f"ipc://{sockets}/1"):
        assert call_host(entry, "hello", store.db_id).header["host"] == 1


# ---- processes of this machine


def processes_of(catdir):
    """Processes that serve a database."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "serve" in words and str(catdir) in words and process.info["status"] != "zombie":
            found.append(process.pid)
    return found


@pytest.mark.slow
def test_a_copy_with_the_notes_of_hosts_that_run(store, tmp_path):
    """They are hosts of the first: stopping those of the copy leaves them alone."""
    start_local(store.catdir, 1)
    try:
        copy = tmp_path / "copy"
        shutil.copytree(store.catdir, copy, ignore=shutil.ignore_patterns("*.sock"))
        assert stop_local(copy) == []
        assert [s.problem for s in look_at_hosts(store.catdir)] == [""]
        start_local(copy, 1)
        try:
            assert [s.problem for s in look_at_hosts(copy)] == [""]
            pids = {look_at_hosts(path)[0].facts["pid"] for path in (copy, store.catdir)}
            assert len(pids) == 2
        finally:
            assert stop_local(copy) == [1]
        assert [s.problem for s in look_at_hosts(store.catdir)] == [""]
    finally:
        assert stop_local(store.catdir) == [1]
    assert processes_of(store.catdir) == []


def test_hosts_of_another_machine_are_not_forgotten(store):
    """On a disk that machines share: they are neither seen nor stopped from here."""
    folder = store.catdir / HOSTS
    folder.mkdir(mode=0o700)
    note = {"pid": 1, "began": "x 1", "machine": "elsewhere", "folder": folder.stat().st_ino}
    (folder / "1.pid").write_text(json.dumps(note))
    with pytest.raises(ConfigError, match="1 hosts were started on elsewhere"):
        stop_local(store.catdir)
    with pytest.raises(ConfigError, match="1 hosts were started on elsewhere"):
        start_local(store.catdir, 1)
    assert (folder / "1.pid").exists()


STARTER = """
import os, signal, sys
from pathlib import Path
from dvo.partition.hosts import local

real = getattr(local, sys.argv[2])
def dies(*words, **options):
    if sys.argv[3] == "after":
        real(*words, **options)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(local, sys.argv[2], dies)
local.start_local(Path(sys.argv[1]), 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "when"),
    [("_launch", "after"), ("write_note", "after"), ("_await", "before"), ("_let_stay", "before")],
)
def test_no_host_outlives_a_start_that_is_killed(store, place, when):
    """Neither before its process is noted nor later: there is nobody who would stop it."""
    done = subprocess.run([sys.executable, "-c", STARTER, store.catdir, place, when], timeout=90)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not processes_of(store.catdir))
    start_local(store.catdir, 1)
    assert stop_local(store.catdir) == [1]


@pytest.mark.slow
def test_a_start_that_is_killed_while_hosts_are_let_stay(store):
    """Those that were let stay are noted, and can be stopped; the others end."""
    done = subprocess.run(
        [sys.executable, "-c", STARTER, store.catdir, "_let_stay", "after"], timeout=90
    )
    assert done.returncode == -signal.SIGKILL
    until(lambda: len(processes_of(store.catdir)) == 1)
    assert stop_local(store.catdir) == [1]
    assert processes_of(store.catdir) == []


@pytest.mark.slow
def test_somebody_else_at_the_socket_of_a_local_host(store):
    """A host that nobody knows of: told, with its process, and not taken for the new one."""
    start_local(store.catdir, 1)
    note = store.catdir / HOSTS / "1.pid"
    pid = json.loads(note.read_text())["pid"]
    note.unlink()
    try:
        with pytest.raises(Exception, match=f"process {pid} listens there already"):
            start_local(store.catdir, 1)
        assert processes_of(store.catdir) == [pid]
    finally:
        os.kill(pid, signal.SIGKILL)
