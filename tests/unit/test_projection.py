"""Projections against astropy's, and back."""

import numpy as np
import pytest
from astropy.wcs import WCS

from dvo import projection
from dvo.errors import ShapeError
from dvo.sphere import separation
from tests import reference

CENTRES = [(31.0, 46.7), (0.0, 0.0), (359.9, -89.5), (120.0, 90.0), (10.0, -90.0)]


def of_astropy(kind: str, ra: np.ndarray, dec: np.ndarray, centre: tuple[float, float]):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    wcs.wcs.crval = centre
    wcs.wcs.lonpole = 180.0  # the default differs for a tangent point on the pole
    return wcs.wcs_world2pix(ra, dec, 0)


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("kind", ["TAN", "SIN"])
def test_equals_astropy(kind: str, centre: tuple[float, float], rng: np.random.Generator) -> None:
    ra, dec = reference.cone_positions(rng, *centre, 20.0, 200)
    project = projection.tan_project if kind == "TAN" else projection.sin_project
    xi, eta = project(ra, dec, *centre)
    x, y = of_astropy(kind, ra, dec, centre)
    # astropy counts pixels of 1 deg from CRPIX 0, the first pixel being 0.
    assert xi == pytest.approx(x + 1, abs=1e-9)
    assert eta == pytest.approx(y + 1, abs=1e-9)


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("kind", ["tan", "sin"])
def test_round_trip(kind: str, centre: tuple[float, float], rng: np.random.Generator) -> None:
    ra, dec = reference.cone_positions(rng, *centre, 5.0, 500)
    xi, eta = getattr(projection, f"{kind}_project")(ra, dec, *centre)
    ra2, dec2 = getattr(projection, f"{kind}_deproject")(xi, eta, *centre)
    assert separation(ra, dec, ra2, dec2).max() < 1e-11
    assert ((ra2 >= 0) & (ra2 < 360)).all()


def test_the_far_side_has_no_plane_coordinates() -> None:
    for project in (projection.tan_project, projection.sin_project):
        xi, eta = project([180.0, np.nan], [0.0, 0.0], 0.0, 0.0)
        assert np.isnan(xi).all()
        assert np.isnan(eta).all()
    ra, _ = projection.sin_deproject([60.0], [60.0], 0.0, 0.0)
    assert np.isnan(ra).all()


def test_tangent_point_must_be_a_position() -> None:
    with pytest.raises(ShapeError, match="tangent point"):
        projection.tan_project([1.0], [1.0], 0.0, 91.0)
