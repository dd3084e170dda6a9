"""The two sides of a cross-match: rows with places, handed out some at a time.

A side knows each of its rows by a key: the row number of a table, or of an object of a
database its region and row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.database.fields import Request
from dvo.database.given_table import GivenTable
from dvo.database.wide import read_wide
from dvo.neighbours import SkyGrid
from dvo.partition.manifest import ALL_SKY
from dvo.partition.nearby import marked, regions_near
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.places import PLACE_COLUMNS, places_at

__all__ = ["ObjectSide", "Places", "Side", "TableSide"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Rows of a side and where they are.

    Parameters
    ----------
    keys : ndarray of int64, shape (n,)
        Which rows.
    ra, dec : ndarray of float64, shape (n,)
        Their places, ICRS [deg]; NaN where one is missing.
    """

    keys: I64
    ra: F64
    dec: F64

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: I64) -> Places:
        """Make places of some of the rows.

        Parameters
        ----------
        rows : ndarray of int64
            Which, in which order.

        Returns
        -------
        Places
            These.
        """
        return Places(self.keys[rows], self.ra[rows], self.dec[rows])


class Side(Protocol):
    """What a cross-match asks of either side."""

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        ...

    def chunks(
        self, near: ObjectSide | None, radius_deg: float, most_rows: int
    ) -> Iterator[Places]:
        """Hand out all rows, or those that may be near objects of a database.

        Parameters
        ----------
        near : ObjectSide or None
            Rows that are not near these objects may be left out; None for all rows.
        radius_deg : float
            What counts as near [deg].
        most_rows : int
            Rows to be handed out at once, about.

        Yields
        ------
        Places
            Rows with ascending keys.
        """
        ...

    def nearest(self, ra: F64, dec: F64, radius_arcsec: float) -> I64:
        """Find the row nearest to each of some positions.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].
        radius_arcsec : float
            How far to look [arcsec]; the same at each call.

        Returns
        -------
        ndarray of int64, shape (n,)
            Keys; -1 where there is none.
        """
        ...

    def read(self, keys: I64) -> pa.Table:
        """Read the columns of some rows.

        Parameters
        ----------
        keys : ndarray of int64, shape (n,)
            Which rows; -1 for none.

        Returns
        -------
        pyarrow.Table
            n rows; all nulls where a key is -1.
        """
        ...


class TableSide:
    """A table in memory.

    Parameters
    ----------
    given : GivenTable
        The table.
    columns : sequence of str or None
        Which columns go into the result; None for all.
    """

    def __init__(self, given: GivenTable, columns: Sequence[str] | None) -> None:
        self._given = given
        self._table = given.table if columns is None else given.table.select(list(columns))
        self._grid: SkyGrid | None = None

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return list(self._table.column_names)

    def chunks(
        self, near: ObjectSide | None, radius_deg: float, most_rows: int
    ) -> Iterator[Places]:
        """See `Side`: all rows at once, as they are in memory in any case."""
        del near, radius_deg, most_rows
        yield Places(np.arange(len(self._given.ra)), self._given.ra, self._given.dec)

    def nearest(self, ra: F64, dec: F64, radius_arcsec: float) -> I64:
        """See `Side`."""
        if self._grid is None:
            self._grid = SkyGrid(self._given.ra, self._given.dec, radius_arcsec)
        return self._grid.nearest(ra, dec)[0]

    def read(self, keys: I64) -> pa.Table:
        """See `Side`."""
        return take_rows(self._table, keys)


