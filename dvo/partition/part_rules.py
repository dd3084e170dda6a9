"""Do the parts of regions' tables fit together, and make up as many rows as the manifest says?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dvo.partition.faults import Fault, FaultKind
from dvo.partition.manifest import CatalogRow, PartTable
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.secfilt import SECFILT

__all__ = ["count_rows", "find_part_faults"]

I64 = NDArray[np.int64]


def find_part_faults(view: View, regions: Sequence[int]) -> Iterator[tuple[int, Fault]]:
    """Look for parts that do not make up tables of the length that the manifest states.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.

    Yields
    ------
    (int, Fault)
        A region whose tables cannot be put together, and why.
    """
    of = np.array(regions, np.int64)
    parts = view.part_table(regions)
    counts = view.catalogs(regions)
    n_average = np.array([counts[r].n_average for r in regions], np.int64)
    n_measure = np.array([counts[r].n_measure for r in regions], np.int64)
    expected = (
        (AVERAGE.name, n_average), (SECFILT.name, n_average * view.n_secfilt),
        (MEASURE.name, n_measure),
    )  # fmt: skip
    stored = {}
    for table, n_rows in expected:
        own = parts.take(parts.are(table=table))
        is_rows = own.are(table=table, kind="rows")
        sizes = _sums(of, own.take(is_rows))
        stored[table] = sizes
        at = np.searchsorted(of, own.regions)
        yield from _overlay_faults(view, own, table)
        reach = sizes.copy()
        for k, last in _patched_rows(view, own, table):
            if not 0 <= last < n_rows[at[k]]:
                yield _fault(view, FaultKind.PARTS, int(own.regions[k]), table,
                             f"patch of row {last}, but the table has {n_rows[at[k]]} rows",
                             own.rows_of_files[int(own.files[k])].path)  # fmt: skip
            reach[at[k]] = max(reach[at[k]], last + 1)
        if table == SECFILT.name:
            continue
        for k in np.flatnonzero(reach != n_rows).tolist():
            message = f"the manifest counts {n_rows[k]} rows, its files have {reach[k]}"
            yield _fault(view, FaultKind.ROWS, regions[k], table, message)
    yield from _satellite_faults(view, of, parts)
    yield from _count_faults(view, regions, parts)
    yield from _secfilt_faults(view, regions, stored, n_average)


def _satellite_faults(view: View, of: I64, parts: PartTable) -> Iterator[tuple[int, Fault]]:
    """Satellite tables are as long as their rows: nothing can change rows beyond."""
    for satellite in SATELLITES:
        table = satellite.schema.name
        own = parts.take(parts.are(table=table))
        if len(own) == 0:
            continue
        sizes = _sums(of, own.take(own.are(table=table, kind="rows")))
        yield from _overlay_faults(view, own, table)
        for k, last in _patched_rows(view, own, table):
            region = int(own.regions[k])
            n_rows = sizes[np.searchsorted(of, region)]
            if not 0 <= last < n_rows:
                yield _fault(view, FaultKind.PARTS, region, table,
                             f"patch of row {last}, but the table has {n_rows} rows",
                             own.rows_of_files[int(own.files[k])].path)  # fmt: skip


def count_rows(view: View, regions: Sequence[int]) -> list[CatalogRow]:
    """Count the rows of Average and Measure that the parts of regions make up.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.

    Returns
    -------
    list of CatalogRow
        What the manifest says, with the counts that are.
    """
    of, parts = np.array(regions, np.int64), view.part_table(regions)
    n_rows = {}
    for table in (AVERAGE.name, MEASURE.name):
        own = parts.take(parts.are(table=table))
        sizes = _sums(of, own.take(own.are(table=table, kind="rows")))
        at = np.searchsorted(of, own.regions)
        for k, last in _patched_rows(view, own, table):
            sizes[at[k]] = max(sizes[at[k]], last + 1)
        n_rows[table] = sizes.tolist()
    known = view.catalogs(regions)
    return [
        replace(known[region], n_average=n_average, n_measure=n_measure)
        for region, n_average, n_measure in zip(
            regions, n_rows[AVERAGE.name], n_rows[MEASURE.name], strict=True
        )
    ]


def _fault(
    view: View, kind: FaultKind, region: int, table: str, message: str, path: str = ""
) -> tuple[int, Fault]:
    return region, Fault(kind, message, path, table, view.sky.region(region).name)


def _sums(of: I64, parts: PartTable) -> I64:
    """Rows of parts, region by region."""
    out = np.zeros(len(of), np.int64)
    np.add.at(out, np.searchsorted(of, parts.regions), parts.sizes)
    return out


def _patched_rows(view: View, parts: PartTable, table: str) -> Iterator[tuple[int, int]]:
    """Each patch, by its place among the parts, with its greatest row, or a negative one."""
    places = np.flatnonzero(parts.are(table=table, kind="patch"))
    for first, least, greatest in view.patched_rows(parts.take(places)):
        for k, low, high in zip(first.tolist(), least.tolist(), greatest.tolist(), strict=True):
            yield int(places[k]), low if low < 0 else high


def _overlay_faults(view: View, parts: PartTable, table: str) -> Iterator[tuple[int, Fault]]:
    is_overlay = parts.are(table=table, kind="overlay")
    if not is_overlay.any():
        return
    overlays, rows = parts.take(is_overlay), parts.take(parts.are(table=table, kind="rows"))
    targets = {
        i: (region, size)
        for i, region, size in zip(
            rows.ids.tolist(), rows.regions.tolist(), rows.sizes.tolist(), strict=True
        )
    }
    for k, (target, region, size) in enumerate(
        zip(overlays.targets.tolist(), overlays.regions.tolist(), overlays.sizes.tolist(),
            strict=True)
    ):  # fmt: skip
        found = targets.get(target)
        if found == (region, size):
            continue
        is_here = found is not None and found[0] == region
        words = f"{found[1]} rows" if found is not None and is_here else "none"
        path = overlays.rows_of_files[int(overlays.files[k])].path
        yield _fault(
            view, FaultKind.PARTS, region, table, f"overlay of {size} rows on {words}", path
        )


def _count_faults(
    view: View, regions: Sequence[int], parts: PartTable
) -> Iterator[tuple[int, Fault]]:
    """What the manifest says of the parts of Measure, by which catalogs are compacted."""
    rows = parts.take(parts.are(table=MEASURE.name, kind="rows"))
    at = np.searchsorted(np.array(regions, np.int64), rows.regions)
    n_parts = np.bincount(at, minlength=len(regions))
    largest = np.zeros(len(regions), np.int64)
    np.maximum.at(largest, at, rows.sizes)
    counts = view.catalogs(regions)
    for region, n, most in zip(regions, n_parts.tolist(), largest.tolist(), strict=True):
        row = counts[region]
        if (row.n_parts, row.n_largest) != (n, most):
            yield _fault(
                view, FaultKind.ROWS, region, MEASURE.name,
                f"the manifest counts {row.n_parts} parts, the largest of {row.n_largest} rows; "
                f"there are {n}, the largest of {most}",
            )  # fmt: skip


def _secfilt_faults(
    view: View, regions: Sequence[int], stored: dict[str, I64], n_average: I64
) -> Iterator[tuple[int, Fault]]:
    """Rows of Average may be there as patches while those of SecFilt are whole."""
    n, whole, means = view.n_secfilt, stored[AVERAGE.name], stored[SECFILT.name]
    is_right = (means % n == 0) & (whole * n <= means) & (means <= n_average * n)
    for k in np.flatnonzero((means > 0) & ~is_right).tolist():
        yield _fault(
            view, FaultKind.FILTER_ROWS, regions[k], SECFILT.name,
            f"files have {means[k]} rows, not {n} for each of {whole[k]} to {n_average[k]} objects",
        )  # fmt: skip
