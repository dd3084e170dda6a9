"""Assigning catalogs to partition hosts.

Catalogs are dealt out at random, so that a query of more than one region is spread over many
machines, or by load, so that each host has as many rows as the next. The backup is another
host, which serves what the first cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.partition.assignment import Assignment
from dvo.partition.layout import HOST_TABLE
from dvo.partition.lock import WriterLock
from dvo.partition.sky_file import write_sky_file
from dvo.partition.store import Store

__all__ = ["assign"]

I64 = NDArray[np.int64]


def assign(
    store: Store,
    hosts: Sequence[int],
    *,
    by: Literal["random", "load"] = "random",
    backups: bool = True,
    rng: np.random.Generator,
) -> dict[int, tuple[int, int]]:
    """Assign all catalogs to hosts, and write it to the SkyTable.

    Parameters
    ----------
    store : Store
        The database, open for reading.
    hosts : sequence of int
        Numbers of the hosts.
    by : {'random', 'load'}
        Equal numbers of catalogs, or equal numbers of rows.
    backups : bool
        Whether each catalog gets a second host, if there are two or more.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    dict of int to (int, int)
        Catalogs that have rows, and rows, of each host.

    Raises
    ------
    ConfigError
        If there is no host.
    CatdirLockedError
        If somebody is writing the database.
    StorageError
        If the SkyTable cannot be written.
    """
    if not hosts:
        raise ConfigError(
            f"{store.catdir / HOST_TABLE}: has no hosts; write them into it (see the operators' "
            f"guide), or run: dvo host start-local {store.catdir}"
        )
    view = store.view()
    leaves = view.partition.leaves
    found = view.catalogs(view.regions())
    sizes = np.zeros(len(leaves), np.int64)
    at = np.searchsorted(leaves, np.fromiter(found, np.int64, len(found)))
    sizes[at] = [row.n_average + row.n_measure for row in found.values()]
    order = rng.permutation(len(leaves))
    if by == "load":
        order = order[np.argsort(-sizes[order], kind="stable")]
    places = _dealt(len(order), len(hosts))
    numbers = np.asarray(hosts, np.uint16)
    host, backup = np.zeros((2, len(leaves)), np.uint16)
    host[order] = numbers[places]
    if backups and len(hosts) > 1:
        steps = rng.integers(1, len(hosts), len(order))
        backup[order] = numbers[(places + steps) % len(hosts)]
    with WriterLock(store.catdir, "dvo host assign"):
        write_sky_file(store.catdir, view.partition, store.db_id, Assignment(leaves, host, backup))
    return {n: (int(((sizes > 0) & (host == n)).sum()), int(sizes[host == n].sum())) for n in hosts}


def _dealt(n: int, n_hosts: int) -> I64:
    """To whom each of n cards goes: round and back again, so that the first gains nothing."""
    rounds, places = np.divmod(np.arange(n), n_hosts)
    return np.where(rounds % 2 == 0, places, n_hosts - 1 - places)
