"""Cubic maps and camera geometry."""

import numpy as np
import pytest

from dvo.errors import ConfigError, ShapeError
from ipp_pipeline.sim.camera import CAMERAS, get_camera
from ipp_pipeline.sim.instrument import make_instrument, sky_map
from ipp_pipeline.sim.plan import SurveyPlan, make_schedule
from ipp_pipeline.sim.polymap import PolyMaps


@pytest.mark.parametrize("name", list(CAMERAS))
def test_maps_invert_over_the_whole_camera(name: str, rng: np.random.Generator) -> None:
    camera, plan = get_camera(name), SurveyPlan(camera=name, n_exposures=3)
    maps = make_instrument(plan, camera, rng).chip_maps
    chip = rng.integers(0, len(maps), 5000)
    x, y = rng.uniform(0, camera.chip_nx, 5000), rng.uniform(0, camera.chip_ny, 5000)
    along = maps.forward(chip, x, y)
    back = maps.inverse(chip, *along)
    assert np.abs(back[0] - x).max() < 1e-7
    assert np.abs(back[1] - y).max() < 1e-7
    # Every pixel lies in its own chip's place of the raster.
    assert (camera.chip_at(*along) == chip).all()

    plane = sky_map(camera, make_schedule(plan, camera, rng), 1)
    which = np.zeros(5000, np.int64)
    there = plane.inverse(which, *plane.forward(which, *along))
    assert np.abs(there[0] - along[0]).max() < 1e-6
    xi, eta = plane.forward(which, *along)
    assert np.hypot(xi, eta).max() < camera.field_radius_deg


def test_gpc1_has_sixty_chips_without_corners() -> None:
    camera = get_camera("gpc1")
    assert len(camera.chip_names) == 60
    assert camera.chip_names[0] == "XY10"
    assert {"XY01", "XY76"} <= set(camera.chip_names)
    assert not {"XY00", "XY07", "XY70", "XY77"} & set(camera.chip_names)
    assert camera.chip_ids[camera.chip_names.index("XY76")] == 7 + 8 * 6
    outside = camera.chip_at(np.array([-20000.0, 0.0, -1e9]), np.array([-20000.0, 0.0, 1e9]))
    assert outside.tolist() == [-1, camera.chip_names.index("XY44"), -1]


def test_misuse_is_refused() -> None:
    with pytest.raises(ConfigError, match="gpc1"):
        get_camera("gpc9")
    one = np.zeros((1, 2))
    with pytest.raises(ShapeError, match="terms"):
        PolyMaps(one, one, np.zeros((1, 2, 2)), np.zeros((2, 2, 7)), one)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_exposures": 0},
        {"centre_dec": 91.0},
        {"filters": ("u",)},
        {"filters": ()},
        {"seed": -1},
        {"flat_cells": 0},
        {"camera": "none"},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SurveyPlan(**wrong)  # type: ignore[arg-type]
