"""relphot on databases whose zero points are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import sparse

from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.zero_points import ubercal_distance
from dvo.cli.relphot import relphot as command
from dvo.errors import PhotcodeError
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.averages import mean_magnitudes
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag, MeasureFlag, SecFiltFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, assert_same, contents, make_database, make_images

BOTH = RelphotOptions(("g", "r"))
_SIGMA = 0.02  # of the magnitudes of `make_images`


@pytest.fixture
def shifts(rng):
    return rng.normal(0, 0.15, 8)


@pytest.fixture
def catdir(tmp_path, shifts):
    """Eight exposures in two filters, each with a zero point of its own."""
    path = make_database(tmp_path / "sky")
    images = make_images(3, 120, 8)
    with Store(path, writable=True) as store:
        add_images(store, [shifted(i, s) for i, s in zip(images, shifts, strict=True)])
    return path


def shifted(image, shift):
    found = image.detections
    mag = (found.columns["mag"] + shift).astype(np.float32)
    return replace(image, detections=replace(found, columns={**found.columns, "mag": mag}))


def image_table(view):
    return view.read(IMAGE, ALL_SKY)


def put_flags(catdir, flags, offsets):
    """Set flags and zero points of images as ubercal would."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        with store.begin("test", {}, view) as change:
            start, changes = 0, []
            for part in view.parts(IMAGE, ALL_SKY):
                some = slice(start, start + part.n_rows)
                start += part.n_rows
                columns = {"flags": flags[some], "mcal_psf": offsets[some].astype(np.float32)}
                changes.append((part, ColumnTable(IMAGE, columns, part.n_rows)))
            change.overlay(IMAGE, changes)
            change.commit()


def residuals(offset, shifts):
    """Of each filter, about its mean: exposures of g and r take turns."""
    off = offset - shifts
    return np.concatenate([off[k::2] - off[k::2].mean() for k in (0, 1)])


def test_zero_points_come_out_and_measures_and_means_follow(catdir, shifts):
    with Store(catdir, writable=True) as store:
        report = relphot(store, BOTH)
        view = store.view()
        images = image_table(view)
        # 120 stars, three of four images tell of each zero point.
        assert residuals(images["mcal_psf"], shifts).std() < 3 * _SIGMA / np.sqrt(90)
        assert 0.3 * _SIGMA < images["dmcal"].mean() * np.sqrt(100) < 2 * _SIGMA
        assert (images["flags"] & np.uint32(ImageFlag.IMAGE_PHOTCAL) != 0).all()
        np.testing.assert_array_equal(images["mcal_aper"], images["mcal_psf"])
        for region in view.regions():
            measure = view.read(MEASURE, region)
            of = measure["image_id"].astype(int) - 1
            np.testing.assert_array_equal(measure["m_cal"], images["mcal_psf"][of])
            np.testing.assert_array_equal(measure["mag_cal_err"], images["dmcal"][of])
            assert_means(view, region, measure)
        assert (report.n_images, report.components, report.floating) == (8, 2, 2)
        assert report.is_converged
        assert 0.7 < report.chi2_dof < 1.3
    assert check(catdir, deep=True).faults == []


def assert_means(view, region, measure):
    """Plain weighted means of the measures that are said to be used."""
    secfilt = view.read(SECFILT, region)
    used = (measure["db_flags"] & np.uint32(MeasureFlag.PHOTOM_PSF)) != 0
    row = measure["ave_ref"].astype(int) * 2 + (measure["image_id"].astype(int) - 1) % 2
    mag, _ = mean_magnitudes(measure, "psf", view.photcodes)
    n = np.bincount(row[used], minlength=len(secfilt))
    np.testing.assert_array_equal(secfilt["nused"], n)
    has = n > 0
    plain = np.bincount(row[used], mag[used], len(secfilt))[has] / n[has]
    # The robust mean lies within the scatter of those not masked.
    assert np.abs(secfilt["mag"][has] - plain).max() < 2 * _SIGMA
    np.testing.assert_allclose(secfilt["mag_err"][has], _SIGMA / np.sqrt(n[has]), rtol=1e-5)
    flags = secfilt["flags"][has]
    assert (flags & np.uint32(SecFiltFlag.RANK_0) != 0).all()
    assert (secfilt["flags"][~has] == 0).all()
    assert (secfilt["ubercal_dist"][has] == 1000).all()


def test_again_is_the_same_and_can_be_taken_back(catdir):
    with Store(catdir, writable=True) as store:
        before = contents(store.view())
        relphot(store, BOTH)
        first = contents(store.view())
        relphot(store, BOTH)
        assert_same(contents(store.view()), first)
        rollback(store, 2)
        assert_same(contents(store.view()), before)


def test_a_dry_run_says_the_same_and_changes_nothing(catdir):
    with Store(catdir) as store:
        dry = relphot(store, replace(BOTH, dry_run=True))
        assert store.view().snapshot.id == 2
    with Store(catdir, writable=True) as store:
        report = relphot(store, BOTH)
    assert dry.each_round == report.each_round
    assert (dry.n_means, report.n_means > 0) == (0, True)


