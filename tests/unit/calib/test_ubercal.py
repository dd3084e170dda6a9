"""ubercal on a small simulated survey whose nights, slopes, flats and clouds are known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.periods import Periods
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.cli.ubercal import ubercal as command
from dvo.errors import ConfigError, PhotcodeError
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tests.calibrated_sky import PLAN, against_truth, flat_errors, make_sky
from tests.synth import add_images, assert_same, contents, make_database, make_images

G = UbercalOptions(("g",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_sky(tmp_path_factory.mktemp("ubercal"), PLAN)


@pytest.fixture
def sky(made, tmp_path):
    shutil.copytree(made.catdir, tmp_path / "sky")
    return replace(made, catdir=tmp_path / "sky")


def image_table(view):
    table = view.read(IMAGE, ALL_SKY)
    return table.take(table["photcode"] > 0)


def test_nights_slopes_flats_and_clouds_come_out(sky):
    with Store(sky.catdir, writable=True) as store:
        report = ubercal(store, G)
        view = store.view()
        images = image_table(view)
        flats = FlatFields.read(view)
        measure = view.read(MEASURE, view.regions()[0])
    found, true, zp, true_zp, zp_err, slope, true_slope, slope_err = against_truth(sky, report)
    np.testing.assert_array_equal(found, true)
    assert 5 < true.sum() < len(true)
    good = found == 1
    off = (zp - true_zp)[good]
    assert np.sqrt(np.mean(((off - off.mean()) / zp_err[good]) ** 2)) < 2
    assert off.std() < 0.004
    assert np.sqrt(np.mean(((slope - true_slope)[good] / slope_err[good]) ** 2)) < 1.6
    assert (report.components, report.n_seasons, report.null_modes) == (1, 2, 3)
    # Flat fields, of both seasons, about their means.
    assert flat_errors(sky, flats).std() < 0.004
    assert (sky.flats - sky.flats.mean(axis=(1, 2), keepdims=True)).std() > 0.01
    season, offset = flats.corrections["tstart"], flats.cells["offset"]
    for start in np.unique(season):
        ids = flats.corrections["id"][season == start]
        assert abs(offset[np.isin(flats.cells["id"], ids)].mean()) < 1e-8
    assert_written(images, measure, flats, report)
    assert check(sky.catdir, deep=True).faults == []


def assert_written(images, measure, flats, report):
    """Images, flags and measures say the same as the periods."""
    period_of = np.full(len(images["time"]), -1)
    for i, period in enumerate(report.periods):
        period_of[(images["time"] >= period.start) & (images["time"] < period.stop)] = i
    is_good = np.array([p.is_photometric for p in report.periods])[period_of]
    zp, slope = (np.array([getattr(p, n) for p in report.periods])[period_of]
                 for n in ("zero_point", "slope"))  # fmt: skip
    expected = zp + slope * (images["secz"] - 1)
    np.testing.assert_allclose(images["mcal_psf"][is_good], expected[is_good], atol=1e-6)
    for flag, which in ((ImageFlag.PHOTOM_UBERCAL, is_good), (ImageFlag.NIGHT_POOR, ~is_good),
                        (ImageFlag.TGROUP_PHOTCAL, is_good)):  # fmt: skip
        np.testing.assert_array_equal((images["flags"] & np.uint32(flag)) != 0, which)
    np.testing.assert_array_equal(images["ubercal_dist"], np.where(is_good, 0, 1000))
    assert (images["dmcal"][is_good] > 0).all()
    at = np.searchsorted(images["image_id"], measure["image_id"])
    good = is_good[at]
    np.testing.assert_array_equal(measure["m_cal"][good], images["mcal_psf"][at][good])
    np.testing.assert_array_equal(measure["mag_cal_err"][good], images["dmcal"][at][good])
    expected = flats.offsets(measure["photcode"], measure["time"], measure["x_ccd"],
                             measure["y_ccd"])  # fmt: skip
    np.testing.assert_array_equal(measure["m_flat"], expected)
    assert (measure["m_flat"] != 0).all()


def steps_to(view, images):
    """A walk from the images of ubercal over those that share an object."""
    measure = [view.read(MEASURE, region) for region in view.regions()]
    n = np.cumsum([0, *(m["ave_ref"].max() + 1 for m in measure)])
    refs = np.concatenate([m["ave_ref"] for m in measure])
    objects = refs + np.repeat(n[:-1], [len(m) for m in measure])
    rows = np.searchsorted(images["image_id"], np.concatenate([m["image_id"] for m in measure]))
    sees = np.zeros((len(images), n[-1]), bool)
    sees[rows, objects] = True
    steps = np.full(len(images), 1000)
    near = (images["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0
    for k in range(10):
        steps[near & (steps == 1000)] = k
        near = sees[:, sees[near].any(axis=0)].any(axis=1)
    return steps


def test_relphot_ties_the_other_images_and_leaves_these(sky):
    with Store(sky.catdir, writable=True) as store:
        report = ubercal(store, G)
        before = image_table(store.view())
        tied = relphot(store, RelphotOptions(("g",)))
        after = image_table(store.view())
        steps = steps_to(store.view(), before)
    is_ubercal = (before["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0
    for name in ("mcal_psf", "mcal_aper", "dmcal", "flags", "ubercal_dist"):
        np.testing.assert_array_equal(before[name][is_ubercal], after[name][is_ubercal])
    assert tied.n_frozen == report.n_images == is_ubercal.sum()
    has_stars = after["n_fit_photom"] > 0  # few shine through a thick cloud
    np.testing.assert_array_equal(after["ubercal_dist"], np.where(has_stars, steps, 1000))
    # Clouds are as they were put in, up to the level of all.
    names = sky.exposures["name"]
    at = np.array([names.index(n.decode().partition("[")[0]) for n in after["name"]])
    season = np.array(sky.nights["season"])[np.array(sky.exposures["night"])[at]]
    level = sky.flats.mean(axis=(1, 2))[season]
    off = after["mcal_psf"] - np.array(sky.exposures["mcal"])[at] - level
    cloudy = off[~is_ubercal & (after["n_fit_photom"] > 10)] - np.median(off[is_ubercal])
    assert np.median(np.abs(cloudy)) < 0.01


def test_again_is_the_same_and_can_be_taken_back(sky):
    with Store(sky.catdir, writable=True) as store:
        before, newest = contents(store.view()), store.view().snapshot.id
        first = ubercal(store, G)
        zero_points = image_table(store.view())["mcal_psf"]
        again = ubercal(store, G)
        np.testing.assert_allclose(image_table(store.view())["mcal_psf"], zero_points, atol=1e-6)
        assert again.snapshot == first.snapshot + 1 == newest + 2
        assert len(FlatFields.read(store.view())) == first.n_flats
        rollback(store, newest)
        assert_same(contents(store.view()), before)
        assert len(FlatFields.read(store.view())) == 0


def test_a_dry_run_changes_nothing_and_periods_come_back(sky, tmp_path):
    file = tmp_path / "nights.txt"
    with Store(sky.catdir) as store:
        newest = store.view().snapshot.id
        dry = ubercal(store, replace(G, dry_run=True, write_periods=file))
        assert store.view().snapshot.id == newest
        codes = store.view().photcodes
    periods = Periods.read(file, codes)
    assert [p.is_photometric for p in dry.periods] == (periods.verdict == 1).tolist()
    assert [p.start for p in dry.periods] == periods.start.tolist()
    assert [p.stop for p in dry.periods] == periods.stop.tolist()
    with Store(sky.catdir) as store:
        same = ubercal(store, replace(G, dry_run=True, periods=file))
    assert same.as_dict()["periods"] == dry.as_dict()["periods"]
    # A word changed: the night is not photometric, whatever it looks like.
    lines = file.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if " yes " in line)
    lines[at] = lines[at].replace(" yes ", " no ")
    file.write_text("\n".join(lines))
    with Store(sky.catdir) as store:
        fewer = ubercal(store, replace(G, dry_run=True, periods=file))
    assert fewer.n_photometric == dry.n_photometric - 1


def test_seasons_and_cells_as_they_are_given(sky):
    with Store(sky.catdir) as store:
        one = ubercal(store, replace(G, dry_run=True, seasons=()))
        none = ubercal(store, replace(G, dry_run=True, flat_cells=0))
    assert (one.n_seasons, one.null_modes) == (1, 2)
    assert (none.n_flats, none.null_modes) == (0, 1)
    assert none.chi2_dof > one.chi2_dof


def test_times_and_a_box_leave_the_rest_alone(sky):
    middle = int(np.median((np.array(sky.exposures["mjd"]) - 40587) * 86400))
    with Store(sky.catdir, writable=True) as store:
        ubercal(store, G)
        before, flats = image_table(store.view()), FlatFields.read(store.view())
        report = ubercal(store, replace(G, times=(middle, 2**33)))
        after = image_table(store.view())
        early = before["time"] < middle
        for name in ("mcal_psf", "flags", "dmcal"):
            np.testing.assert_array_equal(after[name][early], before[name][early])
        assert 0 < report.n_images < (~early).sum() + 1
        # Flat fields hold as they did before that time.
        now = FlatFields.read(store.view())
        x, y = np.full(early.sum(), 10.0), np.full(early.sum(), 10.0)
        args = (before["photcode"][early], before["time"][early], x, y)
        np.testing.assert_array_equal(now.offsets(*args), flats.offsets(*args))


def test_dead_ends(sky, tmp_path):
    path = make_database(tmp_path / "few")
    with Store(path, writable=True) as store:
        report = ubercal(store, G)
        assert (report.n_images, report.periods, report.components) == (0, [], 0)
        with pytest.raises(PhotcodeError, match="no average filter"):
            ubercal(store, replace(G, filters=("V",)))
        add_images(store, make_images(3, 20, 1))
        report = ubercal(store, G)
        assert (report.n_images, report.n_poor, report.n_photometric) == (0, 1, 0)
        json.dumps(report.as_dict(), allow_nan=False)
        # Nights of one exposure each: none has the four that it needs.
        add_images(store, make_images(3, 60, 8, first=1))
        assert ubercal(store, G).n_photometric == 0
    file = tmp_path / "none.txt"
    file.write_text("g 1990-01-01 1991-01-01 yes\n")
    with Store(sky.catdir) as store:
        report = ubercal(store, replace(G, dry_run=True, periods=file))
    assert (report.n_images, report.n_poor, report.n_unsolved) == (0, 0, 960)


def test_a_night_of_one_airmass_has_the_nominal_slope(sky):
    with Store(sky.catdir, writable=True) as store:
        view = store.view()
        table = view.read(IMAGE, ALL_SKY)
        table["secz"] = np.full(len(table), 1.2, np.float32)
        with store.begin("test", {}, view) as change:
            change.overlay_rows(table, [ALL_SKY], np.array([0, len(table)]),
                                np.ones(len(table), bool))  # fmt: skip
            change.commit()
        report = ubercal(store, replace(G, dry_run=True))
    slopes = {(p.slope, p.slope_err) for p in report.periods if p.is_photometric}
    assert slopes <= {(0.0, 0.04)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("g 2010-01-01 2010-01-02", "3 words"),
        ("V 2010-01-01 2010-01-02 yes", "'V' is no average filter"),
        ("g 2010-01-01 2010-01-02 perhaps", "not yes, no or auto"),
        ("g yesterday 2010-01-02 yes", "no time"),
        ("g 2010-01-03 2010-01-02 yes", "ends"),
        ("g 2010-01-01 2010-01-03 yes\ng 2010-01-02 2010-01-04 no", "lines 1 and 2 overlap"),
    ],
)
def test_periods_that_cannot_be_understood_are_refused(tmp_path, line, words):
    file = tmp_path / "nights.txt"
    file.write_text(line)
    codes = PhotcodeTable().add("g", PhotClass.SEC)
    with pytest.raises(ConfigError, match=words):
        Periods.read(file, codes)
    with pytest.raises(ConfigError, match="cannot be read"):
        Periods.read(tmp_path / "absent.txt", codes)


def test_nights_are_found_by_their_gaps():
    hour = 3600
    time = np.array([0, 2 * hour, 7 * hour, 24 * hour, 25 * hour, 100 * hour], np.int64)
    periods = Periods.find(np.zeros(6, np.int64), time)
    assert periods.start.tolist() == [0, 24 * hour, 100 * hour]
    assert periods.of(np.zeros(6, np.int64), time).tolist() == [0, 0, 0, 1, 1, 2]
    assert periods.of(np.ones(6, np.int64), time).tolist() == [-1] * 6
    # Without gaps, as from space, a period is a day.
    days = Periods.find(np.zeros(50, np.int64), np.arange(50) * hour)
    assert days.start.tolist() == [0, 24 * hour, 48 * hour]


def test_the_command_says_what_was_done(sky, tmp_path):
    args = [str(sky.catdir), "--filters", "g"]
    words = CliRunner().invoke(command, [*args, "--dry-run"])
    assert words.exit_code == 0, words.output
    assert "would get zero points of" in words.output
    assert "NIGHT_POOR" in words.output
    done = CliRunner().invoke(command, [*args, "--json", "--time", "2010-01-01", "2030-01-01",
                                        "--seasons", "none",
                                        "--region", "0", "360", "-90", "90"])  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert {"periods", "n_images", "n_stars", "n_measures", "rounds", "chi2_dof", "components",
            "seconds"} <= set(report)  # fmt: skip
    assert {"start", "stop", "filter", "zero_point", "slope", "n_images",
            "is_photometric"} <= set(report["periods"][0])  # fmt: skip
    assert CliRunner().invoke(command, [*args, "--time", "2011-01-01", "2010-01-01"]).exit_code == 2
    assert CliRunner().invoke(command, [*args, "--seasons", "soon"]).exit_code == 2
