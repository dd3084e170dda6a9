"""Values of the columns asked for, of the rows of one table in an area."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.database.derived import distances
from dvo.database.fields import Request
from dvo.database.numbered_rows import read_numbered
from dvo.database.satellites import read_satellites_in
from dvo.partition.bounds import Area, Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.satellites import find_satellite

__all__ = ["image_values", "read_region", "values_in"]

Array = NDArray[Any]


def image_values(view: View, request: Request, area: Cone | None) -> dict[str, Array]:
    """Columns of images, all or those whose circle of detections touches an area.

    Parameters
    ----------
    view : View
        The snapshot.
    request : Request
        Which columns.
    area : Cone or None
        Where; None for all images.

    Returns
    -------
    dict of str to ndarray
        Values by column.
    """
    table = view.images
    if area is not None:
        place = (area.ra, area.dec)
        far = distances(place, table["ra_center"], table["dec_center"]) / 3600.0
        table = table.take(np.flatnonzero(far <= table["radius"] + area.radius_deg))
    return request.values(view, ALL_SKY, table)


def values_in(view: View, request: Request, area: Area | None) -> dict[str, Array]:
    """Columns of a table of regions, of the rows in an area.

    Parameters
    ----------
    view : View
        The snapshot.
    request : Request
        Which columns of which table.
    area : Area or None
        Where; None for all rows.

    Returns
    -------
    dict of str to ndarray
        Values by column, region after region.
    """
    pieces: dict[str, list[Array]] = {o.name: [] for o in request.outputs}
    for region in view.regions(area):
        for rows in _pieces(view, request, region, area):
            for name, piece in request.values(view, region, rows).items():
                pieces[name].append(piece)
    values: dict[str, Array] = {}
    for output in request.outputs:
        found = pieces[output.name]
        values[output.name] = (
            np.concatenate(found) if len(found) > 1 else found[0] if found
            else output.like.nulls(0)
        )  # fmt: skip
    return values


def _pieces(view: View, request: Request, region: int, area: Area | None) -> list[ColumnTable]:
    """Rows of a region as they come; magnitude words cost less for all rows at once."""
    if request.words or find_satellite(request.schema.name) is not None:
        rows = read_region(view, request, region, area)
        return [rows] if len(rows) else []
    return view.area_pieces(request.schema, region, request.stored, area)


def read_region(view: View, request: Request, region: int, area: Area | None) -> ColumnTable:
    """Read the rows of a region that lie in an area.

    Parameters
    ----------
    view : View
        The snapshot.
    request : Request
        What will be made of them.
    region : int
        Which region.
    area : Area or None
        Where; None for all rows.

    Returns
    -------
    ColumnTable
        The stored columns that the request needs.
    """
    if request.words and request.schema.name == AVERAGE.name:
        # Magnitude words on objects need to know which row each object is.
        return read_numbered(view, request.schema, region, request.stored, area)
    if find_satellite(request.schema.name) is not None:
        return read_satellites_in(view, request.schema, region, request.stored, area)
    return view.read_area(request.schema, region, request.stored, area)
