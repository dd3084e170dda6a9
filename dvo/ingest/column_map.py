"""The column map: which column of a plain table is which of ours, and in which unit.

Text such as ``ra=RAJ2000,dec=DEJ2000,mag=gmag,ra_err=e_RA:mas``. Keys are the columns of
Measure that an input can give, motions of surveys, and some short names. A unit comes from
the map (``:unit``), else from the file, else it is ours; it is never guessed from values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detection_numbers import det_ids_of
from dvo.ingest.detections import measure_columns

__all__ = ["ColumnMap", "convert_column", "convert_unit", "map_entries", "parse_column_map"]

Array = NDArray[Any]

_POSITION = ("ra", "dec", "ra_err", "dec_err")
_SHORT = {
    "x": "x_ccd",
    "y": "y_ccd",
    "x_err": "x_ccd_err",
    "y_err": "y_ccd_err",
    "flags": "phot_flags",
    "flags2": "phot_flags2",
    "pm_ra": "u_ra",
    "pm_dec": "u_dec",
    "plx": "par",
    "plx_err": "par_err",
}
# An instrumental magnitude, -2.5 log10(counts): the exposure time and 25 are added.
_INSTRUMENTAL = {"mag_inst": "mag", "m_aper_inst": "m_aper", "m_kron_inst": "m_kron"}

_DEGREES = {
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "rad": np.degrees(1.0),
    "radian": np.degrees(1.0),
    "radians": np.degrees(1.0),
    "arcmin": 1 / 60,
    "arcsec": 1 / 3600,
    "mas": 1 / 3.6e6,
    "uas": 1 / 3.6e9,
}
_UNIT_OF = {
    "ra": "deg",
    "dec": "deg",
    "ra_err": "arcsec",
    "dec_err": "arcsec",
    "par": "mas",
    "par_err": "mas",
    "az": "deg",
    "posangle": "deg",
    "psf_theta": "deg",
}
_PER_YEAR = {"u_ra": "mas", "u_dec": "mas", "u_ra_err": "mas", "u_dec_err": "mas"}
_SEXAGESIMAL = re.compile(r"\s*[+-]?\d{1,3}(:|\s|h|d|°)\s*\d{1,2}(:|\s|m|'|′)")
_YEAR_ENDINGS = ("/yr", "/year", "/a", ".yr-1", ".yr**-1", " yr-1", " yr**-1", "yr^-1", "*yr-1")


@dataclass(frozen=True)
class ColumnMap:
    """Columns of a file for keys of ours.

    Parameters
    ----------
    columns : mapping of str to str
        Column of the file by key: a column of Measure, a motion, or an instrumental
        magnitude such as ``mag_inst``.
    units : mapping of str to str
        Units by key, where the map gives them.
    """

    columns: Mapping[str, str]
    units: Mapping[str, str]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.columns.items())

    @property
    def names(self) -> list[str]:
        """Columns of the file that are needed, each once."""
        return list(dict.fromkeys(self.columns.values()))


def map_entries(text: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Split a column map into its entries.

    Parameters
    ----------
    text : str
        ``key=column``, split by commas.
    known : collection of str
        The keys that there are.

    Yields
    ------
    key, column : str
        An entry, as it stands.

    Raises
    ------
    ConfigError
        If an entry is of another form, or a key is unknown.
    """
    for entry in filter(None, (e.strip() for e in text.split(","))):
        key, equals, column = (part.strip() for part in entry.partition("="))
        if not equals or not column:
            raise ConfigError(f"column map: {entry!r} is not of the form key=column")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f"; near to it: {', '.join(near)}" if near else ""
            raise ConfigError(f"column map: {key!r} is no column of ours{hint}")
        yield key, column


def parse_column_map(text: str) -> ColumnMap:
    """Read a column map.

    Parameters
    ----------
    text : str
        ``key=column`` or ``key=column:unit``, split by commas.

    Returns
    -------
    ColumnMap
        The map; it has at least ra and dec.

    Raises
    ------
    ConfigError
        If a key is unknown or stands twice, or ra or dec is missing.

    Examples
    --------
    >>> parse_column_map("ra=RAJ2000,dec=DEJ2000,x=X_IMAGE").columns["x_ccd"]
    'X_IMAGE'
    """
    known = {*_POSITION, *measure_columns(), *_SHORT, *_INSTRUMENTAL}
    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    for key, column in map_entries(text, known):
        key = _SHORT.get(key, key)
        target = _INSTRUMENTAL.get(key, key)
        if target in columns or any(_INSTRUMENTAL.get(k) == target for k in columns):
            raise ConfigError(f"column map: {target!r} is given twice")
        name, colon, unit = column.rpartition(":")
        if colon and name and _factor(key, unit) is not None:
            column, units[key] = name, unit
        columns[key] = column
    missing = [key for key in ("ra", "dec") if key not in columns]
    if missing:
        raise ConfigError(
            f"column map: {' and '.join(missing)} missing; write for example "
            "ra=RAJ2000,dec=DEJ2000,mag=MAG,mag_err=MAGERR"
        )
    return ColumnMap(MappingProxyType(columns), MappingProxyType(units))


