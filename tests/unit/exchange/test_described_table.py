"""Tables that come in: those that went out come back, others are mapped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

import dvo
from dvo.errors import BadCatalogError, ConfigError
from dvo.exchange.described_table import as_survey, describe, image_source, sources_of
from dvo.exchange.hats.export import HatsOptions, export_hats
from dvo.exchange.selection import select
from dvo.exchange.table_file import export_file
from dvo.ingest.addstar import addstar
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.photcodes import add_survey_photcodes
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.partition.store import Store
from tests import synth


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("there") / "sky", n_stars=150)


def go_out(catdir: Path, kind: str, target: Path, table: str = "object", **more: Any) -> None:
    with Store(catdir) as store:
        extract = select(store, store.view(), table, with_position=True, **more)
        if kind == "hats":
            export_hats(extract, target, HatsOptions(max_rows=40, margin_arcsec=60.0))
        else:
            export_file(extract, kind, target)


def come_in(
    catdir: Path,
    kind: str,
    path: Path,
    system: str = "PS1",
    *,
    column_map: str | None = None,
    bands: Sequence[str] | None = None,
    **more: Any,
) -> AddstarReport:
    table = describe(kind, path)
    survey = as_survey(table, system, parse_column_map(column_map) if column_map else None)
    sources = sources_of(table, survey, bands=bands, **more)
    with Store(catdir, writable=True) as store:
        add_survey_photcodes(store, survey, bands)
        return addstar(store, sources, AddstarOptions())


def measures(catdir: Path, columns: Sequence[str]) -> dict[str, Any]:
    with dvo.open(catdir) as db:
        found = pa.Table.from_batches(list(db.scan("measure", [*columns, "photcode_name"])))
    return {n: np.array(found[n].to_pylist()) for n in found.column_names}


@pytest.mark.parametrize("kind", ["hats", "parquet", "fits"])
def test_objects_that_went_out_come_back(catdir: Path, tmp_path: Path, kind: str) -> None:
    go_out(catdir, kind, tmp_path / "out")
    other = synth.make_database(tmp_path / "sky", 2)
    report = come_in(other, kind, tmp_path / "out")
    with dvo.open(catdir) as db:
        objects = pa.Table.from_batches(
            list(db.scan("average", ["ra", "dec", "ra_err", "mean_epoch", "g", "g:err", "r"]))
        )
    with dvo.open(other) as db:
        assert db.snapshot.counts["objects"] == len(objects) == report.n_new
    found = measures(other, ["ra", "dec", "ra_err", "time", "mag", "mag_err"])
    for band in "gr":
        seen = {n: np.array(objects[n].to_pylist()) for n in objects.column_names}
        has = np.array([v is not None for v in seen[band]])
        mine = found["photcode_name"] == f"PS1.{band}"
        assert np.count_nonzero(mine) == np.count_nonzero(has) > 100
        one, two = np.argsort(seen["ra"][has]), np.argsort(found["ra"][mine])
        for ours, theirs in {"ra": "ra", "dec": "dec", "ra_err": "ra_err", band: "mag"}.items():
            np.testing.assert_array_equal(
                found[theirs][mine][two].astype(float), seen[ours][has][one].astype(float)
            )
        # Epochs travel as days in float64, and are whole seconds here.
        gap = found["time"][mine][two] - seen["mean_epoch"][has][one]
        assert np.abs(gap.astype(float)).max() <= 1


def test_a_second_import_does_nothing(catdir: Path, tmp_path: Path) -> None:
    go_out(catdir, "hats", tmp_path / "out")
    other = synth.make_database(tmp_path / "sky", 2)
    first = come_in(other, "hats", tmp_path / "out")
    again = come_in(other, "hats", tmp_path / "out")
    assert first.n_detections > 0
    assert (again.n_detections, again.n_commits) == (0, 0)
    assert again.n_skipped == first.n_commits > 3, "each file is a catalog of its own"


def test_a_collection_and_its_catalog_are_the_same(catdir: Path, tmp_path: Path) -> None:
    go_out(catdir, "hats", tmp_path / "out")
    one, two = describe("hats", tmp_path / "out"), describe("hats", tmp_path / "out" / "out")
    assert one.units == two.units
    assert list(one.files) == list(two.files)
    assert next(iter(one.files)).startswith("out/Norder=")
    assert one.units["ra_err"] == "arcsec"


def test_some_bands_alone(catdir: Path, tmp_path: Path) -> None:
    go_out(catdir, "parquet", tmp_path / "o.parquet")
    other = synth.make_database(tmp_path / "sky", 2)
    come_in(other, "parquet", tmp_path / "o.parquet", bands=["r"])
    assert set(measures(other, ["mag"])["photcode_name"]) == {"PS1.r"}


def test_measures_of_one_magnitude_have_one_photcode(catdir: Path, tmp_path: Path) -> None:
    go_out(catdir, "parquet", tmp_path / "m.parquet", "measure", columns=["mag", "mag_err"])
    other = synth.make_database(tmp_path / "sky", 2)
    come_in(other, "parquet", tmp_path / "m.parquet", "REF.mag", epoch=2016.0)
    found = measures(other, ["mag", "mjd"])
    assert set(found["photcode_name"]) == {"REF.mag"}
    assert found["mjd"] == pytest.approx(57388.5, abs=0.01)


@pytest.mark.parametrize("kind", ["parquet", "fits"])
def test_columns_of_others_are_mapped_with_the_units_of_the_file(tmp_path: Path, kind: str) -> None:
    table = Table({"RAJ2000": [112.5, 112.6], "DEJ2000": [15.0, 15.1], "e_pos": [80.0, 90.0],
                   "Jmag": [10.5, 11.5]}, units={"e_pos": "mas", "RAJ2000": "deg"})  # fmt: skip
    path = tmp_path / f"t.{kind}"
    if kind == "fits":
        table.write(path)
    else:
        fields = [pa.field(n, pa.float64(), metadata={"unit": str(table[n].unit or "")})
                  for n in table.colnames]  # fmt: skip
        arrays = [pa.array(np.array(table[n])) for n in table.colnames]
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)
    other = synth.make_database(tmp_path / "sky", 2)
    text = "ra=RAJ2000,dec=DEJ2000,mag=Jmag,ra_err=e_pos,dec_err=e_pos"
    come_in(other, kind, path, "2MASS.J", column_map=text, epoch=2000.0)
    found = measures(other, ["ra", "mag", "ra_err"])
    assert set(found["photcode_name"]) == {"2MASS.J"}
    np.testing.assert_allclose(np.sort(found["ra_err"]), [0.08, 0.09], rtol=1e-6)
    np.testing.assert_allclose(np.sort(found["mag"]), [10.5, 11.5])


def test_units_of_voparquet_are_understood(catdir: Path, tmp_path: Path) -> None:
    """Others write units into the VOTable of a file alone, and spell them in their way."""
    go_out(catdir, "parquet", tmp_path / "o.parquet")
    table = pq.read_table(tmp_path / "o.parquet")
    facts = table.schema.metadata
    document = facts[b"IVOA.VOTable-Parquet.content"].replace(b'unit="arcsec"', b'unit="mas"')
    plain = table.schema.remove_metadata()
    plain = pa.schema([f.remove_metadata() for f in plain])
    plain = plain.with_metadata({**facts, b"IVOA.VOTable-Parquet.content": document})
    pq.write_table(table.cast(plain), tmp_path / "vo.parquet")
    units = describe("parquet", tmp_path / "vo.parquet").units
    assert (units["ra"], units["ra_err"], units["g_mag"]) == ("deg", "mas", "mag")
    other = synth.make_database(tmp_path / "sky", 2)
    come_in(other, "parquet", tmp_path / "vo.parquet")
    ours = pq.read_table(tmp_path / "o.parquet")["ra_err"].to_numpy()
    assert measures(other, ["ra_err"])["ra_err"].max() == pytest.approx(ours.max() / 1000)


def test_an_image_that_went_out_comes_back(catdir: Path, tmp_path: Path) -> None:
    with dvo.open(catdir) as db:
        image = db.images().to_pylist()[0]
        there = pa.Table.from_batches(list(db.scan("measure", None)))
    mine = there.filter(pa.compute.equal(there["image_id"], image["image_id"]))
    pq.write_table(mine.select(["ra", "dec", "mag", "mag_err", "det_id"]), tmp_path / "i.parquet")
    other = synth.make_database(tmp_path / "sky", 2)
    source = image_source(
        describe("parquet", tmp_path / "i.parquet"), "again", photcode="SYNTH.g.C00", mjd=57000.25,
        exptime_s=30.0, airmass=1.1,
    )  # fmt: skip
    with Store(other, writable=True) as store:
        report = addstar(store, [source], AddstarOptions())
    assert (report.n_images, report.n_detections) == (1, len(mine))
    with dvo.open(other) as db:
        (back,) = db.images().to_pylist()
        found = pa.Table.from_batches(list(db.scan("measure", None))).sort_by("det_id")
    for name in ("time", "exptime", "secz", "nstar"):
        assert back[name] == image[name], name
    ours = mine.sort_by("det_id")
    for name in ("ra", "dec", "mag", "mag_err", "det_id"):
        assert found[name].to_pylist() == ours[name].to_pylist(), name


def test_what_is_missing_is_named(catdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"RA": [1.0], "DEC": [2.0], "J": [3.0]}), path)
    table = describe("parquet", path)
    with pytest.raises(BadCatalogError, match=r"no magnitudes called mag or g_mag.*say which is"):
        as_survey(table, "X")
    with pytest.raises(ConfigError, match="column map: no magnitude; add mag=COLUMN"):
        as_survey(table, "X", parse_column_map("ra=RA,dec=DEC"))
    survey = as_survey(table, "X", parse_column_map("ra=RA,dec=DEC,mag=J"))
    with pytest.raises(ConfigError, match="nothing says of when the positions are"):
        sources_of(table, survey)
    with pytest.raises(BadCatalogError, match="no such file"):
        describe("fits", tmp_path / "nowhere.fits")


def test_folders_that_are_no_catalogs_are_named(catdir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadCatalogError, match="no HATS catalog"):
        describe("hats", tmp_path)
    go_out(catdir, "hats", tmp_path / "out")
    with pytest.raises(BadCatalogError, match="is a margin catalog"):
        describe("hats", tmp_path / "out" / "out_margin_60arcsec")
    outside = tmp_path / "outside"
    shutil.copytree(tmp_path / "out" / "out", outside)
    facts = tmp_path / "out" / "collection.properties"
    for bad in ("../outside", str(outside), "nothing/../../outside"):
        facts.write_text(f"obs_collection=out\nhats_primary_table_url={bad}\n")
        with pytest.raises(BadCatalogError, match=r"is said to be .*, which is not in it"):
            describe("hats", tmp_path / "out")
    shutil.rmtree(outside / "dataset")
    with pytest.raises(BadCatalogError, match="no files Norder"):
        describe("hats", outside)


def test_damaged_files_are_named(catdir: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(BadCatalogError, match=r"bad.parquet: damaged Parquet file"):
        describe("parquet", bad)
    table = pa.table({"ra": [1.0]}).replace_schema_metadata(
        {b"IVOA.VOTable-Parquet.content": b"<VOTABLE><TABLE"}
    )
    pq.write_table(table, bad)
    with pytest.raises(BadCatalogError, match="its description as VOTable is damaged"):
        describe("parquet", bad)
