"""The photcode table of a simulated survey, and where its numbers come from."""

from __future__ import annotations

from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable
from ipp_pipeline.sim.camera import FILTERS, Camera

__all__ = ["survey_photcodes"]

_FIRST_DEP = 10000
_FIRST_OF_FILTER = 100  # room for the chips of a filter


def survey_photcodes(camera: Camera) -> PhotcodeTable:
    """Photcodes of a camera: the average filters g, r, i, z, y, then each chip and filter.

    Parameters
    ----------
    camera : Camera
        The camera.

    Returns
    -------
    PhotcodeTable
        SEC photcodes 1 to 5, DEP photcodes such as GPC1.g.XY01 from 10000 on.
    """
    photcodes = [Photcode(i, name, PhotClass.SEC) for i, name in enumerate(FILTERS, start=1)]
    for i, filter_name in enumerate(FILTERS):
        photcodes += [
            Photcode(
                _FIRST_DEP + i * _FIRST_OF_FILTER + int(chip_id),
                f"{camera.name}.{filter_name}.{chip_name}",
                PhotClass.DEP,
                zero_point=camera.zero_points[i],
                airmass_slope=camera.airmass_slopes[i],
                equiv=i + 1,
                astrom_err_scale=1.0,
            )
            for chip_id, chip_name in zip(camera.chip_ids, camera.chip_names, strict=True)
        ]
    return PhotcodeTable(tuple(photcodes))
