"""Pixels to sky: chips of mosaics, plain solutions against astropy, and the way back."""

from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.header import read_solution
from dvo.astrometry.solution import pixel_to_sky, scale_matrix, sky_to_pixel
from dvo.errors import BadCatalogError
from dvo.tables.fits.header import Header, format_cards

MOSAIC = AstromCoords(
    "RA---DIS",
    (150.0, 2.0),
    cdelt=(-7.2e-5, 7.2e-5),
    npolyterms=3,
    polyterms=(0, 1e-5, 0, 2e-6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1e-6),
)
CHIP = AstromCoords(
    "RA---WRP",
    (5000.0, -2500.0),
    crpix=(500.0, 500.0),
    pc=(0.9999, 1e-2, -1e-2, 0.9999),
    npolyterms=2,
    polyterms=(1e-7, 0, 0, 9, 9, 9, 9, 0, -2e-7, 0, 9, 9, 9, 9),
    mosaic=MOSAIC,
)


def header(**cards: Any) -> Header:
    pairs = {key.replace("__", "-"): value for key, value in cards.items()}
    return Header("".join(format_cards(pairs)), "test.fits, HDU 1")


def separation_arcsec(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> Any:
    a1, d1, a2, d2 = (np.radians(v) for v in (ra1, dec1, ra2, dec2))
    h = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a2 - a1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(h))) * 3600


def test_chip_by_hand() -> None:
    # The terms written out, for one pixel.
    x, y = 900.0 - 500.0, 100.0 - 500.0
    fx = 5000 + 0.9999 * x + 1e-2 * y + 1e-7 * x * x
    fy = -2500 - 1e-2 * x + 0.9999 * y - 2e-7 * x * y
    u, v = fx * -7.2e-5, fy * 7.2e-5
    xi = u + 1e-5 * u * v + 2e-6 * u**3
    eta = v + 1e-6 * v**3
    plane = WCS(naxis=2)
    plane.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    plane.wcs.crval = [150.0, 2.0]
    want = plane.all_pix2world(xi, eta, 1)
    got = pixel_to_sky(CHIP, np.array([900.0]), np.array([100.0]))
    assert separation_arcsec(got[0], got[1], *want)[0] < 1e-6


@pytest.mark.parametrize("crval", [(150.0, 2.0), (0.001, -30.0), (40.0, 89.99), (10.0, -90.0)])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_there_and_back(crval: tuple[float, float], order: int) -> None:
    mosaic = AstromCoords(
        "RA---DIS", crval, cdelt=MOSAIC.cdelt, npolyterms=order, polyterms=MOSAIC.polyterms
    )
    terms = CHIP.polyterms if order < 3 else (*CHIP.polyterms[:3], *[1e-11] * 4) * 2
    chip = AstromCoords(
        "RA---WRP",
        CHIP.crval,
        CHIP.crpix,
        pc=CHIP.pc,
        npolyterms=order,
        polyterms=terms,
        mosaic=mosaic,
    )
    r = np.random.default_rng(1)
    x, y = r.uniform(0, 5000, (2, 500))
    ra, dec = pixel_to_sky(chip, x, y)
    assert np.all((ra >= 0) & (ra < 360))
    back = sky_to_pixel(chip, ra, dec)
    assert np.max(np.abs(back[0] - x)) < 1e-6
    assert np.max(np.abs(back[1] - y)) < 1e-6


def test_the_other_side_of_the_sky_has_no_pixel() -> None:
    x, y = sky_to_pixel(CHIP, np.array([330.0, 150.1]), np.array([-2.0, 2.0]))
    assert np.isnan(x[0])
    assert np.isnan(y[0])
    assert np.isfinite(x[1])


def test_empty_arrays() -> None:
    nothing = np.empty(0)
    assert pixel_to_sky(CHIP, nothing, nothing)[0].shape == (0,)
    assert sky_to_pixel(CHIP, nothing, nothing)[0].shape == (0,)


