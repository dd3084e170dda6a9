"""Spherical geometry: tiny and antipodal angles, the seam, the poles."""

import numpy as np
import pytest

from dvo import sphere
from dvo.errors import ShapeError
from tests import reference


def test_separation_is_exact_for_tiny_angles() -> None:
    micro = 1e-6 / 3600
    got = sphere.separation([10.0, 10.0], [60.0, 60.0], [10.0 + micro, 10.0], [60.0, 60.0 + micro])
    assert got == pytest.approx([0.5 * micro, micro], rel=1e-4)


def test_separation_of_antipodes_and_across_the_seam() -> None:
    got = sphere.separation([0, 359.5, 0], [0, 0, 90], [180, 0.5, 77], [0, 0, -90])
    assert got == pytest.approx([180, 1, 180], abs=1e-12)


def test_separation_equals_the_reference(rng: np.random.Generator) -> None:
    (a, b), (c, d) = reference.uniform_sky(rng, 300), reference.uniform_sky(rng, 300)
    want = [reference.separation(*row) for row in zip(a, b, c, d, strict=True)]
    assert sphere.separation(a, b, c, d) == pytest.approx(want, abs=1e-12)


def test_nan_stays_nan_and_empty_stays_empty() -> None:
    assert np.isnan(sphere.separation([np.nan], [0.0], [0.0], [0.0])).all()
    assert not sphere.in_cone([np.nan], [0.0], 0.0, 0.0, 5.0).any()
    assert sphere.unit_vectors([], []).shape == (0, 3)


def test_shapes_must_agree() -> None:
    with pytest.raises(ShapeError, match=r"ra1 \(2,\), dec1 \(1,\)"):
        sphere.separation([1, 2], [1], [1, 2], [1, 2])


@pytest.mark.parametrize(
    ("ra", "want"), [(360.0, 0.0), (-1e-20, 0.0), (-0.25, 359.75), (1080.5, 0.5), (0.0, 0.0)]
)
def test_wrap_ra(ra: float, want: float) -> None:
    assert sphere.wrap_ra([ra]).tolist() == [want]


def test_wrap_ra_of_no_number_is_nan() -> None:
    assert np.isnan(sphere.wrap_ra([np.nan, np.inf, -np.inf])).all()


def test_chords_and_angles_are_inverse() -> None:
    for angle in (0.0, 1e-7, 1.0, 90.0, 179.0):
        chord2 = sphere.chord2_of_angle(angle)
        assert float(sphere.angle_of_chord2(chord2)) == pytest.approx(angle, rel=1e-9)


def test_cone_holds_what_is_near(rng: np.random.Generator) -> None:
    ra, dec = reference.cone_positions(rng, 0.1, 89.9, 0.999, 500)
    assert sphere.in_cone(ra, dec, 0.1, 89.9, 1.0).all()
    assert not sphere.in_cone(ra, dec - 2.1, 0.1, 89.9, 1.0).any()


def test_unit_vectors_have_length_one(rng: np.random.Generator) -> None:
    vectors = sphere.unit_vectors(*reference.uniform_sky(rng, 100))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (200.0, 60.0), (10.0, 90.0), (5.0, -89.0)])
def test_polygon_of_many_corners_is_a_circle(
    centre: tuple[float, float], rng: np.random.Generator
) -> None:
    from dvo.projection import tan_deproject

    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    reach = np.degrees(np.tan(np.radians(5.0)))
    rim = tan_deproject(reach * np.cos(turn), reach * np.sin(turn), *centre)
    circle = sphere.SphericalPolygon(np.stack(rim, axis=1))
    ra, dec = reference.cone_positions(rng, *centre, 20.0, 2000)
    far = sphere.separation(ra, dec, *(np.full(2000, c) for c in centre))
    # A side cuts up to 5 deg (1 - cos(pi / 200)) off the circle.
    assert circle.contains(ra[far < 4.999], dec[far < 4.999]).all()
    assert not circle.contains(ra[far > 5], dec[far > 5]).any()
    assert circle.distance(ra, dec) == pytest.approx(np.maximum(far - 5, 0), abs=1e-3)


def test_a_dent_is_outside() -> None:
    dented = sphere.SphericalPolygon([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)])
    assert dented.contains([1, 5, 9, 5], [5, 1, 5, 5]).tolist() == [True, True, True, False]
    assert not dented.contains([185.0], [-1.0]).any()


def test_impossible_polygons_are_refused() -> None:
    for corners in ([(0, 0), (1, 1)], [(0, 0), (1, 91), (2, 2)], [(0, 0), (np.nan, 1), (2, 2)]):
        with pytest.raises(ShapeError):
            sphere.SphericalPolygon(corners)


@pytest.mark.parametrize("radius", [0.0, 1e-9, 1e-4, 1.0, 4.9, 5.1, 60.0])
def test_cone_agrees_with_separations(radius: float, rng: np.random.Generator) -> None:
    """Also where rounding decides: many positions are on the very edge."""
    for centre in [(0.0, 0.0), (359.9999, -69.5), (180.0, 75.5), (1e-9, 30.0), (12.0, -90.0)]:
        near = reference.cone_positions(rng, *centre, radius, 500)
        far = reference.uniform_sky(rng, 500)
        ra = np.concatenate([near[0], far[0], near[0] + 360.0, [centre[0], np.nan, 10.0]])
        dec = np.concatenate([near[1], far[1], near[1], [centre[1], 0.0, np.nan]])
        apart = sphere.separation(np.full(len(ra), centre[0]), np.full(len(ra), centre[1]), ra, dec)
        assert (sphere.in_cone(ra, dec, *centre, radius) == (apart <= radius)).all()
