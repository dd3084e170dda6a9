"""A hundred exposures give the same objects at every level, in one batch or in ten."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvo.partition.check import check
from dvo.partition.store import Store
from tests import synth
from tests.unit.ingest.test_association_rule import Groups, groups_of

pytestmark = pytest.mark.timeout(300)


def groups_at(folder: Path, field: str, level: int, n_batches: int) -> Groups:
    """Objects of a database of a hundred exposures of 250 stars."""
    images = synth.make_images(seed=17, n_stars=250, n_images=100, field=field)
    catdir = synth.make_database(folder, level)
    step = len(images) // n_batches
    for start in range(0, len(images), step):
        with Store(catdir, writable=True) as store:
            synth.add_images(store, images[start : start + step])
    assert check(catdir, deep=True).ok
    with Store(catdir) as store:
        return groups_of(store.view())


@pytest.mark.parametrize(
    "field", ["edge", *(pytest.param(f, marks=pytest.mark.slow) for f in ("pole", "wrap"))]
)
def test_objects_do_not_depend_on_level_or_batches(tmp_path: Path, field: str) -> None:
    wanted = groups_at(tmp_path / "first", field, 0, 1)
    assert len(wanted) == 250
    for level, n_batches in ((0, 10), (2, 1), (2, 10), (3, 1), (3, 10), (4, 1), (4, 10)):
        found = groups_at(tmp_path / f"{level}-{n_batches}", field, level, n_batches)
        assert found == wanted, f"level {level}, {n_batches} batches"
