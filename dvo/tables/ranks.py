"""How good measures are for the mean of their object, and their errors there.

Ranks and masks are those of the original; means and indices of variability share them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.tables.averages import LEAST_MAG_ERR, UNKNOWN_MAG_ERR
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag, MeasureFlag
from dvo.tables.photcode import PhotcodeTable

__all__ = ["RANK_COLUMNS", "photometric_error", "photometric_masks", "ranks"]

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

_CODES = 65536
_GOOD_QF = 0.85

RANK_COLUMNS = ("photcode", "psf_qf", "psf_qf_perfect", "phot_flags", "db_flags")
"""Columns of Measure that `ranks` needs."""


def photometric_error(error: NDArray[np.float32], code: NDArray[np.uint16],
                      codes: PhotcodeTable) -> F64:  # fmt: skip
    """Errors of magnitudes, with what the photcode says of its systematic error.

    Parameters
    ----------
    error : ndarray of float32, shape (n,)
        Stated errors [mag].
    code : ndarray of uint16, shape (n,)
        Photcodes.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``hypot(max(error, 0.001), sys)`` [mag], with an error of 0.1 where none is stated.
    """
    system = np.zeros(_CODES)
    for photcode in codes:
        system[photcode.code] = photcode.photom_err_sys
    stated = np.where(error > 0, np.maximum(error, LEAST_MAG_ERR), UNKNOWN_MAG_ERR)
    return np.asarray(np.hypot(stated.astype(np.float64), system[code]))


def photometric_masks(measure: ColumnTable, codes: PhotcodeTable) -> tuple[Bool, Bool]:
    """Tell which measures have flags that make them poor, or bad.

    Parameters
    ----------
    measure : ColumnTable
        With ``phot_flags`` and ``photcode``.
    codes : PhotcodeTable
        The photcodes, with their masks.

    Returns
    -------
    poor, bad : ndarray of bool, shape (n,)
        Poor measures are for want of better ones, bad ones for nothing.
    """
    masks = np.zeros((2, _CODES), np.uint32)
    for photcode in codes:
        masks[:, photcode.code] = photcode.photom_poor_mask, photcode.photom_bad_mask
    poor, bad = ((measure["phot_flags"] & mask[measure["photcode"]]) != 0 for mask in masks)
    return poor, bad


def ranks(measure: ColumnTable, codes: PhotcodeTable, image_flags: U32) -> U8:
    """How good measures are for the mean of their object.

    Parameters
    ----------
    measure : ColumnTable
        The measures.
    codes : PhotcodeTable
        The photcodes, with the masks of poor and bad flags.
    image_flags : ndarray of uint32, shape (n,)
        Flags of their images.

    Returns
    -------
    ndarray of uint8, shape (n,)
        0 perfect, 1 poor night, 2 poor exposure, 3 psf_qf_perfect below 0.85, 4 poor flags,
        5 outside the good area of the chip, 6 psf_qf below 0.85, 7 bad flags, 8 poor image:
        the greatest that is true. Quality that is not known counts as good.
    """
    poor, bad = photometric_masks(measure, codes)

    def has(flag: ImageFlag) -> Bool:
        found: Bool = (image_flags & np.uint32(flag)) != 0
        return found

    out = np.zeros(len(measure), np.uint8)
    for rank, is_so in enumerate(
        (
            has(ImageFlag.NIGHT_POOR),
            has(ImageFlag.MOSAIC_POOR),
            measure["psf_qf_perfect"] < _GOOD_QF,
            poor,
            (measure["db_flags"] & np.uint32(MeasureFlag.AREA)) != 0,
            measure["psf_qf"] < _GOOD_QF,
            bad,
            has(ImageFlag.PHOTOM_POOR),
        ),
        start=1,
    ):
        out[is_so] = rank
    return out
