"""Columns that no table has, made from those that it has when they are asked for.

``mjd`` and ``photcode_name`` are for people what ``time``, ``time_msec`` and ``photcode`` are
for programs; ``distance`` is from the place that a query asks about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.database.satellites import OF_OBJECT
from dvo.errors import UnknownColumnError
from dvo.mjd import mjd_of
from dvo.partition.view import View
from dvo.sphere import separation
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PhotClass
from dvo.tables.satellites import find_satellite
from dvo.tables.schema import Column, TableSchema

__all__ = ["DERIVED_NAMES", "DerivedColumn", "distances", "find_derived"]

Array = NDArray[Any]
Place = tuple[float, float]

_POSITIONS = (("ra", "dec"), ("ra_center", "dec_center"))
_DISTANCE = Column("distance", "f8", "distance from the place asked about", "arcsec",
                   "pos.angDistance")  # fmt: skip
_MJD = Column("mjd", "f8", "time as modified Julian date, UTC", "d", "time.epoch")
_NAME = Column("photcode_name", "S32", "name of the photcode", "", "meta.id;instr.filter")

DERIVED_NAMES = (_DISTANCE.name, _MJD.name, _NAME.name, "ra", "dec", "ext_id")
"""Names of derived columns; not every table has all of them.

Those of the object (ra, dec, ext_id) satellite tables have that lack them.
"""


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """A column that is made from others.

    Parameters
    ----------
    column : Column
        What it is.
    needs : tuple of str
        Columns of the table that it is made from.
    make : callable
        Makes the values for rows that have these columns.
    """

    column: Column
    needs: tuple[str, ...]
    make: Callable[[View, ColumnTable], Array]


def find_derived(schema: TableSchema, name: str, place: Place | None) -> DerivedColumn | None:
    """Find how a column of a table is derived.

    Parameters
    ----------
    schema : TableSchema
        The table.
    name : str
        Name of the column, lower case.
    place : tuple of float or None
        Position that the query asks about, ICRS [deg]; None if it asks about none.

    Returns
    -------
    DerivedColumn or None
        None if the table has no such column.

    Raises
    ------
    UnknownColumnError
        If a distance is asked for without a place.
    """
    if name == _DISTANCE.name:
        return _distance(schema, place)
    if find_satellite(schema.name) is not None and f"object_{name}" in OF_OBJECT:
        return _of_object(name)
    if name == _MJD.name and "time" in schema:
        return DerivedColumn(_MJD, ("time", "time_msec"), _mjd)
    if name == _NAME.name and "photcode" in schema:
        return DerivedColumn(_NAME, ("photcode",), _photcode_names)
    return None


def _distance(schema: TableSchema, place: Place | None) -> DerivedColumn | None:
    if find_satellite(schema.name) is not None:
        position: tuple[str, str] | None = ("object_ra", "object_dec")
    else:
        position = next((p for p in _POSITIONS if p[0] in schema), None)
    if position is None:
        return None
    if place is None:
        raise UnknownColumnError(
            "column 'distance': distance from where? Only a query about a place has it "
            "(cone, lightcurve, images at a position)"
        )

    def make(_: View, table: ColumnTable) -> Array:
        return distances(place, table[position[0]], table[position[1]])

    return DerivedColumn(_DISTANCE, position, make)


def _of_object(name: str) -> DerivedColumn:
    source = f"object_{name}"
    column = replace(OF_OBJECT[source], name=name)
    return DerivedColumn(column, (source,), lambda _, table: table[source])


def distances(place: Place, ra: Array, dec: Array) -> Array:
    """Distances of positions from a place.

    Parameters
    ----------
    place : tuple of float
        Right ascension and declination, ICRS [deg].
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    ndarray of float64, shape (n,)
        Distances [arcsec]; NaN where a position is.
    """
    n = len(ra)
    return separation(np.full(n, place[0]), np.full(n, place[1]), ra, dec) * 3600.0


def _mjd(_: View, table: ColumnTable) -> Array:
    time = table["time"]
    is_null = table.schema["time"].is_null(time)
    return np.where(is_null, np.nan, mjd_of(time, table["time_msec"]))


def _photcode_names(view: View, table: ColumnTable) -> Array:
    width = max((len(p.name) for p in view.photcodes), default=1)  # all 32 would cost memory
    names = np.zeros(65536, f"S{width}")
    for photcode in view.photcodes:
        # An ALT has the code of the average filter that it is another form of.
        if photcode.kind is not PhotClass.ALT:
            names[photcode.code] = photcode.name.encode()
    return np.asarray(names[table["photcode"]])
