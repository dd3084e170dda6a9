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

from dvo.ingest.kernels.sky import chord2, moved, offset, slot_of, tangent, wrap_ra
from dvo.jit import kernel

__all__ = ["absorb", "associate", "remeasure"]

F8 = NDArray[np.float64]
F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U4 = NDArray[np.uint32]

_DEG = math.pi / 180.0
_YEAR_S = 31557600.0
# Closer to a pole than this, means are taken of unit vectors, not of RA and Dec.
_POLAR_DEC = 89.0


@kernel
def _link(o: int, slot: int, head: I4, after: I4, slots: I4) -> None:
    after[o] = head[slot]
    head[slot] = o
    slots[o] = slot


@kernel
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
def _nearest(
    ra: float,
    dec: float,
    time: float,
    radius: float,
    limit2: float,
    slack: float,
    beyond2: float,
    beyond: int,
    objects: tuple[F8, F8, F4, F4, F8],
    n_cells: I8,
    first: I8,
    mask: int,
    head: I4,
    after: I4,
) -> tuple[int, float]:
    """Nearest object within the radius that comes after (beyond2, beyond) in order of distance.

    Equal distances are ordered by declination, then right ascension of the objects, which
    no partition of the sky can change. Returns (-1, inf) if there is none.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    cosd = math.cos(dec * _DEG)
    # Only multiplied by offsets of arcseconds, so what the root loses near 0 does not show.
    sind = math.copysign(math.sqrt(max(0.0, 1.0 - cosd * cosd)), dec)
    reach = radius + slack
    scale = len(n_cells) / 180.0
    z_low = max(int((dec - reach + 90.0) * scale), 0)
    z_high = min(int((dec + reach + 90.0) * scale), len(n_cells) - 1)
    # Half-width in RA of a circle: asin(sin r / cos dec), all round if it holds a pole.
    # For small ratios x, asin x < 1.001 x; that is wide enough and much cheaper.
    half = 180.0
    if reach < 0.05 * cosd:
        half = 1.001 * reach / cosd
    elif abs(dec) + reach < 90.0:
        half = math.asin(min(1.0, math.sin(reach * _DEG) / cosd)) / _DEG
    best, best2 = -1, math.inf
    for z in range(z_low, z_high + 1):
        n = n_cells[z]
        per_deg = n / 360.0
        c_low = math.floor((ra - half) * per_deg)
        c_high = math.floor((ra + half) * per_deg)
        if c_high - c_low >= n - 1:
            c_low, c_high = 0, n - 1
        for cell in range(c_low, c_high + 1):
            c = cell
            if c < 0:
                c += n
            elif c >= n:
                c -= n
            o = head[(first[z] + c) & mask]
            while o >= 0:
                a, d = o_ra[o], o_dec[o]
                if o_pm_ra[o] == o_pm_ra[o]:
                    a, d = moved(a, d, o_pm_ra[o], o_pm_dec[o], (time - o_time[o]) / _YEAR_S)
                if abs(d - dec) <= radius:
                    d2 = chord2(a - ra, d - dec, cosd, sind)
                    if (
                        d2 <= limit2
                        and (beyond < 0 or _precedes(beyond2, beyond, d2, o, o_dec, o_ra))
                        and (best < 0 or _precedes(d2, o, best2, best, o_dec, o_ra))
                    ):
                        best, best2 = o, d2
                o = after[o]
    return best, best2


@kernel
def _precedes(d2: float, o: int, other2: float, other: int, dec: F8, ra: F8) -> bool:
    """Whether object o at d2 comes strictly before another in the order of distance."""
    if d2 != other2:
        return d2 < other2
    if o == other:
        return False
    if dec[o] != dec[other]:
        return bool(dec[o] < dec[other])
    if ra[o] != ra[other]:
        return bool(ra[o] < ra[other])
    return o < other


@kernel
def absorb(
    o: int,
    ra: float,
    dec: float,
    err: float,
    time: float,
    objects: tuple[F8, F8, F4, F4, F8],
    pos_err: F4,
    n_pos: U4,
) -> None:
    """Move the mean of an object towards a detection that was given to it.

    The running weighted mean keeps no more than what is stored on disk (position as
    float64, error as float32), so that it does not matter where a batch ends.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    old2 = float(pos_err[o]) * float(pos_err[o])
    share = old2 / (old2 + err * err)
    at_ra, at_dec = o_ra[o], o_dec[o]
    if o_pm_ra[o] == o_pm_ra[o]:
        years = (time - o_time[o]) / _YEAR_S
        at_ra, at_dec = moved(at_ra, at_dec, o_pm_ra[o], o_pm_dec[o], years)
    else:
        o_time[o] = math.floor(o_time[o] + share * (time - o_time[o]))
    if abs(at_dec) < _POLAR_DEC:
        dra = ra - at_ra
        if dra > 180.0:
            dra -= 360.0
        elif dra < -180.0:
            dra += 360.0
        o_ra[o] = wrap_ra(o_ra[o] + share * dra)
        o_dec[o] += share * (dec - at_dec)
    else:
        x, y = tangent(at_ra, at_dec, ra, dec)
        o_ra[o], o_dec[o] = offset(o_ra[o], o_dec[o], share * x, share * y)
    pos_err[o] = err * math.sqrt(share)
    n_pos[o] += 1


