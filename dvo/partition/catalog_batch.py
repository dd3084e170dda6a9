"""Many regions' tables read at once, as rules look at them.

A catalogue of bright stars has tens of thousands of regions of a few rows each: read and
looked at one after the other they would take a hundred times as long as their rows do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.partition.faults import Fault, FaultKind
from dvo.partition.manifest import CatalogRow
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["CatalogBatch", "read_batch"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_COLUMNS = {
    AVERAGE.name: (
        *("obj_id", "cat_id", "ext_id", "nmeasure", "off_measure", "number_pos"),
        *("ra", "dec", "ra_err", "dec_err", "u_ra", "u_dec", "mean_epoch"),
        *(name for s in SATELLITES for name in (s.count, s.offset)),
    ),
    SECFILT.name: (
        *("mag", "mag_ap", "mag_kron", "ncode", "nused", "nused_ap", "nused_kron"),
    ),
    MEASURE.name: (
        *("ave_ref", "obj_id", "cat_id", "image_id", "ref_id", "det_id"),
        *("ra", "dec", "time", "time_msec", "photcode"),
    ),
}  # fmt: skip
_REGIONS_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False)
class CatalogBatch:
    """The columns of some regions' tables that rules are about.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : ndarray of int64, shape (n,)
        The regions, ascending.
    rows : list of CatalogRow
        What the manifest counts in each.
    average, secfilt, measure : ColumnTable
        The tables, region after region.
    edges, runs : ndarray of int64, shape (n + 1,)
        Where the objects and the measures of each region begin, and where the last end.
    objects : ndarray of int64, shape (n_measure,)
        Row of `average` that each measure names.
    is_lost : ndarray of bool, shape (n_measure,)
        Measures that name an object which their region does not have.
    satellites : mapping of str to (ColumnTable, ndarray of int64)
        Links and keys of the satellite tables that the regions have, by name, and where the
        rows of each region begin.
    """

    view: View
    regions: I64
    rows: list[CatalogRow]
    average: ColumnTable
    secfilt: ColumnTable
    measure: ColumnTable
    edges: I64
    runs: I64
    objects: I64
    is_lost: Bool
    satellites: Mapping[str, tuple[ColumnTable, I64]]

    def regions_of(self, schema: TableSchema, rows: I64) -> I64:
        """Tell which of the regions rows of a table are in, by their place from 0.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        rows : ndarray of int64
            Rows of the batch.

        Returns
        -------
        ndarray of int64, same shape
            Place in `regions`.
        """
        return np.asarray(np.searchsorted(self._starts(schema), rows, side="right") - 1)

    def _starts(self, schema: TableSchema) -> I64:
        if schema is MEASURE:
            return self.runs[:-1]
        if schema.name in self.satellites:
            return self.satellites[schema.name][1][:-1]
        return self.edges[:-1] * (self.view.n_secfilt if schema is SECFILT else 1)

    def faults(
        self,
        kind: FaultKind,
        schema: TableSchema,
        wrong: I64 | Bool,
        words: Callable[[int], str],
    ) -> Iterator[Fault]:
        """Name rows that break a rule: the first one of each region, and how many there are.

        Parameters
        ----------
        kind : FaultKind
            What kind of fault it is.
        schema : TableSchema
            Which table.
        wrong : ndarray of int64 or bool
            Rows of the batch, ascending, or a mask of them.
        words : callable
            Says what is wrong with a row of the batch.

        Yields
        ------
        Fault
            What is wrong, in the first few regions.
        """
        rows = np.flatnonzero(wrong) if wrong.dtype == np.bool_ else wrong.astype(np.int64)
        if len(rows) == 0:
            return
        at, first, counts = np.unique(
            self.regions_of(schema, rows), return_index=True, return_counts=True
        )
        for k, i, n in zip(
            *(v[:_REGIONS_SHOWN].tolist() for v in (at, first, counts)), strict=True
        ):
            region = int(self.regions[k])
            row = int(rows[i])
            own = row - int(self._starts(schema)[k])
            message = f"{words(row)}; {n} such row{'s' if n > 1 else ''}"
            yield Fault(kind, message, _path_of(self.view, schema, region, own), schema.name,
                        self.view.sky.region(region).name, own)  # fmt: skip


def _path_of(view: View, schema: TableSchema, region: int, row: int) -> str:
    """File that holds a row; empty for a row that patches made."""
    at = 0
    for part in view.parts(schema, region):
        if part.kind == "rows":
            if row < at + part.n_rows:
                return part.path
            at += part.n_rows
    return ""


def read_batch(view: View, regions: Sequence[int]) -> CatalogBatch:
    """Read what rules are about.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending; their parts fit together.

    Returns
    -------
    CatalogBatch
        Their tables.
    """
    found = {s.name: view.read_many(s, regions, _COLUMNS[s.name], once=True)
             for s in (AVERAGE, SECFILT, MEASURE)}  # fmt: skip
    average, edges = found[AVERAGE.name]
    measure, runs = found[MEASURE.name]
    counts = view.catalogs(regions)
    sizes = np.diff(runs)
    ref = measure["ave_ref"]
    return CatalogBatch(
        view, np.array(regions, np.int64), [counts[r] for r in regions],
        average, found[SECFILT.name][0], measure, edges, runs,
        np.repeat(edges[:-1], sizes) + ref, ref >= np.repeat(np.diff(edges), sizes),
        _read_satellites(view, regions),
    )  # fmt: skip


def _read_satellites(view: View, regions: Sequence[int]) -> dict[str, tuple[ColumnTable, I64]]:
    parts, found = view.part_table(regions), {}
    for satellite in SATELLITES:
        schema = satellite.schema
        if parts.are(table=schema.name).any():
            wanted = {"ave_ref", "obj_id", "cat_id", "photcode", *satellite.key}
            names = [n for n in schema.stored_names if n in wanted]
            found[schema.name] = view.read_many(schema, regions, names, once=True)
    return found
