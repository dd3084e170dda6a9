"""Facts of an image from FITS headers: numbers and strings from the first header that has them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from dvo.errors import BadCatalogError
from dvo.tables.fits.header import Header

__all__ = [
    "find_integer",
    "find_number",
    "find_text",
    "first_digits",
    "get_size",
    "get_start_mjd",
    "mjd_of_iso",
]

_UNIX_EPOCH_MJD = 40587.0
_J2000 = datetime(2000, 1, 1, tzinfo=UTC)
_J2000_MJD = 51544.0


def find_number(headers: Sequence[Header], *keys: str) -> float:
    """Find a number.

    Parameters
    ----------
    headers : sequence of Header
        Where to look, the chip's header first.
    *keys : str
        Keywords, the best first.

    Returns
    -------
    float
        The first finite number found; NaN if there is none.
    """
    for key in keys:
        for header in headers:
            value = header.get(key)
            if isinstance(value, str):
                value = _number_of_text(value)
            if isinstance(value, int | float) and not isinstance(value, bool):
                number = float(value)
                if math.isfinite(number):
                    return number
    return math.nan


def _number_of_text(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def find_integer(headers: Sequence[Header], *keys: str) -> int | None:
    """Find a whole number.

    Parameters
    ----------
    headers : sequence of Header
        Where to look, the chip's header first.
    *keys : str
        Keywords, the best first.

    Returns
    -------
    int or None
        The first one found; None if there is none.
    """
    number = find_number(headers, *keys)
    return int(number) if number == number and number == int(number) else None


def find_text(headers: Sequence[Header], *keys: str) -> str:
    """Find a string.

    Parameters
    ----------
    headers : sequence of Header
        Where to look, the chip's header first.
    *keys : str
        Keywords, the best first.

    Returns
    -------
    str
        The first that is not empty, without outer spaces; empty if there is none.
    """
    for key in keys:
        for header in headers:
            value = header.get(key)
            if isinstance(value, str) and value.strip():
                return value.strip()
    return ""


def first_digits(text: str) -> int:
    """Number of a chip: the first digits of its extension's name, as in the original.

    Parameters
    ----------
    text : str
        Name such as ``XY42.psf``.

    Returns
    -------
    int
        42 for the example; 0 where there are no digits, or far too many.
    """
    found = re.search(r"\d+", text)
    return int(found[0]) if found and len(found[0]) < 10 else 0


def get_size(headers: Sequence[Header]) -> tuple[int, int]:
    """Size of an image whose pixels may be elsewhere.

    Parameters
    ----------
    headers : sequence of Header
        Where to look, the chip's header first.

    Returns
    -------
    tuple of int
        Width and height [pix] from IMNAXISn, ZNAXISn or NAXISn; (0, 0) if unknown.
    """
    for stem in ("IMNAXIS", "ZNAXIS", "NAXIS"):
        nx, ny = (find_integer(headers[:1], f"{stem}{i}") for i in (1, 2))
        if nx and ny and 0 < nx < 2**31 and 0 < ny < 2**31:
            return nx, ny
    return 0, 0


def get_start_mjd(headers: Sequence[Header], where: str) -> float:
    """Start of the exposure.

    Parameters
    ----------
    headers : sequence of Header
        Where to look, the chip's header first.
    where : str
        File and HDU, for the message.

    Returns
    -------
    float
        MJD UTC [d] from TZERO (unix seconds), MJD-OBS, or DATE-OBS with TIME-OBS or UT.

    Raises
    ------
    BadCatalogError
        If no header tells it.
    """
    unix = find_number(headers, "TZERO")
    if unix == unix and unix > 0:
        return _UNIX_EPOCH_MJD + unix / 86400.0
    mjd = find_number(headers, "MJD-OBS", "MJD")
    if mjd == mjd:
        return mjd
    date = find_text(headers, "DATE-OBS")
    clock = find_text(headers, "TIME-OBS", "UTC-OBS", "UT")
    if date and "T" not in date and clock:
        date = f"{date}T{clock}"
    if date:
        return mjd_of_iso(date, where)
    raise BadCatalogError(
        f"{where}: no start of the exposure: none of TZERO, MJD-OBS and DATE-OBS is there; "
        "write MJD-OBS (days, UTC) into the header"
    )


def mjd_of_iso(text: str, where: str) -> float:
    """MJD of a date in ISO form.

    Parameters
    ----------
    text : str
        Such as ``2017-12-20T01:33:43.317``; without a zone it is UTC.
    where : str
        File and keyword, for the message.

    Returns
    -------
    float
        MJD UTC [d].

    Raises
    ------
    BadCatalogError
        If it is no date.

    Examples
    --------
    >>> mjd_of_iso("2000-01-01T12:00:00", "here")
    51544.5
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadCatalogError(
            f"{where}: {text!r} is no date of the form 2017-12-20T01:33:43.317"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return _J2000_MJD + (time - _J2000).total_seconds() / 86400.0
