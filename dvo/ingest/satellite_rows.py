"""Rows of satellite tables added to a change, with all that has to stay true of them.

The rows are appended to the regions of their objects. In the same commit the objects get
their new counts (``nlensing``, ``ngalphot``, …).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.satellites import Satellite, find_satellite

__all__ = ["add_satellites"]

Array = NDArray[Any]


def add_satellites(
    change: Transaction,
    view: View,
    table: ColumnTable,
    regions: Sequence[int],
    edges: Array,
) -> None:
    """Add rows of a satellite table to objects, new or old.

    To be called once a table and commit: counts are taken from `view`.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    table : ColumnTable
        The rows, those of a region together; ave_ref, obj_id and cat_id name objects of the
        region, which may be new in this change.
    regions : sequence of int
        Region of each run of rows, ascending.
    edges : ndarray of int, shape (len(regions) + 1,)
        Where each run begins, and where the last one ends.

    Raises
    ------
    SchemaError
        If it is no satellite table.
    """
    satellite = find_satellite(table.schema.name)
    if satellite is None:
        raise SchemaError(f"{table.schema.name} is no satellite table")
    if len(table) == 0:
        return
    change.add_rows(table, regions, edges)
    _patch_counts(change, view, satellite, table["ave_ref"], regions, edges)


def _patch_counts(
    change: Transaction,
    view: View,
    satellite: Satellite,
    ave_ref: Array,
    regions: Sequence[int],
    edges: Array,
) -> None:
    """Count the rows that objects have now."""
    # Objects of all the regions are numbered through, so that one count is enough.
    of = np.repeat(np.arange(len(regions)), np.diff(edges))
    known = view.catalogs(regions)
    stored = np.array([known[r].n_average if r in known else 0 for r in regions], np.int64)
    sizes = stored.copy()
    np.maximum.at(sizes, of, ave_ref.astype(np.int64) + 1)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    counts = np.bincount(starts[of] + ave_ref, minlength=int(starts[-1]))
    rows = np.flatnonzero(counts)
    filled = [r for r, n in zip(regions, stored.tolist(), strict=True) if n]
    if filled:
        before, _ = view.read_many(AVERAGE, filled, [satellite.count])
        old = np.flatnonzero(np.arange(len(counts)) - np.repeat(starts[:-1], sizes)
                             < np.repeat(stored, sizes))  # fmt: skip
        counts[old] += before[satellite.count]
    place = rows - np.repeat(starts[:-1], sizes)[rows]
    patch = ColumnTable(AVERAGE, {satellite.count: counts[rows].astype(np.uint32)})
    label = satellite.schema.suffix
    change.patch_rows(place, patch, regions, np.searchsorted(rows, starts), label=label)
