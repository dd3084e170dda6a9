"""Stacks and warps: the choice of the best, and mean fluxes, against the rules read one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.partition.check import check
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store, create_store
from dvo.tables.flags import ImageFlag, MeasureFlag, PhotFlag, SecFiltFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from dvo.tables.secfilt import SECFILT
from tests.synth import add_images, make_image, make_stars, photcodes

_ZERO = 24.0
CODES = {"chip": "SYNTH.g.C00", "stack": "SYNTH.g.SkyChip", "warp": "SYNTH.g.ForcedWarp"}


def skycell_image(rng, stars, k, kind):
    """An exposure in counts a second with all kinds of quality; some warps are negative."""
    image = make_image(rng, stars, k, seen=0.8)
    found = image.detections
    n = len(found)
    mag = found.columns["mag"].astype(np.float64)
    flux = 10 ** (-0.4 * (mag - 25.0))
    error = 0.05 * flux + 0.2
    if kind == "warp":
        flux[rng.random(n) < 0.1] *= -0.3
        flux[rng.random(n) < 0.1] *= 3.0
    columns = {**found.columns, "flux_psf": flux, "flux_psf_err": error,
               "flux_kron": 1.1 * flux, "flux_kron_err": error,
               "psf_qf": np.full(n, 0.99), "psf_qf_perfect": rng.choice([0.5, 0.9, 0.97, 0.99], n),
               "phot_flags": np.where(rng.random(n) < 0.3, int(PhotFlag.EXTERNAL), 0)}  # fmt: skip
    columns = {name: v.astype({"det_id": np.uint32, "phot_flags": np.uint32}.get(name, np.float32))
               for name, v in columns.items()}  # fmt: skip
    return replace(image, meta=replace(image.meta, photcode=CODES[kind]),
                   detections=replace(found, columns=columns))  # fmt: skip


@pytest.fixture
def catdir(tmp_path, rng):
    """Two neighbouring skycells with two stacks and some warps each, and chips over both."""
    path = tmp_path / "sky"
    codes = photcodes()
    for kind in ("stack", "warp"):
        codes = codes.add(CODES[kind], PhotClass.DEP, filter_name="g", zero_point=_ZERO)
    create_store(path, level=4, photcodes=codes)
    stars = make_stars(rng, 60)
    left, right = (replace(stars, ra=stars.ra[s], dec=stars.dec[s], mag=stars.mag[s])
                   for s in (slice(0, 40), slice(20, 60)))  # fmt: skip
    images = [make_image(rng, stars, k) for k in range(4)]
    k = 4
    for side in (left, right):
        for kind in ("stack", "stack", "warp", "warp", "warp", "warp", "warp"):
            images.append(skycell_image(rng, side, k, kind))
            k += 1
    with Store(path, writable=True) as store:
        add_images(store, images)
        relphot(store, RelphotOptions(("g",)))
    return path


def rows(catdir):
    """All SecFilt rows of g, each with its measures in the order of their times, and images."""
    with Store(catdir) as store:
        view = store.view()
        images = view.read(IMAGE, ALL_SKY)
        for region in view.regions():
            measure, secfilt = view.read(MEASURE, region), view.read(SECFILT, region)
            names = np.array([view.photcodes.get_code(int(c)).name for c in measure["photcode"]])
            for i in range(len(secfilt) // 2):
                own = np.flatnonzero(measure["ave_ref"] == i)
                own = own[np.argsort(measure["time"][own], kind="stable")]
                yield secfilt.take(slice(2 * i, 2 * i + 1)), measure.take(own), names[own], images


def jansky(measure, name, offset):
    """Flux at the zero point of the image: nominal at airmass 1.1 without a slope."""
    unit = 10 ** (-0.4 * (_ZERO - np.nan_to_num(measure[offset]) - 8.9))
    return measure[name] * unit, measure[f"{name}_err"] * unit


def skycells(images, code):
    """Centres of the two skycells: of the first two stacks, and of the others."""
    ra, dec = (images[n][images["photcode"] == code] for n in ("ra_center", "dec_center"))
    return [(ra[:2].mean(), dec[:2].mean()), (ra[2:].mean(), dec[2:].mean())]


def nearest(centres, ra, dec):
    cos = np.cos(np.radians(dec))
    return int(np.argmin([np.hypot((x - ra) * cos, y - dec) for x, y in centres]))


def cell_of(images, image_id, centres):
    row = int(image_id) - 1
    return nearest(centres, images["ra_center"][row], images["dec_center"][row])


def test_the_best_and_the_primary_stack_are_those_of_the_rules(catdir):
    seen = set()
    for sec, measure, names, images in rows(catdir):
        stacks = np.flatnonzero(names == CODES["stack"])
        assert sec["nstack"][0] == len(stacks) or not len(stacks)
        if not len(stacks):
            continue
        flux, error = jansky(measure, "flux_psf", "m_cal")
        centres = skycells(images, measure["photcode"][stacks[0]])
        keys = []
        for i in stacks:
            primary = cell_of(images, measure["image_id"][i], centres) == nearest(
                centres, measure["ra"][i], measure["dec"][i])  # fmt: skip
            good = measure["psf_qf_perfect"][i] > 0.95
            level = {(1, 1): 4, (0, 1): 3, (1, 0): 2, (0, 0): 1}[primary, good]
            keys.append((level, flux[i] / error[i] if good else measure["psf_qf_perfect"][i]))
            is_flagged = measure["db_flags"][i] & np.uint32(MeasureFlag.STACK_PRIMARY) != 0
            assert is_flagged == primary
        best = stacks[max(range(len(stacks)), key=lambda j: (keys[j], -j))]
        assert sec["stack_best_off"][0] == best
        assert sec["flux_psf_stk"][0] == pytest.approx(flux[best], rel=1e-5)
        assert sec["flux_psf_stk_err"][0] == pytest.approx(error[best], rel=1e-5)
        assert sec["mag_psf_stk"][0] == pytest.approx(8.9 - 2.5 * np.log10(flux[best]), abs=1e-5)
        kron, _ = jansky(measure, "flux_kron", "mcal_aper")
        assert sec["flux_kron_stk"][0] == pytest.approx(kron[best], rel=1e-5)
        levels = np.array([level for level, _ in keys])
        is_primary = np.isin(levels, [2, 4])
        expected = {
            SecFiltFlag.HAS_PS1_STACK: True,
            SecFiltFlag.STACK_PRIMARY: levels[list(stacks).index(best)] in (2, 4),
            SecFiltFlag.STACK_PRIMARY_MULTIPLE: is_primary.sum() > 1,
            SecFiltFlag.STACK_BESTDET: measure["phot_flags"][best] == 0,
        }
        for flag, is_so in expected.items():
            assert bool(sec["flags"][0] & np.uint32(flag)) == bool(is_so), flag
        primary = sec["stack_primary_off"][0]
        assert (primary >= 0) == is_primary.any()
        if primary >= 0:
            assert primary in stacks[is_primary]
            assert bool(sec["flags"][0] & np.uint32(SecFiltFlag.STACK_PRIMDET)) == (
                measure["phot_flags"][primary] == 0)  # fmt: skip
        detected = measure["phot_flags"][stacks] == 0
        assert sec["nstack_det"][0] == detected.sum()
        seen |= set(levels.tolist())
    assert seen == {1, 2, 3, 4}


def test_warps_of_the_skycell_of_the_best_stack_are_averaged(catdir):
    n_negative = 0
    for sec, measure, names, images in rows(catdir):
        warps = np.flatnonzero(names == CODES["warp"])
        if not len(warps):
            assert np.isnan(sec["flux_psf_wrp"][0])
            continue
        assert sec["nwarp"][0] == len(warps)
        good = measure["psf_qf_perfect"][warps] > 0.85
        assert sec["nwarp_good"][0] == good.sum()
        if (names == CODES["stack"]).any():
            best = sec["stack_best_off"][0]
            centres = skycells(images, measure["photcode"][best])
            cell = np.array([cell_of(images, i, centres) for i in measure["image_id"]])
            warps = warps[cell[warps] == cell[best]]
        if not len(warps):
            assert sec["nused_wrp"][0] == 0
            continue
        flux, error = jansky(measure.take(warps), "flux_psf", "m_cal")
        error = np.hypot(error, flux * 0.001 * np.log(10) / 2.5)
        rank = np.where(measure["psf_qf_perfect"][warps] < 0.85, 3, 0)
        some = rank == rank.min()
        mean, used = robust(flux[some], error[some])
        assert sec["flux_psf_wrp"][0] == pytest.approx(mean, rel=1e-4, abs=1e-12)
        assert sec["nused_wrp"][0] == used.sum()
        flags = measure["db_flags"][warps[some]] & np.uint32(MeasureFlag.WARP_USED) != 0
        np.testing.assert_array_equal(flags, used)
        assert np.isnan(sec["mag_psf_wrp"][0]) == (mean <= 0)
        n_negative += mean <= 0
    assert n_negative


def robust(flux, error):
    """Mean by Cauchy weights, and which are not masked."""
    mean = np.sum(flux / error**2) / np.sum(error**-2.0)
    for _ in range(10):
        share = 1 / (1 + ((flux - mean) / error / 2.385) ** 2)
        mean = np.sum(share * flux / error**2) / np.sum(share / error**2)
    share = 1 / (1 + ((flux - mean) / error / 2.385) ** 2)
    return mean, share >= 0.3 * np.median(share)


def test_skycells_have_no_part_in_the_solve_and_the_database_is_sound(catdir):
    with Store(catdir) as store:
        images = store.view().read(IMAGE, ALL_SKY)
    is_chip = images["photcode"] == images["photcode"][0]
    solved = images["flags"] & np.uint32(ImageFlag.IMAGE_PHOTCAL) != 0
    np.testing.assert_array_equal(solved, is_chip)
    assert check(catdir, deep=True).faults == []
