"""Scans of all detections with GROUP BY, against DuckDB on its own file and against LSDB.

Four columns are read. The first query keeps a fortieth of the rows and groups them by image;
the second takes all rows. LSDB is given what its users would write: the conditions go along
to Parquet, each partition is grouped by pandas, and the groups are put together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import lsdb_peer
from duckdb_peer import DuckDBPeer
from figures import Figure
from stage import Stage
from timing import evict, median, pair_ratio, take_turns
from workload import FILTERS, SIZES, photcode_name

import dvo
from dvo.query.session import Database, open_database

__all__ = ["measure"]

_EXPORTED = ["det_id", "image_id", "time", "mag", "mag_err", "x_ccd", "y_ccd", "photcode",
             "phot_flags"]  # fmt: skip
_FILTER = "i"
_BUSY = (
    "SELECT photcode, COUNT(*) AS n, AVG(SQRT(ABS(SIN(RADIANS(ra)) * COS(RADIANS(dec))))"
    " + LN(1 + EXP(mag / 10)) + POWER(ABS(mag), 1.3)) AS x,"
    " STDDEV(ATAN2(x_ccd, y_ccd + 1) * LOG10(2 + ABS(mag))) AS y"
    " FROM measure GROUP BY photcode"
)
"""Far more arithmetic than reading."""


@dataclass(frozen=True)
class _Query:
    """One question, as each side asks it."""

    name: str
    what: str
    ours: str
    peer: str


_QUERIES = (
    _Query(
        "some",
        "scan, 4 columns, 3 conditions, GROUP BY image",
        "SELECT image_id, COUNT(*) AS n, AVG(mag) AS mean FROM measure "
        "WHERE photcode = {code} AND phot_flags < 128 AND mag < 20 GROUP BY image_id",
        "SELECT exp_id, count(*), avg(mag) FROM det "
        "WHERE filt = {index} AND flags < 128 AND mag < 20 GROUP BY exp_id",
    ),
    _Query(
        "all",
        "scan, 4 columns, all rows, GROUP BY photcode",
        "SELECT photcode, COUNT(*) AS n, AVG(mag) AS mean, MIN(mag_err) AS least, "
        "MAX(x_ccd) AS most FROM measure GROUP BY photcode",
        "SELECT filt, count(*), avg(mag), min(magerr), max(x) FROM det GROUP BY filt",
    ),
)


def measure(stage: Stage) -> list[Figure]:
    """Measure on the largest size.

    Parameters
    ----------
    stage : Stage
        Where to run; our database is compacted first.

    Returns
    -------
    list of Figure
        Ratios of both queries to both peers, with decoded columns and with all from the
        disk; two workers over one.
    """
    size = stage.sizes[-1]
    catdir = stage.compacted(size)
    with stage.peer(size) as duck:
        path = duck.path
    figures: list[Figure] = []
    hats = None
    if lsdb_peer.is_there():
        target = stage.scratch / "scanned.hats"
        hats = lsdb_peer.exported(catdir, target, "measure", _EXPORTED)
    for query in _QUERIES:
        figures += _warm(catdir, path, hats, query, size)
        figures += _cold(catdir, path, hats, query, size)
    return [*figures, *_workers(catdir, size)]


def _texts(db: Database, query: _Query) -> tuple[str, str, int]:
    codes = db.sql("SELECT code, name FROM photcode").to_pylist()
    name = photcode_name(FILTERS.index(_FILTER))
    (code,) = [row["code"] for row in codes if row["name"] == name]
    index = FILTERS.index(_FILTER)
    return query.ours.format(code=code), query.peer.format(index=index), code


def _warm(catdir: Path, path: Path, hats: Path | None, query: _Query, size: str) -> list[Figure]:
    """Everything has been asked before, in the same process."""
    found: dict[str, int] = {}
    with open_database(catdir) as db, DuckDBPeer(path) as duck, _Lsdb(hats, query) as lsdb:
        ours, peer, code = _texts(db, query)
        steps: dict[str, Callable[[], None]] = {
            "ours": lambda: found.__setitem__("ours", sum(db.sql(ours)["n"].to_pylist())),
            "duckdb": lambda: found.__setitem__("duckdb", duck.count_groups(peer)),
        }
        if hats is not None:
            steps["lsdb"] = lambda: found.__setitem__("lsdb", lsdb.count(code))
        for step in steps.values():
            step()
        seconds = take_turns(steps, 7)
    _check(found, query)
    return _figures("warm", query, size, seconds)


def _cold(catdir: Path, path: Path, hats: Path | None, query: _Query, size: str) -> list[Figure]:
    """The first question to a database just opened, whose files are not in memory."""
    found: dict[str, int] = {}
    with open_database(catdir) as db:
        ours, peer, code = _texts(db, query)

    def ask_ours() -> None:
        with dvo.open(catdir) as db:
            found["ours"] = sum(db.sql(ours)["n"].to_pylist())

    def ask_duckdb() -> None:
        with DuckDBPeer(path) as duck:
            found["duckdb"] = duck.count_groups(peer)

    with _Lsdb(hats, query) as lsdb:
        steps: dict[str, Callable[[], None]] = {"ours": ask_ours, "duckdb": ask_duckdb}
        before = {"ours": lambda: evict(catdir), "duckdb": lambda: evict(path)}
        if hats is not None:
            steps["lsdb"] = lambda: found.__setitem__("lsdb", lsdb.count(code))
            before["lsdb"] = lambda: evict(hats)
            lsdb.count(code)
        seconds = take_turns(steps, 5, before=before)
    _check(found, query)
    return _figures("cold", query, size, seconds)


class _Lsdb:
    """LSDB's process with one question; nothing where it is not installed."""

    def __init__(self, hats: Path | None, query: _Query) -> None:
        self._hats = hats
        self._query = query
        self._peer = None if hats is None else lsdb_peer.LsdbPeer()

    def count(self, code: int) -> int:
        """Rows in all groups."""
        assert self._peer is not None
        return int(self._peer.ask(f"scan_{self._query.name}", self._hats, code)["rows"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._peer is not None:
            self._peer.__exit__(None, None, None)


def _check(found: Mapping[str, int], query: _Query) -> None:
    if len(set(found.values())) > 1:
        raise RuntimeError(f"{query.what}: rows in the groups differ: {dict(found)}")


def _figures(
    how: str, query: _Query, size: str, seconds: Mapping[str, list[float]]
) -> list[Figure]:
    n_rows = 10 * SIZES[size]
    rate = {who: f"{n_rows / median(s) / 1e6:.1f} M rows/s" for who, s in seconds.items()}
    figures = []
    for who, name in (("lsdb", "LSDB"), ("duckdb", "DuckDB")):
        what = f"{query.what}, {how}, vs {name}"
        key, unit = f"scan_{query.name}_{how}_{who}", "x its speed"
        if who not in seconds:
            figures.append(Figure(key, what, size, math.nan, unit, note=lsdb_peer.ABSENT))
            continue
        ratio = pair_ratio(seconds[who], seconds["ours"])
        details = {"seconds": dict(seconds)}
        figures.append(
            Figure(key, what, size, ratio, unit, rate["ours"], rate[who], details=details)
        )
    return figures


def _workers(catdir: Path, size: str) -> list[Figure]:
    """Two workers over one, where arithmetic is nearly all there is to do."""
    figures = []
    for engine, what in (("processes", "processes"), ("inline", "threads")):
        with open_database(catdir) as db:
            steps = {
                str(n): lambda n=n: db.sql(_BUSY, engine=engine, workers=n)  # noqa: B023
                for n in (1, 2)
            }
            for step in steps.values():
                step()
                step()  # each worker process has read every region
            seconds = take_turns(steps, 5)
        one, two = median(seconds["1"]), median(seconds["2"])
        figures.append(
            Figure(
                f"scan_two_{what}", f"a scan of much arithmetic, two {what} over one", size,
                pair_ratio(seconds["1"], seconds["2"]), "x faster", f"{two:.2f} s",
                f"{one:.2f} s (one)", details={"seconds": seconds},
            )
        )  # fmt: skip
    return figures
