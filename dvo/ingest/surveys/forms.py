"""What a survey is to its reader: bands, the forms of its files, their columns and rules.

A survey is described, not programmed: each form of its files names the columns that are
taken, with their units and marks for missing values, under keys that all forms of the survey
share; rules say what its flags mean. What a description cannot say is a small function in
the module of the survey.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.flags import PhotFlag

__all__ = [
    "Band",
    "Effect",
    "Field",
    "Form",
    "Reader",
    "Rows",
    "Rule",
    "Survey",
    "above",
    "equals",
    "has_bits",
    "letters",
    "other_than",
]

Array = NDArray[Any]
Test = Callable[[Array], NDArray[np.bool_]]

Reader = Callable[[Path, Mapping[str, bool]], dict[str, Array]]
"""Reads columns of a file, unpacked: given their names, and whether they are words."""


class Effect(Enum):
    """What becomes of a row, or of one of its bands, besides flags."""

    LEFT_OUT = "the row is left out"
    NOT_MEASURED = "no measure in the band"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a survey.

    Parameters
    ----------
    name : str
        What it is called, to choose it by (``--bands``).
    photcode : str
        Its REF photcode.
    meaning : str
        What its magnitudes are.
    """

    name: str
    photcode: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a file.

    Parameters
    ----------
    key : str
        What it is: a column of Detections, ``epoch``, or a name that rules and functions of
        the survey use.
    name : str
        Its name in the file; ``{}`` stands for the word of a band.
    unit : str
        Its unit where the file gives none; ``yr``, ``mjd`` or ``jd`` for an epoch. ``?``: the
        file must tell.
    is_needed : bool
        Whether a file without it is of another form.
    nulls : tuple of float
        Values that stand for "missing".
    is_text : bool
        Whether it holds words.
    """

    key: str
    name: str
    unit: str = ""
    is_needed: bool = False
    nulls: tuple[float, ...] = ()
    is_text: bool = False

    @property
    def is_of_band(self) -> bool:
        """Whether there is one such column a band."""
        return "{}" in self.name


@dataclass(slots=True)
class Rows:
    """Rows of a file under the keys of its survey.

    Parameters
    ----------
    n : int
        Number of rows.
    values : dict of str to ndarray
        Columns of the entries: float64 or integers, NaN where missing, or words (bytes).
    bands : list of dict of str to ndarray
        Columns of each band.
    left_out : dict of str to ndarray of bool
        Rows to leave out, by reason.
    notes : list of str
        What else is worth telling.
    """

    n: int
    values: dict[str, Array]
    bands: list[dict[str, Array]]
    left_out: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value in a column means, and what becomes of it.

    Parameters
    ----------
    key : str
        The column; of the bands, where they have it.
    test : callable
        Which values are meant.
    effect : PhotFlag or Effect
        The flag that is set in ``phot_flags``, or what else becomes of the row.
    says : str
        The same in words.
    """

    key: str
    test: Test
    effect: PhotFlag | Effect
    says: str


@dataclass(frozen=True, slots=True)
class Form:
    """One form in which a survey is published.

    Parameters
    ----------
    name : str
        What it is called.
    about : str
        Which files these are.
    fields : tuple of Field
        The columns that are taken.
    words : tuple of str
        How the bands of the survey are spelled in column names; as many as bands, an empty
        word for a band that the form does not have.
    epoch : float or None
        Julian epoch of the positions where a row has none [yr]; None if it must be given.
    starts : pattern or None
        How a file of this form begins; None for tables that name their columns.
    read : callable or None
        Reads the columns asked for from a file without names, unpacked.
    names : tuple of str
        Columns that such a file has; empty if it has all of `fields`.
    prepare : callable or None
        What else is to be made of the rows.
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    words: tuple[str, ...] = ()
    epoch: float | None = None
    starts: re.Pattern[bytes] | None = None
    read: Reader | None = None
    names: tuple[str, ...] = ()
    prepare: Callable[[Rows], None] | None = None

    @property
    def is_table(self) -> bool:
        """Whether it is any table file that names its columns."""
        return self.starts is None


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey that addstar knows by name.

    Parameters
    ----------
    name : str
        What it is called on the command line.
    title : str
        What it is.
    bands : tuple of Band
        Its bands; the first stands for the survey.
    forms : tuple of Form
        The forms of its files, the fullest first.
    source : tuple of str
        Where the forms and rules are laid down.
    rules : tuple of Rule
        What its flags mean.
    notes : tuple of str
        What a user should know.
    pos_err_arcsec : float
        Error of positions that come without one [arcsec]; 0 leaves that to the photcodes.
    pos_sys_arcsec : float
        Systematic error of its positions, a term of its photcodes [arcsec].
    mag_sys : float
        Systematic error of its magnitudes, a term of its photcodes [mag].
    default_file : callable or None
        Finds the file that is taken if none is given.
    default_says : str
        What that is.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    forms: tuple[Form, ...]
    source: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    notes: tuple[str, ...] = ()
    pos_err_arcsec: float = 0.0
    pos_sys_arcsec: float = 0.0
    mag_sys: float = 0.0
    default_file: Callable[[], Path] | None = None
    default_says: str = ""


def letters(which: str) -> Test:
    """Words that have one of some letters.

    Parameters
    ----------
    which : str
        The letters.

    Returns
    -------
    callable
        The test.
    """

    is_meant = np.zeros(256, np.bool_)
    is_meant[np.frombuffer(which.encode(), np.uint8)] = True

    def test(values: Array) -> NDArray[np.bool_]:
        if values.dtype.itemsize == 1:
            return np.asarray(is_meant[values.view(np.uint8)])
        found = [np.char.find(values, c.encode()) >= 0 for c in which]
        return np.asarray(np.any(found, axis=0))

    return test


def has_bits(mask: int) -> Test:
    """Integers that have any of some bits; missing ones have none.

    Parameters
    ----------
    mask : int
        The bits.

    Returns
    -------
    callable
        The test.
    """

    def test(values: Array) -> NDArray[np.bool_]:
        if values.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0).astype(np.int64)
        return np.asarray((values.astype(np.int64) & mask) != 0)

    return test


def above(limit: float) -> Test:
    """Numbers above a limit; missing ones are not.

    Parameters
    ----------
    limit : float
        The limit.

    Returns
    -------
    callable
        The test.
    """
    return lambda values: np.asarray(values.astype(np.float64) > limit)


def equals(*numbers: float) -> Test:
    """Numbers that are one of some.

    Parameters
    ----------
    *numbers : float
        The numbers.

    Returns
    -------
    callable
        The test.
    """
    return lambda values: np.isin(values.astype(np.float64), numbers)


def other_than(*numbers: float) -> Test:
    """Numbers that are none of some; missing ones are not meant.

    Parameters
    ----------
    *numbers : float
        The numbers.

    Returns
    -------
    callable
        The test.
    """

    def test(values: Array) -> NDArray[np.bool_]:
        known = values.astype(np.float64)
        return np.asarray(~np.isnan(known) & ~np.isin(known, numbers))

    return test
