"""psphot catalogs: columns, positions, facts of the header, and everything that can be bad."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from dvo.astrometry.solution import pixel_to_sky
from dvo.errors import BadCatalogError
from dvo.ingest.detections import ImageMeta, InputImage, content_digest
from dvo.ingest.smf import read_smf
from dvo.tables.fits.field import Field
from dvo.tables.fits.writer import TableHDU, write_fits
from tests.unit.ingest.psphot_files import (
    CHIP,
    PRIMARY,
    detections,
    header_hdu,
    primary_hdu,
    table_hdu,
    write,
    write_smf,
)


def one_chip(
    path: Path,
    columns: dict[str, Any] | None = None,
    chip: dict[str, Any] | None = None,
    primary: dict[str, Any] | None = None,
    exttype: str = "PS1_V5",
) -> Path:
    return write(
        path / "one.smf",
        [
            primary_hdu(PRIMARY if primary is None else primary),
            header_hdu(CHIP if chip is None else chip),
            table_hdu(detections(10) if columns is None else columns, exttype=exttype),
        ],
    )


def read_one(path: Path) -> InputImage:
    (image,) = read_smf(path)
    assert isinstance(image.meta, ImageMeta)
    return image


def meta_of(image: InputImage) -> ImageMeta:
    assert isinstance(image.meta, ImageMeta)
    return image.meta


def test_facts_of_the_headers(tmp_path: Path) -> None:
    images = list(read_smf(write_smf(tmp_path / "o.smf")))
    assert [meta_of(i).photcode for i in images] == ["CAM.r.XY01", "CAM.r.XY02"]
    meta = meta_of(images[1])
    assert meta.name == "o5000g0001o[XY02]"
    assert (meta.mjd, meta.exptime_s, meta.airmass) == (55000.25, 40.0, 1.2)
    assert (meta.extern_id, meta.source_id, meta.ccdnum) == (78, 3, 2)
    assert (meta.nx, meta.ny, meta.n_astrom) == (1000, 1200, 25)
    assert (meta.zero_point, meta.zero_point_err, meta.cerror) == (24.6, 0.02, 0.04)
    assert meta.coords is not None
    assert meta.coords.mosaic is not None
    assert meta.parent is not None
    assert meta.parent is meta_of(images[0]).parent
    assert meta.parent.coords is meta.coords.mosaic
    assert meta.parent.photcode == ""


def test_columns(tmp_path: Path) -> None:
    columns = detections(10)
    image = read_one(one_chip(tmp_path, columns))
    got = image.detections.columns
    assert len(image.detections) == 10
    shift = 2.5 * np.log10(40.0) + 25.0
    assert np.allclose(got["mag"], columns["PSF_INST_MAG"] + shift, atol=1e-5)
    assert np.allclose(got["m_aper"], columns["AP_MAG"] + shift, atol=1e-5)
    kron = -2.5 * np.log10(columns["KRON_FLUX"]) + shift
    assert np.allclose(got["m_kron"], kron, atol=1e-5)
    assert np.allclose(got["m_kron_err"], 0.03 / 1.2, rtol=1e-5)
    assert np.allclose(got["m_aper_err"], 0.02 / 1.1, rtol=1e-5)
    assert np.allclose(got["flux_psf"], columns["PSF_INST_FLUX"] / 40, rtol=1e-6)
    assert np.allclose(got["flux_kron_err"], columns["KRON_FLUX_ERR"] / 40, rtol=1e-6)
    assert np.allclose(got["fwhm_major"], columns["PSF_FWHM_MAJ"], rtol=1e-6)
    assert got["phot_flags"].tolist() == (np.arange(10) % 7).tolist()
    assert got["det_id"].dtype == np.uint32
    assert all(v.dtype.isnative for v in got.values())
    assert image.report == {"dropped": {}, "missing": []}


def test_positions_and_their_errors(tmp_path: Path) -> None:
    columns = detections(10)
    image = read_one(one_chip(tmp_path, columns))
    coords = meta_of(image).coords
    assert coords is not None
    x = columns["X_PSF"].astype("f4").astype("f8")
    y = columns["Y_PSF"].astype("f4").astype("f8")
    ra, dec = pixel_to_sky(coords, x, y)
    assert np.array_equal(image.detections.ra, ra)
    assert np.array_equal(image.detections.dec, dec)
    # The chip is nearly upright: x is east, y north, 0.2592 arcsec a pixel.
    assert image.detections.ra_err is not None
    assert image.detections.dec_err is not None
    assert np.allclose(image.detections.ra_err, 0.1 * 0.2592, rtol=2e-2)
    assert np.allclose(image.detections.dec_err, 0.2 * 0.2592, rtol=2e-2)


def test_insignificant_fluxes_are_kept(tmp_path: Path) -> None:
    columns = detections(4)
    columns["PSF_INST_MAG"][:2] = [np.nan, 0.0]
    columns["PSF_INST_FLUX"][:2] = [-100.0, 0.4]
    columns["KRON_FLUX"][0] = -3.0
    got = read_one(one_chip(tmp_path, columns)).detections.columns
    assert np.isnan(got["mag"]).tolist() == [True, True, False, False]
    assert np.allclose(got["flux_psf"][:2], [-2.5, 0.01])
    assert np.isnan(got["m_kron"][0])
    assert np.isnan(got["m_kron_err"][0])
    assert got["flux_kron"][0] == pytest.approx(-3.0 / 40)


def test_first_version_has_fewer_columns(tmp_path: Path) -> None:
    gone = ["PSF_INST_FLUX", "PSF_INST_FLUX_SIG", "AP_FLUX", "AP_FLUX_SIG", "KRON_FLUX"]
    gone += ["KRON_FLUX_ERR", "PSF_QF_PERFECT", "FLAGS2", "PSF_FWHM_MAJ", "PSF_FWHM_MIN"]
    columns = {k: v for k, v in detections(5).items() if k not in gone}
    image = read_one(one_chip(tmp_path, columns, exttype="PS1_V1"))
    assert image.report["missing"] == []
    got = image.detections.columns
    assert "m_kron" not in got
    assert np.allclose(got["flux_psf"], 10 ** (-0.4 * columns["PSF_INST_MAG"]) / 40, rtol=1e-5)
    assert np.allclose(got["flux_psf_err"], got["flux_psf"] * 0.01, rtol=1e-5)
    assert np.allclose(got["fwhm_major"], columns["PSF_MAJOR"], rtol=1e-6)


def test_missing_columns_are_reported(tmp_path: Path) -> None:
    columns = {k: v for k, v in detections(5).items() if k not in ("MOMENTS_XX", "KRON_FLUX")}
    assert read_one(one_chip(tmp_path, columns)).report["missing"] == ["MOMENTS_XX", "KRON_FLUX"]


def test_unsigned_flags_in_signed_columns(tmp_path: Path) -> None:
    columns = detections(3)
    columns["FLAGS"] = np.array([0x80000001, 0x40000000, 0], np.uint32).view(np.int32)
    got = read_one(one_chip(tmp_path, columns)).detections.columns["phot_flags"]
    assert got.tolist() == [0x80000001, 0x40000000, 0]


def test_extension_names_of_any_case_and_twice(tmp_path: Path) -> None:
    hdus = [
        primary_hdu(PRIMARY),
        header_hdu(CHIP, "wrong name"),
        table_hdu(detections(3), "XY33.PSF"),
        table_hdu({"A": np.zeros(2)}, "XY33.xsrc", "PS1_V5"),
    ]
    (image,) = read_smf(write(tmp_path / "o.smf", hdus))
    assert meta_of(image).ccdnum == 33


def test_single_chip_file_with_a_plain_solution(tmp_path: Path) -> None:
    cards = {k: v for k, v in PRIMARY.items() if not k.startswith(("C", "P", "NPLY"))}
    plain = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 0.01,
        "CRVAL2": 5.0,
        "CRPIX1": 500.0,
        "CRPIX2": 600.0,
        "CD1_1": -7e-5,
        "CD2_2": 7e-5,
        "PHOTCODE": "CAM.r",
    }
    hdus = [primary_hdu({**cards, **plain}), table_hdu(detections(50), "SkyChip.psf", "PS1_SV1")]
    image = read_one(write(tmp_path / "s.cmf", hdus))
    assert meta_of(image).parent is None
    assert meta_of(image).ccdnum == 0
    assert np.all((image.detections.ra < 0.1) | (image.detections.ra > 359.9))


def test_positions_of_the_table_serve_without_astrometry(tmp_path: Path) -> None:
    chip = {k: v for k, v in CHIP.items() if not k.startswith(("C", "P", "NPLY"))}
    columns = detections(6)
    columns["RA_PSF"] = np.array([-0.5, 360.25, 720.0, np.nan, 10.0, 11.0])
    columns["DEC_PSF"] = np.array([1.0, 90.0 + 5e-7, -90.0, 1.0, 90.1, 2.0])
    image = read_one(
        one_chip(tmp_path, columns, chip | {"PHOTCODE": "CAM.r"}, {**PRIMARY, "CTYPE1": ""})
    )
    assert image.detections.ra.tolist() == [359.5, 0.25, 0.0, 11.0]
    assert image.detections.dec.tolist() == [1.0, 90.0, -90.0, 2.0]
    assert image.detections.columns["det_id"].tolist() == [0, 1, 2, 5]
    assert image.report["dropped"] == {"nan position": 1, "dec out of range": 1}
    assert meta_of(image).coords is None


def test_nan_pixels_are_dropped_with_a_count(tmp_path: Path) -> None:
    columns = detections(10)
    columns["X_PSF"][3] = np.nan
    image = read_one(one_chip(tmp_path, columns))
    assert len(image.detections) == 9
    assert image.report["dropped"] == {"nan position": 1}


def test_no_detections_is_an_image(tmp_path: Path) -> None:
    image = read_one(one_chip(tmp_path, detections(0)))
    assert len(image.detections) == 0
    assert meta_of(image).extern_id == 77


def test_content_does_not_depend_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = meta_of(read_one(one_chip(tmp_path / "a")))
    second = meta_of(read_one(one_chip(tmp_path / "b")))
    assert first.content == second.content
    assert len(first.content) == 32
    other = detections(10)
    other["X_PSF"][0] += 0.001
    (tmp_path / "c").mkdir()
    assert meta_of(read_one(one_chip(tmp_path / "c", other))).content != first.content
    (tmp_path / "d").mkdir()
    moved = CHIP | {"CRVAL1": 5000.001}
    assert meta_of(read_one(one_chip(tmp_path / "d", chip=moved))).content != first.content


def test_digest_tells_columns_and_facts_apart() -> None:
    a = np.arange(3)
    made = {
        content_digest((1,), {"x": a}),
        content_digest((2,), {"x": a}),
        content_digest((1,), {"y": a}),
        content_digest((1,), {"x": a.astype("f4")}),
        content_digest((1,), {"x": a, "y": a}),
        content_digest((1,), {"x": a.tobytes()}),
    }
    assert len(made) == 6


def test_photcode_may_be_given(tmp_path: Path) -> None:
    chip = {k: v for k, v in CHIP.items() if k != "PHOTCODE"}
    path = one_chip(tmp_path, chip=chip)
    with pytest.raises(BadCatalogError, match="--photcode"):
        list(read_smf(path))
    (image,) = read_smf(path, photcode="OTHER.r")
    assert meta_of(image).photcode == "OTHER.r"


def test_chips_without_a_table_are_told(tmp_path: Path) -> None:
    hdus = [
        primary_hdu(PRIMARY),
        header_hdu(CHIP, "XY07.hdr"),
        header_hdu(CHIP, "XY08.hdr"),
        table_hdu(detections(2), "XY08.psf"),
    ]
    (image,) = read_smf(write(tmp_path / "o.smf", hdus))
    assert image.report["notes"] == ["XY07.hdr has no table of detections"]


def check_bad(path: Path, *words: str) -> None:
    with pytest.raises(BadCatalogError) as caught:
        list(read_smf(path))
    for word in (path.name, *words):
        assert word.lower() in str(caught.value).lower()


def test_compressed_tables(tmp_path: Path) -> None:
    plain = read_one(one_chip(tmp_path))
    with fits.open(tmp_path / "one.smf") as hdus:
        columns = {c.name.lower(): np.array(hdus[2].data[c.name]) for c in hdus[2].columns}
        native = {k: v.astype(v.dtype.newbyteorder("=")) for k, v in columns.items()}
        fields = tuple(Field.from_array(k.upper(), v) for k, v in native.items())
        table = TableHDU("XY01.psf", fields, native, {"EXTTYPE": "PS1_V5"})
        write_fits(tmp_path / "packed.fits", [table])
    # The header stands before its table: put it there by hand.
    head = (tmp_path / "one.smf").read_bytes()
    packed = (tmp_path / "packed.fits").read_bytes()
    at = head.find(b"XTENSION= 'BINTABLE'")
    (tmp_path / "both.smf").write_bytes(head[:at] + packed[2880:])
    image = read_one(tmp_path / "both.smf")
    assert np.array_equal(image.detections.ra, plain.detections.ra)
    for name, values in plain.detections.columns.items():
        assert np.array_equal(image.detections.columns[name], values), name


def test_file_cut_short(tmp_path: Path) -> None:
    path = write_smf(tmp_path / "o.smf", n=200)
    whole = path.read_bytes()
    for length in (0, 10, 2880, 5000, len(whole) // 2 + 1000, len(whole) - 2880):
        cut = tmp_path / f"cut{length}.smf"
        cut.write_bytes(whole[:length])
        check_bad(cut)
    check_bad(tmp_path / f"cut{len(whole) - 2880}.smf", "cut short", "HDU 4")


def test_header_extension_missing(tmp_path: Path) -> None:
    table = table_hdu(detections(2))
    hdus = [primary_hdu(PRIMARY), header_hdu(CHIP), table, table_hdu(detections(2), "XY02.psf")]
    check_bad(write(tmp_path / "o.smf", hdus), "XY02.psf", "XY02.hdr")


def test_no_table_at_all(tmp_path: Path) -> None:
    check_bad(write(tmp_path / "o.smf", [primary_hdu(PRIMARY), header_hdu(CHIP)]), "*.psf")


def test_no_wcs(tmp_path: Path) -> None:
    chip = {k: v for k, v in CHIP.items() if not k.startswith("CTYPE")}
    columns = {k: v for k, v in detections(2).items() if k not in ("RA_PSF", "DEC_PSF")}
    check_bad(one_chip(tmp_path, columns, chip), "CTYPE1", "RA_PSF")


def test_chip_of_a_mosaic_without_focal_plane(tmp_path: Path) -> None:
    check_bad(one_chip(tmp_path, primary={"MJD-OBS": 55000.0, "EXPTIME": 1.0}), "focal plane")


def test_duplicate_detection_number(tmp_path: Path) -> None:
    columns = detections(10)
    columns["IPP_IDET"][7] = 3
    check_bad(one_chip(tmp_path, columns), "IPP_IDET", "detection 3", "rows 3 and 7")


@pytest.mark.parametrize("number", [-1, 2**32 + 3])
def test_detection_numbers_that_do_not_fit(tmp_path: Path, number: int) -> None:
    columns = detections(10)
    columns["IPP_IDET"][7] = number
    table = table_hdu(columns)
    cols = [fits.Column("IPP_IDET", "K", array=columns["IPP_IDET"]) if c.name == "IPP_IDET" else c
            for c in table.columns]  # fmt: skip
    wide = fits.BinTableHDU.from_columns(cols, header=table.header)
    path = write(tmp_path / "o.smf", [primary_hdu(PRIMARY), header_hdu(CHIP), wide])
    check_bad(path, "IPP_IDET", f"number {number} (row 7", "2^32")


@pytest.mark.parametrize("key", ["MJD-OBS", "EXPTIME"])
def test_facts_that_must_be_there(tmp_path: Path, key: str) -> None:
    primary = {k: v for k, v in PRIMARY.items() if k != key}
    check_bad(one_chip(tmp_path, primary=primary), key)


def test_julian_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogError, match="Julian"):
        list(read_smf(one_chip(tmp_path, primary=PRIMARY | {"MJD-OBS": 2455000.5})))


def test_not_a_fits_file(tmp_path: Path) -> None:
    path = tmp_path / "x.smf"
    path.write_bytes(b"\x1f\x8b" + bytes(3000))
    check_bad(path, "gunzip")
    path.write_bytes(b"hello" * 1000)
    check_bad(path, "SIMPLE")
    check_bad(tmp_path / "absent.smf")


def test_headers_that_lie_take_no_memory(tmp_path: Path) -> None:
    path = one_chip(tmp_path)
    raw = path.read_bytes()
    for old, new in [
        (b"NAXIS2  =                   10", b"NAXIS2  =  4611686018427387904"),
        (b"NAXIS1  =                  172", b"NAXIS1  =                    0"),
        (b"TFIELDS =                   44", b"TFIELDS =                  999"),
        (b"TFORM2  = 'E       '", b"TFORM2  = '9999999E'"),
        (b"TFORM2  = 'E       '", b"TFORM2  = 'nonsense'"),
        (b"BITPIX  =                    8", b"BITPIX  =                   77"),
    ]:
        bad = tmp_path / "bad.smf"
        at = raw.rfind(old[:10])
        assert at > 0
        bad.write_bytes(raw[:at] + new.ljust(30) + raw[at + 30 :])
        check_bad(bad)


def test_columns_of_the_wrong_type(tmp_path: Path) -> None:
    columns = detections(3)
    hdu = table_hdu(columns)
    text = fits.Column("X_PSF", "8A", array=np.array(["a", "b", "c"]))
    cols = [text if c.name == "X_PSF" else c for c in hdu.columns]
    bad = fits.BinTableHDU.from_columns(cols)
    bad.header["EXTNAME"] = "XY01.psf"
    check_bad(write(tmp_path / "o.smf", [primary_hdu(PRIMARY), header_hdu(CHIP), bad]), "X_PSF")


def test_a_focal_plane_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogError, match=r"CRVAL2 = 250\.0 is no declination"):
        read_one(one_chip(tmp_path, primary=PRIMARY | {"CRVAL2": 250.0}))