def test_one_filter_leaves_the_other_alone(catdir):
    with Store(catdir, writable=True) as store:
        before = store.view()
        relphot(store, RelphotOptions(("r",)))
        view = store.view()
        old, new = image_table(before), image_table(view)
        of_g = np.arange(8) % 2 == 0
        for name in IMAGE.stored_names:
            np.testing.assert_array_equal(old[name][of_g], new[name][of_g])
        for region in view.regions():
            old, new = before.read(SECFILT, region), view.read(SECFILT, region)
            for name in SECFILT.stored_names:
                np.testing.assert_array_equal(old[name][::2], new[name][::2])


def test_the_level_that_headers_gave_stays(catdir, shifts):
    """Of each filter over the images that had an offset; those without follow."""
    known = np.where(np.arange(8) < 6, shifts + 0.05, np.nan)
    put_flags(catdir, np.zeros(8, np.uint32), known)
    with Store(catdir, writable=True) as store:
        relphot(store, BOTH)
        found = image_table(store.view())["mcal_psf"]
        assert np.abs(found - shifts - 0.05).max() < 4 * _SIGMA / np.sqrt(60)
        for some in (slice(0, 6, 2), slice(1, 6, 2)):
            np.testing.assert_allclose(found[some].mean(), known[some].mean(), atol=1e-7)
        relphot(store, BOTH)
        np.testing.assert_array_equal(image_table(store.view())["mcal_psf"], found)


def test_images_of_ubercal_keep_their_zero_points(catdir, shifts):
    frozen = np.isin(np.arange(8), [2, 3])
    flags = np.where(frozen, np.uint32(ImageFlag.PHOTOM_UBERCAL), np.uint32(0)).astype(np.uint32)
    put_flags(catdir, flags, np.where(frozen, shifts, np.nan))
    with Store(catdir, writable=True) as store:
        report = relphot(store, BOTH)
        images = image_table(store.view())
        np.testing.assert_array_equal(images["mcal_psf"][frozen], shifts[frozen].astype("f4"))
        # The level is theirs, and not that of a mean.
        assert np.abs(images["mcal_psf"] - shifts).max() < 4 * _SIGMA / np.sqrt(60)
        np.testing.assert_array_equal(images["ubercal_dist"], np.where(frozen, 0, 1))
        assert (report.n_frozen, report.n_images, report.floating) == (2, 6, 0)
        secfilt = store.view().read(SECFILT, store.view().regions()[0])
        used = secfilt["nused"] > 0
        assert set(secfilt["ubercal_dist"][used].tolist()) <= {0, 1}
        assert (secfilt["flags"][used] & np.uint32(SecFiltFlag.USE_UBERCAL) != 0).any()


def test_images_not_to_be_calibrated_are_left_alone(catdir):
    flags = np.where(np.arange(8) == 5, np.uint32(ImageFlag.PHOTOM_SKIP), np.uint32(0))
    put_flags(catdir, flags.astype(np.uint32), np.full(8, 0.3))
    with Store(catdir, writable=True) as store:
        report = relphot(store, BOTH)
        assert report.n_images == 7
        assert image_table(store.view())["mcal_psf"][5] == np.float32(0.3)


def test_steps_to_ubercal_are_those_of_a_walk(rng):
    n = 60
    shares = np.tril(rng.random((n, n)) < 0.03, -1)
    known = np.where(np.arange(n) < 3, 0, 1000)
    known[3] = 2  # as an image of which only a part has been looked at
    steps = known.copy()
    for k in range(n):
        near = (shares | shares.T)[:, steps == k].any(axis=1)
        steps[near & (steps > k + 1)] = k + 1
    graph = sparse.csr_array(shares.astype(float))
    np.testing.assert_array_equal(ubercal_distance(graph, known), steps)
    assert (ubercal_distance(graph, np.full(n, 1000)) == 1000).all()


def test_an_empty_database_and_unknown_filters(tmp_path):
    path = make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        report = relphot(store, BOTH)
        assert (report.n_images, report.n_stars, report.components) == (0, 0, 0)
        with pytest.raises(PhotcodeError, match=r"'V' is no average filter.*g, r"):
            relphot(store, RelphotOptions(("g", "V")))
    assert len(PhotImages.read(Store(path).view(), [0])) == 0


def test_one_image_has_nothing_to_be_compared_with(tmp_path):
    path = make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        add_images(store, make_images(3, 20, 1))
        report = relphot(store, BOTH)
        assert (report.n_images, report.n_unsolved, report.n_few) == (0, 1, 1)
        assert np.isnan(report.median_error)
        json.dumps(report.as_dict(), allow_nan=False)


def test_the_command_says_what_was_done(catdir):
    done = CliRunner().invoke(command, [str(catdir), "--filters", "g,r", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"n_images", "n_stars", "n_measures", "rounds", "chi2_dof", "components",
            "seconds"} <= set(report)  # fmt: skip
    words = CliRunner().invoke(command, [str(catdir), "--filters", "g,r", "--dry-run"]).output
    assert "8 images would get zero points" in words
    assert "2 sets of images" in words
