"""Cross-match against brute force over all pairs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import QTable, Table
from astropy.utils.masked import Masked

import dvo
from dvo.database.fields import resolve
from dvo.database.given_table import as_given
from dvo.database.match import MatchRule, collect
from dvo.database.match_sides import ObjectSide, TableSide
from dvo.errors import QueryError, UnknownColumnError
from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import add_photcode
from dvo.ingest.report import AddstarOptions
from dvo.partition.store import Store
from dvo.reshape.partition import split_regions
from dvo.sphere import separation
from dvo.tables.average import AVERAGE
from dvo.tables.photcode import PhotClass
from tests import synth

FIELDS = ("edge", "pole", "wrap")
RADIUS = 0.12
"""Few enough find something that all modes differ."""


@pytest.fixture(scope="module")
def catdirs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two databases of the same stars seen at other times, at other levels of partition."""
    paths = []
    for k, level in enumerate((4, 2)):
        path = synth.make_database(tmp_path_factory.mktemp("match") / f"sky{k}", level)
        with Store(path, writable=True) as store:
            for i, field in enumerate(FIELDS):
                # Two exposures a database: half its objects have a mean, all have a neighbour.
                images = synth.make_images(30 + i, 150, 4, field, first=4 * i)
                synth.add_images(store, images[2 * k : 2 * k + 2], radius_arcsec=0.05)
        paths.append(path)
    return paths


def objects(path: Path) -> dict[str, Any]:
    """Ids and places of all objects, region after region."""
    with dvo.open(path) as db:
        batches = list(db.scan("average", ["ext_id", "ra", "dec", "g"]))
    names = batches[0].schema.names
    return {
        n: np.concatenate([b[n].to_numpy(zero_copy_only=False) for b in batches]) for n in names
    }


def pairs_by_brute_force(
    asking: tuple[Any, Any], searched: tuple[Any, Any], mode: str, radius: float = RADIUS
) -> set[tuple[int, int]]:
    """Pairs by rows, from the distances of all to all."""
    n, m = len(asking[0]), len(searched[0])
    far = separation(
        np.repeat(asking[0], m), np.repeat(asking[1], m),
        np.tile(searched[0], n), np.tile(searched[1], n),
    ).reshape(n, m) * 3600  # fmt: skip
    near = far <= radius
    if mode == "all":
        return set(zip(*(k.tolist() for k in np.nonzero(near)), strict=True))
    best = np.where(near, far, np.inf)
    first = best.argmin(axis=1)
    back = best.argmin(axis=0)
    return {
        (i, int(first[i]))
        for i in range(n)
        if near[i].any() and (mode == "nearest" or back[first[i]] == i)
    }


@pytest.mark.parametrize("mode", ["nearest", "all", "mutual"])
@pytest.mark.parametrize("swapped", [False, True])
def test_objects_of_another_database_find_theirs(
    catdirs: list[Path], mode: str, swapped: bool
) -> None:
    first, second = catdirs[::-1] if swapped else catdirs
    one, two = objects(first), objects(second)
    wanted = pairs_by_brute_force((two["ra"], two["dec"]), (one["ra"], one["dec"]), mode)
    assert 20 < len({i for i, _ in wanted}) < len(two["ra"])
    with dvo.open(first) as db, dvo.open(second) as other:
        found = db.match(other, RADIUS, mode=mode)
        batches = list(db.match_batches(other, RADIUS, mode=mode))
    pairs = set(zip(found["ext_id_other"].to_pylist(), found["ext_id"].to_pylist(), strict=True))
    assert pairs == {(two["ext_id"][i], one["ext_id"][j]) for i, j in wanted}
    assert found.num_rows == len(wanted) == sum(b.num_rows for b in batches)
    apart = (
        separation(*(found[n].to_numpy() for n in ("ra", "dec", "ra_other", "dec_other"))) * 3600
    )
    np.testing.assert_allclose(found["separation_arcsec"].to_numpy(), apart, atol=1e-9)
    if mode == "mutual":
        assert len(set(found["ext_id"].to_pylist())) == len(wanted)


