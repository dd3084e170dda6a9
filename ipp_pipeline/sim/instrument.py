"""What a camera truly is, beside its design: mounting of chips, zero points, flat fields.

Dimming has the sign of DVO's ``Mcal``: positive makes stars fainter, and calibration
subtracts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipp_pipeline.sim.camera import FILTERS, Camera
from ipp_pipeline.sim.plan import Schedule, SurveyPlan
from ipp_pipeline.sim.polymap import POWERS, PolyMaps

__all__ = ["Instrument", "make_instrument", "sky_map"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MOUNT_SHIFT_PIX = 3.0
_MOUNT_TURN_RAD = 2e-4
_MOUNT_SCALE = 5e-5
_BEND_PIX = 0.15  # of each term, at the edge of a chip


@dataclass(frozen=True, slots=True)
class Instrument:
    """The true state of a camera through a survey.

    Parameters
    ----------
    chip_maps : PolyMaps
        From the pixels of each chip to the focal plane [pix].
    chip_dimming : ndarray of float64, shape (5, n_chips)
        Constant dimming of each chip in each filter [mag].
    flat : ndarray of float64, shape (n_seasons, 5, n_chips, cells, cells)
        Dimming left by the flat field; the last axes are cells in y and x [mag].
    """

    chip_maps: PolyMaps
    chip_dimming: F64
    flat: F64

    def dimming(
        self, camera: Camera, season: int, filter_index: int, chip: I64, x: F64, y: F64
    ) -> F64:
        """Dimming by chip and flat field.

        Parameters
        ----------
        camera : Camera
            The camera.
        season, filter_index : int
            Flat-field season, and index into ``FILTERS``.
        chip : ndarray of int64, shape (n,)
            Chips.
        x, y : ndarray of float64, shape (n,)
            Pixels.

        Returns
        -------
        ndarray of float64, shape (n,)
            Dimming [mag].
        """
        cells = self.flat.shape[-1]
        column = np.clip((x * cells / camera.chip_nx).astype(np.int64), 0, cells - 1)
        row = np.clip((y * cells / camera.chip_ny).astype(np.int64), 0, cells - 1)
        flat = self.flat[season, filter_index]
        return np.asarray(self.chip_dimming[filter_index, chip] + flat[chip, row, column])


def make_instrument(plan: SurveyPlan, camera: Camera, rng: np.random.Generator) -> Instrument:
    """Draw the true state of a camera.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    camera : Camera
        The camera's design.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    Instrument
        Its true state.
    """
    n = len(camera.places)
    centres = np.stack(camera.chip_centres, axis=1)
    half = np.array([camera.chip_nx, camera.chip_ny]) / 2
    is_turned = np.array([column >= camera.turned_columns for column, _ in camera.places])
    turn = np.where(is_turned, np.pi, 0.0) + rng.normal(0, _MOUNT_TURN_RAD, n)
    scale = 1 + rng.normal(0, _MOUNT_SCALE, n)
    pc = scale[:, None, None] * _rotations(turn)
    size = np.array([half.mean() ** (i + j) for i, j in POWERS])
    shape = (plan.n_seasons, len(FILTERS), n, plan.flat_cells, plan.flat_cells)
    flat = rng.normal(0, plan.flat_rms, shape)
    # A slope across the focal plane besides, the same for all chips of a season and filter.
    slope = rng.normal(0, plan.flat_rms, (*shape[:2], 2))
    flat += _tilt(camera, plan.flat_cells, slope)
    return Instrument(
        chip_maps=PolyMaps(
            reference=np.tile(half, (n, 1)),
            scale=np.ones((n, 2)),
            pc=pc,
            terms=rng.normal(0, _BEND_PIX, (n, 2, len(POWERS))) / size,
            shift=centres + rng.normal(0, _MOUNT_SHIFT_PIX, (n, 2)),
        ),
        chip_dimming=rng.normal(0, plan.chip_zp_rms, (len(FILTERS), n)),
        flat=flat,
    )


def sky_map(camera: Camera, schedule: Schedule, exposure: int) -> PolyMaps:
    """The true map from the focal plane to the tangent plane of an exposure.

    Parameters
    ----------
    camera : Camera
        The camera.
    schedule : Schedule
        The exposures.
    exposure : int
        Which one.

    Returns
    -------
    PolyMaps
        One map from focal-plane pixels to degrees east and north of the boresight.
    """
    turn = np.radians(schedule.rotation_deg[exposure])
    pc = _rotations(np.array([turn]))
    cubic = camera.cubic_per_deg2
    # Radial bending k r^2 (x, y), turned along with the field.
    along_x = np.array([0, 0, 0, cubic, 0, cubic, 0])
    along_y = np.array([0, 0, 0, 0, cubic, 0, cubic])
    terms = pc[:, :, :1] * along_x + pc[:, :, 1:] * along_y
    step = camera.scale_arcsec / 3600 * schedule.scale_factor[exposure]
    return PolyMaps(
        reference=np.zeros((1, 2)),
        scale=np.array([[-step, step]]),  # L grows to the west
        pc=pc,
        terms=terms,
        shift=np.zeros((1, 2)),
    )


def _rotations(turn: F64) -> F64:
    """Rotation matrices, shape (n, 2, 2); positive angles turn north to the east."""
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=-2)


def _tilt(camera: Camera, cells: int, slope: F64) -> F64:
    """Planes over the focal plane, seen in the cells of each chip."""
    inside = (np.arange(cells) + 0.5) / cells - 0.5
    span_l = camera.columns * (camera.chip_nx + camera.gap) / 2
    span_m = camera.rows * (camera.chip_ny + camera.gap) / 2
    centre_l, centre_m = camera.chip_centres
    along_l = (centre_l[:, None] + inside * camera.chip_nx) / span_l
    along_m = (centre_m[:, None] + inside * camera.chip_ny) / span_m
    tilt_l = slope[..., 0, None, None, None] * along_l[:, None, :]
    tilt_m = slope[..., 1, None, None, None] * along_m[:, :, None]
    return np.asarray(tilt_l + tilt_m)
