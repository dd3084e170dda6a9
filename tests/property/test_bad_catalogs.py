"""Damaged catalogs give a BadCatalogError or an image: nothing else, and no memory blow-up."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from dvo.errors import BadCatalogError
from dvo.ingest.catalogs import read_catalog
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.satellites.green import is_green, read_green
from dvo.ingest.satellites.table_rows import read_rows
from dvo.ingest.tables import read_detections
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.starpar import STARPAR
from tests.unit.ingest.psphot_files import detections, write_smf
from tests.unit.ingest.satellite_files import (
    apertures,
    fits_of_models,
    lens_terms,
    shapes,
    write_catalog,
    xfit_hdu,
    xgal_hdu,
    xrad_hdu,
)
from tests.unit.ingest.test_ldac import CARDS, columns, imhead, objects

MAP = parse_column_map("ra=ra,dec=dec,mag=mag,flags=flags,det_id=id")


def plain_columns() -> dict[str, np.ndarray]:
    n = 40
    return {
        "ra": np.linspace(0, 359, n),
        "dec": np.linspace(-80, 80, n),
        "mag": np.linspace(10, 20, n).astype("f4"),
        "flags": np.arange(n, dtype="i4"),
        "id": np.arange(n, dtype="i8"),
    }


def _read_map(path: Path) -> None:
    read_detections(path, MAP)


def _read_images(path: Path) -> None:
    for _ in read_catalog(path):
        pass


def _read_stars(path: Path) -> None:
    read_rows(path, STARPAR, {}, PhotcodeTable())


def _read_green(path: Path) -> None:
    if is_green(path):
        read_green(path)


@cache
def good(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "smf":
        with tempfile.TemporaryDirectory() as folder:
            return write_smf(Path(folder) / "a.smf", n=5).read_bytes()
    if kind == "satellites":
        hdus = [
            xfit_hdu(fits_of_models([1, 2])), xgal_hdu(shapes([1, 2])), xrad_hdu(apertures([2], 3))
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = write_catalog(
                Path(folder) / "a.cmf", hdus, columns=detections(3) | lens_terms(3)
            )
            return path.read_bytes()
    if kind == "green":
        return _green()
    if kind == "stars":
        Table({"RA": [1.0, 2.0], "DEC": [3.0, 4.0], "E_BV": [0.1, 0.2]}).write(out, format="fits")
        return out.getvalue()
    if kind == "ldac":
        hdus = [fits.PrimaryHDU(), imhead(CARDS), objects(columns(5))]
        fits.HDUList(hdus).writeto(out)
    elif kind == "fits":
        Table(plain_columns()).write(out, format="fits")
    elif kind == "votable":
        Table(plain_columns()).write(out, format="votable")
    elif kind == "parquet":
        pa.parquet.write_table(pa.table(plain_columns()), out)
    else:
        pa.csv.write_csv(pa.table(plain_columns()), out)
    return out.getvalue()


def _green() -> bytes:
    columns = [fits.Column(n, "E", array=np.ones(3)) for n in ("l", "b", "lnZ", "DM", "EBV")]
    columns += [fits.Column(n, "E", array=np.ones(3)) for n in ("Mr", "FeH")]
    columns.append(fits.Column("conv", "B", array=np.ones(3)))
    out = io.BytesIO()
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]
    fits.HDUList([*hdus, fits.ImageHDU(np.ones((3, 4, 5)))]).writeto(out)
    return out.getvalue()


READERS: dict[str, Callable[[Path], None]] = {
    "smf": _read_images,
    "satellites": _read_images,
    "green": _read_green,
    "stars": _read_stars,
    "ldac": _read_images,
    "fits": _read_map,
    "votable": _read_map,
    "parquet": _read_map,
    "csv": _read_map,
}

DIGITS = st.sampled_from([b"0", b"9", b"-", b"1", b" ", b"E", b"'", b"."])
DAMAGE = st.one_of(
    st.tuples(
        st.just("put"), st.floats(0, 1), st.one_of(DIGITS, st.binary(min_size=1, max_size=6))
    ),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(b"")),
    st.tuples(st.just("drop"), st.floats(0, 1), st.binary(max_size=3)),
)


def damage(data: bytes, how: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, what in how:
        at = int(where * len(data))
        if kind == "put":
            data = data[:at] + what + data[at + len(what) :]
        elif kind == "cut":
            data = data[:at]
        else:
            data = data[:at] + what + data[at + 1 :]
    return data


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("kind", sorted(READERS))
@given(st.lists(DAMAGE, min_size=1, max_size=4))
def test_damaged_files(kind: str, how: list[tuple[str, float, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog"
        path.write_bytes(damage(good(kind), how))
        with contextlib.suppress(BadCatalogError):
            READERS[kind](path)
