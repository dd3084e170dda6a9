"""Cones in SQL: in this process, through partition hosts, and of many clients at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from figures import Figure
from stage import Stage
from timing import median, take_turns, timed
from workload import cones

from dvo.partition.hosts.local import start_local, stop_local
from dvo.query.session import Database, open_database

__all__ = ["measure"]

_CONE = (
    "SELECT det_id, ra, dec, mag FROM measure "
    "WHERE CONTAINS(POINT(ra, dec), CIRCLE({}, {}, {})) = 1"
)
_ARCMIN = 1.0 / 60.0
_N_HOSTS = 2
_N_CLIENTS = 64
_N_CONES = 20


def measure(stage: Stage) -> list[Figure]:
    """Measure on the largest size.

    Parameters
    ----------
    stage : Stage
        Where to run; our database is compacted first.

    Returns
    -------
    list of Figure
        Milliseconds of a cone in SQL, what hosts add to it, and how evenly many clients are
        served.
    """
    size = stage.sizes[-1]
    catdir = stage.compacted(size)
    with _hosts(catdir):
        return [*_one_client(catdir, size), _many_clients(catdir, size)]


@contextmanager
def _hosts(catdir: Path) -> Iterator[None]:
    start_local(catdir, _N_HOSTS)
    try:
        yield
    finally:
        stop_local(catdir)


def _ask(db: Database, engine: str, ra: float, dec: float) -> int:
    return db.sql(_CONE.format(ra, dec, _ARCMIN), engine=engine).num_rows


def _one_client(catdir: Path, size: str) -> list[Figure]:
    """Cones that have been asked for before, in turn."""
    places = cones(50)
    with open_database(catdir) as db:
        found = {
            engine: [_ask(db, engine, *place) for place in places] for engine in ("inline", "hosts")
        }
        if found["inline"] != found["hosts"]:
            raise RuntimeError("cones through hosts have other rows")
        seconds: dict[str, list[float]] = {"inline": [], "hosts": []}
        for place in places * 3:
            turns = take_turns(
                {e: lambda e=e, p=place: _ask(db, e, *p) for e in seconds},  # type: ignore[misc]
                1,
            )
            for engine, times in turns.items():
                seconds[engine] += times
    inline, hosts = (1e3 * median(seconds[e]) for e in ("inline", "hosts"))
    added = 1e3 * median([h - i for i, h in zip(seconds["inline"], seconds["hosts"], strict=True)])
    return [
        Figure(
            "cone_sql", "cone 1' in SQL, warm", size, inline, "ms", f"{inline:.2f} ms",
            details={"seconds": seconds},
        ),
        Figure(
            "cone_hosts_added", f"the same through {_N_HOSTS} hosts: what they add", size, added,
            "ms", f"{hosts:.2f} ms", f"{inline:.2f} ms (in process)",
        ),
    ]  # fmt: skip


def _many_clients(catdir: Path, size: str) -> Figure:
    """Clients with connections of their own, each asking as soon as it is answered."""
    places = cones(_N_CLIENTS * _N_CONES)
    with ExitStack() as opened, ThreadPoolExecutor(_N_CLIENTS) as pool:
        clients = [opened.enter_context(open_database(catdir)) for _ in range(_N_CLIENTS)]

        def ask_all(k: int) -> list[float]:
            return [
                timed(lambda p=place: _ask(clients[k], "hosts", *p))  # type: ignore[misc]
                for place in places[k::_N_CLIENTS]
            ]

        list(pool.map(ask_all, range(_N_CLIENTS)))  # connects all, and hosts read what they need
        seconds = [s for some in pool.map(ask_all, range(_N_CLIENTS)) for s in some]
    half, most = (1e3 * float(np.percentile(seconds, p)) for p in (50, 99))
    return Figure(
        "clients_spread", f"{_N_CLIENTS} clients on {_N_HOSTS} hosts, cones of 1': p99 over p50",
        size, most / half, "x", f"{most:.0f} ms (p99)", f"{half:.0f} ms (p50)",
        f"{len(seconds)} cones, no errors", {"seconds": seconds},
    )  # fmt: skip
