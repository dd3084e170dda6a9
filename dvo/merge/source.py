"""Reading a source: its objects and measures, batch of regions after batch of regions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.merge.satellites import SourceSatellite, read_satellites
from dvo.partition.kernels import near_edge
from dvo.partition.nearby import regions_near
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.places import PLACE_COLUMNS, places_at
from dvo.tables.secfilt import SECFILT

__all__ = ["SourceBatch", "common_epoch", "in_batches", "read_batch", "read_rows"]

Array = NDArray[Any]

# What matching takes, and what says whose a row is.
_OUTLINE_AVERAGE = (*PLACE_COLUMNS, "ext_id")
_OUTLINE_MEASURE = ("ave_ref", "image_id", "ref_id")
_FORESEEN = 4096
_COVER_LEVEL = 3
_STEP_DEG = 0.04  # no region is narrower than twice that (0.09 deg, level 5)
_DAY_S = 86400
_DAYS = 146_100  # 1858 to 2258
_FIRST_DAY = -40_587  # MJD 0, counted from 1970


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Some regions of a source, whole.

    Parameters
    ----------
    regions : list of int
        The regions.
    edges : ndarray of int64, shape (len(regions) + 1,)
        Where the objects of each region begin in `average`, and where the last ones end.
    average, secfilt, measure : ColumnTable
        Their tables, region after region; ave_ref of a measure is a row of `average`.
    satellites : list of SourceSatellite
        Their satellite tables, of those that have rows.
    ra, dec : ndarray of float64
        Positions at the common epoch [deg]: of their objects, and after these of others
        around them, which are rivals for the same objects of ours. Empty if nothing is to be
        matched.
    """

    regions: list[int]
    edges: Array
    average: ColumnTable
    secfilt: ColumnTable
    measure: ColumnTable
    satellites: list[SourceSatellite] = field(default_factory=list)
    ra: Array = field(default_factory=lambda: np.empty(0))
    dec: Array = field(default_factory=lambda: np.empty(0))


def in_batches(view: View, regions: Sequence[int], most_rows: int) -> Iterator[list[int]]:
    """Cut regions into batches by their numbers of measures.

    Parameters
    ----------
    view : View
        The source.
    regions : sequence of int
        Which regions, ascending.
    most_rows : int
        Measures of a batch, about; a region is never cut.

    Yields
    ------
    list of int
        Regions that lie together.
    """
    batch: list[int] = []
    n_rows = 0
    for region, row in view.catalogs(regions).items():
        if batch and n_rows + row.n_measure > most_rows:
            yield batch
            batch, n_rows = [], 0
        batch.append(region)
        n_rows += row.n_measure
    if batch:
        yield batch


def read_rows(view: View, regions: list[int], *, is_outline: bool = False) -> SourceBatch:
    """Read the rows of some regions, without places to be matched.

    Parameters
    ----------
    view : View
        The source.
    regions : list of int
        Which, ascending.
    is_outline : bool
        Read only what says which object a row is of, and where the objects are: little of
        all that there is.

    Returns
    -------
    SourceBatch
        All rows; all stored columns, or those of an outline.
    """
    of_average, of_measure = AVERAGE.stored_names, MEASURE.stored_names
    secfilt = ColumnTable(SECFILT, {}, 0)
    if is_outline:
        of_average, of_measure = _OUTLINE_AVERAGE, _OUTLINE_MEASURE
    else:
        secfilt, _ = view.read_many(SECFILT, regions, SECFILT.stored_names)
    average, of_objects = view.read_many(AVERAGE, regions, of_average)
    measure, of_measures = view.read_many(MEASURE, regions, of_measure)
    moved = dict(measure.columns)
    first = np.repeat(of_objects[:-1], np.diff(of_measures))
    moved["ave_ref"] = (measure["ave_ref"] + first).astype(np.uint32)
    measure = ColumnTable(MEASURE, moved, len(measure))
    satellites = read_satellites(view, regions, of_objects, is_outline=is_outline)
    return SourceBatch(regions, of_objects, average, secfilt, measure, satellites)


def read_batch(
    view: View,
    regions: list[int],
    epoch: float,
    halo_deg: float,
    settled: set[int],
    *,
    is_outline: bool = False,
) -> SourceBatch:
    """Read some regions, with the places of their objects and of those around them.

    Parameters
    ----------
    view : View
        The source.
    regions : list of int
        Which, ascending.
    epoch : float
        Time for positions [s since 1970].
    halo_deg : float
        How far around the objects to look for others.
    settled : set of int
        Regions around them whose objects are no rivals any more.
    is_outline : bool
        As `read_rows` has it.

    Returns
    -------
    SourceBatch
        All rows; all stored columns, or those of an outline.
    """
    batch = read_rows(view, regions, is_outline=is_outline)
    ra, dec = places_at(batch.average, epoch)
    more_ra, more_dec = _neighbours(view, regions, ra, dec, halo_deg, epoch, settled)
    return replace(batch, ra=np.concatenate([ra, more_ra]), dec=np.concatenate([dec, more_dec]))


@dataclass(frozen=True, slots=True)
class _Epochs:
    """Epochs of the objects of a database.

    Parameters
    ----------
    n_still, n_moving : int
        Objects without and with known motion.
    still : float
        Median epoch of those without, to a day [s since 1970]; NaN if there are none.
    moving : float
        Median epoch of those with.
    """

    n_still: int
    n_moving: int
    still: float
    moving: float


