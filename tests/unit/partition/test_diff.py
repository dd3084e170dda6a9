"""Two snapshots compared: against whole tables, after every kind of commit there is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dvo.errors import ConfigError, UnknownRegionError, UnknownSnapshotError
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.compact import resort
from dvo.partition.history import compare as compare_module
from dvo.partition.history import diff, diff_rows, put_tag, rollback, vacuum
from dvo.partition.history.row_match import are_unlike, match_rows, row_codes
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.reshape.filters import add_filter, drop_filter
from dvo.reshape.partition import relevel, split_regions
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests.synth import add_images, filled_database, make_images, make_stars
from tests.synth_objects import add, database, survey
from tests.synth_satellites import with_satellites
from tests.whole_tables import as_counters, brute_diff, plain


@pytest.fixture
def store(tmp_path):
    with Store(filled_database(tmp_path / "sky", n_images=3), writable=True) as found:
        yield found


@pytest.fixture(scope="module")
def eventful(tmp_path_factory):
    """Every kind of commit: snapshots 2..4 are addstar's."""
    path = filled_database(tmp_path_factory.mktemp("eventful") / "sky", n_images=3)
    with Store(path, writable=True) as store:
        do_much(store)
        yield store


def do_much(store):
    resort(store, own_file_rows=1)
    images = [with_satellites(image, k) for k, image in enumerate(make_images(1, 60, 5)[3:])]
    add_images(store, images, batch_rows=1)
    add_images(store, make_images(7, 60, 1), replace=True)
    view = store.view()
    region = view.regions()[0]
    with store.begin("calibrate", {}, view) as change:
        rows = [p for r in view.regions() for p in view.parts(MEASURE, r) if p.kind == "rows"][::2]
        values = [np.full(p.n_rows, 0.25, np.float32) for p in rows]
        tables = [ColumnTable(MEASURE, {"m_cal": v}) for v in values]
        change.overlay(MEASURE, list(zip(rows, tables, strict=True)))
        change.commit()
    with store.begin("flag", {}) as change:
        table = ColumnTable(AVERAGE, {"flags": np.array([7, 9], np.uint32)})
        change.patch_rows(np.array([0, 2]), table, [region], np.array([0, 2]))
        change.commit()
    codes = store.view().photcodes.add("LATER.g", PhotClass.REF)
    put_photcodes(store, codes, "photcode add", {})
    add_filter(store, "w", "g")
    drop_filter(store, "r")
    resort(store)
    split_regions(store, view.sky.names([region]))
    add_images(store, [with_satellites(image, 9) for image in make_images(1, 60, 6)[5:]])
    relevel(store, 2)
    rollback(store, 5)


@pytest.mark.slow
def test_every_pair_of_snapshots(eventful):
    store = eventful
    views = {row.id: store.view(row.id) for row in store.manifest.log()}
    rows = {number: plain(view) for number, view in views.items()}
    assert len(views) > 12
    filled = {name for state in rows.values() for name, table in state.items() if table}
    assert {"Lensing", "LensObj", "GalPhot"} < filled
    for old, before in views.items():
        for new, after in views.items():
            found = as_counters(diff(store, before, after))
            assert found == brute_diff(rows[old], rows[new]), (old, new)


def test_groups_of_regions_are_as_all_at_once(eventful, monkeypatch):
    store = eventful
    whole = as_counters(diff(store, 2, 8))
    monkeypatch.setattr(compare_module, "_BATCH_ROWS", 7)
    monkeypatch.setattr(compare_module, "_BLOCK_VALUES", 90)
    seen = []
    assert as_counters(diff(store, 2, 8, progress=lambda *n: seen.append(n))) == whole
    assert len(seen) >= len(store.view(8).regions())
    assert seen[-1][0] == seen[-1][1]
    monkeypatch.setattr(compare_module, "_BATCH_REGIONS", 2)
    assert as_counters(diff(store, 2, 8)) == whole


def test_a_compaction_changes_nothing(store):
    before = store.view().snapshot.id
    resort(store)
    assert diff(store, before).tables == []
    assert diff(store, before).counts == {"images": 0, "objects": 0, "measures": 0, "catalogs": 0}


