"""Polygons on the sky: the same inside as that of half-spaces and of winding numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.errors import QueryError
from dvo.partition.polygon import Polygon

MIDDLES = [(211.3, -23.7), (0.0, 3.0), (359.99, -60.0), (40.0, 89.9), (10.0, -90.0)]


def direction(ra, dec):
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def around(middle, angles_deg, radii_deg):
    """Places at distances and angles from a middle, as ra and dec."""
    m = direction(*middle)
    axis = np.array([0.0, 0.0, 1.0]) if abs(m[2]) < 0.5 else np.array([1.0, 0.0, 0.0])
    east = np.cross(axis, m)
    east /= np.linalg.norm(east)
    north = np.cross(m, east)
    r, t = np.radians(radii_deg)[:, None], np.radians(angles_deg)[:, None]
    p = np.cos(r) * m + np.sin(r) * (np.cos(t) * east + np.sin(t) * north)
    return np.degrees(np.arctan2(p[:, 1], p[:, 0])) % 360.0, np.degrees(np.arcsin(p[:, 2]))


@pytest.mark.parametrize("middle", MIDDLES)
def test_a_triangle_is_where_three_half_spaces_meet(middle, rng):
    for size in (0.01, 5.0, 60.0):
        angles = np.sort(rng.uniform(0, 120, 3) + np.array([0, 120, 240]))
        ra, dec = around(middle, angles, rng.uniform(0.5, 1, 3) * size)
        polygon = Polygon(tuple(zip(ra.tolist(), dec.tolist(), strict=True)))
        points = around(middle, rng.uniform(0, 360, 2000), rng.uniform(0, 1.3, 2000) * size)
        a, b, c = direction(ra, dec)
        sides = np.stack([np.cross(a, b), np.cross(b, c), np.cross(c, a)])
        heights = direction(*points) @ sides.T
        inside = (heights > 0).all(axis=1) | (heights < 0).all(axis=1)
        clear = np.abs(heights).min(axis=1) > 1e-13 * size
        found = polygon.holds(*points)
        assert inside.any()
        np.testing.assert_array_equal(found[clear], inside[clear])
        assert polygon.cone.holds(*(p[inside] for p in points)).all()


@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("turn", [1, -1])
def test_a_polygon_with_dents_is_where_it_winds_about_a_point(middle, turn, rng):
    angles = np.arange(0.0, 360.0, 20.0)[::turn]
    ra, dec = around(middle, angles, np.where(np.arange(18) % 2, 1.0, 2.0))
    polygon = Polygon(tuple(zip(ra.tolist(), dec.tolist(), strict=True)))
    points = around(middle, rng.uniform(0, 360, 500), rng.uniform(0, 2.2, 500))
    corners = direction(ra, dec)
    winding = np.empty(500)
    for i, p in enumerate(direction(*points)):
        ahead = np.roll(corners, -1, axis=0)
        tangent, tangent_ahead = (np.cross(p, c) for c in (corners, ahead))
        sine = np.cross(tangent, tangent_ahead) @ p
        winding[i] = np.arctan2(sine, (tangent * tangent_ahead).sum(axis=1)).sum()
    inside = np.abs(winding) > np.pi
    assert 50 < inside.sum() < 450
    np.testing.assert_array_equal(polygon.holds(*points), inside)


def test_no_place_is_in_it_where_there_is_none():
    polygon = Polygon(((10.0, 0.0), (11.0, 0.0), (10.5, 1.0)))
    found = polygon.holds(np.array([10.5, np.nan, 190.5]), np.array([0.5, 0.5, -0.5]))
    assert found.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        (((0.0, 0.0), (1.0, 0.0)), "has 2 vertices"),
        (((0.0, 0.0), (1.0, 0.0), (0.5, 91.0)), "no place on the sky"),
        (((0.0, 0.0), (1.0, 0.0), (np.inf, 1.0)), "no place on the sky"),
        (((0.0, 0.0), (120.0, 0.0), (240.0, 0.0)), "within 85 degrees"),
        (((0.0, 80.0), (180.0, -80.0), (90.0, 0.0)), "within 85 degrees"),
    ],
)
def test_what_is_no_polygon_is_refused(vertices, message):
    with pytest.raises(QueryError, match=message):
        Polygon(vertices)
