"""setphot: what a table says is what images, measures and means have afterwards."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.calib.photometry.images import ImageSelection
from dvo.calib.photometry.setphot import SetphotOptions, setphot
from dvo.cli.setphot import setphot as command
from dvo.errors import BadCatalogError, PhotcodeError
from dvo.ingest.photcodes import put_photcodes
from dvo.mjd import MJD_1970
from dvo.partition.bounds import Box
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.averages import averaged_filters, mean_magnitudes
from dvo.tables.flags import ImageFlag, MeasureFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.secfilt import SECFILT
from tests.synth import FIELDS, add_images, assert_same, contents, make_database, make_images

CODE = ["SYNTH.g.C00", "SYNTH.r.C00"]
_SIGMA = 0.02


@pytest.fixture
def catdir(tmp_path, rng):
    """Six exposures in two filters, with places on a chip of 1000 pixels."""
    path = make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        table = [replace(p, airmass_slope=0.1) if p.name == CODE[0] else p
                 for p in store.view().photcodes]  # fmt: skip
        put_photcodes(store, PhotcodeTable(tuple(table)), "photcode add", {})
        images = [placed(image, rng) for image in make_images(3, 60, 6)]
        add_images(store, images)
    return path


def placed(image, rng):
    found = image.detections
    n = len(found.ra)
    places = {c: rng.uniform(0, 1000, n).astype(np.float32) for c in ("x_ccd", "y_ccd")}
    return replace(image, detections=replace(found, columns=found.columns | places))


def table(**columns):
    return GivenColumns("points.csv", {n: np.asarray(v) for n, v in columns.items()})


def images_of(view):
    return view.read(IMAGE, ALL_SKY)


def assert_follows(view):
    """Measures have what their images have; means are those of the measures used."""
    images = images_of(view)
    for region in view.regions():
        measure, secfilt = view.read(MEASURE, region), view.read(SECFILT, region)
        of = measure["image_id"].astype(int) - 1
        np.testing.assert_array_equal(measure["m_cal"], images["mcal_psf"][of])
        np.testing.assert_array_equal(measure["mcal_aper"], images["mcal_aper"][of])
        used = (measure["db_flags"] & np.uint32(MeasureFlag.PHOTOM_PSF)) != 0
        mag, _ = mean_magnitudes(measure, "psf", view.photcodes)
        row = measure["ave_ref"].astype(int) * 2 + averaged_filters(measure, view.photcodes)
        n = np.bincount(row[used], minlength=len(secfilt))
        has = n > 0
        plain = np.bincount(row[used], mag[used], len(secfilt))[has] / n[has]
        assert has.any()
        assert np.abs(secfilt["mag"][has] - plain).max() < 2 * _SIGMA


def test_offsets_by_number_come_to_measures_and_means(catdir, rng):
    offset = rng.normal(0.3, 0.01, 6)
    given = table(image_id=np.arange(6, 0, -1), MCAL=offset[::-1], dmcal=np.full(6, 0.01),
                  mcal_aper=offset[::-1] + 0.1)  # fmt: skip
    with Store(catdir, writable=True) as store:
        before = contents(store.view())
        report = setphot(store, given)
        view = store.view()
        images = images_of(view)
        np.testing.assert_allclose(images["mcal_psf"], offset, atol=1e-7)
        np.testing.assert_allclose(images["mcal_aper"], offset + 0.1, atol=1e-6)
        np.testing.assert_allclose(images["dmcal"], 0.01)
        assert (images["flags"] & np.uint32(ImageFlag.IMAGE_PHOTCAL) != 0).all()
        assert (images["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL) == 0).all()
        assert_follows(view)
        assert (report.n_images, report.n_unmatched, report.n_skipped) == (6, 0, 0)
        assert (report.n_means > 100, report.snapshot) == (True, view.snapshot.id)
        again = setphot(store, given)
        assert again.median_change == 0
        rollback(store, report.snapshot - 1)
        assert_same(contents(store.view()), before)
    assert check(catdir, deep=True).faults == []


def test_zero_points_are_nominal_less_offset(catdir):
    """C is 25 and K 0.1 of g, 25 and 0 of r; the airmass is 1.1."""
    given = table(name=[f"synth-{k:04d}" for k in range(6)], zero_point=np.full(6, 24.8),
                  zero_point_aper=np.full(6, 24.7))  # fmt: skip
    with Store(catdir, writable=True) as store:
        setphot(store, given)
        images = images_of(store.view())
        np.testing.assert_allclose(images["mcal_psf"], 0.2, atol=1e-6)
        np.testing.assert_allclose(images["mcal_aper"], 0.3, atol=1e-6)
        assert np.isnan(images["dmcal"]).all()
        setphot(store, given, options=SetphotOptions(at_airmass=True))
        images = images_of(store.view())
        np.testing.assert_allclose(images["mcal_psf"], [0.19, 0.2] * 3, atol=1e-6)
        assert_follows(store.view())


@pytest.mark.parametrize(
    ("columns", "hit"),
    [
        ({"mjd": 57000.25 + np.arange(6) + 0.3 / 86400, "photcode": CODE * 3}, range(6)),
        ({"mjd": 57000.25 + np.arange(6), "photcode": ["g"] * 6}, [0, 2, 4]),
        ({"mjd": 57000.25 + np.arange(6) + 5 / 86400, "photcode": CODE * 3}, []),
        ({"exposure": ["synth-0001", "synth-0004", "nobody", "x", "y", "z"],
          "photcode": ["3", "SYNTH.g.C00"] + ["g"] * 4}, [4]),
        ({"image_id": [1, 2, 3, 77, 78, 79],
          "name": ["synth-0000", "synth-0002", "synth-0002", "a", "b", "c"]}, [0, 2]),
    ],
)  # fmt: skip
def test_images_are_found_by_what_the_table_has(catdir, columns, hit):
    offset = np.arange(1, 7) / 10
    with Store(catdir) as store:
        dry = setphot(store, table(mcal=offset, **columns), options=SetphotOptions(dry_run=True))
    with Store(catdir, writable=True) as store:
        old = store.view().snapshot.id
        report = setphot(store, table(mcal=offset, **columns))
        found = images_of(store.view())["mcal_psf"]
        assert np.flatnonzero(np.isfinite(found) & (found != 0)).tolist() == list(hit)
        assert report.n_images == dry.n_images == len(hit)
        assert report.n_unmatched == dry.n_unmatched == 6 - len(hit)
        assert report.snapshot == old + (len(hit) > 0)
        if len(hit) < 6:
            with pytest.raises(BadCatalogError, match=r"points\.csv, row \d: means no image"):
                setphot(store, table(mcal=offset, **columns),
                        options=SetphotOptions(is_strict=True))  # fmt: skip


def test_options_leave_images_out(catdir):
    given = table(image_id=np.arange(1, 7), mcal=np.full(6, 0.5))
    ra, dec = FIELDS["edge"]
    away = Box(ra + 5, ra + 6, dec - 1, dec + 1)
    then = (86400 * (mjd - MJD_1970) for mjd in (57001, 57003))
    for options, hit in (
        (SetphotOptions(filters=("r",)), [1, 3, 5]),
        (SetphotOptions(selection=ImageSelection(None, *then)), [1, 2]),
        (SetphotOptions(selection=ImageSelection(away)), []),
        (SetphotOptions(selection=ImageSelection(Box(ra - 1, ra + 1, dec - 1, dec + 1))), range(6)),
    ):
        with Store(catdir, writable=True) as store:
            old = store.view().snapshot.id
            report = setphot(store, given, options=options)
            found = images_of(store.view())["mcal_psf"]
            assert np.flatnonzero(found == 0.5).tolist() == list(hit)
            assert (report.n_images, report.n_left_out) == (len(hit), 6 - len(hit))
            if len(hit):
                rollback(store, old)


def test_marks_of_ubercal_come_and_go(catdir):
    mark = [1, 0, 1, 0, 0, 0]
    with Store(catdir, writable=True) as store:
        setphot(store, table(image_id=np.arange(1, 7), mcal=np.zeros(6), ubercal=mark))
        images = images_of(store.view())
        is_uber = (images["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0
        assert is_uber.tolist() == [bool(m) for m in mark]
        assert images["ubercal_dist"].tolist() == [0 if m else 1000 for m in mark]
        secfilt = store.view().read(SECFILT, store.view().regions()[0])
        assert (secfilt["ubercal_dist"][::2][secfilt["nused"][::2] == 3] == 0).all()
        setphot(store, table(image_id=[1], mcal=[0.1]))
        images = images_of(store.view())
        assert images["flags"][0] & np.uint32(ImageFlag.PHOTOM_UBERCAL) == 0
        report = setphot(store, table(image_id=[1], mcal=[0.1]),
                         options=SetphotOptions(is_ubercal=True))  # fmt: skip
        assert report.n_ubercal == 1


def test_flat_fields_come_to_the_measures_of_their_season(catdir, rng):
    """Cells of 250 pixels; the first two exposures in g are of the season."""
    grid = rng.normal(0, 0.1, (4, 4))
    y, x = np.divmod(np.arange(16), 4)
    cells = {"photcode": [CODE[0]] * 16, "x": x, "y": y, "dx": [250] * 16, "dy": [250] * 16,
             "offset": grid.ravel(), "mjd_start": [57000.0] * 16,
             "mjd_stop": [57003.0] * 16}  # fmt: skip
    with Store(catdir, writable=True) as store:
        before = contents(store.view())
        report = setphot(store, None, table(**cells))
        view = store.view()
        assert (report.n_flats, report.n_images, len(FlatFields.read(view))) == (1, 0, 1)
        images = images_of(view)
        assert images["photom_map_id"].tolist() == [1, 0, 1, 0, 0, 0]
        for region in view.regions():
            measure = view.read(MEASURE, region)
            i, j = (np.floor(measure[c] / 250).astype(int) for c in ("x_ccd", "y_ccd"))
            flat = np.where(np.isin(measure["image_id"], [1, 3]), grid[j, i], 0)
            np.testing.assert_allclose(np.nan_to_num(measure["m_flat"]), flat, atol=1e-7)
        assert_follows(view)
        cells["offset"] = np.zeros(16)
        setphot(store, None, table(**cells))
        assert len(FlatFields.read(store.view())) == 1
        rollback(store, report.snapshot - 1)
        assert_same(contents(store.view()), before)
        assert len(FlatFields.read(store.view())) == 0
    assert check(catdir, deep=True).faults == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image_id": [1, 2], "mcal": [0, np.nan]}, r"row 2: mcal_psf is nan"),
        ({"image_id": [1, 99], "mcal": [0, np.inf]}, r"row 2: mcal_psf is inf"),
        ({"image_id": [1, 2], "mcal": [0, 0], "dmcal": [0.1, -1]}, "row 2: dmcal is -1, below 0"),
        ({"image_id": [1, 1], "mcal": [0, 0]}, "rows 1 and 2 both mean image 1"),
        ({"image_id": [1.5, 2], "mcal": [0, 0]}, "row 1: image_id is 1.5; a whole number"),
        ({"image_id": [1, 2]}, "no column mcal_psf"),
        ({"image_id": [1], "mcal": [0], "zero_point": [25]}, "both a column mcal_psf"),
        ({"image_id": [1], "mcal": [0], "mcal_psf": [25]}, "say the same"),
        ({"image_id": [1], "zero_point": [25], "mcal_aper": [0]}, "mcal_aper goes with"),
        ({"mcal": [0]}, "no columns that name images"),
        ({"mjd": [57000], "mcal": [0]}, "no columns that name images"),
        ({"name": ["a", ""], "mcal": [0, 0]}, "row 2: name is empty"),
        ({"name": ["a"], "mcal": ["b"]}, "holds no numbers"),
        ({"name": ["a"], "photcode": ["z"], "mcal": [0]}, "photcode 'z' is not one"),
        ({"image_id": [1], "mcal": [0], "ubercal": [2]}, "ubercal is 2"),
    ],
)
def test_tables_that_make_no_sense_are_refused(catdir, columns, words):
    with Store(catdir, writable=True) as store:
        old = store.view().snapshot.id
        with pytest.raises(BadCatalogError, match=words):
            setphot(store, table(**columns))
        assert store.view().snapshot.id == old


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offset": [0.1, np.nan]}, "row 2: offset is nan"),
        ({"x": [0, 0]}, r"row 2: cell \(0, 0\) stands twice"),
        ({"dx": [10, 11]}, "row 2: cells of another size"),
        ({"dx": [0, 0]}, r"row 1: dx is 0; a whole number.*2 such rows"),
        ({"photcode": ["g", "g"]}, "photcode 'g' is not one"),
        ({"x": [0, 1 << 20], "y": [0, 1 << 20]}, "a grid of 1048577"),
        ({"mjd_stop": [57000, 57000], "mjd_start": [57001, 57001]}, "ends before it begins"),
    ],
)
def test_flat_fields_that_make_no_sense_are_refused(catdir, change, words):
    good = {"photcode": [CODE[0]] * 2, "x": [0, 1], "y": [0, 0], "dx": [10, 10], "dy": [5, 5],
            "offset": [0.1, 0.2]}  # fmt: skip
    with Store(catdir, writable=True) as store:
        with pytest.raises(BadCatalogError, match=words):
            setphot(store, None, table(**(good | change)))
        del good["dy"]
        with pytest.raises(BadCatalogError, match="flat fields need the columns"):
            setphot(store, None, table(**good))


def test_an_empty_table_and_an_empty_database_change_nothing(catdir, tmp_path):
    empty = make_database(tmp_path / "none")
    for path, ids in ((catdir, []), (empty, [1, 2])):
        with Store(path, writable=True) as store:
            old = store.view().snapshot.id
            given = table(image_id=np.array(ids, int), mcal=np.zeros(len(ids)))
            report = setphot(store, given)
            assert (report.n_images, report.n_unmatched) == (0, len(ids))
            assert report.snapshot == old
            assert math.isnan(report.median_change)
    with Store(catdir) as store, pytest.raises(PhotcodeError, match="no average filter"):
        setphot(store, table(image_id=[1], mcal=[0.0]), options=SetphotOptions(filters=("z",)))


@pytest.mark.parametrize("ending", ["csv", "fits", "parquet", "vot"])
def test_the_command_reads_any_table_file(catdir, tmp_path, ending):
    from astropy.table import Table

    path = tmp_path / f"points.{ending}"
    found = Table({"name": ["synth-0000", "synth-0003", "gone"], "mcal_psf": [0.25, -0.125, 1.0]})
    if ending == "parquet":
        found.to_pandas().to_parquet(path)
    else:
        found.write(path, format={"csv": "csv", "fits": "fits", "vot": "votable"}[ending])
    done = CliRunner().invoke(command, [str(catdir), str(path), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["n_images"], report["n_unmatched"], report["unmatched"]) == (2, 1, [3])
    with Store(catdir) as store:
        assert images_of(store.view())["mcal_psf"][[0, 3]].tolist() == [0.25, -0.125]
    words = CliRunner().invoke(command, [str(catdir), str(path), "--dry-run"]).output
    assert "2 images would get the zero points of 3 rows" in words
    assert "no image is meant by 1 row: 3" in words
