"""Regions that are read together: few rows in all, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dvo.partition.view import View

__all__ = ["region_batches"]

_MOST_REGIONS = 5000
_MOST_ROWS = 500_000


def region_batches(view: View, regions: Sequence[int]) -> Iterator[list[int]]:
    """Cut regions into batches by their numbers of measures.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which, ascending; each has a catalog.

    Yields
    ------
    list of int
        Regions that lie together; a region is never cut.
    """
    for start in range(0, len(regions), _MOST_REGIONS):
        some = regions[start : start + _MOST_REGIONS]
        rows = view.catalogs(some)
        ends = np.cumsum([rows[region].n_measure for region in some])
        cuts = np.flatnonzero(np.diff(ends // _MOST_ROWS)) + 1
        yield from (part.tolist() for part in np.split(np.array(some, np.int64), cuts))