PLAIN: dict[str, Any] = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 351.2,
    "CRVAL2": 0.5,
    "CRPIX1": 1000.5,
    "CRPIX2": 900.0,
}
MATRICES: list[dict[str, Any]] = [
    {"CD1_1": -7e-5, "CD1_2": 1e-6, "CD2_1": 1.5e-6, "CD2_2": 7.1e-5},
    {"CDELT1": -7e-5, "CDELT2": 7e-5},
    {"CDELT1": -7e-5, "CDELT2": 7e-5, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    {"CDELT1": -7e-5, "CDELT2": 7.1e-5, "CROTA2": 33.0},
]
SIP = {
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": 2e-7,
    "B_0_2": -1e-7,
    "A_1_1": 1e-7,
}
TPV = {
    "CTYPE1": "RA---TPV",
    "CTYPE2": "DEC--TPV",
    "PV1_0": 1e-4,
    "PV1_1": 1.001,
    "PV1_4": 1e-3,
    "PV2_0": 2e-4,
    "PV2_1": 0.999,
    "PV2_6": 2e-3,
    "PV1_7": 0.01,
}
OTHER = {"CTYPE1": "RA---ZEA", "CTYPE2": "DEC--ZEA"}


def against_astropy(cards: dict[str, Any], *, tolerance_arcsec: float) -> None:
    solution = read_solution(header(**cards), nx=2000, ny=1800)
    assert solution is not None
    r = np.random.default_rng(2)
    x, y = r.uniform(0, 2000, 300), r.uniform(0, 1800, 300)
    plain = fits.Header(cards)
    want = WCS(plain).all_pix2world(x, y, 1)
    assert np.max(separation_arcsec(*solution.to_sky(x, y), *want)) < 1e-6
    kept = separation_arcsec(*pixel_to_sky(solution.coords, x, y), *want)
    assert np.max(kept) < tolerance_arcsec
    back = sky_to_pixel(solution.coords, *pixel_to_sky(solution.coords, x, y))
    assert np.max(np.abs(back[0] - x)) < 1e-6


@pytest.mark.parametrize("matrix", MATRICES)
def test_tan_is_exact(matrix: dict[str, Any]) -> None:
    against_astropy(PLAIN | matrix, tolerance_arcsec=1e-6)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("special", [SIP, TPV, OTHER])
def test_other_projections_are_exact_and_kept_as_a_cubic(special: dict[str, Any]) -> None:
    against_astropy(PLAIN | MATRICES[0] | special, tolerance_arcsec=1e-3)


def test_swapped_axes() -> None:
    cards = PLAIN | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 0.5, "CRVAL2": 351.2}
    solution = read_solution(header(**cards, CDELT1=7e-5, CDELT2=-7e-5), nx=2000, ny=1800)
    assert solution is not None
    ra, dec = solution.to_sky(np.array([1000.5]), np.array([900.0]))
    assert (ra[0], dec[0]) == pytest.approx((351.2, 0.5))


def test_scale_matrix() -> None:
    solution = read_solution(header(**PLAIN, **MATRICES[0]), nx=2000, ny=1800)
    assert solution is not None
    want = [v * 3600 for v in MATRICES[0].values()]
    assert scale_matrix(solution, 1000.5, 900.0) == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_no_astrometry_at_all() -> None:
    assert read_solution(header(NAXIS=0), nx=1, ny=1) is None
    assert read_solution(header(CTYPE1="LINEAR"), nx=1, ny=1) is None


@pytest.mark.parametrize(
    ("cards", "what"),
    [
        (PLAIN | {"CD1_1": 0.0, "CD2_2": 0.0}, "singular"),
        (PLAIN | {"CRVAL1": "north"}, "CRVAL1"),
        (PLAIN | {"CRVAL2": 95.0}, "CRVAL2"),
        (PLAIN | {"RADESYS": "FK4"}, "ICRS"),
        (PLAIN | {"EQUINOX": 1950.0}, "ICRS"),
        ({"CTYPE1": "RA---WRP", "CRVAL1": 0.0, "CRVAL2": 0.0}, "focal plane"),
        ({"CTYPE1": "RA---DIS", "CRVAL1": 0.0, "CRVAL2": 0.0, "NPLYTERM": 9}, "NPLYTERM"),
        ({"CTYPE1": "RA---DIS", "CRVAL1": 0.0}, "CRVAL2"),
        ({"CTYPE1": "FREQ", "CTYPE2": "STOKES", "CRVAL1": 1.0}, "astrometry"),
        ({"CTYPE1": "RA---XYZ", "CTYPE2": "DEC--XYZ", "CRVAL1": 1.0}, "astrometry"),
    ],
)
def test_astrometry_that_cannot_be_used(cards: dict[str, Any], what: str) -> None:
    with pytest.raises(BadCatalogError) as caught:
        read_solution(header(**cards), nx=100, ny=100)
    assert what in str(caught.value)
    assert "test.fits, HDU 1" in str(caught.value)