def _factor(key: str, unit: str) -> float | None:
    """Factor from a unit to ours; None where the unit is not known for this column."""
    unit = unit.strip().lower().replace(" / ", "/")  # as astropy writes it
    own = _UNIT_OF.get(key) or _PER_YEAR.get(key)
    if own is None:
        return {"mag": 1.0, "mmag": 1e-3}.get(unit) if "mag" in key or key[:2] == "m_" else None
    if key in _PER_YEAR:
        ending = next((e for e in _YEAR_ENDINGS if unit.endswith(e)), None)
        if ending is None:
            return None
        unit = unit.removesuffix(ending).rstrip(". ")
    scale = _DEGREES.get(unit)
    return None if scale is None else scale / _DEGREES[own]


def convert_unit(key: str, values: Array, unit: str, where: str) -> Array:
    """Bring a column into our unit.

    Parameters
    ----------
    key : str
        What the column is.
    values : ndarray
        Values as read.
    unit : str
        Their unit, from the map or the file; empty if none is given.
    where : str
        File and column, for the message.

    Returns
    -------
    ndarray
        The values in our unit.

    Raises
    ------
    BadCatalogError
        If the unit of an angle is one that cannot be brought into ours.
    """
    if not unit.strip():
        return values
    factor = _factor(key, unit)
    if factor is None:
        if key in _UNIT_OF or key in _PER_YEAR:
            own = _UNIT_OF.get(key) or f"{_PER_YEAR[key]}/yr"
            raise BadCatalogError(
                f"{where}: unit {unit!r} cannot be read as {key}; convert the column to {own}, or "
                f"say what it is with {key}=COLUMN:{own}"
            )
        return values
    return values if factor == 1.0 else np.asarray(values, np.float64) * factor


def convert_column(key: str, values: Array, where: str) -> Array:
    """Bring a column into our type.

    Parameters
    ----------
    key : str
        What the column is.
    values : ndarray
        One number a row.
    where : str
        File and column, for the message.

    Returns
    -------
    ndarray
        float64 for ra and dec; for others the type of Measure. A NaN in a column of
        integers becomes its null, or 0 for flags.

    Raises
    ------
    BadCatalogError
        If the values are no numbers, or do not fit.
    """
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise BadCatalogError(f"{where}: {_no_numbers(values)}")
    if key in ("ra", "dec"):
        return np.asarray(values, np.float64)
    name = _INSTRUMENTAL.get(key, key)
    target = measure_columns().get(name, np.dtype(np.float32))
    if target.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 is unknown, not a crash
            return np.asarray(values, target)
    if values.dtype.kind == "f":
        values = _whole(key, values, where)
    if key == "det_id":
        return det_ids_of(values, where)
    if target.kind == "u":
        # Flags in signed columns keep their bits.
        return np.asarray(values.astype(np.int64), target)
    return np.asarray(values, target)


def _no_numbers(values: Array) -> str:
    """Say what a column holds instead of numbers: its first word, if it is text."""
    if values.ndim != 1 or values.dtype.kind not in "OSU":
        return f"holds {values.dtype} of shape {values.shape}, not one number a row"
    words = (v.decode("ascii", "replace") if isinstance(v, bytes) else v for v in values.tolist())
    row, word = next(((i, w) for i, w in enumerate(words) if w is not None and not _is_number(w)),
                     (0, values[0] if len(values) else ""))  # fmt: skip
    if _SEXAGESIMAL.match(str(word)):
        return (
            f"row {row} (from 0) holds {word!r}; hours or degrees with minutes and seconds are not "
            "read: convert the positions to degrees"
        )
    return (
        f"row {row} (from 0) holds {str(word)[:40]!r}, which is no number; leave the cell empty "
        "where a value is missing"
    )


def _is_number(word: object) -> bool:
    try:
        float(str(word))
    except ValueError:
        return False
    return True


def _whole(key: str, values: Array, where: str) -> Array:
    fill = -1 if key in ("psf_ndof", "psf_npix") else 0
    is_null = ~np.isfinite(values)
    if key == "det_id" and is_null.any():
        row = int(np.flatnonzero(is_null)[0])
        raise BadCatalogError(f"{where}: row {row} has no detection number")
    whole = np.where(is_null, fill, values)
    odd = np.flatnonzero((whole != np.trunc(whole)) | (np.abs(whole) > 2**53))
    if len(odd):
        raise BadCatalogError(f"{where}: {values[odd[0]]} at row {odd[0]} is no whole number")
    return np.asarray(whole, np.int64)
