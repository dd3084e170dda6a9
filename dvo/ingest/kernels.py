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

from dvo.jit import kernel

__all__ = [
    "accumulate_magnitudes",
    "associate",
    "count_rows",
    "group_rows",
    "remeasure",
    "sky_cells",
    "sort_cells",
]

F8 = NDArray[np.float64]
F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
U4 = NDArray[np.uint32]

_DEG = math.pi / 180.0
_YEAR_S = 31557600.0
# Closer to a pole than this, means are taken of unit vectors, not of RA and Dec.
_POLAR_DEC = 89.0
# Beyond this displacement [deg] straight motion in RA and Dec is no longer good to 0.1 mas.
_FAR_MOTION = 1.0 / 3600.0


@kernel
def sky_cells(height: float) -> tuple[I8, I8]:
    """Cut the sky into zones of one height, and each zone into cells no narrower than that.

    Parameters
    ----------
    height : float
        Height of a zone [deg]; at most 180.

    Returns
    -------
    n_cells : ndarray of int64, shape (n_zones,)
        Cells in each zone.
    first : ndarray of int64, shape (n_zones,)
        Number of the first cell of each zone.
    """
    n_zones = max(1, int(180.0 / height))
    step = 180.0 / n_zones
    n_cells = np.empty(n_zones, np.int64)
    first = np.empty(n_zones, np.int64)
    total = 0
    for z in range(n_zones):
        low = -90.0 + z * step
        poleward = max(abs(low), abs(low + step))
        width = math.cos(min(poleward, 90.0) * _DEG)
        n_cells[z] = max(1, int(360.0 * width / step))
        first[z] = total
        total += n_cells[z]
    return n_cells, first


@kernel
def _slot(ra: float, dec: float, n_cells: I8, first: I8, mask: int) -> int:
    n_zones = len(n_cells)
    z = min(max(int((dec + 90.0) * n_zones / 180.0), 0), n_zones - 1)
    n = n_cells[z]
    c = min(max(int(ra * n / 360.0), 0), n - 1)
    return (first[z] + c) & mask


@kernel
def sort_cells(ra: F8, dec: F8, n_cells: I8, first: I8, mask: int) -> I8:
    """Slot of the sky cell of each position: near positions have near slots.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg], finite.
    n_cells, first : ndarray of int64
        From `sky_cells`.
    mask : int
        Number of slots, a power of two, less one.

    Returns
    -------
    ndarray of int64, shape (n,)
        Slots.
    """
    out = np.empty(len(ra), np.int64)
    for i in range(len(ra)):
        out[i] = _slot(ra[i], dec[i], n_cells, first, mask)
    return out


@kernel
def _chord2(dra: float, ddec: float, cos1: float, sin1: float) -> float:
    """Squared chord between two positions, ddec [deg] of them apart in Dec (a degree at most)."""
    if dra > 180.0:
        dra -= 360.0
    elif dra < -180.0:
        dra += 360.0
    half_ra = 0.5 * _DEG * dra
    ddec *= _DEG
    # sin x = x - x^3/6 is good to 3e-12 of itself below 0.005 rad.
    sin_ra = half_ra * (1.0 - half_ra * half_ra / 6.0)
    if abs(half_ra) > 0.005:
        sin_ra = math.sin(half_ra)
    half_dec = 0.5 * ddec
    sin_dec = half_dec * (1.0 - half_dec * half_dec / 6.0)
    # cos of the other declination to third order: no table of cosines, no call.
    cos2 = cos1 - ddec * (sin1 + ddec * (0.5 * cos1 - ddec * sin1 / 6.0))
    return 4.0 * (sin_dec * sin_dec + cos1 * cos2 * sin_ra * sin_ra)


@kernel
def _wrap(ra: float) -> float:
    if ra < 0.0:
        ra += 360.0
    if ra >= 360.0:
        ra -= 360.0
    return ra


@kernel
def _moved(ra: float, dec: float, u_ra: float, u_dec: float, years: float) -> tuple[float, float]:
    """Move a position [deg] by a proper motion [arcsec/yr, u_ra times cos dec]."""
    if not (u_ra == u_ra and u_dec == u_dec) or (u_ra == 0.0 and u_dec == 0.0):
        return ra, dec
    x = u_ra * years / 3600.0
    y = u_dec * years / 3600.0
    if abs(dec) < _POLAR_DEC and abs(x) < _FAR_MOTION and abs(y) < _FAR_MOTION:
        return _wrap(ra + x / math.cos(dec * _DEG)), dec + y
    return _offset(ra, dec, x, y)


