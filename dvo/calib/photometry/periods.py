"""Photometric periods: the nights of each filter, and which of them are photometric.

In a text file a period is a line: the filter, its first and last second (UTC), and whether it
is photometric: ``yes``, ``no``, or ``auto`` to have it judged. What follows a ``#`` is a comment.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.tables.photcode import PhotcodeTable

__all__ = ["Periods", "Verdict"]

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_DAY = 86400
_GAP = 6 * 3600
_HEAD = """\
# Photometric periods of ubercal; change the last word and give the file back with --periods.
# filter  first second  last second (UTC)  photometric: yes, no, or auto (to be judged)
"""


class Verdict(enum.IntEnum):
    """Whether a period is photometric."""

    AUTO = -1
    """to be judged"""
    NO = 0
    """it is not"""
    YES = 1
    """it is, whatever its scatter"""


@dataclass(frozen=True, eq=False)
class Periods:
    """Periods, in the order of their filters and times.

    Parameters
    ----------
    filter_index : ndarray of int64, shape (n,)
        Average filter of each, by its number in SecFilt.
    start, stop : ndarray of int64, shape (n,)
        First second of each, and the first after it [s since 1970 UTC].
    verdict : ndarray of int64, shape (n,)
        What is said of each, a `Verdict`.
    """

    filter_index: I64
    start: I64
    stop: I64
    verdict: I64

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def find(cls, filter_index: I64, time: I64) -> Periods:
        """Find nights: times between which there are six hours or more without an exposure.

        Parameters
        ----------
        filter_index : ndarray of int64, shape (n,)
            Filters of images.
        time : ndarray of int64, shape (n,)
            Their times [s since 1970 UTC].

        Returns
        -------
        Periods
            A period a night and filter. What goes on for longer than a day, as seen from
            space, is cut into days.
        """
        if not len(time):
            return cls(*(np.empty(0, np.int64) for _ in range(4)))
        order = np.argsort(time, kind="stable")
        night = np.empty(len(time), np.int64)
        night[order] = np.cumsum(np.diff(time[order], prepend=time[order[0]]) >= _GAP)
        first = np.full(int(night.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, night, time)
        day = (time - first[night]) // _DAY
        keys, of = np.unique(np.column_stack([filter_index, night, day]), axis=0,
                             return_inverse=True)  # fmt: skip
        start = np.full(len(keys), np.iinfo(np.int64).max)
        stop = np.full(len(keys), np.iinfo(np.int64).min)
        np.minimum.at(start, of.ravel(), time)
        np.maximum.at(stop, of.ravel(), time + 1)
        return cls(keys[:, 0].astype(np.int64), start, stop, np.full(len(keys), int(Verdict.AUTO)))

    def of(self, filter_index: I64, time: I64) -> I32:
        """Find the periods of images.

        Parameters
        ----------
        filter_index : ndarray of int64, shape (n,)
            Their filters.
        time : ndarray of int64, shape (n,)
            Their times [s since 1970 UTC].

        Returns
        -------
        ndarray of int32, shape (n,)
            Numbers of periods; -1 for images in none.
        """
        out = np.full(len(time), -1, np.int32)
        for k in np.unique(self.filter_index).tolist():
            own = np.flatnonzero(self.filter_index == k)
            some = np.flatnonzero(filter_index == k)
            at = np.searchsorted(self.start[own], time[some], side="right") - 1
            is_in = (at >= 0) & (time[some] < self.stop[own][np.maximum(at, 0)])
            out[some[is_in]] = own[at[is_in]]
        return out

    def only(self, which: NDArray[np.bool_]) -> Periods:
        """Give some of the periods.

        Parameters
        ----------
        which : ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        Periods
            In the same order.
        """
        return Periods(self.filter_index[which], self.start[which], self.stop[which],
                       self.verdict[which])  # fmt: skip

    def judged(self, is_photometric: NDArray[np.bool_]) -> Periods:
        """Give the same periods, with what was found of them.

        Parameters
        ----------
        is_photometric : ndarray of bool, shape (n,)
            Whether each is.

        Returns
        -------
        Periods
            A copy.
        """
        return replace(self, verdict=is_photometric.astype(np.int64))

    def write(self, path: Path, codes: PhotcodeTable, remarks: Sequence[str]) -> None:
        """Write them as text.

        Parameters
        ----------
        path : Path
            Where to; a file that is there is replaced.
        codes : PhotcodeTable
            The photcodes, for the names of filters.
        remarks : sequence of str
            What is to be said of each, as a comment.
        """
        lines = [_HEAD]
        for i, remark in enumerate(remarks):
            name = codes.sec[self.filter_index[i]].name
            first, last = _text_of(int(self.start[i])), _text_of(int(self.stop[i]) - 1)
            verdict = Verdict(int(self.verdict[i])).name.lower()
            lines.append(f"{name} {first} {last} {verdict}  # {remark}\n")
        path.write_text("".join(lines))

    @classmethod
    def read(cls, path: Path, codes: PhotcodeTable) -> Periods:
        """Read them from text.

        Parameters
        ----------
        path : Path
            The file.
        codes : PhotcodeTable
            The photcodes of the database.

        Returns
        -------
        Periods
            The periods.

        Raises
        ------
        ConfigError
            If a line cannot be understood, or two periods of a filter overlap.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"periods of {path} cannot be read: {err}") from err
        names = {photcode.name: k for k, photcode in enumerate(codes.sec)}
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if words:
                rows.append((*_row(words, names, f"{path}, line {number}"), number))
        rows.sort()
        for one, two in pairwise(rows):
            if one[0] == two[0] and two[1] < one[2]:
                raise ConfigError(
                    f"{path}: the periods of lines {one[4]} and {two[4]} overlap; "
                    "those of a filter must not"
                )
        table = np.array(rows, np.int64).reshape(-1, 5)
        return cls(*(table[:, k].copy() for k in range(4)))


def _row(words: list[str], names: dict[str, int], where: str) -> tuple[int, int, int, int]:
    """Filter, start, stop and verdict of a line."""
    verdicts = {verdict.name.lower(): int(verdict) for verdict in Verdict}
    if len(words) != 4:
        raise ConfigError(
            f"{where}: {len(words)} words; a line is FILTER FIRST LAST and yes, no or auto"
        )
    if words[0] not in names:
        raise ConfigError(f"{where}: {words[0]!r} is no average filter of this database; "
                          f"there are: {', '.join(names)}")  # fmt: skip
    if words[3] not in verdicts:
        raise ConfigError(f"{where}: {words[3]!r} is not yes, no or auto")
    start, last = (_seconds_of(word, where) for word in words[1:3])
    if last < start:
        raise ConfigError(f"{where}: it ends ({words[2]}) before it begins ({words[1]})")
    return names[words[0]], start, last + 1, verdicts[words[3]]


def _text_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _seconds_of(word: str, where: str) -> int:
    try:
        found = datetime.fromisoformat(word)
    except ValueError as err:
        raise ConfigError(f"{where}: {word!r} is no time; write 2015-03-21T05:30:00") from err
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