@pytest.mark.parametrize("mode", ["nearest", "all", "mutual"])
@pytest.mark.parametrize("group_rows", [1, 40, 10_000])
def test_groups_of_any_size_give_the_same(catdirs: list[Path], mode: str, group_rows: int) -> None:
    with dvo.open(catdirs[0]) as db, dvo.open(catdirs[1]) as other:
        wanted = db.match(other, RADIUS, mode=mode, join="left", columns=["ext_id", "g"])
        request = resolve(db.view.photcodes, AVERAGE, ["ext_id", "g"])
        ids = resolve(other.view.photcodes, AVERAGE, ["cat_id", "obj_id", "ext_id", "ra", "dec"])
        sides = ObjectSide(other.view, ids, None), ObjectSide(db.view, request, None)
        found = collect(*sides, MatchRule(RADIUS, mode, "left", group_rows=group_rows))
    assert found.equals(wanted)


@pytest.mark.parametrize("mode", ["nearest", "all", "mutual"])
def test_regions_that_were_split_change_nothing(
    catdirs: list[Path], tmp_path: Path, mode: str
) -> None:
    """Either side may have regions of several levels."""
    with dvo.open(catdirs[0]) as db, dvo.open(catdirs[1]) as other:
        wanted = [db.match(other, RADIUS, mode=mode), other.match(db, RADIUS, mode=mode)]
    mixed = Path(shutil.copytree(catdirs[1], tmp_path / "mixed"))
    with Store(mixed, writable=True) as store:
        split_regions(store, store.sky.names(store.view().regions()[::2]))
        assert len(set(store.sky.depths(store.view().regions()).tolist())) > 1
    with dvo.open(catdirs[0]) as db, dvo.open(mixed) as other:
        found = [db.match(other, RADIUS, mode=mode), other.match(db, RADIUS, mode=mode)]
    keys = [("ext_id", "ascending"), ("ext_id_other", "ascending")]
    names = ["ext_id_other", "ra_other", "dec_other", "ext_id", "ra", "dec", "separation_arcsec"]
    for one, two in zip(found, wanted, strict=True):
        assert one.select(names).sort_by(keys).equals(two.select(names).sort_by(keys))


def test_astropy_finds_the_same_pairs(catdirs: list[Path]) -> None:
    one, two = objects(catdirs[0]), objects(catdirs[1])
    left, right = (SkyCoord(t["ra"], t["dec"], unit="deg") for t in (two, one))
    i, j, apart, _ = search_around_sky(left, right, 60 * units.arcsec)
    with dvo.open(catdirs[0]) as db:
        found = db.match(
            {"row": np.arange(len(two["ra"])), "ra": two["ra"], "dec": two["dec"]}, 60.0, mode="all"
        )
    order = np.lexsort((apart.arcsec, i))
    assert found["row"].to_pylist() == i[order].tolist()
    assert found["ext_id"].to_pylist() == one["ext_id"][j[order]].tolist()
    np.testing.assert_allclose(found["separation_arcsec"], apart.arcsec[order], atol=1e-7)


def some_places(catdir: Path) -> dict[str, Any]:
    """A list in no order: objects, empty sky, other turns of RA, and a missing place."""
    stars = objects(catdir)
    rng = np.random.default_rng(3)
    rows = rng.permutation(len(stars["ra"]))[:50]
    ra, dec = stars["ra"][rows], stars["dec"][rows]
    ra[::2] += 360.0
    ra[7], dec[9] = np.nan, -45.0
    return {"name": [f"star{k}" for k in rows], "RA": ra, "Dec": dec, "row": rows}


def test_a_list_keeps_its_order_and_with_left_its_rows(catdirs: list[Path]) -> None:
    places, stars = some_places(catdirs[0]), objects(catdirs[0])
    lost = np.isin(np.arange(50), [7, 9])
    with dvo.open(catdirs[0]) as db:
        found = db.match(places, RADIUS, columns=["ext_id", "g", "nmeasure"], join="left")
        inner = db.match(places, RADIUS, columns=["ext_id"], other_columns=["name"])
    assert found.column_names == ["name", "RA", "Dec", "row", "ext_id", "g", "nmeasure",
                                  "separation_arcsec"]  # fmt: skip
    assert found["name"].to_pylist() == places["name"]
    for name in ("ext_id", "nmeasure", "separation_arcsec"):
        assert (found[name].is_null().to_numpy(zero_copy_only=False) == lost).all()
    kept = places["row"][~lost]
    assert found["ext_id"].drop_null().to_pylist() == stars["ext_id"][kept].tolist()
    g = found["g"].to_numpy()[~lost]
    np.testing.assert_array_equal(g, stars["g"][kept].astype(np.float32))
    assert inner.column_names == ["name", "ext_id", "separation_arcsec"]
    assert inner["name"].to_pylist() == [
        n for n, out in zip(places["name"], lost, strict=True) if not out
    ]


