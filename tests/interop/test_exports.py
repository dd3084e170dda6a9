"""STILTS, astropy and DuckDB read what we export; values and descriptions are equal."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from astropy.table import Table

from dvo.exchange.hats.export import HatsOptions, export_hats
from dvo.exchange.original.export import export_catdir
from dvo.exchange.selection import select
from dvo.exchange.table_file import export_file
from dvo.partition.store import Store
from tests import synth

needs_stilts = pytest.mark.skipif(
    not shutil.which("stilts"),
    reason="issue 3: STILTS is absent (Debian: apt-get install stilts)",
)
COLUMNS = {
    "object": ["ra", "dec", "ra_err", "nmeasure", "obj_id", "ext_id", "mean_epoch", "time_range",
               "g_mag", "g_mag_err", "g_nused", "r_mag", "flags"],
    "measure": ["ra", "dec", "mag", "mag_err", "time", "mjd", "det_id", "image_id", "ext_id",
                "photcode_name", "photcode", "mag:rel", "psf_ndof"],
    "image": ["image_id", "name", "photcode_name", "mjd", "exptime", "radius", "ra_center"],
}  # fmt: skip
ENDINGS = {"parquet": "parquet", "fits": "fits", "votable": "vot", "csv": "csv", "ecsv": "ecsv"}


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("exports") / "sky", n_stars=200)


def exported(catdir: Path, kind: str, path: Path, table: str) -> tuple[Any, dict[str, Any]]:
    with Store(catdir) as store:
        extract = select(store, store.view(), table, COLUMNS[table])
        export_file(extract, kind, path)
        values = [extract.read(g) for g in extract.groups()]
    return extract, {n: np.concatenate([v[n] for v in values]) for n in extract.names}


def stilts(*words: Any) -> str:
    done = subprocess.run(["stilts", *map(str, words)], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_stilts
@pytest.mark.parametrize("table", COLUMNS)
@pytest.mark.parametrize("kind", ["fits", "votable", "ecsv", "csv"])
def test_stilts_reads_all_values(catdir: Path, tmp_path: Path, kind: str, table: str) -> None:
    path = tmp_path / f"out.{ENDINGS[kind]}"
    extract, values = exported(catdir, kind, path, table)
    found = cells(stilts("tpipe", f"in={path}", f"ifmt={kind}", "ofmt=csv"))
    assert list(found) == extract.names
    for column in extract.columns:
        like, ours = column.like, values[column.name]
        theirs = np.array(found[column.name])
        if like.dtype[0] == "S":
            assert theirs.tolist() == np.char.decode(ours, "ascii").tolist()
            continue
        is_null = like.is_null(ours)
        np.testing.assert_array_equal(theirs == "", is_null, column.name)
        known = theirs[~is_null].astype(like.dtype)
        np.testing.assert_array_equal(known, ours[~is_null], column.name)


def cells(text: str) -> dict[str, list[str]]:
    """Columns of CSV as text."""
    names, *rows = csv.reader(io.StringIO(text))
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


@needs_stilts
@pytest.mark.parametrize("kind", ["fits", "votable", "ecsv"])
def test_stilts_knows_units_ucds_and_meanings(catdir: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{ENDINGS[kind]}"
    extract, _ = exported(catdir, kind, path, "object")
    text = stilts("tpipe", f"in={path}", f"ifmt={kind}", "cmd=meta name units ucd description",
                  "ofmt=csv")  # fmt: skip
    found = cells(text)
    assert found["Name"] == extract.names
    for i, column in enumerate(extract.columns):
        assert found["Units"][i] == column.like.unit
        assert " ".join(found["Description"][i].split()) == column.like.meaning
        if kind != "ecsv":  # there STILTS leaves UCDs alone
            assert found["UCD"][i] == column.like.ucd


@needs_stilts
def test_votlint_finds_nothing(catdir: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.vot"
    exported(catdir, "votable", path, "object")
    assert stilts("votlint", f"votable={path}") == ""


@needs_stilts
def test_stilts_reads_the_original_layout(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        export_catdir(store, view, tmp_path / "old")
        n_measures = view.snapshot.counts["measures"]
    n_rows = 0
    for path in sorted((tmp_path / "old").rglob("*.cpm")):
        text = stilts("tpipe", f"in={path}", "cmd=keepcols 'RA DEC MAG OBJ_ID EXT_ID'", "ofmt=csv")
        n_rows += len(text.splitlines()) - 1
    assert n_rows == n_measures


@pytest.mark.parametrize("table", COLUMNS)
def test_duckdb_reads_parquet_and_csv(catdir: Path, tmp_path: Path, table: str) -> None:
    for kind in ("parquet", "csv"):
        path = tmp_path / f"out.{kind}"
        extract, values = exported(catdir, kind, path, table)
        found = duckdb.sql(f"SELECT * FROM '{path}'").fetchnumpy()
        assert list(found) == extract.names
        for column in extract.columns:
            _assert_equal(found[column.name], values[column.name], column.like)


def _assert_equal(theirs: Any, ours: Any, like: Any) -> None:
    if like.dtype[0] == "S":
        words = ["" if w is None else w for w in np.ma.filled(theirs, "").tolist()]
        assert words == np.char.decode(ours, "ascii").tolist()
        return
    is_null = like.is_null(ours)
    assert (np.ma.getmaskarray(theirs) == is_null).all(), like.name
    known = np.ma.getdata(theirs)[~is_null].astype(like.dtype)
    np.testing.assert_array_equal(known, ours[~is_null], like.name)


def test_duckdb_reads_a_hats_catalog(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        extract = select(store, store.view(), "object", COLUMNS["object"], with_position=True)
        export_hats(extract, tmp_path / "out", HatsOptions(max_rows=30, margin_arcsec=60.0))
        values = [extract.read(g) for g in extract.groups()]
    ours = {n: np.concatenate([v[n] for v in values]) for n in extract.names}
    names = ", ".join(extract.names)
    leaves = tmp_path / "out" / "out" / "dataset" / "*" / "*" / "*.parquet"
    found = duckdb.sql(
        f"SELECT {names} FROM read_parquet('{leaves}', hive_partitioning=true) ORDER BY ext_id"
    ).fetchnumpy()
    order = np.argsort(ours["ext_id"])
    for column in extract.columns:
        _assert_equal(found[column.name], ours[column.name][order], column.like)
    # Pixels are columns by their folders, and the names of files.
    orders = duckdb.sql(
        f"SELECT DISTINCT Norder FROM read_parquet('{leaves}', hive_partitioning=true)"
    ).fetchall()
    assert len(orders) >= 1


def test_astropy_reads_fits_with_units(catdir: Path, tmp_path: Path) -> None:
    extract, values = exported(catdir, "fits", tmp_path / "o.fits", "object")
    found = Table.read(tmp_path / "o.fits")
    assert found.colnames == extract.names
    for column in extract.columns:
        assert str(found[column.name].unit or "") == column.like.unit
        _assert_equal(_masked(found[column.name]), values[column.name], column.like)


def _masked(column: Any) -> Any:
    values = np.ma.asarray(column)
    if values.dtype.kind == "f":
        return np.ma.masked_invalid(np.ma.getdata(values))
    return values