@kernel
def _offset(ra: float, dec: float, x: float, y: float) -> tuple[float, float]:
    """Position at tangent-plane offsets x (east) and y (north) [deg], moved along straight lines."""
    a, d = ra * _DEG, dec * _DEG
    sa, ca, sd, cd = math.sin(a), math.cos(a), math.sin(d), math.cos(d)
    x *= _DEG
    y *= _DEG
    vx = cd * ca - x * sa - y * sd * ca
    vy = cd * sa + x * ca - y * sd * sa
    vz = sd + y * cd
    return (
        _wrap(math.atan2(vy, vx) / _DEG),
        math.atan2(vz, math.sqrt(vx * vx + vy * vy)) / _DEG,
    )


@kernel
def _tangent(ra0: float, dec0: float, ra: float, dec: float) -> tuple[float, float]:
    """Offsets east and north [deg] of a near position from (ra0, dec0), in the tangent plane."""
    d0, d = dec0 * _DEG, dec * _DEG
    da = (ra - ra0) * _DEG
    cd = math.cos(d)
    east = cd * math.sin(da)
    north = math.sin(d) * math.cos(d0) - cd * math.sin(d0) * math.cos(da)
    depth = math.sin(d) * math.sin(d0) + cd * math.cos(d0) * math.cos(da)
    return east / depth / _DEG, north / depth / _DEG


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
    cosd, sind = math.cos(dec * _DEG), math.sin(dec * _DEG)
    chord = 2.0 * math.sin(0.5 * radius * _DEG)
    limit2 = chord * chord
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
                    a, d = _moved(a, d, o_pm_ra[o], o_pm_dec[o], (time - o_time[o]) / _YEAR_S)
                if abs(d - dec) <= radius:
                    d2 = _chord2(a - ra, d - dec, cosd, sind)
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
        return dec[o] < dec[other]
    if ra[o] != ra[other]:
        return ra[o] < ra[other]
    return o < other


