"""The Guide Star Catalog layout of the sky, generated: levels 0 to 3 of the SkyTable.

The sky is cut into 24 bands of 7.5 deg; a band at declination d has about 48 cos d *large
regions* of equal width, 732 in all; each is cut 2x2, 3x3 or 4x4 into the 9537 GSC regions.
The original DVO replaces the GSC regions beyond declination 86.25 by four sectors and a cap
at each pole, which leaves 9499.

Every right-ascension edge is the one division ``360 * n / m`` of two integers, and every
declination edge a multiple of 1/32 deg: edges shared by neighbours, or by levels, are the
same float64 to the last bit. Levels 4 and 5 follow by arithmetic, in `dvo.partition.kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BANDS", "CUTS", "Layout", "gsc_regions", "pole_layout"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BAND_HEIGHT = 7.5
POLE_EDGE = 86.25
CAP_EDGE = 88.125

BANDS = tuple(
    sign + zone
    for sign in "ns"
    for zone in (
        "0000 0730 1500 2230 3000 3730 4500 5230 6000 6730 7500 8230".split()  # noqa: SIM905
    )
)
"""Names of the 24 bands, away from the equator, the north first."""

# How often each large region is cut in each direction, band by band from RA 0 on. The cut
# follows star density and hence galactic latitude, but by no simple rule. Source: the region
# numbers of Tycho-1 stars (TYC1 is the GSC region number; Hog et al. 1997), from which the
# whole layout follows, and the widths printed in the GSC region table.
CUTS = (
    "333333333444444444333333333333444444444444443333",
    "33333333444444444333333333333344444444444444333",
    "333333444444444433333222333333444444444444433",
    "3333444444444443333222223333344444444444443",
    "4444444444444433332222333333444444444444",
    "444444444444333322223333344444444444",
    "44444444443333322233333444444444",
    "444444444333333333344444444",
    "444444433333333444444",
    "444443333334444",
    "444333444",
    "444",
    "332233333444444444433333333334444444444444443333",
    "32222333334444444444333333334444444444444443333",
    "322223333444444444443333344444444444444443333",
    "3222233334444444444444444444444444444443333",
    "3222333334444444444444444444444444443333",
    "333333334444444444444444444444444333",
    "33333334444444444444444444444333",
    "333333444444444444444444433",
    "333344444444444444433",
    "333444444444443",
    "444444444",
    "444",
)
"""For each band, one digit a large region: it is cut that often in each direction."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Levels 0 to 3 of the partition as arrays, one entry a region.

    A region spans right ascension ``360 * ra_slot / ra_slots`` to
    ``360 * (ra_slot + 1) / ra_slots`` and declination ``dec_min`` to
    ``dec_min + dec_step``.

    Parameters
    ----------
    level_start : ndarray of int64, shape (7,)
        First row of levels 0 to 5, and the row after the last.
    ra_slot, ra_slots : ndarray of int64
        Place in right ascension, and the number of such places around the sky.
    dec_min, dec_step : ndarray of float64
        Lower edge and height in declination [deg].
    parent : ndarray of int64
        Row of the parent; -1 for the full sky.
    child_start, child_end : ndarray of int64
        Rows of the children.
    gsc_number : ndarray of int64
        GSC region number; 0 where there is none.
    band_large : ndarray of int64, shape (25,)
        Number of the first large region of each band.
    cuts : ndarray of int64, shape (732,)
        Cut number of each large region.
    large_row2, large_row3 : ndarray of int64, shape (732,)
        Row of each large region at level 2, and of its first GSC region at level 3.
    pole_row2, pole_row3 : ndarray of int64, shape (2,)
        Row of the north and south pole at level 2, and of its first sector at level 3.
    """

    level_start: I64
    ra_slot: I64
    ra_slots: I64
    dec_min: F64
    dec_step: F64
    parent: I64
    child_start: I64
    child_end: I64
    gsc_number: I64
    band_large: I64
    cuts: I64
    large_row2: I64
    large_row3: I64
    pole_row2: I64
    pole_row3: I64


def gsc_regions() -> dict[str, NDArray[np.float64] | NDArray[np.int64] | list[str]]:
    """The pure GSC layout: 9537 regions, without the pole rule.

    Returns
    -------
    dict
        Columns ``name`` (list of str), ``number`` (GSC region number from 1), ``large``
        (large region from 1), ``cut``, and ``ra_min``, ``ra_max``, ``dec_min``,
        ``dec_max``, ICRS [deg]. They tile the sphere exactly.

    Examples
    --------
    >>> regions = gsc_regions()
    >>> len(regions["name"]), regions["name"][0], regions["name"][-1]
    (9537, 'n0000/0001', 's8230/9537')
    """
    band_of, slots, large_slot, cuts = _large_regions()
    large, slot, ra_slots, dec_min, step = _cells(band_of, slots, large_slot, cuts)
    number = np.arange(1, large.size + 1)
    names = [f"{BANDS[b]}/{n:04d}" for b, n in zip(band_of[large], number, strict=True)]
    return {
        "name": names,
        "number": number,
        "large": large + 1,
        "cut": cuts[large],
        "ra_min": 360.0 * slot / ra_slots,
        "ra_max": 360.0 * (slot + 1) / ra_slots,
        "dec_min": dec_min,
        "dec_max": dec_min + step,
    }


@lru_cache(maxsize=1)
def pole_layout() -> Layout:
    """Levels 0 to 3 with the original's pole rule: 1, 24, 734 and 9499 regions.

    Returns
    -------
    Layout
        The same object at every call; do not change its arrays.

    Notes
    -----
    Level 2 holds the 732 large regions, those of the last bands ended at 86.25 deg, and
    one region for each pole, whose children are the sectors ``pole.0`` to ``pole.3`` and
    the cap ``pole.4``. Regions of a level follow band by band, a band's pole last.
    """
    band_of, slots, large_slot, cuts = _large_regions()
    cells = _cells(band_of, slots, large_slot, cuts)
    is_kept = (cells[3] < POLE_EDGE) & (cells[3] + cells[4] > -POLE_EDGE)
    number = np.flatnonzero(is_kept) + 1
    large, slot, ra_slots, dec_min, step = (column[is_kept] for column in cells)
    n_north = int(np.searchsorted(band_of, 12))
    split = int(np.searchsorted(large, n_north))

    # Level 3: the north, its pole, the south, its pole; and the row of each one's parent.
    row2 = np.arange(band_of.size) + (np.arange(band_of.size) >= n_north)
    pole2 = np.array([n_north, band_of.size + 1])
    pole_slot, pole_slots = np.array([0, 1, 2, 3, 0]), np.array([4, 4, 4, 4, 1])
    heights = np.full(5, CAP_EDGE - POLE_EDGE)
    pole_dec = [
        np.array([POLE_EDGE] * 4 + [CAP_EDGE]),
        np.array([-CAP_EDGE] * 4 + [-90.0]),
    ]

    def with_poles(column: NDArray, north: NDArray, south: NDArray) -> NDArray:  # type: ignore[type-arg]
        return np.concatenate([column[:split], north, column[split:], south])

    slot3 = with_poles(slot, pole_slot, pole_slot)
    slots3 = with_poles(ra_slots, pole_slots, pole_slots)
    dec3 = with_poles(dec_min, *pole_dec)
    step3 = with_poles(step, heights, heights)
    parent3 = with_poles(row2[large], np.full(5, pole2[0]), np.full(5, pole2[1]))
    number3 = with_poles(number, np.zeros(5, np.int64), np.zeros(5, np.int64))

    # Level 2.
    band_dec = _band_dec()
    n2 = band_of.size + 2
    slot2, slots2 = np.zeros(n2, np.int64), np.ones(n2, np.int64)
    slot2[row2], slots2[row2] = large_slot, slots
    dec2, step2, parent2 = np.empty(n2), np.full(n2, BAND_HEIGHT), np.empty(n2, np.int64)
    dec2[row2], parent2[row2] = band_dec[band_of], band_of
    dec2[pole2], step2[pole2], parent2[pole2] = [POLE_EDGE, -90.0], 90.0 - POLE_EDGE, [11, 23]
    is_last = np.isin(band_of, (11, 23))
    step2[row2[is_last]] = POLE_EDGE - 82.5
    dec2[row2[band_of == 23]] = -POLE_EDGE

    counts = np.array([1, 24, n2, slot3.size, slot3.size * 16, slot3.size * 400])
    start = np.concatenate([[0], np.cumsum(counts)])
    parent = np.concatenate([[-1], np.zeros(24, int), start[1] + parent2, start[2] + parent3])
    child_start, child_end = _children(parent, start)
    return Layout(
        level_start=start,
        ra_slot=np.concatenate([np.zeros(25, np.int64), slot2, slot3]),
        ra_slots=np.concatenate([np.ones(25, np.int64), slots2, slots3]),
        dec_min=np.concatenate([[-90.0], band_dec, dec2, dec3]),
        dec_step=np.concatenate([[180.0], np.full(24, BAND_HEIGHT), step2, step3]),
        parent=parent,
        child_start=child_start,
        child_end=child_end,
        gsc_number=np.concatenate([np.zeros(25 + n2, np.int64), number3]),
        band_large=np.searchsorted(band_of, np.arange(25)),
        cuts=cuts,
        large_row2=start[2] + row2,
        large_row3=child_start[start[2] + row2],
        pole_row2=start[2] + pole2,
        pole_row3=child_start[start[2] + pole2],
    )


def _band_dec() -> F64:
    """Lower edges of the 24 bands [deg]."""
    steps = np.arange(12) * BAND_HEIGHT
    return np.concatenate([steps, -steps - BAND_HEIGHT])


def _large_regions() -> tuple[I64, I64, I64, I64]:
    """Band, large regions in that band, place in it, and cut number, of the 732."""
    counts = np.array([len(digits) for digits in CUTS])
    band_of = np.repeat(np.arange(24), counts)
    large_slot = np.arange(band_of.size) - np.repeat(np.cumsum(counts) - counts, counts)
    cuts = np.array([int(digit) for digits in CUTS for digit in digits])
    return band_of, counts[band_of], large_slot, cuts


def _cells(band_of: I64, slots: I64, large_slot: I64, cuts: I64) -> tuple[I64, I64, I64, F64, F64]:
    """The GSC regions in order of number: right ascension fastest, then from the equator."""
    per_large = cuts**2
    large = np.repeat(np.arange(cuts.size), per_large)
    inside = np.arange(large.size) - np.repeat(np.cumsum(per_large) - per_large, per_large)
    cut = cuts[large]
    row, column = inside // cut, inside % cut
    is_south = band_of[large] >= 12
    northward = np.where(is_south, cut - 1 - row, row)
    step = BAND_HEIGHT / cut
    dec_min = _band_dec()[band_of[large]] + northward * step
    return large, large_slot[large] * cut + column, slots[large] * cut, dec_min, step


def _children(parent: I64, start: I64) -> tuple[I64, I64]:
    """Child rows of levels 0 to 3; children stand in order of their parents."""
    rows = np.arange(parent.size)
    first = np.searchsorted(parent, rows, side="left")
    last = np.searchsorted(parent, rows, side="right")
    leaf = rows[start[3] :] - start[3]
    first[start[3] :] = start[4] + 16 * leaf
    last[start[3] :] = start[4] + 16 * (leaf + 1)
    return first, last
