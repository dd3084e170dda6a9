"""Means of Lensing: rows of LensObj, one an object and average filter.

All means are without weights, over the measurements in which the value is known (finite),
column by column; a column without any is NaN. That is the rule by which the original
averages forced-warp fluxes (``relphot``); so are the scatter, with Bessel's correction, and
the fill factor. Two things differ: the tensors and vectors of Kaiser, Squires & Broadhurst
(1995, ApJ 449, 460; appendix) are averaged by the same rule, and the error of a mean flux is
that of the mean, ``sqrt(sum(err^2)) / n`` as the PS1 archive describes its columns, where the
original gives the root mean square of the single errors.

Fluxes are averaged as they are stored: the calibration of images is not applied.

``gamma``, ``e1`` and ``e2`` stay unknown. A shear by KSB (see also Luppino & Kaiser 1997, ApJ
475, 20) needs the ellipticity of the object with the weight function of the tensors, which
Lensing does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.column_table import ColumnTable
from dvo.tables.lensing import APERTURE_RADII_ARCSEC, ksb_columns
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.photcode import PhotcodeTable

__all__ = ["AVERAGED_COLUMNS", "filters_of_codes", "filters_of_images", "lensing_means"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_MEANS = (
    *(c.name for c in ksb_columns()),
    *(f"{stem}_r{n}" for n in APERTURE_RADII_ARCSEC for stem in ("flux_ap", "flux_fil_ap")),
)
_ERRORS = tuple(f"flux_err_ap_r{n}" for n in APERTURE_RADII_ARCSEC)

AVERAGED_COLUMNS = (*_MEANS, *_ERRORS)
"""Columns of Lensing that LensObj is made of."""


def lensing_means(
    table: ColumnTable, objects: I64, filters: NDArray[np.uint16]
) -> tuple[ColumnTable, I64]:
    """Average measurements of objects, filter by filter.

    Parameters
    ----------
    table : ColumnTable
        Rows of Lensing.
    objects : ndarray of int64, shape (n,)
        A number for the object of each row.
    filters : ndarray of uint16, shape (n,)
        Average filter (SEC photcode) of each row; 0 for rows that are not averaged.

    Returns
    -------
    means : ColumnTable
        Rows of LensObj in the order of objects and filters, without the links to objects.
    numbers : ndarray of int64
        The object of each of these rows, one of `objects`.
    """
    rows = np.flatnonzero(filters)
    rows = rows[np.lexsort((table["det_id"][rows], table["image_id"][rows], filters[rows],
                            objects[rows]))]  # fmt: skip
    of, band = objects[rows], filters[rows]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = (of[1:] != of[:-1]) | (band[1:] != band[:-1])
    first = np.flatnonzero(is_first)
    columns: dict[str, Array] = {"photcode": band[first].astype(np.uint16)}
    counted = np.zeros(len(rows), np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in _MEANS:
            total, n, known = _sums(table[name][rows], first)
            counted |= known
            columns[name] = np.where(n > 0, total / n, np.nan)
        for number in APERTURE_RADII_ARCSEC:
            flux, err = (table[f"{stem}_r{number}"][rows] for stem in ("flux_ap", "flux_err_ap"))
            columns[f"flux_std_ap_r{number}"] = _scatter(
                flux, columns[f"flux_ap_r{number}"], is_first, first
            )
            total, n, known = _sums(err.astype(np.float64) ** 2, first)
            counted |= known
            columns[f"flux_err_ap_r{number}"] = np.where(n > 0, np.sqrt(total) / n, np.nan)
    columns["nmeas"] = _sums(np.where(counted, 1.0, np.nan), first)[1].astype(np.uint32)
    kept = {name: _as_stored(name, values) for name, values in columns.items()}
    return ColumnTable(LENSOBJ, kept, len(first)), of[first]


def filters_of_images(images: ColumnTable, codes: PhotcodeTable) -> NDArray[np.uint16]:
    """Find the average filter that images belong to.

    Parameters
    ----------
    images : ColumnTable
        Rows of Image, with image_id and photcode.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ndarray of uint16
        SEC photcode by image_id; 0 for what belongs to none, and for 0, which is no image.
    """
    ids = images["image_id"].astype(np.int64)
    out = np.zeros(int(ids.max(initial=0)) + 1, np.uint16)
    out[ids] = filters_of_codes(codes)[images["photcode"]]
    out[0] = 0
    return out


def filters_of_codes(codes: PhotcodeTable) -> NDArray[np.uint16]:
    """Find the average filter that photcodes belong to.

    Parameters
    ----------
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ndarray of uint16, shape (65536,)
        SEC photcode by photcode; 0 for none.
    """
    sec = np.array([*(p.code for p in codes.sec), 0], np.uint16)
    return np.asarray(sec[codes.sec_index_of_code])


def _sums(values: Array, first: I64) -> tuple[Array, I64, NDArray[np.bool_]]:
    """Sum of the known values of each group, how many they are, and which."""
    known = np.isfinite(values)
    if len(first) == 0:
        return np.empty(0), np.empty(0, np.int64), known
    total = np.add.reduceat(np.where(known, values, 0.0).astype(np.float64), first)
    return total, np.add.reduceat(known.astype(np.int64), first), known


def _scatter(flux: Array, means: Array, is_first: NDArray[np.bool_], first: I64) -> Array:
    """Standard deviation of one of a sample; NaN for fewer than two."""
    group = np.cumsum(is_first) - 1
    total, n, _ = _sums((flux - means[group]) ** 2 if len(group) else np.empty(0), first)
    return np.where(n > 1, np.sqrt(total / (n - 1)), np.nan)


def _as_stored(name: str, values: Array) -> Array:
    return values.astype(LENSOBJ[name].numpy_dtype)
