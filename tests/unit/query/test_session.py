"""`db.sql` and `dvo query`: names, messages, metadata, uploads, limits, time."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command as dvo_program
from dvo.errors import BadCatalogError, EngineError, JobTimeoutError, QueryError, UnknownColumnError
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.query import run
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from tests.synth import filled_database

CHIP = "CIRCLE(ra_center, dec_center, radius)"


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("session") / "sky")


@pytest.fixture
def db(catdir):
    with dvo.open(catdir) as found:
        yield found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT ra FROM avrage", "no table 'avrage'; did you mean average?"),
        ("SELECT ra FROM '/etc/passwd'", "no table"),
        ("SELECT ra FROM other.average", "no schema 'other'"),
        ("SELECT ra FROM upload.mine AS u", "no table 'upload.mine'; give one with --upload mine="),
        ("SELECT ra FROM average WHERE mag < 5", "no column 'mag'; it is a column of measure"),
        ("SELECT g_mag FROM average", "no column 'g_mag'; it is a column of object"),
        ("SELECT mag:rel FROM measure", "a magnitude word stands in double quotes"),
        ('SELECT "mag:rell" FROM measure', "no column 'mag:rell'; it is no magnitude word"),
        ("SELECT ra FROM average WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.1))",
         "CIRCLE(56.75, 24.1): write CIRCLE(ra, dec, radius)"),
        ("SELECT ra FROM average WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.1, 1000))",
         "it is 1000 degrees, and 0 to 180 are possible"),
        ("SELECT rra FROM average", "no column 'rra'; did you mean ra"),
        ("SELECT a.mag FROM average a", "no column 'a.mag'"),
        ("SELECT b.ra FROM average a", "no column 'b.ra'"),
        ("SELECT q.z FROM (SELECT ra FROM average) AS q", "no column"),
        ("SELECT ra FROM average, measure", "ambiguous: write average.ra or measure.ra"),
        ("SELECT * FROM average NATURAL JOIN measure", "USING (cat_id, obj_id)"),
        ("SELECT mag, COUNT(*) FROM measure", "must be in GROUP BY"),
        ("SELECT mag FROM measure GROUP BY image_id", "must be in GROUP BY"),
        ("SELECT mag FROM measure ORDER BY 2", "no result 2"),
        ("SELECT TOP 1.5 mag FROM measure ORDER BY mag", "whole number"),
        ("SELECT POINT(ra, dec) FROM average", "is no value"),
        ("SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), ra) = 1", "is needed"),
        ("SELECT ra FROM average WHERE CONTAINS(POINT(ra), CIRCLE(1, 2, 3)) = 1", "takes 2"),
        ("SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE(1, 92, 3)) = 1", "92"),
        ("SELECT ra FROM average WHERE CONTAINS(POINT('GALACTIC', ra, dec), CIRCLE(1, 2, 3)) = 1",
         "ICRS, not GALACTIC"),
        ("SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), BOX(ra, dec, 1, 1)) = 1",
         "need constant numbers"),
        (f"SELECT image_id FROM image WHERE CONTAINS({CHIP}, CIRCLE(1, 2, 3)) = 1",
         "has to be a POINT"),
        (f"SELECT image_id FROM image WHERE INTERSECTS({CHIP}, BOX(1, 2, 3, 4)) = 1",
         "of two regions only circles can be compared"),
        (f"SELECT image_id FROM image WHERE INTERSECTS(POLYGON(1, 2, 3, 2, 2, 3), {CHIP}) = 1",
         "of two regions only circles can be compared"),
        ("SELECT INTERSECTS(BOX(1, 2, 3, 4), BOX(1, 2, 3, 4)) AS x FROM image",
         "takes a POINT and a region, or two CIRCLEs"),
        ("SELECT ra FROM average WHERE INTERSECTS(CIRCLE(1, 2, -3), CIRCLE(1, 2, 3)) = 1",
         "radius -10800"),
        ("SELECT ra FROM average WHERE INTERSECTS(POINT(ra, dec), POINT(ra, dec)) = 1",
         "a CIRCLE, BOX or POLYGON is needed"),
        ("SELECT ra / name FROM average, image", "query: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(db, text, message):
    with pytest.raises(QueryError, match=r"^query: ") as caught:
        db.sql(text)
    assert message in str(caught.value)


def test_an_unknown_column_has_an_error_of_its_own(db):
    with pytest.raises(UnknownColumnError):
        db.sql("SELECT nothing FROM average")


def test_columns_of_tables_keep_what_is_known_of_them(db):
    found = db.sql("SELECT m.ra AS alpha, m.mag + 1 AS x, g_mag FROM measure m "
                   "JOIN object o USING (cat_id, obj_id)")  # fmt: skip
    about = {f.name: f.metadata for f in found.schema}
    assert about["alpha"][b"unit"] == b"deg"
    assert about["alpha"][b"ucd"].startswith(b"pos.eq.ra")
    assert about["g_mag"][b"unit"] == b"mag"
    assert about["x"] == {b"unit": b"mag"}


def test_magnitude_words_and_derived_columns_are_columns(db):
    found = db.sql('SELECT "mag:rel", "g:err", mjd, photcode_name FROM measure')
    (region, *_) = db.view.regions()
    expected = pa.concat_tables(
        [pa.Table.from_batches([b]) for b in
         db.scan("measure", ["mag:rel", "g:err", "mjd", "photcode_name"])]
    )  # fmt: skip
    assert region >= 0
    assert found.to_pydict() == expected.to_pydict()
    assert db.sql('SELECT "g" AS g, "g:nphot" AS n FROM average ORDER BY ra')["n"].null_count == 0


@pytest.mark.parametrize("kind", ["arrow", "pandas", "astropy", "arrays"])
def test_uploads_of_any_kind(db, kind):
    columns = {"ID": np.array([1, 2]), "X": np.array([1.5, np.nan])}
    table = {"arrow": lambda: pa.table(columns), "pandas": lambda: pd.DataFrame(columns),
             "astropy": lambda: Table(columns), "arrays": lambda: columns}[kind]()  # fmt: skip
    found = db.sql("SELECT id, x FROM upload.mine ORDER BY id", uploads={"Mine": table})
    assert found.to_pylist() == [{"id": 1, "x": 1.5}, {"id": 2, "x": None}]
    found = db.sql("SELECT COUNT(*) AS n FROM tap_upload.mine u JOIN average a ON u.id > 1",
                   uploads={"mine": table})  # fmt: skip
    assert found["n"].to_pylist() == [db.snapshot.counts["objects"]]


@pytest.mark.parametrize("ending", ["csv", "fits", "vot", "parquet"])
def test_an_upload_may_be_a_file(db, tmp_path, ending):
    mine = Table({"ID": [1, 2], "X": [1.5, 2.5]})
    path = tmp_path / f"mine.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({n: np.asarray(mine[n]) for n in mine.colnames}), path)
    else:
        mine.write(path, format="votable" if ending == "vot" else None)
    for given in (path, str(path)):
        found = db.sql("SELECT id, x FROM upload.mine ORDER BY id", uploads={"mine": given})
        assert found.to_pylist() == [{"id": 1, "x": 1.5}, {"id": 2, "x": 2.5}]


def test_a_file_that_is_no_upload_is_told(db, tmp_path):
    text = "SELECT COUNT(*) AS n FROM upload.t"
    with pytest.raises(BadCatalogError, match=r"none.csv: cannot be read \(No such file"):
        db.sql(text, uploads={"t": tmp_path / "none.csv"})
    with pytest.raises(QueryError, match=r"upload .t.: .* is a folder and no table"):
        db.sql(text, uploads={"t": str(tmp_path)})
    (tmp_path / "noise").write_bytes(b"\0\1\2")
    with pytest.raises(BadCatalogError, match="noise: no table; FITS, Parquet, VOTable and CSV"):
        db.sql(text, uploads={"t": tmp_path / "noise"})


def test_a_column_of_places_is_ra_and_dec(db):
    places = db.sql("SELECT ra, dec FROM average ORDER BY ra LIMIT 5")
    where = SkyCoord(places["ra"].to_numpy(), places["dec"].to_numpy(), unit="deg")
    mine = QTable({"id": np.arange(5), "place": where.galactic})
    near = "JOIN average a ON DISTANCE(u.{0}ra, u.{0}dec, a.ra, a.dec) < 0.01 / 3600."
    found = db.sql("SELECT id FROM upload.mine u " + near.format("") + " ORDER BY id",
                   uploads={"mine": mine})  # fmt: skip
    assert found["id"].to_pylist() == list(range(5))
    two = {"id": mine["id"], "one": where, "two": where[::-1]}
    found = db.sql("SELECT id FROM upload.mine u " + near.format("two_") + " ORDER BY a.ra",
                   uploads={"mine": two})  # fmt: skip
    assert found["id"].to_pylist() == [4, 3, 2, 1, 0]
    with pytest.raises(QueryError, match="upload 'mine': column 'one' holds places"):
        db.sql("SELECT 1", uploads={"mine": {**two, "ONE_ra": mine["id"]}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_bytes": "4GB"}, "memory_bytes is '4GB'; give a whole number of bytes"),
        ({"memory_bytes": True}, "memory_bytes is True; give a whole number of bytes"),
        ({"memory_bytes": 2.5e7 + 0.5}, "give a whole number of bytes"),
        ({"memory_bytes": 0}, "give a whole number of bytes, at least 1"),
        ({"memory_bytes": float("nan")}, "give a whole number of bytes"),
        ({"workers": 0}, "workers is 0; give a whole number of workers, at least 1"),
        ({"workers": "2"}, "workers is '2'; give a whole number of workers"),
        ({"timeout_s": "1"}, "timeout_s is '1'; give one number in s"),
        ({"timeout_s": True}, "timeout_s is True; give one number in s"),
        ({"timeout_s": float("nan")}, "nan s leaves no time"),
    ],
)
def test_limits_that_are_none_are_told(db, options, message):
    text = "SELECT COUNT(*) AS n FROM average"
    for ask in (db.sql, lambda text, **o: list(db.sql_batches(text, **o)), db.explain):
        with pytest.raises(QueryError, match=message):
            ask(text, **options)
    if "memory_bytes" not in options and message != "nan s leaves no time":
        with pytest.raises(QueryError, match=message):
            db.map(len, **options)


def test_limits_of_any_size_and_kind_of_number_are_taken(db):
    text = "SELECT COUNT(*) AS n FROM average"
    for options in ({"memory_bytes": 4e9}, {"memory_bytes": 10**30}, {"timeout_s": np.inf},
                    {"timeout_s": 1e12}, {"workers": np.int64(1)}):  # fmt: skip
        assert db.sql(text, **options)["n"].to_pylist() == [db.snapshot.counts["objects"]]


@pytest.mark.parametrize("given", [5, None, b"SELECT 1"])
def test_a_query_that_is_no_text_is_told(db, given):
    for ask in (db.sql, lambda text: list(db.sql_batches(text)), db.explain, db.plan):
        with pytest.raises(QueryError, match="give a text, such as 'SELECT 1'"):
            ask(given)


@pytest.mark.parametrize("given", ["1GB", -1, 2.5, None])
def test_a_cache_of_no_size_is_told(catdir, given):
    with pytest.raises(QueryError, match=r"cache_bytes is .*; give a whole number of bytes"):
        dvo.open(catdir, cache_bytes=given)


def test_names_of_uploads_are_checked(db):
    with pytest.raises(QueryError, match="letters"):
        db.sql("SELECT 1", uploads={"a b": {"x": [1]}})
    with pytest.raises(QueryError, match="same name"):
        db.sql("SELECT 1", uploads={"a": pa.table({"x": [1], "X": [2]})})


def test_what_is_no_upload_is_told(db):
    offsets = pa.py_buffer(np.array([0, 2], np.int32).tobytes())
    latin = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    given = {
        "mapping of names": [pa.table({"x": [1]})],
        "letters": {5: pa.table({"x": [1]})},
        "has no columns": {"t": pa.table({})},
        "no valid table": {"t": pa.table({"x": latin})},
    }
    for match, uploads in given.items():
        with pytest.raises(QueryError, match=match):
            db.sql("SELECT COUNT(*) AS n FROM upload.t", uploads=uploads)


@pytest.mark.timeout(60)
def test_a_forked_child_is_told_to_open_the_database_itself(db):
    """It has neither the threads nor the workers of its parent, and would wait for ever."""
    text = "SELECT COUNT(*) AS n FROM average"
    wanted = db.sql(text, engine="processes", workers=1).to_pylist()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            db.sql(text, engine="processes", workers=1)
        except EngineError as err:
            db.close()
            code = 0 if "open it again" in str(err) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert db.sql(text, engine="processes", workers=1).to_pylist() == wanted


def test_names_of_the_user_are_no_names_of_ours(db):
    n = db.snapshot.counts["objects"]
    texts = [
        "WITH fragment_0 AS (SELECT 1 AS x) SELECT COUNT(a.dec) AS n FROM fragment_0 f, average a",
        "WITH parts AS (SELECT 1 AS c) SELECT c * COUNT(dec) AS n FROM parts, average GROUP BY c",
        "SELECT COUNT(parts.ra) AS n FROM average AS parts",
        "SELECT SUM(c0) AS n FROM (SELECT COUNT(ra) AS c0 FROM average GROUP BY dec) AS fragment_0",
    ]
    for text in texts:
        assert db.sql(text)["n"].to_pylist() == [n], text


def test_a_sum_that_is_too_large_is_an_error(db):
    with pytest.raises(QueryError, match="does not fit into 64 bits"):
        db.sql("SELECT SUM(9223372036854775807) FROM average")


def test_a_limit_ends_the_work(db, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    seen = []
    inside = run.Running.parts

    def counted(self, fragment):
        for part in inside(self, fragment):
            seen.append(len(part))
            yield part

    monkeypatch.setattr(run.Running, "parts", counted)
    n_groups = len(run.groups_of(db.view, db.plan("SELECT ra FROM measure").fragments[0]))
    assert n_groups > 1
    assert db.sql("SELECT ra FROM measure LIMIT 3").num_rows == 3
    assert len(seen) < n_groups
    assert db.sql("SELECT ra FROM measure LIMIT 0").num_rows == 0


def test_only_regions_that_a_place_touches_are_read(db):
    (row,) = db.sql("SELECT TOP 1 ra, dec FROM average ORDER BY ra").to_pylist()
    where = f"WHERE CONTAINS(POINT(ra, dec), CIRCLE({row['ra']}, {row['dec']}, 0.001)) = 1"
    (fragment,) = db.plan(f"SELECT ra FROM measure {where}").fragments
    groups = run.groups_of(db.view, fragment)
    assert sum(map(len, groups)) < len(db.view.regions())


def test_time_may_run_out(db, monkeypatch):
    monkeypatch.setattr(run, "_GROUP_ROWS", 1)
    with pytest.raises(JobTimeoutError):
        db.sql("SELECT mag FROM measure", timeout_s=1e-9)


def test_an_empty_database_gives_empty_answers(tmp_path):
    from tests.synth import make_database

    with dvo.open(make_database(tmp_path / "empty")) as db:
        assert db.sql("SELECT ra, mag FROM measure").num_rows == 0
        assert db.sql("SELECT COUNT(*) AS n, AVG(mag) AS m FROM measure").to_pylist() == [
            {"n": 0, "m": None}
        ]
        assert db.sql("SELECT photcode, COUNT(*) FROM measure GROUP BY photcode").num_rows == 0
        assert db.sql("SELECT g_mag FROM object").num_rows == 0
        assert db.sql("SELECT filter FROM secfilt").num_rows == 0


def dvo_command(*words, code=0):
    found = CliRunner().invoke(dvo_program, [str(w) for w in words])
    if code == 0 and found.exception is not None:
        raise found.exception
    return found


def test_the_command(catdir, tmp_path):
    found = dvo_command("query", catdir, "SELECT COUNT(*) AS n FROM measure", "-f", "json")
    with dvo.open(catdir) as db:
        assert json.loads(found.stdout) == [{"n": db.snapshot.counts["measures"]}]
    (tmp_path / "mine.csv").write_text("id,x\n1,2.5\n2,\n")
    script = tmp_path / "q.sql"
    script.write_text("SELECT id, x FROM upload.mine ORDER BY id")
    found = dvo_command("query", catdir, "--file", script, "--upload",
                        f"mine={tmp_path / 'mine.csv'}", "-f", "csv")  # fmt: skip
    assert found.stdout.splitlines() == ['"id","x"', "1,2.5", "2,"]
    text = dvo_command("query", catdir, "--explain",
                       "SELECT a.ra, COUNT(*) FROM average a JOIN measure m USING (cat_id, obj_id) "
                       "WHERE CONTAINS(POINT(a.ra, a.dec), CIRCLE(112.5, 15, 0.1)) = 1 "
                       "GROUP BY a.ra").stdout  # fmt: skip
    assert "rows in a circle about 112.5 15 of 0.1 deg" in text
    assert "in each group: SELECT" in text
    assert "of all groups: SELECT" in text
    refused = dvo_command("query", catdir, "SELECT 1; DROP TABLE x", code=1)
    assert isinstance(refused.exception, QueryError)
    assert "2 statements" in str(refused.exception)


def test_columns_are_read_as_they_lie_or_put_together(tmp_path):
    """Compacted tables, those with patches, and those with overlays give the same answers."""
    catdir = filled_database(tmp_path / "sky", n_stars=400)
    text = "SELECT cat_id, obj_id, image_id, ra, mag, m_cal FROM measure ORDER BY image_id, det_id"
    with dvo.open(catdir) as db:
        before = db.sql(text)
        assert before["m_cal"].null_count == len(before)
    with Store(catdir, writable=True) as store:
        resort(store, own_file_rows=1)
        view = store.view()
        changes = []
        for region in view.regions():
            table = view.read(MEASURE, region, ["mag"])
            (part,) = view.parts(MEASURE, region)
            changes.append((part, ColumnTable(MEASURE, {"m_cal": table["mag"] / 2}, len(table))))
        with store.begin("test", {}, view) as change:
            change.overlay(MEASURE, changes)
            change.commit()
    with dvo.open(catdir) as db:
        assert db.sql(text).drop(["m_cal"]).equals(before.drop(["m_cal"]))
        (row,) = db.sql("SELECT COUNT(*) AS n FROM measure WHERE m_cal = mag / 2").to_pylist()
        assert row["n"] == len(before)


@pytest.mark.parametrize(
    ("text", "marked", "line"),
    [
        ("SELECT rra,\n  dec FROM average", "rra", 1),
        ("SELECT ra,\n  dek + 1 FROM average", "dek", 2),
        ('SELECT ra,\n "mag:rell" AS m FROM measure', '"mag:rell"', 2),
        ("SELECT ra\nFROM avrage AS a", "avrage", 2),
        ("SELECT ra FROM other.average", "other", 1),
        ("SELECT ra FROM\n upload.mine AS u", "mine", 2),
        ("SELECT b.ra FROM average a", "b", 1),
        ("SELECT a.mag FROM average a", "mag", 1),
        ("SELECT\n  ra FROM average, measure", "ra", 2),
        ("SELECT SQURT(ra) FROM average", "SQURT", 1),
        ("SELECT mag\nFROM measure ORDER BY 2", "2", 2),
        ("EXPLAIN\nSELECT rra FROM average", "rra", 2),
    ],
)
def test_what_is_not_known_is_shown_where_it_stands(db, text, marked, line):
    with pytest.raises(QueryError) as caught:
        db.sql(text)
    said, shown, caret = str(caught.value).splitlines()
    assert said.startswith(f"query: line {line}, column ")
    assert shown == f"  {text.splitlines()[line - 1]}"
    start = caret.index("^")
    assert shown[start : start + caret.count("^")] == marked
