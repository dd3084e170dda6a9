"""Write a calibration: Image rows, offsets of measures, means of objects; all in one commit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.means import MEAN_MEASURE_COLUMNS, chip_means
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.partition.manifest import ALL_SKY, Part
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT

__all__ = ["write_images", "write_regions"]

I64 = NDArray[np.int64]


def write_images(change: Transaction, view: View, points: ZeroPoints) -> None:
    """Write zero points into the Image table.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    points : ZeroPoints
        New values of all its rows.
    """
    columns = {"mcal_psf": points.offset, "mcal_aper": points.offset, "dmcal": points.error,
               "n_fit_photom": points.n_fit, "flags": points.flags,
               "ubercal_dist": points.distance}  # fmt: skip
    table = ColumnTable(IMAGE, columns, len(points.offset))
    changes, start = [], 0
    for part in view.parts(IMAGE, ALL_SKY):
        if part.kind == "rows":
            changes.append((part, table.take(slice(start, start + part.n_rows))))
            start += part.n_rows
    if changes:
        change.overlay(IMAGE, changes)


def write_regions(
    change: Transaction, view: View, regions: Sequence[int], images: PhotImages, points: ZeroPoints
) -> int:
    """Give the measures of some regions the offsets of their images, and make means anew.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    regions : sequence of int
        Which regions, ascending.
    images : PhotImages
        The images as they were.
    points : ZeroPoints
        Their new values.

    Returns
    -------
    int
        Rows of SecFilt made anew.
    """
    measure, runs = view.read_many(MEASURE, regions, MEAN_MEASURE_COLUMNS, once=True)
    secfilt, sec_edges = view.read_many(SECFILT, regions, ["flags"], once=True)
    n_secfilt = view.n_secfilt
    first = sec_edges[:-1] // n_secfilt
    objects = np.repeat(first, np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    image = images.rows_of(measure["image_id"])
    is_new = image >= 0
    for name in ("m_cal", "mcal_aper"):
        values = measure[name].copy()
        values[is_new] = points.offset[image[is_new]]
        measure[name] = values
    means = chip_means(measure, objects, secfilt, images, points.flags, points.distance,
                       view.photcodes)  # fmt: skip
    columns = {name: measure[name] for name in ("m_cal", "mcal_aper")}
    columns["mag_cal_err"] = np.where(is_new, points.error[image], np.float32(np.nan))
    columns["db_flags"] = means.db_flags
    if (~is_new).any():
        old, _ = view.read_many(MEASURE, regions, ["mag_cal_err"], once=True)
        columns["mag_cal_err"][~is_new] = old["mag_cal_err"][~is_new]
    touched = np.unique(np.searchsorted(runs, np.flatnonzero(is_new), side="right") - 1).tolist()
    changes = _parts_of(view, regions, touched, runs, ColumnTable(MEASURE, columns, len(measure)))
    if changes:
        change.overlay(MEASURE, changes)
    if len(means.rows):
        edges = np.searchsorted(means.rows, sec_edges)
        of = np.repeat(np.arange(len(regions)), np.diff(edges))
        change.patch_rows(means.rows - sec_edges[of], means.secfilt, regions, edges,
                          label=f"c{regions[0]}")  # fmt: skip
    return len(means.rows)


def _parts_of(
    view: View, regions: Sequence[int], touched: Sequence[int], runs: I64, table: ColumnTable
) -> list[tuple[Part, ColumnTable]]:
    """Parts of Measure in some regions, each with its rows of a table of all of them."""
    changes = []
    for k in touched:
        start = int(runs[k])
        for part in view.parts(MEASURE, regions[k]):
            if part.kind == "rows":
                changes.append((part, table.take(slice(start, start + part.n_rows))))
                start += part.n_rows
    return changes
