"""Public ids of measures, made when they are asked for.

``Measure.ext_id`` is a function of the image (time and chip, or stack number) and of the
number of the detection, and would be the dearest column of the table to store: it packs
to 2.4 of 26 bytes a row. So it is not stored; see docs/adr.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dvo import ids
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of

__all__ = ["DetectionIds"]

Array = NDArray[Any]

_MJD_1970 = 40587.0
_MAX_CHIP_DET_ID = 10**7
_MAX_STACK_DET_ID = 2**28


class DetectionIds:
    """Maker of public detection ids for the images of a snapshot.

    Parameters
    ----------
    images : ColumnTable
        The Image table, at least `COLUMNS` of it.
    photcodes : PhotcodeTable
        The photcodes, which tell stacks from chips.
    """

    COLUMNS: ClassVar[list[str]] = [
        "image_id",
        "photcode",
        "time",
        "time_msec",
        "ccdnum",
        "source_id",
        "extern_id",
    ]
    """Columns of Image that this needs."""

    def __init__(self, images: ColumnTable, photcodes: PhotcodeTable) -> None:
        order = np.argsort(images["image_id"], kind="stable")
        self._image_id = images["image_id"][order]
        codes = images["photcode"][order]
        is_stack_code = np.zeros(65536, np.bool_)
        for entry in photcodes:
            is_stack_code[entry.code] = source_of(entry.name) is PhotSource.STACK
        is_stack = is_stack_code[codes]
        mjd = _MJD_1970 + (images["time"] + images["time_msec"] / 1000.0)[order] / 86400.0
        ccd = images["ccdnum"][order]
        source, extern = images["source_id"][order], images["extern_id"][order]
        chips = ~is_stack & (mjd >= ids.DETECT_T0_MJD) & (ccd >= 0) & (ccd < 100)
        stacks = is_stack & (source < 127) & (extern >= 0) & (extern < 2**28)
        self._base = np.zeros(len(order), np.uint64)
        self._base[chips] = ids.detect_id(mjd[chips], ccd[chips], 0)
        self._base[stacks] = ids.stack_detect_id(source[stacks], extern[stacks], 0)
        self._limit = np.where(is_stack, _MAX_STACK_DET_ID, _MAX_CHIP_DET_ID)

    def of(self, image_id: Array, det_id: Array) -> NDArray[np.uint64]:
        """Make the ids of detections.

        Parameters
        ----------
        image_id, det_id : ndarray of uint32, shape (n,)
            Image and number of each detection.

        Returns
        -------
        ndarray of uint64, shape (n,)
            PSPS detectID or stackDetectID; 0 for measures without an image, and where the
            formula has no room for the time, chip or number.
        """
        out = np.zeros(len(image_id), np.uint64)
        if len(self._image_id) == 0:
            return out
        row = np.minimum(np.searchsorted(self._image_id, image_id), len(self._image_id) - 1)
        good = (self._image_id[row] == image_id) & (self._base[row] > 0)
        good &= det_id < self._limit[row]
        out[good] = self._base[row[good]] + det_id[good].astype(np.uint64)
        return out
