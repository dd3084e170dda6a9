"""Numbers with units, places and times as astropy has them, where plain numbers would do.

Plain numbers are in our units. astropy is not imported: who hands over one of its objects has
done that.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dvo.errors import QueryError
from dvo.partition.bounds import Area, Cone

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.time import Time
    from astropy.units import Quantity

    Angle: TypeAlias = float | Quantity
    """A number in the unit that the name says, or a Quantity of any unit of that kind."""

    Place: TypeAlias = float | Quantity | SkyCoord
    """Right ascension [deg], or a place that makes declination needless."""

    Epoch: TypeAlias = float | Time
    """A modified Julian date, UTC [d], or a Time."""

    SkyArea: TypeAlias = Area | tuple[SkyCoord, Angle] | tuple[Angle, Angle, Angle]
    """An area, or what makes a circle: a place and a radius, or ra, dec and radius [arcsec]."""

__all__ = ["Angle", "Epoch", "Place", "SkyArea", "area_of", "cone_of", "icrs_of", "mjd_of",
           "number_in", "whole_number"]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Types of arguments are for those who check types."""
    if name in ("Angle", "Epoch", "Place", "SkyArea"):
        return Any
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def number_in(value: Any, unit: str, name: str) -> float:
    """Take one number in a unit.

    Parameters
    ----------
    value : float or Quantity
        A plain number is in the unit.
    unit : str
        The unit, as astropy spells it.
    name : str
        What it is, for the message.

    Returns
    -------
    float
        The number in the unit.

    Raises
    ------
    QueryError
        If it is no single number, or one of another kind.
    """
    plain = value
    if hasattr(value, "to_value"):
        try:
            plain = value.to_value(unit)
        except (TypeError, ValueError):
            raise QueryError(
                f"{name} is {value}: that cannot be brought to {unit}; give a plain number in "
                f"{unit}, or one with a unit of that kind"
            ) from None
    if (
        isinstance(plain, str | bytes | bool | np.bool_)
        or np.ndim(plain) != 0
        or not _is_number(plain)
    ):
        raise QueryError(
            f"{name} is {value!r}; give one number in {unit}, or one with a unit of that kind"
        )
    return float(plain)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def whole_number(value: Any, name: str, unit: str, *, least: int = 1) -> int:
    """Take one whole number.

    Parameters
    ----------
    value : int
        The number; one with a point will do if nothing stands behind the point, as in 4e9.
    name : str
        What it is, for the message.
    unit : str
        What it counts, for the message.
    least : int
        What it is at least.

    Returns
    -------
    int
        The number.

    Raises
    ------
    QueryError
        If it is no whole number, or too small.
    """
    is_plain = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not is_plain or not np.isfinite(float(value)) or value != int(value) or value < least:
        raise QueryError(f"{name} is {value!r}; give a whole number of {unit}, at least {least}")
    return int(value)


def icrs_of(given: Any) -> tuple[Any, Any] | None:
    """Find the position of a place.

    Parameters
    ----------
    given : SkyCoord or object
        A place, or places; anything else is none.

    Returns
    -------
    tuple of float or ndarray, or None
        Right ascension and declination, ICRS [deg]; None if it is no place.

    Raises
    ------
    QueryError
        If its frame has no place in ICRS.
    """
    if not hasattr(given, "transform_to"):
        return None
    from astropy.coordinates import SkyCoord  # noqa: PLC0415 - who gives a place has loaded it

    try:
        place = SkyCoord(given).icrs
    except (AttributeError, TypeError, ValueError) as err:
        raise QueryError(
            f"a place in the frame {getattr(given, 'name', type(given).__name__)} cannot be "
            f"brought to ICRS ({err}); give it in ICRS"
        ) from None
    return place.ra.deg, place.dec.deg


def cone_of(ra: Any, dec: Any, radius_arcsec: Any, *, least_arcsec: float | None = None) -> Cone:
    """Make the circle that was asked for.

    Parameters
    ----------
    ra : float, Quantity or SkyCoord
        Right ascension, ICRS [deg], or the centre; then `dec` may be the radius.
    dec : float, Quantity or None
        Declination, ICRS [deg].
    radius_arcsec : float, Quantity or None
        Radius [arcsec].
    least_arcsec : float, optional
        The radius if none is given [arcsec]; None if one has to be.

    Returns
    -------
    Cone
        The circle.

    Raises
    ------
    QueryError
        If something is missing, or no number of its kind.
    """
    place = icrs_of(ra)
    if place is not None:
        if dec is not None and radius_arcsec is not None:
            raise QueryError("a SkyCoord is the whole centre: give it and a radius, and no dec")
        radius_arcsec = dec if radius_arcsec is None else radius_arcsec
        ra, dec = place
        if np.ndim(ra) != 0:
            raise QueryError(
                f"the centre holds {np.size(ra)} places; give one, or use match() for many"
            )
    elif dec is None:
        raise QueryError("give ra and dec in degrees (ICRS), or a SkyCoord")
    radius_arcsec = least_arcsec if radius_arcsec is None else radius_arcsec
    if radius_arcsec is None:
        raise QueryError("give a radius, in arcseconds or as a Quantity")
    return Cone(
        number_in(ra, "deg", "ra"),
        number_in(dec, "deg", "dec"),
        number_in(radius_arcsec, "arcsec", "radius_arcsec") / 3600.0,
    )


def area_of(given: Any) -> Area | None:
    """Make the area that was asked for.

    Parameters
    ----------
    given : Area, tuple or None
        An area, or what makes a circle: a SkyCoord and a radius, or ra, dec and radius.

    Returns
    -------
    Area or None
        None for the whole sky.

    Raises
    ------
    QueryError
        If it is none of these.
    """
    if isinstance(given, tuple | list) and len(given) == 2 and icrs_of(given[0]) is not None:
        return cone_of(given[0], None, given[1])
    if isinstance(given, tuple | list) and len(given) == 3:
        return cone_of(*given)
    if given is not None and not hasattr(given, "may_hold"):
        raise QueryError(
            f"no area: {given!r}; give a dvo.Cone or dvo.Box, (SkyCoord, radius) or (ra, dec, "
            "radius)"
        )
    area: Area | None = given
    return area


def mjd_of(given: Any) -> float | None:
    """Take a time.

    Parameters
    ----------
    given : float, Time or None
        A modified Julian date, UTC [d], or a time of astropy.

    Returns
    -------
    float or None
        Modified Julian date, UTC [d].
    """
    if given is None:
        return None
    return number_in(given.utc.mjd if hasattr(given, "utc") else given, "d", "epoch_mjd")
