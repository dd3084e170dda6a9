"""The numbers by which the detections of an image are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError

__all__ = ["check_det_ids", "det_ids_of"]

_MOST = 0xFFFFFFFF


def det_ids_of(values: NDArray[Any], where: str) -> NDArray[np.uint32]:
    """Bring a column of detection numbers into our type.

    Parameters
    ----------
    values : ndarray of int, shape (n,)
        The column as it was read.
    where : str
        File and column, for the message.

    Returns
    -------
    ndarray of uint32, shape (n,)
        The numbers.

    Raises
    ------
    BadCatalogError
        If there is not one integer a row, or one does not fit.
    """
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise BadCatalogError(
            f"{where}: is {values.dtype} of shape {values.shape}, not an integer a row, without "
            "nulls"
        )
    wrong = np.flatnonzero((values < 0) | (values > _MOST))
    if len(wrong):
        raise BadCatalogError(
            f"{where}: detection number {values[wrong[0]]} (row {wrong[0]}, from 0) is outside 0 "
            "to 2^32 - 1; a detection is known by its number, so mend the catalog"
        )
    return np.asarray(values, np.uint32)


def check_det_ids(det_id: NDArray[np.integer[Any]], where: str, column: str) -> None:
    """Refuse an image in which a detection number stands twice.

    Parameters
    ----------
    det_id : ndarray of int, shape (n,)
        Numbers of the detections of one image.
    where : str
        File and HDU, for the message.
    column : str
        Name of the column in the file, for the message.

    Raises
    ------
    BadCatalogError
        If a number stands twice.
    """
    # Numbers in rising order, the usual case, need no sort.
    if len(det_id) < 2 or bool(np.all(det_id[1:] > det_id[:-1])):
        return
    order = np.argsort(det_id, kind="stable")
    same = np.flatnonzero(det_id[order[1:]] == det_id[order[:-1]])
    if len(same):
        first, second = order[same[0]], order[same[0] + 1]
        raise BadCatalogError(
            f"{where}: column {column}: detection {det_id[first]} stands twice (rows {first} and "
            f"{second}, from 0); a detection is known by its number, so mend the catalog"
        )
