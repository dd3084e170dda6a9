"""Loading, merging and publishing: every batch once, all or nothing, and the last one counts."""

from __future__ import annotations

import json

import duckdb
import pytest
from click.testing import CliRunner

from dvo.cli.ipptopsps import ipptopsps
from dvo.cli.psps import psps
from dvo.errors import ConfigError, CorruptTableError, StorageError
from dvo.partition.store import Store
from dvo.psps.batch_file import find_manifests, read_batch, read_manifest
from dvo.psps.batch_states import BatchState, BatchStates
from dvo.psps.loading.load_folder import load_folder
from dvo.psps.loading.public_database import open_public_database
from dvo.psps.make_batches import BatchOptions, make_batches
from dvo.psps.schema.batches import TABLES, BatchType
from dvo.reshape.delete import delete_images
from dvo.reshape.sources import ImageChoice
from tests.synth import add_images, filled_database, make_images

FIRST = "objID = (SELECT MIN(objID) FROM staging.ObjectThin)"
DAMAGES = [
    ("INSERT INTO staging.ObjectThin SELECT * FROM staging.ObjectThin LIMIT 1", "twice"),
    (f"DELETE FROM staging.ObjectThin WHERE {FIRST}", "does not have"),
    (
        "; ".join(f"DELETE FROM staging.{t} WHERE {FIRST}" for t in ("MeanObject", "ObjectThin")),
        "rows, not the",
    ),
]


@pytest.fixture
def catdir(tmp_path):
    return filled_database(tmp_path / "sky", n_stars=200)


@pytest.fixture
def url(tmp_path):
    return f"duckdb:///{tmp_path}/public.duckdb"


def make(catdir, folder):
    with Store(catdir) as store:
        make_batches(store.view(), folder, BatchOptions(tuple(BatchType)))


def load_and_merge(url, folder):
    with open_public_database(url, create=True) as database:
        load_folder(database, folder)
        return database.merge()


def rows(url, text):
    with duckdb.connect(url.removeprefix("duckdb:///"), read_only=True) as con:
        return con.execute(text).fetchall()


def is_as_the_batches_say(url, folder):
    """Whether the merged tables are the latest batches of all scopes, value for value."""
    latest = {}
    for path in find_manifests(folder):
        manifest = read_manifest(path)
        latest[manifest.batch_type, manifest.scope] = manifest
    for name, table in TABLES.items():
        wanted = [
            tuple(zip(*(batch[name][c].tolist() for c in table.names), strict=True))
            for manifest in latest.values()
            if name in manifest.tables
            for batch in [read_batch(folder, manifest)]
        ]
        flat = sorted(
            tuple(v.decode() if isinstance(v, bytes) else v for v in row)
            for piece in wanted
            for row in piece
        )
        if sorted(rows(url, f'SELECT * FROM main."{name}"')) != flat:
            return False
    return True


def test_what_is_merged_is_what_the_batches_hold(catdir, tmp_path, url):
    make(catdir, tmp_path / "out")
    report = load_and_merge(url, tmp_path / "out")
    assert len(report.batches) == len(find_manifests(tmp_path / "out"))
    assert is_as_the_batches_say(url, tmp_path / "out")
    again = load_and_merge(url, tmp_path / "out")
    assert (again.batches, again.n_rows) == ((), {})
    assert is_as_the_batches_say(url, tmp_path / "out")
    assert rows(url, "SELECT COUNT(*), COUNT(DISTINCT objID) FROM ObjectThin") == [(200, 200)]
    (joined,) = rows(url, "SELECT COUNT(*) FROM MeanObjectView WHERE gMeanPSFMag > -999")
    assert joined[0] > 0


@pytest.mark.parametrize("merge_between", [True, False])
def test_later_batches_take_the_place_of_earlier_ones(catdir, tmp_path, url, merge_between):
    make(catdir, tmp_path / "out")
    with open_public_database(url, create=True) as database:
        load_folder(database, tmp_path / "out")
        if merge_between:
            database.merge()
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(1, 200, 1, first=9))
    make(catdir, tmp_path / "out")
    report = load_and_merge(url, tmp_path / "out")
    assert bool(report.superseded) != merge_between
    assert is_as_the_batches_say(url, tmp_path / "out")
    with Store(catdir, writable=True) as store:
        delete_images(store, ImageChoice(("*",)))
    make(catdir, tmp_path / "out")
    load_and_merge(url, tmp_path / "out")
    assert rows(url, "SELECT COUNT(*) FROM ObjectThin") == [(0,)]
    assert is_as_the_batches_say(url, tmp_path / "out")


