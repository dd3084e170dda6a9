"""The links between tables of a catalog: made at compaction.

Measure.ave_ref is the row of the object in Average. In a sorted catalog the measures of
an object lie together, and Average.off_measure and nmeasure say where. SecFilt rows
``i * n .. i * n + n - 1`` belong to Average row ``i``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.column_table import ColumnTable
from dvo.tables.kernels import rows_by_object, sky_keys

__all__ = ["sort_catalogs"]

Array = NDArray[Any]


def sort_catalogs(
    average: ColumnTable, secfilt: ColumnTable, measure: ColumnTable, edges: Array, objects: Array
) -> tuple[ColumnTable, ColumnTable, ColumnTable, Array]:
    """Put objects in sky order, and measures in the order of objects and time.

    Parameters
    ----------
    average, secfilt : ColumnTable
        The tables of one or many catalogs, whole, those of a catalog together.
    measure : ColumnTable
        All measures of these objects, in any order.
    edges : ndarray of int64, shape (n + 1,)
        Where the objects of each catalog begin in `average`, and where the last ones end.
    objects : ndarray of int64, shape (n_measure,)
        Row of `average` of the object of each measure.

    Returns
    -------
    average, secfilt, measure : ColumnTable
        The same rows, sorted within their catalogs, with ave_ref, nmeasure and off_measure
        made anew.
    runs : ndarray of int64, shape (n + 1,)
        Where the measures of each catalog begin, and where the last ones end.
    """
    catalog = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    order = np.lexsort((sky_keys(average["ra"], average["dec"], edges), catalog))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    n_filters = len(secfilt) // len(average) if len(average) else 0
    sec_order = (order[:, None] * n_filters + np.arange(n_filters)).ravel()
    ref = rank[objects]
    average = average.take(order)
    n_measure = np.bincount(ref, minlength=len(average))
    before = np.concatenate([[0], np.cumsum(n_measure)])
    rows = rows_by_object(ref, measure["time"], before)
    measure, ref = measure.take(rows), ref[rows]
    runs = before[edges]
    # Objects and measures are counted through all catalogs here, and from 0 in each there.
    measure["ave_ref"] = (ref - np.repeat(edges[:-1], np.diff(runs))).astype(np.uint32)
    average["nmeasure"] = n_measure.astype(np.uint32)
    average["off_measure"] = before[:-1] - runs[:-1][catalog]
    return average, secfilt.take(sec_order), measure, runs
