"""Three partition hosts, each in a network namespace of its own: as good as three machines.

    unshare --net --map-root-user python -m tests.e2e.three_machines CATDIR FOLDER

is the client's machine, with a bridge to the others. The last line of the output is ``ok``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from dvo.errors import NotAuthorisedError
from dvo.partition import compact
from dvo.partition.check import check
from dvo.partition.engines import open_engine
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.host_table import HostEntry, write_host_table
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.assign import assign
from dvo.partition.hosts.keys import KeyPair, make_keys
from dvo.partition.operations import Job
from dvo.partition.store import Store
from tests.hosts import MODULES
from tests.synth import assert_same, contents, ordered

NUMBERS = (1, 2, 3)
PORT = 5780


def ip(*words: str, pid: int | None = None) -> None:
    inside = () if pid is None else ("nsenter", "-t", str(pid), "-n")
    subprocess.run([*inside, "ip", *words], check=True, timeout=20)


def address(number: int) -> str:
    return f"10.77.0.{number + 1}"


def start(number: int, catdir: Path, folder: Path) -> subprocess.Popen[str]:
    """A machine with a cable to the bridge, and a host on it."""
    words = [",".join(MODULES), str(catdir), str(number), f"tcp://{address(number)}:{PORT}",
             str(folder / "node.secret"), str(folder / "authorized")]  # fmt: skip
    # It begins when its network is there; it ends when its standard input does.
    machine = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", 'read go; exec "$@"', "sh", sys.executable,
         "-m", "tests.hosts", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    ours, end = Path("/proc/self/ns/net").readlink(), time.monotonic() + 20
    while Path(f"/proc/{machine.pid}/ns/net").readlink() == ours:
        assert time.monotonic() < end
    ip("link", "add", f"v{number}", "type", "veth", "peer", "name", f"w{number}")
    ip("link", "set", f"w{number}", "netns", str(machine.pid))
    ip("link", "set", f"v{number}", "master", "br0", "up")
    for words in (("link", "set", "lo", "up"), ("link", "set", f"w{number}", "up"),
                  ("addr", "add", f"{address(number)}/24", "dev", f"w{number}")):  # fmt: skip
        ip(*words, pid=machine.pid)
    assert machine.stdin is not None
    assert machine.stdout is not None
    machine.stdin.write("go\n")
    machine.stdin.flush()
    assert machine.stdout.readline().strip() == f"tcp://{address(number)}:{PORT}"
    return machine


def answers(engine, job: Job) -> list[pa.Table]:
    return list(engine.run(job))


def expect_same(found: list[pa.Table], wanted: list[pa.Table]) -> None:
    assert len(found) == len(wanted)
    assert all(f.equals(w, check_metadata=True) for f, w in zip(found, wanted, strict=True))


def ask(store: Store, keys: KeyPair) -> None:
    regions = store.view().regions()
    jobs = [
        Job("test-rows", {"table": "measure", "columns": ["ra", "mag"]}, [[r] for r in regions]),
        Job("test-mean", {}, [regions[:3], regions[1:]]),
        Job("test-big", {"n": 2_000_000}, [[k] for k in range(3)]),  # several parts each
    ]
    number = store.view().snapshot.id
    with open_engine("inline", store, modules=MODULES) as inline:
        wanted = [answers(inline, job) for job in jobs]
    with HostEngine(store, number, keys=keys, times=Times(0.2, 2.0)) as engine:
        for job, want in zip(jobs, wanted, strict=True):
            expect_same(answers(engine, job), want)
        for number in NUMBERS:
            ip("link", "set", f"v{number}", "down")  # the cable is pulled
            for job, want in zip(jobs, wanted, strict=True):
                expect_same(answers(engine, job), want)
            ip("link", "set", f"v{number}", "up")
            end = time.monotonic() + 30
            while engine._client.asking._hosts[number].state != "ready":
                assert time.monotonic() < end, f"host {number} did not come back"
                expect_same(answers(engine, jobs[0]), wanted[0])


def write(store: Store, reader: KeyPair, writer: KeyPair) -> None:
    """Catalogs are compacted by the hosts that have them, while one of these has no network."""
    before, number = ordered(contents(store.view())), store.view().snapshot.id
    compact.GROUP_ROWS = 1
    with (
        HostEngine(store, number, keys=reader, times=Times(0.2, 2.0)) as engine,
        suppress(NotAuthorisedError),
    ):
        compact.resort(store, engine=engine)
        raise AssertionError("a key that may only read has written")
    assert store.view().snapshot.id == number
    ip("link", "set", "v2", "down")
    with HostEngine(store, number, keys=writer, times=Times(0.2, 2.0)) as engine:
        assert compact.resort(store, engine=engine) == len(store.view().regions())
    ip("link", "set", "v2", "up")
    assert store.view().snapshot.id == number + 1
    assert_same(ordered(contents(store.view())), before)
    assert check(store.catdir, deep=True).ok


def main(catdir: Path, folder: Path) -> None:
    """All of it."""
    node, alice, ian = (make_keys(folder / name) for name in ("node", "alice", "ian"))
    listed = folder / "authorized"
    listed.write_text(f"read {alice.public} alice\ningest {ian.public} ian\n")
    listed.chmod(0o600)
    ip("link", "set", "lo", "up")
    ip("link", "add", "br0", "type", "bridge")
    ip("addr", "add", "10.77.0.1/24", "dev", "br0")
    ip("link", "set", "br0", "up")
    machines: list[subprocess.Popen[str]] = []
    try:
        machines.extend(start(number, catdir, folder) for number in NUMBERS)
        write_host_table(
            catdir,
            [HostEntry(n, f"node{n}", str(catdir), f"tcp://{address(n)}:{PORT}", node.public)
             for n in NUMBERS],
        )  # fmt: skip
        with Store(catdir) as store:
            assign(store, NUMBERS, rng=np.random.default_rng(1))
            ask(store, alice)
        with Store(catdir, writable=True) as store:
            write(store, alice, ian)
    finally:
        for machine in machines:
            machine.kill()
            machine.communicate()
    print("ok")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
