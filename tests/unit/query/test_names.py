"""Names in queries: case, stars, columns called alike; whole numbers without a sign."""

from __future__ import annotations

import numpy as np
import pytest

import dvo
from dvo.errors import QueryError
from tests.synth import filled_database


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with dvo.open(filled_database(tmp_path_factory.mktemp("names") / "sky")) as found:
        yield found


@pytest.mark.parametrize("name", ["mjd", "MJD", '"MJD"', '"mjd"', 'm."Mjd"'])
def test_case_is_of_no_account(db, name):
    found = db.sql(f"SELECT {name} FROM measure AS m WHERE {name} > 57000")
    assert found.column_names == ["mjd"]
    assert len(found) == db.snapshot.counts["measures"]


def test_results_keep_the_case_that_they_are_given(db):
    found = db.sql('SELECT q."X" FROM (SELECT "RA" AS "X" FROM average) AS q ORDER BY "X"')
    assert found.column_names == ["X"]
    assert found["X"].to_pylist() == sorted(db.sql("SELECT ra FROM average")["ra"].to_pylist())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT *, * FROM average", "more than once"),
        (f"SELECT {'m.*, ' * 2000} ra FROM measure AS m", "more than once"),
        (f"SELECT * FROM {', '.join(f'photcode p{k}' for k in range(200))}", "names 200 tables"),
        ("SELECT * FROM (SELECT a.ra, b.ra FROM average a, average b) AS q", "called 'ra'"),
        ("WITH q AS (SELECT ra, dec AS ra FROM average) SELECT * FROM q", "called 'ra'"),
    ],
)
def test_what_grows_or_is_called_alike_is_refused(db, text, message):
    with pytest.raises(QueryError, match=message):
        db.sql(text)


def test_differences_may_be_below_zero(db):
    found = db.sql(
        "SELECT obj_id, det_id, obj_id - det_id - 3 AS less, -obj_id AS minus, time * 4 AS times, "
        "time FROM measure WHERE obj_id - 1000 < 0"
    )
    columns = {n: found[n].to_numpy().astype(np.int64) for n in found.column_names}
    assert (columns["less"] < 0).any()
    assert (columns["less"] == columns["obj_id"] - columns["det_id"] - 3).all()
    assert (columns["minus"] == -columns["obj_id"]).all()
    assert (columns["times"] == 4 * columns["time"]).all()
    (row,) = db.sql("SELECT MIN(time) - MAX(time) AS d, MAX(time) AS t FROM measure").to_pylist()
    assert row["d"] < 0
    groups = db.sql("SELECT obj_id - 3 AS x, COUNT(*) AS n FROM measure GROUP BY obj_id - 3")
    assert min(groups["x"].to_pylist()) == int(columns["obj_id"].min()) - 3
