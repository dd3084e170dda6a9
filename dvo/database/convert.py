"""Results as tables of astropy, and as relations of DuckDB."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from astropy.table import QTable
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

__all__ = ["to_astropy", "to_duckdb"]


def to_astropy(table: pa.Table) -> QTable:
    """Make an astropy table with units and descriptions.

    Parameters
    ----------
    table : pyarrow.Table
        A result of a query.

    Returns
    -------
    astropy.table.QTable
        Floats are NaN where null; other columns with nulls are masked. What the result
        says of itself, such as the object of a light curve, is in its ``meta``.
    """
    from astropy.table import MaskedColumn, QTable  # noqa: PLC0415 - slow to import
    from astropy.units import Unit  # noqa: PLC0415

    facts = table.schema.metadata or {}
    out = QTable(meta={k.decode(): json.loads(v) for k, v in facts.items()})
    for field in table.schema:
        column = table[field.name].combine_chunks()
        about = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        if pa.types.is_string(field.type):
            values = np.array(column.to_pylist(), dtype=object).astype(str)
        elif pa.types.is_fixed_size_list(field.type):
            values = np.array(column.to_pylist())
        else:
            values = column.to_numpy(zero_copy_only=False)
        if pa.types.is_integer(field.type) and column.null_count:
            mask = column.is_null().to_numpy(zero_copy_only=False)
            null = int(about.get("null", 0))
            filled = column.fill_null(null).to_numpy(zero_copy_only=False)
            out[field.name] = MaskedColumn(
                filled, mask=mask, fill_value=null, description=about.get("description")
            )
            continue
        unit = about.get("unit", "")
        out[field.name] = values * Unit(unit, format="fits") if unit else values
        out[field.name].info.description = about.get("description", "")
        out[field.name].info.meta = {"ucd": about["ucd"]} if "ucd" in about else {}
    return out


def to_duckdb(table: pa.Table, connection: DuckDBPyConnection | None = None) -> DuckDBPyRelation:
    """Make a relation of DuckDB, for those who go on in SQL.

    Parameters
    ----------
    table : pyarrow.Table
        A result of a query; its memory is used as it is.
    connection : duckdb.DuckDBPyConnection, optional
        Where to make it; None for DuckDB's own default.

    Returns
    -------
    duckdb.DuckDBPyRelation
        The rows; ``found.query("t", "SELECT ... FROM t")`` asks them.
    """
    import duckdb  # noqa: PLC0415 - slow to import

    return duckdb.from_arrow(table, connection=connection or duckdb.default_connection())
