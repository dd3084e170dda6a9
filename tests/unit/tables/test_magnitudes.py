"""Zero points, extinction and offsets: the signs, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dvo.tables.magnitudes import calibrated, image_offset, instrumental, nominal_zero_point
from dvo.tables.photcode import PhotClass, Photcode

CODE = Photcode(7, "CAM.g.C0", PhotClass.DEP, zero_point=24.5, airmass_slope=0.15)
STAR, EXPTIME = 18.0, 30.0


def stored(counts_per_s: float) -> float:
    """The stored magnitude of a star: instrumental + 2.5 log t + 25."""
    m_inst = -2.5 * math.log10(counts_per_s * EXPTIME)
    return m_inst + 2.5 * math.log10(EXPTIME) + 25.0


def counts(airmass: float, clouds: float) -> float:
    """Counts a second of the star through so much air and cloud."""
    return 10 ** (-0.4 * (STAR - (24.5 - 0.15 * (airmass - 1) - clouds)))


@pytest.mark.parametrize("airmass", [1.0, 1.3, 2.0])
@pytest.mark.parametrize("clouds", [0.0, 0.4])
def test_calibration_gives_the_star_back(airmass: float, clouds: float) -> None:
    mag = np.array([stored(counts(airmass, clouds))])
    # psphot reduces the zero point it finds to airmass 1 by the nominal slope.
    offset = image_offset(CODE, 24.5 - clouds)
    assert offset == pytest.approx(clouds)
    zero = np.array([nominal_zero_point(CODE, airmass)])
    out = calibrated(mag, zero, np.array([offset]), np.array([np.nan]))
    assert out[0] == pytest.approx(STAR)


def test_a_zero_point_as_the_image_shows_it() -> None:
    shown = 24.5 - 0.15 * 0.7 - 0.2
    assert image_offset(CODE, shown, 1.7) == pytest.approx(0.2)


def test_unknown_airmass_counts_as_one() -> None:
    assert nominal_zero_point(CODE, math.nan) == 24.5


def test_reference_magnitudes_stay_as_they_are() -> None:
    ref = Photcode(9, "CAT.V", PhotClass.REF)
    zero = np.array([nominal_zero_point(ref, 1.5)])
    nothing = np.array([np.nan])
    assert calibrated(np.array([7.0]), zero, nothing, nothing)[0] == 7.0


def test_instrumental_magnitudes() -> None:
    m_time = np.array([2.5 * math.log10(EXPTIME)])
    assert instrumental(np.array([stored(100.0)]), m_time)[0] == pytest.approx(
        -2.5 * math.log10(100.0 * EXPTIME)
    )
