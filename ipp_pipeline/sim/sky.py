"""The true stars of a simulated survey: real bright ones and synthetic faint ones.

Positions are ICRS at epoch 2016.0. Proper motions and parallaxes are drawn for all stars,
also for real ones, whose catalogue at hand has none: an absolute magnitude from the colour
gives the distance, a velocity dispersion of 35 km/s the motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.projection import tan_project
from dvo.sphere import in_cone, wrap_ra
from ipp_pipeline.sim.camera import FILTERS, Camera
from ipp_pipeline.sim.plan import SurveyPlan
from ipp_pipeline.sim.sphere_offset import offset_positions

__all__ = ["EPOCH_MJD", "VARIABLE_BY_FILTER", "Stars", "make_stars", "positions_at", "true_mags"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

EPOCH_MJD = 57388.5
"""Epoch of the stars' positions: J2016.0 as modified Julian date."""

VARIABLE_BY_FILTER = np.array([1.0, 0.8, 0.65, 0.55, 0.5])
"""Amplitude of a variable star in g, r, i, z, y, over its amplitude in g."""

_BRIGHT_LIMIT = 10.0  # real stars are brighter, synthetic ones fainter
_COUNT_SLOPE = 0.25  # log10 of star counts a magnitude


@dataclass(frozen=True, slots=True)
class Stars:
    """True stars, one entry each.

    Parameters
    ----------
    star_id : ndarray of int64, shape (n,)
        Number from 0 on; the row of all other arrays.
    source_id : ndarray of int64, shape (n,)
        Identifier in the catalogue of real stars; 0 for synthetic ones.
    ra, dec : ndarray of float64, shape (n,)
        Position at epoch 2016.0, ICRS [deg].
    pm_ra_mas_yr, pm_dec_mas_yr : ndarray of float64, shape (n,)
        Proper motion, the first with the factor cos(dec) [mas/yr].
    parallax_mas : ndarray of float64, shape (n,)
        Parallax [mas].
    mags : ndarray of float64, shape (n, 5)
        Mean magnitudes in g, r, i, z, y.
    amplitude, period_d, phase : ndarray of float64, shape (n,)
        Sinusoidal variation in g: half of peak to peak [mag], period [d], and phase at the
        epoch [cycles]; amplitude 0 for constant stars.
    """

    star_id: I64
    source_id: I64
    ra: F64
    dec: F64
    pm_ra_mas_yr: F64
    pm_dec_mas_yr: F64
    parallax_mas: F64
    mags: F64
    amplitude: F64
    period_d: F64
    phase: F64

    def __len__(self) -> int:
        return self.star_id.size


def make_stars(
    plan: SurveyPlan,
    camera: Camera,
    rng: np.random.Generator,
    gaia: dict[str, NDArray[np.generic]] | None = None,
) -> Stars:
    """Draw the stars of a survey's field.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    camera : Camera
        Its camera, which decides how faint stars go.
    rng : numpy.random.Generator
        Random numbers.
    gaia : dict of ndarray, optional
        Real bright stars: columns source_id, ra, dec (epoch 2016.0, ICRS [deg]), g_mag,
        bp_mag, rp_mag. All of them that lie in the field are taken.

    Returns
    -------
    Stars
        Real stars first.

    Raises
    ------
    SchemaError
        If a column of real stars is missing.
    """
    radius = camera.field_radius_deg + plan.dither_radius_deg + 0.05
    real_id, ra, dec, r, g_r = _real_stars(plan, gaia, radius)
    area = 2 * np.pi * (1 - np.cos(np.radians(radius))) * np.degrees(1.0) ** 2
    n_new = rng.poisson(plan.density_per_deg2 * area)
    distance = np.degrees(np.arccos(1 - rng.random(n_new) * (1 - np.cos(np.radians(radius)))))
    new_ra, new_dec = offset_positions(
        plan.centre_ra, plan.centre_dec, rng.uniform(0, 360, n_new), distance
    )
    new_r = _draw_mags(plan, camera, rng, n_new)
    is_red = rng.random(n_new) < 0.4
    new_g_r = np.where(is_red, rng.normal(1.25, 0.15, n_new), rng.normal(0.5, 0.15, n_new))
    ra, dec = np.concatenate([ra, new_ra]), np.concatenate([dec, new_dec])
    r, g_r = np.concatenate([r, new_r]), np.concatenate([g_r, np.clip(new_g_r, -0.3, 1.7)])
    source_id = np.concatenate([real_id, np.zeros(n_new, np.int64)])

    is_lost = _too_near(plan, ra, dec, r) & (source_id == 0)
    ra, dec, r, g_r, source_id = (a[~is_lost] for a in (ra, dec, r, g_r, source_id))
    parallax, pm_ra, pm_dec = _motions(plan, rng, r, g_r)
    n = ra.size
    is_variable = rng.random(n) < plan.variable_fraction
    return Stars(
        star_id=np.arange(n),
        source_id=source_id,
        ra=ra,
        dec=dec,
        pm_ra_mas_yr=pm_ra,
        pm_dec_mas_yr=pm_dec,
        parallax_mas=parallax,
        mags=_mags_of_locus(r, g_r) + rng.normal(0, 0.02, (n, len(FILTERS))),
        amplitude=np.where(is_variable, rng.uniform(0.05, 0.5, n), 0.0),
        period_d=np.exp(rng.uniform(np.log(0.2), np.log(100.0), n)),
        phase=rng.random(n),
    )