def test_tables_of_all_kinds_are_taken(catdirs: list[Path]) -> None:
    stars = objects(catdirs[0])
    ra, dec = stars["ra"], stars["dec"]
    columns = {"ra": ra, "dec": dec, "id": np.arange(len(ra), dtype=">i4")}
    quantities = QTable({"ra": ra * units.deg, "dec": dec * units.deg, "flux": ra * units.Jy})
    quantities["flux"].info.description = "how bright"
    masked = Table(columns, masked=True)
    masked["ra"].mask[0] = True
    native = {**columns, "id": columns["id"].astype("i4")}
    given = [columns, (ra, dec), pa.table(native), pa.RecordBatch.from_pydict(native),
             pd.DataFrame(native), quantities, masked]  # fmt: skip
    with dvo.open(catdirs[0]) as db:
        found = [db.match(table, RADIUS) for table in given]
    sizes = [t.num_rows for t in found]
    assert sizes == [len(ra)] * 6 + [len(ra) - 1]
    assert all(t["ext_id"].to_pylist() == stars["ext_id"].tolist() for t in found[:6])
    assert found[0]["id"].to_pylist() == list(range(len(ra)))
    assert found[4].column_names[:3] == ["ra_other", "dec_other", "id"]
    flux = found[5].schema.field("flux").metadata
    assert flux == {b"unit": b"Jy", b"description": b"how bright"}
    facts = found[0].schema.field("separation_arcsec").metadata
    assert (facts[b"unit"], facts[b"ucd"]) == (b"arcsec", b"pos.angDistance")
    assert dvo.to_astropy(found[5])["separation_arcsec"].unit == units.arcsec


def test_a_column_of_places_and_a_file_are_taken(catdirs: list[Path], tmp_path: Path) -> None:
    stars = objects(catdirs[0])
    where = SkyCoord(stars["ra"], stars["dec"], unit="deg")
    hidden = Masked(stars["ra"] * units.deg, mask=np.arange(len(where)) == 0)
    two = Table({"id": np.arange(len(where)), "one": where, "two": where[::-1]})
    mixed = Table({"id": np.arange(len(where)), "where": where.galactic})
    csv = tmp_path / "stars.csv"
    Table({"id": two["id"], "ra": stars["ra"], "dec": stars["dec"]}).write(csv)
    with dvo.open(catdirs[0]) as db:
        found = db.match(mixed, 0.01)
        assert found.column_names[:3] == ["id", "ra_other", "dec_other"]
        assert found["ext_id"].to_pylist() == stars["ext_id"].tolist()
        turned = db.match(two, 0.01, position=("two_ra", "two_dec"))
        assert turned["ext_id"].to_pylist() == stars["ext_id"].tolist()[::-1]
        with pytest.raises(QueryError, match=r"no column ra; say which .* one_ra, one_dec, two_ra"):
            db.match(two, 0.01)
        masked = db.match({"where": SkyCoord(hidden, where.dec)}, 0.01)
        assert masked["ext_id"].to_pylist() == stars["ext_id"].tolist()[1:]
        assert db.match(csv, 0.01)["id"].to_pylist() == list(range(len(where)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": [1.0], "dec": [2.0]}, "no column ra; say which"),
        ({"ra": [1.0], "RA ": [1.0], "dec": ["2"]}, "holds string"),
        ({"ra": [1.0], "dec": [91.0]}, "declination 91.0 is not within"),
        ({"ra": [1.0, 2.0], "dec": [2.0]}, "cannot make a table"),
        (Table({"ra": [1.0] * units.mag, "dec": [1.0]}), "positions are needed in degrees"),
        (3, "a int is no table; give one"),
        (".", r"\.: is a folder and no table; open a database with dvo.open"),
        ({"p": SkyCoord([[1.0]], [[2.0]], unit="deg")}, "places of shape .* are no column"),
    ],
)
def test_what_is_no_table_of_places_is_refused(
    catdirs: list[Path], given: Any, message: str
) -> None:
    with dvo.open(catdirs[0]) as db, pytest.raises(QueryError, match=message):
        db.match(given, RADIUS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius_arcsec": 0.0}, "match radius 0.0"),
        ({"radius_arcsec": 4000.0}, "match radius 4000.0"),
        ({"mode": "best"}, "no mode 'best'; there are nearest, all, mutual"),
        ({"join": "outer"}, "no join 'outer'"),
        ({"suffix": ""}, "more than once; give another suffix"),
        ({"position": ("ra", "de")}, "no single column 'de'"),
    ],
)
def test_options_that_are_none_are_refused(
    catdirs: list[Path], options: dict[str, Any], message: str
) -> None:
    asked = {"radius_arcsec": RADIUS, **options}
    with dvo.open(catdirs[0]) as db, pytest.raises(QueryError, match=message):
        db.match({"ra": [1.0], "dec": [2.0]}, **asked)


