"""Groups of regions: what is worked on at a time, chosen at once for the whole sky."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvo.partition.manifest import CatalogCounts
from dvo.query import run
from dvo.query.session import open_database
from tools.scale.survey_records import Survey, make_records

SELECTS = (
    "SELECT COUNT(*) FROM measure",
    "SELECT a.ra, m.mag FROM average AS a JOIN measure AS m USING (cat_id, obj_id)",
    "SELECT ra FROM average WHERE CONTAINS(POINT(ra, dec), CIRCLE(10, 0, 175)) = 1",
)


def one_by_one(regions, rows, most):
    """Regions are added to a group until it has as many rows."""
    groups, n_rows = [], most
    for region, n in zip(regions, rows, strict=True):
        if n_rows >= most:
            groups.append([])
            n_rows = 0
        groups[-1].append(region)
        n_rows += n
    return groups


@given(
    st.lists(st.tuples(st.integers(1, 2_000_000), st.integers(0, 2_000_000)), max_size=60),
    st.sampled_from([(None, run._PASSED_ROWS), ("SELECT ...", run._GROUP_ROWS)]),
)
def test_groups_are_those_of_one_region_after_the_other(sizes, phase):
    last, most = phase
    n_average, n_measure = np.array(sizes, np.int64).reshape(-1, 2).T
    regions = np.arange(100, 100 + len(sizes))
    view = SimpleNamespace(counts=lambda _: CatalogCounts(regions, n_average, n_measure))
    fragment = SimpleNamespace(
        is_global=False, within=(), near=(), phases=SimpleNamespace(last=last)
    )
    found = run.groups_of(view, fragment)
    rows = [a + m for a, m in sizes]
    if last is not None and sum(rows) > most:  # groups are of about the same size
        rounds = math.ceil(sum(rows) / (4 * most))
        most = math.ceil(sum(rows) / (4 * rounds))
        assert len(found) <= 4 * rounds
    assert found == one_by_one(regions.tolist(), rows, most)


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    """Records of two surveys, one of which has a hundred times as many catalogs."""
    folder = tmp_path_factory.mktemp("surveys")
    for n in (20, 2000):
        make_records(folder / str(n), Survey(n_catalogs=n, n_hosts=3))
    return [folder / str(n) for n in (20, 2000)]


@pytest.mark.parametrize("text", SELECTS)
def test_a_plan_asks_the_manifest_a_few_times_however_many_regions_there_are(databases, text):
    asked = []
    for catdir in databases:
        with open_database(catdir) as db:
            fragment = db.plan(text).fragments[0]
            statements: list[str] = []
            db._store.manifest._db.set_trace_callback(statements.append)
            n_regions = sum(map(len, run.groups_of(db.view, fragment)))
            asked.append((n_regions, len(statements)))
    (few, n_of_few), (many, n_of_many) = asked
    assert 10 < few <= 20
    assert 1900 < many <= 2000
    assert n_of_few == n_of_many <= 3
