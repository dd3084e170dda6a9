"""Compiled heart of association: detections find their objects, image by image.

Objects sit in an index of small sky cells: zones of declination cut into steps of right
ascension. The number of a cell, cut to a power of two, is a slot; slots hold chains of
objects. Two far cells may share a slot, which costs a distance test and nothing else.
Neighbouring cells have neighbouring slots, so the work of one image stays in the cache.

Distances are squared chords of the unit sphere from the haversine formula, good to 1e-11
of themselves for radii below a degree, at the poles and across right ascension 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part
from dvo.kernels.sky_cells import (
    cell_in_zone,
    cells_near,
    chord2,
    half_width,
    moved,
    offset,
    precedes,
    sine_of,
    slot_of,
    tangent,
    wrap_ra,
    zones_near,
)

__all__ = [
    "absorb_detections",
    "link_detections",
    "link_objects",
    "move_objects",
    "remeasure",
    "search_objects",
    "settle_rivals",
]

F8 = NDArray[np.float64]
F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U4 = NDArray[np.uint32]

Objects = tuple[F8, F8, F4, F4, F8]
"""ra, dec [deg], proper motions [arcsec/yr, NaN: unknown], epoch [s since 1970]."""

Index = tuple[I8, I8, I4, I4, I4]
"""Cells and first cell of each zone; head of each slot's chain; next and slot of each object."""

_DEG = math.pi / 180.0
_YEAR_S = 31557600.0
# Closer to a pole than this, means are taken of unit vectors, not of RA and Dec.
_POLAR_DEC = 89.0


@kernel_part
def _link(o: int, slot: int, head: I4, after: I4, slots: I4) -> None:
    after[o] = head[slot]
    head[slot] = o
    slots[o] = slot


@kernel_part
def _unlink(o: int, head: I4, after: I4, slots: I4) -> None:
    slot = slots[o]
    k = head[slot]
    if k == o:
        head[slot] = after[o]
        return
    while after[k] != o:
        k = after[k]
    after[k] = after[o]


@kernel
def _place_at(
    time: float, ra: float, dec: float, pm_ra: float, pm_dec: float, epoch: float
) -> tuple[float, float]:
    """Where an object is at some time [deg]."""
    if pm_ra == pm_ra:
        return moved(ra, dec, pm_ra, pm_dec, (time - epoch) / _YEAR_S)
    return ra, dec


@kernel
def search_objects(
    start: int,
    stop: int,
    det_ra: F8,
    det_dec: F8,
    time: float,
    reach: tuple[float, float],
    objects: Objects,
    index: Index,
    is_next: bool,
    out: I4,
    out2: F8,
) -> None:
    """Find the nearest object of each detection of a run; changes nothing but `out`.

    Parameters
    ----------
    start, stop : int
        The detections.
    det_ra, det_dec : ndarray of float64
        Positions of all detections [deg].
    time : float
        Time of the image [s since 1970].
    reach : tuple of float
        Match radius, and how far objects may be from their place in the index [deg].
    objects, index : tuple of ndarray
        The objects and their index.
    is_next : bool
        Whether to find the next nearest, after the one that is in `out`.
    out : ndarray of int32
        Filled with the row of the nearest object within the radius, or -1.
    out2 : ndarray of float64
        Filled with the squared chord to it; infinite if there is none.
    """
    o_ra, o_dec, pm_ra, pm_dec, epoch = objects
    n_cells, first, head, after, _ = index
    mask = len(head) - 1
    radius, slack = reach
    chord = 2.0 * math.sin(0.5 * radius * _DEG)
    for i in range(start, stop):
        ra, dec = det_ra[i], det_dec[i]
        cosd = math.cos(dec * _DEG)
        # Only multiplied by offsets of arcseconds, so what the root loses near 0 does not show.
        sind = sine_of(dec, cosd)
        half = half_width(radius + slack, dec, cosd)
        z_low, z_high = zones_near(dec, radius + slack, len(n_cells))
        last, last2 = out[i], out2[i]
        best, best2 = -1, math.inf
        for z in range(z_low, z_high + 1):
            n = n_cells[z]
            c_low, c_high = cells_near(ra, half, n)
            for c in range(c_low, c_high + 1):
                o = head[(first[z] + cell_in_zone(c, n)) & mask]
                while o >= 0:
                    a, d = _place_at(time, o_ra[o], o_dec[o], pm_ra[o], pm_dec[o], epoch[o])
                    if abs(d - dec) <= radius:
                        d2 = chord2(a - ra, d - dec, cosd, sind)
                        if d2 <= chord * chord:
                            y, x = o_dec[o], o_ra[o]
                            is_first = best < 0 or precedes(
                                d2, y, x, o, best2, o_dec[best], o_ra[best], best
                            )
                            if is_first and (
                                not is_next
                                or precedes(last2, o_dec[last], o_ra[last], last, d2, y, x, o)
                            ):
                                best, best2 = o, d2
                    o = after[o]
        out[i], out2[i] = best, best2


