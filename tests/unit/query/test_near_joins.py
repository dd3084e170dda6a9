"""Joins by distance: pairs from a grid on the sky, and what the evaluator finds without them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sqlglot import exp

from dvo.partition.store import Store
from dvo.query import near_joins, run
from dvo.query.evaluator import Evaluator
from dvo.query.near_joins import Statement
from dvo.query.session import Database
from tests.synth import FIELDS, add_images, make_database, make_images
from tests.unit.query.oracle import Oracle

MIDDLES = {
    "seam": (0.0, 20.0),
    "north": (120.0, 90.0),
    "south": (10.0, -89.99),
    "plain": (200.0, -40.0),
}
RADIUS = 0.02

TWO_TABLES = [
    "FROM u JOIN o ON {d} < {r}",
    "FROM o JOIN u ON {r} >= {d}",
    "FROM u, o WHERE {d} <= {r} AND o.id > 3",
    "FROM u CROSS JOIN o WHERE ({d} <= {r})",
    "FROM u LEFT JOIN o ON {d} < {r}",
    "FROM o LEFT JOIN u ON {d} < {r} AND u.id > 10",
    "FROM u LEFT JOIN o ON u.id = o.id WHERE {d} < 10 * {r}",
    "FROM u RIGHT JOIN o ON {d} < {r}",
    "FROM u FULL JOIN o ON {d} < {r}",
    "FROM u JOIN o ON {d} < u.r",
    "FROM u JOIN o ON {d} <= o.r",
    "FROM u JOIN o ON CAST(({d} <= {r}) AS INT) = 1",
    "FROM u JOIN o ON 1 = CAST(({d} <= {r}) AS INT) OR u.id = o.id",
    "FROM u JOIN o ON NOT {d} <= 100",
    "FROM u JOIN o ON {d} < 0",
    "FROM u JOIN o ON {d} <= 0",
    "FROM u JOIN o ON {d} < 400",
]
THREE_TABLES = [
    "FROM u JOIN o ON {d} < {r} JOIN p ON p.id = o.id",
    "FROM p, u JOIN o ON {d} < {r} WHERE p.id = u.id",
    "FROM u LEFT JOIN o ON {d} < {r} JOIN p ON {e} < {r}",
    "FROM p JOIN o ON p.id = o.id LEFT JOIN u ON {d} < {r}",
    "FROM u JOIN o ON {d} < {r} RIGHT JOIN p ON p.id = o.id",
    "FROM u JOIN o ON {d} < {r} LEFT JOIN p ON {e} < {r}",
]


def distance(one, two):
    columns = [exp.column(n, table=t) for t in (one, two) for n in ("ra", "dec")]
    return exp.Anonymous(this="DVO_DISTANCE", expressions=columns).sql("duckdb")


def places(rng, middle, n):
    """Places around one, some in the same spot, some nowhere, some written in other ways."""
    ra0, dec0 = middle
    x, y = rng.uniform(-0.1, 0.1, (2, n))
    dec = dec0 + y
    ra = (ra0 + x / max(np.cos(np.radians(dec0)), 0.01)) % 360.0
    ra[:2], dec[:2] = ra[2], dec[2]
    ra[3] -= 360.0
    ra[4] += 720.0
    table = pa.table({"id": np.arange(n), "ra": ra, "dec": dec, "r": rng.uniform(0, RADIUS, n)})
    holes = [None if k in (5, 6) else v for k, v in enumerate(table["ra"].to_pylist())]
    radii = [None if k == 7 else v for k, v in enumerate(table["r"].to_pylist())]
    depths = [None if k == 6 else v for k, v in enumerate(table["dec"].to_pylist())]
    return pa.table({"id": table["id"], "ra": holes, "dec": depths, "r": radii})


def same(one, two):
    assert one.column_names == two.column_names
    return sorted(map(repr, one.to_pylist())) == sorted(map(repr, two.to_pylist()))


@pytest.mark.parametrize("middle", MIDDLES.values(), ids=MIDDLES)
@pytest.mark.parametrize("text", [*TWO_TABLES, *THREE_TABLES])
def test_pairs_change_nothing(rng, middle, text):
    tables = {name: places(rng, middle, n) for name, n in (("u", 40), ("o", 70), ("p", 25))}
    ids = ", ".join(f"{t}.id AS {t}" for t in "uop" if t != "p" or text in THREE_TABLES)
    query = f"SELECT {ids} " + text.format(d=distance("u", "o"), e=distance("u", "p"), r=RADIUS)
    statement = Statement.of(exp.maybe_parse(query, dialect="duckdb"))
    assert bool(statement.joins) == (
        " FULL " not in text and "RIGHT JOIN o" not in text and "NOT" not in text
        and " OR " not in text
    )  # fmt: skip
    with Evaluator() as evaluator:
        sql, paired = statement.over(tables)
        found = evaluator.run(sql, paired)
        assert same(found, evaluator.run(statement.sql, tables))
    if "< 400" not in text:
        assert (sql == statement.paired_sql) == bool(statement.joins)
    if text == TWO_TABLES[0]:
        assert 20 < len(found) < 1000


@pytest.mark.parametrize(
    "place",
    [
        {"ra": ["10", "20"], "dec": ["1", "2"]},  # text
        {"ra": [1e30, 10.0], "dec": [1.0, 2.0]},  # no angle
    ],
)
def test_what_is_no_place_is_left_to_the_evaluator(place):
    tables = {"u": pa.table(place), "o": pa.table({"ra": [10.0], "dec": [1.0]})}
    tree = exp.maybe_parse(f"SELECT 1 AS x FROM u JOIN o ON {distance('u', 'o')} < 1")
    statement = Statement.of(tree)
    assert statement.over(tables) == (statement.sql, tables)


def test_declinations_beyond_the_pole(rng):
    """Sines and cosines know no poles: 95 degrees is 85 on the other side."""
    ra, dec = rng.uniform(0, 360, 300), rng.uniform(84, 96, 300)
    tables = {
        "u": pa.table({"id": np.arange(300), "ra": ra, "dec": dec}),
        "o": pa.table({"id": np.arange(300), "ra": (ra + 180) % 360, "dec": 180.0 - dec}),
    }
    text = f"SELECT u.id AS u, o.id AS o FROM u JOIN o ON {distance('u', 'o')} < 0.9"
    statement = Statement.of(exp.maybe_parse(text))
    with Evaluator() as evaluator:
        sql, paired = statement.over(tables)
        assert sql == statement.paired_sql
        found = evaluator.run(sql, paired)
        assert len(found) >= 300
        assert same(found, evaluator.run(statement.sql, tables))


def test_too_many_pairs_are_left_to_the_evaluator(monkeypatch):
    monkeypatch.setattr(near_joins, "_MOST_PAIRS", 5)
    table = pa.table({"ra": [10.0] * 3, "dec": [1.0] * 3})
    tree = exp.maybe_parse(f"SELECT 1 AS x FROM u JOIN o ON {distance('u', 'o')} < 0.1")
    statement = Statement.of(tree)
    tables = {"u": table, "o": table}
    assert statement.over(tables)[0] == statement.sql
    assert statement.over({"u": table, "o": table.slice(0, 1)})[0] == statement.paired_sql


DATABASE = [
    (
        "SELECT u.id, a.cat_id, a.obj_id FROM upload.places AS u JOIN average AS a "
        "ON DISTANCE(u.ra, u.dec, a.ra, a.dec) < 0.01"
    ),
    (
        "SELECT u.id, a.cat_id, a.obj_id FROM upload.places AS u, average AS a "
        "WHERE CONTAINS(POINT(a.ra, a.dec), CIRCLE(u.ra, u.dec, u.r)) = 1"
    ),
    (
        "SELECT u.id, a.cat_id, a.obj_id FROM upload.places AS u LEFT JOIN average AS a "
        "ON DISTANCE(u.ra, u.dec, a.ra, a.dec) < 0.01 AND a.nmeasure > 1"
    ),
    (
        "SELECT a.cat_id, a.obj_id, u.id FROM average AS a LEFT JOIN upload.places AS u "
        "ON q3c_join(u.ra, u.dec, a.ra, a.dec, 0.01)"
    ),
    (
        "SELECT u.id, COUNT(*) AS n, AVG(m.mag) AS mean FROM average AS a JOIN measure AS m "
        "USING (cat_id, obj_id) JOIN upload.places AS u "
        "ON DISTANCE(u.ra, u.dec, a.ra, a.dec) < 0.01 GROUP BY u.id"
    ),
    (
        "SELECT u.id, COUNT(m.mag) AS n FROM upload.places AS u LEFT JOIN measure AS m "
        "ON DISTANCE(u.ra, u.dec, m.ra, m.dec) < 0.005 GROUP BY u.id"
    ),
    (
        "SELECT COUNT(*) AS n FROM measure AS m WHERE EXISTS (SELECT 1 FROM upload.places AS u "
        "WHERE DISTANCE(u.ra, u.dec, m.ra, m.dec) < 0.005)"
    ),
]


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.slow] if n == "middle" else []) for n in FIELDS],
)
def sky(request, tmp_path_factory):
    """A database, places that its objects are near, and the oracle."""
    rng = np.random.default_rng(5)
    catdir = make_database(tmp_path_factory.mktemp("sky") / "db", level=4)
    with Store(catdir, writable=True) as store:
        add_images(store, make_images(4, 100, 4, request.param))
    with Database(catdir) as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_GROUP_ROWS", 60)
        found = db.sql("SELECT ra, dec FROM average")
        ra, dec = (found[n].to_numpy()[::3] for n in ("ra", "dec"))
        n = len(ra)
        dec = np.clip(dec + rng.normal(0, 0.002, n), -90, 90)
        radius = rng.uniform(0, 0.02, n)
        dec[3], ra[4] = np.nan, np.nan
        uploads = {"places": pa.table({"id": np.arange(n), "ra": ra, "dec": dec, "r": radius})}
        whole = {"places": uploads["places"].set_column(1, "ra", pa.array(ra, from_pandas=True))
                 .set_column(2, "dec", pa.array(dec, from_pandas=True))}  # fmt: skip
        yield db, uploads, Oracle(db.view, whole)


def rows(found):
    return sorted(repr([f"{v:.9e}" if isinstance(v, float) else v for v in r]) for r in found)


@pytest.mark.parametrize("text", DATABASE)
def test_like_plain_duckdb(sky, text):
    db, uploads, oracle = sky
    found = db.sql(text, uploads=uploads)
    expected = oracle.answer(text)
    assert len(expected) > 0
    assert rows(zip(*(c.to_pylist() for c in found.columns), strict=True)) == rows(expected)


def test_only_regions_near_the_places_are_read(sky):
    db, uploads, _ = sky
    one = {"places": uploads["places"].slice(0, 1)}
    for text in DATABASE[:3]:
        plan = db.plan(text, uploads=one)
        (fragment,) = [f for f in plan.fragments if not f.is_global]
        tables = {"upload.places": one["places"]}
        read = {r for g in run.groups_of(db.view, fragment, tables) for r in g}
        every = {r for g in run.groups_of(db.view, fragment) for r in g}
        assert read < every == set(db.view.regions())
        assert len(db.sql(text, uploads=one)) > 0


def test_objects_without_a_place_near_are_wanted(sky):
    """An outer join of the other side needs all regions."""
    db, uploads, _ = sky
    (fragment,) = db.plan(DATABASE[3], uploads=uploads).fragments
    assert fragment.near == ()


@pytest.mark.parametrize(
    "joins",
    [
        "upload.one AS u CROSS JOIN average AS b LEFT JOIN average AS a ON {ids} AND {near}",
        "upload.one AS u CROSS JOIN average AS a RIGHT JOIN average AS b ON {ids} AND {near}",
        "upload.one AS u JOIN average AS a ON {near} RIGHT JOIN average AS b ON {ids}",
        "upload.one AS u JOIN average AS a ON {near} FULL JOIN average AS b ON {ids}",
    ],
)
def test_objects_far_away_are_wanted_without_a_partner(sky, joins):
    """A join by distance is no condition on tables that another join fills up with nulls."""
    db, uploads, _ = sky
    one = {"one": uploads["places"].slice(0, 1)}
    ids = "a.cat_id = b.cat_id AND a.obj_id = b.obj_id"
    text = joins.format(ids=ids, near="DISTANCE(u.ra, u.dec, a.ra, a.dec) < 0.01")
    found = db.sql(f"SELECT b.cat_id, b.obj_id, a.obj_id AS partner FROM {text}", uploads=one)
    every = db.sql("SELECT cat_id, obj_id FROM average").to_pylist()
    objects = found.select(["cat_id", "obj_id"]).to_pylist()
    assert sorted(map(repr, objects)) == sorted(map(repr, every))
    assert 0 < len(found) - found["partner"].null_count < len(found)
