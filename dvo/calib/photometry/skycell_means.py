"""Stack and warp photometry of objects: the best and the primary stack, mean fluxes of warps.

The rules are those of the original (relphot of the IPP, setMrelFinal.c), which define what users
see; which skycell is primary for an object is the original's too, but for its table of
boundaries: the one whose centre is nearest, see `Skycells`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.kernels import N_MEANS, USED, average_groups
from dvo.calib.photometry.skycell_fluxes import STEMS, SkycellMeasures
from dvo.tables.averages import LEAST_MAG_ERR
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import STACK_FLAGS, MeasureFlag, PhotFlag, SecFiltFlag
from dvo.tables.magnitudes import AB_OF_JANSKY
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.ranks import photometric_error, ranks
from dvo.tables.secfilt import SECFILT

__all__ = ["BestStacks", "SkycellMeans", "stack_means", "warp_means"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U32 = NDArray[np.uint32]
Bool = NDArray[np.bool_]

_GOOD_STACK = 0.95
_GOOD_WARP = 0.85
_NANO = 1e9
_OF_STACKS = np.uint32(MeasureFlag.STACK_PRIMARY | MeasureFlag.STACK_PHOT_SRC)


@dataclass(frozen=True, eq=False)
class SkycellMeans:
    """Columns of SecFilt made anew.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of SecFilt, ascending.
    secfilt : ColumnTable
        The new values of their columns.
    db_flags : ndarray of uint32, shape (n_measures,)
        Flags of the measures that were looked at.
    """

    rows: I64
    secfilt: ColumnTable
    db_flags: U32


@dataclass(frozen=True, eq=False)
class BestStacks:
    """The image of the best stack of each row of SecFilt that has one.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of SecFilt, ascending.
    image : ndarray of int32, shape (n,)
        Rows of Image.
    """

    rows: I64
    image: I32


def stack_means(
    stacks: SkycellMeasures, places: I64, secfilt_flags: U32, images: PhotImages,
    codes: PhotcodeTable,
) -> tuple[SkycellMeans, BestStacks]:  # fmt: skip
    """Choose the best and the primary stack measure of objects, and give their fluxes.

    Good measures (psf_qf_perfect above 0.95) of the primary skycell are best, then good ones of
    others, then the rest of the primary one; among good ones that of the greatest signal to noise,
    else that of the greatest psf_qf_perfect.

    Parameters
    ----------
    stacks : SkycellMeasures
        The measures.
    places : ndarray of int64, shape (n,)
        Place of each among the measures of its object.
    secfilt_flags : ndarray of uint32, shape (n_secfilt_rows,)
        Flags of SecFilt as they are.
    images : PhotImages
        The images.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    means : SkycellMeans
        Fluxes, magnitudes, counts, offsets and flags of stacks.
    best : BestStacks
        What warps go by.
    """
    table = stacks.table
    is_primary = stacks.is_primary(images)
    is_good = table["psf_qf_perfect"] > _GOOD_STACK
    fluxes = {stem: stacks.fluxes(stem, codes, "m_cal" if stem == "psf" else "mcal_aper")
              for stem in STEMS}  # fmt: skip
    flux, error = fluxes["psf"]
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = np.nan_to_num(flux / error, nan=-np.inf)
    quality = np.nan_to_num(table["psf_qf_perfect"].astype(np.float64), nan=-np.inf)
    score = np.where(is_good, noise, quality)
    level = np.where(is_good, np.where(is_primary, 4, 3), np.where(is_primary, 2, 1))
    rows, group, counts = np.unique(stacks.group, return_inverse=True, return_counts=True)
    best = _last(group, len(rows), (level, score))
    own = np.flatnonzero(is_primary)
    primary = _last(group[own], len(rows), (is_good[own], score[own]))
    primary = np.where(primary >= 0, own[np.maximum(primary, 0)] if len(own) else -1, -1)
    is_forced = (table["phot_flags"] & np.uint32(PhotFlag.EXTERNAL)) != 0
    n_primary = np.bincount(group[own], minlength=len(rows))
    columns: dict[str, NDArray[np.generic]] = {}
    for stem, (values, errors) in fluxes.items():
        columns |= _flux_columns(f"{stem}_stk", values[best])
        columns[f"flux_{stem}_stk_err"] = errors[best].astype(np.float32)
    columns["nstack"] = counts.astype(np.uint32)
    columns["nstack_det"] = np.bincount(group[~is_forced], minlength=len(rows)).astype(np.uint32)
    columns["stack_best_off"] = places[best].astype(np.int32)
    has = primary >= 0
    columns["stack_primary_off"] = np.where(has, places[primary], -1).astype(np.int32)
    flags = secfilt_flags[rows] & ~np.uint32(STACK_FLAGS)
    flags |= np.uint32(SecFiltFlag.HAS_PS1_STACK)
    for flag, is_so in (
        (SecFiltFlag.STACK_PRIMARY, is_primary[best]),
        (SecFiltFlag.STACK_BESTDET, ~is_forced[best]),
        (SecFiltFlag.STACK_PRIMDET, has & ~is_forced[primary]),
        (SecFiltFlag.STACK_PRIMARY_MULTIPLE, n_primary > 1),
    ):
        flags[is_so] |= np.uint32(flag)
    columns["flags"] = flags
    db_flags = table["db_flags"] & ~_OF_STACKS
    db_flags[is_primary] |= np.uint32(MeasureFlag.STACK_PRIMARY)
    db_flags[best] |= np.uint32(MeasureFlag.STACK_PHOT_SRC)
    means = SkycellMeans(rows, ColumnTable(SECFILT, columns, len(rows)), db_flags)
    return means, BestStacks(rows, stacks.image[best])


def warp_means(
    warps: SkycellMeasures, best: BestStacks, images: PhotImages, image_flags: U32,
    codes: PhotcodeTable,
) -> SkycellMeans:  # fmt: skip
    """Average the fluxes that objects have in warps; they may be negative.

    Only warps of the skycell of the best stack count, where there is one; then ranks and robust
    weights are those of chip magnitudes.

    Parameters
    ----------
    warps : SkycellMeasures
        The measures.
    best : BestStacks
        The best stacks of the same objects.
    images : PhotImages
        The images.
    image_flags : ndarray of uint32, shape (n_images,)
        Their flags now.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    SkycellMeans
        Mean fluxes, magnitudes and counts of warps.
    """
    table = warps.table
    rows, group, counts = np.unique(warps.group, return_inverse=True, return_counts=True)
    at = np.minimum(np.searchsorted(best.rows, warps.group), max(len(best.rows) - 1, 0))
    counted = np.ones(len(warps), np.bool_)
    if len(best.rows):
        has = best.rows[at] == warps.group
        cell = images.skycells.of_image
        counted = ~has | (cell[warps.image] == cell[best.image[at]])
    rank = ranks(table, codes, image_flags[warps.image])
    order = np.argsort(group, kind="stable")
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns: dict[str, NDArray[np.generic]] = {}
    db_flags = table["db_flags"] & ~np.uint32(MeasureFlag.WARP_USED)
    # The least and systematic error of magnitudes, as a share of the flux.
    least = np.full(len(table), LEAST_MAG_ERR, np.float32)
    share = photometric_error(least, table["photcode"], codes)
    for stem in STEMS:
        flux, error = warps.fluxes(stem, codes, "m_cal")
        error = np.hypot(error, flux * share * np.log(10.0) / 2.5)
        means, n_used = np.empty((len(rows), N_MEANS)), np.empty(len(rows), np.uint32)
        state = np.zeros(len(table), np.uint8)
        # In units in which fluxes are not small against the step at which means stand still.
        average_groups(edges, order, np.where(counted, flux, np.nan) * _NANO, error * _NANO,
                       np.ones(len(table)), rank, means, n_used,
                       np.empty(len(rows), np.uint8), state)  # fmt: skip
        columns |= _flux_columns(f"{stem}_wrp", means[:, 0] / _NANO)
        for j, end in ((1, "err"), (2, "std")):
            columns[f"flux_{stem}_wrp_{end}"] = (means[:, j] / _NANO).astype(np.float32)
        columns["nused_wrp" if stem == "psf" else f"nused_{stem}_wrp"] = n_used
        if stem == "psf":
            db_flags[state == USED] |= np.uint32(MeasureFlag.WARP_USED)
    columns["nwarp"] = counts.astype(np.uint32)
    is_good = table["psf_qf_perfect"] > _GOOD_WARP
    columns["nwarp_good"] = np.bincount(group[is_good], minlength=len(rows)).astype(np.uint32)
    return SkycellMeans(rows, ColumnTable(SECFILT, columns, len(rows)), db_flags)


def _last(group: I64, n: int, keys: tuple[NDArray[np.generic], ...]) -> I64:
    """Entry of each group with the greatest keys, the first of them first; -1 for none."""
    out = np.full(n, -1, np.int64)
    first = np.arange(len(group))[::-1]  # of those alike, the first
    order = np.lexsort((first, *keys[::-1], group))
    out[group[order]] = order
    return out


def _flux_columns(ending: str, flux: F64) -> dict[str, NDArray[np.generic]]:
    """Flux and its AB magnitude; NaN where it is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mag = np.where(flux > 0, AB_OF_JANSKY - 2.5 * np.log10(flux), np.nan)
    return {f"flux_{ending}": flux.astype(np.float32), f"mag_{ending}": mag.astype(np.float32)}
