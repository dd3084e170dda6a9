"""What goes out is what the database holds, in whatever groups it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dvo
from dvo.errors import QueryError, UnknownColumnError
from dvo.exchange import extract as extract_module
from dvo.exchange.extract import Extract
from dvo.exchange.selection import ALL, TABLES, select
from dvo.partition.bounds import Box
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.secfilt import SECFILT
from tests import synth

AREA = Box(112.3, 112.6, 14.9, 15.3)


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("extract") / "sky", n_stars=300)


@pytest.fixture
def store(catdir: Path) -> Iterator[Store]:
    with Store(catdir) as found:
        yield found


def rows(extract: Extract, most_rows: int = 250_000) -> dict[str, Any]:
    """All rows, put together."""
    pieces = [extract.read(group) for group in extract.groups(most_rows=most_rows)]
    return {n: np.concatenate([p[n] for p in pieces]) for n in extract.names}


def test_objects_have_the_means_of_their_filters(store: Store) -> None:
    view = store.view()
    found = rows(select(store, view, "object"))
    at = 0
    for region in view.regions():
        n = view.catalog(region).n_average
        average, secfilt = view.read(AVERAGE, region), view.read(SECFILT, region)
        np.testing.assert_array_equal(found["ra"][at : at + n], average["ra"])
        for k, name in enumerate(["g", "r"]):
            np.testing.assert_array_equal(found[f"{name}_mag"][at : at + n], secfilt["mag"][k::2])
            np.testing.assert_array_equal(
                found[f"{name}_nused"][at : at + n], secfilt["nused"][k::2]
            )
        at += n
    assert at == len(found["ra"]) == view.snapshot.counts["objects"]


def test_rows_of_secfilt_say_which_object_and_filter_they_are_of(store: Store) -> None:
    wide, long = (rows(select(store, store.view(), t)) for t in ("object", "secfilt"))
    assert len(long["mag"]) == 2 * len(wide["ra"])
    for name in ("g", "r"):
        mine = long["filter"] == name.encode()
        for key in ("ext_id", "ra", "dec"):
            np.testing.assert_array_equal(long[key][mine], wide[key])
        np.testing.assert_array_equal(long["mag"][mine], wide[f"{name}_mag"])


@pytest.mark.parametrize("table", TABLES)
def test_groups_do_not_matter(store: Store, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = select(store, store.view(), table)
    whole = rows(extract)
    for n_rows, large in ((1, 5000), (50, 0), (10**9, 0), (10**9, 10**9)):
        monkeypatch.setattr(extract_module, "_LARGE", large)
        monkeypatch.setattr(extract_module, "_MANIFEST_REGIONS", 2 if n_rows == 50 else 5000)
        again = rows(extract, n_rows)
        for name in extract.names:
            np.testing.assert_array_equal(again[name], whole[name], err_msg=f"{table} {name}")


@pytest.mark.parametrize("table", ["average", "measure", "object", "secfilt"])
def test_regions_pick_rows_by_position(store: Store, table: str) -> None:
    view = store.view()
    whole = rows(select(store, view, table, with_position=True))
    inside = AREA.holds(whole["ra"], whole["dec"])
    extract = select(store, view, table, area=AREA, with_position=True)
    found = rows(extract)
    assert 0 < len(found["ra"]) == extract.count() == np.count_nonzero(inside) < len(whole["ra"])
    for name in extract.names:
        np.testing.assert_array_equal(np.sort(found[name]), np.sort(whole[name][inside]))


def test_a_region_needs_no_position_among_the_columns(store: Store) -> None:
    extract = select(store, store.view(), "measure", ["mag"], AREA)
    assert extract.names == ["mag"]
    assert len(rows(extract)["mag"]) == extract.count()


def test_magnitude_words_and_derived_columns_are_those_of_queries(catdir: Path) -> None:
    columns = ["image_id", "det_id", "mjd", "photcode_name", "mag:rel", "g:ave"]
    with Store(catdir) as store, dvo.open(catdir) as db:
        found = rows(select(store, store.view(), "measure", columns, AREA))
        table = db.box(112.3, 112.6, 14.9, 15.3, table="measure", columns=columns)
    there = {n: table[n].to_numpy(zero_copy_only=False) for n in columns}
    order, rank = (np.lexsort((t["det_id"], t["image_id"])) for t in (found, there))
    for name in columns:
        if name == "photcode_name":
            assert found[name][order].astype(str).tolist() == there[name][rank].tolist()
        else:
            np.testing.assert_array_equal(found[name][order], there[name][rank])


def test_words_of_objects_are_the_same_column_by_column(store: Store) -> None:
    found = rows(select(store, store.view(), "object", ["g_mag", "g", "r:nphot", "r_nused"]))
    np.testing.assert_array_equal(found["g_mag"], found["g"])
    np.testing.assert_array_equal(found["r_nused"], found["r:nphot"])


def test_columns_without_any_value_stay_at_home_unless_they_are_asked_for(store: Store) -> None:
    view = store.view()
    names = select(store, view, "measure").names
    assert {"ra", "dec", "mag", "ext_id", "mjd", "photcode_name"} <= set(names)
    assert not {"m_kron", "psf_qf", "ave_ref"} & set(names)
    every = rows(select(store, view, "measure", ALL))
    assert np.isnan(every["m_kron"]).all()
    assert set(names) < set(every)


def test_public_ids_are_signed(store: Store) -> None:
    extract = select(store, store.view(), "average", ["ext_id"])
    (column,) = extract.columns
    assert column.like.dtype == "i8"
    assert rows(extract)["ext_id"].dtype == np.int64
    assert (rows(extract)["ext_id"] > 0).all()


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("object", ["g_magg"], "g_mag"),
        ("secfilt", ["maag"], "did you mean mag"),
        ("secfilt", ["nmeasure"], "secfilt has no column"),
        ("measure", ["nothing"], "has no column 'nothing'"),
    ],
)
def test_unknown_columns_are_named(
    store: Store, table: str, columns: list[str], message: str
) -> None:
    with pytest.raises(UnknownColumnError, match=message):
        select(store, store.view(), table, columns)


def test_names_know_no_case_and_come_once(store: Store) -> None:
    extract = select(store, store.view(), "object", ["RA", "ra", "G_Mag", "g:err"])
    assert extract.names == ["ra", "g_mag", "g:err"]


@pytest.mark.parametrize("table", ["image", "photcode"])
def test_tables_without_places_have_no_regions(store: Store, table: str) -> None:
    with pytest.raises(QueryError, match="no one place on the sky"):
        select(store, store.view(), table, area=AREA)


def test_unknown_tables_and_no_columns_are_refused(store: Store) -> None:
    with pytest.raises(QueryError, match="no table 'stars'; there are object"):
        select(store, store.view(), "stars")
    with pytest.raises(QueryError, match="no columns"):
        select(store, store.view(), "object", [])


def test_an_older_snapshot_goes_out_as_it_was(tmp_path: Path) -> None:
    catdir = synth.filled_database(tmp_path / "sky", n_images=4)
    with Store(catdir) as store:
        old = store.view(3)
        before = rows(select(store, old, "measure"))
    with Store(catdir, writable=True) as store:
        resort(store)
        after = rows(select(store, store.view(3), "measure"))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert len(before["ra"]) == old.snapshot.counts["measures"]


def test_an_empty_database_has_columns_and_no_rows(tmp_path: Path) -> None:
    catdir = synth.make_database(tmp_path / "sky")
    with Store(catdir) as store:
        for table in ("average", "measure", "object", "secfilt"):
            extract = select(store, store.view(), table)
            assert extract.count() == 0
            assert list(extract.groups()) == []
            assert {"ra", "dec"} <= set(extract.names)
