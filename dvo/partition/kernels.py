"""Compiled look-ups of the sky partition: bounds, position, cone, box; and moving rows.

The arrays are those of `dvo.partition.gsc.Layout`; levels 4 and 5 follow from level 3 by
arithmetic. Rows are int64; -1 stands for no region. Nothing is checked here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part
from dvo.kernels.sphere import separation_one, wrap_ra_one

__all__ = [
    "box_regions",
    "cone_regions",
    "cone_touches",
    "locate",
    "mark_boxes",
    "move_words",
    "near_edge",
    "region_bounds",
    "spread_runs",
    "tile_edges",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
Bool = NDArray[np.bool_]
Words = NDArray[np.unsignedinteger]

# Rounding must not lose a region whose edge a cone or a box just reaches [deg].
_SLACK = 1e-9


@kernel_part
def _bounds_one(
    row: int, start: I64, ra_slot: I64, ra_slots: I64, dec_min: F64, dec_step: F64
) -> tuple[float, float, float, float]:
    """Limits ra_min, ra_max, dec_min, dec_max of a row [deg]."""
    base = row
    column = 0
    line = 0
    fine = 1
    if row >= start[5]:
        child = row - start[5]
        base = start[3] + child // 400
        child4 = child % 400 // 25
        column = child4 % 4 * 5 + child % 5
        line = child4 // 4 * 5 + child % 25 // 5
        fine = 20
    elif row >= start[4]:
        child = row - start[4]
        base = start[3] + child // 16
        column = child % 4
        line = child % 16 // 4
        fine = 4
    slot = ra_slot[base] * fine + column
    slots = ra_slots[base] * fine
    step = dec_step[base] / fine
    low = dec_min[base] + line * step
    return 360.0 * slot / slots, 360.0 * (slot + 1) / slots, low, low + step


@kernel
def region_bounds(
    rows: I64, start: I64, ra_slot: I64, ra_slots: I64, dec_min: F64, dec_step: F64, out: F64
) -> None:
    """Fill out, shape (n, 4), with ra_min, ra_max, dec_min, dec_max of rows [deg]."""
    for i in range(rows.size):
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = _bounds_one(
            rows[i], start, ra_slot, ra_slots, dec_min, dec_step
        )


@kernel
def _slot_of(ra: float, slots: int) -> int:
    """Place of a right ascension among equal parts, by the very edges of `_bounds_one`."""
    slot = int(ra * slots / 360.0)
    if ra < 360.0 * slot / slots:
        slot -= 1
    elif ra >= 360.0 * (slot + 1) / slots:
        slot += 1
    return min(slot, slots - 1)


@kernel
def _line_of(dec: float, low: float, step: float, lines: int) -> int:
    """Place of a declination among equal parts; the edges are exact in float64."""
    line = int((dec - low) / step)
    if dec < low + line * step:
        line -= 1
    elif dec >= low + (line + 1) * step:
        line += 1
    return min(line, lines - 1)


@kernel
def _descend(row3: int, level: int, column: int, line: int, starts: tuple[int, int, int]) -> int:
    """Row at level 3, 4 or 5 of the part (column, line) of a level 3 region."""
    if level == 3:
        return row3
    if level == 4:
        return starts[1] + (row3 - starts[0]) * 16 + line * 4 + column
    inside = (line // 5 * 4 + column // 5) * 25 + line % 5 * 5 + column % 5
    return starts[2] + (row3 - starts[0]) * 400 + inside


@kernel
def _locate_pole(
    ra: float, dec: float, level: int, fine: int, row3: int, starts: tuple[int, int, int]
) -> int:
    """Row of a position beyond declination 86.25, at level 3 or more."""
    is_south = dec < 0.0
    step = 1.875 / fine
    if (is_south and dec < -88.125) or (not is_south and dec >= 88.125):
        line = _line_of(dec, -90.0 if is_south else 88.125, step, fine)
        return _descend(row3 + 4, level, _slot_of(ra, fine), line, starts)
    slot = _slot_of(ra, 4 * fine)
    line = _line_of(dec, -88.125 if is_south else 86.25, step, fine)
    return _descend(row3 + slot // fine, level, slot % fine, line, starts)


@kernel
def locate(
    ra: F64,
    dec: F64,
    level: int,
    start: I64,
    band_large: I64,
    cuts: I64,
    large_row2: I64,
    large_row3: I64,
    pole_row2: I64,
    pole_row3: I64,
    out: I64,
) -> None:
    """Fill out with the row of the region that holds each position; -1 for none.

    The helpers take scalars only: an array handed to a function that is not inlined costs
    a reference count each time, which halved the speed.
    """
    starts = (start[3], start[4], start[5])
    fine = 20 if level == 5 else (4 if level == 4 else 1)
    for i in range(ra.size):
        a = wrap_ra_one(ra[i])
        d = dec[i]
        if not (0.0 <= a < 360.0 and -90.0 <= d <= 90.0):
            out[i] = -1
            continue
        if level == 0:
            out[i] = 0
            continue
        belt = math.floor(d / 7.5)
        # The quotient may round up to the next whole number.
        if d < 7.5 * belt:
            belt -= 1
        belt = min(belt, 11)
        band = belt if belt >= 0 else 11 - belt
        if level == 1:
            out[i] = 1 + band
            continue
        if d >= 86.25 or d < -86.25:
            pole = 1 if belt < 0 else 0
            if level == 2:
                out[i] = pole_row2[pole]
            else:
                out[i] = _locate_pole(a, d, level, fine, pole_row3[pole], starts)
            continue
        slots = band_large[band + 1] - band_large[band]
        place = _slot_of(a, slots)
        large = band_large[band] + place
        if level == 2:
            out[i] = large_row2[large]
            continue
        parts = cuts[large] * fine
        column = _slot_of(a, slots * parts) - place * parts
        line = _line_of(d, 7.5 * belt, 7.5 / parts, parts)
        # GSC numbers run away from the equator, all finer parts northward.
        line3 = line // fine if belt >= 0 else cuts[large] - 1 - line // fine
        row3 = large_row3[large] + line3 * cuts[large] + column // fine
        out[i] = _descend(row3, level, column % fine, line % fine, starts)


@kernel
def _meridian_distance(offset: float, dec: float, low: float, high: float) -> float:
    """Distance [deg] of a position to the arc low..high of a meridian offset [deg] away."""
    nearest = min(separation_one(0.0, dec, offset, low), separation_one(0.0, dec, offset, high))
    if abs(offset) < 90.0:
        foot = math.degrees(
            math.atan2(
                math.sin(math.radians(dec)),
                math.cos(math.radians(dec)) * math.cos(math.radians(offset)),
            )
        )
        if low < foot < high:
            nearest = min(nearest, separation_one(0.0, dec, offset, foot))
    return nearest


@kernel
def _rectangle_distance(
    ra: float, dec: float, ra_min: float, ra_max: float, low: float, high: float
) -> float:
    """Distance [deg] of a position to a rectangle in right ascension and declination.

    Along a parallel the nearest point is the one of least difference in right ascension,
    so outside the rectangle's own range the answer lies on one of its two meridians.
    """
    if wrap_ra_one(ra - ra_min) <= ra_max - ra_min:
        return max(0.0, low - dec, dec - high)
    west = wrap_ra_one(ra_min - ra + 180.0) - 180.0
    east = wrap_ra_one(ra_max - ra + 180.0) - 180.0
    return min(_meridian_distance(west, dec, low, high), _meridian_distance(east, dec, low, high))


@kernel
def _count_children(rows: I64, n_rows: int, level: int, first: I64, last: I64) -> int:
    """How many children rows of a level have."""
    if level == 3:
        return 16 * n_rows
    if level == 4:
        return 25 * n_rows
    total = 0
    for i in range(n_rows):
        total += last[rows[i]] - first[rows[i]]
    return total


@kernel
def _child_range(row: int, level: int, start: I64, first: I64, last: I64) -> tuple[int, int]:
    """Rows of the children of a row of a level."""
    if level == 4:
        begin = start[5] + 25 * (row - start[4])
        return begin, begin + 25
    return first[row], last[row]


@kernel
def _cone_meets(
    ra: float, dec: float, reach: float, ra_min: float, ra_max: float, low: float, high: float
) -> bool:
    """Whether a rectangle comes within reach [deg] of a position."""
    if dec + reach < low or dec - reach > high:
        return False
    return _rectangle_distance(ra, dec, ra_min, ra_max, low, high) <= reach


@kernel
def cone_touches(ra: float, dec: float, radius: float, bounds: F64, out: Bool) -> None:
    """Fill out with whether rectangles, shape (n, 4), touch a cone; angles in degrees."""
    for i in range(len(bounds)):
        a0, a1, d0, d1 = bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3]
        out[i] = _cone_meets(ra, dec, radius + _SLACK, a0, a1, d0, d1)


@kernel
def cone_regions(
    ra: float,
    dec: float,
    radius: float,
    level: int,
    start: I64,
    ra_slot: I64,
    ra_slots: I64,
    dec_min: F64,
    dec_step: F64,
    first: I64,
    last: I64,
) -> I64:
    """Rows of the regions of a level that a cone touches, in order; angles in degrees."""
    reach = radius + _SLACK
    rows = np.zeros(1, np.int64)
    n_rows = 1
    for depth in range(level):
        found = np.empty(_count_children(rows, n_rows, depth, first, last), np.int64)
        n_found = 0
        for i in range(n_rows):
            begin, end = _child_range(rows[i], depth, start, first, last)
            for row in range(begin, end):
                a0, a1, d0, d1 = _bounds_one(row, start, ra_slot, ra_slots, dec_min, dec_step)
                if _cone_meets(ra, dec, reach, a0, a1, d0, d1):
                    found[n_found] = row
                    n_found += 1
        rows = found
        n_rows = n_found
    return rows[:n_rows].copy()


@kernel
def box_regions(
    ra: float,
    width: float,
    low: float,
    high: float,
    level: int,
    start: I64,
    ra_slot: I64,
    ra_slots: I64,
    dec_min: F64,
    dec_step: F64,
    first: I64,
    last: I64,
) -> I64:
    """Rows of the regions of a level that touch ra..ra+width, low..high [deg], in order.

    ra must lie in [0, 360).
    """
    rows = np.zeros(1, np.int64)
    n_rows = 1
    for depth in range(level):
        found = np.empty(_count_children(rows, n_rows, depth, first, last), np.int64)
        n_found = 0
        for i in range(n_rows):
            begin, end = _child_range(rows[i], depth, start, first, last)
            for row in range(begin, end):
                a0, a1, d0, d1 = _bounds_one(row, start, ra_slot, ra_slots, dec_min, dec_step)
                if d0 > high or d1 < low or (d1 == low and d1 < 90.0):
                    continue
                # 1e-10 deg pays for the rounding of the difference and of the width.
                if a0 <= ra < a1 or wrap_ra_one(a0 - ra) <= width + 1e-10:
                    found[n_found] = row
                    n_found += 1
        rows = found
        n_rows = n_found
    return rows[:n_rows].copy()


@kernel
def near_edge(ra: F64, dec: F64, region: I32, bounds: F64, reach: float) -> NDArray[np.bool_]:
    """Tell which positions lie within a distance of an edge of their region.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    region : ndarray of int32, shape (n,)
        Row of `bounds` of each.
    bounds : ndarray of float64, shape (m, 4)
        ra_min, ra_max, dec_min, dec_max of regions [deg].
    reach : float
        Distance [deg].

    Returns
    -------
    ndarray of bool, shape (n,)
        Never wrongly False.
    """
    out = np.empty(len(ra), np.bool_)
    for i in range(len(ra)):
        r = region[i]
        dec_min, dec_max = bounds[r, 2], bounds[r, 3]
        if dec[i] - dec_min < reach or dec_max - dec[i] < reach:
            out[i] = True
            continue
        # cos x > 1 - x^2 / 2, so no near edge is missed where that is good enough.
        d = math.radians(dec[i])
        width = 1.0 - 0.5 * d * d if abs(d) < 0.7 else math.cos(d)
        out[i] = (ra[i] - bounds[r, 0]) * width < reach or (bounds[r, 1] - ra[i]) * width < reach
    return out


@kernel
def spread_runs(starts: I64, sizes: I64) -> I64:
    """Numbers of all rows of some runs, one run after the other."""
    out = np.empty(sizes.sum(), np.int64)
    k = 0
    for i in range(starts.size):
        for row in range(starts[i], starts[i] + sizes[i]):
            out[k] = row
            k += 1
    return out


@kernel
def tile_edges(rows: I64, tile: int) -> tuple[I64, I64]:
    """Tiles that ascending rows lie in, and the places where the rows of each begin and end."""
    tiles = np.empty(rows.size, np.int64)
    edges = np.empty(rows.size + 1, np.int64)
    n = 0
    stop = 0  # row behind the last tile so far
    for i in range(rows.size):
        if i == 0 or rows[i] >= stop or rows[i] < stop - tile:
            tiles[n] = rows[i] // tile
            stop = (tiles[n] + 1) * tile
            edges[n] = i
            n += 1
    edges[n] = rows.size
    return tiles[:n].copy(), edges[: n + 1].copy()


@kernel
def move_words(source: Words, rows: I64, target: Words, places: I64) -> None:
    """Copy source[rows[i]] to target[places[i]] for every i."""
    for i in range(rows.size):
        target[places[i]] = source[rows[i]]


@kernel
def mark_boxes(
    boxes: F64,
    level: int,
    is_split: Bool,
    start: I64,
    ra_slot: I64,
    ra_slots: I64,
    dec_min: F64,
    dec_step: F64,
    first: I64,
    last: I64,
    out: Bool,
) -> None:
    """Mark the regions of a partition that touch any of some boxes.

    Rows of boxes are ra, width, low, high [deg]; ra lies in [0, 360). A region belongs to
    the partition if it is of the level, or deeper with a parent that is split, and is not
    split itself.
    """
    now = np.zeros(7, np.int64)
    end = np.zeros(7, np.int64)
    for i in range(len(boxes)):
        ra, width, low, high = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        depth = 0
        now[0] = 0
        end[0] = 1
        while depth >= 0:
            if now[depth] == end[depth]:
                depth -= 1
                continue
            row = now[depth]
            now[depth] += 1
            a0, a1, d0, d1 = _bounds_one(row, start, ra_slot, ra_slots, dec_min, dec_step)
            if d0 > high + _SLACK or d1 < low - _SLACK:
                continue
            # From the box to the region and back, eastward; both are in [0, 360).
            ahead = a0 - ra
            behind = -ahead
            if ahead < 0.0:
                ahead += 360.0
            else:
                behind += 360.0
            if ahead > width + _SLACK and behind > a1 - a0 + _SLACK:
                continue
            if depth >= level and not is_split[row]:
                out[row] = True
                continue
            begin, stop = _child_range(row, depth, start, first, last)
            depth += 1
            now[depth] = begin
            end[depth] = stop
