"""Satellite rows from tables: which object they find, what they replace, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.addstar import addstar
from dvo.ingest.as_matched import stored_times
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.report import AddstarOptions
from dvo.ingest.satellites.green import galactic_to_icrs
from dvo.ingest.satellites.load import LoadOptions, LoadReport, load_rows
from dvo.ingest.sources import reference_sources
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store, create_store
from dvo.proper_motion import epoch_to_mjd
from dvo.reshape.partition import relevel
from dvo.tables.average import AVERAGE
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from dvo.tables.starpar import STARPAR
from tests.synth import filled_database
from tests.synth_satellites import assert_links, assert_means

N = 40


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A database of four exposures at a corner of regions."""
    with Store(filled_database(tmp_path / "sky"), writable=True) as found:
        yield found


def objects(store: Store) -> dict[str, Any]:
    """Ids and places of all objects."""
    view = store.view()
    tables = [view.read(AVERAGE, region) for region in view.regions()]
    names = ("cat_id", "obj_id", "ext_id", "ra", "dec")
    return {n: np.concatenate([t[n] for t in tables]) for n in names}


def stars(store: Store, rng: np.random.Generator, n: int = N) -> dict[str, Any]:
    """Stellar parameters of some objects, in any order."""
    all_of_them = objects(store)
    pick = rng.permutation(len(all_of_them["ra"]))[:n]
    known = {name: values[pick] for name, values in all_of_them.items()}
    return known | {
        name: rng.normal(0.5, 0.2, n).astype(np.float32)
        for name in ("e_bv", "e_bv_err", "distance_mod", "m_r_abs", "f_e_h")
    }


def write_csv(path: Path, columns: dict[str, Any]) -> Path:
    pa.csv.write_csv(pa.table({k: pa.array(v) for k, v in columns.items()}), path)
    return path


def stored(store: Store, schema: TableSchema, *names: str) -> dict[tuple[int, int], list[Any]]:
    """Values of the rows of each object."""
    out: dict[tuple[int, int], list[Any]] = {}
    view = store.view()
    for region in view.regions():
        table = view.read(schema, region)
        for k in range(len(table)):
            key = (int(table["cat_id"][k]), int(table["obj_id"][k]))
            out.setdefault(key, []).append(tuple(table[n][k].item() for n in names))
    return out


def wanted(columns: dict[str, Any], *names: str) -> dict[tuple[int, int], list[Any]]:
    keys = zip(columns["cat_id"].tolist(), columns["obj_id"].tolist(), strict=True)
    rows = zip(*(columns[n].tolist() for n in names), strict=True)
    return {key: [row] for key, row in zip(keys, rows, strict=True)}


def codes() -> PhotcodeTable:
    return PhotcodeTable().add("r", PhotClass.SEC).add("CAT.V", PhotClass.REF)


def load(store: Store, schema: TableSchema, *files: Path, **options: Any) -> LoadReport:
    report = load_rows(store, schema, files, LoadOptions(**options))
    for satellite in SATELLITES:
        assert_links(store.view(), satellite)
    assert not check(store, deep=True).faults
    return report


WRITERS: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
    "csv": write_csv,
    "parquet": lambda path, c: pa.parquet.write_table(pa.table(c), path),
    "fits": lambda path, c: Table(c).write(path, format="fits"),
    "votable": lambda path, c: Table(c).write(path, format="votable"),
}


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("link", ["ids", "ext_id", "place"])
def test_stars_find_their_objects(
    store: Store, tmp_path: Path, rng: np.random.Generator, kind: str, link: str
) -> None:
    rows = stars(store, rng)
    if link == "place":
        rows["dec"] = rows["dec"] + 0.3 / 3600
    links = {"ids": ["cat_id", "obj_id", "ra", "dec"], "ext_id": ["ext_id", "ra", "dec"],
             "place": ["ra", "dec"]}[link]  # fmt: skip
    values = ("e_bv", "distance_mod", "f_e_h")
    path = tmp_path / f"stars.{kind}"
    if kind == "votable":  # it has no unsigned integers
        for name in ("cat_id", "obj_id", "ext_id"):
            rows[name] = rows[name].astype(np.int64)
    WRITERS[kind](path, {n: rows[n] for n in [*links, *values]})
    report = load(store, STARPAR, path)
    assert (report.n_added, report.n_replaced, report.n_unmatched) == (N, 0, 0)
    assert stored(store, STARPAR, *values) == wanted(rows, *values)
    assert stored(store, STARPAR, "ra", "dec") == wanted(rows, "ra", "dec")
    resort(store)
    assert stored(store, STARPAR, *values) == wanted(rows, *values)


