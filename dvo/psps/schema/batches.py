"""Which tables there are, and which come in which kind of batch."""

from __future__ import annotations

import enum

from dvo.psps.schema.metadata import FILTER, FLAG_TABLES, PHOTO_CAL, SURVEY
from dvo.psps.schema.objects import MEAN_OBJECT, OBJECT_THIN
from dvo.psps.schema.table import PublicTable

__all__ = ["BATCH_TABLES", "TABLES", "BatchType"]


class BatchType(enum.Enum):
    """Kinds of batches, by the names of the original."""

    IN = "IN"
    """metadata: filters, surveys, photometric systems, meanings of flags"""
    OB = "OB"
    """objects of one region of DVO"""


BATCH_TABLES: dict[BatchType, tuple[PublicTable, ...]] = {
    BatchType.IN: (FILTER, SURVEY, PHOTO_CAL, *FLAG_TABLES),
    BatchType.OB: (OBJECT_THIN, MEAN_OBJECT),
}
"""Tables of each kind of batch; the first is the one whose rows are counted."""

TABLES = {table.name: table for tables in BATCH_TABLES.values() for table in tables}
"""All public tables by name."""
