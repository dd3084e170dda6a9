"""Headers of images, read by astropy: where it puts pixels, and where it finds positions."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.fit import fit_chip, fit_image
from dvo.astrometry.fits_wcs import FORMS, FitsWcs, dvo_cards, fits_wcs
from dvo.astrometry.header import read_solution
from dvo.astrometry.model import AstromModel
from dvo.astrometry.residual_maps import ResidualMaps
from dvo.astrometry.solution import pixel_to_sky
from dvo.errors import AstrometryError
from dvo.sphere import separation
from dvo.tables.fits.header import Header, format_cards
from tests.unit.astrometry.mosaics import NX, NY, camera, exposure


def astropy_wcs(found: FitsWcs) -> WCS:
    """What astropy reads from the cards, through their text."""
    text = "".join(format_cards(found.cards))
    return WCS(fits.Header.fromstring(text))


def on_image(r: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return r.uniform(0.5, NX + 0.5, 2000), r.uniform(0.5, NY + 0.5, 2000)


@pytest.mark.parametrize("form", FORMS)
def test_chips_of_mosaics(form: str, rng: np.random.Generator) -> None:
    model = AstromModel.of(camera(rng))
    x, y = on_image(rng)
    for image in range(15):
        found = fits_wcs(model, image, NX, NY, form=form)
        assert found.form == form.upper()
        assert 2 <= found.order <= 9
        assert found.error_mas < 0.05
        image_of = np.full(len(x), image)
        want = model.to_sky(image_of, x, y)
        wcs = astropy_wcs(found)
        off = separation(*wcs.all_pix2world(x, y, 1), *want) * 3.6e6
        assert off.max() <= found.error_mas * 1.05 + 1e-5
        back = wcs.all_world2pix(*want, 1, tolerance=1e-8)
        assert np.max(np.hypot(back[0] - x, back[1] - y)) < 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_images_straight_to_the_sky_are_exact(
    form: str, order: int, rng: np.random.Generator
) -> None:
    """Their own reference pixel, here off the image, and tangent point stay."""
    plane = exposure(rng, (310.0, -70.0), 1)[0].mosaic
    assert plane is not None
    own = replace(plane, crpix=(-3000.0, 7000.0), pc=(0.8, -0.6, 0.61, 0.79), npolyterms=order)
    found = fits_wcs(AstromModel.of([own]), 0, NX, NY, form=form)
    assert found.form == ("TAN" if order < 2 else form.upper())
    assert found.order == max(order, 1)
    wcs = astropy_wcs(found)
    assert wcs.wcs.crpix.tolist() == [-3000.0, 7000.0]
    assert wcs.wcs.crval.tolist() == [310.0, -70.0]
    x, y = on_image(rng)
    off = separation(*wcs.all_pix2world(x, y, 1), *pixel_to_sky(own, x, y)) * 3.6e6
    assert off.max() < 1e-4


def test_way_back_of_sip(rng: np.random.Generator) -> None:
    """AP and BP, which astropy uses only in sip_foc2pix, are as good as is said."""
    model = AstromModel.of(exposure(rng, (100.0, 40.0), 1))
    found = fits_wcs(model, 0, NX, NY)
    assert found.inverse_error_pix < 1e-3
    x, y = on_image(rng)
    wcs = astropy_wcs(found)
    focal = wcs.sip_pix2foc(np.stack([x, y], axis=1), 1) - wcs.wcs.crpix
    back = wcs.sip.foc2pix(focal + wcs.wcs.crpix, 1)
    assert np.max(np.hypot(back[:, 0] - x, back[:, 1] - y)) < 2 * found.inverse_error_pix + 1e-8


def test_maps_are_written_as_well_as_may_be_or_refused(rng: np.random.Generator) -> None:
    plain = AstromModel.of(exposure(rng, (100.0, 40.0), 1))
    maps = ResidualMaps.of(rng.normal(size=(1, 2, 6, 6)) * 0.05, NX, NY)  # 13 mas
    model = plain.with_maps(maps, [0])
    with pytest.raises(AstrometryError, match=r"off by up to .* mas, more than the limit of 1 mas"):
        fits_wcs(model, 0, NX, NY)
    found = fits_wcs(model, 0, NX, NY, limit_mas=50.0)
    x, y = on_image(rng)
    off = separation(*astropy_wcs(found).all_pix2world(x, y, 1),
                     *model.to_sky(np.zeros(len(x), int), x, y)) * 3.6e6  # fmt: skip
    assert 0.3 * found.error_mas < off.max() < 1.5 * found.error_mas


def test_what_cannot_be_written(rng: np.random.Generator) -> None:
    model = AstromModel.of([None, *exposure(rng, (100.0, 40.0), 1)])
    with pytest.raises(AstrometryError, match="no astrometry"):
        fits_wcs(model, 0, NX, NY)
    with pytest.raises(AstrometryError, match="0 x 5"):
        fits_wcs(model, 1, 0, 5)
    with pytest.raises(AstrometryError, match="give sip or tpv"):
        fits_wcs(model, 1, NX, NY, form="zpn")


@pytest.mark.parametrize("form", FORMS)
def test_our_own_reader_takes_them(form: str, rng: np.random.Generator) -> None:
    own = exposure(rng, (100.0, 40.0), 1)[0]
    found = fits_wcs(AstromModel.of([own]), 0, NX, NY, form=form)
    header = Header("".join(format_cards(found.cards)), "test")
    solution = read_solution(header, nx=NX, ny=NY)
    assert solution is not None
    x, y = on_image(rng)
    want = pixel_to_sky(own, x, y)
    assert np.max(separation(*solution.to_sky(x, y), *want)) * 3.6e6 < found.error_mas + 1e-5
    assert own.mosaic is not None
    chip, error = fit_chip(solution.to_sky, own.mosaic, NX, NY)
    off = separation(*pixel_to_sky(chip, x, y), *want) * 3600.0
    assert off.max() <= error * 1.05 + 1e-8
    # The chip is a cubic in its focal plane, so the fit finds it again.
    assert error * 1000.0 < 0.1
    assert np.max(np.abs(np.subtract(chip.pc, own.pc))) < 1e-6


def test_keywords_of_psastro_come_back(rng: np.random.Generator) -> None:
    for own in exposure(rng, (100.0, 40.0), 6):
        assert own.mosaic is not None
        header = Header("".join(format_cards(dvo_cards(own.mosaic))), "primary")
        plane = read_solution(header, nx=NX, ny=NY)
        assert plane is not None
        header = Header("".join(format_cards(dvo_cards(own))), "chip")
        chip = read_solution(header, nx=NX, ny=NY, mosaic=plane.coords)
        assert chip is not None
        x, y = on_image(rng)
        assert np.array_equal(chip.to_sky(x, y), pixel_to_sky(own, x, y))


def test_a_cubic_about_the_middle(rng: np.random.Generator) -> None:
    own = exposure(rng, (100.0, 40.0), 1)[0]
    coords, error = fit_image(lambda x, y: pixel_to_sky(own, x, y), NX, NY)
    x, y = on_image(rng)
    off = separation(*pixel_to_sky(coords, x, y), *pixel_to_sky(own, x, y)) * 3600.0
    assert off.max() <= error * 1.02
    assert error < 0.02
    assert coords.kind == "TAN"


def test_a_solution_without_positions_is_refused() -> None:
    plane = AstromCoords("RA---DIS", (0.0, 0.0), cdelt=(1e-4, 1e-4))

    def nowhere(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(x), np.nan), y

    with pytest.raises(AstrometryError, match="no position"):
        fit_image(nowhere, 10, 10)
    with pytest.raises(AstrometryError, match="no position on the focal plane"):
        fit_chip(lambda x, y: (x * 0 + 180.0, y * 0), plane, 10, 10)