@kernel
def _drawn(
    mean: tuple[float, float, float, float, float],
    err: float,
    det: tuple[float, float, float, float],
) -> tuple[float, float, float, float]:
    """Mean (ra, dec, epoch) and error of an object drawn towards a detection given to it.

    The running weighted mean keeps no more than what is stored on disk (position as
    float64, error as float32), so that it does not matter where a batch ends.
    """
    o_ra, o_dec, pm_ra, pm_dec, epoch = mean
    ra, dec, det_err, time = det
    share = err * err / (err * err + det_err * det_err)
    at_ra, at_dec = _place_at(time, o_ra, o_dec, pm_ra, pm_dec, epoch)
    if pm_ra != pm_ra:
        epoch = math.floor(epoch + share * (time - epoch))
    if abs(at_dec) < _POLAR_DEC:
        dra = ra - at_ra
        if dra > 180.0:
            dra -= 360.0
        elif dra < -180.0:
            dra += 360.0
        o_ra = wrap_ra(o_ra + share * dra)
        o_dec += share * (dec - at_dec)
    else:
        x, y = tangent(at_ra, at_dec, ra, dec)
        o_ra, o_dec = offset(o_ra, o_dec, share * x, share * y)
    return o_ra, o_dec, epoch, det_err * math.sqrt(share)


@kernel
def link_objects(start: int, stop: int, o_ra: F8, o_dec: F8, index: Index) -> None:
    """Put objects into the index, where they are at their epoch.

    Parameters
    ----------
    start, stop : int
        Rows of the objects.
    o_ra, o_dec : ndarray of float64
        Positions [deg].
    index : tuple of ndarray
        The index; changed in place.
    """
    n_cells, first, head, after, slots = index
    for o in range(start, stop):
        slot = slot_of(o_ra[o], o_dec[o], n_cells, first, len(head) - 1)
        _link(o, slot, head, after, slots)


@kernel
def move_objects(rows: I4, time: float, objects: Objects, index: Index) -> None:
    """Put moving objects where they are at some time.

    Parameters
    ----------
    rows : ndarray of int32
        Rows of the objects.
    time : float
        The time [s since 1970].
    objects : tuple of ndarray
        Positions, motions and epochs of all objects.
    index : tuple of ndarray
        The index; changed in place.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    n_cells, first, head, after, slots = index
    for i in range(len(rows)):
        o = rows[i]
        a, d = _place_at(time, o_ra[o], o_dec[o], o_pm_ra[o], o_pm_dec[o], o_time[o])
        slot = slot_of(a, d, n_cells, first, len(head) - 1)
        _unlink(o, head, after, slots)
        _link(o, slot, head, after, slots)


@kernel
def settle_rivals(
    start: int,
    stop: int,
    det_ra: F8,
    det_dec: F8,
    time: float,
    reach: tuple[float, float],
    objects: Objects,
    index: Index,
    holder: I4,
    out: I4,
    out2: F8,
) -> None:
    """Let each object keep at most one detection of an image: the nearest that asks for it.

    Parameters
    ----------
    start, stop : int
        The detections of the image, each with its nearest object in `out`.
    det_ra, det_dec : ndarray of float64
        Positions of all detections [deg].
    time : float
        Time of the image [s since 1970].
    reach : tuple of float
        As for `search_objects`.
    objects, index : tuple of ndarray
        The objects and their index.
    holder : ndarray of int32
        Scratch space, -1 for every object; left so.
    out : ndarray of int32
        Changed for those who lose: the nearest object that keeps them, or -1.
    out2 : ndarray of float64
        Squared chords that belong to `out`.

    Notes
    -----
    Taking pairs in order of distance is the stable matching that proposals find: each
    detection asks the nearest object it has not asked yet, an object keeps the nearest
    that asked. At equal distance the earlier detection stays.
    """
    queue = np.empty(stop - start, np.int32)
    for first_try in range(start, stop):
        queue[0] = first_try
        n_queue = 1
        while n_queue > 0:
            n_queue -= 1
            i = queue[n_queue]
            o = out[i]
            if o < 0:
                continue
            rival = holder[o]
            if rival < 0:
                holder[o] = i
                continue
            loser = rival
            if out2[i] < out2[rival] or (out2[i] == out2[rival] and i < rival):
                holder[o] = i
            else:
                loser = i
            search_objects(
                loser, loser + 1, det_ra, det_dec, time, reach, objects, index, True, out, out2
            )
            queue[n_queue] = loser
            n_queue += 1
    for i in range(start, stop):
        if out[i] >= 0:
            holder[out[i]] = -1


@kernel
def absorb_detections(
    start: int,
    stop: int,
    det_ra: F8,
    det_dec: F8,
    det_err: F4,
    time: float,
    objects: Objects,
    pos_err: F4,
    n_pos: U4,
    out: I4,
) -> None:
    """Move the means of objects to take up their detections.

    Parameters
    ----------
    start, stop : int
        The detections.
    det_ra, det_dec : ndarray of float64
        Positions of all detections [deg].
    det_err : ndarray of float32
        Position errors [arcsec], above 0.
    time : float
        Time of the image [s since 1970].
    objects : tuple of ndarray
        The objects; changed in place.
    pos_err : ndarray of float32
        Their position errors [arcsec]; changed in place.
    n_pos : ndarray of uint32
        Detections in each mean; changed in place.
    out : ndarray of int32
        Object of each detection, or -1.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    for i in range(start, stop):
        o = out[i]
        if o >= 0:
            mean = (o_ra[o], o_dec[o], float(o_pm_ra[o]), float(o_pm_dec[o]), o_time[o])
            det = (det_ra[i], det_dec[i], float(det_err[i]), time)
            o_ra[o], o_dec[o], o_time[o], pos_err[o] = _drawn(mean, float(pos_err[o]), det)
            n_pos[o] += 1


