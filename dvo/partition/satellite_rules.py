"""Rules that tie rows of satellite tables to objects and images, and LensObj to Lensing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.catalog_batch import CatalogBatch
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.image_rules import ImageRules
from dvo.partition.manifest import ALL_SKY
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import APERTURE_RADII_ARCSEC, LENSING
from dvo.tables.lensing_means import filters_of_images, lensing_means
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.satellites import SATELLITES, Satellite

__all__ = ["find_satellite_faults"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Array = NDArray[Any]

_TOLERANCE = 1e-5  # of the size of values; means are stored in 32 bits, and joined as stored
# The scatter is as exact as the mean is.
_SCALE_OF = {f"flux_std_ap_r{n}": f"flux_ap_r{n}" for n in APERTURE_RADII_ARCSEC}


def find_satellite_faults(batch: CatalogBatch, images: ImageRules) -> Iterator[Fault]:
    """Find rows of satellite tables that break a rule.

    Parameters
    ----------
    batch : CatalogBatch
        Some regions.
    images : ImageRules
        What is known of the images.

    Yields
    ------
    Fault
        What is wrong.
    """
    for satellite in SATELLITES:
        found = batch.satellites.get(satellite.schema.name)
        if found is None:
            if satellite.count in batch.average:
                yield from _find_wrong_counts(batch, satellite, np.empty(0, np.int64))
            continue
        table, runs = found
        ref, sizes = table["ave_ref"], np.diff(runs)
        is_lost = ref >= np.repeat(np.diff(batch.edges), sizes)
        yield from batch.faults(
            FaultKind.SATELLITE, satellite.schema, is_lost,
            lambda row, ref=ref: f"ave_ref {ref[row]}: no such object",  # type: ignore[misc]
        )  # fmt: skip
        if is_lost.any():
            continue  # what they say of objects cannot be followed
        objects = np.repeat(batch.edges[:-1], sizes) + ref
        yield from _find_strangers(batch, satellite, table, objects)
        yield from _find_wrong_counts(batch, satellite, objects)
        yield from _find_disorder(batch, satellite, objects)
        yield from _find_repeats(batch, satellite, table, objects)
        if satellite.has_image:
            yield from _find_wrong_images(batch, satellite, table, images)
    yield from _find_wrong_means(batch)


def _find_strangers(
    batch: CatalogBatch, satellite: Satellite, table: ColumnTable, objects: I64
) -> Iterator[Fault]:
    """Rows whose numbers are not those of the object that they are linked to."""
    for name in ("obj_id", "cat_id"):
        own, theirs = table[name], batch.average[name][objects]

        def words(row: int, name: str = name, own: I64 = own, theirs: I64 = theirs) -> str:
            return f"{name} {own[row]}, but its object has {theirs[row]}"

        yield from batch.faults(FaultKind.SATELLITE, satellite.schema, own != theirs, words)


def _find_wrong_counts(batch: CatalogBatch, satellite: Satellite, objects: I64) -> Iterator[Fault]:
    counts = np.bincount(objects, minlength=len(batch.average))
    stated, offsets = (batch.average[n] for n in (satellite.count, satellite.offset))
    table = satellite.schema.name
    yield from batch.faults(
        FaultKind.SATELLITE_LINK, AVERAGE, counts != stated,
        lambda row: f"{satellite.count} {stated[row]}, but {counts[row]} rows of {table}",
    )  # fmt: skip
    n_objects = np.diff(batch.edges)
    before = np.concatenate([[0], np.cumsum(counts)])
    first = before[:-1] - np.repeat(before[batch.edges[:-1]], n_objects)
    is_sorted = np.repeat([row.is_sorted for row in batch.rows], n_objects).astype(np.bool_)
    wrong = is_sorted & (counts > 0) & (offsets != first)
    yield from batch.faults(
        FaultKind.SATELLITE_LINK, AVERAGE, wrong,
        lambda row: f"{satellite.offset} {offsets[row]} is not where its rows begin",
    )  # fmt: skip


def _find_disorder(batch: CatalogBatch, satellite: Satellite, objects: I64) -> Iterator[Fault]:
    """In a sorted catalog the rows of an object lie together, in the order of objects."""
    down = np.flatnonzero(objects[1:] < objects[:-1]) + 1
    is_sorted = np.array([row.is_sorted for row in batch.rows], np.bool_)
    down = down[is_sorted[batch.regions_of(satellite.schema, down)]]
    yield from batch.faults(
        FaultKind.SATELLITE_LINK, satellite.schema, down,
        lambda _: "out of the order of objects in a sorted catalog",
    )  # fmt: skip


def _find_repeats(
    batch: CatalogBatch, satellite: Satellite, table: ColumnTable, objects: I64
) -> Iterator[Fault]:
    if not satellite.key:
        return
    keys = [table[name] for name in satellite.key]
    rows = np.lexsort((*keys[::-1], objects))
    if satellite.has_image:
        rows = rows[table["image_id"][rows] > 0]
    same = objects[rows[1:]] == objects[rows[:-1]]
    for key in keys:
        same &= key[rows[1:]] == key[rows[:-1]]

    def words(row: int) -> str:
        values = ", ".join(f"{n} {k[row]}" for n, k in zip(satellite.key, keys, strict=True))
        return f"{values} of its object is there twice"

    twice = np.sort(rows[1:][same])
    yield from batch.faults(FaultKind.SATELLITE_REPEAT, satellite.schema, twice, words)


def _find_wrong_images(
    batch: CatalogBatch, satellite: Satellite, table: ColumnTable, images: ImageRules
) -> Iterator[Fault]:
    ids = table["image_id"]
    is_known, codes = images.find(ids.astype(np.int64))
    yield from batch.faults(
        FaultKind.SATELLITE, satellite.schema, (ids > 0) & ~is_known,
        lambda row: f"image_id {ids[row]} is no image",
    )  # fmt: skip
    if "photcode" in table.schema:
        own = table["photcode"]
        yield from batch.faults(
            FaultKind.SATELLITE, satellite.schema, is_known & (own != codes),
            lambda row: f"photcode {own[row]}, but its image {ids[row]} has {codes[row]}",
        )  # fmt: skip


def _find_wrong_means(batch: CatalogBatch) -> Iterator[Fault]:
    """LensObj has a row for each object and filter of Lensing: its means."""
    if LENSING.name not in batch.satellites and LENSOBJ.name not in batch.satellites:
        return
    view, regions = batch.view, batch.regions.tolist()
    lensing, lensing_runs = view.read_many(LENSING, regions, LENSING.stored_names)
    stored, runs = view.read_many(LENSOBJ, regions, LENSOBJ.stored_names)
    images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
    by_image = filters_of_images(images, view.photcodes)
    ids = np.where(lensing["image_id"] < len(by_image), lensing["image_id"], 0)
    objects = np.repeat(batch.edges[:-1], np.diff(lensing_runs)) + lensing["ave_ref"]
    means, of = lensing_means(lensing, objects, by_image[ids])
    keys = of * 65536 + means["photcode"]
    own = np.repeat(batch.edges[:-1], np.diff(runs)) + stored["ave_ref"]
    found = own * 65536 + stored["photcode"]
    is_mean = np.isin(found, keys)
    yield from batch.faults(
        FaultKind.LENSING_MEAN, LENSOBJ, ~is_mean,
        lambda row: f"no row of Lensing is in filter {stored['photcode'][row]} of its object",
    )  # fmt: skip
    lacks = np.zeros(len(lensing), np.bool_)
    if not np.isin(keys, found).all():
        own_keys = objects * 65536 + by_image[ids]
        lacks = (by_image[ids] > 0) & ~np.isin(own_keys, found)
    yield from batch.faults(
        FaultKind.LENSING_MEAN, LENSING, lacks, lambda _: "its object has no means in its filter"
    )
    rows = np.flatnonzero(is_mean)
    expected = means.take(np.searchsorted(keys, found[rows]))
    scale = _scales(lensing, objects, by_image[ids]).take(np.searchsorted(keys, found[rows]))
    for name in means:
        wrong = ~_is_near(stored[name][rows], expected[name], scale[_SCALE_OF.get(name, name)])
        yield from batch.faults(
            FaultKind.LENSING_MEAN, LENSOBJ, rows[wrong], partial(_unlike, stored, name)
        )


def _scales(lensing: ColumnTable, objects: I64, filters: NDArray[np.uint16]) -> ColumnTable:
    """Means of the sizes of values: means that were joined are rounded to a part of these."""
    sizes = {name: np.abs(lensing[name]) for name in lensing if lensing[name].dtype.kind == "f"}
    links = {name: lensing[name] for name in ("image_id", "det_id")}
    return lensing_means(ColumnTable(LENSING, sizes | links, len(lensing)), objects, filters)[0]


def _is_near(stored: Array, expected: Array, scale: Array) -> Bool:
    one, two, size = (v.astype(np.float64) for v in (stored, expected, scale))
    slack = _TOLERANCE * np.where(np.isfinite(size), size, 0.0)
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    with np.errstate(invalid="ignore"):
        return np.asarray(same | (np.abs(one - two) <= slack))


def _unlike(stored: ColumnTable, name: str, row: int) -> str:
    return f"{name} {stored[name][row]} is not what its rows of Lensing give"
