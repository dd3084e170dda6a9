"""Rows of satellite tables from table files: FITS, Parquet, VOTable, CSV.

Columns have the names of the table, in any case, or are named by a map
(``e_bv=EBV,ra=RAJ2000:rad``). A unit comes from the map, else from the file, else it is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.column_map import map_entries
from dvo.ingest.satellite_input import LINK_COLUMNS
from dvo.tables.galphot import GalaxyModel
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.schema import Column, TableSchema
from dvo.tables.table_files import RawTable, read_chosen

__all__ = ["LINKS", "TableRows", "parse_map", "read_rows"]

Array = NDArray[Any]

LINKS: dict[str, np.dtype[Any]] = {
    "cat_id": np.dtype(np.uint32),
    "obj_id": np.dtype(np.uint32),
    "ext_id": np.dtype(np.uint64),
    "image_id": np.dtype(np.uint32),
    "det_id": np.dtype(np.uint32),
    "ra": np.dtype(np.float64),
    "dec": np.dtype(np.float64),
}
"""Columns that can say which object a row is of, and their types."""

_NEVER_READ = frozenset({"ave_ref", "old_im_id"})  # of the database, not of the input
_ANGLES = ("deg", "arcsec", "arcsec/yr")


@dataclass(slots=True)
class TableRows:
    """Rows as one file gives them, in our units and types.

    Parameters
    ----------
    links : dict of str to ndarray
        Columns of LINKS that the file has.
    columns : dict of str to ndarray
        Columns of the table, but for those that link.
    n_rows : int
        Number of rows.
    dropped : dict of str to int
        Rows left out, by reason.
    """

    links: dict[str, Array]
    columns: dict[str, Array]
    n_rows: int
    dropped: dict[str, int] = field(default_factory=dict)


def parse_map(text: str, schema: TableSchema) -> dict[str, tuple[str, str]]:
    """Read a column map of a satellite table.

    Parameters
    ----------
    text : str
        ``key=column`` or ``key=column:unit``, split by commas.
    schema : TableSchema
        The table.

    Returns
    -------
    dict of str to (str, str)
        Column of the file and its unit (empty: as the file says), by our name.

    Raises
    ------
    ConfigError
        If a key is unknown, or stands twice.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, column in map_entries(text, _keys(schema)):
        if key in found:
            raise ConfigError(f"column map: {key!r} is given twice")
        name, colon, unit = column.rpartition(":")
        found[key] = (name, unit) if colon and name else (column, "")
    return found


def _keys(schema: TableSchema) -> set[str]:
    return {*schema.names, *LINKS} - _NEVER_READ


def read_rows(
    path: Path,
    schema: TableSchema,
    mapping: Mapping[str, tuple[str, str]],
    photcodes: PhotcodeTable,
    *,
    hdu: int | str | None = None,
) -> TableRows:
    """Read the rows of one table file.

    Parameters
    ----------
    path : Path
        The file.
    schema : TableSchema
        Which satellite table.
    mapping : mapping
        Columns that have another name, or another unit than the file says.
    photcodes : PhotcodeTable
        What names in a column of photcodes mean.
    hdu : int, str or None
        HDU of a FITS file; None takes its first table.

    Returns
    -------
    TableRows
        The rows.

    Raises
    ------
    BadCatalogError
        If the file cannot be read, has no column of the table, or a column does not fit.
    """
    names: dict[str, str] = {}  # of the file, by ours

    def choose(present: Sequence[str]) -> list[str]:
        folded = {name.lower(): name for name in present}
        for key in sorted(_keys(schema)):
            column = mapping[key][0] if key in mapping else folded.get(key)
            if column is not None:
                names[key] = column
        return list(dict.fromkeys(names.values()))

    raw = read_chosen(path, choose, hdu=hdu)
    if not names.keys() - LINKS.keys() - LINK_COLUMNS:
        raise BadCatalogError(
            f"{path}: no column of {schema.name}; name them with --map, such as "
            f"{_example(schema)}=COLUMN"
        )
    links: dict[str, Array] = {}
    columns: dict[str, Array] = {}
    for key, name in names.items():
        where = f"{path}, column {name}"
        values = _read_codes(key, raw.columns[name], photcodes, where)
        if key in schema:
            unit = mapping[key][1] if key in mapping else ""
            values = _in_our_unit(schema[key], values, unit or raw.units.get(name, ""), where)
        if key in LINKS:
            _assert_known(key, values, where)
            links[key] = _typed(values, LINKS[key], None, where)
        if key in schema and key not in ("cat_id", "obj_id", "image_id", "det_id"):
            column = schema[key]
            columns[key] = _typed(values, column.numpy_dtype, column, where)
    return TableRows(links, columns, _length(raw, names))