def test_loading_again_does_nothing_and_new_values_replace(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng)
    del rows["ext_id"]
    path = write_csv(tmp_path / "a.csv", rows)
    first = load(store, STARPAR, path)
    again = load(store, STARPAR, path)
    assert (again.n_added, again.n_replaced, again.n_unchanged) == (0, 0, N)
    assert again.snapshot == first.snapshot
    newer = {n: v[10:] for n, v in rows.items()}
    newer["e_bv"] = newer["e_bv"] + np.float32(1.0)
    newer["e_bv"][:5] -= np.float32(1.0)
    is_same = newer["e_bv"] == rows["e_bv"][10:]
    del newer["f_e_h"]  # becomes null with the row that is replaced
    report = load(store, STARPAR, write_csv(tmp_path / "b.csv", newer))
    assert (report.n_added, report.n_replaced) == (0, N - 10)
    assert is_same.any()
    found = stored(store, STARPAR, "e_bv")
    assert found == wanted(rows, "e_bv") | wanted(newer, "e_bv")
    no_metals = [v for [(v,)] in stored(store, STARPAR, "f_e_h").values() if np.isnan(v)]
    assert len(no_metals) == N - 10
    # The older state can be gone back to.
    assert len(store.manifest.log()) >= 3


def test_rows_without_an_object_are_named(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng, 5)
    columns = {n: rows[n].copy() for n in ("ra", "dec", "e_bv")}
    columns["dec"][1] += 3 / 3600
    columns["ra"][3] = np.nan
    path = write_csv(tmp_path / "far.csv", columns)
    report = load(store, STARPAR, path)
    assert (report.n_added, report.n_unmatched) == (3, 2)
    assert f"{path}, row 1 (from 0): " in report.unmatched[0]
    assert "row 3" in report.unmatched[1]
    by_id = {"cat_id": [1, 2], "obj_id": [77777, 3], "e_bv": [0.5, 0.5]}
    report = load(store, STARPAR, write_csv(tmp_path / "ids.csv", by_id))
    assert (report.n_added, report.n_unmatched) == (0, 2)
    assert "cat_id 1, obj_id 77777" in report.unmatched[0]


def test_each_object_is_taken_once(store: Store, tmp_path: Path, rng: np.random.Generator) -> None:
    rows = stars(store, rng, 1)
    dec = rows["dec"][0] + np.array([0.6, -0.2]) / 3600
    columns = {"ra": np.repeat(rows["ra"], 2), "dec": dec, "e_bv": [0.1, 0.2]}
    report = load(store, STARPAR, write_csv(tmp_path / "two.csv", columns))
    assert (report.n_added, report.n_unmatched) == (1, 1)
    assert stored(store, STARPAR, "e_bv") == {
        (int(rows["cat_id"][0]), int(rows["obj_id"][0])): [(pytest.approx(0.2),)]
    }


def test_the_same_object_twice_is_refused(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng, 3)
    columns = {n: np.concatenate([rows[n], rows[n][1:2]]) for n in ("cat_id", "obj_id", "e_bv")}
    path = write_csv(tmp_path / "twice.csv", columns)
    with pytest.raises(BadCatalogError, match=r"row 3 .*same object as .*row 1 "):
        load(store, STARPAR, path)
    assert stored(store, STARPAR, "e_bv") == {}


def test_maps_and_units(store: Store, tmp_path: Path, rng: np.random.Generator) -> None:
    rows = stars(store, rng)
    table = Table({"R": np.radians(rows["ra"]), "D": rows["dec"] * 60, "EB": rows["e_bv"] * 1000,
                   "U_RA": rows["f_e_h"]})  # fmt: skip
    table["D"].unit = "arcmin"
    table["U_RA"].unit = "mas/yr"
    table["EB"].unit = "mmag"
    path = tmp_path / "m.fits"
    table.write(path)
    report = load(store, STARPAR, path, column_map="ra=R:rad,dec=D,e_bv=EB")
    assert report.n_added == N
    found, expected = stored(store, STARPAR, "e_bv", "u_ra"), wanted(rows, "e_bv", "f_e_h")
    for key, [(e_bv, u_ra)] in found.items():
        [(wanted_e_bv, mas)] = expected[key]
        assert e_bv == pytest.approx(wanted_e_bv, rel=1e-5)
        assert u_ra == pytest.approx(mas / 1000, rel=1e-5)