@kernel
def _absorb(
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
        at_ra, at_dec = _moved(at_ra, at_dec, o_pm_ra[o], o_pm_dec[o], years)
    else:
        o_time[o] = math.floor(o_time[o] + share * (time - o_time[o]))
    if abs(at_dec) < _POLAR_DEC:
        dra = ra - at_ra
        if dra > 180.0:
            dra -= 360.0
        elif dra < -180.0:
            dra += 360.0
        o_ra[o] = _wrap(o_ra[o] + share * dra)
        o_dec[o] += share * (dec - at_dec)
    else:
        x, y = _tangent(at_ra, at_dec, ra, dec)
        o_ra[o], o_dec[o] = _offset(o_ra[o], o_dec[o], share * x, share * y)
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
        _link(o, _slot(o_ra[o], o_dec[o], n_cells, first, mask), head, after, slots)
    n_objects = n_known
    start = 0
    linked_at = math.nan
    for k in range(len(image_stop)):
        stop = image_stop[k]
        time = image_time[k]
        radius = image_radius[k] / 3600.0
        # The chips of an exposure share their time: one move serves them all.
        for i_fast in range(len(fast) if time != linked_at else 0):
            o = fast[i_fast]
            years = (time - o_time[o]) / _YEAR_S
            a, d = _moved(o_ra[o], o_dec[o], o_pm_ra[o], o_pm_dec[o], years)
            _unlink(o, head, after, slots)
            _link(o, _slot(a, d, n_cells, first, mask), head, after, slots)
        linked_at = time
        n_queue = 0
        for first_try in range(start, stop):
            queue[n_queue] = first_try
            n_queue += 1
            while n_queue > 0:
                n_queue -= 1
                i = queue[n_queue]
                o, d2 = _nearest(
                    det_ra[i], det_dec[i], time, radius, slack, asked2[i], out[i],
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
                _absorb(o, det_ra[i], det_dec[i], det_err[i], time, objects, pos_err, n_pos)
                moves = o_pm_ra[o] == o_pm_ra[o]
                slot = slots[o] if moves else _slot(o_ra[o], o_dec[o], n_cells, first, mask)
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
                _link(o, _slot(o_ra[o], o_dec[o], n_cells, first, mask), head, after, slots)
        start = stop
    return out, n_objects


@kernel
def group_rows(group: I8, n_groups: int) -> tuple[I8, I8]:
    """Order rows by group, keeping their order inside each (a counting sort).

    Parameters
    ----------
    group : ndarray of int64, shape (n,)
        Group of each row, in [0, n_groups).
    n_groups : int
        Number of groups.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        Rows, group after group.
    edges : ndarray of int64, shape (n_groups + 1,)
        Where each group begins in `order`.
    """
    edges = np.zeros(n_groups + 1, np.int64)
    for i in range(len(group)):
        edges[group[i] + 1] += 1
    for g in range(n_groups):
        edges[g + 1] += edges[g]
    place = edges[:-1].copy()
    order = np.empty(len(group), np.int64)
    for i in range(len(group)):
        g = group[i]
        order[place[g]] = i
        place[g] += 1
    return order, edges


@kernel
def accumulate_magnitudes(
    row: I8,
    mag: F4,
    err: F4,
    floor: float,
    default: float,
    mean: F4,
    mean_err: F4,
    chi: F4,
    stdev: F4,
    least: F4,
    most: F4,
    n_used: U4,
) -> None:
    """Add magnitudes to running weighted means, in order.

    Keeps only what SecFilt stores, like the mean positions, so that it does not matter
    where a batch ends. The sum of squares follows West (1979), Comm. ACM 22, 532.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Row of the mean that each magnitude belongs to; negative: none.
    mag, err : ndarray of float32, shape (n,)
        Magnitudes and errors [mag]; a NaN magnitude is passed over.
    floor : float
        Least error [mag].
    default : float
        Error where it is NaN or not above 0 [mag].
    mean, mean_err, chi, stdev, least, most : ndarray of float32, shape (m,)
        Weighted mean, its error, reduced chi-square, scatter, extremes; changed in place.
    n_used : ndarray of uint32, shape (m,)
        Magnitudes in each mean; changed in place.
    """
    for i in range(len(row)):
        r = row[i]
        m = float(mag[i])
        if r < 0 or m != m or math.isinf(m):
            continue
        e = float(err[i])
        if not e > 0.0:
            e = default
        weight = 1.0 / (max(e, floor) * max(e, floor))
        n = n_used[r]
        if n == 0:
            mean[r] = m
            mean_err[r] = math.sqrt(1.0 / weight)
            least[r] = m
            most[r] = m
            n_used[r] = 1
            continue
        old = float(mean_err[r])
        before = 1.0 / (old * old)
        total = before + weight
        delta = m - float(mean[r])
        squares = float(chi[r]) * (n - 1) if n > 1 else 0.0
        squares += weight * before / total * delta * delta
        mean[r] = float(mean[r]) + delta * weight / total
        mean_err[r] = math.sqrt(1.0 / total)
        n_used[r] = n + 1
        chi[r] = squares / n
        stdev[r] = math.sqrt(squares / total * (n + 1) / n)
        least[r] = min(float(least[r]), m)
        most[r] = max(float(most[r]), m)


@kernel
def count_rows(row: I8, count: U4) -> None:
    """Count how often each row is named.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Rows; negative: none.
    count : ndarray of uint32, shape (m,)
        Counts; changed in place.
    """
    for i in range(len(row)):
        if row[i] >= 0:
            count[row[i]] += 1


@kernel
def remeasure(
    row: I8,
    ra: F8,
    dec: F8,
    err: F8,
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
    objects, pos_err, n_pos
        As for `associate`; objects whose n_pos is 0 begin with their first measure.
    """
    o_ra, o_dec, o_pm_ra, o_pm_dec, o_time = objects
    for i in range(len(row)):
        o = row[i]
        if n_pos[o] == 0:
            o_ra[o] = ra[i]
            o_dec[o] = dec[i]
            o_time[o] = math.floor(time[i])
            pos_err[o] = err[i]
            n_pos[o] = 1
        else:
            _absorb(o, ra[i], dec[i], err[i], time[i], objects, pos_err, n_pos)