def _example(schema: TableSchema) -> str:
    return next(n for n in schema.names if n not in LINKS and n not in LINK_COLUMNS)


def _length(raw: RawTable, names: Mapping[str, str]) -> int:
    return len(raw.columns[next(iter(names.values()))]) if names else raw.n_rows


def _read_codes(key: str, values: Array, photcodes: PhotcodeTable, where: str) -> Array:
    """Numbers of photcodes and of galaxy models that a file gives by name."""
    if key not in ("photcode", "model_type") or values.dtype.kind not in "OSU":
        return values
    known = (
        {p.name: p.code for p in photcodes}
        if key == "photcode"
        else {model.name: int(model) for model in GalaxyModel}
    )
    words, places = np.unique(values.astype(str), return_inverse=True)
    numbers = np.zeros(len(words), np.int64)
    for i, word in enumerate(words.tolist()):
        number = known.get(word.strip())
        if number is None:
            raise BadCatalogError(
                f"{where}: {word[:40]!r} is no {key.replace('_', ' ')}; there are "
                f"{', '.join(list(known)[:20])}"
            )
        numbers[i] = number
    return numbers[places]


def _in_our_unit(column: Column, values: Array, unit: str, where: str) -> Array:
    """Bring a column into the unit of the table; a unit that is not given is ours."""
    if not unit.strip() or unit.strip() == column.unit or values.dtype.kind not in "fiu":
        return values
    from astropy import units  # noqa: PLC0415  # slow to import, and most files have our units

    try:
        factor = units.Unit(unit, parse_strict="raise").to(units.Unit(column.unit))
    except (TypeError, ValueError) as error:
        if column.unit not in _ANGLES:
            return values  # such as mag(AB): the number is what counts
        raise BadCatalogError(
            f"{where}: unit {unit!r} cannot be read as {column.unit} for {column.name}; say what "
            f"it is with --map {column.name}=COLUMN:{column.unit}"
        ) from error
    return values if factor == 1.0 else np.asarray(values, np.float64) * factor


def _assert_known(key: str, values: Array, where: str) -> None:
    """Refuse a missing number of an object: 0 is the number of another one."""
    if key not in ("cat_id", "obj_id", "ext_id") or values.dtype.kind != "f":
        return
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise BadCatalogError(
            f"{where}: no value at row {missing[0]} (from 0), and {len(missing)} in all; it names "
            "the object of each row, so leave these rows out"
        )


def _typed(values: Array, kind: np.dtype[Any], column: Column | None, where: str) -> Array:
    """Bring a column into its type; missing integers become the null of the column, or 0."""
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise BadCatalogError(
            f"{where}: holds {values.dtype} of shape {values.shape}, not one number a row"
        )
    if kind.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 is unknown
            return np.asarray(values, kind)
    fill = column.null if column is not None and column.null is not None else 0
    if values.dtype.kind == "f":
        is_null = ~np.isfinite(values)
        whole = np.where(is_null, float(fill), values)
        odd = np.flatnonzero((whole != np.trunc(whole)) | (np.abs(whole) > 2**53))
        if len(odd):
            raise BadCatalogError(
                f"{where}: {values[odd[0]]} at row {odd[0]} (from 0) is no whole number"
            )
        values = whole.astype(np.int64)
    limits = np.iinfo(kind)
    if len(values):
        low, high = int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            bad = low if low < limits.min else high
            raise BadCatalogError(f"{where}: {bad} is outside {limits.min} to {limits.max}")
    return np.asarray(values, kind)
