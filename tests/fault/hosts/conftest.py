"""What tests of hosts at fault need: a database, and whether its catalogs have backups."""

from __future__ import annotations

import pytest

from dvo.partition.store import Store
from tests.synth import filled_database


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_stars=200, n_images=3)) as found:
        yield found


@pytest.fixture(params=[True, False], ids=["backups", "no backups"])
def backups(request):
    return request.param
