"""Places of objects in the public tables: names, frames and trixels."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from dvo.psps.places import decimal_names, htm_ids, sexagesimal_names, sky_frames
from dvo.sphere import unit_vectors

RA = st.floats(0, 360, exclude_max=True)
DEC = st.floats(-90, 90)

# Made by lsst.sphgeom 30.2026.4000, an independent implementation, at depth 20.
TRIXELS = [
    (0.392785, 45.286136, 16836277578733),
    (56.75, 24.12, 17405200125632),
    (210.8022, 54.3489, 14664341161049),
    (318.5338, -22.8603, 13034509001283),
    (123.4, -67.8, 10438066484592),
    (266.4168, -29.0078, 11710804350269),
]


def trixel_by_hand(direction, depth):
    """Szalay et al. (2007), as it is told there: which of four children holds a direction."""
    corners = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], float)
    roots = [(1, 5, 2), (2, 5, 3), (3, 5, 4), (4, 5, 1), (1, 0, 4), (4, 0, 3), (3, 0, 2), (2, 0, 1)]

    def depth_inside(triangle):
        """How far inside of its worst side a direction is."""
        a, b, c = triangle
        return min(np.dot(np.cross(p, q), direction) for p, q in ((a, b), (b, c), (c, a)))

    children = [(8 + k, tuple(corners[list(root)])) for k, root in enumerate(roots)]
    number, triangle = max(children, key=lambda child: depth_inside(child[1]))
    for _ in range(depth):
        a, b, c = triangle
        middles = [(b + c), (a + c), (a + b)]
        u, v, w = (m / np.linalg.norm(m) for m in middles)
        children = [(a, w, v), (b, u, w), (c, v, u), (u, v, w)]
        child = max(range(4), key=lambda k: depth_inside(children[k]))
        number, triangle = 4 * number + child, children[child]
    return number


@given(st.lists(st.tuples(RA, DEC), min_size=1, max_size=5), st.integers(0, 20))
def test_trixels_hold_their_directions(places, depth):
    ra, dec = np.array(places).T
    directions = unit_vectors(ra, dec)
    for direction, found in zip(directions, htm_ids(directions, depth), strict=True):
        by_hand = trixel_by_hand(direction, depth)
        assert found == by_hand or _is_on_edge(direction, depth)


def _is_on_edge(direction, depth):
    """Whether a nudge of 1e-12 changes the trixel."""
    rng = np.random.default_rng(1)
    found = {trixel_by_hand(direction + rng.normal(0, 1e-12, 3), depth) for _ in range(12)}
    return len(found) > 1


def test_trixels_of_another_program():
    for ra, dec, trixel in TRIXELS:
        assert htm_ids(unit_vectors([ra], [dec])).tolist() == [trixel]


def test_no_direction_no_trixel():
    assert htm_ids(np.array([[np.nan, 0, 1]])).tolist() == [-1]


def test_frames_are_those_of_astropy(rng):
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    found, sky = sky_frames(ra, dec), SkyCoord(ra, dec, unit="deg")
    ecliptic, galactic = sky.barycentricmeanecliptic, sky.galactic
    np.testing.assert_allclose(found.directions, sky.cartesian.xyz.value.T, atol=1e-14)
    np.testing.assert_allclose(found.ecliptic, (ecliptic.lon.deg, ecliptic.lat.deg), atol=1e-9)
    np.testing.assert_allclose(found.galactic, (galactic.l.deg, galactic.b.deg), atol=1e-9)
    assert np.isnan(sky_frames(np.array([np.nan]), np.array([0.0])).galactic).all()


@pytest.mark.parametrize(
    ("ra", "dec", "decimal", "sexagesimal"),
    [
        (83.822083, -5.391111, "PSO J083.8220-05.3911", "PSO J053517.29-052327.9"),
        (359.99999999, 89.99999, "PSO J359.9999+89.9999", "PSO J235959.99+895959.9"),
        (0.0, 0.0, "PSO J000.0000+00.0000", "PSO J000000.00+000000.0"),
        (180.0, -0.00001, "PSO J180.0000-00.0000", "PSO J120000.00-000000.0"),
        (15.0, -90.0, "PSO J015.0000-90.0000", "PSO J010000.00-900000.0"),
    ],
)
def test_names_are_cut_off_not_rounded(ra, dec, decimal, sexagesimal):
    assert decimal_names(np.array([ra]), np.array([dec])).tolist() == [decimal.encode()]
    assert sexagesimal_names(np.array([ra]), np.array([dec])).tolist() == [sexagesimal.encode()]


@given(RA, DEC)
def test_names_lie_where_the_object_is(ra, dec):
    (name,) = decimal_names(np.array([ra]), np.array([dec])).tolist()
    said_ra, said_dec = float(name[5:13]), float(name[13:])
    assert 0 <= ra - said_ra < 1.0001e-4 or abs(ra - said_ra) < 2e-9
    assert 0 <= abs(dec) - abs(said_dec) < 1.0001e-4 or abs(abs(dec) - abs(said_dec)) < 2e-9
    (name,) = sexagesimal_names(np.array([ra]), np.array([dec])).tolist()
    hours = int(name[5:7]) + int(name[7:9]) / 60 + float(name[9:14]) / 3600
    assert abs(15 * hours - ra) < 15 * 0.0101 / 3600


def test_no_place_no_name():
    nowhere = np.array([np.nan])
    assert decimal_names(nowhere, np.array([1.0])).tolist() == [b""]
    assert sexagesimal_names(np.array([1.0]), nowhere).tolist() == [b""]
