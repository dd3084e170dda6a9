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
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensing_means import filters_of_images, lensing_means
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.satellites import SATELLITES, Satellite

__all__ = ["Gone", "holds_rows", "satellites_left"]

Array = NDArray[Any]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """What is taken out.

    Parameters
    ----------
    images : ndarray of uint32
        Numbers of images that go as a whole.
    measures : ndarray of uint64
        Measures that go, by ``pack_id(image_id, det_id)``.
    """

    images: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    measures: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

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
        if len(self.measures) and "det_id" in table.schema:
            of_image = images > 0
            gone |= of_image & np.isin(pack_id(images, table["det_id"]), self.measures)
        return gone


def holds_rows(view: View, region: int, gone: Gone) -> bool:
    """Tell whether satellite tables of a region have rows that go.

    Parameters
    ----------
    view : View
        The snapshot.
    region : int
        The region.
    gone : Gone
        What is taken out.

    Returns
    -------
    bool
        True if there is one.
    """
    for satellite in SATELLITES:
        if satellite.has_image and view.parts(satellite.schema, region):
            names = [n for n in ("image_id", "det_id") if n in satellite.schema]
            if gone.rows(satellite, view.read(satellite.schema, region, names)).any():
                return True
    return False


def satellites_left(
    view: View, region: int, average: ColumnTable, stays: Bool, gone: Gone
) -> list[ColumnTable]:
    """Take rows out of the satellite tables of a region.

    Parameters
    ----------
    view : View
        The snapshot.
    region : int
        The region.
    average : ColumnTable
        All its objects; those that go, too. Counts and offsets are set here.
    stays : ndarray of bool, shape (n_objects,)
        Which objects stay.
    gone : Gone
        What is taken out beside the objects.

    Returns
    -------
    list of ColumnTable
        The whole new tables, of those that the region has; ave_ref counts the objects that
        stay.
    """
    found: dict[str, ColumnTable] = {}
    lost = np.zeros(len(average), np.bool_)  # objects that lose rows of Lensing
    for satellite in SATELLITES:
        schema = satellite.schema
        if not view.n_rows(schema, region):
            continue
        table = view.read(schema, region, schema.stored_names)
        ref = table["ave_ref"].astype(np.int64)
        is_kept = stays[ref] & ~gone.rows(satellite, table)
        if schema is LENSING:
            lost[ref[~is_kept]] = True
        if schema is LENSOBJ:
            is_kept &= ~lost[ref]
        found[schema.name] = table.take(is_kept)
    if lost.any():
        remade = _means_of(view, found[LENSING.name], lost, average)
        kept = found.get(LENSOBJ.name, ColumnTable(LENSOBJ, {}, 0))
        found[LENSOBJ.name] = ColumnTable.concatenate(LENSOBJ, [kept, remade])
    for satellite in SATELLITES:
        if satellite.schema.name in found:
            _link(average, stays, satellite, found[satellite.schema.name])
    return list(found.values())


def _means_of(view: View, lensing: ColumnTable, lost: Bool, average: ColumnTable) -> ColumnTable:
    """Means of the objects that lost rows of Lensing, of those that they have still."""
    images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
    by_image = filters_of_images(images, view.photcodes)
    rows = lensing.take(lost[lensing["ave_ref"]])
    means, of = lensing_means(rows, rows["ave_ref"].astype(np.int64), by_image[rows["image_id"]])
    means["ave_ref"] = of.astype(np.uint32)
    for name in ("obj_id", "cat_id"):
        means[name] = average[name][of]
    return means


def _link(average: ColumnTable, stays: Bool, satellite: Satellite, table: ColumnTable) -> None:
    """Set counts and offsets of objects, and the objects of rows, of which some are gone."""
    ref = table["ave_ref"].astype(np.int64)
    average[satellite.count] = np.bincount(ref, minlength=len(average)).astype(np.uint32)
    average[satellite.offset] = AVERAGE[satellite.offset].nulls(len(average))
    table["ave_ref"] = (np.cumsum(stays) - 1)[ref].astype(np.uint32)
