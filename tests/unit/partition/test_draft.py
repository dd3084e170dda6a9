"""Drafts that other processes write: what a master takes over, and what it refuses."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest

from dvo.errors import CorruptTableError, OperationError, StorageError
from dvo.partition import compact, layout
from dvo.partition.check import check
from dvo.partition.draft import Draft
from dvo.partition.draft_record import read_draft
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from tests.synth import contents, filled_database

REQUEST = {"level": "fast", "own_file_rows": 10_000}


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=2), writable=True) as found:
        yield found


@pytest.fixture
def change(store):
    with store.begin("resort", {}) as found:
        found.stage()
        yield found


def written(change, regions):
    """What a host would hand over that compacts some regions."""
    with Draft(change.base, change.token, regions) as draft:
        compact._compact(draft, regions, REQUEST)
        return draft.record()


def with_field(record, name, value):
    """A record with another value of one of its columns."""
    k = record.schema.get_field_index(name)
    return record.set_column(k, record.schema.field(k), pa.array([value], record.schema.types[k]))


def take_over(change, record, regions):
    change.adopt(read_draft(record, change.base, regions))


def test_what_was_written_is_taken_over(store, change):
    regions = store.view().regions()
    before = contents(store.view())
    for some in (regions[:2], regions[2:]):
        take_over(change, written(change, some), some)
    change.commit()
    view = store.view()
    assert all(len(view.parts(MEASURE, r)) == 1 for r in regions)
    assert contents(view).keys() == before.keys()
    assert check(store.catdir, deep=True).ok
    assert not any((store.catdir / layout.STAGED).iterdir())


def test_an_overlay_is_taken_over(store, change):
    """As calibration writes: new values for all rows of a part."""
    view = store.view()
    region = view.regions()[0]
    parts = view.parts(MEASURE, region)
    values = [np.linspace(k + 1, k + 2, p.n_rows, dtype=np.float32) for k, p in enumerate(parts)]
    tables = [ColumnTable(MEASURE, {"airmass": v}) for v in values]
    with Draft(change.base, change.token, [region]) as draft:
        draft.overlay(MEASURE, list(zip(parts, tables, strict=True)))
        record = draft.record()
    take_over(change, record, [region])
    change.commit()
    after = store.view().read(MEASURE, region)["airmass"]
    np.testing.assert_array_equal(after, np.concatenate(values))
    assert len(parts) == 2
    assert check(store.catdir, deep=True).ok


def lie(record, column, **changes):
    """A record whose first row of a list says something else."""
    rows = record[column][0].as_py()
    return with_field(record, column, [{**rows[0], **changes}, *rows[1:]])


@pytest.mark.parametrize(
    ("column", "changes", "match"),
    [
        ("files", {"name": "../../secret.fits"}, "none that a commit makes"),
        ("files", {"name": "secret"}, "none that a commit makes"),
        ("files", {"table": "Image"}, "none that a commit makes"),
        ("files", {"kind": "else"}, "none that a commit makes"),
        ("files", {"columns": ["ra", "who"]}, "columns that Average has not"),
        ("parts", {"file": 99}, "parts of no file"),
        ("parts", {"file": -1}, "parts of no file"),
        ("parts", {"start": 5, "stop": 5}, "without rows"),
        ("parts", {"start": -1}, "without rows"),
        ("parts", {"region": 1}, "regions that it was not asked for"),
        ("parts", {"region": 10**9}, "regions that there are not"),
        ("parts", {"target": 10**6}, "parts that snapshot 3 has not"),
        ("removed", {"part": 10**6}, "parts that snapshot 3 has not"),
        ("removed", {"region": 1}, "regions that it was not asked for"),
        ("catalogs", {"region": 1}, "regions that it was not asked for"),
    ],
)
def test_a_record_that_cannot_be_true(store, change, column, changes, match):
    regions = store.view().regions()
    record = lie(written(change, regions), column, **changes)
    with pytest.raises(OperationError, match=match):
        take_over(change, record, regions)


def test_a_record_of_another_group(store, change):
    regions = store.view().regions()
    record = written(change, regions[:1])
    with pytest.raises(OperationError, match="other regions than it was asked for"):
        take_over(change, record, regions[1:2])


def test_what_is_no_record(store, change):
    with pytest.raises(OperationError, match="this version of dvo"):
        take_over(change, pa.table({"x": [1]}), store.view().regions())


def test_the_same_catalog_twice(store, change):
    """A host that wrote the files of a catalog in two groups."""
    region = store.view().regions()[0]

    def own():
        with Draft(change.base, change.token, [region]) as draft:
            compact._compact(draft, [region], {**REQUEST, "own_file_rows": 1})
            return draft.record()

    take_over(change, own(), [region])
    with pytest.raises(OperationError, match="written twice"):
        take_over(change, own(), [region])


@pytest.mark.parametrize("changes", [{"digest": "0" * 32}, {"n_bytes": 17}])
def test_a_file_that_is_not_what_was_said(store, change, changes):
    regions = store.view().regions()
    with pytest.raises(CorruptTableError, match="see to its disk"):
        take_over(change, lie(written(change, regions), "files", **changes), regions)


def test_a_file_with_other_rows(store, change):
    regions = store.view().regions()
    record = written(change, regions)
    with pytest.raises(CorruptTableError, match="not the table"):
        take_over(change, lie(record, "parts", stop=10**6), regions)


def test_a_file_that_is_not_there(store, change):
    regions = store.view().regions()
    record = written(change, regions)
    next((store.catdir / layout.staged_folder(change.token)).iterdir()).unlink()
    with pytest.raises(StorageError, match="a disk that all hosts share"):
        take_over(change, record, regions)


def test_a_draft_that_fails_leaves_nothing(store, change):
    region = store.view().regions()[0]
    folder = store.catdir / layout.staged_folder(change.token)
    with suppress(ZeroDivisionError), Draft(change.base, change.token, [region]) as draft:
        compact._compact(draft, [region], REQUEST)
        assert any(folder.iterdir())
        raise ZeroDivisionError
    assert not any(folder.iterdir())


@pytest.mark.parametrize("token", ["00000009-abcd", "x", "../../00000004-abcd", ""])
def test_a_commit_that_does_not_come_next(store, token):
    with pytest.raises(OperationError, match="no commit that follows snapshot 3"):
        Draft(store.view(), token, [1])


def test_a_commit_that_is_over(store, change):
    change.abort()
    with pytest.raises(StorageError, match="has ended"):
        Draft(change.base, change.token, [1])