def _read_epochs(
    view: View, regions: Sequence[int], covered: NDArray[np.bool_] | None = None
) -> _Epochs:
    """Find when objects of some regions, those in `covered`, are where they are said to be."""
    days = np.zeros((2, _DAYS), np.int64)
    names = ["mean_epoch", "u_ra"] if covered is None else ["mean_epoch", "u_ra", "ra", "dec"]
    for i in range(0, len(regions), _FORESEEN):
        table, _ = view.read_many(AVERAGE, regions[i : i + _FORESEEN], names)
        epoch = table["mean_epoch"]
        day = np.clip(epoch // _DAY_S - _FIRST_DAY, 0, _DAYS - 1)
        known = ~AVERAGE["mean_epoch"].is_null(epoch)
        if covered is not None:
            known &= covered[view.sky.locate(table["ra"], table["dec"], _COVER_LEVEL)]
        for k, mask in enumerate((np.isnan(table["u_ra"]), ~np.isnan(table["u_ra"]))):
            days[k] += np.bincount(day[mask & known], minlength=_DAYS)
    n_still, n_moving = (int(counts.sum()) for counts in days)
    return _Epochs(n_still, n_moving, _median_day(days[0]), _median_day(days[1]))


def _covered(view: View) -> NDArray[np.bool_]:
    """Mark the sky where a database has objects, in pieces that do not depend on its partition."""
    out = np.zeros(len(view.sky), np.bool_)
    regions = view.regions()
    for i in range(0, len(regions), _FORESEEN):
        table, _ = view.read_many(AVERAGE, regions[i : i + _FORESEEN], ["ra", "dec"])
        out[view.sky.locate(table["ra"], table["dec"], _COVER_LEVEL)] = True
    return out


def _regions_over(view: View, covered: NDArray[np.bool_]) -> list[int]:
    """Regions that may have objects whose mean positions are in a part of the sky."""
    reach = view.snapshot.reach
    epochs = np.array([reach.first_motion_epoch_s, reach.last_motion_epoch_s])
    near = view.partition.near_boxes(
        view.sky.bounds(np.flatnonzero(covered)), view.pad_deg + view.motion_pad_deg(epochs)
    )
    return sorted(set(view.regions()) & set(near.tolist()))


def _median_day(counts: Array) -> float:
    if not counts.any():
        return math.nan
    middle = int(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))
    return float((middle + _FIRST_DAY) * _DAY_S)


def common_epoch(source: View, base: View) -> float:
    """Find the time at which objects of a source and of ours are compared.

    Objects with known motions can be brought to any time, others are only known to be where
    they were measured. So it is the epoch of those without: of the source, or of ours in the
    same part of the sky if most objects of the source move.

    Parameters
    ----------
    source, base : View
        The source and the database.

    Returns
    -------
    float
        The time [s since 1970].
    """
    theirs = _read_epochs(source, source.regions())
    if theirs.n_moving > theirs.n_still:
        covered = _covered(source)
        ours = _read_epochs(base, _regions_over(base, covered), covered)
        if ours.n_still:
            return ours.still
    found = [t for t in (theirs.still, theirs.moving) if not math.isnan(t)]
    return found[0] if found else 0.0


def _neighbours(
    view: View,
    regions: list[int],
    ra: Array,
    dec: Array,
    reach_deg: float,
    epoch: float,
    settled: set[int],
) -> tuple[Array, Array]:
    """Positions of the objects around some regions, and perhaps of a few more."""
    own = view.partition.locate(ra, dec)
    near = regions_near(ra, dec, own, view, reach_deg + view.motion_pad_deg(np.array([epoch])))
    others = set(near) - set(regions) - settled
    filled = [r for r, row in view.catalogs(sorted(others)).items() if row.n_average > 0]
    if not filled:
        return np.empty(0), np.empty(0)
    table, _ = view.read_many(AVERAGE, filled, PLACE_COLUMNS)
    ra, dec = places_at(table, epoch)
    rows = _near_regions(ra, dec, regions, view, reach_deg)
    return ra[rows], dec[rows]


def _near_regions(ra: Array, dec: Array, regions: list[int], view: View, reach_deg: float) -> Array:
    """Positions that lie within reach of some regions, and perhaps a few more."""
    wanted = np.zeros(len(view.sky), np.bool_)
    wanted[regions] = True
    own = view.partition.locate(ra, dec)
    found, place = np.unique(own, return_inverse=True)
    bounds = view.sky.bounds(found.tolist())
    is_near = wanted[own]
    is_polar = np.abs(dec) + 2 * reach_deg > 89.0
    is_edge = near_edge(ra, dec, place.astype(np.int32), bounds, reach_deg) & ~is_near
    if reach_deg > _STEP_DEG:
        # Regions may lie between the places that are looked at below: rather a few too many.
        return np.flatnonzero(is_near | is_edge)
    rows = np.flatnonzero(is_edge & ~is_polar)
    step = 1.01 * reach_deg / np.cos(np.radians(np.abs(dec[rows]) + reach_deg))
    for dx in (-1.0, 0.0, 1.0):
        for dy in (-1.01, 0.0, 1.01):
            a = (ra[rows] + dx * step) % 360.0
            d = np.clip(dec[rows] + dy * reach_deg, -90.0, 90.0)
            is_near[rows] |= wanted[view.partition.locate(a, d)]
    return np.flatnonzero(is_near | (is_polar & is_edge))
