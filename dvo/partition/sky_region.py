"""One region of the sky partition, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from dvo.errors import PartitionError

__all__ = ["SkyRegion"]


@dataclass(frozen=True, slots=True)
class SkyRegion:
    """A rectangle in right ascension and declination, and its place in the SkyTable.

    A position belongs to the region when ``ra_min <= ra < ra_max`` and
    ``dec_min <= dec < dec_max``; the north pole itself belongs to the region that ends
    there and holds its right ascension.

    Parameters
    ----------
    index : int
        Row in the SkyTable, level after level; also the catID of its catalog.
    name : str
        Name such as ``n0000/0001.05``; the part before the slash is its folder.
    depth : int
        Level, 0 (full sky) to 5.
    ra_min, ra_max : float
        Right ascension limits, ICRS, 0 <= ra_min < ra_max <= 360 [deg].
    dec_min, dec_max : float
        Declination limits, ICRS [deg].
    parent : int
        Row of the region that holds this one; -1 for the full sky.
    child_start, child_end : int
        Rows child_start .. child_end - 1 split this region; both 0 when nothing does.
    """

    index: int
    name: str
    depth: int
    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float
    parent: int
    child_start: int
    child_end: int

    def __post_init__(self) -> None:
        if not (
            0.0 <= self.ra_min < self.ra_max <= 360.0
            and -90.0 <= self.dec_min < self.dec_max <= 90.0
        ):
            raise PartitionError(
                f"region {self.name}: limits ra {self.ra_min}..{self.ra_max}, "
                f"dec {self.dec_min}..{self.dec_max} enclose no part of the sky"
            )

    def contains(self, ra: float, dec: float) -> bool:
        """Whether a position belongs to the region.

        Parameters
        ----------
        ra, dec : float
            Position, ICRS, right ascension in [0, 360) [deg].

        Returns
        -------
        bool
            True inside; False for NaN.
        """
        below_top = dec < self.dec_max or (dec == 90.0 and self.dec_max == 90.0)
        return self.ra_min <= ra < self.ra_max and self.dec_min <= dec and below_top
