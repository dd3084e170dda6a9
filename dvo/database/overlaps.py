"""Images over a place, a circle or a polygon, by their astrometry; no measure is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import COORD_COLUMNS, read_model
from dvo.astrometry.outlines import Outlines
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.polygon import Polygon
from dvo.partition.view import View
from dvo.sphere import separation
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE

__all__ = ["images_over", "outline_of"]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]

_COLUMNS = ("image_id", "parent_id", "photcode", "nx", "ny", "ra_center", "dec_center", "radius",
            *COORD_COLUMNS)  # fmt: skip


def images_over(
    view: View, area: Cone | Polygon, columns: tuple[str, ...] = ()
) -> tuple[ColumnTable, F64, F64]:
    """Find images that have any part in an area; focal planes are not among them.

    An image without astrometry, or without size, counts as the circle that holds its measures.

    Parameters
    ----------
    view : View
        The snapshot.
    area : Cone or Polygon
        The area; a place is a circle of radius 0.
    columns : tuple of str
        Columns of Image to read.

    Returns
    -------
    images : ColumnTable
        Rows of Image with these columns, in the order of the table.
    x, y : ndarray of float64, shape (n,)
        Pixels of the middle of the area, on the image or not; NaN without astrometry.
    """
    table = view.read(IMAGE, ALL_SKY, dict.fromkeys((*columns, *_COLUMNS)))
    outlines = Outlines.of(read_model(table), table["nx"], table["ny"])
    circle = area if isinstance(area, Cone) else area.cone
    if isinstance(area, Cone):
        touches = outlines.touch_circle(area.ra, area.dec, area.radius_deg)
    else:
        touches = outlines.touch_polygon(area.vertices)
    touches |= ~outlines.is_known & _circles_touch(table, area)
    rows = np.flatnonzero(touches & (table["photcode"] != 0))
    _, x, y = outlines.hold(rows, circle.ra, circle.dec)
    return table.take(rows), x, y


def outline_of(view: View, image_id: int) -> Polygon | None:
    """Make the polygon that an image covers.

    Parameters
    ----------
    view : View
        The snapshot.
    image_id : int
        Number of the image.

    Returns
    -------
    Polygon or None
        None if it has no size, or no astrometry on all of it.
    """
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    outlines = Outlines.of(read_model(table), table["nx"], table["ny"])
    row = int(np.flatnonzero(table["image_id"] == image_id)[0])
    if not outlines.is_known[row]:
        return None
    x, y, z = outlines.edges[row].T
    ra, dec = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return Polygon(tuple(zip(ra.tolist(), dec.tolist(), strict=True)))


def _circles_touch(table: ColumnTable, area: Cone | Polygon) -> Bool:
    """Whether the circles of measures touch an area; of a polygon, its own circle."""
    circle = area if isinstance(area, Cone) else area.cone
    place: list[Any] = [np.full(len(table), v) for v in (circle.ra, circle.dec)]
    far = separation(table["ra_center"], table["dec_center"], *place)
    found: Bool = far <= table["radius"] + circle.radius_deg
    return found
