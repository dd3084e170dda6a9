"""Files that addstar made, restored by us and by funpack, read by other people's programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits as astropy_fits

from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.fits import TableFile, unpack
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
