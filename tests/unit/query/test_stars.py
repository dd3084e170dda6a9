"""What `*` means, and what it can leave out."""

from __future__ import annotations

import pytest

import dvo
from dvo.errors import QueryError, UnknownColumnError
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from tests.synth import filled_database


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with dvo.open(filled_database(tmp_path_factory.mktemp("stars") / "sky")) as found:
        yield found


def names(db, sql):
    return db.sql(sql).column_names


@pytest.mark.parametrize("rest", ["ORDER BY mjd", 'WHERE "mag:rel" < 30', "WHERE mjd IS NULL"])
def test_what_is_made_for_the_query_is_no_part_of_a_star(db, rest):
    assert names(db, f"SELECT * FROM measure {rest}") == list(MEASURE.names)
    assert names(db, f"SELECT *, mjd FROM measure {rest}") == [*MEASURE.names, "mjd"]
    inner = f"SELECT * FROM (SELECT *, mjd FROM measure {rest}) AS q"
    assert names(db, inner) == [*MEASURE.names, "mjd"]


@pytest.mark.parametrize(
    ("sql", "left_out"),
    [
        ("SELECT * EXCLUDE (ra, dec) FROM average", {"ra", "dec"}),
        ("SELECT * EXCLUDE ra FROM average", {"ra"}),
        ("SELECT * EXCEPT (RA) FROM average", {"ra"}),
        ('SELECT a.* EXCLUDE ("ra") FROM average AS a JOIN measure AS m USING (cat_id, obj_id)',
         {"ra"}),
        ("WITH w AS (SELECT * EXCLUDE (ra) FROM average) SELECT * EXCLUDE (dec) FROM w",
         {"ra", "dec"}),
        ("SELECT * EXCLUDE (ra) FROM average UNION SELECT * EXCLUDE (ra) FROM average", {"ra"}),
    ],
)  # fmt: skip
def test_a_star_leaves_out_what_it_is_told_to(db, sql, left_out):
    assert names(db, sql) == [n for n in AVERAGE.names if n not in left_out]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * EXCLUDE (rra) FROM average", "no column 'rra' to leave out; did you mean ra"),
        ("SELECT * EXCLUDE (mjd) FROM measure", "no column 'mjd' to leave out"),
        ("SELECT * EXCLUDE (x) FROM (SELECT ra AS x FROM average) AS q", "leaves no column"),
        ("SELECT * EXCLUDE () FROM average", "nothing is in the brackets"),
        ("SELECT * EXCLUDE (a.ra) FROM average AS a", "takes EXCLUDE"),
        ("SELECT COUNT(* EXCLUDE (ra)) FROM average", "takes EXCLUDE"),
        ("SELECT * REPLACE (1 AS ra) FROM average", "takes EXCLUDE"),
        ("SELECT * RENAME (ra AS x) FROM average", "takes EXCLUDE"),
        ("SELECT * ILIKE 'r%' FROM average", "takes EXCLUDE"),
        ("SELECT x.* FROM average AS a", "no table is called 'x' here"),
        ("SELECT a.* EXCLUDE (ra), a.* FROM average AS a", "more than once"),
    ],
)
def test_stars_that_mean_nothing_are_told(db, sql, message):
    with pytest.raises((QueryError, UnknownColumnError)) as told:
        db.sql(sql)
    assert message in str(told.value)
