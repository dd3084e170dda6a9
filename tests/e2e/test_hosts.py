"""Partition hosts by the commands: started, asked, killed, stopped; with keys, on a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dvo.partition.host_table import HostEntry, read_host_table, write_host_table
from tests.hosts import free_port
from tests.synth import filled_database, make_images, write_exposure_files

COUNT = "SELECT COUNT(*) AS n FROM measure"

pytestmark = pytest.mark.timeout(110)


def dvo(*words: object, code: int = 0, **environment: str) -> str:
    """Run a command; its output is of use, its complaints are one line."""
    done = subprocess.run(
        [sys.executable, "-m", "dvo.cli.main", *map(str, words)],
        capture_output=True, text=True, timeout=100, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == code, (words, done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def status(catdir: Path, code: int = 0) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "dvo.cli.main", "host", "status", str(catdir), "--json"],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def catdir(tmp_path):
    path = filled_database(tmp_path / "sky", n_stars=200, n_images=3)
    yield path
    dvo("host", "stop", path)


@pytest.mark.slow
def test_local_hosts(catdir):
    dvo("host", "start-local", catdir, "-n", "2")
    assert (catdir / "hosts").stat().st_mode & 0o077 == 0
    found = status(catdir)
    assert [(h["number"], h["up"], h["state"]) for h in found] == [
        (1, True, "serving"), (2, True, "serving"),
    ]  # fmt: skip
    inline = dvo("query", catdir, COUNT, "-f", "json")
    assert dvo("query", catdir, COUNT, "-f", "json", "--engine", "hosts") == inline
    assert "run already" in dvo("host", "start-local", catdir, "-n", "3", code=1)
    assert json.loads(dvo("check", catdir, "--deep", "--json"))["ok"]

    # One is killed: the other has all catalogs, too.
    os.kill(found[0]["pid"], signal.SIGKILL)
    end = time.monotonic() + 20
    while psutil.pid_exists(found[0]["pid"]) and is_alive(found[0]["pid"]):
        assert time.monotonic() < end
    assert dvo("query", catdir, COUNT, "-f", "json", "--engine", "hosts") == inline
    assert [h["up"] for h in status(catdir, code=3)] == [False, True]

    assert "stopped 1 hosts" in dvo("host", "stop", catdir)
    assert not is_alive(found[1]["pid"])
    assert "no host was running" in dvo("host", "stop", catdir)
    assert "host 1" in dvo("query", catdir, COUNT, "--engine", "hosts", code=3)

    # Again, with another number of hosts: catalogs are assigned anew.
    dvo("host", "start-local", catdir, "-n", "1")
    assert dvo("query", catdir, COUNT, "-f", "json", "--engine", "hosts") == inline


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_process_of_somebody_else_is_left_alone(catdir):
    """A note of a process that has ended, and whose number went to another."""
    (catdir / "hosts").mkdir(mode=0o700)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        note = {"pid": other.pid, "began": "some-boot 12345"}
        (catdir / "hosts" / "1.pid").write_text(json.dumps(note))
        assert "no host was running" in dvo("host", "stop", catdir)
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()


@pytest.mark.slow
def test_long_names_of_folders(tmp_path):
    """Unix sockets have short names; those of local hosts are elsewhere then."""
    folder = tmp_path / ("a" * 100)
    folder.mkdir()
    path = filled_database(folder / "sky")
    try:
        dvo("host", "start-local", path, "-n", "1")
        dvo("query", path, COUNT, "--engine", "hosts")
        (entry,) = read_host_table(path)
        assert not entry.endpoint.startswith(f"ipc://{path}")
    finally:
        dvo("host", "stop", path)
    assert not Path(entry.endpoint.removeprefix("ipc://")).exists()


@pytest.mark.slow
def test_a_host_that_cannot_start(catdir):
    (catdir / "hosts").mkdir(mode=0o700)
    (catdir / "hosts" / "2.sock").mkdir()
    message = dvo("host", "start-local", catdir, "-n", "2", code=1)
    assert "host 2" in message
    assert "cannot listen" in message
    assert [h["up"] for h in status(catdir, code=3)] == [False, False]


@pytest.mark.slow
def test_assignment(catdir):
    write_host_table(
        catdir, [HostEntry(k, "localhost", str(catdir), f"ipc:///x/{k}.sock") for k in (1, 2)]
    )
    found = json.loads(dvo("host", "assign", catdir, "--by", "load", "--json"))
    assert sum(h["catalogs"] for h in found.values()) == 4
    assert "catalogs" in dvo("host", "assign", catdir, "--no-backups")


@pytest.mark.slow
def test_hosts_with_keys(catdir, tmp_path):
    """As on several machines: a table written by hand, keys, and roles."""
    keys, words = {}, {}
    for name in ("node", "ada", "rose"):
        words[name] = dvo("host", "keygen", tmp_path / name).split()
        keys[name] = tmp_path / f"{name}.secret"
        assert keys[name].stat().st_mode & 0o077 == 0
    listed = tmp_path / "authorized"
    listed.write_text(f"admin {words['ada'][1]} ada\n{' '.join(words['rose'])}\n")
    listed.chmod(0o600)
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    (catdir / "HostTable.dat").write_text(
        f"# by hand\n1 localhost {catdir} {endpoint} '{words['node'][1]}'\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-m", "dvo.cli.main", "host", "serve", catdir, "--number", "1",
         "--key", keys["node"], "--authorized", listed],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert host.stderr is not None
        assert "serves" in host.stderr.readline()
        ask = ("query", catdir, COUNT, "-f", "json", "--engine", "hosts")
        assert json.loads(dvo(*ask, DVO_KEY=str(keys["rose"])))[0]["n"] > 0
        assert "wants a key" in dvo(*ask, code=1)
        assert "does not know this key" in dvo(*ask, DVO_KEY=str(keys["node"]), code=1)
        stop = ("host", "stop", catdir, "--number", "1", "--key")
        assert "role admin" in dvo(*stop, keys["rose"], code=1)
        drain = ("host", "drain", catdir, "1", "--key", keys["ada"])
        assert "takes nothing new" in dvo(*drain)
        dvo(*stop, keys["ada"])
        assert host.wait(30) == 0
    finally:
        host.kill()
        host.communicate()


@pytest.mark.slow
def test_wrong_use(catdir):
    assert "has no hosts" in dvo("host", "assign", catdir, code=1)
    assert "no host 3" in dvo("host", "drain", catdir, "3", code=1)
    assert "has no hosts" in dvo("host", "status", catdir)
    assert "takes keys" in dvo(
        "host", "serve", catdir, "--number", "1", "--endpoint", "tcp://0.0.0.0:5780", code=1
    )


@pytest.mark.slow
def test_local_hosts_write(catdir, tmp_path):
    """Images are added, catalogs compacted and dealt out to another level by hosts."""
    dvo("host", "start-local", catdir, "-n", "2")
    images = write_exposure_files(tmp_path / "in", make_images(1, 200, 2, "wrap", first=10))
    done = subprocess.run(
        [sys.executable, "-c", "from dvo.cli.addstar import main; main()", str(catdir), *images,
         "--engine", "hosts", "--json"],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["n_images"], found["n_commits"]) == (2, 1)
    assert 150 < found["n_new"] <= 200 < found["n_measures"]
    before = dvo("query", catdir, COUNT, "-f", "json")
    n_catalogs = json.loads(dvo("info", catdir, "--json"))["n_catalogs"]
    assert f"{n_catalogs} catalogs compacted" in dvo("resort", catdir, "--engine", "hosts")
    assert "level 3" in dvo("relevel", catdir, "3", "--engine", "hosts")
    assert json.loads(dvo("check", catdir, "--deep", "--json"))["ok"]
    assert dvo("query", catdir, COUNT, "-f", "json", "--engine", "hosts") == before
    assert not any((catdir / "staged").iterdir())
