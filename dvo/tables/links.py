"""The links between tables of a catalog: made at compaction, verified by checks.

Measure.ave_ref is the row of the object in Average. In a sorted catalog the measures of
an object lie together, and Average.off_measure and nmeasure say where. SecFilt rows
``i * n .. i * n + n - 1`` belong to Average row ``i``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.column_table import ColumnTable
from dvo.tables.kernels import sky_keys

__all__ = ["find_link_faults", "sort_catalogs"]

Array = NDArray[Any]


def sort_catalogs(
    average: ColumnTable, secfilt: ColumnTable, measure: ColumnTable, edges: Array, runs: Array
) -> tuple[ColumnTable, ColumnTable, ColumnTable]:
    """Put objects in sky order, and measures in the order of objects and time.

    Parameters
    ----------
    average, secfilt, measure : ColumnTable
        The tables of one or many catalogs, whole, those of a catalog together.
    edges : ndarray of int64, shape (n + 1,)
        Where the objects of each catalog begin in `average`, and where the last ones end.
    runs : ndarray of int64, shape (n + 1,)
        The same of the measures.

    Returns
    -------
    average, secfilt, measure : ColumnTable
        The same rows, sorted within their catalogs, with ave_ref, nmeasure and off_measure
        made anew.
    """
    catalog = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    order = np.lexsort((sky_keys(average["ra"], average["dec"], edges), catalog))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    n_filters = len(secfilt) // len(average) if len(average) else 0
    sec_order = (order[:, None] * n_filters + np.arange(n_filters)).ravel()
    # Objects and measures are counted through all catalogs here, and from 0 in each there.
    first = np.repeat(edges[:-1], np.diff(runs))
    ref = rank[first + measure["ave_ref"]]
    rows = np.lexsort((measure["time"], ref))
    measure = measure.take(rows)
    measure["ave_ref"] = (ref[rows] - first).astype(np.uint32)
    average = average.take(order)
    n_measure = np.bincount(ref, minlength=len(average))
    average["nmeasure"] = n_measure.astype(np.uint32)
    average["off_measure"] = np.cumsum(n_measure) - n_measure - runs[:-1][catalog]
    return average, secfilt.take(sec_order), measure


def find_link_faults(
    average: ColumnTable,
    n_secfilt_rows: int,
    measure: ColumnTable,
    n_filters: int,
    *,
    is_sorted: bool,
) -> list[str]:
    """Look for rows that break the links between the tables of a catalog.

    Parameters
    ----------
    average : ColumnTable
        The whole table.
    n_secfilt_rows : int
        Rows of SecFilt.
    measure : ColumnTable
        The whole table, at least ave_ref, obj_id, cat_id, image_id and det_id.
    n_filters : int
        Average filters of the database.
    is_sorted : bool
        Whether the catalog claims to be sorted.

    Returns
    -------
    list of str
        What is wrong, with the first row it is wrong at; empty if all is well.
    """
    n = len(average)
    ref = measure["ave_ref"]
    faults = []
    if n_secfilt_rows != n * n_filters:
        faults.append(f"SecFilt has {n_secfilt_rows} rows, not {n_filters} for each of {n} objects")
    outside = np.flatnonzero(ref >= n)
    if len(outside):
        return [*faults, f"Measure row {outside[0]}: ave_ref {ref[outside[0]]}, but {n} objects"]
    for name in ("obj_id", "cat_id"):
        wrong = np.flatnonzero(measure[name] != average[name][ref])
        if len(wrong):
            row = wrong[0]
            faults.append(
                f"Measure row {row}: {name} {measure[name][row]}, but its object "
                f"(Average row {ref[row]}) has {average[name][ref[row]]}"
            )
    counted = np.bincount(ref, minlength=n)
    wrong = np.flatnonzero(counted != average["nmeasure"])
    if len(wrong):
        row = wrong[0]
        faults.append(
            f"Average row {row}: nmeasure {average['nmeasure'][row]}, but {counted[row]} measures"
        )
    if is_sorted:
        faults += _find_order_faults(average, ref)
    faults += _find_repeats("Average", [average["cat_id"], average["obj_id"]], "(cat_id, obj_id)")
    from_image = measure["image_id"] > 0
    pairs = [measure["image_id"][from_image], measure["det_id"][from_image]]
    faults += _find_repeats("Measure", pairs, "(image_id, det_id)")
    return faults


def _find_order_faults(average: ColumnTable, ref: Array) -> list[str]:
    offsets = average["off_measure"]
    counts = average["nmeasure"].astype(np.int64)
    faults = []
    wrong = np.flatnonzero(offsets != np.cumsum(counts) - counts)
    if len(wrong):
        faults.append(f"Average row {wrong[0]}: off_measure {offsets[wrong[0]]} is not where "
                      "its measures begin")  # fmt: skip
    if len(ref) and (np.diff(ref.astype(np.int64)) < 0).any():
        row = int(np.flatnonzero(np.diff(ref.astype(np.int64)) < 0)[0]) + 1
        faults.append(f"Measure row {row}: out of the order of objects in a sorted catalog")
    return faults


def _find_repeats(table: str, keys: list[Array], words: str) -> list[str]:
    packed = (keys[0].astype(np.uint64) << np.uint64(32)) | keys[1].astype(np.uint64)
    order = np.argsort(packed, kind="stable")
    same = np.flatnonzero(packed[order][1:] == packed[order][:-1])
    if len(same) == 0:
        return []
    first, second = sorted((int(order[same[0]]), int(order[same[0] + 1])))
    found = f"{table} rows {first} and {second}: the same {words} "
    return [found + f"({keys[0][first]}, {keys[1][first]}); {len(same)} repeats"]
