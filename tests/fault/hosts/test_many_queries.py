"""A thousand queries and many clients: neither end holds more afterwards than before."""

from __future__ import annotations

import os

import psutil
import pyarrow as pa
import pytest

from dvo.errors import NotAuthorisedError
from dvo.partition.engines.hosts import HostEngine
from dvo.partition.hosts.calling import call_host
from dvo.partition.operations import Job
from tests.fault.hosts.asking import ROWS, until
from tests.hosts import Hosts

pytestmark = [pytest.mark.timeout(200), pytest.mark.slow]

MIB = 1 << 20


def ask(engine, groups, n):
    for k in range(n):
        assert len(list(engine.run(Job("test-rows", ROWS, groups)))) == len(groups)
        if k % 10 == 0:  # and what is given up in the middle
            results = engine.run(Job("test-big", {"n": 1_000_000}, groups))
            next(results)
            results.close()


def held(pid):
    process = psutil.Process(pid)
    return process.num_fds(), process.num_threads(), process.memory_info().rss


def expect_no_more(before, after, most_bytes):
    assert after[0] <= before[0], "files are left open"
    assert after[1] <= before[1], "threads are left"
    assert after[2] - before[2] < most_bytes, f"{(after[2] - before[2]) >> 20} MiB more"


def test_a_thousand_queries(store):
    groups = [[r] for r in store.view().regions()]
    with Hosts(store.catdir, 1, private=True) as hosts:
        (entry,) = hosts.entries
        pid = hosts[1].process.pid

        def facts():
            return call_host(entry, "hello", store.db_id).header

        with HostEngine(store, store.view().snapshot.id) as engine:
            ask(engine, groups, 300)  # caches and pools are as full as they get
            until(lambda: facts()["running"] == 0 and facts()["kept_bytes"] == 0)
            host, us = held(pid), held(os.getpid())
            arrow = pa.total_allocated_bytes()
            ask(engine, groups, 1000)
            until(lambda: facts()["running"] == 0 and facts()["kept_bytes"] == 0)
            expect_no_more(host, held(pid), 24 * MIB)
            expect_no_more(us, held(os.getpid()), 24 * MIB)
            assert pa.total_allocated_bytes() - arrow < MIB
            assert facts()["groups"] == 0
        until(lambda: facts()["clients"] == 1)  # who asks that


def test_many_clients_one_after_the_other(store):
    groups = [[r] for r in store.view().regions()]
    with Hosts(store.catdir, 1) as hosts:
        pid = hosts[1].process.pid
        (entry,) = hosts.entries

        def come_and_go(n):
            for _ in range(n):
                with HostEngine(store, store.view().snapshot.id) as engine:
                    list(engine.run(Job("test-rows", ROWS, groups)))
                with pytest.raises(NotAuthorisedError):
                    call_host(entry, "stop", store.db_id)
            until(lambda: call_host(entry, "hello", store.db_id).header["clients"] == 1)

        come_and_go(30)
        host, us = held(pid), held(os.getpid())
        come_and_go(100)
        # A connection that has just ended may still be open.
        until(lambda: held(pid)[0] <= host[0] and held(os.getpid())[0] <= us[0])
        expect_no_more(host, held(pid), 24 * MIB)
        expect_no_more(us, held(os.getpid()), 24 * MIB)
