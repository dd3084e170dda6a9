"""uniphot: an offset put between a database and a reference comes back, and is taken out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.reference_points import (
    PhotcodeReference,
    ReferencePoints,
    TableReference,
)
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.uniphot import UniphotOptions, tie_of, uniphot
from dvo.cli.uniphot import uniphot as command
from dvo.errors import BadCatalogError, PhotcodeError
from dvo.partition.bounds import Box
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import FIELDS, add_images, assert_same, contents, make_database, make_images
from tests.unit.calib.colour_sky import ColourSky

SHIFT = 0.15  # the database is that much too faint in g


@pytest.fixture
def sky(tmp_path, rng):
    """Four exposures of each filter, and a catalog of g."""
    sky = ColourSky(tmp_path / "sky", rng)
    sky.fill(*(sky.exposure(k, "gr"[k % 2], SHIFT) for k in range(8)), sky.catalog(0.0))
    with Store(sky.path, writable=True) as store:
        relphot(store, RelphotOptions(("g", "r")))
    return sky


def by_photcode(store, *words, filters=()):
    return PhotcodeReference.of_words(store.view().photcodes, words or ["CAT.g"], filters)


def residual(sky, view):
    """Mean magnitudes of g less the truth."""
    off = []
    for region in view.regions():
        average, secfilt = view.read(AVERAGE, region), view.read(SECFILT, region)
        off.append(secfilt["mag"][::2] - sky.stars.mag[sky.star_of(average["ra"], average["dec"])])
    return np.concatenate(off)


def test_the_offset_comes_out_and_goes_to_images_measures_and_means(sky):
    with Store(sky.path, writable=True) as store:
        before = store.view()
        old = contents(before)
        report = uniphot(store, by_photcode(store))
        view = store.view()
        (tie,) = report.filters
        # 400 stars, of 0.010 and 0.010 mag each: 0.7 mmag.
        assert 0.0005 < tie.error < 0.0015
        assert abs(tie.offset - SHIFT) < 4 * tie.error
        assert (tie.n_stars, tie.n_images, report.n_images) == (400, 4, 4)
        assert 0.008 < tie.scatter < 0.02
        assert abs(residual(sky, view).mean()) < 0.004
        images, were = (v.read(IMAGE, ALL_SKY) for v in (view, before))
        moved = np.where(np.arange(8) % 2 == 0, np.float32(tie.offset), 0)
        for name in ("mcal_psf", "mcal_aper"):
            np.testing.assert_allclose(images[name] - were[name], moved, atol=1e-6)
        for name in ("dmcal", "flags", "n_fit_photom", "ubercal_dist"):
            np.testing.assert_array_equal(images[name], were[name])
        for region in view.regions():
            measure = view.read(MEASURE, region)
            real = measure["image_id"] > 0
            of = measure["image_id"][real].astype(int) - 1
            np.testing.assert_array_equal(measure["m_cal"][real], images["mcal_psf"][of])
            now, then = (v.read(SECFILT, region) for v in (view, before))
            np.testing.assert_allclose(now["mag"][::2] - then["mag"][::2], -tie.offset, atol=3e-6)
            np.testing.assert_array_equal(now["mag"][1::2], then["mag"][1::2])
        again = uniphot(store, by_photcode(store))
        assert abs(again.filters[0].offset) < 1e-6
        assert (again.n_images, again.snapshot) == (0, report.snapshot)
        rollback(store, report.snapshot - 1)
        assert_same(contents(store.view()), old)
    assert check(sky.path, deep=True).faults == []


def test_a_dry_run_says_the_same_and_changes_nothing(sky):
    with Store(sky.path) as store:
        old = store.view().snapshot.id
        dry = uniphot(store, by_photcode(store), UniphotOptions(dry_run=True))
        assert (dry.snapshot, store.view().snapshot.id, dry.n_means) == (old, old, 0)
    with Store(sky.path, writable=True) as store:
        assert uniphot(store, by_photcode(store)).filters == dry.filters


def test_a_table_is_found_by_place_and_a_colour_term_beside_the_offset(sky, rng):
    n = len(sky.stars)
    mag = sky.stars.mag - 0.2 + 0.08 * (sky.colour - 0.6) + rng.normal(0, 0.005, n)
    error = np.where(np.arange(n) % 2, 0.005, np.nan)
    mag[:20] = np.nan
    # Two rows that are no objects, and one with a place that is not known.
    ra = np.concatenate([sky.stars.ra, [10.0, np.nan], sky.stars.ra[50:51] + 0.5 / 3600])
    dec = np.concatenate([sky.stars.dec, [10.0, 0.0], sky.stars.dec[50:51]])
    mags = {0: (np.append(mag, [15, 15, 99.0]), np.append(error, [0.01] * 3))}
    reference = TableReference(ra, dec, mags, {0: "table"}, 1.0)
    with Store(sky.path, writable=True) as store:
        options = UniphotOptions(colour="g-r", colour_offset=0.6)
        tie = uniphot(store, reference, options).filters[0]
    assert 378 <= tie.n_stars <= 380
    assert abs(tie.offset - 0.2 - SHIFT) < 4 * tie.error < 0.006
    assert abs(tie.colour_term + 0.08) < 4 * tie.colour_error < 0.02
    assert tie.colour_offset == 0.6


def test_outliers_do_little(tmp_path, rng):
    sky = ColourSky(tmp_path / "sky", rng)
    wild = np.where(rng.random(400) < 0.2, rng.uniform(0.1, 2, 400), 0.0)
    sky.fill(*(sky.exposure(k, "g", SHIFT) for k in range(3)), sky.catalog(wild))
    with Store(sky.path) as store:
        tie = uniphot(store, by_photcode(store), UniphotOptions(dry_run=True)).filters[0]
    assert abs(tie.offset - SHIFT) < 0.004
    assert 0.7 * (wild > 0).sum() < tie.n_outliers < 1.5 * (wild > 0).sum()


def sky_points(rng, n=2000, plate=0.0):
    """Stars over 80 by 40 degrees, with errors in common on plates of 5 degrees."""
    ra, dec = rng.uniform(100, 180, n), rng.uniform(-20, 20, n)
    sigma = rng.uniform(0.01, 0.03, n)
    of_plate = rng.normal(0, plate, (16, 8))[((ra - 100) // 5).astype(int),
                                             ((dec + 20) // 5).astype(int)]  # fmt: skip
    off = SHIFT + rng.normal(0, 1, n) * sigma + of_plate
    return ReferencePoints(off, sigma, np.zeros(n), np.zeros(n), ra, dec, np.full(n, 15.0))


@pytest.mark.parametrize("plate", [0.0, 0.02])
def test_errors_are_honest_where_parts_of_the_sky_err_together(rng, plate):
    ties = [tie_of("g", "ref", sky_points(rng, plate=plate), UniphotOptions()) for _ in range(150)]
    pulls = np.array([(tie.offset - SHIFT) / tie.error for tie in ties])
    # Without errors in common the greater of two estimates is a little too great; cells that
    # cut plates leave a part of what is in common unseen.
    assert 0.75 < pulls.std() < 1.35
    alone = np.median([tie.intrinsic for tie in ties]) / np.sqrt(2000)
    assert plate == 0 or np.median([tie.error for tie in ties]) > 3 * alone
    rms = np.median([math.sqrt(max(tie.cell_rms**2 - tie.cell_error**2, 0)) for tie in ties])
    assert rms < 0.004 if plate == 0 else 0.01 < rms < 0.025


def test_limits_are_kept(sky):
    ra, dec = FIELDS["edge"]
    with Store(sky.path) as store:

        def n(**limits):
            options = UniphotOptions(dry_run=True, **limits)
            return uniphot(store, by_photcode(store), options).filters[0].n_stars

        assert n() == 400
        bright = ((sky.stars.mag > 16) & (sky.stars.mag < 17)).sum()
        assert abs(n(mag=(16, 17)) - bright) <= 6  # the catalog has errors of 0.01
        east = (sky.stars.ra > ra).sum()
        assert abs(n(area=Box(ra, ra + 2, dec - 2, dec + 2)) - east) <= 2
        assert n(most_error=1e-4) == 0


def test_too_few_stars_and_empty_databases_are_left_alone(sky, tmp_path):
    with Store(sky.path, writable=True) as store:
        old = store.view().snapshot.id
        options = UniphotOptions(least_stars=401)
        report = uniphot(store, by_photcode(store), options)
        assert math.isnan(report.filters[0].offset)
        assert (report.n_images, report.snapshot, store.view().snapshot.id) == (0, old, old)
        json.dumps(report.as_dict(), allow_nan=False)
        report = uniphot(store, by_photcode(store, "g=CAT.none"))
        assert (report.filters[0].n_stars, report.n_images) == (0, 0)
    for name, images in (("none", []), ("one", make_images(3, 20, 1))):
        with Store(make_database(tmp_path / name), writable=True) as store:
            add_images(store, images)
            nowhere = TableReference(np.ones(1), np.ones(1), {0: (np.ones(1), np.ones(1))},
                                     {0: "t"}, 1.0)  # fmt: skip
            assert uniphot(store, nowhere).filters[0].n_stars == 0


@pytest.mark.parametrize(
    ("words", "filters", "match"),
    [
        (["CAT.none"], [], "belongs to no average filter; say which"),
        (["SYNTH.g.C00"], [], "SYNTH.g.C00 is a DEP photcode"),
        (["nobody"], [], "'nobody' is not in the photcode table"),
        (["z=CAT.g"], [], "'z' is no average filter"),
        (["CAT.g", "g=CAT.none"], [], "g has two references, CAT.g and CAT.none"),
        (["CAT.g"], ["r"], "filter r has no reference"),
    ],
)
def test_references_that_cannot_be_are_told(sky, words, filters, match):
    with Store(sky.path) as store, pytest.raises(PhotcodeError, match=match):
        by_photcode(store, *words, filters=filters)


def test_a_declination_that_cannot_be_is_told():
    with pytest.raises(BadCatalogError, match=r"row 2: declination 91\.0"):
        TableReference(np.zeros(2), np.array([0, 91.0]), {}, {}, 1.0)


def test_the_command_takes_photcodes_and_tables(sky, tmp_path):
    words = [str(sky.path), "--reference", "CAT.g"]
    done = CliRunner().invoke(command, [*words, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "g to CAT.g: 400 stars" in done.stdout
    assert "4 images would be moved" in done.stdout
    path = tmp_path / "stars.csv"
    columns = [sky.stars.ra, sky.stars.dec, sky.stars.mag + 0.1]
    for header, more in (
        ("ra,dec,g", []),
        ("RAJ2000,DEJ2000,gmag", ["--columns", "ra=RAJ2000,dec=DEJ2000,g=gmag"]),
    ):
        np.savetxt(path, np.column_stack(columns), delimiter=",", header=header, comments="",
                   fmt="%.9f")  # fmt: skip
        words = [str(sky.path), "--reference", str(path), *more, "--json"]
        done = CliRunner().invoke(command, [*words, "--dry-run"])
        assert done.exit_code == 0, done.output
        (tie,) = json.loads(done.stdout)["filters"]
        assert (tie["name"], tie["reference"], tie["n_stars"]) == ("g", "stars.csv", 400)
        assert abs(tie["offset"] - SHIFT + 0.1) < 0.004
    path.write_text("ra,dec,V\n1,2,3\n")
    done = CliRunner().invoke(command, [str(sky.path), "--reference", str(path)])
    assert isinstance(done.exception, BadCatalogError)
    assert "no column is called as an average filter (g, r)" in str(done.exception)
    path.write_text("RA,dec,g\n1,2,3\n")
    done = CliRunner().invoke(command, [str(sky.path), "--reference", str(path)])
    assert "no column ra; it has RA, dec, g; say --columns" in str(done.exception)
    done = CliRunner().invoke(command, [str(sky.path), "--reference", "nobody"])
    assert done.exit_code == 2
    assert "nobody: neither a photcode of the database nor a file" in done.output
