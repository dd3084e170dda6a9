"""Columns of the extensions beside a table of detections, checked, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.solution import Solution
from dvo.errors import BadCatalogError
from dvo.ingest.detection_numbers import det_ids_of
from dvo.ingest.detections import INSTRUMENT_ZERO_POINT, ImageMeta
from dvo.ingest.hdus import PackedTable, PlainTable
from dvo.tables.fits.hdu import Hdu
from dvo.tables.photsource import PhotSource, source_of

__all__ = ["Chip", "Extension"]

F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]
Table = PlainTable | PackedTable

_WITHOUT = "leave the satellite tables out with --no-satellites"


@dataclass(slots=True)
class Chip:
    """The image that extensions belong to, and what is to be told of them.

    Parameters
    ----------
    meta : ImageMeta
        Facts of the image.
    solution : Solution or None
        Its astrometry; None where the detections bring positions of their own.
    scale_arcsec : float
        Size of a pixel, over the image [arcsec]; NaN if unknown.
    dropped : dict of str to int
        Rows left out, by reason; grows.
    notes : list of str
        What is worth telling; grows.
    """

    meta: ImageMeta
    solution: Solution | None
    scale_arcsec: float
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def mag_shift(self) -> float:
        """What brings an instrumental magnitude to the level of Measure.mag [mag]."""
        return self.meta.m_time + INSTRUMENT_ZERO_POINT

    @property
    def per_second(self) -> float:
        """What brings counts to counts a second [1/s]; 1 where the time is unknown."""
        return 1.0 / self.meta.exptime_s if self.meta.exptime_s > 0 else 1.0

    @property
    def is_stack(self) -> bool:
        """Whether the image is a stack, or sums up several images, by its photcode."""
        return source_of(self.meta.photcode) is PhotSource.STACK

    def drop(self, reason: str, n: int) -> None:
        """Count rows that are left out."""
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + n


class Extension:
    """One extension: its table, opened, and its header.

    Parameters
    ----------
    hdu : Hdu
        The HDU.
    table : PlainTable or PackedTable
        Its columns.
    """

    def __init__(self, hdu: Hdu, table: Table) -> None:
        self.header = hdu.header
        self.name = hdu.extname
        self.n_rows = table.n_rows
        self.data = table.data
        self._table = table
        self._missing: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._table

    @property
    def where(self) -> str:
        """File and HDU, for messages."""
        return f"{self._table.where} ({self.name})"

    def det_ids(self) -> U32:
        """Read the number of the detection that each row belongs to.

        Returns
        -------
        ndarray of uint32, shape (n_rows,)
            IPP_IDET.

        Raises
        ------
        BadCatalogError
            If the column is missing, or holds anything but numbers of detections.
        """
        values = self._required("IPP_IDET")
        try:
            return det_ids_of(values, f"{self.where}, column IPP_IDET")
        except BadCatalogError as err:
            raise BadCatalogError(f"{err}; or {_WITHOUT}") from None

    def integers(self, name: str) -> NDArray[np.int64]:
        """Read a column of integers that has to be there.

        Parameters
        ----------
        name : str
            Its name in upper case.

        Returns
        -------
        ndarray of int64, shape (n_rows,)
            The values.

        Raises
        ------
        BadCatalogError
            If it is missing, or holds no integers.
        """
        values = self._required(name)
        if values.dtype.kind not in "iu" or values.ndim != 1:
            raise self._bad(name, values, "an integer a row, without nulls")
        return np.asarray(values, np.int64)

    def words(self, name: str) -> NDArray[np.bytes_]:
        """Read a column of text that has to be there.

        Parameters
        ----------
        name : str
            Its name in upper case.

        Returns
        -------
        ndarray of bytes, shape (n_rows,)
            The words, without spaces around them.

        Raises
        ------
        BadCatalogError
            If it is missing, or holds no text.
        """
        values = self._required(name)
        if values.dtype.kind != "S" or values.ndim != 1:
            raise self._bad(name, values, "a word a row")
        return np.char.strip(values)

    def floats(self, name: str) -> F64:
        """Read a column of numbers.

        Parameters
        ----------
        name : str
            Its name in upper case.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
            The values; NaN where null, all of them where the column is missing.

        Raises
        ------
        BadCatalogError
            If it holds no number a row.
        """
        if name not in self._table:
            self._missing.append(name)
            return np.full(self.n_rows, np.nan)
        values = self._table.read(name)
        if values.ndim != 1 or values.dtype.kind not in "fiu":
            raise self._bad(name, values, "a number a row")
        return _float64(values)

    def vectors(self, name: str, width: int | None = None) -> F64:
        """Read a column of several numbers a row.

        Parameters
        ----------
        name : str
            Its name in upper case.
        width : int or None
            How many numbers a row has; None takes what there is.

        Returns
        -------
        ndarray of float64, shape (n_rows, width)
            The values; NaN where null, all of them where the column is missing (width 0
            if none is asked for).

        Raises
        ------
        BadCatalogError
            If it holds no numbers, or another number of them.
        """
        if name not in self._table:
            self._missing.append(name)
            return np.full((self.n_rows, width or 0), np.nan)
        values = self._table.read(name)
        if values.ndim == 1:
            values = values[:, None]
        if values.dtype.kind not in "fiu" or (width is not None and values.shape[1] != width):
            raise self._bad(name, values, f"{width or 'some'} numbers a row")
        return _float64(values)

    def note_missing(self, chip: Chip) -> None:
        """Tell which of the columns asked for are missing."""
        if self._missing:
            suffix = self.name.rpartition(".")[2].lower()
            names = ", ".join(dict.fromkeys(self._missing))
            chip.notes.append(f".{suffix} has no column {names}: null")

    def contradicts(self, what: str) -> BadCatalogError:
        """Make the error of an extension that contradicts itself or others.

        Parameters
        ----------
        what : str
            What is wrong.

        Returns
        -------
        BadCatalogError
            To be raised.
        """
        return BadCatalogError(f"{self.where}: {what}; {_WITHOUT}")

    def _required(self, name: str) -> NDArray[Any]:
        if name not in self._table:
            raise self.contradicts(f"no column {name}, without which its rows belong to nothing")
        return self._table.read(name)

    def _bad(self, name: str, values: NDArray[Any], wanted: str) -> BadCatalogError:
        """Make the error of a column of another kind."""
        return BadCatalogError(
            f"{self.where}: column {name} is {values.dtype} of shape {values.shape}, not "
            f"{wanted}; {_WITHOUT}"
        )


def _float64(values: NDArray[Any]) -> F64:
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        return np.asarray(values, np.float64)