def test_what_cannot_be_loaded(store: Store, tmp_path: Path, rng: np.random.Generator) -> None:
    rows = stars(store, rng, 3)
    ids = {n: rows[n] for n in ("cat_id", "obj_id")}
    path = tmp_path / "bad.csv"

    def refused(words: str, columns: dict[str, Any], schema: TableSchema = STARPAR,
                error: type[Exception] = BadCatalogError, **options: Any) -> None:  # fmt: skip
        write_csv(path, columns)
        with pytest.raises(error, match=words):
            load(store, schema, path, **options)

    refused("no column of StarPar", ids)
    refused("which object", {"e_bv": [0.1]}, error=ConfigError)
    refused("no column 'EBV'", ids | {"e_bv": [1.0] * 3}, column_map="e_bv=EBV")
    refused("no column of ours", ids, column_map="ebv=EBV", error=ConfigError)
    refused("no column of ours", ids, column_map="ave_ref=A", error=ConfigError)
    refused("given twice", ids, column_map="e_bv=A,e_bv=B", error=ConfigError)
    refused("holds", ids | {"e_bv": ["x", "y", "z"]})
    refused("outside 0", ids | {"cat_id": [-1, 2, 3], "e_bv": [0.1] * 3})
    refused("no whole number", ids | {"obj_id": [1.5, 2, 3], "e_bv": [0.1] * 3})
    # A missing number is none: 0 would be that of another object.
    refused("no value at row 1", ids | {"cat_id": [1, None, 3], "e_bv": [0.1] * 3})
    refused("no value at row 2", {"ext_id": [136960557314101415, 1, None], "e_bv": [0.1] * 3})
    refused("is no model type", ids | {"mag": [1.0] * 3, "model_type": ["SPIRAL"] * 3}, GALPHOT)
    refused("is no photcode", ids | {"mag": [1.0] * 3, "photcode": ["X"] * 3}, GALPHOT)
    refused("image 99 is not", ids | {"mag": [1.0] * 3, "image_id": [99] * 3}, GALPHOT)
    refused("radius", ids, radius_arcsec=0.0, error=ConfigError)
    path.write_bytes(b"")
    with pytest.raises(BadCatalogError, match="empty"):
        load(store, STARPAR, path)


