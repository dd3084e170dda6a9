"""Columns of a table of a caller's: found by their names, checked, and refused by row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.tables.photcode import Photcode, PhotcodeTable

__all__ = ["GivenColumns"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class GivenColumns:
    """A table with its name, for messages.

    Parameters
    ----------
    source : str
        Where it came from, such as the name of its file.
    columns : mapping of str to ndarray
        Its columns, each of n rows; letters of names may have any case.
    """

    source: str
    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @staticmethod
    def choose(spellings: Mapping[str, Sequence[str]]) -> Callable[[Sequence[str]], list[str]]:
        """Make a chooser of columns for a reader of files.

        Parameters
        ----------
        spellings : mapping of str to sequence of str
            What each column may be called.

        Returns
        -------
        callable
            Gives those of the columns of a file that are known.
        """
        known = {name for names in spellings.values() for name in names}
        return lambda present: [name for name in present if name.lower() in known]

    def find(self, names: Sequence[str]) -> Array | None:
        """Find a column that may have several names.

        Parameters
        ----------
        names : sequence of str
            Its names, in lower case.

        Returns
        -------
        ndarray of shape (n,), or None
            None if there is none.

        Raises
        ------
        BadCatalogError
            If there is more than one.
        """
        found = [name for name in self.columns if name.lower() in names]
        if len(found) > 1:
            raise BadCatalogError(f"{self.source}: columns {' and '.join(found)} say the same; "
                                  "keep one")  # fmt: skip
        return self.columns[found[0]] if found else None

    def refuse(self, is_bad: Bool, what: Callable[[int], str]) -> None:
        """Refuse the table if a row is bad.

        Parameters
        ----------
        is_bad : ndarray of bool, shape (n,)
            Which are.
        what : callable
            Says what is wrong with a row of that number.

        Raises
        ------
        BadCatalogError
            Naming the first bad row; rows are counted from 1.
        """
        bad = np.flatnonzero(is_bad)
        if len(bad):
            more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
            row = int(bad[0])
            raise BadCatalogError(f"{self.source}, row {row + 1}: {what(row)}{more}")

    def numbers(self, names: Sequence[str], *, is_positive: bool = False) -> F64 | None:
        """Find a column of numbers, all of them known.

        Parameters
        ----------
        names : sequence of str
            Its names, in lower case.
        is_positive : bool
            Whether numbers below 0 are refused, too.

        Returns
        -------
        ndarray of float64, shape (n,), or None
            None if there is no such column.

        Raises
        ------
        BadCatalogError
            If a value is no number, or not finite.
        """
        found = self.find(names)
        if found is None:
            return None
        if found.dtype.kind not in "biuf" or found.ndim != 1:
            raise BadCatalogError(f"{self.source}: column {names[0]} holds no numbers, "
                                  f"but such as {found.tolist()[:1]}")  # fmt: skip
        values = found.astype(np.float64)
        self.refuse(~np.isfinite(values), lambda k: f"{names[0]} is {values[k]}, not a number")
        if is_positive:
            self.refuse(values < 0, lambda k: f"{names[0]} is {values[k]:g}, below 0")
        return values

    def integers(self, names: Sequence[str], least: int, most: int) -> I64 | None:
        """Find a column of whole numbers.

        Parameters
        ----------
        names : sequence of str
            Its names, in lower case.
        least, most : int
            Between which they are.

        Returns
        -------
        ndarray of int64, shape (n,), or None
            None if there is no such column.

        Raises
        ------
        BadCatalogError
            If a value is none.
        """
        values = self.numbers(names)
        if values is None:
            return None
        self.refuse((values != np.floor(values)) | (values < least) | (values > most),
                    lambda k: f"{names[0]} is {values[k]:g}; a whole number from {least} to {most} "
                    "is wanted")  # fmt: skip
        return values.astype(np.int64)

    def texts(self, names: Sequence[str]) -> Array | None:
        """Find a column of text.

        Parameters
        ----------
        names : sequence of str
            Its names, in lower case.

        Returns
        -------
        ndarray of str, shape (n,), or None
            Without blanks around; numbers as they are written.

        Raises
        ------
        BadCatalogError
            If a text is empty.
        """
        found = self.find(names)
        if found is None:
            return None
        if found.dtype.kind == "S":
            found = np.char.decode(found, "utf-8", "replace")
        texts = np.char.strip(found.astype(np.str_))
        self.refuse(texts == "", lambda _: f"{names[0]} is empty")
        return texts

    def photcodes(
        self, names: Sequence[str], codes: PhotcodeTable, allowed: Collection[int]
    ) -> I64 | None:
        """Find a column of photcodes, by name or number.

        Parameters
        ----------
        names : sequence of str
            Names of the column, in lower case.
        codes : PhotcodeTable
            The photcodes.
        allowed : collection of int
            Classes of photcodes that may be meant.

        Returns
        -------
        ndarray of int64, shape (n,), or None
            Their numbers; None if there is no such column.

        Raises
        ------
        BadCatalogError
            If one is not known, or of another class.
        """
        texts = self.texts(names)
        if texts is None:
            return None
        known: dict[str, Photcode] = {p.name: p for p in codes if p.kind in allowed}
        for photcode in known.copy().values():
            known[str(photcode.code)] = photcode
        each, of = np.unique(texts, return_inverse=True)
        numbers = np.array([known[t].code if t in known else 0 for t in each.tolist()], np.int64)
        found = numbers[of]
        self.refuse(found == 0, lambda k: f"photcode {str(texts[k])!r} is not one that can be "
                    "meant here; `dvo photcode list` shows all")  # fmt: skip
        return found
