"""Plain tables of every kind, column maps, exposure lists, and what can be wrong with them."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from astropy.table import Table

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.detections import ImageMeta, RefSource
from dvo.ingest.exposures import read_exposure_list, read_exposures
from dvo.ingest.sources import reference_sources
from dvo.ingest.tables import read_detections, read_reference
from dvo.tables.fits.field import Field
from dvo.tables.fits.writer import TableHDU
from dvo.tables.fits.writer import write_fits as write_fits_tables

MAP = parse_column_map("ra=RA,dec=Dec,mag=mag,mag_err=err,x=x,flags=flags")


def columns(n: int = 50) -> dict[str, Any]:
    r = np.random.default_rng(3)
    return {
        "RA": r.uniform(0, 360, n),
        "Dec": r.uniform(-90, 90, n),
        "mag": r.uniform(15, 20, n).astype("f4"),
        "err": r.uniform(0.01, 0.1, n).astype("f4"),
        "x": r.uniform(0, 2000, n),
        "flags": r.integers(0, 256, n).astype("i4"),
        "other": r.integers(0, 9, n).astype("i2"),
    }


def write_parquet(path: Path, data: dict[str, Any]) -> None:
    pa.parquet.write_table(pa.table(data), path)


def write_fits(path: Path, data: dict[str, Any]) -> None:
    fitsio.write(str(path), data, clobber=True)


def write_csv(path: Path, data: dict[str, Any]) -> None:
    pa.csv.write_csv(pa.table(data), path)


def write_votable(path: Path, data: dict[str, Any]) -> None:
    Table(data).write(path, format="votable")


WRITERS = [write_parquet, write_fits, write_csv, write_votable]


@pytest.mark.parametrize("writer", WRITERS)
def test_every_kind_of_file_gives_the_same(tmp_path: Path, writer: Any) -> None:
    data = columns()
    writer(tmp_path / "table", data)
    got, report, content = read_detections(tmp_path / "table", MAP)
    assert np.array_equal(got.ra, data["RA"])
    assert np.array_equal(got.dec, data["Dec"])
    assert np.allclose(got.columns["mag"], data["mag"], rtol=1e-6)
    assert got.columns["x_ccd"].dtype == np.float32
    assert np.array_equal(got.columns["phot_flags"], data["flags"])
    assert got.columns["phot_flags"].dtype == np.uint32
    assert got.columns["det_id"].tolist() == list(range(50))
    assert "other" not in got.columns
    assert report == {"dropped": {}, "missing": []}
    assert len(content) == 32


@pytest.mark.parametrize("writer", WRITERS)
def test_no_rows(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path / "table", {k: v[:0] for k, v in columns().items()})
    text = "ra=RA,dec=Dec,mag=mag"
    got, report, _ = read_detections(tmp_path / "table", parse_column_map(text))
    assert len(got) == 0
    assert report["notes"] == ["the table has no rows"]
    with pytest.raises(BadCatalogError, match="no rows; there is nothing to add"):
        read_reference(tmp_path / "table", parse_column_map(text), photcode="X", epoch_mjd=0.0)


def test_compressed_fits_table(tmp_path: Path) -> None:
    data = {name.lower(): values for name, values in columns(20_000).items()}
    fields = tuple(Field.from_array(name.upper(), values) for name, values in data.items())
    write_fits_tables(tmp_path / "t.fits", [TableHDU("T", fields, data)])
    got, _, _ = read_detections(tmp_path / "t.fits", MAP)
    assert np.array_equal(got.ra, data["ra"])
    assert np.array_equal(got.columns["phot_flags"], data["flags"])


def test_rows_without_a_position_are_dropped_with_a_count(tmp_path: Path) -> None:
    data = columns(8)
    data["RA"] = np.array([-10.0, 360.0, 370.0, np.nan, 5.0, 5.0, np.inf, -1e-20])
    data["Dec"] = np.array([0.0, 90.0, -90.0, 0.0, 90.0 + 1e-7, -91.0, 0.0, 0.0])
    write_parquet(tmp_path / "t", data)
    got, report, _ = read_detections(tmp_path / "t", MAP)
    assert got.ra.tolist() == [350.0, 0.0, 10.0, 5.0, 0.0]
    assert got.dec.tolist() == [0.0, 90.0, -90.0, 90.0, 0.0]
    assert got.columns["det_id"].tolist() == [0, 1, 2, 4, 7]
    assert report["dropped"] == {"nan position": 2, "dec out of range": 1}


def test_units_of_the_file_are_honoured(tmp_path: Path) -> None:
    table = Table({"a": [1.0, 2.0], "d": [0.5, -0.5], "e": [20.0, 30.0], "p": [1.0, 2.0]})
    table["a"].unit, table["d"].unit, table["e"].unit, table["p"].unit = (
        "rad",
        "rad",
        "mas",
        "arcsec/yr",
    )
    table.write(tmp_path / "t.fits")
    got, _, _ = read_detections(
        tmp_path / "t.fits", parse_column_map("ra=a,dec=d,ra_err=e,pm_ra=p")
    )
    assert np.allclose(got.ra, np.degrees([1.0, 2.0]))
    assert np.allclose(got.dec, np.degrees([0.5, -0.5]))
    assert got.ra_err is not None
    assert np.allclose(got.ra_err, [0.02, 0.03])
    assert np.allclose(got.columns["u_ra"], [1000.0, 2000.0])


def test_units_of_the_map_win(tmp_path: Path) -> None:
    write_csv(tmp_path / "t", {"a": [1.0], "d": [0.5], "e": [20.0]})
    text = "ra=a:rad,dec=d:rad,dec_err=e:mas"
    got, _, _ = read_detections(tmp_path / "t", parse_column_map(text))
    assert np.allclose([got.ra[0], got.dec[0]], np.degrees([1.0, 0.5]))
    assert got.dec_err is not None
    assert got.dec_err[0] == pytest.approx(0.02)


def test_hours_are_never_guessed(tmp_path: Path) -> None:
    table = Table({"a": [1.0], "d": [0.5]})
    table["a"].unit = "h"
    table.write(tmp_path / "t.fits")
    with pytest.raises(BadCatalogError, match="'h'"):
        read_detections(tmp_path / "t.fits", parse_column_map("ra=a,dec=d"))
    # Without a unit 12.5 is degrees, whatever the column is called.
    write_csv(tmp_path / "t", {"RA_HOURS": [12.5], "d": [0.5]})
    got, _, _ = read_detections(tmp_path / "t", parse_column_map("ra=RA_HOURS,dec=d"))
    assert got.ra[0] == 12.5


def test_instrumental_magnitudes(tmp_path: Path) -> None:
    write_csv(tmp_path / "t", {"a": [1.0], "d": [2.0], "m": [-10.0]})
    got, _, _ = read_detections(
        tmp_path / "t", parse_column_map("ra=a,dec=d,mag_inst=m"), m_time=4.0
    )
    assert got.columns["mag"][0] == pytest.approx(19.0)


@pytest.mark.parametrize(
    ("mags", "suspect"),
    [([-10.0, -5.5, 0.1], False), ([15.0, 16.0, np.nan, -3.0], True), ([np.nan], False)],
)
def test_calibrated_magnitudes_given_as_instrumental_are_noticed(
    tmp_path: Path, mags: list[float], suspect: bool
) -> None:
    n = len(mags)
    write_parquet(tmp_path / "t", {"a": np.arange(n) * 1.0, "d": np.zeros(n), "m": np.array(mags)})
    for key in ("mag_inst", "m_kron_inst"):
        _, report, _ = read_detections(tmp_path / "t", parse_column_map(f"ra=a,dec=d,{key}=m"))
        notes = report.get("notes", [])
        assert isinstance(notes, list)
        assert len(notes) == suspect
        if suspect:
            assert notes[0].startswith(f"{key} is mostly above 0")
    _, report, _ = read_detections(tmp_path / "t", parse_column_map("ra=a,dec=d,mag=m"))
    assert "notes" not in report


def test_a_csv_column_without_any_value_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a,d,m\n1,2,\n3,4,\n")
    got, _, _ = read_detections(tmp_path / "t", parse_column_map("ra=a,dec=d,mag=m"))
    assert np.isnan(got.columns["mag"]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,d\n1,2\n3,abc\n", ("column d", "row 1 (from 0) holds 'abc'", "no number")),
        ("a,d\n1,2\n,--\n", ("column d", "row 1 (from 0) holds '--'", "leave the cell empty")),
        ("a,d\n03:47:00.1,24\n", ("column a", "'03:47:00.1'", "convert the positions to degrees")),
        ("a,d\n1,+24 10 00.5\n", ("column d", "'+24 10 00.5'", "to degrees")),
        ("a,d\n1,-01d02m03.4s\n", ("column d", "to degrees")),
        ("a,d\n2020-01-01,5\n", ("column a", "holds")),
        ("a d\n1 2\n", ("split by commas",)),
        ("1.5,2\n3,4\n", ("first line must hold the names",)),
        ("a,d\n1,2\n3\n", ("Row #3", "Expected 2 columns")),
    ],
)
def test_what_is_wrong_with_a_csv_file(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "t.csv").write_text(text)
    check_bad(tmp_path / "t.csv", "ra=a,dec=d", *words)


def test_missing_values_are_nan(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("a,d,m,f\n1,2,,\n3,4,15.5,7\n")
    got, _, _ = read_detections(tmp_path / "t", parse_column_map("ra=a,dec=d,mag=m,flags=f"))
    assert np.isnan(got.columns["mag"][0])
    assert got.columns["mag"][1] == 15.5
    assert got.columns["phot_flags"].tolist() == [0, 7]


def test_csv_columns_that_begin_with_whole_numbers(tmp_path: Path) -> None:
    lines = ["a,d"] + ["1,2"] * 5000 + ["1.5,2.5"]
    (tmp_path / "t").write_text("\n".join(lines))
    got, _, _ = read_detections(tmp_path / "t", parse_column_map("ra=a,dec=d"))
    assert got.ra[-1] == 1.5


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ra=a", "dec missing"),
        ("dec=a", "ra missing"),
        ("ra=a,dec=b,magg=c", "near to it: mag"),
        ("ra=a,dec=b,ra=c", "twice"),
        ("ra=a,dec=b,x=c,x_ccd=d", "twice"),
        ("ra=a,dec=b,mag=c,mag_inst=d", "twice"),
        ("ra=a,dec=b,mag", "key=column"),
        ("ra=a,dec=b,obj_id=c", "obj_id"),
        ("", "ra and dec missing"),
    ],
)
def test_bad_maps(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        parse_column_map(text)


def check_bad(path: Path, text: str, *words: str) -> None:
    with pytest.raises(BadCatalogError) as caught:
        read_detections(path, parse_column_map(text))
    for word in (path.name, *words):
        assert word in str(caught.value)


@pytest.mark.parametrize("writer", WRITERS)
def test_missing_column(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path / "t", columns())
    check_bad(tmp_path / "t", "ra=RA,dec=DEJ2000", "DEJ2000", "--map")


@pytest.mark.parametrize("writer", WRITERS)
def test_text_is_no_number(tmp_path: Path, writer: Any) -> None:
    data = {"RA": np.array([1.0, 2.0]), "Dec": np.array(["ab", "cd"])}
    writer(tmp_path / "t", data)
    check_bad(tmp_path / "t", "ra=RA,dec=Dec", "Dec")


@pytest.mark.parametrize("writer", WRITERS)
def test_files_cut_short(tmp_path: Path, writer: Any) -> None:
    writer(tmp_path / "whole", columns(500))
    raw = (tmp_path / "whole").read_bytes()
    if writer is write_csv:
        (tmp_path / "t").write_bytes(raw[: len(raw) // 2] + b"\n1,2\n")
    else:
        (tmp_path / "t").write_bytes(raw[: len(raw) // 2])
    check_bad(tmp_path / "t", "ra=RA,dec=Dec")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, data in [
        ("empty", b""),
        ("binary", bytes(range(256)) * 10),
        ("gz", gzip.compress(b"ra,dec\n1,2\n")[:-4]),
        ("bz2", bz2.compress(b"ra,dec\n1,2\n")[:-4]),
        ("fakefits", b"SIMPLE" + b"x" * 5000),
        ("fakeparquet", b"PAR1" + b"x" * 5000 + b"PAR1"),
        ("fakexml", b"<?xml version='1.0'?><VOTABLE><a></b>"),
        ("latin", "ra,dec\n1,é\n".encode("latin-1")),
    ]:
        (tmp_path / name).write_bytes(data)
        check_bad(tmp_path / name, "ra=ra,dec=dec")
    check_bad(tmp_path / "absent", "ra=ra,dec=dec")
    check_bad(tmp_path, "ra=ra,dec=dec")


def test_fits_file_without_a_table(tmp_path: Path) -> None:
    fitsio.write(str(tmp_path / "i.fits"), np.zeros((3, 3)))
    check_bad(tmp_path / "i.fits", "ra=ra,dec=dec", "no binary table")


def test_duplicate_detection_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path / "t", {"a": [1.0, 2, 3], "d": [1.0, 2, 3], "id": [5, 6, 5]})
    check_bad(tmp_path / "t", "ra=a,dec=d,det_id=id", "id", "detection 5", "rows 0 and 2")


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, np.nan])
def test_detection_numbers_that_cannot_be(tmp_path: Path, bad: float) -> None:
    write_parquet(tmp_path / "t", {"a": [1.0, 2], "d": [1.0, 2], "id": [5, bad]})
    check_bad(tmp_path / "t", "ra=a,dec=d,det_id=id", "id")


def test_a_vector_is_no_number(tmp_path: Path) -> None:
    write_fits(tmp_path / "t", {"a": np.zeros(3), "d": np.zeros((3, 2))})
    check_bad(tmp_path / "t", "ra=a,dec=d", "(3, 2)")


def test_reference_catalog(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t", columns())
    image = read_reference(tmp_path / "t", MAP, photcode="GAIA.G", epoch_mjd=57388.5)
    assert isinstance(image.meta, RefSource)
    assert image.meta.photcode == "GAIA.G"
    assert image.meta.epoch_mjd == 57388.5
    other = read_reference(tmp_path / "t", MAP, photcode="GAIA.BP", epoch_mjd=57388.5)
    assert other.meta.content != image.meta.content
    assert image.meta.name == "t"
    named = read_reference(tmp_path / "t", MAP, photcode="GAIA.G", epoch_mjd=57388.5, name="DR3")
    assert (named.meta.name, named.meta.content) == ("DR3", image.meta.content)


@pytest.mark.parametrize(
    ("name", "epoch", "n", "what"),
    [
        ("", 2000.0, 1, "catalog name ''"),
        ("x" * 129, 2000.0, 1, "1 to 128 ASCII"),
        ("é", 2000.0, 1, "1 to 128 ASCII"),
        ("name", 2000.0, 2, "for 2 files"),
        ("name", 57388.5, 1, "epoch 57388.5; give a Julian year"),
        ("name", np.inf, 1, "epoch inf"),
    ],
)
def test_names_and_epochs_that_cannot_be(
    tmp_path: Path, name: str, epoch: float, n: int, what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        reference_sources([tmp_path / "t"] * n, MAP, photcode="X", epoch=epoch, name=name)


HEADER = "file,name,photcode,mjd,exptime,airmass"


def write_list(path: Path, *lines: str, header: str = HEADER) -> Path:
    out = path / "exposures.csv"
    out.write_text("\n".join([header, *lines]) + "\n")
    return out


def test_exposure_list(tmp_path: Path) -> None:
    for i in range(3):
        write_parquet(tmp_path / f"e{i}.parquet", columns(10 + i))
    listed = write_list(
        tmp_path,
        "e0.parquet,first,CAM.g,57000.5,30,1.1,12,x",
        f"{tmp_path}/e1.parquet,second,CAM.r,57000.6,60,,,y",
        "e2.parquet,third,CAM.r,57000.7,60,1.2,14,z",
        header=HEADER + ",extern_id,unknown",
    )
    images = list(read_exposures(listed, MAP))
    metas = [image.meta for image in images]
    assert all(isinstance(meta, ImageMeta) for meta in metas)
    assert [m.name for m in metas] == ["first", "second", "third"]
    assert [m.photcode for m in metas] == ["CAM.g", "CAM.r", "CAM.r"]
    assert isinstance(metas[0], ImageMeta)
    assert isinstance(metas[1], ImageMeta)
    assert (metas[0].mjd, metas[0].exptime_s, metas[0].airmass) == (57000.5, 30.0, 1.1)
    assert (metas[0].extern_id, metas[1].extern_id) == (12, None)
    assert np.isnan(metas[1].airmass)
    assert [len(i.detections) for i in images] == [10, 11, 12]
    assert len({m.content for m in metas}) == 3


def test_content_of_an_exposure(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", columns(10))
    write_parquet(tmp_path / "b.parquet", columns(10))
    listed = write_list(
        tmp_path,
        "a.parquet,one,CAM.g,57000.5,30,1.1",
        "b.parquet,two,CAM.g,57000.5,30,1.1",
        "a.parquet,three,CAM.g,57000.6,30,1.1",
    )
    one, two, three = (image.meta.content for image in read_exposures(listed, MAP))
    assert one == two
    assert one != three


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("absent.parquet,n,CAM.g,57000,30,1", "absent.parquet"),
        ("t.parquet,,CAM.g,57000,30,1", "name is empty"),
        (",n,CAM.g,57000,30,1", "file is empty"),
        ("t.parquet,n,,57000,30,1", "photcode is empty"),
        ("t.parquet,n,CAM.g,,30,1", "mjd is empty"),
        ("t.parquet,n,CAM.g,monday,30,1", "mjd is 'monday'"),
        ("t.parquet,n,CAM.g,2457000.5,30,1", "Julian"),
        ("t.parquet,n,CAM.g,nan,30,1", "mjd is nan"),
        ("t.parquet,n,CAM.g,57000,-1,1", "exptime is -1; it can be 0 to 1e+09; give seconds"),
        ("t.parquet,n,CAM.g,57000,inf,1", "exptime is inf"),
        ("t.parquet,n,CAM.g,57000,1e308,1", "exptime is 1e308"),
        ("t.parquet,n,CAM.g,57000,30,inf", "airmass is inf; it can be 0 to 100"),
        ("t.parquet,n,CAM.g,57000,30,-1e-9", "airmass is -1e-9"),
        ("t.parquet,n,CAM.g", "mjd is empty"),
        ("t.parquet,é,CAM.g,57000,30,1", "ASCII"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, what: str) -> None:
    write_parquet(tmp_path / "t.parquet", columns(2))
    with pytest.raises(BadCatalogError) as caught:
        read_exposure_list(write_list(tmp_path, line))
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("extern_id", "inf", "it can be 0 to 9223372036854775807"),
        ("extern_id", "9223372036854775808", "it can be 0 to 9223372036854775807"),
        ("extern_id", "-1", "it can be 0 to"),
        ("extern_id", "1.5", "whole number"),
        ("extern_id", "x", "whole number"),
        ("extern_id", "9" * 5000, "999; it can be"),
        ("nx", "-1", "it can be 0 to 4294967295"),
        ("ny", "4294967296", "it can be 0 to 4294967295"),
        ("source_id", "-3", "it can be 0 to 4294967295"),
        ("ccdnum", "1e300", "it can be 0 to 2147483647"),
        ("n_astrom", "-inf", "it can be 0 to 4294967295"),
        ("zero_point", "-inf", "it can be -100 to 100"),
        ("zero_point_err", "-0.1", "it can be 0 to 100"),
        ("fwhm_x", "1e39", "it can be 0 to 100000"),
        ("latitude", "90.1", "it can be -90 to 90"),
        ("sidereal_time_h", "25", "it can be 0 to 24"),
    ],
)
def test_values_that_an_image_cannot_have(
    tmp_path: Path, column: str, value: str, what: str
) -> None:
    write_parquet(tmp_path / "t.parquet", columns(2))
    good = "t.parquet,m,CAM.g,57000,30,1,"
    lines = write_list(
        tmp_path, good, f"t.parquet,n,CAM.g,57000,30,1,{value}", header=f"{HEADER},{column}"
    )
    with pytest.raises(BadCatalogError) as caught:
        read_exposure_list(lines)
    text = str(caught.value)
    assert "exposures.csv, line 3: column " + column in text
    assert value[:30] in text
    assert what in text


def test_numbers_of_images_keep_all_their_digits(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", columns(2))
    line = f"t.parquet,n,CAM.g,57000,30,1,{2**63 - 1},1e3"
    (found,) = read_exposure_list(write_list(tmp_path, line, header=HEADER + ",extern_id,nx"))
    assert (found.meta.extern_id, found.meta.nx) == (2**63 - 1, 1000)


def test_bad_lists(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", columns(2))
    line = "t.parquet,n,CAM.g,57000,30,1"
    with pytest.raises(BadCatalogError, match="stands twice"):
        read_exposure_list(write_list(tmp_path, line, line))
    with pytest.raises(BadCatalogError, match="no column airmass"):
        read_exposure_list(write_list(tmp_path, header="file,name,photcode,mjd,exptime"))
    with pytest.raises(BadCatalogError, match="absent"):
        read_exposure_list(tmp_path / "absent.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\0\0" * 100)
    with pytest.raises(BadCatalogError, match=r"b\.csv"):
        read_exposure_list(tmp_path / "b.csv")
    assert read_exposure_list(write_list(tmp_path)) == []


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("writer", WRITERS)
def test_packed_files_are_unpacked(tmp_path: Path, writer: Any, pack: Any) -> None:
    writer(tmp_path / "table", columns())
    (tmp_path / "packed").write_bytes(pack((tmp_path / "table").read_bytes()))
    got, _, content = read_detections(tmp_path / "packed", MAP)
    assert content == read_detections(tmp_path / "table", MAP)[2]
    assert len(got) == 50


def test_what_grows_beyond_measure_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(b"1,2\n" * 10_000_000))
    check_bad(tmp_path / "bomb", "ra=ra,dec=dec", "bomb", "200 times")


def test_comments_before_the_names_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("# %ECSV 1.0\n# ---\nra,dec\n1,2\n3,4\n")
    got, _, _ = read_detections(tmp_path / "t", parse_column_map("ra=ra,dec=dec"))
    assert got.dec.tolist() == [2.0, 4.0]