def test_objects_that_have_changed_their_region(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    """cat_id is the region where an object was made, which need not be there any more."""
    rows = stars(store, rng)
    names = ("cat_id", "obj_id", "e_bv")
    path = write_csv(tmp_path / "s.csv", {n: rows[n] for n in names})
    for level in (5, 2):
        relevel(store, level)
        report = load(store, STARPAR, path)
        assert (report.n_added + report.n_unchanged, report.n_unmatched) == (N, 0)
    assert stored(store, STARPAR, "e_bv") == wanted(rows, "e_bv")


def test_moving_stars_are_met_where_they_were(tmp_path: Path, rng: np.random.Generator) -> None:
    n = 20
    ra, dec = 150.0 + np.arange(n) / 100, rng.uniform(-1, 1, n)
    pm = rng.uniform(500, 2000, n)  # mas/yr, northwards
    create_store(tmp_path / "moving", level=4, photcodes=codes())
    columns = {"ra": ra, "dec": dec, "mag": np.full(n, 12.0), "pm": pm, "zero": np.zeros(n)}
    catalog = write_csv(tmp_path / "c.csv", columns)
    mapping = parse_column_map("ra=ra,dec=dec,mag=mag,pm_ra=zero:mas/yr,pm_dec=pm:mas/yr")
    with Store(tmp_path / "moving", writable=True) as store:
        sources = reference_sources([catalog], mapping, photcode="CAT.V", epoch=2000.0)
        addstar(store, sources, AddstarOptions())
        in_2012 = {"ra": ra, "dec": dec + 12 * pm / 3.6e6, "e_bv": rng.random(n)}
        path = write_csv(tmp_path / "s.csv", in_2012)
        assert load(store, STARPAR, path, dry_run=True).n_added == 0
        report = load(store, STARPAR, path, time_s=float(stored_times(epoch_to_mjd(2012.0))))
        assert (report.n_added, report.n_unmatched) == (n, 0)


# ---- galaxies and lensing


def measures(store: Store, image: int) -> dict[str, Any]:
    """Ids of the measures of an image."""
    view = store.view()
    names = ("image_id", "det_id", "cat_id", "obj_id", "photcode")
    tables = [view.read(MEASURE, region) for region in view.regions()]
    tables = [t.take(np.flatnonzero(t["image_id"] == image)) for t in tables]
    return {n: np.concatenate([t[n] for t in tables]) for n in names}


def test_galaxies_by_their_detections(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    known = measures(store, 3)
    n = len(known["det_id"])
    columns = {
        "image_id": np.repeat(known["image_id"], 2),
        "det_id": np.repeat(known["det_id"], 2),
        "mag": rng.normal(20, 1, 2 * n).astype(np.float32),
        "model_type": ["DEV", "EXP"] * n,
    }
    path = write_csv(tmp_path / "g.csv", columns)
    assert load(store, GALPHOT, path).n_added == 2 * n
    got = stored(store, GALPHOT, "det_id", "photcode", "model_type", "mag")
    for k in range(n):
        key = (int(known["cat_id"][k]), int(known["obj_id"][k]))
        mags = columns["mag"][2 * k : 2 * k + 2]
        facts = (int(known["det_id"][k]), int(known["photcode"][k]))
        assert sorted(got[key]) == [(*facts, i + 1, float(mags[i])) for i in (0, 1)]
    assert load(store, GALPHOT, path).n_unchanged == 2 * n
    columns["mag"][0] += 1
    report = load(store, GALPHOT, write_csv(path, columns))
    assert (report.n_added, report.n_replaced, report.n_unchanged) == (0, 1, 2 * n - 1)


def test_models_of_one_place_are_of_one_object(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng, 4)
    columns = {
        **{n: np.repeat(rows[n], 3) for n in ("ra", "dec")},
        "mag": rng.normal(20, 1, 12).astype(np.float32),
        "model_type": [1, 2, 3] * 4,
    }
    path = write_csv(tmp_path / "g.csv", columns)
    report = load(store, GALPHOT, path, photcode="SYNTH.r.C00")
    assert (report.n_added, report.n_unmatched) == (12, 0)
    code = next(p.code for p in store.view().photcodes if p.name == "SYNTH.r.C00")
    got = stored(store, GALPHOT, "photcode", "model_type")
    assert got.keys() == set(zip(rows["cat_id"].tolist(), rows["obj_id"].tolist(), strict=True))
    assert all(sorted(v) == [(code, 1), (code, 2), (code, 3)] for v in got.values())
    # The same in another filter are other rows.
    assert load(store, GALPHOT, path, photcode="SYNTH.g.C00").n_added == 12


def test_lensing_terms_belong_to_their_image(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    known = measures(store, 2)
    n = len(known["det_id"])
    columns = {k: known[k] for k in ("image_id", "det_id")}
    columns |= {"x11_sm_obj": rng.normal(0, 1, n).astype(np.float32),
                "flux_ap_r6": rng.normal(9, 1, n).astype(np.float32)}  # fmt: skip
    path = write_csv(tmp_path / "l.csv", columns)
    assert load(store, LENSING, path).n_added == n
    assert_means(store.view())
    assert load(store, LENSING, path).n_unchanged == n
    columns["x11_sm_obj"][4] += 1
    with pytest.raises(BadCatalogError, match=r"row 4 .*with other values.*--replace"):
        load(store, LENSING, write_csv(path, columns))
    assert_means(store.view())


def test_several_files_are_one_commit(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng)
    names = ("cat_id", "obj_id", "e_bv")
    paths = [write_csv(tmp_path / f"{i}.csv", {n: rows[n][i::2] for n in names}) for i in (0, 1)]
    before = store.view().snapshot.id
    dry = load(store, STARPAR, *paths, dry_run=True)
    assert (dry.n_added, store.view().snapshot.id) == (N, before)
    assert load(store, STARPAR, *paths).snapshot == before + 1
    assert stored(store, STARPAR, "e_bv") == wanted(rows, "e_bv")


# ---- stars in the form of Green et al.


def green_file(path: Path, rows: dict[str, Any], rng: np.random.Generator) -> Any:
    """A file as loadstarpar took it: a table of best values, an image of percentiles."""
    n = len(rows["ra"])
    at = SkyCoord(rows["ra"], rows["dec"], unit="deg").galactic
    values = {name: rng.normal(1, 0.3, n).astype("f4") for name in ("DM", "EBV", "Mr", "FeH")}
    errors = np.sort(rng.normal(1, 0.2, (n, 4, 5)), axis=2)
    columns = [
        fits.Column("l", "E", array=at.l.deg), fits.Column("b", "E", array=at.b.deg),
        fits.Column("conv", "B", array=rows["conv"]), fits.Column("lnZ", "E", array=rows["lnZ"]),
        *(fits.Column(name, "E", array=v) for name, v in values.items()),
    ]  # fmt: skip
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns), fits.ImageHDU(errors)]
    ).writeto(path, overwrite=True)
    return values, errors


