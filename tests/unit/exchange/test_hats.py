"""HATS collections: every row once, where the list of pixels says, with its margins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dvo.errors import ConfigError, QueryError, StorageError
from dvo.exchange.hats import export as export_module
from dvo.exchange.hats.catalog import Catalog
from dvo.exchange.hats.export import HatsOptions, export_hats
from dvo.exchange.hats.tiling import healpix_29
from dvo.exchange.report import ExportReport
from dvo.exchange.selection import select
from dvo.partition.bounds import Box
from dvo.partition.store import Store
from tests import synth


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # On RA 0, where base pixels of HEALPix meet as well.
    path = synth.make_database(tmp_path_factory.mktemp("hats") / "sky")
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(5, 400, 4, "wrap"))
        synth.add_images(store, synth.make_images(6, 200, 2, "pole", first=4))
    return path


@pytest.fixture(scope="module")
def collection(catdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("collections") / "my stars"
    export(catdir, target, HatsOptions(max_rows=60, margin_arcsec=30.0))
    return target


def export(
    catdir: Path,
    target: Path,
    options: HatsOptions | None = None,
    table: str = "object",
    **more: Any,
) -> ExportReport:
    with Store(catdir) as store:
        extract = select(store, store.view(), table, more.pop("columns", None),
                         more.pop("area", None), with_position=True)  # fmt: skip
        return export_hats(extract, target, options, **more)


def properties(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def leaves(catalog: Path) -> Iterator[tuple[int, int, pa.Table]]:
    """Order, pixel and rows of each file."""
    for path in sorted((catalog / "dataset").glob("Norder=*/Dir=*/Npix=*.parquet")):
        order, folder, pixel = (int(p.split("=")[1].split(".")[0]) for p in path.parts[-3:])
        assert folder == pixel // 10_000 * 10_000
        yield order, pixel, pq.read_table(path, partitioning=None)


def main_of(collection: Path) -> Path:
    return collection / properties(collection / "collection.properties")["hats_primary_table_url"]


def margin_of(collection: Path) -> Path:
    return collection / properties(collection / "collection.properties")["default_margin"]


def test_every_object_is_in_the_file_of_its_pixel(catdir: Path, collection: Path) -> None:
    found = []
    for order, pixel, table in leaves(main_of(collection)):
        places = table["_healpix_29"].to_numpy()
        assert 0 < len(places) <= 60
        assert (np.diff(places) >= 0).all(), "out of the order of places"
        assert (places >> 2 * (29 - order) == pixel).all()
        ra, dec = table["ra"].to_numpy(), table["dec"].to_numpy()
        np.testing.assert_array_equal(places, healpix_29(ra, dec))
        found.append(table)
    whole = pa.concat_tables(found).sort_by("ext_id")
    with Store(catdir) as store:
        extract = select(store, store.view(), "object")
        values = [extract.read(g) for g in extract.groups()]
    order = np.argsort(np.concatenate([v["ext_id"] for v in values]))
    for column in extract.columns:
        ours = np.concatenate([v[column.name] for v in values])[order]
        theirs = whole[column.name].to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(theirs, ours, column.name)


def test_margins_hold_rows_of_other_pixels_that_are_near(collection: Path) -> None:
    rows = {}
    for _, _, table in leaves(main_of(collection)):
        rows |= dict(zip(table["ext_id"].to_pylist(), table.to_pylist(), strict=True))
    n_margin = 0
    for order, pixel, table in leaves(margin_of(collection)):
        assert (table["_healpix_29"].to_numpy() >> 2 * (29 - order) != pixel).all()
        assert len(set(table["ext_id"].to_pylist())) == len(table)
        for row in table.to_pylist():
            assert row == rows[row["ext_id"]]
        n_margin += len(table)
    assert n_margin == int(properties(margin_of(collection) / "hats.properties")["hats_nrows"])
    assert n_margin > 20


def test_properties_say_what_the_catalogs_are(collection: Path) -> None:
    whole = properties(collection / "collection.properties")
    assert whole["obs_collection"] == whole["hats_primary_table_url"] == "my_stars"
    assert whole["all_margins"] == whole["default_margin"] == "my_stars_margin_30arcsec"
    main = properties(main_of(collection) / "hats.properties")
    assert main == properties(main_of(collection) / "properties")
    expected = {
        "obs_collection": "my_stars", "dataproduct_type": "object", "hats_col_ra": "ra",
        "hats_col_dec": "dec", "hats_col_healpix": "_healpix_29", "hats_col_healpix_order": "29",
        "hats_max_rows": "60", "hats_npix_suffix": ".parquet", "hats_version": "v1.0",
    }  # fmt: skip
    assert expected.items() <= main.items()
    assert main["hats_builder"].startswith("dvo v")
    margin = properties(margin_of(collection) / "hats.properties")
    assert margin["dataproduct_type"] == "margin"
    assert margin["hats_primary_table_url"] == "my_stars"
    assert float(margin["hats_margin_threshold"]) == 30.0


@pytest.mark.parametrize("which", [main_of, margin_of])
def test_lists_of_pixels_agree(collection: Path, which: Any) -> None:
    folder = which(collection)
    there = sorted((order, pixel) for order, pixel, _ in leaves(folder))
    header, *lines = (folder / "partition_info.csv").read_text().splitlines()
    assert header == "Norder,Npix"
    assert sorted(tuple(map(int, line.split(","))) for line in lines) == there
    footer = pq.read_metadata(folder / "dataset" / "_metadata")
    paths = {footer.row_group(i).column(0).file_path for i in range(footer.num_row_groups)}
    assert paths == {f"Norder={o}/Dir={p // 10_000 * 10_000}/Npix={p}.parquet" for o, p in there}
    facts = properties(folder / "hats.properties")
    assert footer.num_rows == int(facts["hats_nrows"])
    assert int(facts["hats_order"]) == max(o for o, _ in there)
    share = sum(1 / (12 * 4**o) for o, _ in there)
    assert float(facts["moc_sky_fraction"]) == pytest.approx(share, abs=1e-5)


def test_columns_have_units_and_are_described(collection: Path) -> None:
    schema = pq.read_schema(main_of(collection) / "dataset" / "_common_metadata")
    assert schema.names[0] == "_healpix_29"
    assert schema.field("g_mag").metadata[b"unit"] == b"mag"
    assert b'name="g_mag"' in schema.metadata[b"IVOA.VOTable-Parquet.content"]


def test_the_skymap_counts_all_rows(catdir: Path, collection: Path) -> None:
    import healpy

    path = main_of(collection) / "skymap.fits"
    order = int(properties(main_of(collection) / "hats.properties")["hats_skymap_order"])
    sky = healpy.read_map(path, nest=True, dtype=None)
    sky = np.where(sky > 0, sky, 0)
    expected = np.zeros(12 * 4**order, int)
    for _, _, table in leaves(main_of(collection)):
        np.add.at(expected, table["_healpix_29"].to_numpy() >> 2 * (29 - order), 1)
    np.testing.assert_array_equal(sky, expected)


@pytest.mark.parametrize("table", ["average", "measure", "secfilt"])
def test_other_tables_with_places(catdir: Path, tmp_path: Path, table: str) -> None:
    report = export(catdir, tmp_path / "out", table=table)
    with Store(catdir) as store:
        n_rows = select(store, store.view(), table).count()
    assert report.rows == n_rows == sum(len(t) for _, _, t in leaves(main_of(tmp_path / "out")))
    kind = properties(main_of(tmp_path / "out") / "properties")["dataproduct_type"]
    assert kind == ("object" if table == "average" else "source")


def test_what_has_no_room_in_memory_waits_on_disk(
    catdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = HatsOptions(max_rows=100, margin_arcsec=10.0)
    export(catdir, tmp_path / "one", options, table="measure")
    monkeypatch.setattr(export_module, "_HELD_BYTES", 1000)
    export(catdir, tmp_path / "two", options, table="measure")
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [
        "collection.properties", "two", "two_margin_10arcsec",
    ]  # fmt: skip
    for which in (main_of, margin_of):
        pairs = zip(leaves(which(tmp_path / "one")), leaves(which(tmp_path / "two")), strict=True)
        for (*pixel, one), (*same, two) in pairs:
            assert pixel == same
            by = [("image_id", "ascending"), ("det_id", "ascending")]
            assert one.sort_by(by).equals(two.sort_by(by))


def test_positions_come_along_and_regions_are_kept(catdir: Path, tmp_path: Path) -> None:
    area = Box(359.9, 0.1, 7.4, 7.6)
    report = export(catdir, tmp_path / "out", columns=["g_mag"], area=area)
    tables = [t for _, _, t in leaves(main_of(tmp_path / "out"))]
    assert tables[0].column_names == ["_healpix_29", "ra", "dec", "g_mag"]
    found = pa.concat_tables(tables)
    assert area.holds(found["ra"].to_numpy(), found["dec"].to_numpy()).all()
    assert 0 < len(found) == report.rows < 400


def test_without_margins_there_is_no_margin_cache(catdir: Path, tmp_path: Path) -> None:
    report = export(catdir, tmp_path / "out", HatsOptions(margin_arcsec=0.0))
    facts = properties(tmp_path / "out" / "collection.properties")
    assert "default_margin" not in facts
    assert "all_margins" not in facts
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["collection.properties", "out"]
    assert report.more["margin_rows"] == 0


def test_nothing_makes_no_catalog(catdir: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no rows to write"):
        export(catdir, tmp_path / "out", area=Box(100, 101, 50, 51))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"max_rows": 0}, {"margin_arcsec": -1.0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        _ = HatsOptions(**options).finest


def test_only_collections_are_replaced(catdir: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    export(catdir, target, HatsOptions(max_rows=50))
    with pytest.raises(StorageError, match="exists already"):
        export(catdir, target)
    export(catdir, target, overwrite=True)
    assert properties(main_of(target) / "properties")["hats_max_rows"] == "1000000"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    mine = tmp_path / "home"
    mine.mkdir()
    (mine / "letter.txt").write_text("precious")
    with pytest.raises(StorageError, match=r"no earlier export \(it has no collection.properties"):
        export(catdir, mine, overwrite=True)
    assert (mine / "letter.txt").read_text() == "precious"


def test_what_fails_leaves_the_old_collection(
    catdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    export(catdir, target, HatsOptions(max_rows=50))
    before = {p.relative_to(tmp_path): p.stat().st_mtime_ns for p in tmp_path.rglob("*")}

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Catalog, "write_pixel", fail)
    with pytest.raises(StorageError, match=r"out: cannot be written \(No space left"):
        export(catdir, target, overwrite=True)
    assert before == {p.relative_to(tmp_path): p.stat().st_mtime_ns for p in tmp_path.rglob("*")}


@pytest.mark.parametrize("where", ["sync", "rename"])
def test_a_killed_export_leaves_nothing_that_looks_complete(
    catdir: Path, tmp_path: Path, where: str
) -> None:
    # The process ends without any cleaning up, when all files are written.
    program = f"""
import os
from pathlib import Path
from dvo.exchange import new_path
from tests.unit.exchange.test_hats import export
if {where!r} == "sync":
    new_path._sync_below = lambda folder: os._exit(9)
else:
    rename = Path.rename
    def stop(self, target):
        os._exit(9) if self.name.endswith(".part") else rename(self, target)
    Path.rename = stop
export(Path({str(catdir)!r}), Path({str(tmp_path / "out")!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60)
    assert done.returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    assert left.name.endswith(".part")
    export(catdir, tmp_path / "out")
    assert (tmp_path / "out" / "collection.properties").exists()
