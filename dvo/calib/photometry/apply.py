"""Write a calibration: Image rows, offsets of measures, means of objects; all in one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.means import MEAN_MEASURE_COLUMNS, chip_means
from dvo.calib.photometry.skycell_fluxes import FLUX_COLUMNS, SkycellMeasures
from dvo.calib.photometry.skycell_means import SkycellMeans, stack_means, warp_means
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.partition.manifest import ALL_SKY
from dvo.partition.region_batches import region_batches
from dvo.partition.staged import pack_columns, read_lent_columns
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Group, Runner, register_write, write_groups
from dvo.partition.writing import Writing
from dvo.tables.column_table import ColumnTable
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE
from dvo.tables.image import IMAGE
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.photsource import PhotSource
from dvo.tables.secfilt import SECFILT

__all__ = ["write_catalogs", "write_images", "write_regions"]

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]

_OPERATION = "calibrate"
_OF_IMAGES = ("is_wanted", "is_ubercal", "is_selected")
_POINTS = tuple(field.name for field in fields(ZeroPoints))


def write_images(
    change: Transaction,
    images: PhotImages,
    points: ZeroPoints,
    map_id: NDArray[np.uint32] | None = None,
) -> None:
    """Write zero points into the Image table.

    Parameters
    ----------
    change : Transaction
        Where to write.
    images : PhotImages
        The images.
    points : ZeroPoints
        New values of all rows of the table.
    map_id : ndarray of uint32, shape (n_images,), optional
        The flat field of each, 0 if none, where flat fields have changed.
    """
    columns: dict[str, NDArray[np.generic]] = {
        "mcal_psf": points.offset, "mcal_aper": points.aperture, "dmcal": points.error,
        "n_fit_photom": points.n_fit, "flags": points.flags, "ubercal_dist": points.distance,
    }  # fmt: skip
    if map_id is not None:
        columns["photom_map_id"] = map_id
    table = ColumnTable(IMAGE, columns, len(images))
    change.overlay_rows(table, [ALL_SKY], np.array([0, len(images)]), images.is_selected)


def write_catalogs(
    change: Transaction,
    view: View,
    regions: Sequence[int],
    images: PhotImages,
    points: ZeroPoints,
    flats: FlatFields | None = None,
    *,
    engine: Runner | None = None,
    say: Callable[[str], None],
) -> int:
    """Do `write_regions` for any number of regions, some at a time.

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
    flats : FlatFields, optional
        Flat fields that have changed.
    engine : Runner, optional
        Where it is done; None for the threads of this process.
    say : callable
        Called with what has been done.

    Returns
    -------
    int
        Rows of SecFilt made anew.
    """
    columns = {n: getattr(images, n) for n in _OF_IMAGES} | {n: getattr(points, n) for n in _POINTS}
    request = {
        "images": change.lend(pack_columns(columns)),
        "flats": None if flats is None else [
            change.lend(pack_columns({n: table[n] for n in table.schema.names}))
            for table in (flats.corrections, flats.cells)
        ],
    }  # fmt: skip
    groups: list[Group] = []
    for some in region_batches(view, regions):
        rows = view.catalogs(some)
        groups.append((some, sum(rows[region].n_measure for region in some)))
    facts = write_groups(
        change,
        _OPERATION,
        request,
        groups,
        engine=engine,
        progress=lambda done, n: say(f"{done} of {n} regions written"),
    )
    return sum(found["n_means"] for found in facts)


def _write_group(
    change: Writing, regions: Sequence[int], request: Mapping[str, Any]
) -> dict[str, int]:
    """Write some regions: the write operation."""
    view = change.base
    lent = partial(read_lent_columns, view.catdir, change.token)
    given = lent(request["images"])
    changed: dict[str, Any] = {n: given[n] for n in _OF_IMAGES}
    images = replace(PhotImages.read(view, ()), **changed)
    points = ZeroPoints(**{n: given[n] for n in _POINTS})
    flats = None
    if request["flats"] is not None:
        flats = FlatFields(*(
            ColumnTable(schema, lent(name)) for schema, name in
            zip((FLAT_CORRECTION_IMAGE, FLAT_CORRECTION), request["flats"], strict=True)
        ))  # fmt: skip
    return {"n_means": write_regions(change, view, regions, images, points, flats)}


def write_regions(
    change: Writing,
    view: View,
    regions: Sequence[int],
    images: PhotImages,
    points: ZeroPoints,
    flats: FlatFields | None = None,
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
    flats : FlatFields, optional
        Flat fields that have changed: the measures of their photcodes get what they say.

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
    for name, offset in (("m_cal", points.offset), ("mcal_aper", points.aperture)):
        measure[name] = np.where(is_new, offset[image], measure[name])
    if flats is not None:
        measure["m_flat"] = _with_flats(view, regions, measure, flats, is_new)
    means = chip_means(measure, objects, secfilt, images, points.flags, points.distance,
                       view.photcodes)  # fmt: skip
    secfilt["flags"] = secfilt["flags"].copy()
    secfilt["flags"][means.rows] = means.secfilt["flags"]
    measure["db_flags"] = means.db_flags
    of_skycells = _skycell_means(view, regions, measure, objects, secfilt, images, points)
    changed = ("m_cal", "mcal_aper") if flats is None else ("m_cal", "mcal_aper", "m_flat")
    columns = {name: measure[name] for name in (*changed, "db_flags")}
    columns["mag_cal_err"] = np.where(is_new, points.error[image], np.float32(np.nan))
    if (~is_new).any():
        old, _ = view.read_many(MEASURE, regions, ["mag_cal_err"], once=True)
        columns["mag_cal_err"][~is_new] = old["mag_cal_err"][~is_new]
    change.overlay_rows(ColumnTable(MEASURE, columns, len(measure)), regions, runs, is_new)
    patches = [(means.rows, means.secfilt), *((m.rows, m.secfilt) for m in of_skycells)]
    for label, (rows, table) in zip("csw", patches, strict=False):
        if len(rows):
            if "flags" in table:  # chips and stacks have their own bits of it
                table["flags"] = secfilt["flags"][rows]
            edges = np.searchsorted(rows, sec_edges)
            of = np.repeat(np.arange(len(regions)), np.diff(edges))
            change.patch_rows(rows - sec_edges[of], table, regions, edges,
                              label=f"{label}{regions[0]}")  # fmt: skip
    return len(means.rows)


def _skycell_means(
    view: View, regions: Sequence[int], measure: ColumnTable, objects: I64, secfilt: ColumnTable,
    images: PhotImages, points: ZeroPoints,
) -> list[SkycellMeans]:  # fmt: skip
    """Stacks, then warps, where there are any; flags in the tables are changed in place."""
    codes = view.photcodes
    if not (images.is_wanted & ~images.is_chip).any():
        return []
    fluxes, _ = view.read_many(MEASURE, regions, FLUX_COLUMNS, once=True)
    for name in FLUX_COLUMNS:
        measure[name] = fluxes[name]
    edges = np.concatenate([[0], np.cumsum(np.bincount(objects))]).astype(np.int64)
    order = rows_by_object(objects, measure["time"], edges)
    places = np.empty(len(objects), np.int64)
    places[order] = np.arange(len(objects)) - edges[objects[order]]
    stacks = SkycellMeasures.of(PhotSource.STACK, measure, objects, images, codes)
    of_stacks, best = stack_means(stacks, places[stacks.rows], secfilt["flags"], images, codes)
    secfilt["flags"][of_stacks.rows] = of_stacks.secfilt["flags"]
    warps = SkycellMeasures.of(PhotSource.WARP, measure, objects, images, codes)
    of_warps = warp_means(warps, best, images, points.flags, codes)
    for some, found in ((stacks, of_stacks), (warps, of_warps)):
        measure["db_flags"][some.rows] = found.db_flags
    return [of_stacks, of_warps]


def _with_flats(
    view: View, regions: Sequence[int], measure: ColumnTable, flats: FlatFields, is_new: Bool
) -> NDArray[np.float32]:
    """Mflat of measures, that of some made anew."""
    place, _ = view.read_many(MEASURE, regions, ["x_ccd", "y_ccd"], once=True)
    some = is_new & flats.has_photcode(measure["photcode"])
    values = flats.offsets(measure["photcode"], measure["time"], place["x_ccd"], place["y_ccd"])
    return np.where(some, values, measure["m_flat"])


register_write(_OPERATION, _write_group)
