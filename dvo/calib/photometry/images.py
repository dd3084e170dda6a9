"""The images whose zero points are wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.skycells import Skycells
from dvo.errors import PhotcodeError
from dvo.partition.bounds import Area, Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.averages import averaged_filters
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.photsource import PhotSource

__all__ = ["ImageSelection", "PhotImages", "filters_by_name"]

Bool = NDArray[np.bool_]
I32 = NDArray[np.int32]

_COLUMNS = ("image_id", "photcode", "flags", "mcal_psf", "mcal_aper", "dmcal", "xm",
            "n_fit_photom", "ubercal_dist", "parent_id", "time", "secz", "nx", "ny",
            "ra_center", "dec_center", "radius")  # fmt: skip

_PAD_DEG = 0.01
"""How far measures may lie outside the circle of their image, for it is a 32-bit number [deg]."""


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


@dataclass(frozen=True)
class ImageSelection:
    """Which images of the filters are to be solved for.

    Parameters
    ----------
    area : Area, optional
        Where their centres lie; None for everywhere.
    first, last : float
        Their times, from one until before the other [s since 1970 UTC].
    """

    area: Area | None = None
    first: float = -math.inf
    last: float = math.inf

    @property
    def is_all(self) -> bool:
        """Whether it leaves out no image."""
        return self == ImageSelection()

    def holds(self, images: ColumnTable) -> Bool:
        """Tell which images are selected.

        Parameters
        ----------
        images : ColumnTable
            Rows of Image.

        Returns
        -------
        ndarray of bool, shape (n,)
            True for those.
        """
        time = images["time"]
        out: Bool = (time >= self.first) & (time < self.last)
        if self.area is not None:
            out &= self.area.holds(images["ra_center"], images["dec_center"])
        return out


@dataclass(frozen=True, eq=False)
class PhotImages:
    """The Image table, and which images have zero points to be solved for.

    Parameters
    ----------
    table : ColumnTable
        All images, in the order of their rows.
    is_wanted : ndarray of bool, shape (n,)
        Those of the filters wanted, which have a part in the solution.
    is_ubercal : ndarray of bool, shape (n,)
        Those of them whose zero point came from ubercal, and stays.
    is_selected : ndarray of bool, shape (n,)
        Those of them that are selected; the zero points of the others are taken as they are.
    filter_index : ndarray of int, shape (n,)
        Average filter of each, by its number in SecFilt; -1 for none.
    is_chip, is_stack : ndarray of bool, shape (n,)
        Images of chips, and stacks; the others are warps.
    """

    table: ColumnTable
    is_wanted: Bool
    is_ubercal: Bool
    is_selected: Bool
    filter_index: NDArray[np.integer]
    is_chip: Bool
    is_stack: Bool

    @classmethod
    def read(
        cls, view: View, filters: Sequence[int], selection: ImageSelection = ImageSelection()
    ) -> PhotImages:
        """Read the images.

        Parameters
        ----------
        view : View
            The snapshot.
        filters : sequence of int
            Average filters wanted, by their numbers in SecFilt.
        selection : ImageSelection
            Which of their images are selected.

        Returns
        -------
        PhotImages
            The images.
        """
        table = view.read(IMAGE, ALL_SKY, _COLUMNS)
        of_filter = view.photcodes.sec_index_of_code[table["photcode"]]
        skipped = np.uint32(ImageFlag.PHOTOM_NOCAL | ImageFlag.PHOTOM_SKIP)
        wanted = np.isin(of_filter, filters) & ((table["flags"] & skipped) == 0)
        ubercal = wanted & ((table["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0)
        is_chip, is_stack = (averaged_filters(table, view.photcodes, source) >= 0
                             for source in (PhotSource.CHIP, PhotSource.STACK))  # fmt: skip
        selected = wanted & selection.holds(table)
        return cls(table, wanted, ubercal, selected, of_filter, is_chip, is_stack)

    @property
    def is_free(self) -> Bool:
        """Images whose zero points are to be solved for, shape (n,): those of chips."""
        return self.is_selected & ~self.is_ubercal & self.is_chip

    @property
    def is_frozen(self) -> Bool:
        """Images whose zero points are known, shape (n,)."""
        return self.is_wanted & ~self.is_free

    @cached_property
    def skycells(self) -> Skycells:
        """The skycells of stacks and warps."""
        return Skycells.of(self.table, self.is_wanted & self.is_stack)

    @cached_property
    def _rows(self) -> I32:
        """Row of each wanted image by its image_id; -1 for others."""
        ids = self.table["image_id"].astype(np.int64)
        rows = np.full(int(ids.max(initial=0)) + 1, -1, np.int32)
        rows[ids[self.is_wanted]] = np.flatnonzero(self.is_wanted)
        return rows

    def regions(self, view: View) -> list[int]:
        """Find the regions that hold measures of images that are selected.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        list of int
            Regions that have a catalog, ascending.
        """
        if np.array_equal(self.is_selected, self.is_wanted):
            return view.regions()
        some = self.table.take(np.flatnonzero(self.is_selected))
        places = np.column_stack([some[n] for n in ("ra_center", "dec_center", "radius")])
        if not (np.isfinite(places).all() and (some["radius"] > 0).all()):
            return view.regions()  # measures of such an image can be anywhere
        circles = zip(some["ra_center"].tolist(), some["dec_center"].tolist(),
                      some["radius"].tolist(), strict=True)  # fmt: skip
        found = [Cone(ra, dec, radius + _PAD_DEG).regions(view.partition, view.pad_deg)
                 for ra, dec, radius in circles]  # fmt: skip
        near = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        found_regions: list[int] = np.intersect1d(near, view.regions()).tolist()
        return found_regions

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
        return replace(self, is_wanted=self.is_wanted & which, is_ubercal=self.is_ubercal & which,
                       is_selected=self.is_selected & which)  # fmt: skip

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
        inside = image_id < len(self._rows)
        return np.where(inside, self._rows[np.where(inside, image_id, 0)], np.int32(-1))