@kernel
def associate(
    det_ra: F8,
    det_dec: F8,
    det_err: F4,
    image_stop: I8,
    image_time: F8,
    image_radius: F8,
    n_known: int,
    objects: tuple[F8, F8, F4, F4, F8],
    pos_err: F4,
    n_pos: U4,
    fast: I4,
    slack: float,
    one_to_one: bool,
    n_cells: I8,
    first: I8,
    head: I4,
) -> tuple[I4, int]:
    """Give every detection an object, image after image, making new objects as needed.

    Within an image the pairs within the match radius are taken in order of distance, each
    detection and each object at most once (so the closer pair wins, and who loses takes
    the next nearest); what is left over becomes new objects. Then the objects take up
    their detections, and the next image sees the new means.

    Parameters
    ----------
    det_ra, det_dec : ndarray of float64, shape (n_det,)
        Positions [deg], grouped by image, in the order of the images; finite.
    det_err : ndarray of float32, shape (n_det,)
        Position error [arcsec], above 0.
    image_stop : ndarray of int64, shape (n_image,)
        Where the detections of each image end.
    image_time : ndarray of float64, shape (n_image,)
        Time of each image [s since 1970].
    image_radius : ndarray of float64, shape (n_image,)
        Match radius of each image [arcsec].
    n_known : int
        Objects known before; their rows come first in the object arrays, which have
        room for n_det more.
    objects : tuple of ndarray, each of shape (n_known + n_det,)
        ra, dec [deg], proper motions [arcsec/yr, NaN: unknown], epoch [s]; changed in
        place.
    pos_err : ndarray of float32
        Position error of the objects [arcsec], above 0; changed in place.
    n_pos : ndarray of uint32
        Detections in the mean position; changed in place.
    fast : ndarray of int32
        Objects whose motion over the times of these images exceeds `slack`.
    slack : float
        Motion that the search allows for [deg] for all objects not in `fast`.
    one_to_one : bool
        False keeps the original's rule: several detections may take one object.
    n_cells, first : ndarray of int64
        From `sky_cells`.
    head : ndarray of int32, shape (2**k,)
        Scratch space for the index, filled with -1.

    Returns
    -------
    det_object : ndarray of int32, shape (n_det,)
        Row of the object of each detection.
    n_objects : int
        Objects there are now.

    Notes
    -----
    Taking pairs in order of distance is the stable matching that proposals find: each
    detection asks the nearest object it has not asked yet, an object keeps the nearest
    that asked.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    n_det = len(det_ra)
    room = len(o_ra)
    mask = len(head) - 1
    after = np.empty(room, np.int32)
    slots = np.empty(room, np.int32)
    holder = np.full(room, -1, np.int32)
    out = np.full(n_det, -1, np.int32)
    asked2 = np.zeros(n_det)
    queue = np.empty(n_det, np.int32)
    for o in range(n_known):
        _link(o, slot_of(o_ra[o], o_dec[o], n_cells, first, mask), head, after, slots)
    n_objects = n_known
    start = 0
    linked_at = math.nan
    for k in range(len(image_stop)):
        stop = image_stop[k]
        time = image_time[k]
        radius = image_radius[k] / 3600.0
        chord = 2.0 * math.sin(0.5 * radius * _DEG)
        limit2 = chord * chord
        # The chips of an exposure share their time: one move serves them all.
        for i_fast in range(len(fast) if time != linked_at else 0):
            o = fast[i_fast]
            years = (time - o_time[o]) / _YEAR_S
            a, d = moved(o_ra[o], o_dec[o], o_pm_ra[o], o_pm_dec[o], years)
            _unlink(o, head, after, slots)
            _link(o, slot_of(a, d, n_cells, first, mask), head, after, slots)
        linked_at = time
        n_queue = 0
        for first_try in range(start, stop):
            queue[n_queue] = first_try
            n_queue += 1
            while n_queue > 0:
                n_queue -= 1
                i = queue[n_queue]
                o, d2 = _nearest(
                    det_ra[i], det_dec[i], time, radius, limit2, slack, asked2[i], out[i],
                    objects, n_cells, first, mask, head, after,
                )  # fmt: skip
                asked2[i] = d2
                out[i] = o
                if o < 0 or not one_to_one:
                    continue
                rival = holder[o]
                if rival < 0:
                    holder[o] = i
                elif d2 < asked2[rival] or (d2 == asked2[rival] and i < rival):
                    holder[o] = i
                    queue[n_queue] = rival
                    n_queue += 1
                else:
                    queue[n_queue] = i
                    n_queue += 1
        for i in range(start, stop):
            o = out[i]
            if o >= 0:
                holder[o] = -1
                absorb(o, det_ra[i], det_dec[i], det_err[i], time, objects, pos_err, n_pos)
                moves = o_pm_ra[o] == o_pm_ra[o]
                slot = slots[o] if moves else slot_of(o_ra[o], o_dec[o], n_cells, first, mask)
                if slot != slots[o]:
                    _unlink(o, head, after, slots)
                    _link(o, slot, head, after, slots)
            else:
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
        start = stop
    return out, n_objects


@kernel
def remeasure(
    row: I8,
    ra: F8,
    dec: F8,
    err: F4,
    time: F8,
    objects: tuple[F8, F8, F4, F4, F8],
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
        Position errors [arcsec], above 0.
    time : ndarray of float64, shape (n,)
        Times of the measures [s since 1970].
    objects : tuple of ndarray
        As for `associate`.
    pos_err : ndarray of float32
        Position errors of the objects [arcsec]; changed in place.
    n_pos : ndarray of uint32
        Measures in each mean; objects where it is 0 begin with their first measure.
    """
    o_ra, o_dec, _, _, o_time = objects
    for i in range(len(row)):
        o = row[i]
        if n_pos[o] == 0:
            o_ra[o] = ra[i]
            o_dec[o] = dec[i]
            o_time[o] = math.floor(time[i])
            pos_err[o] = err[i]
            n_pos[o] = 1
        else:
            absorb(o, ra[i], dec[i], err[i], time[i], objects, pos_err, n_pos)
