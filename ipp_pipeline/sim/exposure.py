"""One exposure: the stars that fall on chips, their measurements, and the truth of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dvo.projection import tan_deproject, tan_project
from dvo.sphere import in_cone
from ipp_pipeline.sim.camera import Camera
from ipp_pipeline.sim.instrument import Instrument, sky_map
from ipp_pipeline.sim.photometry import Light, Measured, junk_light, measure
from ipp_pipeline.sim.plan import Schedule, SurveyPlan
from ipp_pipeline.sim.polymap import PolyMaps
from ipp_pipeline.sim.shapes import Shapes
from ipp_pipeline.sim.sky import Stars, positions_at, true_mags
from ipp_pipeline.sim.sphere_offset import offset_positions

__all__ = ["Exposure", "World", "simulate_exposure", "to_sky"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
T = TypeVar("T", Measured, "_Sources")

_EDGE_MARGIN_DEG = 0.02
_SATURATED_POS_ERR_ARCSEC = 0.05


@dataclass(frozen=True, slots=True)
class World:
    """All that is true of a survey.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    camera : Camera
        The camera's design.
    stars : Stars
        The stars.
    instrument : Instrument
        What the camera truly is.
    schedule : Schedule
        The exposures.
    shapes : Shapes or None
        Shapes of galaxies, and lensing terms; None if satellite tables are not wanted.
    """

    plan: SurveyPlan
    camera: Camera
    stars: Stars
    instrument: Instrument
    schedule: Schedule
    shapes: Shapes | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """The detections of an exposure, chip after chip, and the truth of each.

    Parameters
    ----------
    number : int
        Number of the exposure in the survey.
    light : Light
        How light became counts.
    zero_point_obs : float
        Zero point as a pipeline would report it: 1 count/s at airmass 1, clouds included.
    chip_solution : PolyMaps
        Astrometry of the chips as solved, with its errors.
    sky_solution : PolyMaps
        Astrometry of the focal plane as solved.
    boresight : tuple of float
        Boresight as solved, ICRS [deg].
    chip : ndarray of int64, shape (n,)
        Chip of each detection, in increasing order.
    det_id : ndarray of int64, shape (n,)
        Number within its chip, from 1.
    x, y : ndarray of float32, shape (n,)
        Measured pixels.
    ra, dec : ndarray of float64, shape (n,)
        Position of (x, y) by the solved astrometry, ICRS [deg].
    measured : Measured
        Photometry.
    star_id : ndarray of int64, shape (n,)
        True star; -1 for junk.
    true_ra, true_dec : ndarray of float64, shape (n,)
        True position at the time, by true astrometry for junk, ICRS [deg].
    true_x, true_y : ndarray of float64, shape (n,)
        True pixels.
    true_mag : ndarray of float64, shape (n,)
        True magnitude at the time, above the atmosphere; NaN for junk.
    true_dimming : ndarray of float64, shape (n,)
        All dimming of DVO's Mcal and Mflat: night, slope, cloud, chip and flat [mag].
    on_chip : ndarray of int64, shape (k,)
        Stars that fell on pixels, detected or not.
    on_chip_snr : ndarray of float64, shape (k,)
        Signal to noise expected of each.
    """

    number: int
    light: Light
    zero_point_obs: float
    chip_solution: PolyMaps
    sky_solution: PolyMaps
    boresight: tuple[float, float]
    chip: I64
    det_id: I64
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    ra: F64
    dec: F64
    measured: Measured
    star_id: I64
    true_ra: F64
    true_dec: F64
    true_x: F64
    true_y: F64
    true_mag: F64
    true_dimming: F64
    on_chip: I64
    on_chip_snr: F64


@dataclass(frozen=True, slots=True)
class _Sources:
    """Stars or junk on chips, before they are measured."""

    star_id: I64
    chip: I64
    x: F64
    y: F64
    ra: F64
    dec: F64
    mag: F64
    dimming: F64


def simulate_exposure(world: World, number: int) -> Exposure:
    """Simulate an exposure.

    Parameters
    ----------
    world : World
        The survey.
    number : int
        Number of the exposure.

    Returns
    -------
    Exposure
        Its detections and their truth; the same whichever exposures were made before.
    """
    plan, camera, schedule = world.plan, world.camera, world.schedule
    rng = np.random.default_rng([plan.seed, 1, number])
    plane = sky_map(camera, schedule, number)
    stars = _stars_on_chips(world, number, plane)
    light = _light(world, number)
    extinction = camera.airmass_slopes[schedule.filter_index[number]]
    extinction *= schedule.airmass[number] - 1
    seen = measure(plan, camera, light, stars.mag + stars.dimming + extinction, rng)
    junk = _junk_on_chips(world, number, plane, rng)
    measured = _joined(seen, junk_light(plan, camera, light, junk.chip.size, rng))
    sources = _joined(stars, junk)
    rows = np.flatnonzero(measured.is_detected)
    rows = rows[np.argsort(sources.chip[rows], kind="stable")]
    measured, sources = _taken(measured, rows), _taken(sources, rows)

    chip_solution, boresight = _solution(world, number, rng)
    x, y = _measured_pixels(world, measured, sources, rng)
    ra, dec = to_sky(chip_solution, plane, boresight, sources.chip, x, y)
    first = np.searchsorted(sources.chip, sources.chip, side="left")
    return Exposure(
        number=number,
        light=light,
        zero_point_obs=_zero_point_obs(world, number, rng),
        chip_solution=chip_solution,
        sky_solution=plane,
        boresight=boresight,
        chip=sources.chip,
        det_id=np.arange(rows.size) - first + 1,
        x=x,
        y=y,
        ra=ra,
        dec=dec,
        measured=measured,
        star_id=sources.star_id,
        true_ra=sources.ra,
        true_dec=sources.dec,
        true_x=sources.x,
        true_y=sources.y,
        true_mag=sources.mag,
        true_dimming=sources.dimming,
        on_chip=stars.star_id,
        on_chip_snr=seen.true_snr,
    )


def _stars_on_chips(world: World, number: int, plane: PolyMaps) -> _Sources:
    camera, schedule, stars = world.camera, world.schedule, world.stars
    ra0, dec0 = float(schedule.ra[number]), float(schedule.dec[number])
    reach = camera.field_radius_deg + _EDGE_MARGIN_DEG
    rows = np.flatnonzero(in_cone(stars.ra, stars.dec, ra0, dec0, reach))
    mjd = float(schedule.mjd[number])
    ra, dec = positions_at(stars, rows, mjd)
    xi, eta = tan_project(ra, dec, ra0, dec0)
    along_l, along_m = plane.inverse(np.zeros(rows.size, np.int64), xi, eta)
    chip = camera.chip_at(along_l, along_m)
    near = np.flatnonzero(chip >= 0)
    x, y = world.instrument.chip_maps.inverse(chip[near], along_l[near], along_m[near])
    on_pixels = (x >= 0) & (x < camera.chip_nx) & (y >= 0) & (y < camera.chip_ny)
    near, x, y = near[on_pixels], x[on_pixels], y[on_pixels]
    filter_index = int(schedule.filter_index[number])
    return _Sources(
        star_id=rows[near],
        chip=chip[near],
        x=x,
        y=y,
        ra=ra[near],
        dec=dec[near],
        mag=true_mags(stars, rows[near], filter_index, mjd),
        dimming=_dimming(world, number, chip[near], x, y),
    )


def _junk_on_chips(
    world: World, number: int, plane: PolyMaps, rng: np.random.Generator
) -> _Sources:
    camera, schedule = world.camera, world.schedule
    counts = rng.poisson(world.plan.junk_per_chip, len(camera.places))
    chip = np.repeat(np.arange(counts.size), counts)
    x, y = rng.uniform(0, camera.chip_nx, chip.size), rng.uniform(0, camera.chip_ny, chip.size)
    boresight = (float(schedule.ra[number]), float(schedule.dec[number]))
    ra, dec = to_sky(world.instrument.chip_maps, plane, boresight, chip, x, y)
    return _Sources(
        star_id=np.full(chip.size, -1),
        chip=chip,
        x=x,
        y=y,
        ra=ra,
        dec=dec,
        mag=np.full(chip.size, np.nan),
        dimming=_dimming(world, number, chip, x, y),
    )


def _dimming(world: World, number: int, chip: I64, x: F64, y: F64) -> F64:
    """All that calibration has to find: night, slope, clouds, chip, flat [mag]."""
    schedule = world.schedule
    night, filter_index = int(schedule.night[number]), int(schedule.filter_index[number])
    season = int(schedule.season[night])
    whole = (
        schedule.night_zp[night, filter_index]
        + schedule.night_slope[night, filter_index] * (schedule.airmass[number] - 1)
        + schedule.cloud[number]
    )
    local = world.instrument.dimming(world.camera, season, filter_index, chip, x, y)
    return np.asarray(whole + local)


def _light(world: World, number: int) -> Light:
    camera, plan, schedule = world.camera, world.plan, world.schedule
    index = int(schedule.filter_index[number])
    zero_point = camera.zero_points[index] + 2.5 * np.log10(plan.exptime_s)
    sky = 10 ** (-0.4 * (camera.sky_mags[index] - zero_point)) * camera.scale_arcsec**2
    fwhm_pix = schedule.fwhm_arcsec[number] / camera.scale_arcsec
    return Light(float(zero_point), float(sky), float(fwhm_pix), plan.mag_floors[index])


def _zero_point_obs(world: World, number: int, rng: np.random.Generator) -> float:
    """Zero point of the exposure as found from its stars, good to 10 mmag."""
    schedule = world.schedule
    night, index = schedule.night[number], schedule.filter_index[number]
    dimming = (
        schedule.night_zp[night, index]
        + schedule.night_slope[night, index] * (schedule.airmass[number] - 1)
        + schedule.cloud[number]
    )
    return float(world.camera.zero_points[index] - dimming + rng.normal(0, 0.01))


def _solution(
    world: World, number: int, rng: np.random.Generator
) -> tuple[PolyMaps, tuple[float, float]]:
    """Astrometry as solved: chips and boresight a little off."""
    error_deg = world.plan.solution_error_mas / 3.6e6
    error_pix = world.plan.solution_error_mas / 1000 / world.camera.scale_arcsec
    chip_maps = world.instrument.chip_maps
    chips = chip_maps.shifted(rng.normal(0, error_pix, (len(chip_maps), 2)))
    shift = np.array([np.hypot(*rng.normal(0, error_deg, 2))])
    ra, dec = offset_positions(
        float(world.schedule.ra[number]),
        float(world.schedule.dec[number]),
        rng.uniform(0, 360, 1),
        shift,
    )
    return chips, (float(ra[0]), float(dec[0]))


def _measured_pixels(
    world: World, measured: Measured, sources: _Sources, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    plan, scale = world.plan, world.camera.scale_arcsec
    floor = plan.pos_floor_mas / 1000 / scale
    saturated = np.where(measured.is_saturated, _SATURATED_POS_ERR_ARCSEC / scale, 0.0)
    sigma = np.sqrt(measured.pos_err_pix**2 + floor**2 + saturated**2)
    # Junk is where it is measured: it has no other place.
    sigma[sources.star_id < 0] = 0.0
    x = sources.x + sigma * rng.normal(size=sigma.size)
    y = sources.y + sigma * rng.normal(size=sigma.size)
    return x.astype(np.float32), y.astype(np.float32)


def to_sky(
    chips: PolyMaps,
    plane: PolyMaps,
    boresight: tuple[float, float],
    chip: I64,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
) -> tuple[F64, F64]:
    """Bring pixels to the sky by some astrometry.

    Parameters
    ----------
    chips, plane : PolyMaps
        Maps of the chips and of the focal plane.
    boresight : tuple of float
        Boresight, ICRS [deg].
    chip : ndarray of int64, shape (n,)
        Chip of each position.
    x, y : ndarray, shape (n,)
        Pixels.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].
    """
    along_l, along_m = chips.forward(chip, x.astype(np.float64), y.astype(np.float64))
    xi, eta = plane.forward(np.zeros(chip.size, np.int64), along_l, along_m)
    return tan_deproject(xi, eta, *boresight)


def _joined(first: T, second: T) -> T:
    names = type(first).__slots__
    return type(first)(
        **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    )


def _taken(values: T, rows: I64) -> T:
    return type(values)(**{name: getattr(values, name)[rows] for name in type(values).__slots__})
