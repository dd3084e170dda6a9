"""Zero points of exposures and nights, and deviations from them, against the truth put in."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.joint import JointOptions, solve_jointly
from dvo.calib.normal import StarBatch
from dvo.calib.photometry.images import ImageSelection, PhotImages
from dvo.calib.photometry.levels import Level, LevelModel
from dvo.partition.bounds import Box
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE

_NIGHTS, _EXPOSURES, _CHIPS = 5, 6, 4
_SIGMA = 0.01


class Sky:
    """Exposures of some chips in some nights, and stars that all of them see."""

    def __init__(self, rng, n_stars=60):
        self.night = np.repeat(np.arange(_NIGHTS), _EXPOSURES * _CHIPS)
        self.exposure = np.repeat(np.arange(_NIGHTS * _EXPOSURES), _CHIPS)
        n = len(self.night)
        hour = np.tile(np.repeat(np.arange(_EXPOSURES), _CHIPS), _NIGHTS)
        self.airmass = rng.uniform(1, 2, _NIGHTS * _EXPOSURES)[self.exposure]
        columns = {
            "image_id": np.arange(1, n + 1, dtype=np.uint32),
            "parent_id": (1000 + self.exposure).astype(np.uint32),
            "time": 86400 * 365 * 40 + 86400 * self.night.astype(np.int64) + 600 * hour,
            "secz": self.airmass.astype(np.float32),
            "mcal_psf": np.full(n, np.nan, np.float32),
        }
        self.table = ColumnTable(IMAGE, columns, n)
        self.mag = rng.uniform(15, 18, n_stars)
        self.noise = rng.normal(0, _SIGMA, (n_stars, n))

    def images(self, frozen=()):
        n = len(self.table)
        ubercal = np.isin(np.arange(n), frozen)
        everything = np.ones(n, np.bool_)
        return PhotImages(self.table, everything, ubercal, everything, np.zeros(n, np.int64),
                          everything, ~everything)  # fmt: skip

    def solve(self, model, offsets):
        n_stars, n = self.noise.shape
        y = self.mag[:, None] + offsets + self.noise
        image = np.tile(np.arange(n, dtype=np.int32), n_stars)
        edges = np.arange(0, n_stars * n + 1, n, dtype=np.int64)
        batch = StarBatch(edges, y.ravel(), np.full(n_stars * n, _SIGMA),
                          *model.model.columns(image))  # fmt: skip
        result = solve_jointly(model.model.parameters(), lambda: [batch], JointOptions())
        return model.read_off(result)


@pytest.fixture
def sky(rng):
    return Sky(rng)


def centred(values):
    return values - values.mean()


def test_exposures_have_one_zero_point_with_the_error_of_all_their_measures(sky, rng):
    truth = rng.normal(0, 0.1, _NIGHTS * _EXPOSURES)[sky.exposure]
    found = sky.solve(LevelModel.of(sky.images(), [Level.EXPOSURE], 0.02), truth)
    assert found.is_solved.all()
    for k in range(_NIGHTS * _EXPOSURES):
        assert len(np.unique(found.offset[sky.exposure == k])) == 1
    off = centred(found.offset - truth)
    expected = _SIGMA / np.sqrt(len(sky.mag) * _CHIPS) * np.sqrt(1 - 1 / (_NIGHTS * _EXPOSURES))
    np.testing.assert_allclose(found.error, expected, rtol=0.1)
    assert 0.6 < off.std() / expected < 1.5
    assert (found.n_fit == len(sky.mag)).all()


def test_nights_have_a_zero_point_and_a_slope_and_errors_know_of_both(sky, rng):
    night, slope = rng.normal(0, 0.1, _NIGHTS), rng.normal(0, 0.04, _NIGHTS)
    truth = night[sky.night] + slope[sky.night] * (sky.airmass - 1)
    model = LevelModel.of(sky.images(), [Level.NIGHT], 0.02)
    pulls = []
    for _ in range(20):
        sky.noise = rng.normal(0, _SIGMA, sky.noise.shape)
        found = sky.solve(model, truth)
        # The mean of the zero points of nights, at airmass 1, is what nothing tells.
        pulls.append((found.offset - truth + night.mean()) / found.error)
    assert 0.8 < np.std(pulls) < 1.2
    assert (found.error < _SIGMA / np.sqrt(len(sky.mag))).all()


def test_deviations_from_nights_are_found_where_they_are_and_small_elsewhere(sky, rng):
    night = rng.normal(0, 0.1, _NIGHTS)[sky.night]
    cloud = np.where(sky.night == 2, rng.exponential(0.1, len(sky.night)), 0.0)
    levels = [Level.IMAGE, Level.NIGHT]  # in any order
    found = sky.solve(LevelModel.of(sky.images(), levels, 0.02), night + cloud)
    off = centred(found.offset - night - cloud)
    assert off.std() < 3 * _SIGMA / np.sqrt(len(sky.mag))
    assert (np.abs(off) < 6 * found.error).all()


def test_known_images_tell_the_level_and_steps_go_over_shared_stars(sky, rng):
    sky.table["mcal_psf"][:_CHIPS] = 0.25
    truth = rng.normal(0, 0.1, _NIGHTS * _EXPOSURES)[sky.exposure]
    truth[:_CHIPS] = 0.25
    images = sky.images(frozen=range(_CHIPS))
    for levels in ([Level.EXPOSURE], [Level.IMAGE], [Level.NIGHT, Level.EXPOSURE, Level.IMAGE]):
        found = sky.solve(LevelModel.of(images, levels, 0.2), truth)
        assert not found.is_solved[:_CHIPS].any()
        off = (found.offset - truth)[_CHIPS:]
        assert (np.abs(off) < 6 * found.error[_CHIPS:]).all()
        assert (found.shares.toarray() != 0).any(axis=0).all()
        assert (found.n_fit == len(sky.mag)).all()


def test_an_image_without_measures_has_the_zero_point_of_its_night_and_says_how_sure(sky):
    truth = np.zeros(len(sky.night))
    sky.noise[:, 3] = np.nan
    found = sky.solve(LevelModel.of(sky.images(), [Level.NIGHT, Level.IMAGE], 0.05), truth)
    assert found.n_fit[3] == 0
    assert found.is_solved[3]
    assert found.error[3] == pytest.approx(0.05, rel=0.2)
    assert abs(found.offset[3] - np.delete(found.offset, 3).mean()) < 0.05


def test_a_selection_is_of_centres_and_times(sky):
    n = len(sky.table)
    columns = {"time": sky.table["time"], "ra_center": np.arange(n) * 1.0,
               "dec_center": np.zeros(n)}  # fmt: skip
    table = ColumnTable(IMAGE, columns, n)
    time = sky.table["time"]
    chosen = ImageSelection(Box(9.5, 49.5, -1, 1), float(time[30]), float(time[60]))
    rows = np.flatnonzero(chosen.holds(table))
    expected = [k for k in range(10, 50) if time[30] <= time[k] <= time[60]]
    assert rows.tolist() == expected
    assert ImageSelection().is_all
    assert not chosen.is_all
