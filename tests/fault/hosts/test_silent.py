"""Hosts that do not answer, and such as only take long."""

from __future__ import annotations

import signal
import threading

import pytest

from dvo.errors import HostLostError, JobTimeoutError
from dvo.partition.hosts.asking import Times
from dvo.partition.operations import Job
from tests.fault.hosts.asking import ROWS, expect_all, groups_of, open_hosts, until
from tests.hosts import Hosts

pytestmark = pytest.mark.timeout(60)


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
    with Hosts(store.catdir, 2, backups=False) as hosts, open_hosts(store) as engine:
        hosts[2].end()
        groups = [[r] for r in store.view().regions()]
        job = Job("test-rows", ROWS, groups, allow_partial=True)
        found = list(engine.run(job))
        lost = {m.regions[0] for m in job.missing}
        assert lost == {r for (r,) in groups if engine.places_of([[r]]) == ["host 2"]}
        assert len(found) == len(groups) - len(lost)
        assert 0 < len(lost) < len(groups)
        assert all("host 2" in m.reason for m in job.missing)
