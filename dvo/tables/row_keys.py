"""By what a row is known in its table, and which columns are links and not values.

Two states of a database are compared row by row with these keys, wherever the rows are
stored. Links (the row of an object in Average, the row of its first measure) say where
something is stored; they change when tables are sorted, and say nothing of the sky.
"""

from __future__ import annotations

from dataclasses import dataclass

from dvo.tables.average import AVERAGE
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["FILTER_KEY", "LINKS", "ROW_KEYS", "RowKey"]

FILTER_KEY = "photcode"
"""Key of a row of SecFilt beside those of its object: the SEC photcode of its filter."""

_OBJECT = ("cat_id", "obj_id")


@dataclass(frozen=True, slots=True)
class RowKey:
    """By what a row of a table is known.

    Parameters
    ----------
    schema : TableSchema
        The table.
    columns : tuple of str
        No two rows of a state agree in all of these. Those of SecFilt are not columns of
        its own: its place says of which object and filter a row is.
    """

    schema: TableSchema
    columns: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Stored columns that are values."""
        return tuple(name for name in self.schema.stored_names if name not in LINKS)


LINKS = frozenset({"ave_ref", "off_measure", *(satellite.offset for satellite in SATELLITES)})
"""Columns that say where rows of other tables are stored."""

ROW_KEYS = {
    key.schema.name: key
    for key in (
        RowKey(AVERAGE, _OBJECT),
        RowKey(SECFILT, (*_OBJECT, FILTER_KEY)),
        # A reference catalog has a ref_id in place of the image_id.
        RowKey(MEASURE, ("image_id", "ref_id", "det_id")),
        *(RowKey(s.schema, (*_OBJECT, *s.key)) for s in SATELLITES),
        RowKey(IMAGE, ("image_id",)),
        RowKey(PHOTCODE, ("name",)),
        RowKey(FLAT_CORRECTION_IMAGE, ("id",)),
        RowKey(FLAT_CORRECTION, ("id", "x", "y")),
    )
}
"""Keys of all tables, by their names."""
