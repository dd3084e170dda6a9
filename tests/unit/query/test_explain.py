"""EXPLAIN says what a query does, EXPLAIN ANALYZE what it took; both as text and as a tree."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command
from dvo.errors import QueryError
from dvo.partition.operations import MODULES
from dvo.query import run
from dvo.query.explain_word import split_explain
from tests.hosts import Hosts
from tests.synth import filled_database

GROUPED = "SELECT photcode, AVG(mag) AS mean FROM measure WHERE mag < 30 GROUP BY photcode"


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("explain") / "sky", n_stars=300)


@pytest.fixture
def db(catdir, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    with dvo.open(catdir) as found:
        yield found


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("SELECT 1", None),
        ("EXPLAIN SELECT 1", "plan"),
        ("  explain\n analyze SELECT 1", "analyze"),
        ("-- EXPLAIN\nSELECT 1", None),
        ("/* x */ -- y\n EXPLAIN /* ANALYZE */ SELECT 1", "plan"),
        ("EXPLAINED", None),
        ("/*" * 50_000 + "EXPLAIN", None),
        ("/**/" * 25_000 + "X", None),
    ],
)
def test_what_is_asked_of_a_query(text, asked):
    rest, found = split_explain(text)
    assert found == asked
    assert len(rest) == len(text)
    assert "EXPLAIN" not in rest or asked is None


def test_a_plan_reads_nothing_and_counts_what_there_is(db):
    tree = db.explain(GROUPED).tree
    assert tree["took"] is None
    (fragment,) = tree["fragments"]
    assert fragment["took"] is None
    assert fragment["groups"] == fragment["regions"] == len(db.view.regions())
    assert fragment["places"] == {"this process": fragment["groups"]}
    (scan,) = fragment["scans"]
    assert scan["rows"] == db.snapshot.counts["measures"]
    assert 0 < scan["files"] <= scan["parts"]
    assert scan["bytes"] > 0
    json.dumps(tree)


def test_an_analysis_counts_what_was_done(catdir, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    with dvo.open(catdir) as db:
        tree = db.explain(GROUPED, analyze=True, workers=1).tree
        again = db.explain(GROUPED, analyze=True, workers=1).tree
        answer = db.sql(GROUPED)
        n_measures, n_groups = db.snapshot.counts["measures"], len(db.view.regions())
    took = tree["took"]
    assert took["n_rows"] == len(answer)
    assert answer.schema.metadata is None
    (notes,) = tree["fragments"][0]["took"].values()
    assert notes["n_groups"] == n_groups
    assert notes["n_rows_read"] == n_measures
    assert notes["n_tiles"] > 0
    assert notes["n_bytes"] > 0
    steps = ("read_s", "decode_s", "arrange_s", "evaluate_s")
    assert all(notes[name] >= 0 for name in steps)
    assert notes["evaluate_s"] > 0
    assert sum(notes[n] for n in steps) + took["plan_s"] + took["merge_s"] <= took["total_s"] + 0.1
    (cached,) = again["fragments"][0]["took"].values()
    assert cached["n_rows_read"] == n_measures
    assert (cached["n_tiles"], cached["n_bytes"]) == (0, 0)


@pytest.mark.parametrize("table", ["average", "object", "measure", "secfilt", "galphot"])
@pytest.mark.parametrize("what", ["COUNT(*)", "COUNT(1)", "SUM(2)"])
def test_counting_rows_reads_nothing(catdir, table, what):
    with dvo.open(catdir) as db:
        explained = db.explain(f"SELECT {what} AS n FROM {table}", analyze=True, workers=1)
        took = explained.tree["fragments"][0]["took"]
        found = db.sql(f"SELECT {what} AS n FROM {table}")["n"].to_pylist()
        rows = len(db.sql(f"SELECT obj_id FROM {table}"))
        assert len(db.sql(f"SELECT 1 AS one FROM {table}")) == rows
    assert (rows > 0) == (table != "galphot")
    assert found == [{"SUM(2)": 2 * rows or None}.get(what, rows)]
    assert all((notes["n_tiles"], notes["n_bytes"]) == (0, 0) for notes in took.values())
    assert f"count the rows of {table}, reading none" in str(explained)


def test_counting_rows_in_an_area_looks_where_they_are(catdir):
    text = (
        "SELECT COUNT(*) AS n FROM measure WHERE CONTAINS(POINT(ra, dec), CIRCLE(10, 40, 0.1)) = 1"
    )
    with dvo.open(catdir) as db:
        inside = db.cone(10, 40, 360, table="measure", columns=["ra"])
        assert db.sql(text)["n"].to_pylist() == [len(inside)]


def test_processes_and_hosts_are_told_apart(db, catdir):
    by_process = db.explain(GROUPED, analyze=True, engine="processes", workers=2).tree
    took = by_process["fragments"][0]["took"]
    assert all(worker.startswith("process ") for worker in took)
    assert sum(n["n_groups"] for n in took.values()) == by_process["fragments"][0]["groups"]
    with Hosts(catdir, 2, backups=False, modules=MODULES):
        tree = db.explain(GROUPED, analyze=True, engine="hosts").tree
        (fragment,) = tree["fragments"]
        assert set(fragment["places"]) == {"host 1", "host 2"}
        done = {worker: notes["n_groups"] for worker, notes in fragment["took"].items()}
        assert done == fragment["places"]
        assert tree["took"]["n_rows"] == by_process["took"]["n_rows"]


def test_explain_is_part_of_the_language(db):
    lines = db.sql(f"EXPLAIN {GROUPED}")["plan"].to_pylist()
    assert lines == str(db.explain(GROUPED)).splitlines()
    (piece,) = db.sql_batches(f"EXPLAIN ANALYZE {GROUPED}")
    assert any(line.startswith("took ") for line in piece["plan"].to_pylist())
    with pytest.raises(QueryError, match="line 1, column 25"):
        db.sql("EXPLAIN SELECT ra FROM ()")
    with pytest.raises(QueryError):
        db.sql("EXPLAIN EXPLAIN SELECT 1")
    with pytest.raises(QueryError):
        db.sql("EXPLAIN DELETE FROM measure")


def test_what_is_left_of_a_query_is_explained(db):
    text = "SELECT a.ra FROM average a WHERE a.dec < (SELECT AVG(b.dec) FROM average b)"
    tree = db.explain(text, analyze=True).tree
    assert len(tree["fragments"]) == 2
    assert tree["rest"].startswith("SELECT")
    assert tree["took"]["merge_s"] > 0
    assert "over the results" in str(db.explain(text))


def test_the_command_prints_text_or_a_tree(catdir):
    def ask(*words):
        done = CliRunner().invoke(dvo_command, ["query", str(catdir), *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "in each group: SELECT" in ask("--explain", GROUPED)
    assert "evaluate" in ask("--analyze", GROUPED)
    tree = json.loads(ask("--analyze", GROUPED, "-f", "json"))
    assert tree["took"]["n_rows"] > 0
    rows = json.loads(ask(f"EXPLAIN {GROUPED}", "-f", "json"))
    assert rows[0]["plan"].startswith("snapshot ")
