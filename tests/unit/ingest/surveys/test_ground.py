"""2MASS, AllWISE, USNO-B, SDSS, Pan-STARRS and DES as they are published: values, nulls, flags."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvo.errors import BadCatalogError
from dvo.tables.flags import AverageFlag, PhotFlag, SecFiltFlag
from tests.unit.ingest.surveys.published import KINDS, bands, col, read, source, units_of, write


def psc_line(**values: str) -> str:
    """A line of the 2MASS catalogue: 60 fields between bars."""
    given = {
        "ra": "121.149185", "dec": "-16.198666", "err_maj": "0.06", "err_min": "0.03",
        "err_ang": "90", "designation": "08043580-1611551 ", "j_m": "14.266", "j_cmsig": "0.025",
        "j_msigcom": "0.026", "j_snr": "111.2", "h_m": "13.9", "h_cmsig": "0.03",
        "h_msigcom": "0.031", "h_snr": "80.1", "k_m": "13.8", "k_cmsig": "0.04",
        "k_msigcom": "0.041", "k_snr": "40.2", "ph_qual": "AAA", "rd_flg": "222",
        "bl_flg": "111", "cc_flg": "000", "ndet": "666655", "prox": "16.2", "pxpa": "187",
        "pxcntr": "1173521003", "gal_contam": "0", "mp_flg": "0", "pts_key": "1173521000",
        "hemis": "s", "date": "1999-02-19", "scan": "31", "glon": "237.7", "glat": "8.1",
        "x_scan": "33.7", "jdate": "2451228.5949", "j_psfchi": "0.9", "h_psfchi": "1.1",
        "k_psfchi": "1.0", "j_m_stdap": "14.3", "j_msig_stdap": "0.04", "h_m_stdap": "13.9",
        "h_msig_stdap": "0.05", "k_m_stdap": "13.7", "k_msig_stdap": "0.06",
        "dist_edge_ns": "1000", "dist_edge_ew": "200", "dist_edge_flg": "ne", "dup_src": "0",
        "use_src": "1", "a": "U", "dist_opt": "0.3", "phi_opt": "33", "b_m_opt": "17.1",
        "vr_m_opt": "15.7", "nopt_mchs": "1", "ext_key": "\\N", "scan_key": "12345",
        "coadd_key": "67890", "coadd": "19",
    }  # fmt: skip
    assert len(given) == 60
    return "|".join((given | values).values()) + "\n"


def test_psc_text(tmp_path: Path) -> None:
    lines = [
        psc_line(),
        psc_line(ra="121.2", ph_qual="AUX", rd_flg="209", k_m="\\N", k_msigcom="\\N",
                 h_m="15.5", h_msigcom="\\N"),
        psc_line(ra="121.3", ph_qual="FEA", rd_flg="332", j_msigcom="9.998", bl_flg="112",
                 cc_flg="pdc", gal_contam="2"),
        psc_line(ra="121.4", mp_flg="1"),
    ]  # fmt: skip
    path = tmp_path / "psc_aaa.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))
    image = read("2mass", path)
    assert (source(image).photcode, source(image).name) == ("2MASS.J", "psc_aaa.gz")
    assert image.report["dropped"] == {"minor planet, comet or planet (`mp_flg` 1)": 1}
    found = image.detections
    assert found.ra.tolist() == [121.149185, 121.2, 121.3]
    assert found.ra_err is not None
    assert found.dec_err is not None
    # The long axis lies from east to west.
    assert (found.ra_err[0], found.dec_err[0]) == pytest.approx((0.06, 0.03))
    assert source(image).epoch_mjd == pytest.approx(2451228.5949 - 2400000.5)
    j, h, k = (bands(image)[f"2MASS.{b}"] for b in "JHK")
    assert j.columns["mag_err"].tolist()[:2] == pytest.approx([0.026, 0.026])
    assert np.isnan(j.columns["mag_err"][2])  # 9.998 is a mark
    assert h.measured.tolist() == [True, False, True]  # an upper limit is no measure
    assert k.measured.tolist() == [True, False, True]
    assert np.isnan(h.columns["mag"][1])
    assert j.columns["psf_chisq"][0] == pytest.approx(0.9)
    assert j.columns["phot_flags"].tolist() == [
        0, 0, PhotFlag.POOR | PhotFlag.SATSTAR | PhotFlag.DEFECT | PhotFlag.BLEND,
    ]  # fmt: skip
    assert h.columns["phot_flags"][2] == (
        PhotFlag.POOR | PhotFlag.SATSTAR | PhotFlag.ON_SPIKE | PhotFlag.BLEND
    )
    assert k.columns["phot_flags"][2] == PhotFlag.BLEND | PhotFlag.BLEND_FIT
    only = read("2mass", path, bands=["K"])
    assert source(only).photcode == "2MASS.K"
    assert col(only, "det_id") == [0, 2]


IRSA_2MASS = [
    {"ra": 10.0, "dec": 20.0, "err_maj": 0.08, "err_min": 0.08, "err_ang": 45, "j_m": 12.0,
     "j_msigcom": 0.02, "h_m": 11.5, "h_msigcom": 0.02, "k_m": 11.4, "k_msigcom": 0.02,
     "ph_qual": "AAU", "rd_flg": "220", "bl_flg": "110", "cc_flg": "000", "gal_contam": 0,
     "mp_flg": 0, "jdate": 2451500.5},
    {"ra": 10.1, "dec": 20.0, "err_maj": 0.1, "err_min": 0.1, "err_ang": 0, "j_m": None,
     "j_msigcom": None, "h_m": 14.0, "h_msigcom": 0.1, "k_m": 13.0, "k_msigcom": 0.1,
     "ph_qual": "XAA", "rd_flg": "922", "bl_flg": "011", "cc_flg": "000", "gal_contam": 1,
     "mp_flg": 0, "jdate": 2451600.5},
]  # fmt: skip
IRSA_2MASS_UNITS = units_of(ra="deg", dec="deg", err_maj="arcsec", err_min="arcsec", jdate="d")


@pytest.mark.parametrize("kind", KINDS)
def test_2mass_of_irsa(tmp_path: Path, kind: str) -> None:
    image = read("2mass", write(tmp_path / "t", kind, IRSA_2MASS, IRSA_2MASS_UNITS))
    j, h, k = (bands(image)[f"2MASS.{b}"] for b in "JHK")
    assert j.measured.tolist() == [True, False]
    assert k.measured.tolist() == [False, True]
    # Read flags of digits are words, though a reader of CSV may take them for numbers.
    assert h.columns["phot_flags"].tolist() == [0, PhotFlag.EXT_LIMIT]
    assert image.detections.columns["epoch_mjd"].tolist() == [51500.0, 51600.0]
    assert image.detections.ra_err is not None
    assert image.detections.ra_err.tolist() == pytest.approx([0.08, 0.1])


def test_2mass_of_vizier(tmp_path: Path) -> None:
    rows = [{"RAJ2000": 10.0, "DEJ2000": 20.0, "2MASS": "00400000+2000000", "Jmag": 12.0,
             "e_Jmag": 0.02, "Hmag": 11.0, "e_Hmag": None, "Kmag": 10.0, "e_Kmag": 0.02,
             "Qflg": "AUA", "Rflg": "202", "Bflg": "101", "Cflg": "000", "Xflg": 0,
             "Aflg": 0}]  # fmt: skip
    image = read("2mass", write(tmp_path / "t", "votable", rows))
    assert [b.measured.tolist() for b in image.detections.bands] == [[True], [False], [True]]
    assert source(image).epoch_mjd == 51544.5 - 0.5 * 365.25
    assert image.detections.ra_err is not None
    assert image.detections.ra_err[0] == pytest.approx(0.08)


ALLWISE = [
    {"designation": "J000000.01+100000.0", "ra": 0.00004, "dec": 10.0, "sigra": 0.05,
     "sigdec": 0.06, "w1mpro": 12.0, "w1sigmpro": 0.02, "w1rchi2": 1.1, "w2mpro": 12.1,
     "w2sigmpro": 0.02, "w2rchi2": 1.0, "w3mpro": 11.0, "w3sigmpro": None, "w3rchi2": 0.9,
     "w4mpro": None, "w4sigmpro": None, "w4rchi2": None, "cc_flags": "Dh0p", "ext_flg": 0,
     "ph_qual": "AAUX", "w1sat": 0.2, "w2sat": 0.0, "w3sat": 0.0, "w4sat": 0.0,
     "w1mjdmean": 55320.5, "w2mjdmean": 55321.0, "w3mjdmean": None, "w4mjdmean": None},
    {"designation": "J000001.01+100000.0", "ra": 0.01, "dec": 10.0, "sigra": 0.2,
     "sigdec": 0.2, "w1mpro": 16.0, "w1sigmpro": None, "w1rchi2": 1.1, "w2mpro": 16.1,
     "w2sigmpro": 0.2, "w2rchi2": 1.0, "w3mpro": 12.0, "w3sigmpro": None, "w3rchi2": 0.9,
     "w4mpro": 9.0, "w4sigmpro": None, "w4rchi2": 1.0, "cc_flags": "0000", "ext_flg": 5,
     "ph_qual": "ZBUU", "w1sat": 0.0, "w2sat": 0.0, "w3sat": 0.0, "w4sat": 0.0,
     "w1mjdmean": None, "w2mjdmean": 55400.25, "w3mjdmean": None, "w4mjdmean": None},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_allwise(tmp_path: Path, kind: str) -> None:
    units = units_of(ra="deg", dec="deg", sigra="arcsec", sigdec="arcsec", w1mjdmean="d")
    image = read("allwise", write(tmp_path / "t", kind, ALLWISE, units))
    w = [bands(image)[f"WISE.W{k}"] for k in (1, 2, 3, 4)]
    assert [b.measured.tolist() for b in w] == [
        [True, True], [True, True], [False, False], [False, False],
    ]  # fmt: skip
    spike = PhotFlag.DEFECT | PhotFlag.ON_SPIKE | PhotFlag.SATURATED
    assert w[0].columns["phot_flags"].tolist() == [spike, PhotFlag.POOR | PhotFlag.EXT_LIMIT]
    assert w[1].columns["phot_flags"].tolist() == [PhotFlag.ON_GHOST, PhotFlag.EXT_LIMIT]
    assert image.detections.columns["epoch_mjd"].tolist() == [55320.5, 55400.25]
    assert image.detections.dec_err is not None
    assert image.detections.dec_err.tolist() == pytest.approx([0.06, 0.2])


def test_allwise_of_vizier_without_quality(tmp_path: Path) -> None:
    rows = [{"RAJ2000": 0.0, "DEJ2000": 1.0, "eeMaj": 0.05, "eeMin": 0.04, "eePA": 0.0,
             **{f"W{k}mag": 10.0 + k for k in (1, 2, 3, 4)},
             "e_W1mag": 0.02, "e_W2mag": 0.02, "e_W3mag": None, "e_W4mag": None}]  # fmt: skip
    image = read("allwise", write(tmp_path / "t", "fits", rows))
    assert [b.measured.tolist()[0] for b in image.detections.bands] == [True, True, False, False]


def zone_record(order: str, **given: int) -> bytes:
    """80 bytes of USNO-B1.0: values packed in decimal digits."""
    v = {"ra": 36_000_000, "spd": 36_036_000, "pm_ra": 5000, "pm_dec": 5000, "mu_prob": 0,
         "e_pm_ra": 0, "e_pm_dec": 0, "ndet": 5, "spike": 0, "e_ra": 100, "e_dec": 80,
         "epoch": 300, "mags": [1850, 1720, 1830, 0, 1650]} | given  # fmt: skip
    words = [0] * 20
    words[0], words[1] = v["ra"], v["spd"]
    words[2] = v["mu_prob"] * 10**8 + v["pm_dec"] * 10**4 + v["pm_ra"]
    words[3] = v["spike"] * 10**9 + v["ndet"] * 10**8 + v["e_pm_dec"] * 1000 + v["e_pm_ra"]
    words[4] = v["epoch"] * 10**6 + v["e_dec"] * 1000 + v["e_ra"]
    for k, mag in enumerate(v["mags"]):
        words[5 + k] = (7 * 10**8 + 3 * 10**7 + 123 * 10**4 + mag) if mag else 0
    return np.array(words, f"{order}u4").tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_usnob_zone_file(tmp_path: Path, order: str) -> None:
    moving = {"pm_ra": 5010, "pm_dec": 4980, "e_pm_ra": 4, "e_pm_dec": 6}
    records = [
        zone_record(order),
        zone_record(order, ra=36_000_500, mu_prob=9, spike=1, **moving),
        zone_record(order, ra=36_001_000, mu_prob=5, **moving),
        zone_record(order, ra=36_002_000, ndet=0, e_ra=999, e_dec=999),
    ]
    path = tmp_path / "b1001.cat"
    path.write_bytes(b"".join(records))
    image = read("usnob", path)
    found = image.detections
    assert source(image).epoch_mjd == 51544.5
    assert found.ra[0] == pytest.approx(100.0)
    assert found.dec[0] == pytest.approx(10.1)
    # Motions: none found, one that is sure, one that is not.
    assert col(image, "u_ra") == [None, 20.0, None, None]
    assert col(image, "u_dec") == [None, -40.0, None, None]
    assert found.ra_err is not None
    # 100 mas in 1980, and 4 mas/yr from there; 999 is no error.
    assert found.ra_err.tolist() == pytest.approx([0.1, np.hypot(0.1, 0.08), np.hypot(0.1, 0.08),
                                                   0.2])  # fmt: skip
    got = bands(image)
    assert got["USNO.B1"].columns["mag"][0] == pytest.approx(18.5)
    assert got["USNO.I"].columns["mag"][0] == pytest.approx(16.5)
    assert not got["USNO.R2"].measured.any()
    assert got["USNO.R1"].columns["phot_flags"].tolist() == [0, PhotFlag.ON_SPIKE, 0, 0]
    path.write_bytes(records[0][:79])
    with pytest.raises(BadCatalogError):
        read("usnob", path)
    path.write_bytes(b"\xff" * 160)
    with pytest.raises(BadCatalogError, match="outside the sky"):
        read("usnob", path)


def test_usnob_of_vizier(tmp_path: Path) -> None:
    rows = [
        {"USNO-B1.0": "1001-0000001", "RAJ2000": 10.0, "DEJ2000": 10.1, "e_RAJ2000": 100,
         "e_DEJ2000": 80, "Epoch": 1980.0, "pmRA": 20, "pmDE": -40, "muPr": 9, "e_pmRA": 4,
         "e_pmDE": 6, "Ndet": 5, "Flags": ".s.", "B1mag": 18.5, "R1mag": None, "B2mag": 18.3,
         "R2mag": 17.0, "Imag": 16.5},
        {"USNO-B1.0": "1001-0000002", "RAJ2000": 10.1, "DEJ2000": 10.1, "e_RAJ2000": 50,
         "e_DEJ2000": 50, "Epoch": 1970.0, "pmRA": 0, "pmDE": 0, "muPr": None, "e_pmRA": 0,
         "e_pmDE": 0, "Ndet": 3, "Flags": "...", "B1mag": None, "R1mag": 17.0, "B2mag": None,
         "R2mag": None, "Imag": None},
    ]  # fmt: skip
    units = units_of(e_RAJ2000="mas", e_DEJ2000="mas", pmRA="mas/yr", pmDE="mas/yr", Epoch="yr")
    for kind in ("votable", "csv", "fits"):
        image = read("usnob", write(tmp_path / kind, kind, rows, units))
        assert image.detections.ra_err is not None
        assert image.detections.ra_err[0] == pytest.approx(np.hypot(0.1, 0.08))
        assert col(image, "u_dec") == [-40.0, None]
        assert bands(image)["USNO.R1"].measured.tolist() == [False, True]
        assert bands(image)["USNO.B1"].columns["phot_flags"].tolist() == [PhotFlag.ON_SPIKE, 0]


def sdss_row(**given: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"objID": 1237650000000000001, "ra": 180.0, "dec": 2.0, "raErr": 0.003,
                           "decErr": 0.004, "mode": 1, "clean": 1, "type": 6, "mjd": 52345,
                           "flags": 0x10000000}  # fmt: skip
    for k, b in enumerate("ugriz"):
        row |= {f"psfMag_{b}": 19.0 - k / 10, f"psfMagErr_{b}": 0.01}
    return row | given


@pytest.mark.parametrize("kind", KINDS)
def test_sdss(tmp_path: Path, kind: str) -> None:
    rows = [
        sdss_row(),
        sdss_row(ra=180.1, mode=2),
        sdss_row(ra=180.2, type=3, clean=0, flags=(1 << 40) | 0x40000, psfMag_u=-9999.0,
                 psfMagErr_u=-9999.0, raErr=-9999.0, decErr=-9999.0, mjd=52346),
    ]  # fmt: skip
    path = write(tmp_path / "t", kind, rows)
    if kind == "csv":  # as SkyServer writes it
        path.write_text("#Table1\n" + path.read_text())
    image = read("sdss", path)
    assert image.report["dropped"] == {
        "not the primary observation of its object (`mode` not 1)": 1
    }
    u, g = bands(image)["SDSS.u"], bands(image)["SDSS.g"]
    assert u.measured.tolist() == [True, False]
    assert g.columns["mag"].tolist() == pytest.approx([18.9, 18.9])
    flags = PhotFlag.POOR | PhotFlag.EXT_LIMIT | PhotFlag.SATURATED
    assert g.columns["phot_flags"].tolist() == [0, flags]
    assert u.columns["phot_flags"].tolist() == [0, 0]
    assert image.detections.ra_err is not None
    assert image.detections.ra_err.tolist() == pytest.approx([0.003, 0.05])
    assert image.detections.columns["epoch_mjd"].tolist() == [52345.0, 52346.0]


def ps1_row(**given: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"objID": 129870000000000001, "raMean": 0.5, "decMean": 18.2,
                           "raMeanErr": 0.004, "decMeanErr": 0.005, "epochMean": 56123.5,
                           "nDetections": 40, "objInfoFlag": int(AverageFlag.GOOD)}  # fmt: skip
    for b in "grizy":
        row |= {f"{b}QfPerfect": 0.99, f"{b}MeanPSFMag": 18.0, f"{b}MeanPSFMagErr": 0.01,
                f"{b}MeanKronMag": 17.9, f"{b}MeanKronMagErr": 0.02, f"{b}Flags": 0}  # fmt: skip
    return row | given


@pytest.mark.parametrize("kind", KINDS)
def test_ps1(tmp_path: Path, kind: str) -> None:
    nothing = {"yQfPerfect": -999.0, "yMeanPSFMag": -999.0, "yMeanPSFMagErr": -999.0,
               "yMeanKronMag": -999.0, "yMeanKronMagErr": -999.0}  # fmt: skip
    rows = [
        ps1_row(),
        ps1_row(raMean=0.6, gFlags=int(SecFiltFlag.OBJ_EXT), epochMean=56200.0, **nothing),
        ps1_row(raMean=-999.0, decMean=-999.0),
        ps1_row(raMean=0.7, objInfoFlag=int(AverageFlag.STACK_FOR_MEAN), epochMean=56200.0),
    ]
    image = read("ps1", write(tmp_path / "t", kind, rows))
    assert image.report["dropped"] == {"nan position": 1}
    assert image.detections.ra.tolist() == [0.5, 0.6, 0.7]
    g, y = bands(image)["PS1.g"], bands(image)["PS1.y"]
    assert y.measured.tolist() == [True, False, True]
    assert g.columns["m_kron"].tolist() == pytest.approx([17.9] * 3)
    assert g.columns["phot_flags"].tolist() == [0, PhotFlag.EXT_LIMIT, PhotFlag.POOR]
    assert g.columns["psf_qf_perfect"][0] == pytest.approx(0.99)
    assert image.detections.columns["epoch_mjd"].tolist() == [56123.5, 56200.0, 56200.0]


def test_ps1_of_vizier(tmp_path: Path) -> None:
    rows = [{"RAJ2000": 10.0, "DEJ2000": 20.0, "e_RAJ2000": 0.01, "e_DEJ2000": 0.01,
             "Epoch": 56000.0, "gmag": 18.0, "e_gmag": 0.02, "gKmag": 17.9, "rmag": None,
             "e_rmag": None}]  # fmt: skip
    image = read("ps1", write(tmp_path / "t", "votable", rows))
    assert list(bands(image)) == ["PS1.g", "PS1.r"]
    assert source(image).epoch_mjd == 56000.0


DES_ROWS = [
    {"COADD_OBJECT_ID": 1, "RA": 35.0, "DEC": -5.0, "EXTENDED_COADD": 0,
     "WAVG_MAG_PSF_G": 20.0, "WAVG_MAGERR_PSF_G": 0.01, "MAG_AUTO_G": 19.9, "MAGERR_AUTO_G": 0.02,
     "FLAGS_G": 0, "IMAFLAGS_ISO_G": 0, "WAVG_MAG_PSF_Y": 99.0, "WAVG_MAGERR_PSF_Y": 99.0,
     "MAG_AUTO_Y": 99.0, "MAGERR_AUTO_Y": 99.0, "FLAGS_Y": 0, "IMAFLAGS_ISO_Y": 0},
    {"COADD_OBJECT_ID": 2, "RA": 35.1, "DEC": -5.0, "EXTENDED_COADD": 3,
     "WAVG_MAG_PSF_G": -99.0, "WAVG_MAGERR_PSF_G": -99.0, "MAG_AUTO_G": 21.0,
     "MAGERR_AUTO_G": 0.1, "FLAGS_G": 6, "IMAFLAGS_ISO_G": 0, "WAVG_MAG_PSF_Y": 20.0,
     "WAVG_MAGERR_PSF_Y": 0.1, "MAG_AUTO_Y": 19.8, "MAGERR_AUTO_Y": 0.1, "FLAGS_Y": 0,
     "IMAFLAGS_ISO_Y": 1},
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_des(tmp_path: Path, kind: str) -> None:
    image = read("des", write(tmp_path / "t", kind, DES_ROWS))
    found = bands(image)
    assert list(found) == ["DES.g", "DES.Y"]
    assert found["DES.g"].measured.tolist() == [True, True]  # a Kron magnitude is one, too
    assert np.isnan(found["DES.g"].columns["mag"][1])
    assert found["DES.Y"].measured.tolist() == [False, True]
    assert found["DES.g"].columns["phot_flags"].tolist() == [
        0, PhotFlag.EXT_LIMIT | PhotFlag.BLEND | PhotFlag.SATURATED,
    ]  # fmt: skip
    assert found["DES.Y"].columns["phot_flags"][1] == PhotFlag.EXT_LIMIT | PhotFlag.DEFECT


def test_a_survey_like_des(tmp_path: Path) -> None:
    rows = [{"ra": 35.0, "dec": -5.0, "mag_psf_g": 20.0, "magerr_psf_g": 0.01, "mag_psf_r": 19.0,
             "magerr_psf_r": 0.01, "flags_g": 0}]  # fmt: skip
    image = read("des", write(tmp_path / "t", "parquet", rows), system="DELVE", epoch=2019.0)
    assert list(bands(image)) == ["DELVE.g", "DELVE.r"]
    assert source(image).epoch_mjd == 51544.5 + 19 * 365.25
    kron = [{"RA": 35.0, "DEC": -5.0, "MAG_AUTO_I": 19.0, "MAGERR_AUTO_I": 0.1}]
    image = read("des", write(tmp_path / "k", "csv", kron))
    assert source(image).photcode == "DES.i"
    assert col(image, "m_kron") == [19.0]
    assert "mag" not in image.detections.columns


def test_what_is_of_no_known_form_is_told_with_what_it_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "csv", [{"ra": 1.0, "dec": 2.0, "j_m": 3.0}])
    with pytest.raises(BadCatalogError, match=r"IRSA fp_psc: ph_qual.*--ref and --map"):
        read("2mass", path)
