"""Which images touch what: against brute force over grids of places."""

import numpy as np
import pytest

from dvo.astrometry.model import AstromModel
from dvo.astrometry.outlines import Outlines, outline
from dvo.astrometry.solution import pixel_to_sky
from dvo.sphere import SphericalPolygon, separation
from tests.unit.astrometry.mosaics import NX, NY, camera


@pytest.fixture
def coords(rng: np.random.Generator) -> list:
    return camera(rng)


@pytest.fixture
def outlines(coords: list) -> Outlines:
    return Outlines.of(AstromModel.of(coords), np.full(18, NX), np.full(18, NY))


def all_over(coords: list, image: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Places all over an image, edges included."""
    x, y = np.meshgrid(np.linspace(0.5, NX + 0.5, n), np.linspace(0.5, NY + 0.5, n))
    return pixel_to_sky(coords[image], x.ravel(), y.ravel())


def test_circles_about_images_hold_them(coords: list, outlines: Outlines) -> None:
    assert outlines.is_known.tolist() == [True] * 16 + [False] * 2
    for image in range(16):
        ra, dec = all_over(coords, image)
        n = len(ra)
        far = separation(ra, dec, np.full(n, outlines.ra[image]), np.full(n, outlines.dec[image]))
        assert far.max() <= outlines.radius_deg[image] <= 1.05 * far.max()
        edge = outline(coords[image], NX, NY)
        assert edge.shape == (16, 2)


def test_a_place_on_an_image(coords: list, outlines: Outlines, rng: np.random.Generator) -> None:
    for image in range(16):
        x, y = rng.uniform(-500, NX + 500), rng.uniform(-500, NY + 500)
        ra, dec = pixel_to_sky(coords[image], np.array([x]), np.array([y]))
        is_on, got_x, got_y = outlines.hold(np.array([image]), float(ra[0]), float(dec[0]))
        assert np.hypot(got_x[0] - x, got_y[0] - y) < 1e-6
        assert is_on[0] == (0.5 <= x <= NX + 0.5 and 0.5 <= y <= NY + 0.5)


def test_circles(coords: list, outlines: Outlines, rng: np.random.Generator) -> None:
    n_touch = 0
    for _ in range(60):
        of = int(rng.integers(0, 15))
        ra = (outlines.ra[of] + rng.normal()) % 360.0
        dec = float(np.clip(outlines.dec[of] + rng.normal() * 0.4, -90, 90))
        radius = rng.uniform(0, 0.6)
        got = outlines.touch_circle(ra, dec, radius)
        for image in range(16):
            places = all_over(coords, image)
            n = len(places[0])
            near = separation(*places, np.full(n, ra), np.full(n, dec)).min() - radius
            if abs(near) > 0.005:  # the grid is 80 pixels wide
                assert got[image] == (near < 0.0)
                n_touch += int(got[image])
    assert n_touch > 50


def test_polygons(coords: list, outlines: Outlines, rng: np.random.Generator) -> None:
    """Small and large ones, convex or not; some within an image, some around it."""
    n_touch = 0
    for _ in range(60):
        of = int(rng.integers(0, 15))
        n = int(rng.integers(3, 7))
        angle = np.sort(rng.uniform(0, 2 * np.pi, n))
        size = 10 ** rng.uniform(-2, 0.3) * rng.uniform(0.4, 1.0, n)
        dec = np.clip(outlines.dec[of] + rng.normal() * 0.2 + size * np.sin(angle), -90, 90)
        ra = outlines.ra[of] + size * np.cos(angle) / np.cos(np.radians(outlines.dec[of]))
        corners = np.stack([ra % 360.0, dec], axis=1)
        try:
            polygon = SphericalPolygon(corners)
        except ValueError:
            continue
        got = outlines.touch_polygon(corners)
        for image in range(16):
            ra_on, dec_on = all_over(coords, image)
            inside = polygon.contains(ra_on, dec_on)
            depth = 80 * 0.26 / 3600  # of the grid [deg]
            if got[image] and not inside.any():
                assert polygon.distance(ra_on, dec_on).min() < depth
            if inside.any():
                assert got[image]
            n_touch += int(got[image])
    assert n_touch > 50


def test_a_long_thin_polygon_crosses_without_corners_inside(
    coords: list, outlines: Outlines
) -> None:
    """No corner of either is within the other, nor is the middle."""
    ra, dec = pixel_to_sky(coords[10], np.array([-3000.0, NX + 3000, NX + 3000]),
                           np.array([700.0, 700.0, 702.0]))  # fmt: skip
    assert outlines.touch_polygon(np.stack([ra, dec], axis=1))[10]


def test_nothing_touches_without_images() -> None:
    none = Outlines.of(AstromModel.of([]), [], [])
    assert len(none.touch_circle(0.0, 0.0, 1.0)) == 0
    assert len(none.touch_polygon([(0, 0), (1, 0), (0, 1)])) == 0
