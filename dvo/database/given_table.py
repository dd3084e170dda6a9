"""Tables that a caller brings along: Arrow, pandas, astropy, arrays of positions, or files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.quantities import icrs_of
from dvo.errors import QueryError

__all__ = ["GivenTable", "arrow_of", "arrow_or_file", "as_given", "table_of"]

F64 = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class GivenTable:
    """A table of a caller's, and where its rows are.

    Parameters
    ----------
    table : pyarrow.Table
        All its columns; units and what else is known of them in the field metadata.
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; NaN where one is missing.
    """

    table: pa.Table
    ra: F64
    dec: F64


def as_given(given: Any, position: tuple[str | None, str | None] | None = None) -> GivenTable:
    """Take a table as it is given.

    Parameters
    ----------
    given : pyarrow.Table, DataFrame, astropy Table, SkyCoord, mapping, pair of arrays or path
        The table, as for `arrow_or_file`. A pair is ra and dec, ICRS [deg], or in the units that
        they have.
    position : tuple of str, optional
        The columns of right ascension and declination; None, of both or either, for
        ``ra`` and ``dec``, in lower or upper case.

    Returns
    -------
    GivenTable
        The table.

    Raises
    ------
    QueryError
        If it is no table, or its positions are none in degrees.
    """
    table = arrow_or_file(given)
    names = [
        said or _find(table, usual)
        for said, usual in zip(position or (None, None), ("ra", "dec"), strict=True)
    ]
    ra, dec = (_degrees(table, name) for name in names)
    bad = np.flatnonzero(np.abs(dec) > 90.0)
    if len(bad):
        raise QueryError(
            f"row {int(bad[0])}: declination {dec[bad[0]]} is not within -90..90 degrees "
            f"(column {names[1]!r}; {len(bad)} such rows)"
        )
    return GivenTable(table, ra, dec)


def arrow_or_file(given: Any) -> pa.Table:
    """Take a table as it is given, or read the file that is named.

    Parameters
    ----------
    given : table or path
        A table, as for `arrow_of`; or a file that holds one: FITS, VOTable, Parquet or CSV,
        told by its first bytes, packed by gzip or bzip2 too.

    Returns
    -------
    pyarrow.Table
        The table; missing values of a file are NaN, and units are in the field metadata.

    Raises
    ------
    QueryError
        If it is no table.
    BadCatalogError
        If the file cannot be read.
    """
    if not isinstance(given, str | os.PathLike):
        return arrow_of(given)
    from dvo.tables.table_files import read_chosen  # noqa: PLC0415 - slow to import

    path = Path(given)
    if path.is_dir():
        raise QueryError(f"{path}: is a folder and no table; open a database with dvo.open")
    raw = read_chosen(path, lambda present: present)
    return table_of(raw.columns, raw.units)


def arrow_of(given: Any) -> pa.Table:
    """Take a table as it is given, whatever columns it has.

    Parameters
    ----------
    given : pyarrow.Table, DataFrame, astropy Table, SkyCoord, mapping or pair of arrays
        The table; anything that hands out Arrow streams will do. Of places (SkyCoord) it is
        ra and dec, ICRS [deg]; a column of places becomes ``ra`` and ``dec``, or ``NAME_ra``
        and ``NAME_dec`` if there are several, or others of these names.

    Returns
    -------
    pyarrow.Table
        The same; it shares memory where that is possible.

    Raises
    ------
    QueryError
        If it is no table.
    """
    try:
        if isinstance(given, pa.Table):
            return given
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        place = icrs_of(given)
        if place is not None:
            return table_of(_icrs_columns({"": given}))
        if isinstance(given, Mapping):
            return _columns_table(given)
        if hasattr(given, "colnames") and hasattr(given, "columns"):  # astropy's
            return _columns_table({name: given[name] for name in given.colnames})
        if hasattr(given, "__arrow_c_stream__"):  # pandas, polars, DuckDB
            return pa.table(given).replace_schema_metadata(None)
        if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
            units = {"ra": _unit(given[0]), "dec": _unit(given[1])}
            return table_of({"ra": given[0], "dec": given[1]}, units)
    except (pa.ArrowException, ValueError, TypeError) as err:
        raise QueryError(f"cannot make a table of this {type(given).__name__}: {err}") from err
    raise QueryError(
        f"a {type(given).__name__} is no table; give one (of pyarrow, pandas or astropy), the path "
        "of a file with one, a SkyCoord, a mapping of arrays, or a pair of arrays (ra, dec) in "
        "degrees"
    )


def _columns_table(columns: Mapping[str, Any]) -> pa.Table:
    plain = _icrs_columns(columns)
    return table_of(plain, {name: _unit(column) for name, column in plain.items()})


def _icrs_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns; of places (SkyCoord) ra and dec, ICRS, in place of one column."""
    places = {n: place for n, column in columns.items() if (place := icrs_of(column)) is not None}
    taken = {str(n).lower() for n in columns if n not in places}
    is_plain = len(places) == 1 and taken.isdisjoint(("ra", "dec"))
    found: dict[str, Any] = {}
    for name, column in columns.items():
        if name not in places:
            found[name] = column
            continue
        for axis, angle in zip(("ra", "dec"), places[name], strict=True):
            as_called = axis if is_plain else f"{name}_{axis}"
            if not is_plain and as_called.lower() in taken:
                raise QueryError(
                    f"column {name!r} holds places, which become {name}_ra and {name}_dec; the "
                    f"table has a column {as_called!r} already: rename one of them"
                )
            found[as_called] = _with_nan(angle)
    return found