class ObjectSide:
    """The objects of a snapshot.

    Parameters
    ----------
    view : View
        The snapshot.
    request : Request
        Columns that go into the result.
    epoch_s : float or None
        Time to which objects with known motions are moved [s since 1970]; None leaves all
        where their mean positions are.
    """

    def __init__(self, view: View, request: Request, epoch_s: float | None) -> None:
        self._view = view
        self._request = request
        self._wide = request.wide(view)
        self._epoch_s = epoch_s
        self._pad_deg = view.pad_deg
        if epoch_s is not None:
            self._pad_deg += view.motion_pad_deg(np.array([epoch_s]))

    @property
    def names(self) -> list[str]:
        """Names of its columns."""
        return [output.name for output in self._request.outputs]

    @property
    def outputs(self) -> tuple[OutputColumn, ...]:
        """Its columns."""
        return self._request.outputs

    def chunks(
        self, near: ObjectSide | None, radius_deg: float, most_rows: int
    ) -> Iterator[Places]:
        """See `Side`: objects of region after region, groups of whole regions."""
        regions = np.array(self._view.regions(), np.int64)
        if near is not None:
            reach = radius_deg + self._pad_deg
            regions = np.intersect1d(regions, near.leaves_near(self._view, reach))
        counts = self.counts(regions)
        group = (np.cumsum(counts) - counts) // most_rows
        edges = np.flatnonzero(np.diff(group)) + 1
        for some in np.split(regions, edges) if len(regions) else ():
            yield self.places(some.tolist())

    def leaves_near(self, view: View, reach_deg: float) -> I64:
        """Find the regions of another snapshot that lie within reach of any of these objects.

        Parameters
        ----------
        view : View
            The other snapshot.
        reach_deg : float
            How far [deg].

        Returns
        -------
        ndarray of int64
            Regions, ascending; some may be farther off.
        """
        bounds = view.sky.bounds(self._view.regions())
        return view.partition.near_boxes(bounds, reach_deg + self._pad_deg)

    def counts(self, regions: I64) -> I64:
        """Count the objects of regions.

        Parameters
        ----------
        regions : ndarray of int64, shape (n,)
            Which regions.

        Returns
        -------
        ndarray of int64, shape (n,)
            Objects of each.
        """
        known = self._view.catalogs(regions.tolist())
        return np.array([known[r].n_average if r in known else 0 for r in regions.tolist()], "i8")

    def own(self, places: Places) -> I64:
        """Find the regions in which places lie.

        Parameters
        ----------
        places : Places
            The places.

        Returns
        -------
        ndarray of int64, shape (n,)
            Region of each; -1 where a position is missing.
        """
        return self._view.partition.locate(places.ra, places.dec)

    def near(self, places: Places, own: I64, radius_deg: float) -> Places:
        """Find the objects that may be within a radius of some places.

        Parameters
        ----------
        places : Places
            The places, of which none lacks a position.
        own : ndarray of int64, shape (n,)
            Region of each, from `own`.
        radius_deg : float
            The radius [deg].

        Returns
        -------
        Places
            Those objects, and many more.
        """
        reach = radius_deg + self._pad_deg
        regions = regions_near(places.ra, places.dec, own, self._view, reach)
        counts = self._view.catalogs(regions)
        return self.places([r for r in regions if r in counts and counts[r].n_average])

    def places(self, regions: Sequence[int]) -> Places:
        """Read where the objects of regions are, at the epoch if there is one.

        Parameters
        ----------
        regions : sequence of int
            Which regions, ascending.

        Returns
        -------
        Places
            Their objects, region after region.
        """
        names = ("ra", "dec") if self._epoch_s is None else PLACE_COLUMNS
        table, edges = self._view.read_many(AVERAGE, regions, names)
        of_region = np.array(regions, np.int64) << _ROW_BITS
        keys = np.repeat(of_region - edges[:-1], np.diff(edges)) + np.arange(len(table))
        if self._epoch_s is None:
            return Places(keys, table["ra"], table["dec"])
        return Places(keys, *places_at(table, self._epoch_s))

    def nearest(self, ra: F64, dec: F64, radius_arcsec: float) -> I64:
        """See `Side`."""
        asked = Places(np.arange(len(ra)), ra, dec)
        found = self.near(asked, self.own(asked), radius_arcsec / 3600.0)
        rows, _ = SkyGrid(found.ra, found.dec, radius_arcsec).nearest(ra, dec)
        keys = np.full(len(ra), -1, np.int64)
        keys[rows >= 0] = found.keys[rows[rows >= 0]]
        return keys

    def read(self, keys: I64) -> pa.Table:
        """See `Side`."""
        there = keys[keys >= 0]
        region = there >> _ROW_BITS
        regions = marked(region, len(self._view.sky))
        table, edges = self._view.read_many(AVERAGE, regions, self._request.stored)
        lowest = regions[0] if regions else 0
        first = np.zeros(regions[-1] - lowest + 1 if regions else 0, np.int64)
        first[np.array(regions, np.int64) - lowest] = edges[:-1]
        rows = first[region - lowest] + (there & _ROW_MASK)
        # Without words a request looks at no region.
        plain = Request(
            self._request.schema,
            tuple(o for o in self._request.outputs if o.name not in self._request.words),
            self._request.stored,
            derived=self._request.derived,
        )
        values = plain.values(self._view, ALL_SKY, table.take(rows))
        if self._wide:
            found = read_wide(self._view, regions, self._wide)
            values |= {name: column[rows] for name, column in found.items()}
        answer = to_arrow(self._request.outputs, values)
        if len(there) == len(keys):
            return answer
        places = np.full(len(keys), -1, np.int64)
        places[keys >= 0] = np.arange(len(there))
        return take_rows(answer, places)


def take_rows(table: pa.Table, rows: I64) -> pa.Table:
    """Take rows of a table.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    rows : ndarray of int64, shape (n,)
        Which rows, in which order; negative: none.

    Returns
    -------
    pyarrow.Table
        n rows, all nulls where there is none.
    """
    is_none = rows < 0
    wanted: pa.Int64Array = pa.array(rows, pa.int64(), mask=is_none if is_none.any() else None)
    return table.take(wanted)
