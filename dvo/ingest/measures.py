"""From an associated batch to rows of Measure, Average, SecFilt and Image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.as_matched import split_time, stored_motion
from dvo.ingest.associate import Associated
from dvo.ingest.bands import Spread
from dvo.ingest.batch import Batch, BatchImage
from dvo.ingest.detections import MOTION_COLUMNS
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.mjd import MJD_1970
from dvo.partition.manifest import CatalogRow
from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitudes import ZERO_POINT, image_offset, nominal_zero_point
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of

__all__ = [
    "add_means",
    "add_motions",
    "changed_catalogs",
    "measure_rows",
]

Array = NDArray[Any]

_MAGS = {
    "psf": ("mag", "mag_err"),
    "ap": ("m_aper", "m_aper_err"),
    "kron": ("m_kron", "m_kron_err"),
}


def measure_rows(
    batch: Batch,
    found: Associated,
    objects: ObjectSet,
    groups: Grouped,
    spread: Spread | None = None,
) -> ColumnTable:
    """Make the Measure rows of a batch.

    Parameters
    ----------
    batch : Batch
        The detections.
    found : Associated
        Objects of the measures.
    objects : ObjectSet
        The objects.
    groups : Grouped
        The measures in the order of regions and objects.
    spread : Spread, optional
        Which measures the detections give; None for one each.

    Returns
    -------
    ColumnTable
        Rows of Measure in that order.
    """
    of = found.objects.take(groups.order)
    order = groups.order if spread is None else spread.entry.take(groups.order)
    columns: dict[str, Array] = {
        "ra": batch.measured_ra.take(order),
        "dec": batch.measured_dec.take(order),
    }
    errors = zip(("ra_err", "dec_err"), batch.errors(order), strict=True)
    columns |= {name: values for name, values in errors if values is not None}
    for name in sorted(batch.names - MOTION_COLUMNS.keys()):
        given = batch.column(name, order)
        if given is not None:
            columns[name] = given
    for name in MOTION_COLUMNS.keys() & MEASURE.names:
        motion = batch.column(name, order)
        if motion is not None:
            columns[name] = stored_motion(motion)
    if spread is not None:
        columns |= spread.columns(groups.order)
    columns |= {
        "ave_ref": objects.ave_ref.take(of).astype(np.uint32),
        "obj_id": objects.obj_id.take(of),
        "cat_id": objects.cat_id.take(of),
    }
    image = batch.image.take(order)
    for name, one_each in _image_columns(batch.images).items():
        if name not in columns:
            columns[name] = one_each.take(image)
    _own_epochs(batch, order, columns)
    return ColumnTable(MEASURE, columns, len(order))


def _image_columns(images: Sequence[BatchImage]) -> dict[str, Array]:
    """Columns of Measure that are the same all over an image, one value an image."""
    seconds, thousandths = split_time(np.array([i.mjd for i in images]))
    metas = [i.meta for i in images]
    offset = [
        math.nan if m is None else image_offset(i.photcode, m.zero_point, m.zero_point_airmass)
        for i, m in zip(images, metas, strict=True)
    ]
    error = [math.nan if m is None else m.zero_point_err for m in metas]
    m_time = [math.nan if m is None else m.m_time for m in metas]
    airmass = [math.nan if m is None else m.airmass for m in metas]
    return {
        "time": seconds,
        "time_msec": thousandths,
        "photcode": np.array([i.photcode.code for i in images], np.uint16),
        "image_id": np.array([i.image_id if i.meta else 0 for i in images], np.uint32),
        "ref_id": np.array([0 if i.meta else i.image_id for i in images], np.uint32),
        "m_time": np.array(m_time, np.float32),
        "m_cal": np.array(offset, np.float32),
        "mcal_aper": np.array(offset, np.float32),
        "mag_cal_err": np.array(error, np.float32),
        "airmass": np.array(airmass, np.float32),
    }


def _own_epochs(batch: Batch, order: Array, columns: dict[str, Array]) -> None:
    """Rows of a survey that have an epoch of their own are measures of that time."""
    epoch = batch.column("epoch_mjd", order)
    if epoch is None:
        return
    has = np.isfinite(epoch)
    seconds, thousandths = split_time(np.where(has, epoch, MJD_1970))
    columns["time"] = np.where(has, seconds, columns["time"])
    columns["time_msec"] = np.where(has, thousandths, columns["time_msec"]).astype(np.uint16)


def add_means(
    batch: Batch, found: Associated, objects: ObjectSet, photcodes: PhotcodeTable, kinds: list[str]
) -> Array:
    """Bring the mean magnitudes of SecFilt up to date.

    Magnitudes of chip images (DEP photcodes) that belong to an average filter are averaged
    at level ``rel`` without colour terms, weighted by their errors, in the order of the images.

    Parameters
    ----------
    batch : Batch
        The detections.
    found : Associated
        Their objects.
    objects : ObjectSet
        The objects; their means change.
    photcodes : PhotcodeTable
        Which filter each photcode belongs to.
    kinds : list of str
        Which magnitudes there are: psf, ap, kron.

    Returns
    -------
    ndarray of int64, shape (n_det,)
        Filter whose means each detection may have changed; -1 for none.
    """
    k_of_image = np.array([_filter_of(i, photcodes) for i in batch.images], np.int64)
    k = k_of_image[batch.image]
    if (k_of_image < 0).all():
        return k
    row = np.where(k < 0, -1, found.objects.astype(np.int64) * objects.n_secfilt + k)
    shift = batch.per_image([_shift(i) for i in batch.images], "f4")
    for kind in kinds:
        mag, err = (batch.column(n) for n in _MAGS[kind])
        if mag is None:
            continue
        errors = err if err is not None else np.full(batch.n, np.nan, np.float32)
        objects.means[kind].accumulate(row, mag + shift, errors)
    kernels.count_rows(row, objects.ncode)
    return k


def _filter_of(image: BatchImage, photcodes: PhotcodeTable) -> int:
    code = image.photcode
    if code.kind is not PhotClass.DEP or source_of(code.name) is not PhotSource.CHIP:
        return -1
    return int(photcodes.sec_index_of_code[code.code])


def _shift(image: BatchImage) -> float:
    """What brings stored magnitudes of an image to level ``rel`` (no flat field yet)."""
    meta = image.meta
    if meta is None:
        return 0.0
    # Airmass and offset as they are stored, so that means made anew are the same.
    nominal = nominal_zero_point(image.photcode, float(np.float32(meta.airmass))) - ZERO_POINT
    offset = image_offset(image.photcode, meta.zero_point, meta.zero_point_airmass)
    return nominal - (float(np.float32(offset)) if np.isfinite(offset) else 0.0)


def add_motions(batch: Batch, found: Associated, objects: ObjectSet) -> bool:
    """Give objects the proper motion and parallax of a survey, where they have none.

    Parameters
    ----------
    batch : Batch
        The detections.
    found : Associated
        Their objects.
    objects : ObjectSet
        The objects; their motions change.

    Returns
    -------
    bool
        Whether any object got a motion.
    """
    u_ra, u_dec = batch.column("u_ra"), batch.column("u_dec")
    if u_ra is None or u_dec is None:
        return False
    known = np.isfinite(u_ra) & np.isfinite(u_dec)
    known &= np.isnan(objects.motion["u_ra"][found.objects])
    rows = np.flatnonzero(known)
    for name, values in objects.motion.items():
        given = batch.column(name)
        if given is not None:
            values[found.objects[rows]] = stored_motion(given[rows])
    objects.note_motions(np.unique(found.objects[rows]))
    return len(rows) > 0


def changed_catalogs(groups: Grouped, objects: ObjectSet) -> list[CatalogRow]:
    """Counts of the catalogs that a batch added measures to."""
    rows = []
    for region, n in zip(groups.regions, np.diff(groups.edges), strict=True):
        old = objects.catalogs[region]
        new = CatalogRow(
            region, old.n_average, old.next_obj_id, old.n_measure + int(n), is_sorted=False
        )
        objects.catalogs[region] = new
        rows.append(new)
    return rows
