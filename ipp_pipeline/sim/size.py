"""How large a simulated survey will be, before it is made; and whether there is room for it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvo.errors import ConfigError
from ipp_pipeline.sim.camera import get_camera
from ipp_pipeline.sim.plan import SurveyPlan

__all__ = ["SurveySize", "check_room", "estimate_size"]

# Measured on surveys of both cameras, 100 to 80,000 detections.
_BYTES_A_DETECTION = 300
_BYTES_A_CHIP = 21_000
_BYTES_A_STAR = 125
# What satellite tables add.
_MORE_A_DETECTION = 340
_MORE_A_CHIP = 22_500
_MEMORY_A_STAR = 500
_REAL_STARS_PER_DEG2 = 60.0  # G < 10 in the Milky Way


@dataclass(frozen=True, slots=True)
class SurveySize:
    """What a survey will come to, at most; clouds and crowding leave less.

    Parameters
    ----------
    n_stars : int
        Stars drawn.
    n_detections : int
        Rows of all exposures.
    n_bytes : int
        Size of all files.
    n_memory : int
        Memory that the stars take while exposures are made [bytes].
    """

    n_stars: int
    n_detections: int
    n_bytes: int
    n_memory: int


def estimate_size(plan: SurveyPlan, *, with_real_stars: bool = False) -> SurveySize:
    """Estimate the size of a survey from its plan.

    Parameters
    ----------
    plan : SurveyPlan
        What to simulate.
    with_real_stars : bool
        Whether the bright stars of Gaia are added.

    Returns
    -------
    SurveySize
        The estimate.
    """
    camera = get_camera(plan.camera)
    density = plan.density_per_deg2 + (_REAL_STARS_PER_DEG2 if with_real_stars else 0.0)
    n_chips = len(camera.places)
    chip_deg2 = camera.chip_nx * camera.chip_ny * (camera.scale_arcsec / 3600) ** 2
    radius = min(180.0, camera.field_radius_deg + plan.dither_radius_deg + 0.05)
    field_deg2 = 2 * np.pi * (1 - np.cos(np.radians(radius))) * np.degrees(1.0) ** 2
    n_stars = int(density * field_deg2)
    n_detections = int(plan.n_exposures * n_chips * (density * chip_deg2 + plan.junk_per_chip))
    more = int(plan.satellites)
    n_bytes = (
        n_detections * (_BYTES_A_DETECTION + more * _MORE_A_DETECTION)
        + plan.n_exposures * n_chips * (_BYTES_A_CHIP + more * _MORE_A_CHIP)
        + n_stars * _BYTES_A_STAR
    )
    return SurveySize(n_stars, n_detections, n_bytes, n_stars * _MEMORY_A_STAR)


def check_room(size: SurveySize, folder: Path) -> None:
    """Refuse a survey for which the disk or the memory is too small.

    Parameters
    ----------
    size : SurveySize
        What it will come to.
    folder : Path
        Where it will be written; it need not be there yet.

    Raises
    ------
    ConfigError
        If there is no room for it.
    """
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    for need, have, what in (
        (size.n_bytes, shutil.disk_usage(place).free, f"of disk are free at {place}"),
        (size.n_memory, _memory(), "of memory are in this machine"),
    ):
        if need > have:
            raise ConfigError(
                f"a survey of {size.n_stars:,} stars and {size.n_detections:,} detections takes "
                f"{need / 1e9:,.1f} GB, but {have / 1e9:,.1f} GB {what}; take fewer exposures "
                "(--n-exp) or stars (--density)"
            )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
