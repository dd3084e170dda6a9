"""What a batch of a merge writes: new objects whole, others brought up to date, measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.associate import Associated, greatest_overhang_deg, unique_ext_ids
from dvo.ingest.measures import changed_catalogs
from dvo.ingest.object_rows import write_objects
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.merge.images import ImageMap
from dvo.merge.photcodes import PhotcodeMap
from dvo.merge.satellites import add_coming
from dvo.merge.source import SourceBatch
from dvo.partition.nearby import marked
from dvo.partition.view import View
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.averages import STORED_MAGS, averaged_filters, mean_magnitudes
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.position_error import DEFAULT_POS_ERR_ARCSEC
from dvo.tables.position_weights import measured_times, weights
from dvo.tables.satellites import SATELLITES

__all__ = ["Added", "Translation", "add_batch", "coming_measures", "kinds_of"]

Array = NDArray[Any]

_MOTION = ("u_ra", "u_dec", "u_ra_err", "u_dec_err", "par", "par_err")
# Set anew in the database, or valid for sorted catalogs only.
_OWN = frozenset(
    {"obj_id", "cat_id", "ext_id", "nmeasure", *(s.count for s in SATELLITES)}
    | {c.name for c in AVERAGE.columns if c.name.startswith("off_")}
)


@dataclass(frozen=True, slots=True)
class Translation:
    """Numbers of a source in terms of the database.

    Parameters
    ----------
    images : ImageMap
        Its images.
    photcodes : PhotcodeMap
        Its photcodes and filters.
    """

    images: ImageMap
    photcodes: PhotcodeMap


@dataclass(frozen=True, slots=True)
class Added:
    """What a batch added.

    Parameters
    ----------
    n_measures, n_matched, n_new : int
        Measures; objects that were in the database, and objects that are new.
    per_image : ndarray of int64
        Measures of each image, by its number in the database.
    pad_deg : float
        How far measures lie outside the region of their object, at most [deg].
    has_motion : bool
        Whether objects got proper motions.
    """

    n_measures: int
    n_matched: int
    n_new: int
    per_image: Array
    pad_deg: float
    has_motion: bool


def kinds_of(measure: ColumnTable) -> list[str]:
    """Mean magnitudes that measures bear on.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure.

    Returns
    -------
    list of str
        Of psf, ap and kron.
    """
    return [kind for kind, (mag, _, _) in STORED_MAGS.items() if mag in measure]


def coming_measures(batch: SourceBatch, names: Translation) -> Array:
    """Measures of a batch that are not in the database yet.

    Parameters
    ----------
    batch : SourceBatch
        The batch.
    names : Translation
        Which images and catalogs come.

    Returns
    -------
    ndarray of int64
        Rows of its Measure table.
    """
    measure, comes = batch.measure, names.images.comes
    # A measure is of an image or of a reference catalog; they share their numbers.
    numbers = measure["image_id"].astype(np.int64) + measure["ref_id"].astype(np.int64)
    return np.flatnonzero(comes[numbers])


def add_batch(
    change: Writing,
    view: View,
    objects: ObjectSet,
    batch: SourceBatch,
    coming: Array,
    rows: NDArray[np.int32],
    names: Translation,
    *,
    is_selection: bool = False,
    ext_ids: Array | None = None,
) -> Added:
    """Add a batch to a change.

    Parameters
    ----------
    change : Writing
        Where to write.
    view : View
        The newest snapshot of the database.
    objects : ObjectSet
        Its objects near the batch; changed.
    batch : SourceBatch
        The batch.
    coming : ndarray of int64
        Measures that are to come.
    rows : ndarray of int32
        Row in `objects` of each object of the batch, or -1.
    names : Translation
        Numbers of the source in terms of the database.
    is_selection : bool
        Whether measures that might come are left out.
    ext_ids : ndarray of uint64, optional
        Public id for each object of the batch that is new; None to keep those of the source,
        moved apart where ours has them already.

    Returns
    -------
    Added
        What was added.
    """
    as_given = _taken(batch.measure, coming)
    measure = _translated(as_given, names)
    of_source = measure["ave_ref"].astype(np.int64)
    is_wanted = np.zeros(len(rows), np.bool_)
    is_wanted[of_source] = True
    new = np.flatnonzero(is_wanted & (rows < 0))
    old = np.flatnonzero(is_wanted & (rows >= 0))
    n_known = objects.n
    rows = rows.copy()
    given = None if ext_ids is None else ext_ids[new]
    rows[new] = _append(objects, batch.average.take(new), view, given)
    found = rows[of_source]
    kernels.count_rows(found, objects.n_measure)
    has_motion = _give_motions(objects, batch.average, old, rows[old])
    # Where not all measures of an object come, its means are made of those that do.
    is_part = objects.n_measure[rows[new]] < batch.average["nmeasure"][new]
    objects.n_pos[rows[new[is_part]]] = 0
    is_redone = np.zeros(objects.n, np.bool_)
    is_redone[:n_known] = True
    is_redone[rows[new[is_part]]] = True
    redo = np.flatnonzero(is_redone[found])
    if len(new):
        _write_new(change, objects, batch, new, rows[new], is_part, names)
        has_motion |= bool(np.isfinite(batch.average["u_ra"][new]).any())
    if len(redo):
        _update_known(change, objects, _taken(measure, redo), found[redo], names, has_motion)
    groups = objects.group(found)
    pad = 0.0
    if len(measure):
        pad = _write_measures(change, objects, measure, found, groups, view)
        change.set_catalogs(changed_catalogs(groups, objects))
    add_coming(
        change, view, objects, batch.satellites, as_given, rows, names.images,
        names.photcodes, is_selection=is_selection,
    )  # fmt: skip
    size = len(names.images.numbers) and int(names.images.numbers.max()) + 1
    per_image = np.bincount(measure["image_id"], minlength=size)
    return Added(len(measure), len(old), len(new), per_image, pad, has_motion)


def _taken(measure: ColumnTable, rows: Array) -> ColumnTable:
    """Rows of a table, ascending; most often all of them, which then are not copied."""
    return measure if len(rows) == len(measure) else measure.take(rows)


def _translated(measure: ColumnTable, names: Translation) -> ColumnTable:
    columns = dict(measure.columns)
    for name in ("image_id", "ref_id"):
        columns[name] = names.images.numbers[measure[name].astype(np.int64)]
    columns["photcode"] = names.photcodes.codes[measure["photcode"]]
    return ColumnTable(MEASURE, columns, len(measure))


def _append(objects: ObjectSet, average: ColumnTable, view: View, ext_ids: Array | None) -> Array:
    """Give new objects their places and ids; returns their rows."""
    n, first = len(average), objects.n
    ra, dec = average["ra"], average["dec"]
    regions = view.partition.locate(ra, dec)
    objects.load(marked(regions, len(view.sky)), ())
    first = objects.n
    if n == 0:
        return np.empty(0, np.int32)
    objects.reserve(n)
    at = slice(first, first + n)
    error = average["ra_err"]
    epoch = average["mean_epoch"]
    objects.ra[at], objects.dec[at] = ra, dec
    objects.time[at] = np.where(AVERAGE["mean_epoch"].is_null(epoch), 0, epoch)
    objects.pos_err[at] = np.where(np.isnan(error), np.float32(DEFAULT_POS_ERR_ARCSEC), error)
    objects.n_pos[at] = average["number_pos"]
    if ext_ids is None:
        ext_ids = unique_ext_ids(average["ext_id"], objects.ext_id[:first])
    objects.add(first, objects.slots(regions), ext_ids)
    for name in _MOTION:
        objects.motion[name][at] = average[name]
    new_rows = np.arange(first, first + n, dtype=np.int32)
    objects.note_motions(new_rows)
    return new_rows


def _give_motions(
    objects: ObjectSet, average: ColumnTable, source: Array, rows: NDArray[np.int32]
) -> bool:
    """Give objects the motions that the source knows and the database does not."""
    u_ra, u_dec = average["u_ra"][source], average["u_dec"][source]
    lacks = np.isnan(objects.motion["u_ra"][rows])
    gets = np.flatnonzero(np.isfinite(u_ra) & np.isfinite(u_dec) & lacks)
    if len(gets) == 0:
        return False
    for name in _MOTION:
        objects.motion[name][rows[gets]] = average[name][source[gets]]
    objects.note_motions(rows[gets])
    return True


def _update_known(
    change: Writing,
    objects: ObjectSet,
    measure: ColumnTable,
    found: NDArray[np.int32],
    names: Translation,
    has_motion: bool,
) -> None:
    """Bring means of objects up to date with measures that come to them."""
    codes = names.photcodes.table
    error = weights(measure, codes, objects.time[found])
    kernels.remeasure(
        found.astype(np.int64), measure["ra"], measure["dec"], error,
        measured_times(measure), objects.kernel_arrays(), objects.pos_err, objects.n_pos,
    )  # fmt: skip
    k = averaged_filters(measure, codes)
    row = np.where(k < 0, -1, found.astype(np.int64) * objects.n_secfilt + k)
    for kind in kinds_of(measure):
        mag, err = mean_magnitudes(measure, kind, codes)
        objects.means[kind].accumulate(row, mag, err)
    kernels.count_rows(row, objects.ncode)
    write_objects(
        change, objects, Associated(found, objects.n, 0.0), objects.group(found), k,
        with_motion=has_motion, may_rewrite=False,
    )  # fmt: skip


def _write_new(
    change: Writing,
    objects: ObjectSet,
    batch: SourceBatch,
    source: Array,
    rows: Array,
    is_part: Array,
    names: Translation,
) -> None:
    """Write objects that are new, with all that the source knows of them.

    Those of which only a part comes (`is_part`) are without their mean magnitudes.
    """
    groups = objects.group(rows)
    source, rows, is_part = source[groups.order], rows[groups.order], is_part[groups.order]
    picked = batch.average.take(source).without_nulls()
    columns = {name: picked[name] for name in picked if name not in _OWN}
    columns |= {
        "obj_id": objects.obj_id[rows],
        "cat_id": objects.cat_id[rows],
        "ext_id": objects.ext_id[rows],
        "nmeasure": objects.n_measure[rows],
    }
    place = objects.ave_ref[rows]
    average = ColumnTable(AVERAGE, columns, len(rows))
    change.patch_rows(place, average, groups.regions, groups.edges, label="n")
    filters = names.photcodes.filters
    n_source, n_ours = len(filters), objects.n_secfilt
    if not len(filters) or not batch.secfilt.columns:
        return
    # A row for each filter of the source, in the order of our filters.
    order = np.argsort(filters)
    at = (source[:, None] * n_source + order).ravel()
    to = (place[:, None] * n_ours + filters[order]).ravel()
    stays = np.repeat(~is_part, n_source)
    edges = np.concatenate([[0], np.cumsum(stays)])[groups.edges * n_source]
    secfilt = batch.secfilt.take(at[stays]).without_nulls()
    if secfilt.columns and len(secfilt):
        change.patch_rows(to[stays], secfilt, groups.regions, edges, label="n")


def _write_measures(
    change: Writing,
    objects: ObjectSet,
    measure: ColumnTable,
    found: Array,
    groups: Grouped,
    view: View,
) -> float:
    """Write measures to the regions of their objects; returns how far outside they lie [deg]."""
    of = found[groups.order]
    columns = {name: values[groups.order] for name, values in measure.columns.items()}
    columns |= {
        "ave_ref": objects.ave_ref[of].astype(np.uint32),
        "obj_id": objects.obj_id[of],
        "cat_id": objects.cat_id[of],
    }
    change.add_rows(ColumnTable(MEASURE, columns, len(of)), groups.regions, groups.edges)
    homes = np.repeat(np.array(groups.regions, np.int64), np.diff(groups.edges))
    there = view.partition.locate(columns["ra"], columns["dec"])
    return greatest_overhang_deg(columns["ra"], columns["dec"], there, homes, view)
