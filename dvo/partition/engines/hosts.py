"""The engine that works in partition hosts."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from dvo.errors import ConfigError, DvoError, HostError
from dvo.partition.assignment import read_assignment
from dvo.partition.engines.engine import time_is_up
from dvo.partition.host_table import read_host_table
from dvo.partition.hosts.asking import Query, Times
from dvo.partition.hosts.client import HostClient
from dvo.partition.hosts.keys import KeyPair, own_keys
from dvo.partition.hosts.wire import Message, Payload
from dvo.partition.layout import HOST_TABLE
from dvo.partition.operations import Job, Missing
from dvo.partition.store import Store

__all__ = ["HostEngine"]

_AHEAD = 4
"""Groups that are under way for each host."""

_ROUTED_AT_ONCE = 1000
"""Groups for which hosts are chosen at once: as quick as for one."""


class HostEngine:
    """Runs operations in the partition hosts of a database.

    A group goes to the host that most of its regions are assigned to, or to their backup.

    Parameters
    ----------
    store : Store
        The database: its hosts and what is assigned to them are read from its folder.
    snapshot : int
        Which state jobs see that do not say which.
    keys : KeyPair, optional
        The keys of this client; None for those that ``DVO_KEY`` names, if a host wants any.
    times : Times, optional
        How patient to be.

    Raises
    ------
    ConfigError
        If the database has no hosts.
    """

    def __init__(
        self,
        store: Store,
        snapshot: int,
        *,
        keys: KeyPair | None = None,
        times: Times | None = None,
    ) -> None:
        hosts = read_host_table(store.catdir)
        if not hosts:
            raise ConfigError(
                f"{store.catdir}: has no partition hosts ({HOST_TABLE}); start some with: "
                f"dvo host start-local {store.catdir} -n 2"
            )
        if keys is None and any(host.key for host in hosts):
            keys = own_keys()
        self._store = store
        self._snapshot = snapshot
        self._numbers = [host.number for host in hosts]
        self._assignment = read_assignment(store.catdir)
        self._client = HostClient(hosts, store.db_id, keys=keys, times=times)

    def run(self, job: Job) -> Iterator[pa.Table]:
        """Run a job; see `Engine.run`."""
        query = self._query(job)
        client, end = self._client, _end_of(job)
        client.begin(query)
        routes: list[list[int]] = []
        groups = enumerate(job.groups)
        ahead = _AHEAD * len(self._numbers)
        try:
            for number in range(len(job.groups)):
                wanted = itertools.islice(groups, ahead + 1 if number == 0 else 1)
                for k, regions in wanted:
                    if k == len(routes):
                        routes += self._routes(job.groups[k : k + _ROUTED_AT_ONCE])
                    client.want(query, k, regions, routes[k])
                while number not in query.results:
                    job.cancellation.check()
                    left_s = end - time.monotonic()
                    if left_s <= 0:
                        raise time_is_up(job)
                    client.pump(left_s)
                result = query.results.pop(number)
                if not isinstance(result, DvoError):
                    yield result
                elif job.allow_partial and isinstance(result, HostError):
                    job.missing.append(Missing(tuple(query.groups[number]), str(result)))
                else:
                    raise result
        finally:
            client.cancel(query)

    def _query(self, job: Job) -> Query:
        token = self._store.manifest.snapshot(
            self._snapshot if job.snapshot is None else job.snapshot
        ).token
        name = secrets.token_hex(16)
        header = {
            "query": name,
            "operation": job.operation,
            "request": job.request_text,
            "snapshot": token,
            "deadline": job.timeout_s,
        }
        payloads = {name: Payload.of(table) for name, table in job.tables.items()}
        message = Message("job", header, payloads)
        return Query(name, message, token)

    def _routes(self, groups: Sequence[Sequence[int]]) -> list[list[int]]:
        """Hosts that may do each group; any may do what was never assigned."""
        first, second = self._assignment.hosts_of(groups)
        strange = set(np.unique([first, second]).tolist()) - {0, *self._numbers}
        if strange:
            raise ConfigError(
                f"{self._store.catdir}: catalogs are assigned to host {min(strange)}, which "
                f"{HOST_TABLE} does not have; run: dvo host assign {self._store.catdir}"
            )
        return [
            ([one, two] if two else [one]) if one else self._numbers
            for one, two in zip(first.tolist(), second.tolist(), strict=True)
        ]

    def places_of(self, groups: Sequence[Sequence[int]]) -> list[str]:
        """Say who would be asked for each of some groups first; see `Engine.places_of`."""
        return [f"host {route[0]}" for route in self._routes(groups)]

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _end_of(job: Job) -> float:
    return float("inf") if job.timeout_s is None else time.monotonic() + job.timeout_s
