"""Our answers and those of plain DuckDB over whole tables are equal, whatever the sky."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dvo.partition.store import Store
from dvo.query import run
from dvo.query.session import Database
from tests.synth import FIELDS, add_images, make_database, make_images
from tests.unit.query.oracle import Oracle

SKIES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in ("middle", "pole") else [])
    for name in FIELDS
]


def queries(name):
    """Queries of a file, each in one line."""
    text = Path(__file__).with_name(name).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [" ".join(query.split()) for query in "\n".join(lines).split(";") if query.strip()]


UNORDERED, ORDERED = queries("any_order.sql"), queries("in_order.sql")


@pytest.fixture(scope="module", params=SKIES)
def sky(request, tmp_path_factory):
    """A database of one field, what is uploaded, the oracle, and the middle of the field."""
    ra, dec = FIELDS[request.param]
    images = make_images(5, 120, 4, request.param)
    rng = np.random.default_rng(8)
    for image in images:
        n = len(image.detections)
        kron = rng.normal(18, 2, n).astype(np.float32)
        kron[rng.random(n) < 0.4] = np.nan
        image.detections.columns["m_kron"] = kron
    catdir = make_database(tmp_path_factory.mktemp("sky") / "db", level=4)
    with Store(catdir, writable=True) as store:
        add_images(store, images)
    places = pa.table(
        {"id": [1, 2, 3], "ra": [ra, ra, (ra + 0.1) % 360], "dec": [dec, dec - 0.1, dec]}
    )
    with Database(catdir) as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_GROUP_ROWS", 100)
        assert len(run.groups_of(db.view, db.plan("SELECT ra FROM measure").fragments[0])) > 1
        uploads = {"places": places}
        yield db, uploads, Oracle(db.view, uploads), {"ra": ra, "dec": dec}


def answer(db, text, uploads):
    table = db.sql(text, uploads=uploads)
    assert tuple(table.column_names) == db.plan(text, uploads=uploads).results
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def comparable(value):
    """Numbers rounded to what different orders of adding leave; lists as tuples."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple):
        return tuple(map(comparable, value))
    number = float(value)
    if number == 0.0 or not math.isfinite(number):
        return repr(number)
    return f"{number:.9e}"


def rows_of(found):
    return [tuple(map(comparable, row)) for row in found]


@pytest.mark.parametrize("text", UNORDERED)
def test_rows_in_any_order(sky, text):
    db, uploads, oracle, middle = sky
    query = text.format(**middle)
    assert sorted(rows_of(answer(db, query, uploads))) == sorted(rows_of(oracle.answer(query)))


@pytest.mark.parametrize("text", ORDERED)
def test_rows_in_order(sky, text):
    db, uploads, oracle, middle = sky
    query = text.format(**middle)
    assert rows_of(answer(db, query, uploads)) == rows_of(oracle.answer(query))


@pytest.mark.slow
@pytest.mark.parametrize("sky", ["wrap"], indirect=True)
def test_engines_agree_to_the_last_bit(sky):
    db, uploads, _, middle = sky
    for text in (*ORDERED, *UNORDERED):
        query = text.format(**middle)
        here = db.sql(query, uploads=uploads)
        for engine, workers in (("inline", 2), ("processes", 2)):
            there = db.sql(query, uploads=uploads, engine=engine, workers=workers)
            assert there.equals(here, check_metadata=True), (engine, query)
