"""Regions near many positions: for each of several runs as for one by itself."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.partition.nearby import regions_near, regions_near_each
from dvo.partition.store import Store
from tests.synth import FIELDS, make_database, to_sky


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    with Store(make_database(tmp_path_factory.mktemp("nearby") / "sky")) as store:
        yield store.view()


@pytest.mark.parametrize("reach_deg", [1 / 3600, 0.03, 0.5])
@pytest.mark.parametrize("fields", [("edge", "wrap", "middle"), tuple(FIELDS)])
def test_runs_are_as_by_themselves(view, rng, reach_deg, fields):
    runs = []
    for field in fields:
        runs += [to_sky(*FIELDS[field], *rng.uniform(-1.5, 1.5, (2, n))) for n in (0, 1, 300)]
    ra, dec = (np.concatenate(c) for c in zip(*runs, strict=True))
    stops = np.cumsum([len(r) for r, _ in runs])
    found = regions_near_each(ra, dec, stops, view, reach_deg)
    for regions, (a, d) in zip(found, runs, strict=True):
        alone = regions_near(a, d, view.partition.locate(a, d), view, reach_deg)
        assert regions == set(alone)
    assert max(map(len, found)) > 4
