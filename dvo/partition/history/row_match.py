"""Rows of two states brought together by their keys, and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowMatch", "are_unlike", "match_rows", "row_codes"]

Array = NDArray[Any]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_MOST = 1 << 64


@dataclass(frozen=True, slots=True, eq=False)
class RowMatch:
    """Which rows of two states are the same ones.

    Parameters
    ----------
    old, new : ndarray of int64, shape (n,)
        Rows that both have: where in the old, where in the new.
    gone, added : ndarray of int64
        Rows of the old, and of the new, that the other does not have.
    """

    old: I64
    new: I64
    gone: I64
    added: I64


def match_rows(
    old: Sequence[Array], new: Sequence[Array], content: Callable[[I64, I64], tuple[U64, U64]]
) -> RowMatch:
    """Find the rows that two states share.

    Rows that are known by the same key in one state (there should be none) are told apart
    by what they hold: equal ones belong together, then those that are left, as they come.

    Parameters
    ----------
    old, new : sequence of ndarray, shapes (n_old,) and (n_new,)
        The columns of the key.
    content : callable
        Gives numbers for all that some rows of the old and of the new state hold, equal
        for equal rows; only called for rows whose key stands twice.

    Returns
    -------
    RowMatch
        The pairs, and what is in one state only; each in ascending order of rows.
    """
    n_old, n_new = len(old[0]), len(new[0])
    codes = row_codes([np.concatenate(pair) for pair in zip(old, new, strict=True)])
    ours, theirs = codes[:n_old], codes[n_old:]
    twice = np.concatenate([_repeated(ours), _repeated(theirs)])
    if len(twice) == 0:
        return _matched(*_pairs(ours, theirs), n_old, n_new)
    many = [np.flatnonzero(np.isin(side, twice)) for side in (ours, theirs)]
    once = [np.flatnonzero(np.isin(side, twice, invert=True)) for side in (ours, theirs)]
    pairs = [_pairs_of(once[0], once[1], ours, theirs)]
    held = content(many[0], many[1])
    both = row_codes([np.concatenate([ours[many[0]], theirs[many[1]]]), np.concatenate(held)])
    equal = _pairs(both[: len(many[0])], both[len(many[0]) :])
    pairs.append((many[0][equal[0]], many[1][equal[1]]))
    rest = [np.delete(rows, taken) for rows, taken in zip(many, equal, strict=True)]
    pairs.append(_pairs_of(rest[0], rest[1], ours, theirs))
    a, b = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    return _matched(a, b, n_old, n_new)


def _matched(old: I64, new: I64, n_old: int, n_new: int) -> RowMatch:
    order = np.argsort(old)
    gone, added = np.ones(n_old, np.bool_), np.ones(n_new, np.bool_)
    gone[old] = added[new] = False
    return RowMatch(old[order], new[order], np.flatnonzero(gone), np.flatnonzero(added))


def _pairs_of(one: I64, two: I64, ours: U64, theirs: U64) -> tuple[I64, I64]:
    """Pairs among some rows of both."""
    a, b = _pairs(ours[one], theirs[two])
    return one[a], two[b]


def _pairs(one: U64, two: U64) -> tuple[I64, I64]:
    """Where equal codes are: the first of one and of two, the second of both, and so on."""
    by_one, by_two = (np.argsort(codes, kind="stable") for codes in (one, two))
    first, second = one[by_one], two[by_two]
    rank = np.arange(len(first)) - np.searchsorted(first, first)
    at = np.searchsorted(second, first) + rank
    found = np.flatnonzero(at < len(second))
    found = found[second[at[found]] == first[found]]
    return by_one[found], by_two[at[found]]


def _repeated(codes: U64) -> U64:
    ranked = np.sort(codes)
    return np.unique(ranked[1:][ranked[1:] == ranked[:-1]])


def row_codes(columns: Sequence[Array]) -> U64:
    """Number rows so that those equal in all columns, and only those, have the same number.

    Parameters
    ----------
    columns : sequence of ndarray, shape (n,) or (n, k)
        The columns, at least one; floats are equal if their bits are, or both are NaN.

    Returns
    -------
    ndarray of uint64, shape (n,)
        The numbers.
    """
    codes, room = np.zeros(len(columns[0]), np.uint64), 1
    flat = [part for column in columns for part in (column.T if column.ndim == 2 else [column])]
    for column in flat if len(codes) else ():
        values, span = _small(column)
        if room * span > _MOST:
            codes, room = _small(codes, always=True)
        if room * span > _MOST:
            values, span = _small(values, always=True)
        codes = codes * np.uint64(span % _MOST) + values
        room *= span
    return codes


def _small(values: Array, *, always: bool = False) -> tuple[U64, int]:
    """Numbers from 0 for values, and how many there may be; as few as can be if asked."""
    if values.dtype.kind == "f":
        bits = values.astype(values.dtype, copy=True).view(f"u{values.dtype.itemsize}")
        bits[np.isnan(values)] = np.array(np.nan, values.dtype).view(bits.dtype)
        values = bits
    if values.dtype.kind in "iub" and not always:
        least, most = int(values.min()), int(values.max())
        # Modulo 2**64 the difference is right for signed and unsigned.
        return values.astype(np.uint64) - np.uint64(least % _MOST), most - least + 1
    kinds, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.uint64), len(kinds)


def are_unlike(one: Array, two: Array) -> Bool:
    """Tell which values are not the same.

    Parameters
    ----------
    one, two : ndarray, shape (n,) or (n, k)
        Values of one type.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where bits differ, but not where both are NaN.
    """
    if one.dtype.kind == "f":
        bits = f"u{one.dtype.itemsize}"
        unlike = np.ascontiguousarray(one).view(bits) != np.ascontiguousarray(two).view(bits)
        unlike &= ~(np.isnan(one) & np.isnan(two))
    else:
        unlike = one != two
    return np.asarray(unlike.any(axis=1) if unlike.ndim == 2 else unlike)