def _with_nan(angles: Any) -> F64:
    """Angles [deg]; NaN where they are masked."""
    mask = getattr(angles, "mask", None)
    values = np.atleast_1d(np.asarray(getattr(angles, "unmasked", angles), np.float64))
    if values.ndim != 1:
        raise QueryError(f"places of shape {values.shape} are no column; give one a row")
    return values if mask is None else np.where(np.atleast_1d(mask), np.nan, values)


def table_of(columns: Mapping[str, Any], units: Mapping[str, str] | None = None) -> pa.Table:
    """Make an Arrow table of columns.

    Parameters
    ----------
    columns : mapping of str to array
        Columns: of NumPy, Arrow or astropy; masked values become null.
    units : mapping of str to str, optional
        Units of those that have one, as FITS spells them.

    Returns
    -------
    pyarrow.Table
        Units and descriptions in the field metadata.
    """
    fields, arrays = [], []
    for name, column in columns.items():
        array = _column(column)
        meaning = getattr(getattr(column, "info", None), "description", None)
        about = {"unit": (units or {}).get(name, ""), "description": meaning or ""}
        fields.append(pa.field(name, array.type, metadata={k: v for k, v in about.items() if v}))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _unit(column: Any) -> str:
    """Unit of a column of astropy's, in FITS's spelling where there is one."""
    unit: Any = getattr(column, "unit", None)
    if unit is None:
        return ""
    try:
        return str(unit.to_string("fits"))
    except ValueError:
        return str(unit)


def _column(column: Any) -> pa.Array[Any]:
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    mask = getattr(column, "mask", None)
    values = np.asarray(getattr(column, "value", column))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    if mask is None or not np.any(mask):
        return pa.array(values)
    return pa.array(values, mask=np.broadcast_to(mask, values.shape))


def _find(table: pa.Table, wanted: str) -> str:
    found = [name for name in table.column_names if name.lower() == wanted]
    if wanted in found or len(found) == 1:
        return wanted if wanted in found else found[0]
    raise QueryError(
        f"the table has {'no' if not found else 'more than one'} column {wanted}; say which "
        f"columns hold right ascension and declination, of: {', '.join(table.column_names)}"
    )


def _degrees(table: pa.Table, name: str) -> F64:
    if table.column_names.count(name) != 1:
        raise QueryError(
            f"the table has no single column {name!r}; it has {', '.join(table.column_names)}"
        )
    unit = (table.schema.field(name).metadata or {}).get(b"unit", b"").decode()
    scale = 1.0 if unit.lower() in ("", "deg", "degree", "degrees") else _scale(unit, name)
    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise QueryError(f"column {name!r} holds {column.type}; positions are numbers in degrees")
    values = column.cast(pa.float64()).to_numpy() * scale
    return np.where(np.isfinite(values), values, np.nan)


def _scale(unit: str, name: str) -> float:
    """Degrees of a unit of angles."""
    from astropy.units import Unit  # noqa: PLC0415 - slow to import

    try:
        return float(Unit(unit).to("deg"))
    except (TypeError, ValueError):
        raise QueryError(
            f"column {name!r} is in {unit}, which is no angle; positions are needed in degrees"
        ) from None
