"""Identifiers of objects and measurements: pure functions, exact to the last digit.

The formulas are those of the original system (``psps_ids.c``, paper section 4.1.4). An
identifier made from a position is frozen when the object is made; it never follows a
recalibration. Every function takes scalars or arrays and refuses values that do not fit
their digits: two things never get one identifier by overflow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ShapeError

__all__ = [
    "DETECT_T0_MJD",
    "MAX_OBJ_ID",
    "ZONE_HEIGHT_DEG",
    "detect_id",
    "ext_id",
    "ext_id_position",
    "ipp_obj_id",
    "pack_id",
    "stack_detect_id",
    "unpack_id",
    "zone_id",
]

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

ZONE_HEIGHT_DEG: Final = 0.0083333
"""Height of a zone of the PSPS object identifier: 30", cut short as the original cuts it [deg]."""

DETECT_T0_MJD: Final = 54101.0
"""Zero of the time in detectID: 2007-01-01 UTC [d]."""

MAX_OBJ_ID: Final = 1_000_000_000
"""ippObjID holds nine digits of objID, so objID must stay below this number."""


def ext_id(ra: ArrayLike, dec: ArrayLike) -> U64:
    """Make the PSPS object identifiers (Average.ext_id) of positions.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,) or scalar
        Position at creation, ICRS [deg]. ra may be any finite angle and is taken into
        [0, 360); dec within [-90, 90].

    Returns
    -------
    ndarray of uint64, same shape
        ``izone * 10^13 + trunc(ra * 10^6) * 10^4 + trunc(r * 10^4)`` where
        ``zone = (dec + 90) / 0.0083333``, ``izone = floor(zone)``, ``r = zone - izone``.

    Raises
    ------
    ShapeError
        If a position is not finite, or dec is outside [-90, 90].

    Notes
    -----
    The resolution is about 3 mas in both directions. Formula: Ohana ``psps_ids.c``.

    Examples
    --------
    >>> int(ext_id(0.3927854, 45.286136))
    162340003927854012
    """
    alpha, delta = np.broadcast_arrays(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    _require(np.isfinite(alpha) & np.isfinite(delta), alpha, "ra and dec must be finite; ra is")
    zone = _zones(delta)
    izone = np.floor(zone)
    alpha = np.mod(alpha, 360.0)
    # np.mod of a tiny negative angle gives 360.0 exactly: that is RA 0, a digit would overflow.
    alpha = np.where(alpha >= 360.0, 0.0, alpha)
    micro_ra = np.trunc(alpha * 1e6)
    fraction = np.trunc((zone - izone) * 1e4)
    # Products in integers: izone * 1e13 is beyond the 2^53 that a float64 holds exactly.
    return np.asarray(
        izone.astype(np.uint64) * np.uint64(10**13)
        + micro_ra.astype(np.uint64) * np.uint64(10**4)
        + fraction.astype(np.uint64)
    )


def ext_id_position(ext_id: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tell where objects were made, from their PSPS identifiers.

    Parameters
    ----------
    ext_id : array_like of int
        Identifiers that `ext_id` made.

    Returns
    -------
    ra, dec : ndarray of float64, same shape
        Position, ICRS [deg]: the middle of the 3 mas that the identifier stands for; NaN for
        a number that is none.

    Examples
    --------
    >>> ra, dec = ext_id_position(162340003927854012)
    >>> round(float(ra), 6), round(float(dec), 5)
    (0.392786, 45.28614)
    """
    number = _digits(ext_id, 2**64, "ext_id")
    zone, rest = np.divmod(number, np.uint64(10**13))
    micro_ra, fraction = np.divmod(rest, np.uint64(10**4))
    ra = (micro_ra.astype(np.float64) + 0.5) / 1e6
    dec = (zone.astype(np.float64) + (fraction.astype(np.float64) + 0.5) / 1e4) * ZONE_HEIGHT_DEG
    dec -= 90.0
    is_one = (ra < 360.0) & (dec <= 90.0)
    return np.where(is_one, ra, np.nan), np.where(is_one, dec, np.nan)


def zone_id(dec: ArrayLike) -> NDArray[np.int32]:
    """Make the PSPS zone numbers of declinations.

    Parameters
    ----------
    dec : array_like of float64
        Declination, ICRS [deg], within [-90, 90].

    Returns
    -------
    ndarray of int32, same shape
        ``floor((dec + 90) / 0.0083333)``, 0 to 21600.

    Raises
    ------
    ShapeError
        If a declination is outside [-90, 90] or NaN.

    Examples
    --------
    >>> int(zone_id(45.286136))
    16234
    """
    return np.asarray(np.floor(_zones(np.asarray(dec, np.float64))).astype(np.int32))


def detect_id(mjd: ArrayLike, ccd_id: ArrayLike, det_id: ArrayLike) -> U64:
    """Make the PSPS identifiers of detections in single exposures.

    Parameters
    ----------
    mjd : array_like of float64
        Start of the exposure, MJD UTC [d], from 54101 on.
    ccd_id : array_like of int
        Number of the chip, 0 to 99.
    det_id : array_like of int
        Number of the detection in its image, below 10^7.

    Returns
    -------
    ndarray of uint64
        ``floor(1e5 * (mjd - 54101)) * 10^9 + ccd_id * 10^7 + det_id``.

    Raises
    ------
    ShapeError
        If a value is out of its range.

    Examples
    --------
    >>> int(detect_id(55197.5, 42, 1234))
    109650000420001234
    """
    day = np.asarray(mjd, np.float64) - DETECT_T0_MJD
    # 9.2e9 in units of 1e-5 day (year 2259) is where 10^9 times it leaves a signed 64-bit field.
    ticks = np.floor(1e5 * day)
    _require((ticks >= 0) & (ticks < 9.2e9), mjd, "mjd must be in [54101, 146101); found")
    ccd = _digits(ccd_id, 100, "ccd_id")
    det = _digits(det_id, 10**7, "det_id")
    return np.asarray(
        ticks.astype(np.uint64) * np.uint64(10**9) + ccd * np.uint64(10**7) + det, np.uint64
    )


def stack_detect_id(source_id: ArrayLike, image_id: ArrayLike, det_id: ArrayLike) -> U64:
    """Make the PSPS identifiers of detections in stacks.

    Parameters
    ----------
    source_id : array_like of int
        Kind of the image (Image.source_id), below 127.
    image_id : array_like of int
        External number of the stack (Image.extern_id), below 2^28.
    det_id : array_like of int
        Number of the detection in the stack, below 2^28.

    Returns
    -------
    ndarray of uint64
        ``source_id << 56 | image_id << 28 | det_id``.

    Raises
    ------
    ShapeError
        If a value is out of its range.

    Examples
    --------
    >>> hex(int(stack_detect_id(1, 2, 3)))
    '0x100000020000003'
    """
    source = _digits(source_id, 127, "source_id")
    image = _digits(image_id, 2**28, "image_id")
    det = _digits(det_id, 2**28, "det_id")
    return np.asarray(source << np.uint64(56) | image << np.uint64(28) | det, np.uint64)


def pack_id(cat_id: ArrayLike, obj_id: ArrayLike) -> U64:
    """Join catID and objID into the one number that names an object of a database.

    Parameters
    ----------
    cat_id, obj_id : array_like of int
        Catalog where the object was made, and its number there, each below 2^32.

    Returns
    -------
    ndarray of uint64
        ``cat_id << 32 | obj_id``.

    Raises
    ------
    ShapeError
        If a value is negative or needs more than 32 bits.

    Examples
    --------
    >>> hex(int(pack_id(7, 1)))
    '0x700000001'
    """
    cat = _digits(cat_id, 2**32, "cat_id")
    return np.asarray(cat << np.uint64(32) | _digits(obj_id, 2**32, "obj_id"), np.uint64)


def unpack_id(packed: ArrayLike) -> tuple[U32, U32]:
    """Take catID and objID out of the number that :func:`pack_id` made.

    Parameters
    ----------
    packed : array_like of int
        Numbers of objects, below 2^64.

    Returns
    -------
    cat_id, obj_id : ndarray of uint32
        The two parts.

    Raises
    ------
    ShapeError
        If a value is negative, no integer, or needs more than 64 bits.

    Examples
    --------
    >>> [int(part) for part in unpack_id(0x700000001)]
    [7, 1]
    """
    both = _digits(packed, 2**64, "packed")
    low = both & np.uint64(0xFFFFFFFF)
    return (
        np.asarray((both >> np.uint64(32)).astype(np.uint32)),
        np.asarray(low.astype(np.uint32)),
    )


def ipp_obj_id(cat_id: ArrayLike, obj_id: ArrayLike) -> U64:
    """Make the ippObjID of PSPS from catID and objID.

    Parameters
    ----------
    cat_id, obj_id : array_like of int
        Catalog where the object was made, and its number there, below 10^9.

    Returns
    -------
    ndarray of uint64
        ``cat_id * 10^9 + obj_id``.

    Raises
    ------
    ShapeError
        If obj_id has more than nine digits, or cat_id more than 32 bits.

    Examples
    --------
    >>> int(ipp_obj_id(7, 1))
    7000000001
    """
    cat = _digits(cat_id, 2**32, "cat_id")
    return np.asarray(
        cat * np.uint64(MAX_OBJ_ID) + _digits(obj_id, MAX_OBJ_ID, "obj_id"), np.uint64
    )


def _zones(dec: NDArray[np.float64]) -> NDArray[np.float64]:
    _require((dec >= -90.0) & (dec <= 90.0), dec, "dec must be in [-90, 90]; found")
    return np.asarray((dec + 90.0) / ZONE_HEIGHT_DEG)


def _digits(values: ArrayLike, limit: int, name: str) -> U64:
    """Take integers of any type as uint64, refusing what is outside [0, limit)."""
    array = np.asarray(values)
    if array.dtype.kind == "O" and limit > 2**63:
        # Python ints beyond 2^63 arrive as objects when they stand beside smaller ones.
        array = np.asarray([int(v) for v in array.ravel()], np.uint64).reshape(array.shape)
    if array.dtype.kind not in "iu":
        if array.size:
            raise ShapeError(f"{name} must be integers; found type {array.dtype}")
        return array.astype(np.uint64)
    good = array >= 0 if limit > np.iinfo(array.dtype).max else (array >= 0) & (array < limit)
    _require(good, array, f"{name} must be in [0, {limit}); found")
    return np.asarray(array.astype(np.uint64))


def _require(good: NDArray[np.bool_] | np.bool_, values: ArrayLike, message: str) -> None:
    if not np.all(good):
        flat = np.ravel(np.broadcast_to(np.asarray(values), np.shape(good)))
        i_bad = int(np.flatnonzero(~np.ravel(good))[0])
        raise ShapeError(f"{message} {flat[i_bad]} at row {i_bad}")
