"""Areas of sky as queries state them, and what they rule out.

An area can tell which regions it may touch, which tiles (by the extremes of their
positions) it may touch, and exactly which positions lie in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.partition.partition import Partition
from dvo.sphere import in_cone

__all__ = ["Area", "Box", "Cone"]

F8 = NDArray[np.float64]
Bool = NDArray[np.bool_]


class Area(Protocol):
    """An area of sky."""

    def regions(self, partition: Partition, pad_deg: float) -> NDArray[np.int64]:
        """List the regions of a partition that lie in the area, or near it.

        Parameters
        ----------
        partition : Partition
            The regions that have catalogs.
        pad_deg : float
            What counts as near [deg].

        Returns
        -------
        ndarray of int64
            Region indices; none that touches the area is missing.
        """
        ...

    def may_hold(self, ra_min: F8, ra_max: F8, dec_min: F8, dec_max: F8) -> Bool:
        """Tell which ranges of positions may overlap the area.

        Parameters
        ----------
        ra_min, ra_max, dec_min, dec_max : ndarray of float64, shape (n,)
            Ranges [deg]; ra in [0, 360).

        Returns
        -------
        ndarray of bool, shape (n,)
            Never wrongly False.
        """
        ...

    def holds(self, ra: F8, dec: F8) -> Bool:
        """Tell which positions are in the area.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        ndarray of bool, shape (n,)
            True inside and on the edge; False for NaN.
        """
        ...


def _in_degrees(value: Any, name: str) -> Any:
    """Take a Quantity in degrees; plain numbers are in degrees as they are."""
    if not hasattr(value, "to_value"):
        return value
    try:
        return float(value.to_value("deg"))
    except (TypeError, ValueError):
        raise QueryError(f"{name} is {value}: that is no single angle; give degrees") from None


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec : float or Quantity
        Centre, ICRS [deg]; ra is brought to [0, 360).
    radius_deg : float or Quantity
        Radius [deg], 0 to 180.
    """

    ra: float
    dec: float
    radius_deg: float

    def __post_init__(self) -> None:
        for name in ("ra", "dec", "radius_deg"):
            object.__setattr__(self, name, _in_degrees(getattr(self, name), name))
        if not -90.0 <= self.dec <= 90.0:
            raise QueryError(f"declination {self.dec} is not within -90..90 degrees")
        if not 0.0 <= self.radius_deg <= 180.0:
            arcsec = f"{self.radius_deg * 3600.0:.12g}"
            raise QueryError(
                f"radius {arcsec} arcsec is not within 0..648000 (it is "
                f"{self.radius_deg:.12g} degrees, and 0 to 180 are possible)"
            )
        if not np.isfinite(self.ra):
            raise QueryError(f"right ascension {self.ra} is not a number")
        object.__setattr__(self, "ra", float(self.ra) % 360.0)

    def regions(self, partition: Partition, pad_deg: float) -> NDArray[np.int64]:
        """See `Area`."""
        return partition.cone(self.ra, self.dec, min(180.0, self.radius_deg + pad_deg))

    def may_hold(self, ra_min: F8, ra_max: F8, dec_min: F8, dec_max: F8) -> Bool:
        """See `Area`."""
        low, high = self.dec - self.radius_deg, self.dec + self.radius_deg
        good = np.asarray((dec_max >= low) & (dec_min <= high))
        if low <= -90.0 or high >= 90.0:
            return good
        ratio = np.sin(np.radians(self.radius_deg)) / np.cos(np.radians(self.dec))
        if ratio >= 1.0:
            return good
        half = np.degrees(np.arcsin(ratio)) * (1 + 1e-12) + 1e-12
        return good & _ra_overlap(ra_min, ra_max, self.ra - half, self.ra + half)

    def holds(self, ra: F8, dec: F8) -> Bool:
        """See `Area`."""
        return in_cone(ra, dec, self.ra, self.dec, self.radius_deg)


@dataclass(frozen=True, slots=True)
class Box:
    """A range of right ascension and declination, edges included.

    Parameters
    ----------
    ra_min, ra_max : float or Quantity
        Right ascension [deg], brought to [0, 360]; ra_min above ra_max means across RA 0, and
        a range of 360 degrees or more is all of it.
    dec_min, dec_max : float or Quantity
        Declination [deg].
    """

    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float

    def __post_init__(self) -> None:
        for name in ("ra_min", "ra_max", "dec_min", "dec_max"):
            object.__setattr__(self, name, _in_degrees(getattr(self, name), name))
        if not -90.0 <= self.dec_min <= self.dec_max <= 90.0:
            raise QueryError(
                f"box: declinations {self.dec_min}..{self.dec_max} are not a range in -90..90"
            )
        for value in (self.ra_min, self.ra_max):
            if not np.isfinite(value):
                raise QueryError(f"box: right ascension {value} is not a number")
        if 0.0 <= self.ra_min <= 360.0 and 0.0 <= self.ra_max <= 360.0:
            return
        # As a cone takes its centre: -10 is 350.
        is_all = self.ra_max - self.ra_min >= 360.0
        object.__setattr__(self, "ra_min", 0.0 if is_all else float(self.ra_min) % 360.0)
        object.__setattr__(self, "ra_max", 360.0 if is_all else float(self.ra_max) % 360.0)

    def regions(self, partition: Partition, pad_deg: float) -> NDArray[np.int64]:
        """See `Area`."""
        low, high = max(-90.0, self.dec_min - pad_deg), min(90.0, self.dec_max + pad_deg)
        cos_dec = min(np.cos(np.radians(low)), np.cos(np.radians(high)))
        pad_ra = pad_deg / cos_dec if cos_dec > 1e-9 else 360.0
        width = (self.ra_max - self.ra_min) % 360.0 or (self.ra_max - self.ra_min)
        if width + 2 * pad_ra >= 360.0:
            return partition.box(0.0, 360.0, low, high)
        return partition.box(
            (self.ra_min - pad_ra) % 360.0, (self.ra_max + pad_ra) % 360.0, low, high
        )

    def may_hold(self, ra_min: F8, ra_max: F8, dec_min: F8, dec_max: F8) -> Bool:
        """See `Area`."""
        good = np.asarray((dec_max >= self.dec_min) & (dec_min <= self.dec_max))
        high = self.ra_max if self.ra_max >= self.ra_min else self.ra_max + 360.0
        return good & _ra_overlap(ra_min, ra_max, self.ra_min, high)

    def holds(self, ra: F8, dec: F8) -> Bool:
        """See `Area`."""
        good = (dec >= self.dec_min) & (dec <= self.dec_max)
        if self.ra_min <= self.ra_max:
            return np.asarray(good & (ra >= self.ra_min) & (ra <= self.ra_max))
        return np.asarray(good & ((ra >= self.ra_min) | (ra <= self.ra_max)))


def _ra_overlap(ra_min: F8, ra_max: F8, low: float, high: float) -> Bool:
    """Whether ranges of RA in [0, 360) overlap [low, high], which may reach over either end."""
    out = np.zeros(np.shape(ra_min), dtype=np.bool_)
    for turn in (-360.0, 0.0, 360.0):
        out |= (ra_max + turn >= low) & (ra_min + turn <= high)
    return out
