"""Rows without a place lie neither in an area nor outside of it, as SQL's logic has it."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.query.session import Database
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests.synth import FIELDS, filled_database
from tests.unit.query.oracle import Oracle

RA, DEC = FIELDS["edge"]
AREAS = ("CIRCLE({ra}, {dec}, 0.2)", "BOX({ra}, {dec}, 0.3, 0.3)")
CONDITIONS = (
    "CONTAINS(POINT({p}), {area}) = 0",
    "CONTAINS(POINT({p}), {area}) <> 1",
    "NOT (CONTAINS(POINT({p}), {area}) = 1)",
    "CONTAINS(POINT({p}), {area}) IS NULL",
    "CONTAINS(POINT({p}), {area}) = 1 OR {key} < 3",
    "CONTAINS(POINT({p}), {area}) = 1",
)
TABLES = {
    "measure": ("t.ra, t.dec", "t.obj_id"),
    "image": ("t.ra_center, t.dec_center", "t.image_id"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A database where some measures and images have no place, and the oracle."""
    catdir = filled_database(tmp_path_factory.mktemp("missing") / "sky", n_stars=60)
    with Store(catdir, writable=True) as store:
        lose_places(store, MEASURE, ("ra", "dec"))
        lose_places(store, IMAGE, ("ra_center", "dec_center"))
    with Database(catdir) as db:
        yield db, Oracle(db.view, {})


def lose_places(store, schema, names):
    """Take the places of every third row away."""
    view, changes = store.view(), []
    for region in [ALL_SKY] if schema is IMAGE else view.regions():
        for part in view.parts(schema, region):
            rows = view.read_parts(schema, [part])
            is_lost = np.arange(len(rows)) % 3 == 0
            values = {name: np.where(is_lost, np.nan, rows[name]) for name in names}
            changes.append((part, ColumnTable(schema, values, len(rows))))
    with store.begin("test", {}, view) as change:
        change.overlay(schema, changes)
        change.commit()


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("table", TABLES)
def test_a_row_without_a_place_is_neither_inside_nor_outside(asked, table, condition):
    db, oracle = asked
    place, key = TABLES[table]
    for area in AREAS:
        said = condition.format(p=place, area=area.format(ra=RA, dec=DEC), key=key)
        text = f"SELECT {key} AS k, COUNT(*) AS n FROM {table} AS t WHERE {said} GROUP BY {key}"
        found = [tuple(row.values()) for row in db.sql(text).to_pylist()]
        assert sorted(found) == sorted(oracle.answer(text)), said


def test_the_two_sides_of_a_circle_and_the_lost_ones_are_all(asked):
    db, _ = asked
    inside = f"CONTAINS(POINT(ra, dec), CIRCLE({RA}, {DEC}, 0.1))"
    n = {
        what: db.sql(f"SELECT COUNT(*) AS n FROM measure WHERE {what}")["n"][0].as_py()
        for what in (f"{inside} = 1", f"{inside} = 0", "ra IS NULL")
    }
    assert all(n.values())
    assert sum(n.values()) == db.snapshot.counts["measures"]
