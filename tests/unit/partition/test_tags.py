"""Tags: snapshots by name and by time, kept by vacuum, and there again after a rebuild."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

import dvo
from dvo.errors import ConfigError, TagExistsError, UnknownSnapshotError
from dvo.partition.check import check
from dvo.partition.history import drop_tag, put_tag, rollback, vacuum
from dvo.partition.rebuild import rebuild
from dvo.partition.snapshot_name import check_tag, parse_snapshot
from dvo.partition.store import Store
from tests.synth import assert_same, contents, filled_database


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


def names(store):
    return [(tag.name, tag.snapshot) for tag in store.manifest.tags()]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (7, 7),
        (np.int32(7), 7),
        (" 007 ", 7),
        ("20260131", 20260131),
        ("dr1", "dr1"),
        ("DR2.1+fix_a-b", "DR2.1+fix_a-b"),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30+02:00", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        (datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),  # noqa: DTZ001
    ],
)
def test_what_names_a_snapshot(name, found):
    assert parse_snapshot(name) == found


@pytest.mark.parametrize(
    "name", ["", "-1", "1.5", "a b", "dr1/2", "é", "٣", "9" * 30, "x" * 65, 1.5, True, None,
             "2026-13-01", "0001-01-01T00:00+14:00"],
)  # fmt: skip
def test_what_names_none(name):
    with pytest.raises(UnknownSnapshotError, match="is no snapshot; give its number"):
        parse_snapshot(name)


@pytest.mark.parametrize("name", ["", "1", "1dr", "-dr", "a b", "newest", "x" * 65, "dr1\n"])
def test_what_cannot_be_a_tag(store, name):
    with pytest.raises(ConfigError, match="cannot be a tag; it begins with a letter"):
        put_tag(store, name)
    assert store.view().snapshot.id == 4


@pytest.mark.parametrize("name", ["a", "x" * 64, "dr1", "NaN", "Newest"])
def test_what_can_be_a_tag(name):
    assert parse_snapshot(check_tag(name)) == name


def test_a_tag_stands_for_its_snapshot(store):
    put_tag(store, "dr1", 2)
    put_tag(store, "dr2")
    assert names(store) == [("dr1", 2), ("dr2", 4)]
    assert store.view("dr1").snapshot.id == 2
    assert store.view("newest").snapshot.id == store.view().snapshot.id == 6
    with dvo.open(store.catdir, snapshot="dr1") as db:
        assert db.snapshot.id == 2
    rollback(store, "dr1")
    assert_same(contents(store.view()), contents(store.view(2)))
    # Of the database, not of a snapshot: no rollback takes tags back.
    assert names(store) == [("dr1", 2), ("dr2", 4)]
    assert check(store, deep=True).faults == []


def test_a_tag_is_moved_only_if_asked(store):
    first = put_tag(store, "dr1", 2)
    assert put_tag(store, "dr1", 2) == first
    assert store.view().snapshot.id == 5
    with pytest.raises(TagExistsError, match=r"tag dr1 is snapshot 2, not 3; .*--force"):
        put_tag(store, "dr1", 3)
    assert put_tag(store, "dr1", 3, move=True).snapshot == 3
    assert drop_tag(store, "dr1").snapshot == 3
    assert names(store) == []
    with pytest.raises(UnknownSnapshotError, match="no tag 'dr1'"):
        drop_tag(store, "dr1")


def test_the_newest_state_is_none_that_a_tag_or_vacuum_made(store):
    put_tag(store, "a")
    vacuum(store, 1)
    assert put_tag(store, "b").snapshot == 4


def test_an_unknown_tag_names_its_neighbours(store):
    for name in ("before-relphot", "dr1"):
        put_tag(store, name, 2)
    with pytest.raises(UnknownSnapshotError, match=r"no tag 'dr2'; did you mean dr1\?"):
        store.view("dr2")
    with pytest.raises(UnknownSnapshotError, match="'xyz'; the tags are before-relphot, dr1"):
        store.view("xyz")


def test_a_time_is_the_state_that_was_the_newest_then(store):
    times = [datetime.fromisoformat(row.time) for row in store.manifest.log()]
    for number, time in enumerate(times, 1):
        assert store.view(time).snapshot.id == number
        there = time.astimezone(timezone(timedelta(hours=-7)))
        assert store.view(there.isoformat()).snapshot.id == number
        assert store.view(time + timedelta(microseconds=900)).snapshot.id == number
    assert store.view("2999-12-31").snapshot.id == 4
    with pytest.raises(UnknownSnapshotError, match=f"was made at {times[0].year}-.*, after 1999"):
        store.view("1999-12-31")


def test_a_time_whose_state_is_gone(store):
    time = store.manifest.snapshot(3).time
    put_tag(store, "dr1", 4)
    late = store.manifest.snapshot(5).time
    rollback(store, 2)
    assert vacuum(store, 1).forgotten == [1, 2, 3, 5]
    with pytest.raises(UnknownSnapshotError, match="snapshot 3 has been vacuumed away"):
        store.view(time)
    # The commit of the tag is gone; its state is that of the snapshot before it.
    assert store.view(late).snapshot.id == 4


def test_vacuum_keeps_what_has_a_tag(store):
    state = contents(store.view(2))
    put_tag(store, "dr1", 2)
    assert vacuum(store, 1).forgotten == [1, 3]
    assert_same(contents(store.view("dr1")), state)
    assert vacuum(store, 1).forgotten == []
    assert check(store, deep=True).faults == []
    with pytest.raises(UnknownSnapshotError, match="snapshot 3 has been vacuumed away"):
        put_tag(store, "dr2", 3)
    drop_tag(store, "dr1")
    assert 2 in vacuum(store, 1).forgotten
    assert_same(contents(store.view()), contents(store.view(4)))


def test_tags_are_made_anew_with_the_manifest(store):
    put_tag(store, "dr1", 2)
    put_tag(store, "gone", 2)
    put_tag(store, "dr1", 3, move=True)
    drop_tag(store, "gone")
    vacuum(store, 1)
    tags = store.manifest.tags()
    store.close()
    rebuild(store.catdir)
    with Store(store.catdir) as found:
        assert found.manifest.tags() == tags
        assert found.view("dr1").snapshot.id == 3