def test_another_partition_changes_nothing(store):
    before = store.view()
    split_regions(store, before.sky.names(before.regions()[:2]))
    split = store.view()
    relevel(store, 1)
    for old, new in ((before, split), (split, None), (before, None), (None, before)):
        assert diff(store, old or "newest", new).tables == []
    add_images(store, make_images(1, 60, 4)[3:])
    found = diff(store, split, tables=["Measure"]).tables[0]
    assert set(store.sky.depths(found.regions).tolist()) == {1}
    assert found.totals["added"] == store.view().snapshot.counts["measures"] - len(
        plain(split)["Measure"]
    )
    assert found.totals["changed"] == found.totals["gone"] == 0
    # A region of the new partition takes up several of the old one.
    name = store.sky.names(found.regions[:1])[0]
    some = diff(store, split, regions=[name], tables=["Measure"]).tables[0]
    assert some.totals == {"added": found.added[0], "changed": 0, "gone": 0}
    # One of the old is a part of a catalog now, and stands for that.
    name = store.sky.names(before.regions()[:1])[0]
    part = diff(store, split, regions=[name], tables=["Measure"]).tables[0]
    assert part.totals["added"] in found.added.tolist()


def test_other_objects_without_means(tmp_path):
    """As many objects as before, but others: SecFilt has no parts, and yet other rows."""
    stars = make_stars(np.random.default_rng(3), 20)
    path = database(tmp_path / "sky", [add(survey(stars, "one", 2000.0, 1, 0.0))])
    with Store(path, writable=True) as store:
        one = store.view()
        rollback(store, one.snapshot.id - 1)
        add(survey(stars, "two", 2000.0, 1, 0.0))(store)
        two = store.view()
        wanted = brute_diff(plain(one), plain(two))
        assert sum(wanted["SecFilt"]["gone"].values()) == 40
        assert as_counters(diff(store, one, two)) == wanted


def test_only_what_differs_is_read(store, monkeypatch):
    """An overlay of one part of one region: nothing but that part, and only once a side."""
    resort(store)
    view = store.view()
    region = view.regions()[1]
    add_images(store, make_images(1, 60, 4)[3:])
    now = store.view()
    first, *_ = [p for p in now.parts(MEASURE, region) if p.kind == "rows"]
    with store.begin("calibrate", {}) as change:
        table = ColumnTable(MEASURE, {"m_cal": np.full(first.n_rows, 0.5, np.float32)})
        change.overlay(MEASURE, [(first, table)])
        change.commit()
    read = []
    gather = compare_module.gather_rows
    monkeypatch.setattr(compare_module, "gather_rows", lambda *a: read.append(a) or gather(*a))
    report = diff(store, now, store.view())
    assert as_counters(report) == {
        "Measure": {
            "added": {}, "gone": {}, "changed": Counter({region: first.n_rows}),
            "columns": Counter(m_cal=first.n_rows),
        }
    }  # fmt: skip
    kinds = {(p.path, p.kind) for _, _, _, parts, *_ in read for p in parts.parts()}
    assert {path for path, kind in kinds if kind == "rows"} == {first.path}
    assert {p.region for _, _, _, parts, *_ in read for p in parts.parts()} == {region}


def test_what_is_the_same_and_what_is_not():
    nan, other_nan = np.array([0x7FC00000, 0xFFC12345], np.uint32).view(np.float32)
    one = np.array([0.0, 1.0, nan, nan, np.inf], np.float32)
    two = np.array([-0.0, 1.0, other_nan, 1.0, np.inf], np.float32)
    assert are_unlike(one, two).tolist() == [True, False, False, True, False]
    pair = np.array([[1.0, np.nan], [1.0, 2.0]])
    assert are_unlike(pair, np.array([[1.0, np.nan], [1.0, np.nan]])).tolist() == [False, True]
    assert are_unlike(np.array([b"a", b"b"]), np.array([b"a", b"c"])).tolist() == [False, True]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8", "f4", "f8", "S3", "b1"])
def test_row_codes_tell_rows_apart(rng, dtype):
    """Equal if and only if all columns are, whatever their ranges."""
    n = 300
    bits = rng.integers(0, 256, (n, np.dtype(dtype).itemsize), np.uint8)
    bits = bits[rng.integers(0, 40, n)]
    wide = bits.copy().view(dtype).ravel() if dtype != "b1" else bits.ravel() > 100
    small = rng.integers(0, 3, n)
    full = rng.integers(0, 2**64, n, np.uint64)[rng.integers(0, 4, n)]
    codes = row_codes([wide, small, full, full[::-1].copy()])
    columns = [wide, small, full, full[::-1]]
    rows = [tuple("nan" if c[i] != c[i] else c[i].item() for c in columns) for i in range(n)]
    if dtype[0] == "f":  # -0.0 and 0.0 are not the same
        rows = [
            (*row, np.signbit(wide[i])) if row[0] != "nan" else row for i, row in enumerate(rows)
        ]
    assert (
        len(set(rows))
        == len(set(zip(rows, codes.tolist(), strict=True)))
        == len(set(codes.tolist()))
    )


