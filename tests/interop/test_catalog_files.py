"""Files that addstar made, restored by us and by funpack, read by other people's programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits as astropy_fits
from astropy.table import Table

import dvo
from dvo.cli.output import Output
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.fits import TableFile, unpack
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests import synth


@pytest.fixture(scope="module")
def catalog_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Shared and compacted files of a small database."""
    catdir = synth.filled_database(tmp_path_factory.mktemp("db") / "cat", n_stars=400, n_images=5)
    shared = sorted((catdir / "shared").glob("*.cp?"))
    with Store(catdir, writable=True) as store:
        resort(store, own_file_rows=1)
    own = sorted(p for p in catdir.glob("[ns]*/*.cp?") if p.parent.name != "shared")
    assert {p.suffix for p in own} == {".cpt", ".cps", ".cpm"}
    return shared + own


def test_funpack_and_unpack_agree_to_the_byte(catalog_files: list[Path], tmp_path: Path) -> None:
    if shutil.which("funpack") is None:
        pytest.skip("funpack is not installed (Debian: libcfitsio-bin)")
    for path in catalog_files:
        # funpack may remove its input when it fails: it works on a copy.
        copy, theirs, ours = tmp_path / "c.fz", tmp_path / "theirs.fits", tmp_path / "ours.fits"
        shutil.copy(path, copy)
        subprocess.run(["funpack", "-O", str(theirs), str(copy)], check=True, timeout=60)
        unpack(path, ours)
        assert ours.read_bytes() == theirs.read_bytes(), path.name
        theirs.unlink()
        ours.unlink()


def test_astropy_and_fitsio_read_the_same_values(catalog_files: list[Path], tmp_path: Path) -> None:
    for k, path in enumerate(catalog_files):
        plain = tmp_path / f"{k}.fits"
        unpack(path, plain)
        with TableFile(path) as file:
            ours = file.read()
        with astropy_fits.open(plain, checksum=True) as hdus:
            theirs = {n.lower(): np.array(hdus[1].data[n]) for n in hdus[1].columns.names}
        others: Any = fitsio.read(str(plain), ext=1)
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=f"{path.name} {name}")
            np.testing.assert_array_equal(values, others[name.upper()], err_msg=path.name)


def test_astropy_makes_tables_of_them(catalog_files: list[Path], tmp_path: Path) -> None:
    for k, path in enumerate(catalog_files):
        plain = tmp_path / f"{k}.fits"
        unpack(path, plain)
        with TableFile(path) as file:
            ours, fields = file.read(), {f.name: f for f in file.fields}
        theirs = Table.read(plain, hdu=1)
        for name, values in ours.items():
            column = theirs[name.upper()]
            assert column.dtype.newbyteorder("=") == values.dtype, name
            is_null = np.ma.getmaskarray(np.ma.asarray(column))
            known = np.isfinite(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
            if fields[name].null is not None:
                known = values != fields[name].null
            np.testing.assert_array_equal(~is_null, known, err_msg=name)
            np.testing.assert_array_equal(np.asarray(column)[known], values[known], err_msg=name)


@pytest.mark.parametrize("table", ["average", "measure", "image"])
def test_results_mean_the_same_to_everybody(
    catalog_files: list[Path], tmp_path: Path, table: str
) -> None:
    with dvo.open(catalog_files[0].parents[1]) as db:
        found = pa.Table.from_batches(db.scan(table))
    Output.choose("fits", tmp_path / "a.fits").write(found)
    theirs, others = Table.read(tmp_path / "a.fits"), fitsio.read(str(tmp_path / "a.fits"), ext=1)
    schema = {"average": AVERAGE, "measure": MEASURE, "image": IMAGE}[table]
    for name in found.column_names:
        if pa.types.is_integer(found[name].type):
            null = schema[name].null
            wanted = [null if v is None else v for v in found[name].to_pylist()]
            assert others[name].tolist() == wanted, name
            assert np.asarray(np.ma.getdata(theirs[name])).tolist() == wanted, name
            is_masked = np.ma.getmaskarray(np.ma.asarray(theirs[name])).tolist()
            if others[name].dtype.kind == "i":
                assert is_masked == found[name].is_null().to_pylist(), name
        elif pa.types.is_floating(found[name].type):
            np.testing.assert_array_equal(others[name], found[name].to_numpy())


def test_stilts_reads_the_same_values(catalog_files: list[Path], tmp_path: Path) -> None:
    if shutil.which("stilts") is None:
        pytest.skip("stilts is not installed (Debian: stilts)")
    path = next(p for p in catalog_files if p.suffix == ".cpm")
    plain, csv = tmp_path / "m.fits", tmp_path / "m.csv"
    unpack(path, plain)
    subprocess.run(
        ["stilts", "tcopy", f"in={plain}#1", f"out={csv}", "ofmt=csv"], check=True, timeout=120
    )
    theirs = np.genfromtxt(csv, delimiter=",", names=True)
    with TableFile(path) as file:
        ours = file.read()
    for name in ("ra", "dec", "mag", "det_id", "image_id", "time"):
        # Text of a float32 is exact only as a float32.
        read = theirs[name.upper()].astype(ours[name].dtype)
        np.testing.assert_array_equal(ours[name], read, err_msg=name)