def test_an_unknown_column_is_named(catdirs: list[Path]) -> None:
    with dvo.open(catdirs[0]) as db, pytest.raises(UnknownColumnError, match="no column 'rra'"):
        db.match(([1.0], [2.0]), 1.0, columns=["rra"])


def test_nothing_found_and_nothing_asked_are_empty_tables(catdirs: list[Path]) -> None:
    with dvo.open(catdirs[0]) as db:
        for given in (([], []), ([200.0], [-80.0]), ([np.nan], [np.nan])):
            given = tuple(np.array(x, np.float64) for x in given)
            found = db.match(given, RADIUS)
            assert found.num_rows == 0
            assert found.column_names == ["ra_other", "dec_other", "cat_id", "obj_id", "ext_id",
                                          "ra", "dec", "separation_arcsec"]  # fmt: skip
            left = db.match(given, RADIUS, join="left")
            assert left.num_rows == len(given[0])
            assert left["ext_id"].null_count == len(given[0])


@pytest.mark.parametrize("level", [1, 4])
def test_moving_objects_are_found_where_they_are_at_the_epoch(tmp_path: Path, level: int) -> None:
    # 16 years at 0.5 arcsec a year, across edges of regions: 8 arcsec.
    dec = np.array([7.4999, 10.1, 14.9999])
    columns = {"det_id": np.arange(3, dtype=np.uint32), "u_ra": np.zeros(3, np.float32),
               "u_dec": np.full(3, 500.0, np.float32)}  # fmt: skip
    source = RefSource("HIP", 51544.5, "HIP", "0" * 32)
    path = synth.make_database(tmp_path / "sky", level)
    with Store(path, writable=True) as store:
        add_photcode(store, "HIP", PhotClass.REF, filter_name="g")
        found = InputImage(source, Detections(np.full(3, 112.5), dec, columns), {})
        addstar(store, [lambda: [found]], AddstarOptions())
    then = (np.full(3, 112.5), dec + 8.0 / 3600.0)
    with dvo.open(path) as db:
        assert db.match(then, 1.0).num_rows == 0
        moved = db.match(then, 1.0, epoch_mjd=51544.5 + 16 * 365.25)
        assert moved.num_rows == 3
        assert max(moved["separation_arcsec"].to_pylist()) < 0.001
        # What comes out is the place that is stored.
        np.testing.assert_allclose(moved["dec"].to_numpy(), dec, atol=1e-9)
        back = db.match(db, 1.0, epoch_mjd=60000.0)
        assert back["separation_arcsec"].to_pylist() == [0.0] * 3


def test_a_table_is_not_read_but_for_what_is_asked(catdirs: list[Path]) -> None:
    given = as_given({"ra": [10.0], "dec": [20.0], "huge": [1]})
    assert TableSide(given, ["huge"]).names == ["huge"]
