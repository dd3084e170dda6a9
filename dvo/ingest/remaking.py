"""Means of objects made anew from the measures that they have.

They come out as association made them, to the bit, had it never seen others: in its order,
with the times and places that it took.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.mean_set import MeanSet
from dvo.ingest.replay import Replay
from dvo.ingest.satellite_removal import Gone, satellites_left
from dvo.ingest.whole_catalogs import WholeCatalogs, fresh
from dvo.tables.average import AVERAGE
from dvo.tables.averages import MEAN_STEMS, averaged_filters, mean_magnitudes
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PhotcodeTable

__all__ = [
    "MOTION",
    "count_measures",
    "gives_motion",
    "redo_magnitudes",
    "redo_motions",
    "redo_positions",
    "without",
]

Array = NDArray[Any]
Bool = NDArray[np.bool_]

MOTION = ("u_ra", "u_dec", "u_ra_err", "u_dec_err", "par", "par_err")
"""Columns of Average and of Measure that a reference catalog fills for objects that move."""


def without(
    found: WholeCatalogs, gone: Gone, replay: Replay, codes: PhotcodeTable, by_image: Array
) -> WholeCatalogs:
    """Leave measures out, with what rested on them.

    Objects that lose some have means made anew of those that stay; their ids and places
    stay. A motion that came from a measure that goes is that of the next one that gives one,
    or goes too. Objects left without measures are gone, with all that is known of them; so
    are satellite rows of the measures and images that go.

    Parameters
    ----------
    found : WholeCatalogs
        The catalogs.
    gone : Gone
        What goes.
    replay : Replay
        The images and reference catalogs, those that go among them.
    codes : PhotcodeTable
        The photcodes.
    by_image : ndarray of uint16
        Average filter of each image, by its number (`filters_of_images`).

    Returns
    -------
    WholeCatalogs
        What stays, not sorted.
    """
    is_gone = gone.measures
    n = len(found.average)
    ref = found.measure["ave_ref"].astype(np.int64)
    changed = np.zeros(n, np.bool_)
    changed[ref[is_gone]] = True
    stays = np.bincount(ref[~is_gone], minlength=n) > 0
    told = np.zeros(n, np.bool_)
    told[ref[is_gone & gives_motion(found.measure)]] = True
    average = fresh(found.average)
    satellites = satellites_left(found, average, stays, gone, by_image)
    kept = found.kept(stays, ~gone.measures, satellites)
    changed, told = changed[stays], told[stays]
    average, secfilt = average.take(stays), fresh(kept.secfilt)
    measure, mine = kept.measure, kept.measure["ave_ref"].astype(np.int64)
    redone = measure.take(replay.order(measure, np.flatnonzero(changed[mine])))
    redo_motions(average, redone, told)
    redo_positions(average, redone, changed, replay, codes)
    redo_magnitudes(secfilt, redone, changed, found.n_secfilt, codes)
    count_measures(average, measure)
    return WholeCatalogs(
        kept.regions, kept.n_secfilt, average, secfilt, measure, kept.edges, kept.runs,
        kept.satellites,
    )  # fmt: skip


def gives_motion(measure: ColumnTable) -> Bool:
    """Tell which measures give their object a proper motion."""
    return np.isfinite(measure["u_ra"]) & np.isfinite(measure["u_dec"])


def redo_motions(average: ColumnTable, measure: ColumnTable, told: Bool) -> None:
    """Give objects the motion of the first of their measures that has one, or none.

    Parameters
    ----------
    average : ColumnTable
        The objects; changed.
    measure : ColumnTable
        Measures of the objects wanted, in the order in which association took them up.
    told : ndarray of bool
        Which objects are wanted.
    """
    if not told.any():
        return
    ref = measure["ave_ref"].astype(np.int64)
    rows = np.flatnonzero(gives_motion(measure) & told[ref])
    objects, first = np.unique(ref[rows], return_index=True)
    for name in MOTION:
        values = average[name].copy()
        values[told] = np.nan
        values[objects] = measure[name][rows[first]]
        average[name] = values


def redo_positions(
    average: ColumnTable, measure: ColumnTable, changed: Bool, replay: Replay, codes: PhotcodeTable
) -> None:
    """Make mean positions of some objects anew.

    Parameters
    ----------
    average : ColumnTable
        The objects; changed.
    measure : ColumnTable
        All measures of the objects wanted, in the order in which association took them up.
    changed : ndarray of bool
        Which objects are wanted.
    replay : Replay
        The images and reference catalogs.
    codes : PhotcodeTable
        The photcodes, with their error models.
    """
    if changed.any():
        replay.redo_positions(average, measure, changed, codes)


def redo_magnitudes(
    secfilt: ColumnTable, measure: ColumnTable, changed: Bool, n_secfilt: int, codes: PhotcodeTable
) -> None:
    """Make mean magnitudes of some objects anew.

    Parameters
    ----------
    secfilt : ColumnTable
        SecFilt of all objects; changed.
    measure : ColumnTable
        All measures of the objects wanted, in order.
    changed : ndarray of bool
        Which objects are wanted.
    n_secfilt : int
        Average filters.
    codes : PhotcodeTable
        The photcodes, with their filters and zero points.
    """
    k = averaged_filters(measure, codes)
    row = np.where(k < 0, -1, measure["ave_ref"].astype(np.int64) * n_secfilt + k)
    if not secfilt.columns and not (row >= 0).any():
        return
    reset = np.repeat(changed, n_secfilt)
    for kind in MEAN_STEMS:
        means = MeanSet(kind, len(secfilt))
        for name, values in means.columns().items():
            values[~reset] = secfilt[name][~reset]
        means.accumulate(row, *mean_magnitudes(measure, kind, codes))
        for name, values in means.columns().items():
            secfilt[name] = values
    ncode = np.where(reset, 0, secfilt["ncode"]).astype(np.uint32)
    kernels.count_rows(row, ncode)
    secfilt["ncode"] = ncode


def count_measures(average: ColumnTable, measure: ColumnTable) -> None:
    """Count the measures of objects; offsets become null, as the catalog is sorted no more.

    Parameters
    ----------
    average : ColumnTable
        The objects; changed.
    measure : ColumnTable
        Measures that name them.
    """
    n = len(average)
    average["nmeasure"] = np.bincount(measure["ave_ref"], minlength=n).astype(np.uint32)
    average["off_measure"] = AVERAGE["off_measure"].nulls(n)
