"""Whole catalogs read and put in order, in their regions or in those of another partition.

Objects are in sky order, their measures and satellite rows in the order of objects: what
compaction writes, and what splitting and releveling write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.partition.gather import row_runs
from dvo.partition.partition import Partition, overhang_deg
from dvo.partition.view import View
from dvo.partition.writing import TILE_ROWS, Writing
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits import Level
from dvo.tables.links import sort_catalogs
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES, sort_satellites
from dvo.tables.secfilt import SECFILT

__all__ = ["OWN_FILE_ROWS", "Dealt", "inside", "read_dealt", "read_sorted", "write_sorted"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

OWN_FILE_ROWS = 8 * TILE_ROWS
"""Measures from which a catalog has files of its own.

A file costs a sync, two headers and its place in the manifest; below this size that is more
than what is in it, and a survey has very many small catalogs.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """The rows of some catalogs, dealt out to regions of another partition.

    Parameters
    ----------
    regions : list of int
        Regions that get rows, ascending.
    tables : list of (ColumnTable, ndarray of int64)
        Average, SecFilt, Measure and the satellite tables that there are, each with the
        places where the rows of each region begin, and where the last ones end.
    pad_deg : float
        How far objects and measures lie outside their new regions, at most [deg].
    """

    regions: list[int]
    tables: list[tuple[ColumnTable, I64]]
    pad_deg: float


def read_sorted(view: View, regions: Sequence[int]) -> list[tuple[ColumnTable, I64]]:
    """Read the tables of some catalogs, sorted.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which, ascending.

    Returns
    -------
    list of (ColumnTable, ndarray of int64)
        Average, SecFilt, Measure and the satellite tables that there are, each with the
        places where the rows of each region begin, and where the last ones end.
    """
    average, secfilt, measure, edges, objects = _read(view, regions)
    return _in_order(view, regions, average, secfilt, measure, edges, objects)


def read_dealt(view: View, regions: Sequence[int], partition: Partition) -> Dealt:
    """Read the tables of some catalogs, dealt out to the leaves of another partition.

    An object goes to the leaf that holds its mean position, and all that belongs to it goes
    with it. A mean outside its region counts as at the nearest right ascension and declination
    inside: so the leaves of a region get the rows of that region and of no other.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which, ascending.
    partition : Partition
        Where the rows are to be.

    Returns
    -------
    Dealt
        The rows, sorted.
    """
    average, secfilt, measure, edges, objects = _read(view, regions)
    limits = np.repeat(view.sky.bounds(np.array(regions, np.int64)), np.diff(edges), axis=0)
    leaf = partition.locate(*inside(limits, average["ra"], average["dec"]))
    leaves, place = np.unique(leaf, return_inverse=True)
    order = np.argsort(place, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    n = view.n_secfilt
    average = average.take(order)
    secfilt = secfilt.take((order[:, None] * n + np.arange(n)).ravel())
    new_edges = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(leaves)))])
    tables = _in_order(view, regions, average, secfilt, measure, new_edges, rank[objects])
    bounds = view.sky.bounds(leaves)
    pad = 0.0
    for table, starts in (tables[0], tables[2]):
        own = np.repeat(bounds, np.diff(starts), axis=0)
        pad = max(pad, float(overhang_deg(own, table["ra"], table["dec"]).max(initial=0.0)))
    return Dealt(leaves.tolist(), tables, pad)


def write_sorted(
    change: Writing,
    regions: Sequence[int],
    tables: Sequence[tuple[ColumnTable, I64]],
    *,
    level: Level,
    label: str,
    own_file_rows: int,
) -> None:
    """Write sorted tables: large catalogs into files of their own, small ones into one.

    Parameters
    ----------
    change : Writing
        Where they go; parts of small catalogs that they replace have been dropped.
    regions : sequence of int
        Regions of the rows.
    tables : sequence of (ColumnTable, ndarray of int64)
        The tables, with the places where the rows of each region begin, and where the last
        ones end.
    level : {'fast', 'small'}
        How hard to compress.
    label : str
        Tells the shared files of one commit apart.
    own_file_rows : int
        Measures from which a catalog gets files of its own.
    """
    n_measure = next(np.diff(e) for t, e in tables if t.schema is MEASURE)
    is_own = n_measure >= own_file_rows
    shared = np.flatnonzero(~is_own)
    for table, edges in tables:
        sizes = np.diff(edges)[shared]
        some = table if not is_own.any() else table.take(row_runs(edges[shared], sizes))
        ends = np.concatenate([[0], np.cumsum(sizes)])
        of = [regions[k] for k in shared.tolist()]
        change.add_rows(some, of, ends, level=level, label=label)
    for k in np.flatnonzero(is_own).tolist():
        own = [table.take(slice(edges[k], edges[k + 1])) for table, edges in tables]
        change.put_catalog(regions[k], own, level=level)


def inside(limits: F64, ra: F64, dec: F64) -> tuple[F64, F64]:
    """Bring positions into rectangles: to the nearest right ascension and declination there.

    Parameters
    ----------
    limits : ndarray of float64, shape (n, 4)
        ra_min, ra_max, dec_min, dec_max of the rectangle of each [deg].
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Those inside as they are, others at the edge [deg]; upper edges are outside.
    """
    west, east, low, high = limits.T
    is_out = (ra < west) | (ra >= east)
    if is_out.any():
        # How far from the middle, eastward or westward, across RA 0 if that is shorter.
        off = (ra - 0.5 * (west + east) + 180.0) % 360.0 - 180.0
        ra = np.where(is_out, np.where(off < 0, west, np.nextafter(east, 0.0)), ra)
    return ra, np.clip(dec, low, np.where(high == 90.0, high, np.nextafter(high, -91.0)))


def _read(
    view: View, regions: Sequence[int]
) -> tuple[ColumnTable, ColumnTable, ColumnTable, I64, I64]:
    """Average, SecFilt, Measure; where the objects of each region begin; objects of measures."""
    average, edges = view.read_many(AVERAGE, regions, AVERAGE.stored_names, once=True)
    secfilt, _ = view.read_many(SECFILT, regions, SECFILT.stored_names, once=True)
    measure, runs = view.read_many(MEASURE, regions, MEASURE.stored_names, once=True)
    objects = np.repeat(edges[:-1], np.diff(runs)) + measure["ave_ref"]
    return average, secfilt, measure, edges, objects


def _in_order(
    view: View,
    regions: Sequence[int],
    average: ColumnTable,
    secfilt: ColumnTable,
    measure: ColumnTable,
    edges: I64,
    objects: I64,
) -> list[tuple[ColumnTable, I64]]:
    """Sort the tables, and the satellite tables that these regions have."""
    average, secfilt, measure, runs = sort_catalogs(average, secfilt, measure, edges, objects)
    out = [(average, edges), (secfilt, edges * view.n_secfilt), (measure, runs)]
    parts = view.part_table(regions)
    for satellite in SATELLITES:
        schema = satellite.schema
        if parts.are(table=schema.name).any():
            table, _ = view.read_many(schema, regions, schema.stored_names, once=True)
        elif satellite.count in average:
            table = ColumnTable(schema, {}, 0)
        else:
            continue
        out.append(sort_satellites(average, edges, satellite, table))
    return out
