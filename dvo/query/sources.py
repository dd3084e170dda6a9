"""The tables that a query can name, and what columns they have.

Tables of objects are spread over the regions of the sky; all rows of an object are in one
region, so what is joined by ``cat_id`` and ``obj_id`` is joined region by region. Tables of
the whole database (images, photcodes, regions) go along with every region.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.database.fields import resolve
from dvo.database.wide import wide_columns
from dvo.errors import UnknownColumnError
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotcodeTable
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import Column, TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["KEYS", "Source", "read_global", "sources_of"]

KEYS = ("cat_id", "obj_id")
"""Columns that name an object; by them tables are joined inside a region."""

_FILTER = Column("filter", "S32", "name of the average filter", "", "instr.filter")
_SECFILT_KEYS = (
    AVERAGE["cat_id"], AVERAGE["obj_id"],
    Column("photcode", "u2", "code of the average filter", "", "meta.id;instr.filter"), _FILTER,
)  # fmt: skip
_REGION = (
    Column("region", "i8", "number of the region", "", "meta.id"),
    Column("name", "S32", "name of the region", "", "meta.id"),
    Column("depth", "i8", "level of the region, 0 to 5", "", "meta.number"),
    Column("ra_min", "f8", "least right ascension, ICRS", "deg", "pos.eq.ra;stat.min"),
    Column("ra_max", "f8", "greatest right ascension, ICRS", "deg", "pos.eq.ra;stat.max"),
    Column("dec_min", "f8", "least declination, ICRS", "deg", "pos.eq.dec;stat.min"),
    Column("dec_max", "f8", "greatest declination, ICRS", "deg", "pos.eq.dec;stat.max"),
    Column("n_average", "i8", "objects", "", "meta.number"),
    Column("n_measure", "i8", "measures", "", "meta.number"),
)


@dataclass(frozen=True)
class Source:
    """A table that a query can name.

    Parameters
    ----------
    name : str
        Name in queries.
    columns : mapping of str to Column
        Columns by name, those that ``*`` means.
    schema : TableSchema or None
        The stored table that it is, or grows from; None if it is made for the query.
    is_global : bool
        Whether it has no regions.
    position : tuple of str or None
        Columns of the place of a row.
    find : callable
        Finds a column that ``*`` does not mean, by name; None if there is none.
    is_upload : bool
        Whether it came with the query.
    """

    name: str
    columns: Mapping[str, Column]
    schema: TableSchema | None
    is_global: bool
    position: tuple[str, str] | None
    find: Callable[[str], Column | None]
    is_upload: bool = False

    def column(self, name: str) -> Column | None:
        """Find a column by name; None if there is no such column."""
        return self.columns.get(name) or self.find(name)


@lru_cache(maxsize=8)
def sources_of(photcodes: PhotcodeTable) -> dict[str, Source]:
    """List the tables of a snapshot.

    Parameters
    ----------
    photcodes : PhotcodeTable
        Its photcodes; nothing else of it decides what tables and columns there are, and
        what is remembered here must not keep a snapshot open.

    Returns
    -------
    dict of str to Source
        By name.
    """
    found = [_stored(photcodes, "average", AVERAGE), _stored(photcodes, "measure", MEASURE)]
    wide = {n: w.column for n, w in wide_columns(photcodes).items()}
    average = {c.name: c for c in AVERAGE.columns}
    found.append(_spread("object", average | wide, AVERAGE))
    found.append(_spread("secfilt", _named([*_SECFILT_KEYS, *SECFILT.columns]), SECFILT))
    found += [_spread(s.schema.name.lower(), s.schema.by_name, s.schema) for s in SATELLITES]
    found.append(_stored(photcodes, "image", IMAGE, is_global=True))
    found.append(_global("photcode", PHOTCODE.by_name, PHOTCODE))
    found.append(_global("region", _named(_REGION), None))
    return {source.name: source for source in found}


def _named(columns: Iterable[Column]) -> dict[str, Column]:
    return {c.name: c for c in columns}


def _stored(
    photcodes: PhotcodeTable, name: str, schema: TableSchema, *, is_global: bool = False
) -> Source:
    def find(word: str) -> Column | None:
        if word == "distance":  # it is from a place, and a query has many
            return None
        try:
            return resolve(photcodes, schema, [word]).outputs[0].like
        except UnknownColumnError:
            return None

    return Source(name, schema.by_name, schema, is_global, _position(schema.by_name), find)


def _spread(name: str, columns: Mapping[str, Column], schema: TableSchema) -> Source:
    return Source(name, columns, schema, False, _position(columns), lambda _: None)


def _global(name: str, columns: Mapping[str, Column], schema: TableSchema | None) -> Source:
    return Source(name, columns, schema, True, None, lambda _: None)


def _position(columns: Mapping[str, Column]) -> tuple[str, str] | None:
    for place in (("ra", "dec"), ("ra_center", "dec_center")):
        if all(name in columns for name in place):
            return place
    return None


def read_global(view: View, source: Source, names: Iterable[str]) -> pa.Table:
    """Read columns of a table of the whole database.

    Parameters
    ----------
    view : View
        The snapshot.
    source : Source
        Which table.
    names : iterable of str
        Which columns.

    Returns
    -------
    pyarrow.Table
        All rows.
    """
    wanted = list(names)
    if source.schema is None:
        outputs = [OutputColumn(n, source.columns[n]) for n in wanted]
        return to_arrow(outputs, _regions(view))
    request = resolve(view.photcodes, source.schema, wanted)
    table = view.read(source.schema, ALL_SKY, request.stored)
    return to_arrow(request.outputs, request.values(view, ALL_SKY, table))


def _regions(view: View) -> dict[str, NDArray[Any]]:
    counts, sky = view.counts(), view.sky
    bounds = sky.bounds(counts.regions)
    values: dict[str, Any] = {
        "region": counts.regions,
        "name": np.array(sky.names(counts.regions), "S"),
        "depth": sky.depths(counts.regions),
        "n_average": counts.n_average,
        "n_measure": counts.n_measure,
    }
    limits = ("ra_min", "ra_max", "dec_min", "dec_max")
    values |= {name: bounds[:, k].copy() for k, name in enumerate(limits)}
    return {c.name: np.asarray(values[c.name], c.numpy_dtype) for c in _REGION}