def positions_at(stars: Stars, rows: I64, mjd: float) -> tuple[F64, F64]:
    """Positions of stars at a time, with proper motion and parallax.

    Parameters
    ----------
    stars : Stars
        The stars.
    rows : ndarray of int64, shape (k,)
        Which of them.
    mjd : float
        Time [d].

    Returns
    -------
    ra, dec : ndarray of float64, shape (k,)
        Astrometric positions (no aberration, no refraction), ICRS [deg].
    """
    a, d = np.radians(stars.ra[rows]), np.radians(stars.dec[rows])
    years = (mjd - EPOCH_MJD) / 365.25
    x, y, z = _earth(mjd)
    parallax = stars.parallax_mas[rows]
    # Explanatory Supplement, 3.3: displacement towards the Sun's side.
    east = stars.pm_ra_mas_yr[rows] * years + parallax * (x * np.sin(a) - y * np.cos(a))
    north = stars.pm_dec_mas_yr[rows] * years + parallax * (
        x * np.cos(a) * np.sin(d) + y * np.sin(a) * np.sin(d) - z * np.cos(d)
    )
    xi, eta = np.radians(east / 3.6e6), np.radians(north / 3.6e6)
    # A step in the tangent plane holds at the poles too.
    along = np.cos(d) - eta * np.sin(d)
    ra = stars.ra[rows] + np.degrees(np.arctan2(xi, along))
    dec = np.degrees(np.arctan2(np.sin(d) + eta * np.cos(d), np.hypot(xi, along)))
    return wrap_ra(ra), dec


def true_mags(stars: Stars, rows: I64, filter_index: int, mjd: float) -> F64:
    """Magnitudes of stars at a time, with their variation.

    Parameters
    ----------
    stars : Stars
        The stars.
    rows : ndarray of int64, shape (k,)
        Which of them.
    filter_index : int
        Index into ``FILTERS``.
    mjd : float
        Time [d].

    Returns
    -------
    ndarray of float64, shape (k,)
        Magnitudes.
    """
    cycles = (mjd - EPOCH_MJD) / stars.period_d[rows] + stars.phase[rows]
    swing = stars.amplitude[rows] * VARIABLE_BY_FILTER[filter_index]
    return np.asarray(stars.mags[rows, filter_index] + swing * np.sin(2 * np.pi * cycles))


def _real_stars(
    plan: SurveyPlan, gaia: dict[str, NDArray[np.generic]] | None, radius: float
) -> tuple[I64, F64, F64, F64, F64]:
    """Identifier, position, r and g - r of the real stars in the field."""
    if gaia is None:
        none = np.zeros(0)
        return none.astype(np.int64), none, none, none, none
    missing = {"source_id", "ra", "dec", "g_mag", "bp_mag", "rp_mag"} - set(gaia)
    if missing:
        raise SchemaError(f"catalogue of real stars: no column {', '.join(sorted(missing))}")
    inside = in_cone(
        gaia["ra"].astype(np.float64),
        gaia["dec"].astype(np.float64),
        plan.centre_ra,
        plan.centre_dec,
        radius,
    )
    picked = {name: column[inside].astype(np.float64) for name, column in gaia.items()}
    color = np.nan_to_num(picked["bp_mag"] - picked["rp_mag"], nan=0.8)
    # Rough transformations; the simulated magnitudes are the truth by definition.
    g_r = np.clip(0.9 * color - 0.3, -0.4, 1.7)
    return (
        gaia["source_id"][inside].astype(np.int64),
        picked["ra"],
        picked["dec"],
        picked["g_mag"] + 0.05 * g_r,
        g_r,
    )