def test_batches_that_do_not_belong_together_are_not_merged(catdir, tmp_path, url):
    make(catdir, tmp_path / "out")
    with open_public_database(url, create=True) as database:
        load_folder(database, tmp_path / "out")
        for text, match in DAMAGES:
            database._con.execute("CREATE OR REPLACE TEMP TABLE o AS FROM staging.ObjectThin")
            database._con.execute("CREATE OR REPLACE TEMP TABLE m AS FROM staging.MeanObject")
            database._con.execute(text)
            with pytest.raises(CorruptTableError, match=match):
                database.merge()
            assert database.counts()["ObjectThin"] == 0
            for name, kept in (("ObjectThin", "o"), ("MeanObject", "m")):
                database._con.execute(f"DELETE FROM staging.{name}")
                database._con.execute(f"INSERT INTO staging.{name} SELECT * FROM {kept}")
        database.merge()
    assert is_as_the_batches_say(url, tmp_path / "out")


def test_batches_of_others_are_refused(catdir, tmp_path, url):
    make(catdir, tmp_path / "out")
    other = filled_database(tmp_path / "other", seed=2, n_stars=20)
    make(other, tmp_path / "others")
    load_and_merge(url, tmp_path / "out")
    with (
        open_public_database(url) as database,
        pytest.raises(CorruptTableError, match="database of its own"),
    ):
        load_folder(database, tmp_path / "others")
    manifest = read_manifest(find_manifests(tmp_path / "out")[-1])
    path = tmp_path / "out" / manifest.file.replace(".fits", ".json")
    path.write_text(path.read_text().replace(manifest.digest, "0" * 32))
    with (
        open_public_database(url) as database,
        pytest.raises(CorruptTableError, match="has another batch"),
    ):
        load_folder(database, tmp_path / "out")


def test_releases_stay_as_they_were(catdir, tmp_path, url):
    make(catdir, tmp_path / "out")
    load_and_merge(url, tmp_path / "out")
    with open_public_database(url) as database:
        assert [r.name for r in database.publish("DR1")] == ["DR1"]
        for name in ("dr1", "a b", "", "1x", "x" * 50, 'x"; DROP TABLE ObjectThin'):
            with pytest.raises(ConfigError):
                database.publish(name)
    with Store(catdir, writable=True) as store:
        delete_images(store, ImageChoice(("*",)))
    make(catdir, tmp_path / "out")
    load_and_merge(url, tmp_path / "out")
    assert rows(url, "SELECT COUNT(*) FROM published.MeanObjectView") == [(200,)]
    with open_public_database(url) as database:
        assert [(r.name, r.n_objects) for r in database.publish("DR2")] == [
            ("DR2", 0),
            ("DR1", 200),
        ]
        assert [r.name for r in database.publish("DR3")] == ["DR3", "DR2"]
    assert rows(url, "SELECT COUNT(*) FROM published.ObjectThin") == [(0,)]
    with pytest.raises(duckdb.CatalogException):
        rows(url, "SELECT COUNT(*) FROM release_DR1.ObjectThin")


@pytest.mark.parametrize("bad", ["public.duckdb", "duckdb://x", "postgresql://here/x", ""])
def test_addresses_of_other_forms(bad):
    with pytest.raises(ConfigError, match="duckdb:///FILE"):
        open_public_database(bad)


def test_no_database_to_merge_in(url, tmp_path):
    with pytest.raises(StorageError, match="psps load makes it"):
        open_public_database(url)
    (tmp_path / "public.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_public_database(url)


def test_commands(catdir, tmp_path, url):
    out = str(tmp_path / "out")

    def run(command, *words):
        done = CliRunner().invoke(command, words)
        assert done.exit_code == 0, done.output
        return done.stdout

    made = json.loads(run(ipptopsps, str(catdir), "--type", "OB", "-o", out, "--json"))
    assert made["n_rows"] == 200
    assert made["n_batches"] == len(find_manifests(tmp_path / "out"))
    assert "0 batches made" in run(ipptopsps, str(catdir), "--type", "OB", "-o", out)
    run(ipptopsps, str(catdir), "-o", out)
    loaded = json.loads(run(psps, "load", "--db", url, out, "--json"))
    assert loaded["n_batches"] == made["n_batches"] + 1
    assert "0 batches loaded" in run(psps, "load", "--db", url, out)
    with BatchStates(tmp_path / "out") as states:
        assert {row.state for row in states.rows()} == {BatchState.LOADED}
    merged = json.loads(run(psps, "merge", "--db", url, "--batches", out, "--json"))
    assert merged["n_rows"]["ObjectThin"] == 200
    with BatchStates(tmp_path / "out") as states:
        assert {row.state for row in states.rows()} == {BatchState.MERGED}
    assert "DR1" in run(psps, "publish", "--db", url, "DR1")
    status = run(psps, "status", "--db", url)
    assert "ObjectThin: 200 rows merged" in status
    assert json.loads(run(psps, "status", "--db", url, "--json"))["rows"]["MeanObject"] == 200
