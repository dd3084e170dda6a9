"""Whole catalogs of many regions, read to be changed and written anew.

The rows of a table lie region after region. Here ``ave_ref`` counts objects through all the
regions; on disk it counts from 0 in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import CatalogRow
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.links import sort_catalogs
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES, Satellite, objects_of, sort_satellites
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = [
    "SatelliteRows",
    "WholeCatalogs",
    "count_before",
    "fresh",
    "read_catalogs",
    "sorted_catalogs",
    "write_catalogs",
]

Array = NDArray[Any]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


SatelliteRows = tuple[Satellite, ColumnTable, I64]
"""A satellite table of some regions, and where the rows of each begin."""


@dataclass(frozen=True, slots=True, eq=False)
class WholeCatalogs:
    """All tables of some regions.

    Parameters
    ----------
    regions : list of int
        The regions, ascending.
    n_secfilt : int
        Average filters.
    average, secfilt, measure : ColumnTable
        Their tables; ave_ref of a measure is a row of `average`.
    edges, runs : ndarray of int64, shape (len(regions) + 1,)
        Where the objects and the measures of each region begin, and where the last end.
    satellites : tuple of (Satellite, ColumnTable, ndarray of int64)
        Satellite tables that have rows, and where those of each region begin; ave_ref counts
        as in `measure`.
    """

    regions: list[int]
    n_secfilt: int
    average: ColumnTable
    secfilt: ColumnTable
    measure: ColumnTable
    edges: I64
    runs: I64
    satellites: tuple[SatelliteRows, ...] = ()

    def kept(
        self, objects: Bool, measures: Bool, satellites: tuple[SatelliteRows, ...]
    ) -> WholeCatalogs:
        """Leave rows out.

        Parameters
        ----------
        objects, measures : ndarray of bool
            Which stay; no measure that stays is of an object that goes.
        satellites : tuple of (Satellite, ColumnTable, ndarray of int64)
            The satellite tables of what stays, linked to it.

        Returns
        -------
        WholeCatalogs
            What stays, its links made anew; counts and offsets of objects are as they were.
        """
        rank = np.cumsum(objects) - 1
        measure = self.measure.take(measures)
        measure["ave_ref"] = rank[measure["ave_ref"]].astype(np.uint32)
        return replace(
            self,
            average=self.average.take(objects),
            secfilt=self.secfilt.take(np.repeat(objects, self.n_secfilt)),
            measure=measure,
            edges=count_before(objects)[self.edges],
            runs=count_before(measures)[self.runs],
            satellites=satellites,
        )

    def of_regions(self, wanted: Bool) -> WholeCatalogs:
        """Leave regions out.

        Parameters
        ----------
        wanted : ndarray of bool, shape (len(regions),)
            Which stay.

        Returns
        -------
        WholeCatalogs
            The others, whole.
        """
        objects = np.repeat(wanted, np.diff(self.edges))
        rank = np.cumsum(objects) - 1

        def cut(table: ColumnTable, starts: I64) -> tuple[ColumnTable, I64]:
            sizes = np.diff(starts)
            own = table.take(np.repeat(wanted, sizes))
            own["ave_ref"] = rank[own["ave_ref"]].astype(np.uint32)
            return own, np.cumsum([0, *sizes[wanted]])

        measure, runs = cut(self.measure, self.runs)
        return WholeCatalogs(
            [r for r, stays in zip(self.regions, wanted.tolist(), strict=True) if stays],
            self.n_secfilt,
            self.average.take(objects),
            self.secfilt.take(np.repeat(objects, self.n_secfilt)),
            measure,
            np.cumsum([0, *np.diff(self.edges)[wanted]]),
            runs,
            tuple((s, *cut(table, starts)) for s, table, starts in self.satellites),
        )

    def tables(self, place: int) -> list[ColumnTable]:
        """The tables of one region as they are stored.

        Parameters
        ----------
        place : int
            Which of the regions, from 0.

        Returns
        -------
        list of ColumnTable
            Average, SecFilt, Measure and the satellite tables, ave_ref from 0.
        """
        first, last = (int(edge) for edge in self.edges[place : place + 2])
        n = self.n_secfilt
        out = [self.average.take(slice(first, last)), self.secfilt.take(slice(first * n, last * n))]
        for table, starts in self._linked_tables():
            own = table.take(slice(int(starts[place]), int(starts[place + 1])))
            own["ave_ref"] = (own["ave_ref"] - np.uint32(first)).astype(np.uint32)
            out.append(own)
        return out

    def _linked_tables(self) -> list[tuple[ColumnTable, I64]]:
        return [(self.measure, self.runs), *((t, starts) for _, t, starts in self.satellites)]

    def stored_tables(self) -> list[tuple[ColumnTable, I64]]:
        """Put the tables in the form in which they are stored.

        Returns
        -------
        list of (ColumnTable, ndarray of int64)
            Average, SecFilt, Measure and the satellite tables, ave_ref from 0 in each
            region, and where the rows of each region begin.
        """
        out = [(self.average, self.edges), (self.secfilt, self.edges * self.n_secfilt)]
        for table, starts in self._linked_tables():
            first = np.repeat(self.edges[:-1], np.diff(starts))
            columns = dict(table.columns)
            if len(table):
                columns["ave_ref"] = (table["ave_ref"] - first).astype(np.uint32)
            out.append((ColumnTable(table.schema, columns, len(table)), starts))
        return out


def count_before(mask: Bool) -> I64:
    """Count how many are true before each place, and in all.

    Parameters
    ----------
    mask : ndarray of bool, shape (n,)
        What to count.

    Returns
    -------
    ndarray of int64, shape (n + 1,)
        The counts.
    """
    return np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])


def fresh(table: ColumnTable) -> ColumnTable:
    """Copy a table, so that its arrays may be changed."""
    copies = {name: values.copy() for name, values in table.columns.items()}
    return ColumnTable(table.schema, copies, len(table))


def sorted_catalogs(found: WholeCatalogs) -> WholeCatalogs:
    """Put catalogs in the order that compaction makes, with all links and offsets.

    Parameters
    ----------
    found : WholeCatalogs
        The catalogs.

    Returns
    -------
    WholeCatalogs
        The same rows.
    """
    edges = found.edges
    average, secfilt, measure, runs = sort_catalogs(
        found.average, found.secfilt, found.measure, edges,
        found.measure["ave_ref"].astype(np.int64),
    )  # fmt: skip
    satellites: list[SatelliteRows] = []
    for satellite, table, _ in found.satellites:
        rows, starts = sort_satellites(average, edges, satellite, table)
        satellites.append((satellite, _joined(rows, edges, starts), starts))
    return replace(
        found, average=average, secfilt=secfilt, measure=_joined(measure, edges, runs), runs=runs,
        satellites=tuple(satellites),
    )  # fmt: skip


def _joined(table: ColumnTable, edges: I64, starts: I64) -> ColumnTable:
    """Let ave_ref count objects through all regions."""
    if len(table):
        first = np.repeat(edges[:-1], np.diff(starts))
        table["ave_ref"] = (table["ave_ref"] + first).astype(np.uint32)
    return table


def read_catalogs(
    view: View, regions: Sequence[int], *, with_secfilt: bool = True
) -> WholeCatalogs:
    """Read all tables of some regions.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which, ascending; each has a catalog.
    with_secfilt : bool
        Whether to read SecFilt; else all of it is null.

    Returns
    -------
    WholeCatalogs
        The tables, every stored column; the arrays may be read-only.
    """

    def read(schema: TableSchema) -> tuple[ColumnTable, I64]:
        return view.read_many(schema, regions, schema.stored_names)

    average, edges = read(AVERAGE)
    n_means = len(average) * view.n_secfilt
    secfilt = read(SECFILT)[0] if with_secfilt else ColumnTable(SECFILT, {}, n_means)
    measure, runs = read(MEASURE)
    measure = _joined(measure, edges, runs)
    parts = view.part_table(regions)
    satellites = tuple(
        (satellite, _by_id(average, table), starts)
        for satellite in SATELLITES
        if parts.are(table=satellite.schema.name).any()
        for table, starts in [read(satellite.schema)]
    )
    return WholeCatalogs(
        list(regions), view.n_secfilt, average, secfilt, measure, edges, runs, satellites
    )


def _by_id(average: ColumnTable, table: ColumnTable) -> ColumnTable:
    """Link rows of a satellite table by the ids of their objects, which are for good."""
    table["ave_ref"] = objects_of(average, table).astype(np.uint32)
    return table


def write_catalogs(
    change: Transaction, found: WholeCatalogs, *, label: str, is_sorted: bool = False
) -> None:
    """Put catalogs in the place of those of their regions, in files that they share.

    Parameters
    ----------
    change : Transaction
        Where to write; its counts of the catalogs are set.
    found : WholeCatalogs
        The catalogs.
    label : str
        Tells apart several such files of one commit.
    is_sorted : bool
        Whether they are in the order that compaction makes, as `sorted_catalogs` gives them.
    """
    base = change.base
    parts = base.part_table(found.regions)
    tables = found.stored_tables()
    names = {table.schema.name for table, _ in tables}
    change.drop_parts(parts.take(np.logical_or.reduce([parts.are(table=n) for n in names])))
    for table, edges in tables:
        change.add_rows(table, found.regions, edges, label=label)
    known = base.catalogs(found.regions)
    change.set_catalogs(
        CatalogRow(region, objects, known[region].next_obj_id, measures, is_sorted)
        for region, objects, measures in zip(
            found.regions, np.diff(found.edges).tolist(), np.diff(found.runs).tolist(), strict=True
        )
    )
