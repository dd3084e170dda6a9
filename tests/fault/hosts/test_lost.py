"""Hosts that die: another one does the work, or the error says which one was lost."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from dvo.errors import HostLostError
from dvo.partition.hosts.asking import Times
from dvo.partition.operations import Job
from tests.fault.hosts.asking import ROWS, expect_all, groups_of, open_hosts, until
from tests.hosts import Hosts

pytestmark = pytest.mark.timeout(60)


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
        (first,) = (h for h in hosts.entries if h.number == engine._routes([regions])[0][0])
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
