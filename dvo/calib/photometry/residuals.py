"""Residuals of measures about the means of their stars, for the report of a calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.kernels import MASK_SHARE, weigh_measures
from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.measures import MEASURE_COLUMNS, StarLimits, is_good
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.calib.report.figures import ImagePoints
from dvo.calib.report.page import write_report
from dvo.calib.report.sky_grid import grid_of_images
from dvo.calib.report.tally import Residuals, ResidualTally
from dvo.mjd import mjd_of
from dvo.partition.manifest import ALL_SKY
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.tables.averages import averaged_filters, nominal_shift
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.ranks import photometric_error

__all__ = ["image_points", "report_residuals", "tally_residuals"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_CODES = 65536
_PLACES = ("ra", "dec", "x_ccd", "y_ccd")
_LEAST_SHARE = 1e-3
_LEAST_KEPT = 2


def image_points(view: View, filters: Sequence[int], images: PhotImages,
                 points: ZeroPoints) -> ImagePoints:  # fmt: skip
    """Zero points as the report shows them.

    Parameters
    ----------
    view : View
        The snapshot.
    filters : sequence of int
        Filters of SecFilt, as of `tally_residuals`.
    images : PhotImages
        The images.
    points : ZeroPoints
        What has been found of them.

    Returns
    -------
    ImagePoints
        Of the images of these filters.
    """
    rows = np.flatnonzero(images.is_wanted)
    table = view.read(IMAGE, ALL_SKY, ["time", "time_msec"])
    of_filter = view.photcodes.sec_index_of_code[images.table["photcode"][rows]]
    poor = np.uint32(ImageFlag.PHOTOM_POOR | ImageFlag.PHOTOM_FEW)
    return ImagePoints(
        mjd_of(table["time"][rows].astype(np.int64), table["time_msec"][rows]),
        points.offset[rows].astype(np.float64),
        points.error[rows].astype(np.float64),
        np.searchsorted(filters, of_filter).astype(np.int64),
        (points.flags[rows] & poor) != 0,
    )


def tally_residuals(
    view: View,
    filters: Sequence[int],
    images: PhotImages,
    points: ZeroPoints,
    limits: StarLimits,
    *,
    flats: FlatFields | None = None,
    progress: Callable[[str], None] | None = None,
) -> ResidualTally:
    """Read the measures that zero points were made of, and add up what is left of them.

    Parameters
    ----------
    view : View
        The snapshot that the calibration was made of.
    filters : sequence of int
        Filters of SecFilt, ascending.
    images : PhotImages
        The images.
    points : ZeroPoints
        What has been found of them.
    limits : StarLimits
        Which measures count.
    flats : FlatFields, optional
        Flat fields that were found, in place of those before.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    ResidualTally
        Of these filters.
    """
    chips, chip_of = _chips(view.photcodes, filters)
    table = view.read(IMAGE, ALL_SKY, ["ra_center", "dec_center", "radius"])
    place = (table[n][images.is_wanted].astype(np.float64)
             for n in ("ra_center", "dec_center", "radius"))  # fmt: skip
    tally = ResidualTally([view.photcodes.sec[k].name for k in filters], chips,
                          grid_of_images(*place))  # fmt: skip
    regions, done = images.regions(view), 0
    for some in region_batches(view, regions):
        tally.add(_residuals(view, some, filters, images, points, limits, flats, chip_of))
        done += len(some)
        if progress is not None:
            progress(f"{done} of {len(regions)} regions in the report")
    return tally


def report_residuals(
    folder: Path, title: str, facts: Mapping[str, Any], view: View, filters: Sequence[int],
    images: PhotImages, points: ZeroPoints, limits: StarLimits, *,
    flats: FlatFields | None = None, progress: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Write the report of a program that gives images zero points.

    Parameters
    ----------
    folder : Path
        Where; see `check_report_folder`.
    title : str
        Heading of the page.
    facts : mapping
        What was done, for JSON.
    view : View
        This and the others are as of `tally_residuals`.
    filters : sequence of int
        Filters of SecFilt, ascending.
    images : PhotImages
        The images.
    points : ZeroPoints
        What has been found of them.
    limits : StarLimits
        Which measures count.
    flats : FlatFields, optional
        Flat fields that were found.
    progress : callable, optional
        Called with what is being done.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    tally = tally_residuals(view, filters, images, points, limits, flats=flats, progress=progress)
    write_report(folder, title, facts, tally, image_points(view, filters, images, points))


def _chips(codes: PhotcodeTable, filters: Sequence[int]) -> tuple[list[str], I64]:
    """Names of the chips, and the chip of each photcode; GPC1.g.XY33 and GPC1.r.XY33 are one."""
    names: dict[int, str] = {}
    for photcode in codes:
        if (
            photcode.kind is PhotClass.DEP
            and codes.sec_index_of_code[photcode.code] in filters
        ):  # fmt: skip
            words = photcode.name.split(".")
            names[photcode.code] = words[2] if len(words) == 3 else words[0]
    chips = sorted(set(names.values()))
    chip_of = np.full(_CODES, -1, np.int64)
    for code, name in names.items():
        chip_of[code] = chips.index(name)
    return chips, chip_of


def _residuals(
    view: View,
    regions: Sequence[int],
    filters: Sequence[int],
    images: PhotImages,
    points: ZeroPoints,
    limits: StarLimits,
    flats: FlatFields | None,
    chip_of: I64,
) -> Residuals:
    codes = view.photcodes
    columns = dict.fromkeys((*MEASURE_COLUMNS, *_PLACES))
    measure, runs = view.read_many(MEASURE, regions, columns, once=True)
    first = np.cumsum([0, *(view.catalog(r).n_average for r in regions)])[:-1]
    objects = np.repeat(first, np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    image, k = images.rows_of(measure["image_id"]), averaged_filters(measure, codes)
    good = np.flatnonzero((image >= 0) & np.isin(k, filters) & is_good(measure, codes, limits))
    good = good[np.isfinite(points.offset[image[good]])]
    _, star, counts = np.unique(objects[good] * view.n_secfilt + k[good], return_inverse=True,
                                return_counts=True)  # fmt: skip
    enough = counts[star] >= limits.least_measures
    good, star = good[enough], np.unique(star[enough], return_inverse=True)[1]
    counts = np.bincount(star)
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    order = rows_by_object(star.astype(np.int64), measure["time"][good], edges)
    rows, star = good[order], star[order]
    some = measure.take(rows)
    flat = some["m_flat"]
    if flats is not None:
        new = flats.offsets(some["photcode"], some["time"], some["x_ccd"], some["y_ccd"])
        flat = np.where(flats.has_photcode(some["photcode"]), new, flat)
    y = some["mag"] + nominal_shift(some, codes) - points.offset[image[rows]]
    y = np.asarray(y - np.nan_to_num(flat), np.float64)
    error = photometric_error(some["mag_err"], some["photcode"], codes)
    residual, mean = _about_means(edges, y, error**-2.0)
    return Residuals(
        residual, error, mean[star],
        np.searchsorted(filters, k[rows]).astype(np.int64), chip_of[some["photcode"]],
        some["ra"], some["dec"], some["x_ccd"].astype(np.float64),
        some["y_ccd"].astype(np.float64),
    )  # fmt: skip


def _about_means(edges: I64, y: F64, weight: F64) -> tuple[F64, F64]:
    """Residuals of measures as if the means of their stars were known, and these means.

    Means are those of the measures that are not masked. Robust means lie nearer to the middle one
    of few measures than to the truth: scatter about them is too small by 9 per cent of 3
    measures, and by 2 of 14.
    """
    n = len(edges) - 1
    used, mean, chi2 = np.empty(len(y)), np.empty(n), np.empty(n)
    weigh_measures(edges, y, weight, True, np.inf, used, mean, chi2, np.zeros(7))
    star = np.repeat(np.arange(n), np.diff(edges))
    kept = used > MASK_SHARE * weight
    kept |= (np.bincount(star[kept], minlength=n) < _LEAST_KEPT)[star]
    total = np.bincount(star, weight * kept, n)
    mean = np.bincount(star, weight * kept * y, n) / total
    # A mean that a measure had part in lies nearer to it than the truth, another one farther.
    share = weight / total[star]
    factor = np.where(kept, 1.0 - share, 1.0 + share)
    return (y - mean[star]) / np.sqrt(np.maximum(factor, _LEAST_SHARE)), mean
