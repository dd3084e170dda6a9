"""Opening, planning and routing on the records of a survey of the size of PV3, without its data."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from figures import Figure
from stage import Stage
from timing import evict, median, timed

import dvo
from dvo.partition.assignment import read_assignment
from dvo.partition.hosts.local import start_local, stop_local
from dvo.query.run import groups_of
from dvo.query.session import Database

sys.path.insert(0, str(Path(__file__).parents[1] / "scale"))

from survey_records import Survey, make_records

__all__ = ["measure"]

_CATALOGS = {"tiny": 2000}  # fewer for a trial, all 151,984 of PV3 else
_FULL_SKY = "SELECT photcode, COUNT(*), AVG(mag) FROM measure GROUP BY photcode"
_CONE = (
    "SELECT ra, dec, nmeasure FROM average "
    "WHERE CONTAINS(POINT(ra, dec), CIRCLE({:.6f}, {:.6f}, 0.016666667)) = 1"
)
_ROWS = "SELECT ra, dec, mag, mag_err, image_id, obj_id, cat_id FROM measure"
_ROUNDS = 7

_Clocks = tuple[float, float]


def measure(stage: Stage) -> list[Figure]:
    """Measure what it takes to open the database, and to plan and route queries.

    Parameters
    ----------
    stage : Stage
        Where to run; the records are made once and kept.

    Returns
    -------
    list of Figure
        Times [ms].
    """
    survey = Survey(n_catalogs=_CATALOGS.get(stage.sizes[-1], Survey().n_catalogs))
    catdir, made = _records(stage.folder / "inputs", survey)
    size = f"{survey.n_catalogs:,} catalogs"
    with dvo.open(catdir) as db:  # what is imported and compiled is paid for
        groups_of(db.view, db.plan(_CONE.format(10.0, 10.0)).fragments[0])
    cold = [_opening(catdir, cold=True) for _ in range(_ROUNDS)]
    warm = [_opening(catdir) for _ in range(_ROUNDS)]
    figures = [
        _figure("scale_open", "open, out of the page cache", size, cold),
        _figure("scale_open_warm", "open, warm", size, warm),
    ]
    with dvo.open(catdir) as db:
        figures.append(_cones(db, size))
    full = [_in_new_view(catdir, lambda db: _groups(db, _FULL_SKY)) for _ in range(_ROUNDS)]
    explained = [_in_new_view(catdir, lambda db: db.explain(_FULL_SKY)) for _ in range(2)]
    figures += [
        _figure("scale_full_sky", "plan a query of the full sky", size, full),
        _routes(catdir, size, survey.n_hosts),
        _figure("scale_explain", "EXPLAIN of it: files and bytes counted", size, explained),
    ]
    figures.append(_stream(stage))
    megabytes = made["manifest_bytes"] / 1e6
    figures.append(
        Figure(
            "scale_manifest",
            "manifest of 8 tables each",
            size,
            made["manifest_bytes"] / survey.n_catalogs / 8,
            "bytes/file",
            f"{megabytes:.0f} MB",
            details=made,
        )
    )
    return figures


def _stream(stage: Stage) -> Figure:
    """A long result from one host on this machine, whose columns are in memory."""
    size = stage.sizes[-1]
    catdir = stage.filled(size)
    start_local(catdir, 1)
    try:
        with dvo.open(catdir) as db:
            n_bytes = db.sql(_ROWS, engine="hosts").nbytes
            seconds = [
                timed(lambda: [len(part) for part in db.sql_batches(_ROWS, engine="hosts")])
                for _ in range(_ROUNDS)
            ]
    finally:
        stop_local(catdir)
    rate = n_bytes / median(seconds) / 1e6
    what = f"rows of one host over a socket, {n_bytes / 1e6:.0f} MB"
    details = {"seconds": seconds, "bytes": n_bytes}
    return Figure("host_stream", what, size, rate, "MB/s", f"{rate:.0f} MB/s", details=details)


def _records(folder: Path, survey: Survey) -> tuple[Path, dict[str, float]]:
    """The records, and what making them took; made anew if the format has changed."""
    catdir = folder / f"records-{survey.n_catalogs}"
    facts = folder / f"{catdir.name}.json"
    if facts.exists() and _can_be_opened(catdir):
        made: dict[str, float] = json.loads(facts.read_text())
        return catdir, made
    shutil.rmtree(catdir, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    made = make_records(catdir, survey)
    facts.write_text(json.dumps(made))
    return catdir, made


def _can_be_opened(catdir: Path) -> bool:
    try:
        with dvo.open(catdir):
            return True
    except OSError:
        return False


def _clocks(step: Callable[[], object]) -> _Clocks:
    """Seconds of the clock, and of a processor: the machine may have other work to do."""
    wall, own = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - own


def _opening(catdir: Path, *, cold: bool = False) -> _Clocks:
    if cold:
        evict(catdir)
    return _clocks(lambda: dvo.open(catdir).close())


def _groups(db: Database, text: str) -> list[list[int]]:
    return groups_of(db.view, db.plan(text).fragments[0])


def _in_new_view(catdir: Path, step: Callable[[Database], object]) -> _Clocks:
    """Seconds of the first such step after opening [s]."""
    with dvo.open(catdir) as db:
        _ = db.photcodes
        return _clocks(lambda: step(db))


def _cones(db: Database, size: str) -> Figure:
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    seconds = [
        _clocks(lambda a=a, d=d: _groups(db, _CONE.format(a, d)))
        for a, d in zip(ra, dec, strict=True)
    ]
    return _figure("scale_cone", "plan a cone of 1', each at another place", size, seconds)


def _routes(catdir: Path, size: str, n_hosts: int) -> Figure:
    with dvo.open(catdir) as db:
        groups = _groups(db, _FULL_SKY)
    seconds = [_clocks(lambda: read_assignment(catdir).hosts_of(groups)) for _ in range(_ROUNDS)]
    what = f"route {len(groups):,} groups to {n_hosts} hosts, SkyTable read"
    return _figure("scale_route", what, size, seconds)


def _figure(key: str, what: str, size: str, seconds: list[_Clocks]) -> Figure:
    """A figure: time of the clock where a step waits for disks, else that of its processor."""
    wall, own = (1e3 * median(column) for column in zip(*seconds, strict=True))
    value = wall if key == "scale_open" else own
    ours = f"{own:.2f} ms of a processor, {wall:.2f} ms of the clock"
    return Figure(key, what, size, value, "ms", ours, details={"seconds": seconds})
