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
from dvo.tables.kernels import sky_keys

__all__ = ["sort_catalogs"]

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
