"""Counts of the Measure parts of catalogs: what tells which of them are due for compaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import CatalogRow, PartRun, PartTable
from dvo.tables.measure import MEASURE

__all__ = ["count_parts"]

I64 = NDArray[np.int64]


def count_parts(
    rows: Iterable[CatalogRow],
    before: Mapping[int, CatalogRow],
    added: Sequence[PartRun],
    removed: I64,
    part_table: Callable[[list[int]], PartTable],
) -> list[CatalogRow]:
    """Complete the counts of catalogs that a commit changes.

    Parameters
    ----------
    rows : iterable of CatalogRow
        The catalogs.
    before : mapping of int to CatalogRow
        The same ones, by region, in the snapshot that the commit builds on.
    added : sequence of PartRun
        Parts that it adds: rows of Measure.
    removed : ndarray of int64, shape (n, 2)
        Region and number of all parts that it takes away.
    part_table : callable
        Gives the parts of some regions in that snapshot.

    Returns
    -------
    list of CatalogRow
        The catalogs in the order of regions, with the number of their Measure parts and
        the rows of the largest.
    """
    wanted = sorted(rows, key=lambda row: row.region)
    regions = np.array([row.region for row in wanted], np.int64)
    nothing = CatalogRow(0, 0, 0, 0, is_sorted=True)
    old = [before.get(row.region, nothing) for row in wanted]
    n_parts = np.array([row.n_parts for row in old], np.int64)
    largest = np.array([row.n_largest for row in old], np.int64)

    def count(of: I64, sizes: I64) -> None:
        at = np.searchsorted(regions, of)
        known = at < len(regions)
        known[known] = regions[at[known]] == of[known]
        np.add.at(n_parts, at[known], 1)
        np.maximum.at(largest, at[known], sizes[known])

    # Where parts go, the rest is counted anew: the largest may be among them.
    is_cut = np.isin(regions, removed[:, 0])
    if is_cut.any():
        n_parts[is_cut] = largest[is_cut] = 0
        parts = part_table(regions[is_cut].tolist())
        stays = parts.are(table=MEASURE.name, kind="rows") & ~np.isin(parts.ids, removed[:, 1])
        count(parts.regions[stays], parts.sizes[stays])
    for run in added:
        count(run.regions, run.stops - run.starts)
    return [
        CatalogRow(
            row.region, row.n_average, row.next_obj_id, row.n_measure, row.is_sorted, n, most
        )
        for row, n, most in zip(wanted, n_parts.tolist(), largest.tolist(), strict=True)
    ]
