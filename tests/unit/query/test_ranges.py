"""Conditions on columns leave out tiles and parts, and never a row that counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from dvo.partition import pieces, writing
from dvo.partition.column_range import ColumnRange, kept_runs
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.query import plan as planning
from dvo.query import row_filter, run
from dvo.query.adql import parse_query
from dvo.query.places import conjuncts
from dvo.query.ranges import ranges_of
from dvo.query.row_filter import rows_in_ranges
from dvo.query.scan import Scan, read_scan
from dvo.query.session import Database
from dvo.query.sources import sources_of
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from tests.synth import add_images, make_database, make_images, photcodes
from tests.unit.query.oracle import Oracle

CONDITIONS = [
    ("m.mag < 20", ("mag", -np.inf, 20.0)),
    ("20.5 <= m.mag", ("mag", 20.5, np.inf)),
    ("(m.mag > -3)", ("mag", -3.0, np.inf)),
    ("m.image_id = 4", ("image_id", 4.0, 4.0)),
    ("m.image_id IN (4, 9, 7)", ("image_id", 4.0, 9.0)),
    ("m.time BETWEEN 10 AND 20 + 2", ("time", 10.0, 22.0)),
    ("m.MAG < 20", ("mag", -np.inf, 20.0)),
    ("m.mjd >= 40588", ("time", 86400.0, np.inf)),
    ("m.phot_flags = 4", ("phot_flags", 4.0, 4.0)),
    ("m.phot_flags < 4.5", ("phot_flags", -np.inf, 4.5)),
    ("a.mag < 20", None),
    ("m.mag < m.mag_err", None),
    ("m.mag + 1 < 20", None),
    ("NOT m.mag < 20", None),
    ("m.mag <> 20", None),
    ("m.mag < 20 OR m.mag > 21", None),
    ("m.mag NOT BETWEEN 3 AND 4", None),
    ("m.image_id NOT IN (3)", None),
    ("m.image_id IN (3, m.obj_id)", None),
    ("m.mag IS NULL", None),
]


@pytest.mark.parametrize(("text", "expected"), CONDITIONS)
def test_what_conditions_say(text, expected):
    where = parse_query(f"SELECT 1 FROM measure AS m WHERE {text}").args["where"]
    found = ranges_of(conjuncts(where.this), "m", sources_of(photcodes())["measure"])
    if expected is None:
        assert found == ()
        return
    (got,) = found
    name, low, high = expected
    assert got.name == name
    slack = 100.0 if name == "time" else 1.1 if name == "phot_flags" else 1e-4
    assert low - slack <= got.low <= low
    assert high <= got.high <= high + slack


NUMBERS = {
    "u2": st.integers(0, 2**16 - 1),
    "i4": st.integers(-(2**31), 2**31 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "f4": st.floats(width=32),
    "f8": st.floats(),
}
ENDS = st.floats(allow_nan=False) | st.sampled_from([0.0, 3.0, 2.0**31, 2.0**64, 1e300, -1e300])


@given(st.data(), st.sampled_from(list(NUMBERS)), st.integers(1, 4))
def test_rows_are_left_out_only_if_a_value_is_outside(data, kind, n_batches):
    """Of any type, with any ends, wherever batches begin, and with nulls."""
    numbers = st.lists(NUMBERS[kind], min_size=1, max_size=30)
    values = np.array(data.draw(numbers), kind)
    is_null = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    )
    ranges = []
    for name in "xy":
        low, high = sorted([data.draw(ENDS), data.draw(ENDS)])
        ranges.append(ColumnRange(name, low, high))
    table = pa.table(
        {"n": np.arange(len(values)), "x": pa.array(values, mask=is_null), "y": values[::-1]}
    )
    size = -(-len(values) // n_batches)
    table = pa.concat_tables(table.slice(k, size) for k in range(0, len(values), size)).slice(
        data.draw(st.integers(0, 3))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_filter, "_FEW_ROWS", 0)
        patch.setattr(row_filter, "_LEAST_BATCH", 0)
        found = rows_in_ranges(table, [*ranges, ColumnRange("absent", 1, 0)])
    assert found.schema == table.schema
    kept = found["n"].to_pylist()
    assert kept == sorted(set(kept))
    assert found.equals(table.filter(pc.is_in(table["n"], pa.array(kept))))
    one, two = ranges
    for n, x, y in zip(*(c.to_pylist() for c in table.columns), strict=True):
        inside = x is not None and one.low <= x <= one.high and two.low <= y <= two.high
        assert n in kept or not inside


def test_most_rows_of_a_large_table_are_left_out(rng):
    """None but those that count, where they are few; all where most count."""
    code = rng.integers(0, 10, 100_000).astype("u2")
    mag = rng.normal(20, 1, 100_000).astype("f4")
    table = pa.table({"code": code, "mag": mag})
    few = rows_in_ranges(table, [ColumnRange("mag", -np.inf, 20), ColumnRange("code", 3, 3)])
    expected = (mag <= 20) & (code == 3)
    np.testing.assert_array_equal(few["mag"].to_numpy(), mag[expected])
    assert set(few["code"].to_pylist()) == {3}
    assert rows_in_ranges(table, [ColumnRange("code", 1, 9)]).equals(table)
    assert len(rows_in_ranges(table, [ColumnRange("code", 11, 12)])) == 0
    assert len(rows_in_ranges(table, [ColumnRange("code", -5, -1)])) == 0


def test_whole_runs_of_tiles(rng):
    for _ in range(200):
        tile_rows, n_tiles = int(rng.integers(1, 5)), int(rng.integers(1, 8))
        start, stop = np.sort(rng.integers(0, tile_rows * n_tiles + 1, 2)).tolist()
        may_hold = rng.random(n_tiles) < 0.5
        runs = kept_runs(start, stop, tile_rows, may_hold)
        rows = [r for a, b in runs for r in range(a, b)]
        assert rows == [r for r in range(start, stop) if may_hold[r // tile_rows]]
        assert all(b < c for (_, b), (c, _) in pairwise(runs))


QUERIES = [
    "SELECT cat_id, obj_id, mag FROM measure WHERE mag < 17",
    "SELECT cat_id, obj_id, mag FROM measure WHERE mag BETWEEN 18 AND 18.3 AND mag_err < 0.5",
    "SELECT image_id, COUNT(*) AS n FROM measure WHERE image_id IN (2, 3) GROUP BY image_id",
    "SELECT COUNT(*) AS n FROM measure WHERE time > 1262332900",
    "SELECT COUNT(*) AS n, MIN(ra) AS r FROM measure WHERE mag > 100",
    (
        "SELECT a.obj_id, m.mag FROM average AS a JOIN measure AS m USING (cat_id, obj_id) "
        "WHERE m.mag < 17"
    ),
    (
        "SELECT a.obj_id, COUNT(m.mag) AS n FROM average AS a LEFT JOIN measure AS m "
        "ON a.cat_id = m.cat_id AND a.obj_id = m.obj_id AND m.mag < 17 GROUP BY a.cat_id, a.obj_id"
    ),
    "SELECT cat_id, obj_id FROM average WHERE obj_id < 3",
    "SELECT MEDIAN(mag) AS m FROM measure WHERE mag >= 19 AND image_id = 1",
    (
        "SELECT m.image_id, m.mag FROM measure AS m JOIN image AS i ON m.image_id = i.image_id "
        "WHERE m.mag < 17 AND i.image_id > 2"
    ),
    "SELECT obj_id FROM measure WHERE mag = (SELECT MIN(mag) FROM measure WHERE image_id = 2)",
]


@pytest.fixture(scope="module", params=["as it came", "compacted", "overlaid"])
def sky(request, tmp_path_factory):
    """A database with tiles of a few rows, and the oracle."""
    catdir = make_database(tmp_path_factory.mktemp("sky") / "db", level=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "TILE_ROWS", 16)
        with Store(catdir, writable=True) as store:
            for image in make_images(5, 120, 4, "edge"):
                add_images(store, [image])
            if request.param != "as it came":
                resort(store)
            if request.param == "overlaid":
                _make_brighter(store)
        patch.setattr(run, "_GROUP_ROWS", 200)
        patch.setattr(row_filter, "_FEW_ROWS", 0)
        patch.setattr(row_filter, "_LEAST_BATCH", 0)
        if request.param != "as it came":
            patch.setattr(pieces, "_LEAST_ROWS", 1)
        with Database(catdir) as db:
            yield db, Oracle(db.view, {}), request.param


def _make_brighter(store):
    """Give every measure another magnitude, far from those of its tile."""
    view, changes = store.view(), []
    for region in view.regions():
        mag = view.read(MEASURE, region, ["mag"])["mag"]
        (part,) = [p for p in view.parts(MEASURE, region) if p.kind == "rows"]
        changes.append((part, ColumnTable(MEASURE, {"mag": mag[::-1] - 1}, len(mag))))
    with store.begin("test", {}, view) as change:
        change.overlay(MEASURE, changes)
        change.commit()


@pytest.mark.parametrize("text", QUERIES)
def test_answers_are_the_same(sky, text, monkeypatch):
    db, oracle, _ = sky
    found = db.sql(text)
    rows = sorted(map(repr, zip(*(c.to_pylist() for c in found.columns), strict=True)))
    assert rows == sorted(map(repr, oracle.answer(text)))
    monkeypatch.setattr(planning, "ranges_of", lambda *_: ())
    assert db.sql(text).equals(found)


def test_tiles_are_left_out(sky):
    db, _, kind = sky
    for name, low, high in (("mag", -np.inf, 15.5), ("image_id", 2, 2), ("obj_id", 0, 1)):
        whole = Scan("m", "measure", ("mag", "image_id", "obj_id", "ra"))
        part = Scan("m", "measure", whole.columns, ranges=(ColumnRange(name, low, high),))
        part = Scan.from_json(part.to_json())
        regions = db.view.regions()
        every, some = (read_scan(db.view, scan, regions) for scan in (whole, part))
        wanted = [repr(row) for row in every.to_pylist() if low <= row[name] <= high]
        assert set(wanted) <= set(map(repr, some.to_pylist()))
        assert (len(some) < len(every)) == (name in PRUNED[kind])


PRUNED = {
    "as it came": ["mag", "image_id"],  # a part has one image and a few stars
    "compacted": ["mag", "obj_id"],  # a tile has a few stars, and all images
    "overlaid": [],  # bounds of magnitudes are old ones, and tiles of two files differ
}


def test_parts_are_left_out_with_what_changes_them(sky):
    db, _, _ = sky
    nothing = ColumnRange("obj_id", 1e6, 2e6)
    for columns in (("mag", "obj_id"), ("mjd", "mag")):
        found = read_scan(
            db.view, Scan("m", "measure", columns, ranges=(nothing,)), db.view.regions()
        )
        assert len(found) == 0


def test_outer_joins_want_all_rows():
    """A condition on the side that is filled up with nulls leaves out no row before the join."""
    text = (
        "SELECT a.ra FROM average AS a LEFT JOIN measure AS m ON a.cat_id = m.cat_id AND "
        "a.obj_id = m.obj_id WHERE m.mag < 17"
    )
    tree = planning.plan_query(text, sources_of(photcodes()))
    (scan,) = [s for s in tree.fragments[0].scans if s.alias == "m"]
    assert isinstance(tree.fragments[0].phases.first, exp.Select)
    assert scan.ranges == ()
