"""Rules that rows of the tables of regions keep, each by itself, and what breaks them.

Links between the tables are the business of `link_rules`; here are positions, motions,
times, errors, identifiers and photcodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvo.partition.catalog_batch import CatalogBatch
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.partition import overhang_deg
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["find_catalog_faults"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_SLACK_DEG = 1e-9
_SLACK_S = 2.0
_DAY_S = 86400
_MOST_MOTION = 100.0
"""Fastest motion that addstar takes [arcsec/yr]; the fastest star known makes 10.4."""

_TIMES = (-5_364_662_400, 7_258_118_400)
"""Years 1800 to 2200, as addstar takes them [s since 1970]."""


def find_catalog_faults(batch: CatalogBatch, times: tuple[float, float]) -> Iterator[Fault]:
    """Look for rows that break the rules.

    Parameters
    ----------
    batch : CatalogBatch
        Some regions.
    times : (float, float)
        Earliest and latest time of images and reference catalogs [s since 1970].

    Yields
    ------
    Fault
        What is wrong.
    """
    for schema, table in ((AVERAGE, batch.average), (MEASURE, batch.measure)):
        yield from _position_faults(batch, schema, table)
    yield from _motion_faults(batch)
    yield from _mean_faults(batch, times)
    yield from _time_faults(batch)
    yield from _id_faults(batch)
    for name in ("mag", "mag_ap", "mag_kron"):
        if name in batch.secfilt:
            values = batch.secfilt[name]
            yield from batch.faults(
                FaultKind.MEAN_MAGNITUDE, SECFILT, np.isinf(values), partial(_value, name, values)
            )


def _value(name: str, values: NDArray[np.generic], row: int) -> str:
    return f"{name} is {values[row]}"


def _position_faults(
    batch: CatalogBatch, schema: TableSchema, table: ColumnTable
) -> Iterator[Fault]:
    ra, dec = table["ra"], table["dec"]
    starts = batch.edges if schema is AVERAGE else batch.runs
    limits = batch.view.sky.bounds(batch.regions)
    # Nearly all rows lie in their region, and most regions of a batch may have few rows.
    low_ra, high_ra, low_dec, high_dec = (
        limits[0] if len(limits) == 1 else np.repeat(limits, np.diff(starts), axis=0).T.copy()
    )
    inside = (ra >= low_ra) & (ra <= high_ra) & (dec >= low_dec) & (dec <= high_dec)
    rows = np.flatnonzero(~(inside & (ra < 360)))
    is_none = ~((ra[rows] >= 0) & (ra[rows] < 360) & (np.abs(dec[rows]) <= 90))
    kind = FaultKind.MEAN_POSITION if schema is AVERAGE else FaultKind.VALUE
    yield from batch.faults(
        kind, schema, rows[is_none], lambda row: f"position ({ra[row]}, {dec[row]}) is none"
    )
    rows = rows[~is_none]
    at = batch.regions_of(schema, rows)
    over = overhang_deg(limits[at], ra[rows], dec[rows])
    allowed = batch.view.pad_deg + _SLACK_DEG
    far = over > allowed
    rows, at, over = rows[far], at[far], over[far]
    # Sources that move are filed where they are at the time of matching.
    motion = np.zeros(len(rows))
    for k in np.unique(at).tolist():
        own = batch.measure["time"][batch.runs[k] : batch.runs[k + 1]]
        motion[at == k] = batch.view.motion_pad_deg(own)
    far = over > allowed + motion
    where = dict(zip(rows[far].tolist(), over[far].tolist(), strict=True))
    yield from batch.faults(
        kind, schema, rows[far],
        lambda row: f"position ({ra[row]:.7f}, {dec[row]:.7f}) is {where[row] * 3600:.3f} "
        f"arcsec outside the region, {batch.view.pad_deg * 3600:.3f} are allowed",
    )  # fmt: skip


def _motion_faults(batch: CatalogBatch) -> Iterator[Fault]:
    """Cones look as far as the snapshot says objects move: what moves farther they miss."""
    average, reach = batch.average, batch.view.snapshot.reach
    if "u_ra" not in average and "u_dec" not in average:
        return
    u_ra, u_dec, epoch = average["u_ra"], average["u_dec"], average["mean_epoch"]
    is_odd = np.isinf(u_ra) | np.isinf(u_dec) | (np.isnan(u_ra) != np.isnan(u_dec))
    speed = np.hypot(u_ra.astype(np.float64), u_dec)
    is_odd |= speed > _MOST_MOTION
    yield from batch.faults(
        FaultKind.MOTION, AVERAGE, is_odd,
        lambda row: f"proper motion ({u_ra[row]}, {u_dec[row]}) arcsec/yr is none, or faster "
        f"than {_MOST_MOTION:g}",
    )  # fmt: skip
    yield from batch.faults(
        FaultKind.REACH, AVERAGE, ~is_odd & (speed > reach.max_motion_arcsec_yr * (1 + 1e-6)),
        lambda row: f"moves {speed[row]:.6g} arcsec/yr, but the snapshot says "
        f"{reach.max_motion_arcsec_yr:.6g} at most",
    )  # fmt: skip
    late = (epoch < reach.first_motion_epoch_s - _SLACK_S) | (
        epoch > reach.last_motion_epoch_s + _SLACK_S
    )
    yield from batch.faults(
        FaultKind.REACH, AVERAGE, ~is_odd & (speed > 0) & late,
        lambda row: f"moves, and has mean_epoch {epoch[row]}, but the snapshot says "
        f"{reach.first_motion_epoch_s:.0f} to {reach.last_motion_epoch_s:.0f} for such objects",
    )  # fmt: skip


def _mean_faults(batch: CatalogBatch, times: tuple[float, float]) -> Iterator[Fault]:
    """Errors, epochs and counts of mean positions are those of some of the measures."""
    average = batch.average
    n, n_pos, epoch = average["nmeasure"], average["number_pos"], average["mean_epoch"]
    yield from batch.faults(
        FaultKind.MEAN_POSITION,
        AVERAGE,
        n_pos > n,
        lambda row: f"number_pos {n_pos[row]} of {n[row]} measures",
    )
    for name in ("ra_err", "dec_err"):
        error = average[name]
        wrong = (n_pos > 0) & ~(np.isfinite(error) & (error > 0))
        yield from batch.faults(
            FaultKind.MEAN_POSITION, AVERAGE, wrong, partial(_value, name, error)
        )
    own = batch.measure["time"]
    first, last = (
        min(times[0], own.min(initial=_TIMES[1])),
        max(times[1], own.max(initial=_TIMES[0])),
    )
    yield from batch.faults(
        FaultKind.MEAN_POSITION, AVERAGE, (epoch < first - _DAY_S) | (epoch > last + _DAY_S),
        lambda row: f"mean_epoch {epoch[row]} is not between the times of measures, images and "
        f"reference catalogs, {first:.0f} to {last:.0f}",
    )  # fmt: skip


def _time_faults(batch: CatalogBatch) -> Iterator[Fault]:
    time = batch.measure["time"]
    yield from batch.faults(
        FaultKind.VALUE, MEASURE, (time < _TIMES[0]) | (time > _TIMES[1]),
        lambda row: f"time {time[row]} is not between the years 1800 and 2200",
    )  # fmt: skip
    thousandths = batch.measure["time_msec"]
    yield from batch.faults(
        FaultKind.VALUE, MEASURE, thousandths > 999, partial(_value, "time_msec", thousandths)
    )


def _id_faults(batch: CatalogBatch) -> Iterator[Fault]:
    average, photcode = batch.average, batch.measure["photcode"]
    # Objects keep the number that the region gave where they were first made, wherever they are.
    makers, maker = np.unique(average["cat_id"], return_inverse=True)
    next_ids = {row.region: row.next_obj_id for row in batch.rows}
    if not set(makers.tolist()) <= next_ids.keys():
        more = batch.view.catalogs(makers.tolist())
        next_ids |= {region: row.next_obj_id for region, row in more.items()}
    limit = np.array([next_ids.get(m, 0) for m in makers.tolist()], np.int64)[maker]
    yield from batch.faults(
        FaultKind.NEXT_ID, AVERAGE, average["obj_id"] >= limit,
        lambda row: f"obj_id {average['obj_id'][row]} of catalog {average['cat_id'][row]} is not "
        f"below {limit[row]}, the next to be given",
    )  # fmt: skip
    known = np.zeros(65536, np.bool_)
    known[[p.code for p in batch.view.photcodes]] = True
    yield from batch.faults(
        FaultKind.VALUE,
        MEASURE,
        ~known[photcode],
        lambda row: f"photcode {photcode[row]} is not in the table",
    )
