"""Which part of the sky the extract words look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dvo.partition.bounds import Box

if TYPE_CHECKING:
    from dvo.shell.call import Call

__all__ = ["SkyBox", "box_about", "take_selection"]


@dataclass(frozen=True, slots=True)
class SkyBox:
    """A range of right ascension and declination, as the user gave it.

    Parameters
    ----------
    ra_min, ra_max : float
        Right ascension [deg]; ra_min above ra_max means across RA 0.
    dec_min, dec_max : float
        Declination [deg].
    """

    ra_min: float
    ra_max: float
    dec_min: float
    dec_max: float

    def __post_init__(self) -> None:
        Box(self.ra_min, self.ra_max, self.dec_min, self.dec_max)  # says what is wrong

    @property
    def width(self) -> float:
        """How wide it is [deg], 0 to 360."""
        span = self.ra_max - self.ra_min
        return min(360.0, span if span >= 0.0 else span % 360.0)

    @property
    def is_all(self) -> bool:
        """Whether it is the whole sky."""
        return self.width >= 360.0 and self.dec_min <= -90.0 and self.dec_max >= 90.0

    def sql(self, ra: str, dec: str) -> str:
        """Write that a place lies in it.

        Parameters
        ----------
        ra, dec : str
            Columns of the place.

        Returns
        -------
        str
            A condition that the planner cuts the sky by.
        """
        centre = (self.ra_min + 0.5 * self.width) % 360.0
        middle, height = 0.5 * (self.dec_min + self.dec_max), self.dec_max - self.dec_min
        return (
            f"CONTAINS(POINT({ra}, {dec}), BOX({centre!r}, {middle!r}, {self.width!r}, "
            f"{height!r})) = 1"
        )

    def __str__(self) -> str:
        return f"{self.ra_min:g} - {self.ra_max:g} : {self.dec_min:g} - {self.dec_max:g}"


def box_about(ra: float, dec: float, radius_deg: float) -> SkyBox:
    """Make the box that holds a circle.

    Parameters
    ----------
    ra, dec : float
        Its centre, ICRS [deg].
    radius_deg : float
        Its radius [deg].

    Returns
    -------
    SkyBox
        The box; all right ascensions where the circle reaches a pole.
    """
    low, high = max(-90.0, dec - radius_deg), min(90.0, dec + radius_deg)
    sine = math.sin(math.radians(min(radius_deg, 90.0)))
    cosine = math.cos(math.radians(dec))
    if low <= -90.0 or high >= 90.0 or sine >= cosine:
        return SkyBox(0.0, 360.0, low, high)
    half = math.degrees(math.asin(sine / cosine))
    return SkyBox((ra - half) % 360.0, (ra + half) % 360.0, low, high)


def take_selection(call: Call) -> SkyBox | None:
    """Take the options that say where to look out of a line.

    Parameters
    ----------
    call : Call
        The line; ``-skyregion``, ``-region`` and ``-cpt`` are taken out of it.

    Returns
    -------
    SkyBox or None
        Where to look; what ``skyregion`` said last if the line says nothing, None for the
        whole sky.
    """
    given = call.take_option("-skyregion", 4)
    if given is not None:
        return SkyBox(*(call.number(part) for part in given))
    if call.take_flag("-region"):
        return call.shell.display.need_field().box()
    named = call.take_option("-cpt")
    if named is not None:
        region = call.shell.database.view.sky.by_name(named[0].text)
        return SkyBox(region.ra_min, region.ra_max, region.dec_min, region.dec_max)
    return call.shell.sky
