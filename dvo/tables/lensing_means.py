"""Means of Lensing: rows of LensObj, one an object and average filter.

All means are without weights. The five terms of a tensor of Kaiser, Squires & Broadhurst (1995,
ApJ 449, 460; appendix) count where all of them are known (finite); a flux counts where it is
known, and if its error or fill factor is not, that of the mean is not. LensObj says how many
measurements counted for each. So does the original average forced-warp fluxes (``relphot``), with
a counter for each aperture, the scatter with Bessel's correction, and the mean of the fill factor.
One thing differs: the error of a mean flux is that of the mean, ``sqrt(sum(err^2)) / n`` as the PS1
archive describes its columns, where the original gives the root mean square of the single errors.

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
from dvo.tables.lensing import APERTURE_RADII_ARCSEC, ksb_groups
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.photcode import PhotcodeTable

__all__ = [
    "MEAN_COLUMNS", "filters_of_codes", "filters_of_images", "joined_means", "lensing_means"
]  # fmt: skip

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Sums = dict[str, F64]

_TENSORS = ksb_groups()
_RADII = tuple(f"r{n}" for n in APERTURE_RADII_ARCSEC)

MEAN_COLUMNS = tuple(n for n in LENSOBJ.names if n not in ("ave_ref", "obj_id", "cat_id"))
"""Columns of LensObj that are made of Lensing, and the filter; the others are links."""


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
    group = np.cumsum(is_first) - 1
    columns: dict[str, Array] = {"photcode": band[first].astype(np.uint16)}
    counted = np.zeros(len(rows), np.bool_)
    for tensor, names in _TENSORS.items():
        values = np.column_stack([table[name][rows] for name in names]).astype(np.float64)
        known = np.asarray(np.isfinite(values).all(axis=1))
        counted |= known
        n = _sum(known.astype(np.float64), first)
        columns[f"n_{tensor}"] = n
        means = _sum(np.where(known[:, None], values, 0.0), first) / _or_nan(n)[:, None]
        columns |= {name: means[:, k] for k, name in enumerate(names)}
    for radius in _RADII:
        flux, err, fill = (
            table[f"flux{stem}_ap_{radius}"][rows].astype(np.float64)
            for stem in ("", "_err", "_fil")
        )
        known = np.isfinite(flux)
        counted |= known
        n = _sum(known.astype(np.float64), first)
        mean = _sum(np.where(known, flux, 0.0), first) / _or_nan(n)
        off2 = np.where(known, (flux - mean[group]) ** 2, 0.0)
        columns |= _aperture(
            radius, n, mean, _sum(off2, first),
            _sum(np.where(known, _finite(err) ** 2, 0.0), first),
            _sum(np.where(known, _finite(fill), 0.0), first),
        )  # fmt: skip
    columns["nmeas"] = _sum(counted.astype(np.float64), first)
    return _as_stored(columns, len(first)), of[first]


def joined_means(one: ColumnTable, two: ColumnTable) -> ColumnTable:
    """Join the means of some measurements with those of others, row by row.

    Parameters
    ----------
    one, two : ColumnTable
        Rows of LensObj, each of the same object and filter in both, of which no measurement
        is in both.

    Returns
    -------
    ColumnTable
        The means of all their measurements (`MEAN_COLUMNS`), but for what rounding to 32
        bits takes: they are what is stored.
    """
    columns: dict[str, Array] = {"photcode": one["photcode"]}
    for tensor, names in _TENSORS.items():
        a, b = (t[f"n_{tensor}"].astype(np.float64) for t in (one, two))
        columns[f"n_{tensor}"] = a + b
        for name in names:
            total = _total(one[name], a) + _total(two[name], b)
            columns[name] = total / _or_nan(a + b)
    for radius in _RADII:
        a, b = (t[f"n_ap_{radius}"].astype(np.float64) for t in (one, two))
        flux, err, std, fill = (
            [t[f"flux{stem}_ap_{radius}"].astype(np.float64) for t in (one, two)]
            for stem in ("", "_err", "_std", "_fil")
        )
        n = a + b
        mean = (_total(flux[0], a) + _total(flux[1], b)) / _or_nan(n)
        # Chan, Golub & LeVeque (1979): sums of squares about the means of two samples.
        off2 = _squares(std[0], a) + _squares(std[1], b)
        apart = np.where((a > 0) & (b > 0), flux[1] - flux[0], 0.0)
        off2 += apart**2 * a * b / np.maximum(n, 1.0)
        err2 = _total(err[0], a) ** 2 + _total(err[1], b) ** 2
        columns |= _aperture(radius, n, mean, off2, err2, _total(fill[0], a) + _total(fill[1], b))
    columns["nmeas"] = one["nmeas"].astype(np.float64) + two["nmeas"]
    return _as_stored(columns, len(one))


def _aperture(radius: str, n: F64, mean: F64, off2: F64, err2: F64, fill: F64) -> dict[str, F64]:
    """Columns of an aperture from sums over the measurements that count."""
    many = np.where(n > 1, n - 1, np.nan)
    return {
        f"n_ap_{radius}": n,
        f"flux_ap_{radius}": mean,
        f"flux_err_ap_{radius}": np.sqrt(err2) / _or_nan(n),
        f"flux_std_ap_{radius}": np.sqrt(off2 / many),
        f"flux_fil_ap_{radius}": fill / _or_nan(n),
    }


def _finite(values: F64) -> F64:
    """Values, NaN where they are infinite."""
    return np.where(np.isfinite(values), values, np.nan)


def _or_nan(n: F64) -> F64:
    return np.where(n > 0, n, np.nan)


def _total(mean: Array, n: F64) -> F64:
    """Sum that a mean is of; 0 of nothing, NaN if the mean is unknown although there is some."""
    return np.where(n > 0, mean.astype(np.float64) * n, 0.0)


def _squares(std: F64, n: F64) -> F64:
    """Sum of squares about the mean that a standard deviation is of."""
    return np.where(n > 1, std**2 * (n - 1), 0.0)


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


def _sum(values: F64, first: I64) -> F64:
    """Sums over groups of rows that begin at `first`."""
    if len(first) == 0:
        return np.empty((0, *values.shape[1:]))
    return np.add.reduceat(values, first)


def _as_stored(columns: dict[str, Array], n_rows: int) -> ColumnTable:
    with np.errstate(over="ignore"):  # what is beyond 32 bits is infinite
        kept = {name: v.astype(LENSOBJ[name].numpy_dtype) for name, v in columns.items()}
    return ColumnTable(LENSOBJ, kept, n_rows)
