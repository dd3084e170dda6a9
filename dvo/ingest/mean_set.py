"""Running mean magnitudes of the objects in memory, as SecFilt keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.kernels import accumulate_magnitudes
from dvo.tables.averages import LEAST_MAG_ERR, MEAN_COUNTS, MEAN_STEMS, UNKNOWN_MAG_ERR

__all__ = ["MEAN_COLUMNS", "MeanSet"]

Array = NDArray[Any]


def _mean_names(kind: str) -> dict[str, str]:
    """Columns of SecFilt for a kind of magnitude, and the attribute of `MeanSet` of each."""
    stem = MEAN_STEMS[kind]
    names = {
        stem: "mean",
        f"{stem}_err": "err",
        f"{stem}_stdev": "stdev",
        MEAN_COUNTS[kind]: "n_used",
    }
    if kind == "psf":
        names |= {"mag_chi": "chi", "mag_min": "least", "mag_max": "most"}
    return names


MEAN_COLUMNS = {column: kind for kind in MEAN_STEMS for column in _mean_names(kind)}
"""Columns of SecFilt that running means fill, and the kind of each: psf, ap or kron."""


class MeanSet:
    """Running mean magnitudes, a row for each object and filter.

    Chi-square and extremes are stored, and kept here, for psf only; else they have no rows.

    Parameters
    ----------
    kind : str
        Which magnitudes: psf, ap or kron.
    n_rows : int
        Number of rows; all are empty at first.
    """

    __slots__ = ("_names", "chi", "err", "kind", "least", "mean", "most", "n_used", "stdev")

    def __init__(self, kind: str, n_rows: int) -> None:
        self.kind = kind
        self.mean = np.full(n_rows, np.nan, np.float32)
        self.err = np.full(n_rows, np.nan, np.float32)
        self.stdev = np.full(n_rows, np.nan, np.float32)
        n_more = n_rows if kind == "psf" else 0
        self.chi = np.full(n_more, np.nan, np.float32)
        self.least = np.full(n_more, np.nan, np.float32)
        self.most = np.full(n_more, np.nan, np.float32)
        self.n_used = np.zeros(n_rows, np.uint32)
        self._names = _mean_names(kind)

    def columns(self) -> dict[str, Array]:
        """The means under the names that they have in SecFilt."""
        return {column: getattr(self, name) for column, name in self._names.items()}

    def change(self, change: Callable[[Array], Array]) -> None:
        """Put in place of every column what a function makes of it."""
        for name in self._names.values():
            setattr(self, name, change(getattr(self, name)))

    def accumulate(self, row: Array, mag: Array, err: Array) -> None:
        """Take in magnitudes, in order.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            Row of the mean that each belongs to; negative: none.
        mag, err : ndarray of float32, shape (n,)
            Magnitudes and errors [mag]; NaN magnitudes are passed over.
        """
        accumulate_magnitudes(
            row, mag, err, LEAST_MAG_ERR, UNKNOWN_MAG_ERR, self.mean, self.err, self.chi,
            self.stdev, self.least, self.most, self.n_used,
        )  # fmt: skip
