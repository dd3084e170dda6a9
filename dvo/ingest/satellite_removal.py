"""Rows of satellite tables that go with measures, images and objects that are taken out.

Rows of an image go with the image, rows of a measure (Lensing, GalPhot) with the measure,
and all rows of an object with the object. The means of Lensing are made anew where rows went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ids import pack_id
from dvo.ingest.whole_catalogs import SatelliteRows, WholeCatalogs
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import lensing_means
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.satellites import Satellite, find_satellite

__all__ = ["Gone", "satellites_left", "with_new_means"]

Array = NDArray[Any]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """What is taken out of some catalogs.

    Parameters
    ----------
    measures : ndarray of bool
        Which of their measures go.
    detections : ndarray of uint64
        Those of them that are of images, by ``pack_id(image_id, det_id)``.
    images : ndarray of int64
        Numbers of images that go as a whole.
    """

    measures: Bool
    detections: NDArray[np.uint64]
    images: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def rows(self, satellite: Satellite, table: ColumnTable) -> Bool:
        """Tell which rows of a satellite table go.

        Parameters
        ----------
        satellite : Satellite
            Which table.
        table : ColumnTable
            Its rows.

        Returns
        -------
        ndarray of bool
            True for those.
        """
        gone = np.zeros(len(table), np.bool_)
        if not satellite.has_image:
            return gone
        images = table["image_id"]
        if len(self.images):
            gone |= np.isin(images, self.images)
        if len(self.detections) and "det_id" in table.schema:
            of_image = images > 0
            gone |= of_image & np.isin(pack_id(images, table["det_id"]), self.detections)
        return gone


def satellites_left(
    found: WholeCatalogs, average: ColumnTable, stays: Bool, gone: Gone, by_image: Array
) -> tuple[SatelliteRows, ...]:
    """Take rows out of satellite tables.

    Parameters
    ----------
    found : WholeCatalogs
        The catalogs as they are.
    average : ColumnTable
        All their objects; those that go, too. Counts and offsets are set here.
    stays : ndarray of bool, shape (n_objects,)
        Which objects stay.
    gone : Gone
        What is taken out beside the objects.
    by_image : ndarray of uint16
        Average filter of each image, by its number (`filters_of_images`).

    Returns
    -------
    tuple of (Satellite, ColumnTable, ndarray of int64)
        The tables, of those that there are; ave_ref counts the objects that stay.
    """
    left: dict[str, tuple[Satellite, ColumnTable]] = {}
    lost = np.zeros(len(average), np.bool_)  # objects that lose rows of Lensing
    for satellite, table, _ in found.satellites:
        ref = table["ave_ref"]
        is_kept = stays[ref] & ~gone.rows(satellite, table)
        if satellite.schema is LENSING:
            lost[ref[~is_kept]] = True
        if satellite.schema is LENSOBJ:
            is_kept &= ~lost[ref]
        left[satellite.schema.name] = satellite, table.take(is_kept)
    if lost.any():
        remade = _means_of(left[LENSING.name][1], lost, average, by_image)
        of_means = find_satellite(LENSOBJ.name)
        assert of_means is not None
        kept = left[LENSOBJ.name][1] if LENSOBJ.name in left else ColumnTable(LENSOBJ, {}, 0)
        left[LENSOBJ.name] = of_means, ColumnTable.concatenate(LENSOBJ, [kept, remade])
    rank = np.cumsum(stays) - 1
    return tuple(_linked(found, average, rank, *pair) for pair in left.values())


def with_new_means(
    found: WholeCatalogs, average: ColumnTable, by_image: Array
) -> tuple[SatelliteRows, ...]:
    """Make the means of Lensing anew, as images belong to other filters.

    Parameters
    ----------
    found : WholeCatalogs
        The catalogs as they are.
    average : ColumnTable
        All their objects. Counts and offsets are set here.
    by_image : ndarray of uint16
        Average filter of each image, by its number (`filters_of_images`).

    Returns
    -------
    tuple of (Satellite, ColumnTable, ndarray of int64)
        The tables, of those that there are, with another LensObj.
    """
    tables = {satellite.schema.name: (satellite, table) for satellite, table, _ in found.satellites}
    if LENSING.name not in tables:
        return found.satellites
    every = np.ones(len(average), np.bool_)
    of_means = find_satellite(LENSOBJ.name)
    assert of_means is not None
    means = _means_of(tables[LENSING.name][1], every, average, by_image)
    tables[LENSOBJ.name] = of_means, means
    rank = np.arange(len(average))
    return tuple(_linked(found, average, rank, *pair) for pair in tables.values())


def _means_of(
    lensing: ColumnTable, lost: Bool, average: ColumnTable, by_image: Array
) -> ColumnTable:
    """Means of the objects that lost rows of Lensing, of those that they have still."""
    rows = lensing.take(lost[lensing["ave_ref"]])
    means, of = lensing_means(rows, rows["ave_ref"].astype(np.int64), by_image[rows["image_id"]])
    means["ave_ref"] = of.astype(np.uint32)
    for name in ("obj_id", "cat_id"):
        means[name] = average[name][of]
    return means


def _linked(
    found: WholeCatalogs,
    average: ColumnTable,
    rank: Array,
    satellite: Satellite,
    table: ColumnTable,
) -> SatelliteRows:
    """Put rows region after region; set their objects, and counts and offsets of these."""
    ref = table["ave_ref"].astype(np.int64)
    average[satellite.count] = np.bincount(ref, minlength=len(average)).astype(np.uint32)
    average[satellite.offset] = AVERAGE[satellite.offset].nulls(len(average))
    place = np.searchsorted(found.edges, ref, side="right") - 1
    order = np.argsort(place, kind="stable")
    table = table.take(order)
    table["ave_ref"] = rank[ref[order]].astype(np.uint32)
    return satellite, table, np.searchsorted(place[order], np.arange(len(found.edges)))
