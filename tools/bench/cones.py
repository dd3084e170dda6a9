"""Cones on the detections, against DuckDB's own file in sky order."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from duckdb_peer import DuckDBPeer
from figures import Figure
from stage import Stage
from timing import evict, median, timed
from workload import cones

import dvo

__all__ = ["measure"]

_COLUMNS = ["det_id", "ra", "dec", "mag"]
_ARCMIN = 1.0 / 60.0

Cone = Callable[[float, float, float], int]


class _Sides:
    """The two databases, open; they can be opened again with their files out of memory."""

    def __init__(self, catdir: Path, peer: DuckDBPeer) -> None:
        self.catdir = catdir
        self.peer_file = peer.path
        self._peer = peer
        self._own = dvo.open(catdir)

    def ours(self, ra: float, dec: float, radius_deg: float) -> int:
        """Rows in a cone of our database."""
        return int(
            self._own.cone(ra, dec, radius_deg * 3600.0, table="measure", columns=_COLUMNS).num_rows
        )

    def peer(self, ra: float, dec: float, radius_deg: float) -> int:
        """Rows in a cone of the peer's."""
        return self._peer.cone(ra, dec, radius_deg)

    def make_cold(self) -> None:
        """Close both, and take their files out of the page cache."""
        self.close()
        evict(self.catdir, self.peer_file)

    def open_ours(self) -> None:
        """Open our database again."""
        self._own = dvo.open(self.catdir)

    def open_peer(self) -> None:
        """Open the peer's database again."""
        self._peer = DuckDBPeer(self.peer_file)

    def close(self) -> None:
        """Close both."""
        self._own.close()
        self._peer.close()


def measure(stage: Stage) -> list[Figure]:
    """Measure on the largest size.

    Parameters
    ----------
    stage : Stage
        Where to run; our database is compacted first.

    Returns
    -------
    list of Figure
        Times of cones of 1 arcmin, warm and cold, and of 1 degree, warm.
    """
    size = stage.sizes[-1]
    sides = _Sides(stage.compacted(size), stage.peer(size))
    try:
        return [
            _warm(sides, size, "cone_arcmin_warm", "cone 1', warm", _ARCMIN, 50, 3),
            *_cold(sides, size),
            _warm(sides, size, "cone_degree_warm", "cone 1 deg, warm", 1.0, 10, 5),
        ]
    finally:
        sides.close()


def _warm(
    sides: _Sides, size: str, key: str, what: str, radius_deg: float, n: int, rounds: int
) -> Figure:
    """Cones that have been asked for before, in turn; the first round does not count."""
    ours: list[float] = []
    peer: list[float] = []
    hits = [0, 0]
    for i in range(rounds + 1):
        for ra, dec in cones(n):
            ours.append(timed(lambda: hits.__setitem__(0, sides.ours(ra, dec, radius_deg))))  # noqa: B023
            peer.append(timed(lambda: hits.__setitem__(1, sides.peer(ra, dec, radius_deg))))  # noqa: B023
            _check(hits, ra, dec)
        if i == 0:
            ours, peer = [], []
    return _figure(key, f"{what}, vs DuckDB", size, ours, peer, f"{hits[0]} rows in the last")


def _cold(sides: _Sides, size: str) -> list[Figure]:
    """The first cone after opening, with nothing in memory, each time at another place."""
    times: dict[str, list[float]] = {k: [] for k in ("open_ours", "ours", "open_peer", "peer")}
    hits = [0, 0]
    for i, (ra, dec) in enumerate(cones(24)):
        sides.make_cold()
        turns: list[tuple[str, Callable[[], object]]] = [
            ("open_ours", sides.open_ours),
            ("ours", lambda: hits.__setitem__(0, sides.ours(ra, dec, _ARCMIN))),  # noqa: B023
            ("open_peer", sides.open_peer),
            ("peer", lambda: hits.__setitem__(1, sides.peer(ra, dec, _ARCMIN))),  # noqa: B023
        ]
        for name, step in turns if i % 2 else turns[2:] + turns[:2]:
            times[name].append(timed(step))
        _check(hits, ra, dec)
    both = {
        who: [a + b for a, b in zip(times[f"open_{who}"], times[who], strict=True)]
        for who in ("ours", "peer")
    }
    note = ", ".join(f"{k} {1e3 * median(v):.1f} ms" for k, v in times.items())
    return [
        _figure("cone_arcmin_cold", "cone 1', cold: open and first cone, vs DuckDB", size,
                both["ours"], both["peer"], note),
        _figure("cone_arcmin_cold_query", "cone 1', cold: without opening, vs DuckDB", size,
                times["ours"], times["peer"], ""),
    ]  # fmt: skip


def _check(hits: list[int], ra: float, dec: float) -> None:
    if hits[0] != hits[1]:
        raise RuntimeError(f"cone at {ra} {dec}: {hits[0]} rows, DuckDB found {hits[1]}")


def _figure(
    key: str, what: str, size: str, ours: list[float], peer: list[float], note: str
) -> Figure:
    own, other = 1e3 * median(ours), 1e3 * median(peer)
    return Figure(
        key,
        what,
        size,
        own / other if other else math.nan,
        "x its time",
        f"{own:.2f} ms",
        f"{other:.2f} ms",
        note,
        {
            "ours_ms": [round(1e3 * t, 3) for t in ours],
            "peer_ms": [round(1e3 * t, 3) for t in peer],
        },
    )
