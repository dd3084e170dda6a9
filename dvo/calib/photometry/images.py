"""The images whose zero points are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotcodeTable

__all__ = ["PhotImages", "filters_by_name"]

Bool = NDArray[np.bool_]
I32 = NDArray[np.int32]

_COLUMNS = ("image_id", "photcode", "flags", "mcal_psf", "mcal_aper", "dmcal", "xm",
            "n_fit_photom", "ubercal_dist", "parent_id", "time", "secz", "nx", "ny")  # fmt: skip


def filters_by_name(codes: PhotcodeTable, names: Sequence[str]) -> list[int]:
    """Find average filters by their names.

    Parameters
    ----------
    codes : PhotcodeTable
        The photcodes.
    names : sequence of str
        Names, such as ``g``.

    Returns
    -------
    list of int
        Their numbers in SecFilt, ascending, each once.

    Raises
    ------
    PhotcodeError
        If there is no such filter.
    """
    known = {photcode.name: k for k, photcode in enumerate(codes.sec)}
    for name in names:
        if name not in known:
            raise PhotcodeError(
                f"{name!r} is no average filter of this database; there are: {', '.join(known)}"
            )
    return sorted({known[name] for name in names})


@dataclass(frozen=True, eq=False)
class PhotImages:
    """The Image table, and which images have zero points to be solved for.

    Parameters
    ----------
    table : ColumnTable
        All images, in the order of their rows.
    is_wanted : ndarray of bool, shape (n,)
        Those of the filters wanted.
    is_frozen : ndarray of bool, shape (n,)
        Those whose zero point came from ubercal, and stays.
    rows : ndarray of int32
        Row of each image by its image_id; -1 if it is not wanted, or not there.
    """

    table: ColumnTable
    is_wanted: Bool
    is_frozen: Bool
    rows: I32

    @classmethod
    def read(cls, view: View, filters: Sequence[int]) -> PhotImages:
        """Read the images.

        Parameters
        ----------
        view : View
            The snapshot.
        filters : sequence of int
            Average filters wanted, by their numbers in SecFilt.

        Returns
        -------
        PhotImages
            The images.
        """
        table = view.read(IMAGE, ALL_SKY, _COLUMNS)
        of_filter = view.photcodes.sec_index_of_code[table["photcode"]]
        skipped = np.uint32(ImageFlag.PHOTOM_NOCAL | ImageFlag.PHOTOM_SKIP)
        wanted = np.isin(of_filter, filters) & ((table["flags"] & skipped) == 0)
        frozen = wanted & ((table["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0)
        ids = table["image_id"].astype(np.int64)
        rows = np.full(int(ids.max(initial=0)) + 1, -1, np.int32)
        rows[ids[wanted]] = np.flatnonzero(wanted)
        return cls(table, wanted, frozen, rows)

    def only(self, which: Bool) -> PhotImages:
        """Want some of these images only.

        Parameters
        ----------
        which : ndarray of bool, shape (n,)
            Those that are wanted still, if they were.

        Returns
        -------
        PhotImages
            The same table.
        """
        wanted = self.is_wanted & which
        rows = np.where(self.rows >= 0, np.where(wanted[self.rows], self.rows, -1), -1)
        return PhotImages(self.table, wanted, self.is_frozen & which, rows.astype(np.int32))

    def __len__(self) -> int:
        return len(self.table)

    def rows_of(self, image_id: NDArray[np.uint32]) -> I32:
        """Find the rows of images.

        Parameters
        ----------
        image_id : ndarray of uint32, shape (n,)
            Their numbers, as measures have them.

        Returns
        -------
        ndarray of int32, shape (n,)
            Rows; -1 for images that are not wanted or not there.
        """
        inside = image_id < len(self.rows)
        return np.where(inside, self.rows[np.where(inside, image_id, 0)], np.int32(-1))
