"""The true sky: motions against astropy, stars against what was asked for."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_body_barycentric
from astropy.time import Time

from dvo.errors import SchemaError
from dvo.sphere import separation
from ipp_pipeline.sim.camera import get_camera
from ipp_pipeline.sim.plan import SurveyPlan, make_schedule
from ipp_pipeline.sim.sky import EPOCH_MJD, make_stars, positions_at, true_mags
from ipp_pipeline.sim.sphere_offset import offset_positions

SMALL = get_camera("small")


@pytest.mark.parametrize("centre", [(10.0, 20.0), (0.0, 89.5), (0.01, -30.0)])
def test_stars_fill_the_field(centre: tuple[float, float], rng: np.random.Generator) -> None:
    plan = SurveyPlan(centre_ra=centre[0], centre_dec=centre[1], density_per_deg2=300)
    stars = make_stars(plan, SMALL, rng)
    radius = SMALL.field_radius_deg + plan.dither_radius_deg + 0.05
    far = separation(stars.ra, stars.dec, *(np.full(len(stars), c) for c in centre))
    assert far.max() < radius + 1e-9
    assert len(stars) == pytest.approx(300 * np.pi * radius**2, rel=0.1)
    # Half of them lie within 0.707 of the radius, if they are spread evenly.
    assert (far < radius * np.sqrt(0.5)).mean() == pytest.approx(0.5, abs=0.05)
    assert np.isfinite(stars.mags).all()


def test_no_synthetic_star_is_near_a_brighter_one(rng: np.random.Generator) -> None:
    plan = SurveyPlan(density_per_deg2=3000, min_separation_arcsec=20.0)
    stars = make_stars(plan, SMALL, rng)
    order = np.argsort(stars.dec)
    ra, dec = stars.ra[order], stars.dec[order]
    for step in range(1, 40):
        near = separation(ra[step:], dec[step:], ra[:-step], dec[:-step]) * 3600
        assert near.min() > 20.0 * 0.999


def test_real_stars_come_first_and_stay(rng: np.random.Generator) -> None:
    names = ("source_id", "ra", "dec", "g_mag", "bp_mag", "rp_mag")
    values = ([7, 8, 9], [56.7, 56.8, 200.0], [24.1, 24.2, 0.0], [8, 9, 9], [8.4, 9.2, 9], [7] * 3)
    gaia = {name: np.array(v) for name, v in zip(names, values, strict=True)}
    stars = make_stars(SurveyPlan(density_per_deg2=50), SMALL, rng, gaia)
    assert stars.source_id[:3].tolist() == [7, 8, 0]
    assert stars.ra[:2].tolist() == [56.7, 56.8]
    del gaia["g_mag"]
    with pytest.raises(SchemaError, match="g_mag"):
        make_stars(SurveyPlan(), SMALL, rng, gaia)


@pytest.mark.parametrize("dec", [24.0, 89.0, -60.0])
def test_motion_and_parallax_equal_astropy(dec: float, rng: np.random.Generator) -> None:
    plan = SurveyPlan(centre_ra=0.5, centre_dec=dec, density_per_deg2=30)
    stars = make_stars(plan, SMALL, rng)
    rows = np.arange(len(stars))
    for mjd in (EPOCH_MJD + 100.0, EPOCH_MJD + 700.0):
        ra, dec_now = positions_at(stars, rows, mjd)
        still = SkyCoord(
            stars.ra * u.deg,
            stars.dec * u.deg,
            pm_ra_cosdec=stars.pm_ra_mas_yr * u.mas / u.yr,
            pm_dec=stars.pm_dec_mas_yr * u.mas / u.yr,
            distance=1000 / stars.parallax_mas * u.pc,
            obstime=Time(EPOCH_MJD, format="mjd", scale="tcb"),
        )
        moved = still.apply_space_motion(new_obstime=Time(mjd, format="mjd", scale="tcb"))
        earth = get_body_barycentric("earth", Time(mjd, format="mjd", scale="tdb"))
        seen = SkyCoord(moved.cartesian.without_differentials() - earth)
        off = separation(ra, dec_now, seen.ra.deg, seen.dec.deg) * 3.6e6
        # The Sun itself is 0.01 au from the barycentre.
        assert (off < 0.05 + 0.015 * stars.parallax_mas).all()


def test_variables_swing_and_others_do_not(rng: np.random.Generator) -> None:
    stars = make_stars(SurveyPlan(density_per_deg2=300, variable_fraction=0.3), SMALL, rng)
    rows = np.arange(len(stars))
    times = EPOCH_MJD + rng.uniform(0, 300, 100)
    mags = np.array([true_mags(stars, rows, 0, t) for t in times])
    is_constant = stars.amplitude == 0
    assert 0.2 < (~is_constant).mean() < 0.4
    assert (np.ptp(mags[:, is_constant], axis=0) == 0).all()
    swing = np.ptp(mags[:, ~is_constant], axis=0) / stars.amplitude[~is_constant]
    assert swing.max() <= 2.0
    assert np.median(swing) > 1.9


@pytest.mark.parametrize("dec", [-90.0, -70.0, 0.0, 24.0, 90.0])
def test_schedule_keeps_the_field_up(dec: float, rng: np.random.Generator) -> None:
    plan = SurveyPlan(centre_dec=dec, n_exposures=45, exposures_per_night=10)
    schedule = make_schedule(plan, SMALL, rng)
    assert (np.diff(schedule.mjd) > 0).all()
    assert schedule.night_mjd.size == 5
    # A night begins in its day, and is not cut by the end of it.
    for night, day in enumerate(schedule.night_mjd):
        own = schedule.mjd[schedule.night == night]
        assert np.floor(own.min()) in (day, day + 1)
        assert np.ptp(own) < 1 / 3
    assert 1.0 <= schedule.airmass.min() <= schedule.airmass.max() < 2.3
    far = separation(
        schedule.ra, schedule.dec, np.full(45, plan.centre_ra), np.full(45, plan.centre_dec)
    )
    assert far.max() <= plan.dither_radius_deg + 1e-9
    assert (schedule.cloud[schedule.is_photometric[schedule.night]] == 0).all()


def test_offsets_have_their_distance(rng: np.random.Generator) -> None:
    turn, far = rng.uniform(0, 360, 100), rng.uniform(0, 3, 100)
    for centre in ((0.0, 90.0), (359.9, 10.0), (5.0, -89.9)):
        ra, dec = offset_positions(*centre, turn, far)
        got = separation(ra, dec, *(np.full(100, c) for c in centre))
        assert got == pytest.approx(far, abs=1e-10)
