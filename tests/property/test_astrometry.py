"""Chips of any distortion that a camera has can be inverted, anywhere on the sky."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.solution import pixel_to_sky, sky_to_pixel

SMALL = st.floats(-1, 1)


@st.composite
def chips(draw: st.DrawFn) -> AstromCoords:
    angle = draw(st.floats(0, 2 * np.pi))
    flip = draw(st.sampled_from([-1.0, 1.0]))
    c, s = float(np.cos(angle)), float(np.sin(angle))
    # Up to a few tens of pixels over a field of 40,000, and a few pixels over a chip of 5000.
    field = tuple(draw(SMALL) * (2e-5 if i % 7 < 3 else 1e-5) for i in range(14))
    chip = tuple(draw(SMALL) * (1e-7 if i % 7 < 3 else 1e-11) for i in range(14))
    mosaic = AstromCoords(
        "RA---DIS",
        (draw(st.floats(0, 360)), draw(st.floats(-90, 90))),
        cdelt=(-7.2e-5, 7.2e-5),
        npolyterms=draw(st.integers(0, 3)),
        polyterms=field,
    )
    return AstromCoords(
        "RA---WRP",
        (draw(SMALL) * 20_000, draw(SMALL) * 20_000),
        crpix=(2400.0, 2400.0),
        pc=(flip * c, -s, flip * s, c),
        npolyterms=draw(st.integers(0, 3)),
        polyterms=chip,
        mosaic=mosaic,
    )


@given(chips(), st.integers(0, 2**32 - 1))
def test_there_and_back(chip: AstromCoords, seed: int) -> None:
    r = np.random.default_rng(seed)
    x, y = r.uniform(0, 4800, (2, 50))
    ra, dec = pixel_to_sky(chip, x, y)
    assert np.all((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90))
    back_x, back_y = sky_to_pixel(chip, ra, dec)
    assert np.max(np.abs(back_x - x)) < 1e-5
    assert np.max(np.abs(back_y - y)) < 1e-5
