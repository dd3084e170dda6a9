"""Photcodes of a source and ours: the same name means the same thing, or it is an error."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

__all__ = ["PhotcodeMap", "map_photcodes"]

_CODES = 65536


@dataclass(frozen=True, slots=True)
class PhotcodeMap:
    """How photcodes and filters of a source are called in the database.

    Parameters
    ----------
    table : PhotcodeTable
        Photcodes of the database, with those of the source that it lacked at the end.
    n_new : int
        How many these are.
    codes : ndarray of uint16, shape (65536,)
        Number in the database of each number of the source; 0 where there is none.
    filters : ndarray of int64, shape (n_secfilt of the source,)
        Place among the average filters of the database.
    """

    table: PhotcodeTable
    n_new: int
    codes: NDArray[np.uint16]
    filters: NDArray[np.int64]


def map_photcodes(ours: PhotcodeTable, theirs: PhotcodeTable, source: str) -> PhotcodeMap:
    """Find or make a photcode for each one of a source.

    Parameters
    ----------
    ours, theirs : PhotcodeTable
        Photcodes of the database and of the source.
    source : str
        Name of the source, for messages.

    Returns
    -------
    PhotcodeMap
        The translation. New photcodes keep their numbers where these are free.

    Raises
    ------
    PhotcodeError
        If a name means something else, or an average filter is not in the database.
    """
    unknown = [p.name for p in theirs.sec if p.name not in ours]
    if unknown:
        raise PhotcodeError(
            f"{source} has average filter(s) {', '.join(unknown)} that the database has not; "
            f"it has {', '.join(p.name for p in ours.sec)}. Add them first, with: dvo secfilt "
            f"CATDIR --add {unknown[0]}"
        )
    codes = np.zeros(_CODES, np.uint16)
    for photcode in theirs:
        if photcode.name in ours and photcode.kind is not PhotClass.ALT:
            codes[photcode.code] = ours.get(photcode.name).code
    added: list[Photcode] = []
    taken = {p.code for p in ours}
    for photcode in theirs:
        if photcode.name in ours or photcode.kind is PhotClass.ALT:
            continue
        code = photcode.code
        if code in taken:
            code = next(c for c in range(1, _CODES) if c not in taken)
        taken.add(code)
        codes[photcode.code] = code
        added.append(photcode)
    n_found = len(added)
    added += [p for p in theirs if p.kind is PhotClass.ALT and p.name not in ours]
    for photcode in theirs:
        if photcode.name in ours:
            _compare(ours.get(photcode.name), _translated(photcode, codes), source)
    table = ours.extend([_translated(p, codes) for p in added])
    filters = np.array([_place(table, p.name) for p in theirs.sec], np.int64)
    return PhotcodeMap(table, max(n_found, len(added)), codes, filters)


def _translated(photcode: Photcode, codes: NDArray[np.uint16]) -> Photcode:
    blue, red = (int(codes[c]) for c in photcode.color_codes)
    return replace(
        photcode,
        code=int(codes[photcode.code]),
        equiv=int(codes[photcode.equiv]),
        color_codes=(blue, red),
    )


def _compare(ours: Photcode, theirs: Photcode, source: str) -> None:
    # NaN equals NaN here: both say that nothing is known.
    pairs: dict[str, tuple[Any, Any]] = {
        f.name: (getattr(theirs, f.name), getattr(ours, f.name)) for f in fields(ours)
    }
    different = [
        f"{name} {mine}, not {other}"
        for name, (other, mine) in pairs.items()
        if repr(other) != repr(mine)
    ]
    if different:
        raise PhotcodeError(
            f"photcode {ours.name} is another one in {source} (here {'; '.join(different)}); "
            "rename it there, or give both the same parameters"
        )


def _place(table: PhotcodeTable, name: str) -> int:
    return [p.name for p in table.sec].index(name)
