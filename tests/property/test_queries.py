"""Random queries: our answers are those of plain DuckDB over whole tables of its own."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.query import run
from dvo.query.session import Database
from tests.property.random_queries import RandomQueries
from tests.synth import FIELDS, add_images, make_database, make_images
from tests.unit.query.oracle import Oracle

N_QUERIES = 150


@pytest.fixture(
    scope="module",
    params=["edge", *(pytest.param(f, marks=pytest.mark.slow) for f in ("pole", "wrap"))],
)
def sky(request, tmp_path_factory):
    """A database of several states and small groups, what is uploaded, the oracle, the middle."""
    ra, dec = FIELDS[request.param]
    rng = np.random.default_rng(11)
    images = make_images(4, 60, 4, request.param)
    for image in images:
        n = len(image.detections)
        kron = rng.normal(18, 2, n).astype(np.float32)
        image.detections.columns["m_kron"] = np.where(rng.random(n) < 0.4, np.float32(np.nan), kron)
        image.detections.columns["mag"][rng.random(n) < 0.1] = np.nan
    catdir = make_database(tmp_path_factory.mktemp("sky") / "db", level=4)
    with Store(catdir, writable=True) as store:
        add_images(store, images[:2])
        resort(store)
        add_images(store, images[2:])
    places = pa.table(
        {
            "id": [1, 2, 3, 4],
            "ra": [ra, (ra + 0.1) % 360, ra - 360, None],
            "dec": [dec, dec, dec - 0.1, 1.0],
            "x": [10.0, None, 1.5, 3.0],
        }
    )
    with Database(catdir) as db, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_GROUP_ROWS", 60)
        uploads = {"places": places}
        yield db, uploads, Oracle(db.view, uploads), (ra, dec)


@pytest.mark.parametrize("seed", range(4))
def test_any_query_has_the_answer_of_plain_duckdb(sky, seed):
    db, uploads, oracle, (ra, dec) = sky
    for k in range(N_QUERIES):
        query = RandomQueries(Random(f"{seed}.{k}"), ra, dec).query()
        found = db.sql(query.text, uploads=uploads)
        rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
        wanted = oracle.answer(query.text)
        assert are_same(rows, wanted, is_ordered=query.is_ordered), (seed, k, query.text)


def are_same(rows, wanted, *, is_ordered):
    """Equal rows, in any order where none is said; sums may differ by what adding leaves."""
    if len(rows) != len(wanted):
        return False
    if not is_ordered:
        rows, wanted = sorted(rows, key=sortable), sorted(wanted, key=sortable)
    return all(
        is_same(a, b)
        for row, other in zip(rows, wanted, strict=True)
        for a, b in zip(row, other, strict=True)
    )


def sortable(row):
    """Nulls first; numbers by the digits that sums in another order keep."""
    return [(v is not None, 0.0 if v is None else float(f"{float(v):.5e}")) for v in row]


def is_same(one, two):
    if one is None or two is None:
        return one is two
    return math.isclose(float(one), float(two), rel_tol=2e-6, abs_tol=2e-2)