def test_rows_of_one_key_are_told_apart_by_what_they_hold():
    """Of two equal ones one is gone; the others are the same rows though they come otherwise."""
    old = [np.array([5, 5, 5, 7, 8], np.uint32)]
    new = [np.array([8, 5, 5, 5, 9], np.uint32)]
    held = {"old": [1, 2, 3, 4, 5], "new": [5, 3, 6, 1, 7]}

    def content(one, two):
        return np.array(held["old"], "u8")[one], np.array(held["new"], "u8")[two]

    found = match_rows(old, new, content)
    pairs = set(zip(found.old.tolist(), found.new.tolist(), strict=True))
    assert pairs == {(0, 3), (2, 1), (1, 2), (4, 0)}
    assert (found.gone.tolist(), found.added.tolist()) == ([3], [4])


def test_rows_that_differ(eventful):
    store = eventful
    old, new = store.view(3), store.view(8)
    report = diff(store, old, new)
    for table in report.tables:
        pieces = list(diff_rows(store, old, new, table=table.table))
        words = Counter(w for piece in pieces for w in piece.change.tolist())
        totals = table.totals
        assert words == Counter(
            added=totals["added"], gone=totals["gone"],
            before=totals["changed"], after=totals["changed"],
        ) - Counter(), table.table  # fmt: skip
        for piece in pieces:
            assert len(piece.rows) == len(piece.regions) == len(piece.change)
            if table.table == "SecFilt":
                assert set(piece.keys) == {"cat_id", "obj_id", "photcode"}
    found = {
        word: {
            key: number
            for piece in diff_rows(store, old, new, table="Average")
            if piece.change[0] == word
            for key, number in zip(*(piece.rows[n].tolist() for n in ("obj_id", "nmeasure")),
                                   strict=True)
        }
        for word in ("before", "after")
    }  # fmt: skip
    assert found["before"].keys() == found["after"].keys()
    assert found["before"] != found["after"]


def test_only_some_tables_and_regions(eventful):
    store = eventful
    whole = as_counters(diff(store, 2, 8))
    assert as_counters(diff(store, 2, 8, tables=["Measure"])) == {"Measure": whole["Measure"]}
    view = store.view()
    region = view.regions()[1]
    name = view.sky.region(region).name
    found = as_counters(diff(store, 2, 8, regions=[name]))
    for table, counts in found.items():
        for kind in ("added", "changed", "gone"):
            one = {r: n for r, n in whole[table][kind].items() if r == region}
            assert counts[kind] == one
    parent = view.sky.names(view.sky.parents([region]))[0]
    inside = {
        r for r in view.regions() if view.sky.parents([r])[0] == view.sky.parents([region])[0]
    }
    found = as_counters(diff(store, 2, 8, regions=[parent], tables=["Average"]))["Average"]
    assert found["added"] == {r: n for r, n in whole["Average"]["added"].items() if r in inside}


def test_snapshots_by_name_and_those_that_are_none(store):
    put_tag(store, "dr1", 2)
    report = diff(store, "dr1")
    assert (report.old.id, report.new.id) == (2, 5)
    assert report.counts["images"] == 2
    assert report.as_dict()["tables"]["Image"] == {
        "added": 2, "changed": 0, "gone": 0, "columns": {},
    }  # fmt: skip
    lines = report.as_dict()["regions"]
    assert [line for line in lines if line["table"] == "Image"] == [
        {"table": "Image", "region": None, "added": 2, "changed": 0, "gone": 0}
    ]
    assert diff(store, 3, 3).tables == []
    vacuum(store, 1)
    with pytest.raises(UnknownSnapshotError):
        diff(store, 3, 4)
    with pytest.raises(ConfigError, match="no table 'Mesure'; there are Average"):
        diff(store, "dr1", tables=["Mesure"])
    with pytest.raises(UnknownRegionError):
        diff(store, "dr1", regions=["n9999/none"])
    assert ALL_SKY in as_counters(diff(store, "dr1"))["Image"]["added"]
