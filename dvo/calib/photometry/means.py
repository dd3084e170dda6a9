"""Mean magnitudes of objects from chip images: which measures, which columns, which flags.

The rules are those of the original, for they define what users see: only measures of the
best rank present are averaged, robustly, and flags tell which rank that was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.kernels import MASKED, N_MEANS, USED, average_groups
from dvo.tables.averages import (
    MEAN_COUNTS,
    MEAN_STEMS,
    STORED_MAGS,
    averaged_filters,
    mean_magnitudes,
)
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import MeasureFlag, SecFiltFlag
from dvo.tables.kernels import rows_by_object
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.ranks import photometric_error, ranks
from dvo.tables.secfilt import SECFILT

__all__ = ["MEAN_MEASURE_COLUMNS", "ChipMeans", "chip_means"]

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

MEAN_MEASURE_COLUMNS = (
    "mag", "mag_err", "m_aper", "m_aper_err", "m_kron", "m_kron_err", "m_cal", "mcal_aper",
    "m_flat", "airmass", "time", "photcode", "image_id", "ave_ref", "psf_qf", "psf_qf_perfect",
    "phot_flags", "db_flags",
)  # fmt: skip
"""What means are made of."""

_USED = {"psf": MeasureFlag.PHOTOM_PSF, "ap": MeasureFlag.PHOTOM_APER,
         "kron": MeasureFlag.PHOTOM_KRON}  # fmt: skip
_MASKED = {"psf": MeasureFlag.MASKED_PSF, "ap": MeasureFlag.MASKED_APER,
           "kron": MeasureFlag.MASKED_KRON}  # fmt: skip
_MORE = ("mag_chi", "mag_min", "mag_max", "mag_p10", "mag_p20", "mag_p80", "mag_p90")

_UBERCAL_BOOST = 100.0
_RANKS = (SecFiltFlag.RANK_0, SecFiltFlag.RANK_1, SecFiltFlag.RANK_2, SecFiltFlag.RANK_3,
          SecFiltFlag.RANK_4)  # fmt: skip
_OF_CHIPS = np.uint32(
    SecFiltFlag.STAR_FEW | SecFiltFlag.USE_UBERCAL | SecFiltFlag.HAS_PS1 | SecFiltFlag.OBJ_EXT
    | np.bitwise_or.reduce([int(r) for r in _RANKS])
)  # fmt: skip
_OF_MEASURES = np.uint32(np.bitwise_or.reduce([int(f) for f in (*_USED.values(),
                                                                *_MASKED.values())]))  # fmt: skip


@dataclass(frozen=True, eq=False)
class ChipMeans:
    """Means made anew.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of SecFilt that have chip measures, ascending.
    secfilt : ColumnTable
        The new values of their columns.
    db_flags : ndarray of uint32, shape (n_measures,)
        Flags of all measures, with what became of each.
    """

    rows: I64
    secfilt: ColumnTable
    db_flags: U32


def chip_means(
    measure: ColumnTable,
    objects: I64,
    secfilt: ColumnTable,
    images: PhotImages,
    image_flags: U32,
    distance: NDArray[np.int32],
    codes: PhotcodeTable,
) -> ChipMeans:
    """Make the mean chip magnitudes of objects anew.

    Parameters
    ----------
    measure : ColumnTable
        Measures of whole objects, with their calibration.
    objects : ndarray of int64, shape (n_measures,)
        Object of each.
    secfilt : ColumnTable
        Their SecFilt rows as they are; what does not come from chip images stays.
    images : PhotImages
        The images of the filters whose means are wanted.
    image_flags : ndarray of uint32, shape (n_images,)
        Their flags now.
    distance : ndarray of int32, shape (n_images,)
        Steps of each to an image of ubercal.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ChipMeans
        For the filters of the images.
    """
    image = images.rows_of(measure["image_id"])
    k = averaged_filters(measure, codes)
    flags = measure["db_flags"].copy()
    used = np.flatnonzero((image >= 0) & (k >= 0))
    some, of_image = measure.take(used), image[used]
    rows, group, counts = np.unique(
        objects[used] * len(codes.sec) + k[used], return_inverse=True, return_counts=True
    )
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    order = rows_by_object(group.astype(np.int64), some["time"], edges)
    rank = ranks(some, codes, image_flags[of_image])
    is_uber = images.is_ubercal[of_image]
    boost = np.where(is_uber, _UBERCAL_BOOST, 1.0)
    new = flags[used] & ~_OF_MEASURES
    columns: dict[str, NDArray[np.generic]] = {}
    of_psf = np.zeros(len(used), np.uint8)
    best = np.full(len(rows), 255, np.uint8)
    for kind in STORED_MAGS:
        means, n_used, ranked, state = _averaged(some, kind, edges, order, boost, rank, codes)
        for j, end in enumerate(("", "_err", "_stdev")):
            columns[MEAN_STEMS[kind] + end] = means[:, j].astype(np.float32)
        columns[MEAN_COUNTS[kind]] = n_used
        new |= np.where(state == USED, np.uint32(_USED[kind]), np.uint32(0))
        new |= np.where(state == MASKED, np.uint32(_MASKED[kind]), np.uint32(0))
        if kind == "psf":
            columns |= {n: means[:, 3 + j].astype(np.float32) for j, n in enumerate(_MORE)}
            of_psf, best = state, ranked
    flags[used] = new
    firsts = edges[:-1]
    for name, of in (("psf_qf_max", "psf_qf"), ("psf_qf_perf_max", "psf_qf_perfect")):
        columns[name] = np.fmax.reduceat(some[of][order], firsts) if len(rows) else some[of]
    columns["ncode"] = counts.astype(np.uint32)
    columns["ubercal_dist"] = (
        np.minimum.reduceat(distance[of_image][order], firsts) if len(rows) else distance[:0]
    )
    columns["flags"] = _flags(secfilt["flags"][rows], some, is_uber & (of_psf == USED), best,
                              group)  # fmt: skip
    return ChipMeans(rows, ColumnTable(SECFILT, columns, len(rows)), flags)


def _averaged(
    some: ColumnTable, kind: str, edges: I64, order: I64, boost: F64, rank: U8,
    codes: PhotcodeTable,
) -> tuple[F64, U32, U8, U8]:  # fmt: skip
    mag, error = mean_magnitudes(some, kind, codes)
    if kind != "psf":  # the errors of other magnitudes are often not given
        error = np.where(error > 0, error, some["mag_err"])
    n = len(edges) - 1
    means, n_used = np.empty((n, N_MEANS)), np.empty(n, np.uint32)
    best, state = np.empty(n, np.uint8), np.zeros(len(some), np.uint8)
    average_groups(edges, order, mag.astype(np.float64),
                   photometric_error(error, some["photcode"], codes), boost, rank,
                   means, n_used, best, state)  # fmt: skip
    return means, n_used, best, state


def _flags(before: U32, some: ColumnTable, is_uber: Bool, best: U8, group: I64) -> U32:
    """Flags of SecFilt rows: those of chip images made anew, others as they were."""
    flags = before & ~_OF_CHIPS
    for rank, flag in enumerate(_RANKS):
        flags |= np.where(best == rank, np.uint32(flag), np.uint32(0))
    flags |= np.where(best < 255, np.uint32(SecFiltFlag.HAS_PS1), np.uint32(SecFiltFlag.STAR_FEW))
    n = len(before)
    flags[np.bincount(group[is_uber], minlength=n) > 0] |= np.uint32(SecFiltFlag.USE_UBERCAL)
    # A galaxy has more light in the aperture than in the PSF, in most of its measures.
    over = some["mag"] - some["m_aper"] > np.hypot(0.1, 2.5 * some["mag_err"])
    known = np.isfinite(some["mag"]) & np.isfinite(some["m_aper"])
    n_over, n_known = (np.bincount(group[w], minlength=n) for w in (over, known))
    flags[2 * n_over > n_known] |= np.uint32(SecFiltFlag.OBJ_EXT)
    return flags
