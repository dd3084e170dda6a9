"""Taking images out of a database: their measures go, and what rested on them is redone.

Objects that keep measures get means made anew from these, in the order of the images;
objects left without any are gone. The catalogs concerned are rewritten whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.mean_set import MEAN_STEMS, MeanSet
from dvo.ingest.position_error import position_error
from dvo.partition.manifest import ALL_SKY, CatalogRow
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.magnitudes import calibrated, nominal_zero_point
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of
from dvo.tables.secfilt import SECFILT

__all__ = ["remove_images"]

Array = NDArray[Any]

_MAGS = {"psf": ("mag", "mag_err", "m_cal"), "ap": ("m_aper", "m_aper_err", "mcal_aper"),
         "kron": ("m_kron", "m_kron_err", "mcal_aper")}  # fmt: skip


def remove_images(change: Transaction, view: View, image_ids: Sequence[int]) -> View:
    """Take images out, with their measures.

    Parameters
    ----------
    change : Transaction
        Where the removal is to become part of.
    view : View
        The newest snapshot.
    image_ids : sequence of int
        Numbers of the images.

    Returns
    -------
    View
        The snapshot without them, for what the change does next.
    """
    gone = np.array(sorted(image_ids), np.uint32)
    tables: dict[int, list[ColumnTable]] = {}
    rows = []
    for region in view.regions():
        ids = view.read(MEASURE, region, ["image_id"])["image_id"]
        if np.isin(ids, gone).any():
            kept = _without(view, region, gone)
            old = view.catalog(region)
            row = CatalogRow(region, len(kept[0]), old.next_obj_id, len(kept[2]), is_sorted=False)
            change.put_catalog(region, kept, level="fast")
            tables[region] = list(kept)
            rows.append(row)
    change.set_catalogs(rows)
    images = view.read(IMAGE, ALL_SKY)
    stay = ~np.isin(images["image_id"], gone)
    change.put_global(images.take(stay), "Images.kept", replace_all=True)
    n_chips = int(np.count_nonzero(~stay & (images["photcode"] != 0)))
    change.set_images(dropped=image_ids, n_more=-n_chips)
    return view.changed(tables, rows)


def _without(view: View, region: int, gone: Array) -> tuple[ColumnTable, ColumnTable, ColumnTable]:
    """Tables of a region without the measures of some images."""
    average, secfilt, measure = (
        view.read(t, region, t.stored_names) for t in (AVERAGE, SECFILT, MEASURE)
    )
    is_gone = np.isin(measure["image_id"], gone)
    changed = np.zeros(len(average), np.bool_)
    changed[measure["ave_ref"][is_gone]] = True
    measure = measure.take(~is_gone)
    ref = measure["ave_ref"].astype(np.int64)
    counts = np.bincount(ref, minlength=len(average)).astype(np.uint32)
    rows = np.flatnonzero(changed[ref])
    average, secfilt = _fresh(average), _fresh(secfilt)
    average["nmeasure"] = counts
    _redo_positions(average, measure, rows, changed, view.photcodes)
    _redo_means(secfilt, measure, rows, changed, view)
    stays = counts > 0
    new_row = np.cumsum(stays) - 1
    measure["ave_ref"] = new_row[ref].astype(np.uint32)
    return average.take(stays), secfilt.take(np.repeat(stays, view.n_secfilt)), measure


def _fresh(table: ColumnTable) -> ColumnTable:
    """A copy whose arrays may be changed."""
    copies = {name: values.copy() for name, values in table.columns.items()}
    return ColumnTable(table.schema, copies, len(table))


def _redo_positions(
    average: ColumnTable, measure: ColumnTable, rows: Array, changed: Array, codes: PhotcodeTable
) -> None:
    code = measure["photcode"][rows]
    ra_err, dec_err, mag_err = (measure[name][rows] for name in ("ra_err", "dec_err", "mag_err"))
    sys2, scale, mag_scale = (term[code] for term in _error_model(codes))
    error = position_error(len(rows), ra_err, dec_err, mag_err, (sys2, scale, mag_scale))
    moving = ~np.isnan(average["u_ra"])
    state = (average["ra"].copy(), average["dec"].copy(), average["u_ra"].copy(),
             average["u_dec"].copy(), average["mean_epoch"].astype(np.float64))  # fmt: skip
    n_pos = average["number_pos"].copy()
    # The place of a moving object at its epoch is not in one measure; it is kept.
    n_pos[changed & ~moving] = 0
    pos_err = average["ra_err"].copy()
    redo = ~moving[measure["ave_ref"][rows]]
    picked = rows[redo]
    times = measure["time"][picked] + measure["time_msec"][picked] / 1000.0
    kernels.remeasure(
        measure["ave_ref"][picked].astype(np.int64), measure["ra"][picked], measure["dec"][picked],
        error[redo], times, state, pos_err, n_pos,
    )  # fmt: skip
    average["ra"], average["dec"] = state[0], state[1]
    average["mean_epoch"] = state[4].astype(np.int64)
    average["ra_err"], average["dec_err"], average["number_pos"] = pos_err, pos_err, n_pos


def _error_model(codes: PhotcodeTable) -> tuple[Array, Array, Array]:
    sys2, scale, mag_scale = np.zeros(65536), np.ones(65536), np.zeros(65536)
    for photcode in codes:
        sys2[photcode.code] = photcode.astrom_err_sys**2
        scale[photcode.code] = photcode.astrom_err_scale or 1.0
        mag_scale[photcode.code] = photcode.astrom_err_mag_scale
    return sys2, scale, mag_scale


def _redo_means(
    secfilt: ColumnTable, measure: ColumnTable, rows: Array, changed: Array, view: View
) -> None:
    if len(secfilt) == 0 or not secfilt.columns:
        return
    n = view.n_secfilt
    k = _filters(view.photcodes)[measure["photcode"][rows]]
    row = np.where(k < 0, -1, measure["ave_ref"][rows].astype(np.int64) * n + k)
    reset = np.repeat(changed, n)
    zero = np.array([nominal_zero_point(p, 1.0) for p in view.photcodes])
    by_code = np.full(65536, np.nan)
    slope = np.zeros(65536)
    for photcode, value in zip(view.photcodes, zero, strict=True):
        by_code[photcode.code] = value
        slope[photcode.code] = value - nominal_zero_point(photcode, 2.0)
    code = measure["photcode"][rows]
    points = by_code[code] - slope[code] * np.nan_to_num(measure["airmass"][rows] - 1.0)
    for kind in MEAN_STEMS:
        mag, err, offset = (measure[c][rows] for c in _MAGS[kind])
        means = MeanSet(kind, len(secfilt))
        for name, slot in zip(means.columns(), _slots(kind), strict=True):
            setattr(means, slot, np.where(reset, SECFILT[name].nulls(1)[0], secfilt[name]).astype(
                SECFILT[name].dtype))  # fmt: skip
        values = calibrated(mag, points, offset, measure["m_flat"][rows]).astype(np.float32)
        kernels.accumulate_magnitudes(
            row, values, err, 0.001, 0.1, means.mean, means.err, means.chi, means.stdev,
            means.least, means.most, means.n_used,
        )  # fmt: skip
        for name, array in means.columns().items():
            secfilt[name] = array
    ncode = np.where(reset, 0, secfilt["ncode"]).astype(np.uint32)
    kernels.count_rows(row, ncode)
    secfilt["ncode"] = ncode


def _slots(kind: str) -> tuple[str, ...]:
    own = ("mean", "err", "stdev", "n_used")
    return (*own, "chi", "least", "most") if kind == "psf" else own


def _filters(codes: PhotcodeTable) -> Array:
    """Filter k of every code whose measures are averaged; -1 for the others."""
    k = codes.sec_index_of_code.astype(np.int64).copy()
    for photcode in codes:
        is_chip = source_of(photcode.name) is PhotSource.CHIP
        if photcode.kind is not PhotClass.DEP or not is_chip:
            k[photcode.code] = -1
    return k
