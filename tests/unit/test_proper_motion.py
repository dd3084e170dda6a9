"""Proper motion against astropy, everywhere on the sphere."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time

from dvo.errors import ShapeError
from dvo.proper_motion import epoch_to_mjd, mjd_to_epoch, move_to_epoch


def separation_mas(ra1, dec1, ra2, dec2):
    a1, d1, a2, d2 = (np.radians(np.asarray(v)) for v in (ra1, dec1, ra2, dec2))
    h = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a2 - a1) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(h))) * 3.6e6


def stars(n=300):
    r = np.random.default_rng(5)
    ra = r.uniform(0, 360, n)
    dec = np.degrees(np.arcsin(r.uniform(-1, 1, n)))
    dec[:40] = np.r_[np.linspace(89.99, 89.999999, 20), np.linspace(-89.99, -89.999999, 20)]
    ra[40:60] = np.r_[np.linspace(359.999, 359.9999999, 10), np.linspace(0, 1e-6, 10)]
    return ra, dec, r.normal(0, 1000, n), r.normal(0, 1000, n)


def test_against_astropy_over_25_years() -> None:
    ra, dec, pm_ra, pm_dec = stars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # erfa tells of distances and years that do not matter
        there = SkyCoord(
            ra * u.deg,
            dec * u.deg,
            distance=Distance(1 * u.kpc),
            pm_ra_cosdec=pm_ra * u.mas / u.yr,
            pm_dec=pm_dec * u.mas / u.yr,
            radial_velocity=0 * u.km / u.s,
            obstime=Time(1991.25, format="jyear", scale="tcb"),
        ).apply_space_motion(new_obstime=Time(2016.25, format="jyear", scale="tcb"))
    got = move_to_epoch(ra, dec, pm_ra, pm_dec, 1991.25, 2016.25)
    assert np.max(separation_mas(*got, there.ra.deg, there.dec.deg)) < 0.1
    assert np.all((got[0] >= 0) & (got[0] < 360))


def test_there_and_back() -> None:
    ra, dec, pm_ra, pm_dec = stars()
    slow = 0.01
    moved = move_to_epoch(ra, dec, slow * pm_ra, slow * pm_dec, 2000.0, 2016.0)
    back = move_to_epoch(*moved, slow * pm_ra, slow * pm_dec, 2016.0, 2000.0)
    away_from_poles = np.abs(dec) < 89
    assert np.max(separation_mas(*back, ra, dec)[away_from_poles]) < 0.1


def test_across_the_pole() -> None:
    ra, dec = move_to_epoch([30.0], [90.0 - 0.5 / 3600], [0.0], [1000.0], 2000.0, 2001.0)
    assert ra[0] == pytest.approx(210.0)
    assert dec[0] == pytest.approx(90.0 - 0.5 / 3600, abs=1e-9)


def test_on_the_pole_the_meridian_is_that_of_ra() -> None:
    ra, dec = move_to_epoch([0.0], [90.0], [3600.0], [0.0], 2000.0, 2001.0)
    assert ra[0] == pytest.approx(90.0)
    assert dec[0] == pytest.approx(90.0 - 0.001)


def test_stars_without_motion_stay_to_the_last_bit() -> None:
    ra, dec, _, _ = stars()
    for motion in (0.0, np.nan):
        got = move_to_epoch(ra, dec, motion, 0.0, 2000.0, 2016.0)
        assert np.array_equal(got[0], ra)
        assert np.array_equal(got[1], dec)


def test_an_epoch_for_each_star() -> None:
    ra, dec = move_to_epoch([10.0, 10.0], [0.0, 0.0], 3600.0, 0.0, [2000.0, 2010.0], 2010.0)
    assert ra.tolist() == pytest.approx([10.01, 10.0])
    assert dec.tolist() == pytest.approx([0.0, 0.0], abs=1e-15)


def test_empty_and_misshapen() -> None:
    assert move_to_epoch([], [], [], [], 2000.0, 2016.0)[0].shape == (0,)
    with pytest.raises(ShapeError):
        move_to_epoch([1.0, 2.0], [1.0, 2.0, 3.0], 0.0, 0.0, 2000.0, 2016.0)


def test_epochs() -> None:
    assert epoch_to_mjd(2000.0) == 51544.5
    assert epoch_to_mjd(1991.25) == 48348.5625
    assert mjd_to_epoch(epoch_to_mjd(2016.0)) == 2016.0
    assert Time(1991.25, format="jyear", scale="tdb").mjd == pytest.approx(48348.5625)
