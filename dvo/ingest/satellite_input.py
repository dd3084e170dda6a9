"""The contract between readers of satellite tables and ingest: rows that belong to detections.

A satellite table (GalPhot, Lensing) says more about some detections of an image. A reader
gives its rows with the number of the detection in the image; ingest finds the object of
that detection, and adds what all rows of an image share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ShapeError
from dvo.tables.schema import TableSchema

__all__ = ["LINK_COLUMNS", "SatelliteRows"]

LINK_COLUMNS = frozenset(
    {"obj_id", "cat_id", "ave_ref", "image_id", "old_im_id", "det_id", "photcode"}
)
"""Columns by which rows are linked to objects and images: set by ingest, not by readers."""


@dataclass(frozen=True, slots=True)
class SatelliteRows:
    """Rows of a satellite table that one image gives.

    Parameters
    ----------
    schema : TableSchema
        Which table.
    det_id : ndarray of uint32, shape (n,)
        Number in the image of the detection that each row belongs to; any order, each any
        number of times.
    columns : dict of str to ndarray, each of shape (n,)
        Columns of the table, in its units and types, but for LINK_COLUMNS. Absent ones are
        null.

    Raises
    ------
    ShapeError
        If a column is none of the table, is one that ingest sets, or has another type or
        length.
    """

    schema: TableSchema
    det_id: NDArray[np.uint32]
    columns: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        if self.det_id.dtype != np.uint32 or self.det_id.ndim != 1:
            raise ShapeError(f"{self.schema.name}: det_id is {self.det_id.dtype}, not uint32")
        for name, values in self.columns.items():
            if name in LINK_COLUMNS or name not in self.schema:
                raise ShapeError(f"rows of {self.schema.name} cannot have a column {name!r}")
            wanted = self.schema[name].numpy_dtype
            if values.dtype != wanted or values.shape != self.det_id.shape:
                raise ShapeError(
                    f"{self.schema.name}: column {name} is {values.dtype} of shape "
                    f"{values.shape}, not {wanted} of shape {self.det_id.shape}"
                )

    def __len__(self) -> int:
        return len(self.det_id)