def test_the_form_of_green(store: Store, tmp_path: Path, rng: np.random.Generator) -> None:
    rows = stars(store, rng)
    rows["conv"] = np.where(np.arange(N) % 5 == 0, 0, 1)
    rows["lnZ"] = np.where(np.arange(N) % 7 == 1, -20.0, -3.0)
    path = tmp_path / "green.fits"
    values, errors = green_file(path, rows, rng)
    report = load(store, STARPAR, path)
    good = (rows["conv"] == 1) & (rows["lnZ"] > -15)
    assert report.n_added == np.count_nonzero(good)
    assert report.n_dropped == {
        "stars that have not converged": int(np.count_nonzero(rows["conv"] == 0)),
        "stars with lnZ below -15": int(np.count_nonzero((rows["conv"] == 1) & ~good)),
    }
    names = ("e_bv", "distance_mod", "m_r_abs", "f_e_h")
    got = stored(store, STARPAR, *names, *(f"{n}_err" for n in names))
    for k in np.flatnonzero(good):
        [row] = got[int(rows["cat_id"][k]), int(rows["obj_id"][k])]
        best = [values[n][k] for n in ("EBV", "DM", "Mr", "FeH")]
        assert np.allclose(row[:4], best)
        assert np.allclose(row[4:], (errors[k, :, 3] - errors[k, :, 1]) / 2)


def test_green_without_its_errors_is_refused(
    store: Store, tmp_path: Path, rng: np.random.Generator
) -> None:
    rows = stars(store, rng) | {"conv": np.ones(N), "lnZ": np.zeros(N)}
    path = tmp_path / "green.fits"
    green_file(path, rows, rng)
    with fits.open(path) as hdus:
        fits.HDUList([hdus[0], hdus[1]]).writeto(tmp_path / "none.fits")
        short = fits.ImageHDU(hdus[2].data[:-1])
        fits.HDUList([hdus[0], hdus[1], short]).writeto(tmp_path / "short.fits")
    for name, words in (("none", "found: none"), ("short", f"found: 5 by 4 by {N - 1}")):
        with pytest.raises(BadCatalogError, match=words):
            load(store, STARPAR, tmp_path / f"{name}.fits")


def test_galactic_coordinates_are_those_of_astropy(rng: np.random.Generator) -> None:
    lon, lat = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    lon[:4], lat[:4] = [0, 122.9, 0, 359.9999], [90, 27.1, -90, 0]
    ra, dec = galactic_to_icrs(lon, lat)
    there = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    off = SkyCoord(ra, dec, unit="deg").separation(there).arcsec
    # Astropy takes the pole of B1950 to J2000 by other numbers.
    assert off.max() < 0.45
    # Poles as Reid & Brunthaler give them: 12h51m26.282s +27d07m42.01s, and l of the north.
    poles = galactic_to_icrs(np.array([0.0, 122.932]), np.array([90.0, 27.128336111]))
    assert np.allclose(poles[0][0], 192.859508333, rtol=0, atol=1e-8)
    assert np.allclose(poles[1], [27.128336111, 90.0], rtol=0, atol=1e-8)
