"""FITS-LDAC catalogs: SExtractor's columns, the header in a cell, and what can be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from dvo.errors import BadCatalogError
from dvo.ingest.detections import ImageMeta, InputImage
from dvo.ingest.hdus import HduFile
from dvo.ingest.ldac import is_ldac, read_ldac
from dvo.tables.flags import PhotFlag

CARDS: dict[str, Any] = {
    "NAXIS": 2,
    "NAXIS1": 2000,
    "NAXIS2": 4000,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 0.05,
    "CRVAL2": 30.0,
    "CRPIX1": 1000.0,
    "CRPIX2": 2000.0,
    "CD1_1": -7.3e-5,
    "CD1_2": 1e-7,
    "CD2_1": 1e-7,
    "CD2_2": 7.3e-5,
    "DATE-OBS": "2017-12-20T01:33:43.2",
    "EXPTIME": 100.0,
    "AIRMASS": 1.3,
    "PHOTCODE": "DECAM.r",
    "MAGZERO": 30.0,
    "FILENAME": "c4d_171220",
    "SEXMGZPT": 27.0,
}
SCAMP = {
    "PV1_0": 1e-3,
    "PV1_1": 1.01,
    "PV1_2": 1e-3,
    "PV2_0": 2e-3,
    "PV2_1": 0.99,
    "PV2_2": -1e-3,
    "PV1_7": 0.02,
}


def columns(n: int = 20) -> dict[str, Any]:
    r = np.random.default_rng(4)
    flux = 10 ** r.uniform(3, 5, n)
    return {
        "NUMBER": np.arange(1, n + 1, dtype="i4"),
        "XWIN_IMAGE": r.uniform(1, 2000, n),
        "YWIN_IMAGE": r.uniform(1, 4000, n),
        "ERRX2WIN_IMAGE": np.full(n, 0.04),
        "ERRY2WIN_IMAGE": np.full(n, 0.09),
        "FLUX_AUTO": flux.astype("f4"),
        "FLUXERR_AUTO": (0.01 * flux).astype("f4"),
        "FLUX_APER": np.stack([1.1 * flux, 2 * flux], axis=1).astype("f4"),
        "MAG_AUTO": (27 - 2.5 * np.log10(flux)).astype("f4"),
        "MAGERR_AUTO": np.full(n, 0.011, "f4"),
        "FLAGS": np.arange(n, dtype="i2") % 8,
        "FWHM_IMAGE": np.full(n, 3.5, "f4"),
    }


def imhead(cards: dict[str, Any]) -> fits.BinTableHDU:
    text = fits.Header(cards).tostring(endcard=True, padding=False)
    cell = np.array([[text[i : i + 80] for i in range(0, len(text), 80)]])
    form, dim = f"{len(text)}A", f"(80,{cell.shape[1]})"
    column = fits.Column("Field Header Card", form, dim=dim, array=cell)
    hdu = fits.BinTableHDU.from_columns([column])
    hdu.header["EXTNAME"] = "LDAC_IMHEAD"
    return hdu


def objects(data: dict[str, Any]) -> fits.BinTableHDU:
    codes = {"i2": "I", "i4": "J", "f4": "E", "f8": "D"}
    made = [
        fits.Column(k, (f"{v.shape[1]}" if v.ndim > 1 else "") + codes[v.dtype.str[1:]], array=v)
        for k, v in data.items()
    ]
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header["EXTNAME"] = "LDAC_OBJECTS"
    return hdu


def write(path: Path, hdus: list[Any]) -> Path:
    out = path / "c.cat"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(out)
    return out


def read_one(path: Path, cards: dict[str, Any], data: dict[str, Any]) -> InputImage:
    (image,) = read_ldac(write(path, [imhead(cards), objects(data)]))
    return image


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_one_chip(tmp_path: Path) -> None:
    data = columns()
    image = read_one(tmp_path, CARDS, data)
    meta = image.meta
    assert isinstance(meta, ImageMeta)
    assert (meta.name, meta.photcode, meta.exptime_s) == ("c4d_171220", "DECAM.r", 100.0)
    assert meta.mjd == pytest.approx(58107.0650833333, abs=1e-9)
    assert (meta.nx, meta.ny, meta.airmass) == (2000, 4000, 1.3)
    assert meta.zero_point == pytest.approx(25.0)
    want = WCS(fits.Header(CARDS)).all_pix2world(data["XWIN_IMAGE"], data["YWIN_IMAGE"], 1)
    assert np.allclose(image.detections.ra, want[0], atol=1e-10)
    assert np.allclose(image.detections.dec, want[1], atol=1e-10)
    got = image.detections.columns
    inst = -2.5 * np.log10(data["FLUX_AUTO"])
    assert np.allclose(got["mag"], inst + 30.0, atol=1e-5)
    assert np.allclose(got["m_kron"], inst + 30.0, atol=1e-5)
    assert np.allclose(got["m_aper"], inst + 30.0 - 2.5 * np.log10(1.1), atol=1e-5)
    assert np.allclose(got["flux_kron"], data["FLUX_AUTO"] / 100)
    assert np.allclose(got["mag_err"], 0.011)
    assert got["phot_flags"][6] == PhotFlag.BLEND | PhotFlag.SATURATED
    assert got["det_id"].tolist() == list(range(1, 21))
    assert image.detections.ra_err is not None
    assert np.allclose(image.detections.ra_err, 0.2 * 7.3e-5 * 3600, rtol=1e-3)


def test_error_ellipses_serve_where_variances_are_not_given(tmp_path: Path) -> None:
    data = {k: v for k, v in columns().items() if not k.startswith("ERR")}
    data |= {
        "ERRAWIN_IMAGE": np.full(20, 0.05, "f4"),
        "ERRBWIN_IMAGE": np.full(20, 0.02, "f4"),
        "ERRTHETAWIN_IMAGE": np.where(np.arange(20) % 2, 90.0, 30.0).astype("f4"),
    }
    got = read_one(tmp_path, CARDS, data)
    turned = np.arange(20) % 2 == 1
    along = np.sqrt(0.75 * 0.05**2 + 0.25 * 0.02**2)
    assert np.allclose(got.detections.columns["x_ccd_err"], np.where(turned, 0.02, along))
    assert np.allclose(got.detections.columns["y_ccd_err"][turned], 0.05)
    assert got.detections.ra_err is not None


def test_magnitudes_without_fluxes(tmp_path: Path) -> None:
    data = {k: v for k, v in columns().items() if not k.startswith("FLUX")}
    want = data["MAG_AUTO"] - 27.0 + 30.0
    data["MAG_AUTO"] = np.where(np.arange(20) == 3, np.float32(99), data["MAG_AUTO"])
    got = read_one(tmp_path, CARDS, data).detections.columns["mag"]
    assert np.isnan(got[3])
    assert np.allclose(np.delete(got, 3), np.delete(want, 3), atol=1e-5)


def test_chips_are_pairs(tmp_path: Path) -> None:
    hdus = [
        imhead(CARDS),
        objects(columns(3)),
        imhead(CARDS | {"EXTNAME": "N31"}),
        objects(columns(4)),
    ]
    images = list(read_ldac(write(tmp_path, hdus), photcode="X.r"))
    metas = [image.meta for image in images]
    assert all(isinstance(m, ImageMeta) for m in metas)
    assert [m.name for m in metas] == ["c4d_171220[1]", "c4d_171220[N31]"]
    assert [m.ccdnum for m in metas] == [1, 31]  # type: ignore[union-attr]  # checked above
    assert [len(i.detections) for i in images] == [3, 4]
    with HduFile(tmp_path / "c.cat") as file:
        assert is_ldac(file)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_distortion_as_scamp_writes_it(tmp_path: Path) -> None:
    data = columns()
    image = read_one(tmp_path, CARDS | SCAMP, data)
    plain = fits.Header(CARDS | SCAMP | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"})
    want = WCS(plain).all_pix2world(data["XWIN_IMAGE"], data["YWIN_IMAGE"], 1)
    assert np.allclose(image.detections.ra, want[0], atol=1e-9)
    assert np.allclose(image.detections.dec, want[1], atol=1e-9)


def test_no_detections_is_an_image(tmp_path: Path) -> None:
    assert len(read_one(tmp_path, CARDS, columns(0)).detections) == 0


def test_positions_of_the_table_serve_without_astrometry(tmp_path: Path) -> None:
    cards = {k: v for k, v in CARDS.items() if not k.startswith("C")}
    data = columns(2) | {"ALPHA_J2000": np.array([10.0, -1.0]), "DELTA_J2000": np.array([5.0, 6.0])}
    image = read_one(tmp_path, cards, data)
    assert image.detections.ra.tolist() == [10.0, 359.0]


def check_bad(path: Path, *words: str) -> None:
    with pytest.raises(BadCatalogError) as caught:
        list(read_ldac(path))
    for word in (path.name, *words):
        assert word in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    def made(name: str, hdus: list[Any]) -> Path:
        (tmp_path / name).mkdir()
        return write(tmp_path / name, hdus)

    plain = {k: v for k, v in CARDS.items() if not k.startswith("C")}
    twice = columns(5)
    twice["NUMBER"][4] = 2
    check_bad(made("a", [objects(columns(2))]), "LDAC_IMHEAD")
    check_bad(made("b", [imhead(CARDS)]), "LDAC_OBJECTS")
    check_bad(made("c", [imhead(plain), objects(columns(2))]), "no positions")
    check_bad(made("d", [imhead(CARDS), objects(twice)]), "NUMBER", "detection 2")
    twice["NUMBER"][4] = -2
    check_bad(made("n", [imhead(CARDS), objects(twice)]), "NUMBER", "number -2 (row 4")
    for key in ("EXPTIME", "DATE-OBS", "PHOTCODE"):
        cards = {k: v for k, v in CARDS.items() if k != key}
        check_bad(made(key, [imhead(cards), objects(columns(2))]), key)
    cut = tmp_path / "cut.cat"
    whole = made("e", [imhead(CARDS), objects(columns(200))]).read_bytes()
    cut.write_bytes(whole[:-3000])
    check_bad(cut, "cut short")
