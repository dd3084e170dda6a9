"""What to simulate, and when each exposure of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.sphere import wrap_ra
from ipp_pipeline.sim.camera import FILTERS, Camera, get_camera
from ipp_pipeline.sim.sphere_offset import offset_positions

__all__ = ["Schedule", "SurveyPlan", "make_schedule"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_LONGITUDE_DEG = -156.2559  # Haleakala, east positive
_LATITUDE_DEG = 20.7082
_MAX_DENSITY = 1e9  # a hundred stars a square arcsecond
_SIDEREAL_RATE = 360.98564736629  # degrees of sidereal time a day


@dataclass(frozen=True, slots=True)
class SurveyPlan:
    """All that decides a simulated survey; equal plans give equal files.

    Parameters
    ----------
    camera : str
        ``small`` (4x2 chips) or ``gpc1`` (60 chips).
    n_exposures : int
        Number of exposures.
    centre_ra, centre_dec : float
        Centre of the field, ICRS [deg].
    density_per_deg2 : float
        Synthetic stars [1/deg^2], most of them near the faint limit.
    seed : int
        Seed of all random numbers; also tells the images of surveys apart.
    filters : tuple of str
        Filters to use, in turn, of g, r, i, z, y.
    start_mjd, duration_days : float
        Time span of the survey [d, UTC].
    exposures_per_night : int
        Exposures of a night.
    exptime_s : float
        Exposure time [s].
    dither_deg : float
        Radius around the centre in which boresights lie; negative: a quarter of the field.
    rotations_deg : tuple of float
        Field rotations to choose from, north through east.
    photometric_fraction : float
        Fraction of nights without clouds.
    night_zp_rms, airmass_slope_rms, chip_zp_rms, flat_rms : float
        Scatter of nights' zero points [mag], their airmass slopes [mag/airmass], chips'
        zero points [mag] and flat-field cells [mag].
    cloud_mag : float
        Mean extinction by clouds on other nights [mag].
    flat_cells, n_seasons : int
        Flat-field cells a chip in each direction, and seasons with a flat field each.
    pos_floor_mas : float
        Scatter of a single measurement of a bright star in each coordinate [mas].
    mag_floor : float or tuple of float
        The same of its magnitude [mag]: in all filters, or in each of g, r, i, z, y.
    solution_error_mas : float
        Error of the astrometry written to the headers, in each coordinate once for an
        exposure and once for each chip of it [mas].
    junk_per_chip : float
        Mean number of false detections a chip.
    detection_nsigma : float
        Signal to noise from which a source is detected.
    variable_fraction : float
        Fraction of periodic variables.
    max_pm_mas_yr : float
        Limit on the proper motion of stars that are drawn [mas/yr].
    min_separation_arcsec : float
        No synthetic star lies nearer than this to a brighter star; 0 allows blends.
    sky_seed : int or None
        Seed of the stars, if another: surveys of equal sky_seed, centre and density have
        the same stars.
    satellites : bool
        Whether files get the extensions that fill satellite tables (.xfit, .xgal, .xrad, LENS_
        columns).
    """

    camera: str = "small"
    n_exposures: int = 200
    centre_ra: float = 56.75
    centre_dec: float = 24.1
    density_per_deg2: float = 1500.0
    seed: int = 1
    filters: tuple[str, ...] = FILTERS
    start_mjd: float = 57388.0
    duration_days: float = 1000.0
    exposures_per_night: int = 20
    exptime_s: float = 40.0
    dither_deg: float = -1.0
    rotations_deg: tuple[float, ...] = (0.0, 90.0, 180.0, 270.0)
    photometric_fraction: float = 0.7
    night_zp_rms: float = 0.03
    airmass_slope_rms: float = 0.02
    chip_zp_rms: float = 0.01
    flat_rms: float = 0.01
    cloud_mag: float = 0.3
    flat_cells: int = 4
    n_seasons: int = 2
    pos_floor_mas: float = 10.0
    mag_floor: float | tuple[float, ...] = 0.01
    solution_error_mas: float = 15.0
    junk_per_chip: float = 3.0
    detection_nsigma: float = 5.0
    variable_fraction: float = 0.02
    max_pm_mas_yr: float = 150.0
    min_separation_arcsec: float = 3.0
    sky_seed: int | None = None
    satellites: bool = False

    def __post_init__(self) -> None:
        get_camera(self.camera)
        if self.n_exposures < 1 or self.exposures_per_night < 1:
            raise ConfigError(
                f"SurveyPlan: {self.n_exposures} exposures, {self.exposures_per_night} a night; "
                "both must be 1 or more"
            )
        if not (0.0 <= self.centre_ra <= 360.0 and -90.0 <= self.centre_dec <= 90.0):
            raise ConfigError(
                f"SurveyPlan: centre ({self.centre_ra}, {self.centre_dec}) is no position; "
                "ra must be in [0, 360], dec in [-90, 90]"
            )
        strange = [name for name in self.filters if name not in FILTERS]
        if strange or not self.filters:
            raise ConfigError(f"SurveyPlan: filters {self.filters}; choose from {FILTERS}")
        if min(self.seed, self.sky_seed or 0) < 0 or self.exptime_s <= 0:
            raise ConfigError(
                f"SurveyPlan: seed {self.seed}, sky_seed {self.sky_seed}, exposure "
                f"time {self.exptime_s}; none may be negative, nor the time zero"
            )
        if not 0.0 <= self.density_per_deg2 <= _MAX_DENSITY:
            raise ConfigError(
                f"SurveyPlan: {self.density_per_deg2} stars per square degree; give 0 to "
                f"{_MAX_DENSITY:g}"
            )
        if self.flat_cells < 1 or self.n_seasons < 1 or not self.rotations_deg:
            raise ConfigError(
                f"SurveyPlan: {self.flat_cells} flat cells, {self.n_seasons} seasons, rotations "
                f"{self.rotations_deg}; give at least one of each"
            )

        if len(self.mag_floors) != len(FILTERS) or min(self.mag_floors) < 0:
            raise ConfigError(
                f"SurveyPlan: mag_floor {self.mag_floor}; give one for all filters or "
                f"{len(FILTERS)}, none negative"
            )

    @property
    def mag_floors(self) -> tuple[float, ...]:
        """Scatter of a magnitude of a bright star in each of g, r, i, z, y [mag]."""
        if isinstance(self.mag_floor, tuple):
            return self.mag_floor
        return (self.mag_floor,) * len(FILTERS)

    @property
    def dither_radius_deg(self) -> float:
        """Radius around the centre in which boresights lie [deg]."""
        field = get_camera(self.camera).field_radius_deg
        return self.dither_deg if self.dither_deg >= 0 else field / 4


@dataclass(frozen=True, slots=True)
class Schedule:
    """The exposures of a survey in order of time, and the state of the sky at each.

    Parameters
    ----------
    mjd : ndarray of float64, shape (n,)
        Time of each exposure [d, UTC].
    night : ndarray of int64, shape (n,)
        Its night.
    filter_index : ndarray of int64, shape (n,)
        Its filter, as index into ``FILTERS``.
    ra, dec : ndarray of float64, shape (n,)
        True boresight, ICRS [deg].
    rotation_deg : ndarray of float64, shape (n,)
        True rotation of the field, north through east [deg].
    scale_factor : ndarray of float64, shape (n,)
        True scale over the nominal one.
    altitude_deg, azimuth_deg, airmass : ndarray of float64, shape (n,)
        Where the boresight stands.
    fwhm_arcsec : ndarray of float64, shape (n,)
        Seeing [arcsec].
    cloud : ndarray of float64, shape (n,)
        Extinction by clouds [mag].
    night_mjd : ndarray of float64, shape (m,)
        First day of each night [d].
    season : ndarray of int64, shape (m,)
        Flat-field season of each night.
    is_photometric : ndarray of bool, shape (m,)
        Nights without clouds.
    night_zp : ndarray of float64, shape (m, 5)
        Dimming of each night and filter [mag].
    night_slope : ndarray of float64, shape (m, 5)
        Airmass slope beyond the nominal one, of each night and filter [mag/airmass].
    """

    mjd: F64
    night: I64
    filter_index: I64
    ra: F64
    dec: F64
    rotation_deg: F64
    scale_factor: F64
    altitude_deg: F64
    azimuth_deg: F64
    airmass: F64
    fwhm_arcsec: F64
    cloud: F64
    night_mjd: F64
    season: I64
    is_photometric: NDArray[np.bool_]
    night_zp: F64
    night_slope: F64


def make_schedule(plan: SurveyPlan, camera: Camera, rng: np.random.Generator) -> Schedule:
    """Draw the exposures of a survey.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    camera : Camera
        Its camera.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    Schedule
        The exposures in order of time.

    Notes
    -----
    Exposures of a night run evenly through the hour angles at which the field stands above
    30 deg, at most 4 h either side. The Sun is ignored, and the site moves along its
    meridian to let a field near the other pole rise.
    """
    n = plan.n_exposures
    n_nights = -(-n // plan.exposures_per_night)
    night = np.arange(n) // plan.exposures_per_night
    days = np.sort(rng.choice(max(int(plan.duration_days), n_nights), n_nights, replace=False))
    night_mjd = np.floor(plan.start_mjd) + days.astype(np.float64)
    is_photometric = rng.random(n_nights) < plan.photometric_fraction
    common = rng.normal(0, plan.night_zp_rms, (n_nights, 1))
    own = rng.normal(0, plan.night_zp_rms / 3, (n_nights, len(FILTERS)))

    turn = rng.uniform(0, 360, n)
    reach = plan.dither_radius_deg * np.sqrt(rng.random(n))
    ra, dec = offset_positions(plan.centre_ra, plan.centre_dec, turn, reach)
    hour_angle, limit, latitude = _hour_angles(plan, night, rng)
    sidereal = (280.46061837 + _SIDEREAL_RATE * (night_mjd[night] - 51544.5)) + _LONGITUDE_DEG
    # All of a night follows its first moment: it is not cut in two where its day begins.
    wait = np.mod(plan.centre_ra - limit - sidereal, 360.0) + hour_angle + limit
    mjd = night_mjd[night] + wait / _SIDEREAL_RATE
    altitude, azimuth = _horizontal(wrap_ra(sidereal + wait - ra), dec, latitude)
    airmass = 1.0 / np.sin(np.radians(np.maximum(altitude, 20.0)))
    seeing = camera.fwhm_arcsec * np.exp(rng.normal(0, 0.12, n)) * airmass**0.6
    cloud = np.where(is_photometric[night], 0.0, rng.exponential(plan.cloud_mag, n))
    order = np.lexsort((mjd, night))
    position = {name: index for index, name in enumerate(FILTERS)}
    used = np.array([position[name] for name in plan.filters])
    return Schedule(
        mjd=mjd[order],
        night=night,
        filter_index=used[np.arange(n) % used.size],
        ra=ra[order],
        dec=dec[order],
        rotation_deg=rng.choice(plan.rotations_deg, n) + rng.normal(0, 0.05, n),
        scale_factor=1.0 + rng.normal(0, 2e-5, n),
        altitude_deg=altitude[order],
        azimuth_deg=azimuth[order],
        airmass=airmass[order],
        fwhm_arcsec=seeing[order],
        cloud=cloud,
        night_mjd=night_mjd,
        season=((night_mjd - night_mjd[0]) * plan.n_seasons / (np.ptp(night_mjd) + 1)).astype(int),
        is_photometric=is_photometric,
        night_zp=common + own,
        night_slope=rng.normal(0, plan.airmass_slope_rms, (n_nights, len(FILTERS))),
    )


def _hour_angles(
    plan: SurveyPlan, night: I64, rng: np.random.Generator
) -> tuple[F64, float, float]:
    """Hour angles of the field's centre, their greatest, and the site's latitude [deg]."""
    latitude = float(np.clip(_LATITUDE_DEG, plan.centre_dec - 50, plan.centre_dec + 50))
    lat, dec = np.radians(latitude), np.radians(plan.centre_dec)
    cosine = (0.5 - np.sin(lat) * np.sin(dec)) / max(np.cos(lat) * np.cos(dec), 1e-9)
    limit = min(60.0, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    step = np.arange(night.size) % plan.exposures_per_night
    even = (step + rng.uniform(0.1, 0.9, night.size)) / plan.exposures_per_night
    return limit * (2 * even - 1), limit, latitude


def _horizontal(hour_angle: F64, dec: F64, latitude: float) -> tuple[F64, F64]:
    """Altitude and azimuth (north through east) [deg]."""
    h, d, lat = np.radians(hour_angle), np.radians(dec), np.radians(latitude)
    up = np.sin(lat) * np.sin(d) + np.cos(lat) * np.cos(d) * np.cos(h)
    east = -np.cos(d) * np.sin(h)
    north = np.cos(lat) * np.sin(d) - np.sin(lat) * np.cos(d) * np.cos(h)
    azimuth = np.degrees(np.arctan2(east, north)) % 360.0
    return np.degrees(np.arcsin(np.clip(up, -1, 1))), azimuth
