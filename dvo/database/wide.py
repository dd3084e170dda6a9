"""The wide view `object`: a row of Average with its rows of SecFilt as columns.

A column of filter ``g`` is called ``g_`` and the column of SecFilt: ``g_mag``,
``g_mag_err``, ``g_nused``. SecFilt has no ids and its rows go with those of Average, so
that nothing has to be joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.view import View
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.schema import Column
from dvo.tables.secfilt import SECFILT

__all__ = ["WideColumn", "read_wide", "wide_columns"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class WideColumn:
    """A column of SecFilt, of one average filter.

    Parameters
    ----------
    column : Column
        What it is, under its name in the wide view.
    source : str
        Name of the column in SecFilt.
    filter_index : int
        Number of the filter, from 0.
    """

    column: Column
    source: str
    filter_index: int


def wide_columns(photcodes: PhotcodeTable) -> dict[str, WideColumn]:
    """List the columns that the wide view has beside those of Average.

    Parameters
    ----------
    photcodes : PhotcodeTable
        The photcodes; SEC ones are the average filters.

    Returns
    -------
    dict of str to WideColumn
        By name, filter after filter.
    """
    found = {}
    prefixes: list[str] = []
    for k, photcode in enumerate(photcodes.sec):
        prefix = photcode.name.lower()
        if prefix in prefixes:  # names of columns know no case: R beside r is r7, by its code
            prefix += str(photcode.code)
        prefixes.append(prefix)
        for column in SECFILT.columns:
            name = f"{prefix}_{column.name}"
            meaning = f"{column.meaning}, filter {photcode.name}"
            made = replace(column, name=name, meaning=meaning)
            found[name] = WideColumn(made, column.name, k)
    return found


def read_wide(
    view: View, regions: Sequence[int], columns: Sequence[WideColumn]
) -> dict[str, Array]:
    """Read columns of the wide view that come from SecFilt.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.
    columns : sequence of WideColumn
        Which columns.

    Returns
    -------
    dict of ndarray
        By name: a value for each row of Average, region after region; the null of the
        column where it is unknown.
    """
    sources = list(dict.fromkeys(c.source for c in columns))
    if len(regions) == 1:
        table = view.read(SECFILT, regions[0], sources)
    else:
        table, _ = view.read_many(SECFILT, regions, sources)
    n = view.n_secfilt
    by_source = {s: table[s].reshape(-1, n) for s in sources}
    return {
        c.column.name: np.ascontiguousarray(by_source[c.source][:, c.filter_index]) for c in columns
    }
