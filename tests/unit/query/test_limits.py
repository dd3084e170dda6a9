"""Time, memory and cancelling: a query ends promptly, on every engine, and the next one works."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import astropy.units as u
import pytest
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command
from dvo.errors import HostLostError, JobTimeoutError, QueryCancelledError, QueryError
from dvo.partition.operations import MODULES
from dvo.query import operations, run
from dvo.query.run import MISSING
from dvo.query.watch import Watch
from tests.hosts import Hosts
from tests.synth import filled_database

ENGINES = {
    "inline": ("inline", None),
    "inline, 2 threads": ("inline", 2),
    "processes": ("processes", 2),
    "hosts": ("hosts", None),
    "Parsl": ("parsl", 1),
}
COUNT = "SELECT COUNT(*) AS n FROM measure"
# Rows are few, triples of them are not: this takes hours in the evaluator, in one group or,
# what no regions have, here.
ENDLESS_GROUP = (
    "SELECT SUM(SIN(m.mag * u.x * v.x * w.x)) AS s FROM measure m, upload.u, upload.v, upload.w"
)
ENDLESS_REST = (
    "SELECT SUM(SIN(a.mag * b.mag * c.mag * d.mag)) AS s FROM measure a, measure b, measure c, "
    "measure d"
)
UPLOADS = {name: {"x": [0.001 * k for k in range(3000)]} for name in "uvw"}

# What is not ended takes hours; how soon it ends depends on what else the machine does.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("limits") / "sky", n_stars=300)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(e, marks=[pytest.mark.slow] if e in ("processes", "Parsl") else [])
        for e in ENGINES
    ],
)
def asking(request, catdir):
    """The database, and the options of an engine."""
    kind, workers = ENGINES[request.param]
    with dvo.open(catdir) as db:
        if kind != "hosts":
            yield db, {"engine": kind, "workers": workers}
            return
        with Hosts(catdir, 2, modules=MODULES):
            yield db, {"engine": kind}


def expect_usable(db, options):
    assert db.sql(COUNT, **options).to_pylist() == [{"n": db.snapshot.counts["measures"]}]


@pytest.fixture
def begun(monkeypatch):
    """Events: groups are handed out; what is left is evaluated here."""
    events = {ENDLESS_GROUP: threading.Event(), ENDLESS_REST: threading.Event()}
    expect, evaluate = Watch.expect, run.Running.evaluate

    def expected(watch, groups):
        expect(watch, groups)
        events[ENDLESS_GROUP].set()

    def evaluated(running, tree, tables):
        events[ENDLESS_REST].set()
        return evaluate(running, tree, tables)

    monkeypatch.setattr(Watch, "expect", expected)
    monkeypatch.setattr(run.Running, "evaluate", evaluated)
    return events


@pytest.mark.parametrize("text", [ENDLESS_GROUP, ENDLESS_REST], ids=["group", "rest"])
def test_a_query_can_be_cancelled(asking, begun, text):
    db, options = asking
    expect_usable(db, options)
    begun[text].clear()

    def cancel():
        begun[text].wait()
        db.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(QueryCancelledError):
        db.sql(text, uploads=UPLOADS, **options)
    thread.join()
    assert not db._running
    expect_usable(db, options)


def test_ctrl_c_ends_the_query_and_not_the_session(asking, begun):
    db, options = asking
    expect_usable(db, options)
    begun[ENDLESS_GROUP].clear()

    def interrupt():
        begun[ENDLESS_GROUP].wait()
        time.sleep(0.3)  # no engine tells when the evaluator is in the middle of a group
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        db.sql(ENDLESS_GROUP, uploads=UPLOADS, **options)
    thread.join()
    assert not db._running
    expect_usable(db, options)


@pytest.mark.parametrize("text", [ENDLESS_GROUP, ENDLESS_REST], ids=["group", "rest"])
def test_a_time_limit_is_for_all_steps(asking, text):
    db, options = asking
    expect_usable(db, options)
    with pytest.raises(JobTimeoutError, match=r"^query: was not done in 0\.5 s"):
        db.sql(text, uploads=UPLOADS, timeout_s=0.5, **options)
    expect_usable(db, options)


def test_a_memory_limit_is_for_groups(asking):
    db, options = asking
    text = ("SELECT u.x, v.x AS y, COUNT(*) AS n FROM measure m, upload.u, upload.v "
            "WHERE m.image_id = 1 GROUP BY u.x, v.x")  # fmt: skip
    with pytest.raises(QueryError, match=r"needs more than the 0\.0168 GB of memory"):
        db.sql(text, uploads=UPLOADS, memory_bytes=2**24, **options)
    expect_usable(db, options)


def test_a_memory_limit_is_for_the_answer(catdir, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    for module in (run, operations):
        monkeypatch.setattr(module, "LEAST_MEMORY_BYTES", 1)
    with dvo.open(catdir) as db:
        n_bytes = db.sql("SELECT ra, dec FROM measure").nbytes
        with pytest.raises(QueryError, match="memory"):
            db.sql("SELECT ra, dec FROM measure", memory_bytes=n_bytes // 2)
        pieces = list(db.sql_batches("SELECT ra, dec FROM measure", memory_bytes=n_bytes // 2))
        assert sum(map(len, pieces)) == db.snapshot.counts["measures"]


def test_a_time_limit_may_have_a_unit(catdir):
    with dvo.open(catdir) as db:
        assert len(db.sql(COUNT, timeout_s=1 * u.min)) == 1
        with pytest.raises(JobTimeoutError, match=r"not done in 1e-09 s"):
            db.sql(COUNT, timeout_s=1e-6 * u.ms)
        for wrong in (1 * u.deg, "soon"):
            with pytest.raises(QueryError, match=r"timeout_s is .* one with a unit of that kind"):
                db.sql(COUNT, timeout_s=wrong)


def test_limits_that_leave_nothing_are_refused(catdir):
    with dvo.open(catdir) as db:
        with pytest.raises(QueryError, match="leaves no time"):
            db.sql(COUNT, timeout_s=0)
        with pytest.raises(QueryError, match="too few"):
            db.sql(COUNT, memory_bytes=1000)
        with pytest.raises(QueryError, match="engine 'hosts'"):
            db.sql(COUNT, allow_partial=True)


def test_a_cancelled_iterator_is_over(catdir, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    with dvo.open(catdir) as db:
        pieces = db.sql_batches("SELECT ra FROM measure")
        next(pieces)
        db.cancel()
        with pytest.raises(QueryCancelledError):
            list(pieces)
        assert not db._running
        db.cancel()  # what is not under way is not cancelled
        assert db.sql(COUNT).num_rows == 1


# ---- partial answers


def dvo_query(*words):
    return CliRunner().invoke(dvo_command, ["query", *map(str, words)])


@pytest.fixture
def half_a_database(tmp_path, monkeypatch):
    """Two hosts of which one was killed, and who has which regions."""
    catdir = filled_database(tmp_path / "sky", n_stars=300)
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    with Hosts(catdir, 2, backups=False, modules=MODULES) as hosts, dvo.open(catdir) as db:
        engine = db._engine("hosts", None)
        lost = [r for r in db.view.regions() if engine.places_of([[r]]) == ["host 2"]]
        assert 0 < len(lost) < len(db.view.regions())
        hosts[2].end()
        yield db, catdir, {db.view.sky.region(r).name for r in lost}


def rows_left(db, lost):
    names = {r: db.view.sky.region(r).name for r in db.view.regions()}
    return sum(row.n_measure for r, row in db.view.catalogs(names).items() if names[r] not in lost)


@pytest.mark.parametrize(
    "text",
    [
        COUNT,
        pytest.param("SELECT ra, dec FROM measure", marks=pytest.mark.slow),
        pytest.param("SELECT ra, dec FROM measure ORDER BY ra", marks=pytest.mark.slow),
        "SELECT x.ra FROM measure AS x WHERE x.mag < (SELECT MAX(y.mag) + 1 FROM measure AS y)",
    ],
)
def test_a_partial_answer_says_what_is_missing(half_a_database, text):
    db, _, lost = half_a_database
    with pytest.raises(HostLostError, match="host 2"):
        db.sql(text, engine="hosts")
    found = db.sql(text, engine="hosts", allow_partial=True)
    missing = json.loads(found.schema.metadata[MISSING.encode()])
    assert {name for group in missing for name in group["regions"]} == lost
    assert all("host 2" in group["reason"] for group in missing)
    n = rows_left(db, lost)
    assert found.to_pylist() == [{"n": n}] if text == COUNT else len(found) == n
    *_, last = db.sql_batches(text, engine="hosts", allow_partial=True)
    assert json.loads(last.schema.metadata[MISSING.encode()]) == missing
    assert json.loads(json.dumps(dvo.to_astropy(found).meta[MISSING])) == missing


def test_no_part_at_all_is_an_error(half_a_database):
    db, _, lost = half_a_database
    name = min(lost)
    where = f"WHERE region = '{name}'"
    (place,) = db.sql("SELECT ra_min + 0.01 AS ra, dec_min + 0.01 AS dec FROM region "
                      + where.replace("region =", "name =")).to_pylist()  # fmt: skip
    text = (f"SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), "
            f"CIRCLE({place['ra']}, {place['dec']}, 0.0001)) = 1")  # fmt: skip
    with pytest.raises(HostLostError, match="no part of the answer"):
        db.sql(text, engine="hosts", allow_partial=True)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "csv", "parquet", "fits", "table"])
def test_the_command_warns_of_a_partial_answer(half_a_database, tmp_path, form):
    db, catdir, lost = half_a_database
    refused = dvo_query(catdir, COUNT, "--allow-partial")
    assert refused.exit_code == 2
    whole = dvo_query(catdir, "SELECT ra FROM measure", "--engine", "hosts", "-f", form)
    assert isinstance(whole.exception, HostLostError)
    assert whole.stdout == ""
    path = tmp_path / "out"
    done = dvo_query(catdir, "SELECT ra FROM measure", "--engine", "hosts", "--allow-partial",
                     "-f", form, "-o", path)  # fmt: skip
    assert done.exit_code == 3
    assert f"{len(lost)} regions are missing" in done.stderr
    assert min(lost) in done.stderr
    n = rows_left(db, lost)
    if form == "json":
        assert len(json.loads(path.read_text())) == n
    elif form == "csv":
        assert len(path.read_text().splitlines()) == n + 1
    elif form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        assert len(table) == n
        missing = json.loads(pq.read_metadata(path).metadata[MISSING.encode()])
        assert {name for group in missing for name in group["regions"]} == lost
    elif form == "fits":
        from astropy.io import fits

        with fits.open(path) as file:
            assert len(file[1].data) == n
            assert min(lost) in str(file[1].header["MISSING"])
