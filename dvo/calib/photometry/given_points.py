"""Zero points from a table of a caller's, and the images that its rows mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.given_columns import GivenColumns
from dvo.errors import BadCatalogError
from dvo.mjd import mjd_of
from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitudes import nominal_zero_points
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["POINT_COLUMNS", "GivenPoints", "pairs_of_rows_and_images"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

POINT_COLUMNS = {
    "image_id": ("image_id",),
    "name": ("name", "exposure"),
    "mjd": ("mjd",),
    "photcode": ("photcode",),
    "offset": ("mcal_psf", "mcal"),
    "aperture": ("mcal_aper",),
    "zero_point": ("zero_point",),
    "zero_point_aper": ("zero_point_aper",),
    "error": ("dmcal", "mcal_err", "zero_point_err"),
    "ubercal": ("ubercal",),
}
"""What a table of zero points may have, and how its columns may be called."""

_CLOSE_S = 1.0
"""How far the time of a row may be from that of the image that it means [s]."""


@dataclass(frozen=True, eq=False)
class GivenPoints:
    """Zero points of images, by the rows of a table that have them.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Row of the table that each pair is of.
    images : ndarray of int64, shape (n,)
        Row of Image; none stands twice.
    offset, aperture : ndarray of float64, shape (n,)
        Mcal of PSF magnitudes, and of aperture and Kron magnitudes [mag].
    error : ndarray of float64, shape (n,)
        Error of the first; NaN if the table has none [mag].
    is_ubercal : ndarray of bool, shape (n,)
        Which are marked as of ubercal.
    """

    rows: I64
    images: I64
    offset: F64
    aperture: F64
    error: F64
    is_ubercal: Bool

    @classmethod
    def of(
        cls, given: GivenColumns, rows: I64, images: I64, table: ColumnTable,
        codes: PhotcodeTable, *, at_airmass: bool,
    ) -> GivenPoints:  # fmt: skip
        """Work out the offsets of images.

        Parameters
        ----------
        given : GivenColumns
            The table.
        rows, images : ndarray of int64, shape (n,)
            Which of its rows, for which row of Image.
        table : ColumnTable
            Image, with ``photcode`` and ``secz``.
        codes : PhotcodeTable
            The photcodes, with the nominal zero points.
        at_airmass : bool
            Whether zero points are those at the airmass of the image; else at airmass 1,
            reduced by the nominal slope.

        Returns
        -------
        GivenPoints
            The offsets: ``nominal - zero point`` where the table has zero points.

        Raises
        ------
        BadCatalogError
            If the table has neither offsets nor zero points, or both, or a value is no number.
        """
        columns = POINT_COLUMNS
        offset = given.numbers(columns["offset"])
        aperture = given.numbers(columns["aperture"])
        point = given.numbers(columns["zero_point"])
        point_aper = given.numbers(columns["zero_point_aper"])
        if (offset is None) == (point is None):
            raise BadCatalogError(
                f"{given.source}: {'no' if point is None else 'both a'} column mcal_psf (offset "
                "from the nominal zero point) and zero_point; one of them is needed"
            )
        if (point is None and point_aper is not None) or (offset is None and aperture is not None):
            raise BadCatalogError(f"{given.source}: mcal_aper goes with mcal_psf, and "
                                  "zero_point_aper with zero_point")  # fmt: skip
        if point is not None:
            airmass = table["secz"][images] if at_airmass else np.ones(len(images))
            nominal = nominal_zero_points(codes, table["photcode"][images], airmass)
            psf = nominal - point[rows]
            aper = psf if point_aper is None else nominal - point_aper[rows]
        else:
            assert offset is not None
            psf = offset[rows]
            aper = psf if aperture is None else aperture[rows]
        error = given.numbers(columns["error"], is_positive=True)
        mark = given.integers(columns["ubercal"], 0, 1)
        return cls(rows, images, psf, aper,
                   np.full(len(rows), np.nan) if error is None else error[rows],
                   np.zeros(len(rows), np.bool_) if mark is None else mark[rows] > 0)  # fmt: skip

    def take(self, which: Bool) -> GivenPoints:
        """Keep some.

        Parameters
        ----------
        which : ndarray of bool, shape (n,)
            Which.

        Returns
        -------
        GivenPoints
            These.
        """
        return GivenPoints(*(getattr(self, f.name)[which] for f in fields(self)))


def pairs_of_rows_and_images(
    given: GivenColumns, table: ColumnTable, codes: PhotcodeTable
) -> tuple[I64, I64]:
    """Find the images that the rows of a table mean.

    Parameters
    ----------
    given : GivenColumns
        The table: an image is meant by its ``image_id``, its ``name`` or that of its exposure, or
        by ``mjd`` and ``photcode`` of its beginning; all that is given has to hold. A photcode
        may be an average filter.
    table : ColumnTable
        Image, with image_id, parent_id, name, photcode, time and time_msec.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    rows, images : ndarray of int64, shape (n,)
        Rows of the table and of Image; a row may mean several images, such as the chips of an
        exposure.

    Raises
    ------
    BadCatalogError
        If the table does not say which images it means, or two rows mean one.
    """
    image_id = given.integers(POINT_COLUMNS["image_id"], 0, 2**32 - 1)
    name = given.texts(POINT_COLUMNS["name"])
    mjd = given.numbers(POINT_COLUMNS["mjd"])
    code = given.photcodes(POINT_COLUMNS["photcode"], codes, (PhotClass.SEC, PhotClass.DEP))
    if image_id is None and name is None and (mjd is None or code is None):
        raise BadCatalogError(
            f"{given.source}: no columns that name images; they go by image_id, by name (of an "
            "image or an exposure), or by mjd and photcode"
        )
    chips = np.flatnonzero(table["photcode"] != 0)
    seconds = (mjd_of(table["time"], table["time_msec"])[chips] - _DAY_0) * 86400.0
    asked = None if mjd is None else (mjd - _DAY_0) * 86400.0
    if image_id is not None:
        rows, at = _equal(image_id, table["image_id"][chips].astype(np.int64))
    elif name is not None:
        rows, at = _by_name(name, table, chips)
    else:
        assert asked is not None
        rows, at = _between(asked - _CLOSE_S, asked + _CLOSE_S, seconds)
    keep = np.ones(len(rows), np.bool_)
    if asked is not None:
        keep &= np.abs(seconds[at] - asked[rows]) <= _CLOSE_S
    if image_id is not None and name is not None:
        own, other = _by_name(name, table, chips)
        keep &= np.isin(rows * len(table) + at, own * len(table) + other)
    if code is not None:
        of = table["photcode"][chips][at]
        sec = np.array([p.code for p in codes.sec] + [0])[codes.sec_index_of_code[of]]
        keep &= (code[rows] == of) | (code[rows] == sec)
    rows, images = rows[keep], chips[at[keep]]
    order = np.lexsort((rows, images))
    rows, images = rows[order], images[order]
    twice = np.flatnonzero(images[1:] == images[:-1])
    if len(twice):
        k = int(twice[0])
        raise BadCatalogError(f"{given.source}: rows {rows[k] + 1} and {rows[k + 1] + 1} both mean "
                              f"image {table['image_id'][images[k]]}; keep one")  # fmt: skip
    return rows, images


_DAY_0 = 50000.0
"""Times are compared from here, so that seconds keep their digits [MJD]."""


def _by_name(name: Array, table: ColumnTable, chips: I64) -> tuple[I64, I64]:
    """Rows and chips of a name, or of an exposure that has it."""
    wanted = np.char.encode(name, "utf-8")
    names = np.char.rstrip(table["name"], b"\0")
    row, at = _equal(wanted, names[chips])
    order = np.argsort(table["image_id"])
    ids = table["image_id"][order]
    parent = table["parent_id"][chips]
    place = np.minimum(np.searchsorted(ids, parent), max(0, len(ids) - 1))
    has = (parent != 0) & (ids[place] == parent) if len(ids) else np.zeros(0, np.bool_)
    exposure = np.where(has, names[order[place]] if len(ids) else names, b"")
    more = _equal(wanted, exposure)
    rows, images = np.concatenate([row, more[0]]), np.concatenate([at, more[1]])
    both = np.unique(np.column_stack([rows, images]), axis=0)
    return both[:, 0], both[:, 1]


def _equal(wanted: Array, there: Array) -> tuple[I64, I64]:
    """All pairs of equal values."""
    return _between(wanted, wanted, there)


def _between(low: Array, high: Array, there: Array) -> tuple[I64, I64]:
    """All pairs of ranges and values inside of them."""
    order = np.argsort(there, kind="stable")
    first = np.searchsorted(there[order], low, side="left")
    n = np.searchsorted(there[order], high, side="right") - first
    rows = np.repeat(np.arange(len(low)), n)
    starts = np.repeat(first - (np.cumsum(n) - n), n)
    return rows.astype(np.int64), order[starts + np.arange(len(rows))].astype(np.int64)
