"""Cameras to simulate: their chips, optics, throughput and noise, as designed.

What a real camera differs by from its design (mounting, flat field, zero points of single
chips) is drawn for a survey in `ipp_pipeline.sim.instrument`. Focal-plane coordinates are
pixels from the boresight; chip coordinates run from 0 to the chip's size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError

__all__ = ["CAMERAS", "FILTERS", "Camera", "get_camera"]

F64 = NDArray[np.float64]

FILTERS = ("g", "r", "i", "z", "y")


@dataclass(frozen=True, slots=True)
class Camera:
    """A mosaic of equal chips on a rectangular raster.

    Parameters
    ----------
    name : str
        Stem of the photcodes ``<name>.<filter>.<chip>``.
    columns, rows : int
        Raster of chips, in focal-plane L and M.
    empty : tuple of tuple of int
        Places (column, row) without a chip.
    chip_nx, chip_ny : int
        Size of a chip [pix].
    gap : int
        Space between chips [pix].
    scale_arcsec : float
        Nominal scale [arcsec/pix].
    cubic_per_deg2 : float
        Radial distortion: a radius r [deg] appears at r (1 + cubic_per_deg2 r^2).
    turned_columns : int
        Columns from this one on hold chips turned by 180 deg.
    fwhm_arcsec : float
        Median seeing at zenith [arcsec].
    zero_points : tuple of float
        Nominal zero point of each of `FILTERS`: magnitude of 1 count/s at airmass 1.
    airmass_slopes : tuple of float
        Extinction of each filter [mag/airmass].
    sky_mags : tuple of float
        Brightness of the sky in each filter [mag/arcsec^2].
    read_noise : float
        Noise of a pixel [counts].
    full_well : float
        Counts at which a pixel saturates.
    """

    name: str
    columns: int
    rows: int
    empty: tuple[tuple[int, int], ...]
    chip_nx: int
    chip_ny: int
    gap: int
    scale_arcsec: float
    cubic_per_deg2: float
    turned_columns: int
    fwhm_arcsec: float
    zero_points: tuple[float, ...]
    airmass_slopes: tuple[float, ...]
    sky_mags: tuple[float, ...]
    read_noise: float
    full_well: float

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Column and row of each chip, row after row."""
        return tuple(
            (column, row)
            for row in range(self.rows)
            for column in range(self.columns)
            if (column, row) not in self.empty
        )

    @property
    def chip_names(self) -> tuple[str, ...]:
        """Names such as XY01 (column 0, row 1), in order of `places`."""
        return tuple(f"XY{column}{row}" for column, row in self.places)

    @property
    def chip_ids(self) -> NDArray[np.int64]:
        """Chip numbers: column + 8 row."""
        return np.array([column + 8 * row for column, row in self.places])

    @property
    def chip_centres(self) -> tuple[F64, F64]:
        """Nominal focal-plane coordinates L, M of the chips' centres [pix]."""
        column, row = np.array(self.places, dtype=np.float64).T
        return (
            (column - (self.columns - 1) / 2) * (self.chip_nx + self.gap),
            (row - (self.rows - 1) / 2) * (self.chip_ny + self.gap),
        )

    @property
    def field_radius_deg(self) -> float:
        """Angle from the boresight that no pixel exceeds [deg]."""
        half = np.hypot(
            self.columns * (self.chip_nx + self.gap), self.rows * (self.chip_ny + self.gap)
        )
        return float(half / 2 * self.scale_arcsec / 3600 * 1.01)

    def chip_at(self, along_l: F64, along_m: F64) -> NDArray[np.int64]:
        """Chips in whose place of the raster points lie.

        Parameters
        ----------
        along_l, along_m : ndarray of float64, shape (n,)
            Focal-plane coordinates [pix].

        Returns
        -------
        ndarray of int64, shape (n,)
            Index into `places`; -1 where there is no chip. A point may still miss the
            pixels of its chip and fall into a gap.
        """
        lookup = np.full((self.columns + 2, self.rows + 2), -1, dtype=np.int64)
        for i, (column, row) in enumerate(self.places):
            lookup[column + 1, row + 1] = i
        column_of = np.floor(along_l / (self.chip_nx + self.gap) + self.columns / 2)
        row_of = np.floor(along_m / (self.chip_ny + self.gap) + self.rows / 2)
        # Points outside fall on the rim of the table, which holds no chips.
        return np.asarray(
            lookup[
                np.clip(column_of, -1, self.columns).astype(np.int64) + 1,
                np.clip(row_of, -1, self.rows).astype(np.int64) + 1,
            ]
        )


CAMERAS = {
    # Pan-STARRS 1: sizes, scale and layout of the paper; zero points and slopes of Schlafly
    # et al. (2012). Corners are empty; the chips of the right half are mounted upside down.
    "gpc1": Camera(
        name="GPC1",
        columns=8,
        rows=8,
        empty=((0, 0), (0, 7), (7, 0), (7, 7)),
        chip_nx=4846,
        chip_ny=4868,
        gap=110,
        scale_arcsec=0.257,
        cubic_per_deg2=0.0015,
        turned_columns=4,
        fwhm_arcsec=1.1,
        zero_points=(24.56, 24.76, 24.61, 24.25, 23.32),
        airmass_slopes=(0.147, 0.085, 0.044, 0.033, 0.073),
        sky_mags=(21.9, 20.9, 19.8, 19.2, 18.3),
        read_noise=8.0,
        full_well=60000.0,
    ),
    # A lens of a few centimetres: the stars of Gaia's bright catalogue are not saturated.
    "small": Camera(
        name="SIMCAM",
        columns=4,
        rows=2,
        empty=(),
        chip_nx=2048,
        chip_ny=2048,
        gap=60,
        scale_arcsec=1.0,
        cubic_per_deg2=0.002,
        turned_columns=2,
        fwhm_arcsec=2.2,
        zero_points=(17.2, 17.3, 17.1, 16.8, 16.4),
        airmass_slopes=(0.15, 0.09, 0.05, 0.04, 0.07),
        sky_mags=(21.9, 20.9, 19.8, 19.2, 18.3),
        read_noise=5.0,
        full_well=60000.0,
    ),
}
"""The cameras by name."""


def get_camera(name: str) -> Camera:
    """A camera by its name.

    Parameters
    ----------
    name : str
        ``gpc1`` or ``small``.

    Returns
    -------
    Camera
        The camera.

    Raises
    ------
    ConfigError
        If there is no such camera.
    """
    if name not in CAMERAS:
        raise ConfigError(f"no camera {name!r} to simulate; use one of {', '.join(CAMERAS)}")
    return CAMERAS[name]