@kernel
def link_detections(
    start: int,
    stop: int,
    det_ra: F8,
    det_dec: F8,
    det_err: F4,
    time: float,
    n_objects: int,
    objects: Objects,
    pos_err: F4,
    n_pos: U4,
    index: Index,
    out: I4,
) -> int:
    """Make objects of detections that have none, and put what has moved in its new place.

    Parameters
    ----------
    start, stop : int
        The detections of an image.
    det_ra, det_dec : ndarray of float64
        Positions of all detections [deg].
    det_err : ndarray of float32
        Position errors [arcsec], above 0.
    time : float
        Time of the image [s since 1970].
    n_objects : int
        Objects there are.
    objects : tuple of ndarray
        The objects; changed in place.
    pos_err : ndarray of float32
        Their position errors [arcsec]; changed in place.
    n_pos : ndarray of uint32
        Detections in each mean; changed in place.
    index : tuple of ndarray
        Their index; changed in place.
    out : ndarray of int32
        Object of each detection; filled where it is -1.

    Returns
    -------
    int
        Objects there are now.
    """
    n_cells, first, head, after, slots = index
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    mask = len(head) - 1
    for i in range(start, stop):
        o = out[i]
        if o >= 0:
            a, d = _place_at(time, o_ra[o], o_dec[o], o_pm_ra[o], o_pm_dec[o], o_time[o])
            slot = slot_of(a, d, n_cells, first, mask)
            if slot != slots[o]:
                _unlink(o, head, after, slots)
                _link(o, slot, head, after, slots)
            continue
        o = n_objects
        n_objects += 1
        out[i] = o
        o_ra[o] = det_ra[i]
        o_dec[o] = det_dec[i]
        o_pm_ra[o] = math.nan
        o_pm_dec[o] = math.nan
        o_time[o] = math.floor(time)
        pos_err[o] = det_err[i]
        n_pos[o] = 1
        _link(o, slot_of(o_ra[o], o_dec[o], n_cells, first, mask), head, after, slots)
    return n_objects


@kernel
def remeasure(
    row: I8,
    ra: F8,
    dec: F8,
    err: F4,
    time: F8,
    objects: Objects,
    pos_err: F4,
    n_pos: U4,
) -> None:
    """Make mean positions anew from measures whose objects are known.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Row of the object of each measure.
    ra, dec : ndarray of float64, shape (n,)
        Measured positions [deg].
    err : ndarray of float32, shape (n,)
        Position errors [arcsec], above 0; measures where it is infinite are passed over.
    time : ndarray of float64, shape (n,)
        Times of the measures [s since 1970].
    objects : tuple of ndarray
        As for `associate`.
    pos_err : ndarray of float32
        Position errors of the objects [arcsec]; changed in place.
    n_pos : ndarray of uint32
        Measures in each mean; objects where it is 0 begin with their first measure.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    for i in range(len(row)):
        o = row[i]
        if math.isinf(err[i]):
            continue
        if n_pos[o] == 0:
            o_ra[o] = ra[i]
            o_dec[o] = dec[i]
            o_time[o] = math.floor(time[i])
            pos_err[o] = err[i]
            n_pos[o] = 1
        else:
            mean = (o_ra[o], o_dec[o], float(o_pm_ra[o]), float(o_pm_dec[o]), o_time[o])
            det = (ra[i], dec[i], float(err[i]), time[i])
            o_ra[o], o_dec[o], o_time[o], pos_err[o] = _drawn(mean, float(pos_err[o]), det)
            n_pos[o] += 1