def _draw_mags(plan: SurveyPlan, camera: Camera, rng: np.random.Generator, n: int) -> F64:
    """Magnitudes in r by exponential star counts, to just below the camera's limit."""
    r = FILTERS.index("r")
    pixels = 4 * np.pi * (camera.fwhm_arcsec / 2.355 / camera.scale_arcsec) ** 2
    sky = 10 ** (-0.4 * (camera.sky_mags[r] - camera.zero_points[r])) * camera.scale_arcsec**2
    noise = np.sqrt(pixels * (sky * plan.exptime_s + camera.read_noise**2))
    faint = camera.zero_points[r] - 2.5 * np.log10(5.5 * noise / plan.exptime_s) + 0.2
    bright = min(_BRIGHT_LIMIT, faint - 2)
    low, high = 10 ** (_COUNT_SLOPE * bright), 10 ** (_COUNT_SLOPE * faint)
    return np.asarray(np.log10(rng.uniform(low, high, n)) / _COUNT_SLOPE)


def _mags_of_locus(r: F64, g_r: F64) -> F64:
    """Magnitudes g, r, i, z, y along a plain stellar locus; M dwarfs redden beyond g - r 1.1."""
    r_i = 0.4 * g_r + 1.5 * np.maximum(g_r - 1.1, 0.0) - 0.02
    i_z, z_y = 0.5 * r_i, 0.25 * r_i
    return np.stack([r + g_r, r, r - r_i, r - r_i - i_z, r - r_i - i_z - z_y], axis=1)


def _motions(plan: SurveyPlan, rng: np.random.Generator, r: F64, g_r: F64) -> tuple[F64, F64, F64]:
    """Parallax [mas] and proper motion [mas/yr]."""
    absolute = np.clip(4.6 + 5.0 * (g_r - 0.45), 0.0, 12.0)
    # Red stars of bright magnitude are giants as a rule.
    is_giant = (g_r > 0.7) & (rng.random(r.size) < np.clip((15.0 - r) / 6.0, 0.0, 0.95))
    absolute = np.where(is_giant, 0.5, absolute) + rng.normal(0, 0.5, r.size)
    parallax = np.minimum(100.0 * 10 ** (-0.2 * (r - absolute)), 100.0)
    pm = rng.normal(0, 35.0 / 4.74, (2, r.size)) * parallax
    speed = np.hypot(*pm)
    pm *= np.minimum(1.0, plan.max_pm_mas_yr / np.maximum(speed, 1e-9))
    return parallax, pm[0], pm[1]


def _too_near(plan: SurveyPlan, ra: F64, dec: F64, mag: F64) -> NDArray[np.bool_]:
    """Stars with a brighter one within the least separation."""
    is_lost = np.zeros(ra.size, dtype=np.bool_)
    if plan.min_separation_arcsec <= 0 or ra.size < 2:
        return is_lost
    limit = plan.min_separation_arcsec / 3600
    xi, eta = tan_project(ra, dec, plan.centre_ra, plan.centre_dec)
    order = np.argsort(eta, kind="stable")
    xi, eta, mag = xi[order], eta[order], mag[order]
    for step in range(1, ra.size):
        # Each pass compares every star with its step-th neighbour to the north.
        is_close = eta[step:] - eta[:-step] < limit
        if not is_close.any():
            break
        is_close &= np.abs(xi[step:] - xi[:-step]) < limit
        lower = np.flatnonzero(is_close)
        fainter = np.where(mag[lower] > mag[lower + step], lower, lower + step)
        is_lost[order[fainter]] = True
    return is_lost


def _earth(mjd: float) -> tuple[float, float, float]:
    """Position of the Earth from the Sun [au], equatorial; Astronomical Almanac, C5."""
    days = mjd - 51544.5
    g = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(g) + 0.020 * np.sin(2 * g))
    radius = 1.00014 - 0.01671 * np.cos(g) - 0.00014 * np.cos(2 * g)
    tilt = np.radians(23.439)
    x, y = -radius * np.cos(longitude), -radius * np.sin(longitude)
    return float(x), float(y * np.cos(tilt)), float(y * np.sin(tilt))
