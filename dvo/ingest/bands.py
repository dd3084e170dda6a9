"""Catalogs of several bands: an entry is associated once, and gives a measure a band.

All measures of an entry belong to one object and have one position. That counts once for
the mean position: measures after the first are marked SKIP_ASTROM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError
from dvo.ingest.associate import Associated
from dvo.ingest.batch import Batch
from dvo.ingest.detections import BandColumns
from dvo.tables.flags import MeasureFlag
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["Spread", "spread_bands"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """The measures of a catalog's entries, entry after entry.

    Parameters
    ----------
    entry : ndarray of int64, shape (n_measure,)
        Which entry of the batch each measure is of.
    band : ndarray of int64, shape (n_measure,)
        Which band.
    row : ndarray of int64, shape (n_measure,)
        Row of the entry in the catalog, where its columns are.
    bands : list of BandColumns
        The bands.
    codes : ndarray of uint16, shape (n_band,)
        Numbers of their photcodes.
    """

    entry: Array
    band: Array
    row: Array
    bands: list[BandColumns]
    codes: Array

    def objects_of(self, found: Associated) -> Associated:
        """Objects of the measures, from those of the entries.

        Parameters
        ----------
        found : Associated
            What association found for the entries.

        Returns
        -------
        Associated
            The same for the measures.
        """
        return replace(found, objects=found.objects.take(self.entry))

    def columns(self, order: Array) -> dict[str, Array]:
        """Columns of Measure that differ from band to band.

        Parameters
        ----------
        order : ndarray of int64
            Which measures, in which order.

        Returns
        -------
        dict of str to ndarray
            Their photcodes, db_flags, and what the bands have; null where a band lacks it.
        """
        band, row = self.band.take(order), self.row.take(order)
        out: dict[str, Array] = {"photcode": self.codes.take(band)}
        is_first = np.ones(len(self.entry), np.bool_)
        is_first[1:] = self.entry[1:] != self.entry[:-1]
        skip = np.where(is_first, 0, MeasureFlag.SKIP_ASTROM).astype(np.uint32)
        out["db_flags"] = skip.take(order)
        for name in sorted({n for b in self.bands for n in b.columns}):
            values = MEASURE[name].nulls(len(order))
            for k, one in enumerate(self.bands):
                if name in one.columns:
                    mine = np.flatnonzero(band == k)
                    values[mine] = one.columns[name].take(row[mine])
            out[name] = values
        return out


def spread_bands(batch: Batch, photcodes: PhotcodeTable) -> Spread | None:
    """Find which measures the entries of a catalog give.

    Parameters
    ----------
    batch : Batch
        A batch; a catalog is alone in its batch.
    photcodes : PhotcodeTable
        The photcodes of the database.

    Returns
    -------
    Spread or None
        The measures; None for images, and for catalogs of one photcode.

    Raises
    ------
    UnknownPhotcodeError
        If the photcode of a band is not in the table.
    PhotcodeError
        If it is no REF photcode.
    """
    bands = [b for image in batch.images for b in image.source.detections.bands]
    if not bands:
        return None
    codes = [photcodes.get(b.photcode, PhotClass.REF) for b in bands]
    for code in codes:
        if code.kind is not PhotClass.REF:
            raise PhotcodeError(
                f"photcode {code.name} is a {code.kind.name}, but it is to be that of a catalog; "
                "rename it, or leave the band out (--bands)"
            )
    measured = np.stack([b.measured for b in bands], axis=1)[batch.order]
    measured[~measured.any(axis=1), 0] = True
    entry, band = np.nonzero(measured)
    numbers = np.array([c.code for c in codes], np.uint16)
    return Spread(entry, band, batch.order.take(entry), bands, numbers)
