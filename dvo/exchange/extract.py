"""What is to go out: some columns of a table, of all the sky or of an area.

An `Extract` says which columns these are and reads the rows of a few regions at a time.
Beside the tables of the database there are two made of them: ``object``, Average with the
magnitudes of its filters as columns, and ``secfilt`` with the ids, positions and filters
that SecFilt does not need itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn
from dvo.database.fields import Request
from dvo.database.satellites import read_satellites
from dvo.database.wide import WideColumn, read_wide
from dvo.partition.bounds import Area
from dvo.partition.detection_ids import DetectionIds
from dvo.partition.manifest import ALL_SKY, CatalogRow
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.satellites import SATELLITES, find_satellite
from dvo.tables.schema import Column
from dvo.tables.secfilt import SECFILT

__all__ = ["FILTER", "GLOBAL_TABLES", "SKY_TABLES", "Extract", "Values", "signed"]

Array = NDArray[Any]
Values = Mapping[str, Array]
"""Values of columns by name; the null of a column stands for what is missing."""

SKY_TABLES = (
    "average", "measure", "object", "secfilt", *(s.schema.name.lower() for s in SATELLITES)
)  # fmt: skip
"""Tables whose rows have places on the sky."""
GLOBAL_TABLES = ("image", "photcode")
"""Tables that are not cut into regions."""

FILTER = Column("filter", "S32", "name of the average filter", "", "meta.id;instr.filter")
"""Column of ``secfilt`` that says which filter a row is of."""

_GROUP_ROWS = 250_000  # that are read and handed on together, unless one region has more
_LARGE = 5000  # rows of a region from which it is sooner read by itself
_MANIFEST_REGIONS = 5000  # whose facts are asked of the manifest at once
_ROW = Column("row", "i8", "row in its catalog")


@dataclass(frozen=True, eq=False)
class Extract:
    """Rows that are to go out, and how to read them.

    Parameters
    ----------
    view : View
        The snapshot.
    table : str
        One of `SKY_TABLES` or `GLOBAL_TABLES`.
    columns : tuple of OutputColumn
        What goes out, in order.
    request : Request
        Those of the base table, derived ones and magnitude words among them.
    wide : tuple of WideColumn
        Those of SecFilt: of one filter in ``object``, of all filters in ``secfilt``.
    area : Area or None
        Where the rows lie; None for all.
    """

    view: View
    table: str
    columns: tuple[OutputColumn, ...]
    request: Request
    wide: tuple[WideColumn, ...] = ()
    area: Area | None = None

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [c.name for c in self.columns]

    @cached_property
    def regions(self) -> list[int]:
        """Regions that may have rows; one that stands for all where there are none."""
        return [ALL_SKY] if self.table in GLOBAL_TABLES else self.view.regions(self.area)

    def groups(
        self, regions: Sequence[int] | None = None, most_rows: int = _GROUP_ROWS
    ) -> Iterator[list[int]]:
        """Regions in groups that are read at once.

        Parameters
        ----------
        regions : sequence of int, optional
            Which, in the order wanted; None for all, ascending.
        most_rows : int, optional
            Rows that a group may have.

        Yields
        ------
        list of int
            Some regions, ascending, that have no more rows, or one larger one.
        """
        wanted = self.regions if regions is None else list(regions)
        if self.table in GLOBAL_TABLES:
            yield wanted
            return
        for first in range(0, len(wanted), _MANIFEST_REGIONS):
            some = wanted[first : first + _MANIFEST_REGIONS]
            self.view.foresee(sorted(some))
            group: list[int] = []
            n_rows = 0
            for region in some:
                here = self._n_rows(region)
                if group and n_rows + here > most_rows:
                    yield sorted(group)
                    group, n_rows = [], 0
                group.append(region)
                n_rows += here
            if group:
                yield sorted(group)

    @property
    def n_filters(self) -> int:
        """Rows that go out for each row of the base table."""
        return self.view.n_secfilt if self.table == "secfilt" else 1

    @property
    def _is_satellite(self) -> bool:
        return find_satellite(self.request.schema.name) is not None

    def _n_rows(self, region: int) -> int:
        if self._is_satellite:
            return self.view.n_rows(self.request.schema, region)
        return self._rows_of(self.view.catalog(region))

    def _rows_of(self, counts: CatalogRow) -> int:
        n_rows = counts.n_measure if self.table == "measure" else counts.n_average
        return n_rows * self.n_filters

    def count(self) -> int:
        """Count the rows; positions are read only if there is an area."""
        if self.table in GLOBAL_TABLES:
            return self.view.n_rows(self.request.schema, ALL_SKY)
        if self.area is None and self._is_satellite:
            parts = self.view.part_table(self.regions)
            own = parts.are(table=self.request.schema.name, kind="rows")
            return int(parts.sizes[own].sum())
        if self.area is None:
            return sum(self._rows_of(c) for c in self.view.catalogs(self.regions).values())
        return sum(len(self.positions(group)[0]) for group in self.groups())

    def positions(self, regions: Sequence[int]) -> tuple[Array, Array]:
        """Read where the rows are.

        Parameters
        ----------
        regions : sequence of int
            Which regions, ascending.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,)
            Positions of the rows that `read` gives, in its order, ICRS [deg].
        """
        # Their own positions, as they go out, where they have any.
        own = ("ra", "dec") if "ra" in self.request.schema else self._place
        base, _ = self._base(regions, [*own, *self._place])
        rows = self._inside(base)
        ra, dec = (base[n] if rows is None else base[n][rows] for n in own)
        if self.n_filters == 1:
            return ra, dec
        return np.repeat(ra, self.n_filters), np.repeat(dec, self.n_filters)

    def read(self, regions: Sequence[int]) -> dict[str, Array]:
        """Read the rows of some regions.

        Parameters
        ----------
        regions : sequence of int
            Which regions, ascending.

        Returns
        -------
        dict of ndarray
            Values by the names of `columns`; the null of a column where it is unknown.
        """
        needed = self._place if self.area is not None else ()
        base, edges = self._base(regions, [*self.request.stored, *needed])
        rows = self._inside(base)
        values = self._of_base(base, regions, edges, rows)
        if self.table == "secfilt":
            n_objects = len(base) if rows is None else len(rows)
            values = {name: np.repeat(v, self.n_filters) for name, v in values.items()}
            values[FILTER.name] = np.tile(self._filters, n_objects)
            values |= self._of_filters(regions, rows)
        elif self.wide:
            found = read_wide(self.view, regions, self.wide)
            values |= found if rows is None else {n: v[rows] for n, v in found.items()}
        return {c.name: _as_declared(c.like, values[c.name]) for c in self.columns}

    def _base(self, regions: Sequence[int], names: Sequence[str]) -> tuple[ColumnTable, Array]:
        """Rows of the base table, and where those of each region begin."""
        schema = self.request.schema
        wanted = list(dict.fromkeys(names))
        if self._is_satellite:
            return read_satellites(self.view, schema, regions, wanted)
        if len(regions) == 1:
            table = self.view.read(schema, regions[0], wanted)
            return table, np.array([0, len(table)])
        if self._n_base_rows(regions) >= _LARGE * len(regions):
            tables = [self.view.read(schema, r, wanted) for r in regions]
            edges = np.cumsum([0, *(len(t) for t in tables)])
            return ColumnTable.concatenate(schema, tables), edges
        stored = [n for n in wanted if not schema[n].derived]
        if len(stored) == len(wanted):
            return self.view.read_many(schema, regions, stored)
        table, edges = self.view.read_many(schema, regions, [*stored, "image_id", "det_id"])
        table["ext_id"] = self._detection_ids.of(table["image_id"], table["det_id"])
        return table, edges

    def _n_base_rows(self, regions: Sequence[int]) -> int:
        return sum(self._rows_of(self.view.catalog(r)) for r in regions) // self.n_filters

    @cached_property
    def _detection_ids(self) -> DetectionIds:
        return DetectionIds(self.view.images, self.view.photcodes)

    @cached_property
    def _filters(self) -> Array:
        return np.array([p.name.encode() for p in self.view.photcodes.sec], FILTER.dtype)

    def _inside(self, base: ColumnTable) -> Array | None:
        if self.area is None:
            return None
        return np.flatnonzero(self.area.holds(*(base[n] for n in self._place)))

    @property
    def _place(self) -> tuple[str, str]:
        """Columns that say where rows are: those of satellites where their objects are."""
        return ("object_ra", "object_dec") if self._is_satellite else ("ra", "dec")

    def _of_base(
        self, base: ColumnTable, regions: Sequence[int], edges: Array, rows: Array | None
    ) -> dict[str, Array]:
        """Columns of the base table, derived ones and magnitude words."""
        request = self.request
        if not request.words:
            return request.values(self.view, ALL_SKY, base if rows is None else base.take(rows))
        # Words look into other tables of the region that a row is of.
        pieces = []
        for region, start, stop in zip(regions, edges[:-1], edges[1:], strict=True):
            here = np.arange(start, stop)
            if rows is not None:
                here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            pieces.append(request.values(self.view, region, _numbered(base, here, int(start))))
        return {n: np.concatenate([p[n] for p in pieces]) for n in pieces[0]}

    def _of_filters(self, regions: Sequence[int], rows: Array | None) -> dict[str, Array]:
        """Columns of SecFilt, row for row."""
        names = [w.source for w in self.wide]
        if len(regions) == 1:
            table = self.view.read(SECFILT, regions[0], names)
        else:
            table, _ = self.view.read_many(SECFILT, regions, names)
        if rows is not None:
            n = self.n_filters
            table = table.take((rows[:, None] * n + np.arange(n)).ravel())
        return {name: table[name] for name in names}


def _as_declared(column: Column, values: Array) -> Array:
    # Text may be narrower than it is declared: that of photcodes is.
    return values if column.dtype[0] == "S" else values.astype(column.dtype, copy=False)


def _numbered(base: ColumnTable, rows: Array, start: int) -> ColumnTable:
    """Some rows, with their numbers in their region, as magnitude words of objects need them."""
    found = base.take(rows)
    wider = replace(base.schema, columns=(*base.schema.columns, _ROW))
    return ColumnTable(wider, {**found.columns, _ROW.name: rows - start}, len(rows))


def signed(column: Column) -> Column:
    """The column as it goes out: public ids are signed.

    They have room for it, and VOTable, Java and many other readers know no unsigned integers
    of 64 bits.

    Parameters
    ----------
    column : Column
        A column of ours.

    Returns
    -------
    Column
        The same, or one of type ``i8`` instead of ``u8``.
    """
    return replace(column, dtype="i8") if column.dtype == "u8" else column
